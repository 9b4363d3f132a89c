r"""A network without the units that a domain does not need: fixed, duplicate and unread ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack

from polytope.engines.amounts import Seconds
from polytope.engines.budget import Budget, BudgetSpent
from polytope.engines.sampling import in_parts, random_points
from polytope.errors import GeometryError
from polytope.geometry.polyhedron import Polyhedron
from polytope.given import DomainLike, NetworkLike, as_problem
from polytope.ir import Activation, Layer, Network
from polytope.ir.activations import PatternArray
from polytope.ir.algebra import of_matrix
from polytope.ir.forward import UNDERFLOW
from polytope.ir.looking import look, watched
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.oneline import one_line
from polytope.ir.sweep import outputs, sweep_back
from polytope.measures.duplicates import duplicates
from polytope.measures.units import BoolArray, UnitUse, bounded_part, prove_units

PROVING = 0.6  # of the time, where there is a limit; the rest is for the new network


@dataclass(frozen=True, eq=False)
class Simplified:
    """A network that equals a given one on a domain, and what was proved of the units that it lacks.

    Arguments:
        network: the smaller network.
        dead: ``bool[units]`` of the given network, units that are constant on the domain.
        always_on: ``bool[units]``, units that are on one sloped piece throughout, replaced by affine maps of
            what they read.
        duplicate: ``int[units]``, the unit that each is a positive multiple of, or -1.
        unread: ``bool[units]``, hidden units that no output depends on.
        difference: largest difference of the two networks' outputs at the points that were tried, relative
            to the size of the terms that they are sums of: rounding. An **estimate**.
    """

    network: Network
    dead: BoolArray
    always_on: BoolArray
    duplicate: IntArray
    unread: BoolArray
    difference: float

    __repr__ = one_line


@dataclass(eq=False)
class _Values:
    """Values of the given network as affine functions of those of the new one.

    ``factors[m]`` is ``[width, width of new value m]``; what is missing is zero.
    """

    factors: dict[int, csr_array]
    constant: FloatArray

    def rows(self, which: IntArray) -> _Values:
        """Some of the values."""
        return _Values({m: csr_array(f[which]) for m, f in self.factors.items()}, self.constant[which])

    def table(self) -> csr_array:
        """All factors and the constant, one row for each value."""
        return csr_array(hstack([*self.factors.values(), csr_array(self.constant[:, None])], format="csr"))

    def scaled(self, slope: FloatArray, intercept: FloatArray) -> _Values:
        """Each value times a slope plus an intercept."""
        factors = {m: csr_array(f.multiply(slope[:, None])) for m, f in self.factors.items()}
        return _Values(factors, slope * self.constant + intercept)


def simplify(
    network: NetworkLike,
    domain: DomainLike,
    *,
    use: UnitUse | None = None,
    samples: int = 1000,
    max_regions: int | None = None,
    max_seconds: Seconds | None = None,
) -> Simplified:
    r"""The same function on a domain with fewer units.

    A unit fixed on piece p is :math:`s_p z + t_p` throughout: a constant if it is dead, else an affine map
    that its readers take over. A *duplicate* is a positive multiple of another unit of its layer: in what
    is left their rows are proportional in rational arithmetic, and their activations are the same. An
    *unread* unit has only zero weights ahead. Readers' weights are sums and products of the given ones: the
    two networks agree up to rounding on the domain, and may differ outside.

    Arguments:
        network: the network.
        domain: where it is used.
        use: what is known of the units there; ``prove_units`` with the arguments that follow by default.
        samples: random points at which the two networks are compared.
        max_regions, max_seconds: budgets of the proof; units that it leaves open stay. Where the time is not
            enough to rebuild the network, it stays as it is.

    Raises:
        ValueError: ``use`` is of another network or domain: the two networks differ by more than rounding can
            make them at a point that was tried.
        EmptyDomainError: the domain has no interior.
        GeometryError: values at a point that was tried are beyond the range of float64.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0], [1.0], [2.0], [1.0]], [0.0, 3.0, 0.0, -5.0]), ([[1.0, 1, 1, 1]], [0.0])])
        >>> found = simplify(net, pt.Polyhedron.box([-1], [1]))  # relu(x), x + 3, relu(2 x), relu(x - 5)
        >>> found.network.n_units, found.dead.tolist(), found.duplicate.tolist()
        (1, [False, False, False, True], [-1, -1, 0, -1])
    """
    network, domain = as_problem(network, domain)
    budget = Budget(max_regions, max_seconds)
    if use is None:
        seconds = None if budget.max_seconds is None else PROVING * budget.max_seconds
        use = prove_units(network, domain, samples=samples, max_regions=max_regions, max_seconds=seconds)
    if len(use.fixed) != network.n_units:
        raise ValueError(f"simplify: use is of {len(use.fixed)} units, the network has {network.n_units}.")
    dead, unread = use.fixed & use.flat, np.zeros(network.n_units, dtype=bool)
    try:
        with watched(budget.first):
            rebuilt, kept, duplicate = _rebuilt(network, use)
            pruned, read = _without_unread(rebuilt)
            unread[kept[~read]] = True
            difference = _difference(network, pruned, domain, samples)
    except BudgetSpent:
        none = np.full(network.n_units, -1, dtype=np.int64)
        return Simplified(network, dead, use.fixed & ~use.flat, none, np.zeros_like(dead), 0.0)
    if not np.isfinite(difference):
        raise GeometryError(
            "simplify: values of the two networks at a point of the domain are beyond the range of float64 "
            "and cannot be compared: scale the weights of the network down."
        )
    if difference > _rounding(network) + _rounding(pruned):
        raise ValueError(
            f"simplify: the simpler network differs by {difference:.1e} of the terms of outputs at a point "
            "of the domain: what is given as use is not what its units do there."
        )
    return Simplified(pruned, dead, use.fixed & ~use.flat, duplicate, unread, difference)


def _rebuilt(network: Network, use: UnitUse) -> tuple[Network, IntArray, IntArray]:
    """The network without fixed and duplicate units; the units that are left, and what others repeat."""
    d = network.input_dim
    kept, duplicate = [np.zeros(0, dtype=np.int64)], np.full(network.n_units, -1, dtype=np.int64)
    new = _New(network, use, [], [d], kept, duplicate)
    last = outputs(network, _Values({0: _identity(d)}, np.zeros(d)), new)
    layers = (*new.layers, _layer(last, new.widths, None))
    return replace(network, layers=layers), np.concatenate(kept), duplicate


@dataclass(frozen=True, eq=False)
class _New:
    """Values by those of the new network, whose layers come into being on the way.

    Arguments:
        network, use: the given one, and what is known of its units.
        layers: of the new one.
        widths: of its values.
        kept: its units, as units of the given one.
        duplicate: which unit each unit repeats, or -1.
    """

    network: Network
    use: UnitUse
    layers: list[Layer]
    widths: list[int]
    kept: list[IntArray]
    duplicate: IntArray

    def affine(self, number: int, layer: Layer, reads: Sequence[_Values]) -> _Values:
        return _preactivation(layer, reads)

    def activate(self, number: int, layer: Layer, z: _Values) -> _Values:
        look()
        first = self.network.unit_offsets[number - 1]
        span = slice(first, self.network.unit_offsets[number])
        fixed = self.use.fixed[span]
        twins = duplicates(layer.phi, z.table(), fixed)
        self.duplicate[span] = np.where(twins[0] >= 0, twins[0] + first, -1)
        stays = np.flatnonzero(~fixed & (twins[0] < 0))
        look()
        self.kept.append(stays + first)
        if len(stays):
            restricted, sources = layer.phi.restricted(stays)
            self.layers.append(_layer(z.rows(sources), self.widths, restricted))
            self.widths.append(len(stays))
        return _outputs(layer.phi, z, self.use.piece[span], stays, twins, len(self.layers), self.widths)


def _identity(n: int) -> csr_array:
    return csr_array((np.ones(n), (np.arange(n), np.arange(n))), shape=(n, n))


def _preactivation(layer: Layer, reads: Sequence[_Values]) -> _Values:
    """The pre-activations of a layer by the new values."""
    factors: dict[int, csr_array] = {}
    constant = layer.bias.copy()
    for linear, h in zip(layer.maps, reads, strict=True):
        matrix = linear.to_sparse()
        constant += matrix @ h.constant
        for m, f in h.factors.items():
            look()
            part = csr_array(matrix @ f)
            factors[m] = csr_array(factors[m] + part) if m in factors else part
    for f in factors.values():
        f.eliminate_zeros()
        f.sort_indices()
    return _Values({m: f for m, f in factors.items() if f.nnz}, constant)


def _layer(z: _Values, widths: list[int], activation: Activation | None) -> Layer:
    """A layer that computes z."""
    factors = z.factors or {0: csr_array((len(z.constant), widths[0]))}
    return Layer(tuple(factors), tuple(map(of_matrix, factors.values())), z.constant, activation)


def _outputs(
    activation: Activation,
    z: _Values,
    piece: PatternArray,
    stays: IntArray,
    twins: tuple[IntArray, FloatArray],
    number: int,
    widths: list[int],
) -> _Values:
    """The outputs of a layer: affine where fixed, the new value ``number`` or a multiple of it elsewhere."""
    maps = activation.affine(piece)
    fixed = z.rows(maps.source).scaled(maps.slope, maps.intercept)
    place = np.full(len(piece), -1)
    place[stays] = np.arange(len(stays))
    same = np.flatnonzero(twins[0] >= 0)
    place[same] = place[twins[0][same]]
    twin = np.flatnonzero(place >= 0)
    out = fixed.scaled((place < 0).astype(float), np.zeros(len(piece)))
    if len(twin):
        shape = (len(piece), widths[number])
        out.factors[number] = csr_array((twins[1][twin], (twin, place[twin])), shape=shape)
    for f in out.factors.values():
        f.eliminate_zeros()
    return out


def _without_unread(network: Network) -> tuple[Network, NDArray[np.bool_]]:
    """The network without units that no output depends on, and which of its units are read."""
    read = _read(network)
    wanted = np.concatenate(
        [np.zeros(0, bool), *(r for r, la in zip(read[1:], network.layers, strict=True) if la.activation)]
    )
    return network if wanted.all() else _pruned(network, read), wanted


def without_zeros(network: Network, use: UnitUse) -> Network:
    """The network without the units that are 0 throughout a domain, and those that no output depends on.

    No number changes: on the domain the outputs are the same in rational arithmetic. Where maps are products
    of others the network stays as it is: the entries of a product would be rounded.

    Arguments:
        network: the network.
        use: what is known of its units on the domain.
    """
    if any(len(linear.chain()) > 1 for layer in network.layers for linear in layer.maps):
        return network
    read, first = _read(network), 0
    for number, layer in enumerate(network.layers, start=1):
        if layer.activation is not None:
            span = slice(first, first + layer.width)
            maps, first = layer.activation.affine(use.piece[span]), span.stop
            if number < len(network.layers):
                read[number] &= ~(use.fixed[span] & (maps.slope == 0) & (maps.intercept == 0))
    return network if all(r.all() for r in read[1:]) else _pruned(network, read)


def _read(network: Network) -> list[NDArray[np.bool_]]:
    """Of every value, the input's first, which entries an output depends on."""
    widths = [network.input_dim, *(la.width for la in network.layers)]
    read = [np.zeros(width, dtype=bool) for width in widths]
    read[-1][:] = True
    number, last, domain = len(network.layers), network.layers[-1], _Read()
    wanted = read[-1] if last.activation is None else domain.activate(number, last, read[-1])
    for k, units in sweep_back(network, number, wanted, domain):
        read[k] = units
    return read


class _Read:
    """Which of the values an output depends on, ``bool[width]``."""

    def affine(self, number: int, layer: Layer, weights: BoolArray) -> Iterator[BoolArray]:
        sources = np.flatnonzero(weights)
        for linear in layer.maps:
            yield np.asarray(abs(linear.to_sparse()[sources]).sum(axis=0)).ravel() > 0

    def activate(self, number: int, layer: Layer, weights: BoolArray) -> BoolArray:
        out, units = np.zeros(len(layer.bias), dtype=bool), np.flatnonzero(weights)
        if len(units):
            out[layer.phi.restricted(units)[1]] = True
        return out

    def plus(self, k: int, a: BoolArray, b: BoolArray) -> BoolArray:
        return a | b


def _pruned(network: Network, read: list[NDArray[np.bool_]]) -> Network:
    """Only the units that are read; layers without any are gone."""
    number = {0: 0}
    layers: list[Layer] = []
    everything = np.ones(network.input_dim, dtype=bool)
    for old, layer in enumerate(network.layers, start=1):
        units = np.flatnonzero(read[old])
        if not len(units):
            continue
        restricted, sources = layer.activation.restricted(units) if layer.activation else (None, units)
        factors = {
            number[k]: csr_array(linear.to_sparse()[sources][:, np.flatnonzero(read[k] if k else everything)])
            for k, linear in zip(layer.inputs, layer.maps, strict=True)
            if k in number
        }
        layers.append(_layer(_Values(factors, layer.bias[sources]), [network.input_dim], restricted))
        number[old] = len(layers)
    return replace(network, layers=tuple(layers))


def _difference(one: Network, two: Network, domain: Polyhedron, samples: int) -> float:
    """The largest difference of outputs at points of a domain, relative to the terms they are sums of."""
    largest = _apart(one, two, domain.inscribed_ball[0][None])
    with suppress(BudgetSpent):  # fewer points do
        for points in random_points(bounded_part(domain), samples, np.random.default_rng(0)):
            for some in in_parts(one, points):
                largest = np.maximum(largest, _apart(one, two, some))  # NaN stays
    return float(largest)


def _apart(one: Network, two: Network, points: FloatArray) -> np.float64:
    """The same at some points."""
    apart, size = np.abs(one(points) - two(points)), _sizes(one, points, _rounding(one) + _rounding(two))
    apart = np.where(apart <= UNDERFLOW, 0.0, apart)  # below, products lose more than a share of themselves
    worst: np.float64 = (apart / np.where(apart > 0, size, 1.0)).max()
    return worst


def _sizes(network: Network, points: FloatArray, share: float) -> FloatArray:
    """Sums of the absolute terms of which outputs are made, through all layers, ``[B, out]``.

    Arguments:
        network, points: the network, and ``[B, d]``.
        share: of their terms that pre-activations may be off by: units so near to a breakpoint count by the
            larger of the slopes beside it.
    """
    _, sizes = outputs(network, (points.T, np.abs(points.T)), _Terms(share))
    return sizes.T


Terms = tuple[FloatArray, FloatArray]


@dataclass(frozen=True)
class _Terms:
    """Values and the sums of their absolute terms, ``[width, B]`` each; ``share`` as above."""

    share: float

    def affine(self, number: int, layer: Layer, reads: Sequence[Terms]) -> Terms:
        size = np.abs(layer.bias)[:, None] + sum(
            linear.apply(terms) for linear, (_, terms) in zip(layer.absolute_maps, reads, strict=True)
        )
        return layer.preactivation([h for h, _ in reads]), size

    def activate(self, number: int, layer: Layer, z: Terms) -> Terms:
        sizes = []
        for at in (z[0], z[0] - self.share * z[1], z[0] + self.share * z[1]):
            pieces = layer.phi.affine(layer.phi.pattern(at))
            read = np.take_along_axis(z[1], pieces.source, axis=0)
            sizes.append(np.abs(pieces.slope) * read + np.abs(pieces.intercept))
        return layer.phi.values(z[0]), np.maximum.reduce(sizes)


def _rounding(network: Network) -> float:
    r"""A bound on what rounding does to outputs and to weights that are products, relative to their terms.

    A layer of n terms adds :math:`\gamma_n` for the sums and as much for the folding of its weights.
    """
    terms = [sum(linear.shape[1] for linear in layer.maps) + 16 for layer in network.layers]
    return 2.0**-51 * sum(terms)

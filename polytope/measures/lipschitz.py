r"""Lipschitz constants :math:`\sup_{x \ne y} \|f(x) - f(y)\|_q / \|x - y\|_p` over a convex domain.

A continuous piecewise-affine function's constant is the greatest operator norm of the Jacobians of its
regions: exact on a complete complex. From the network alone it is enclosed between the norms of sampled
Jacobians and certified upper bounds.

References: Jordan, Dimakis (2020), "Exactly Computing the Local Lipschitz Constant of ReLU Networks",
https://arxiv.org/abs/2003.01219
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from polytope.bounds.interval_jacobian import interval_jacobian, slope_ranges
from polytope.bounds.intervals import room
from polytope.engines.amounts import Seconds
from polytope.engines.budget import Budget
from polytope.engines.sampling import clear_patterns, random_points
from polytope.errors import GeometryError, UnboundedDomainError
from polytope.exact.maps import right_maps, settle
from polytope.exact.network import ExactNetwork
from polytope.geometry.polyhedron import Polyhedron
from polytope.given import DomainLike, NetworkLike, as_problem
from polytope.ir import Layer, LinearMap, Network
from polytope.ir.activations import PatternArray, SlopeRanges
from polytope.ir.boundaries import boundaries
from polytope.ir.bounded import bounded_maps
from polytope.ir.continuity import refuse_jumps
from polytope.ir.maps import FloatArray
from polytope.ir.maxima import maxima_first, unrolled
from polytope.ir.sweep import sweep
from polytope.labelled import Bound, Exact, Labelled
from polytope.measures.lipschitz_search import SteepestParts, bound_of_ends
from polytope.measures.operator_norm import checked_norm, lower_norm, operator_norms, upper_norms
from polytope.regions.asked import require_regions
from polytope.regions.complex import RegionComplex

ENTRIES = 1 << 22  # numbers in the Jacobians of one batch
NARROW = 2.0**-30  # relative widths of intervals for which floats are enough
LARGEST_DENSE = 1 << 21  # entries of a map whose singular values are computed


@dataclass(frozen=True, eq=False)
class LipschitzBounds:
    """The constant lies in ``lower .. upper``.

    Arguments:
        lower: the norm at ``witness``, rounded down.
        upper: certified; the least of the bounds below.
        witness: a point ``[d]`` inside a region whose Jacobian has the norm ``lower``.
        norm_product: the upper bound from the norms of the layers alone.
        interval: the upper bound from interval Jacobians over the domain.
    """

    lower: float
    upper: float
    witness: FloatArray
    norm_product: float
    interval: float


def region_lipschitz(complex: RegionComplex, p: float = 2, q: float = 2) -> FloatArray:
    r"""The constant of each region, :math:`\|J_R\|_{p \to q}`, as ``[R]``; right to 2^-24, mostly to 2^-40.

    Arguments:
        complex: regions, all or some.
        p, q: norms of the input and of the output: 1, 2 or ``inf``.

    Raises:
        ValueError: another norm, or one that is NP-hard for matrices of this size.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0], [-2.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])
        >>> sorted(region_lipschitz(pt.enumerate_regions(net, pt.Polyhedron.box([-1], [1]))).tolist())
        [1.0, 2.0]
    """
    require_regions(complex, "region_lipschitz")
    return _norms(complex.network, complex.patterns, p, q)


def lipschitz_constant(complex: RegionComplex, p: float = 2, q: float = 2) -> Labelled:
    r"""The greatest :math:`\|J_R\|_{p \to q}` over the regions: the Lipschitz constant over the domain.

    The result has ``lower`` and ``upper``, between which the network's constant is proved to lie: rounding of
    maps and of norms is bounded, and where a bound is wide, maps are computed exactly.

    Arguments:
        complex: the regions of a domain. Where not all were found the result is ``lower``, a bound.
        p, q: norms of the input and of the output: 1, 2 or ``inf``.

    Raises:
        ValueError: no regions, another norm, or one that is NP-hard for matrices of this size.
        GeometryError: the constant is beyond the range of float64.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0], [-2.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])
        >>> lipschitz_constant(pt.enumerate_regions(net, pt.Polyhedron.box([-1], [1])))
        2.0
    """
    require_regions(complex, "lipschitz_constant")
    if not len(complex):
        raise ValueError("lipschitz_constant: the complex has no region, so nothing is known of the slopes.")
    greatest, lower, upper = _greatest(complex.network, complex.patterns, p, q)
    if not np.isfinite([greatest, lower, upper]).all():
        raise GeometryError("lipschitz_constant: the constant is beyond the range of float64, above 1.8e308.")
    if complex.complete:
        return Labelled(greatest, Exact(greatest), lower, upper)
    return Labelled(lower, Bound(lower))


def lipschitz_bounds(
    network: NetworkLike,
    domain: DomainLike,
    p: float = 2,
    q: float = 2,
    *,
    samples: int = 2000,
    rng: np.random.Generator | None = None,
    max_seconds: Seconds | None = None,
) -> LipschitzBounds:
    r"""An interval for the Lipschitz constant over a bounded domain, without enumeration.

    From above the least of two: products of norms of the layers, in the best of the norms 1, 2 and inf
    between them; and the norm of the largest absolute entries that interval arithmetic leaves possible in the
    Jacobian. Both leave out slopes that units cannot have in the domain. From below the norms of Jacobians at
    random points.

    With a budget both ends are brought together: branch and bound proves units to be on one piece, and the
    steepest part of the domain is split at the unit that matters most, until the ends meet or the time is
    spent. Of a small domain, such as a box around a point, that is the local constant.

    Arguments:
        network: the network.
        domain: bounded, with interior.
        p, q: norms of the input and of the output: 1, 2 or ``inf``.
        samples: number of random points.
        rng: source of randomness; ``numpy.random.default_rng(0)`` where ``None``.
        max_seconds: a budget for splitting; infinite for as long as it takes. None is split by default.

    Raises:
        ValueError: the domain does not fit, or another norm, or a unit jumps.
        UnboundedDomainError: the domain is unbounded.

    References: Weng et al. (2018), "Towards Fast Computation of Certified Robustness for ReLU Networks" (the
        interval Jacobian), https://arxiv.org/abs/1804.09699

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0], [-2.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])
        >>> found = lipschitz_bounds(net, pt.Polyhedron.box([-1], [1]))
        >>> round(found.lower, 9), round(found.upper, 9)
        (2.0, 2.0)
    """
    network, domain = as_problem(network, domain)
    p, q = checked_norm("p", p), checked_norm("q", q)
    box = domain.bounds if domain.is_bounded else None
    if box is None:
        raise UnboundedDomainError("lipschitz_bounds needs a bounded domain; intersect it with a box.")
    refuse_jumps(network)
    ranges = slope_ranges(network, box)
    product = min(_norm_product(network, ranges, p, middle, q) for middle in (1.0, 2.0, np.inf))
    interval = norm_bound(interval_jacobian(network, ranges), p, q)
    upper = min(product, interval)
    lower, witness = _steepest(network, domain, samples, rng or np.random.default_rng(0), p, q)
    lower = min(lower, upper, float(np.finfo(float).max)) if lower >= 0 else 0.0  # NaN bounds nothing
    found = LipschitzBounds(lower, upper, witness, product, interval)
    return found if max_seconds is None else _split(network, domain, p, q, found, Budget(None, max_seconds))


def _split(
    network: Network, domain: Polyhedron, p: float, q: float, known: LipschitzBounds, budget: Budget
) -> LipschitzBounds:
    """The ends nearer to each other, by splitting units."""
    from polytope.bounds.branching.units import fixed_pieces  # loads torch, which takes seconds

    plain, box = unrolled(maxima_first(network)).network, domain.bounds
    tables, witness = boundaries(network), known.witness

    def attained(x: FloatArray) -> float:
        nonlocal witness
        patterns, clear = clear_patterns(network, tables, x[None])
        if not len(clear) or not domain.contains(clear)[0]:
            return 0.0
        norm = _greatest(network, patterns, p, q)[1]
        witness = x if norm > search.lower else witness
        return norm

    def bound(ends: FloatArray) -> float:
        return bound_of_ends(ends, p, q, lambda size: norm_bound(size, p, q))

    search = SteepestParts(plain, domain, bound, known.upper, attained, known.lower)
    seen = plain.pattern(domain.inscribed_ball[0])
    first = np.zeros_like(seen)
    last = np.concatenate([first[:0], *(_last_pieces(layer) for layer in plain.layers if layer.activation)])
    half = Budget(None, None if budget.left is None else max(budget.left / 2, 1e-9))
    proved, _ = fixed_pieces(plain, box, seen, np.arange(plain.n_units), lambda: half.spent(0))
    first, last = np.where(proved, seen, first), np.where(proved, seen, last)
    search.begin(first, last)
    while not budget.spent(0) and search.step():
        pass
    return replace(known, lower=search.lower, upper=search.least_upper, witness=witness)


def _last_pieces(layer: Layer) -> PatternArray:
    """The number of the last piece of each unit."""
    return np.array([layer.phi.n_pieces(unit) - 1 for unit in range(layer.width)], dtype=np.int8)


def _norms(network: Network, patterns: PatternArray, p: float, q: float) -> FloatArray:
    """The norms of the Jacobians of patterns ``int8[R, units]``, some at a time."""
    parts = [operator_norms(right_maps(network, some).J, p, q) for some in _parts(network, patterns)]
    return np.concatenate([np.zeros(0), *parts])


def _parts(network: Network, patterns: PatternArray) -> list[PatternArray]:
    """Patterns whose Jacobians are held together."""
    step = max(1, ENTRIES // (network.output_dim * network.input_dim))
    return [patterns[i : i + step] for i in range(0, len(patterns), step)]


def _greatest(network: Network, patterns: PatternArray, p: float, q: float) -> tuple[float, float, float]:
    """The greatest norm, and proved ends of an interval around it.

    Where the interval of floats is wide, exact maps take the place of those whose norms may be the greatest.
    """
    p, q = checked_norm("p", p), checked_norm("q", q)
    ends = [np.zeros((2, 0))]
    for some in _parts(network, patterns):
        maps = bounded_maps(network, some)
        norms = operator_norms(maps.J, p, q), upper_norms(maps.J, maps.J_error, p, q)
        ends.append(np.stack(norms))
    values, upper = np.concatenate(ends, axis=1)
    exact, settled = ExactNetwork(network), set[int]()
    every = np.ones((1, network.output_dim), dtype=bool)

    def lower_at(i: int) -> float:
        maps = bounded_maps(network, patterns[[i]])
        if i in settled:
            settle(exact, patterns[[i]], maps, every)
        return lower_norm(maps.J[0], maps.J_error[0], p, q)

    while True:
        best, top = int(values.argmax()), int(upper.argmax())
        lower = lower_at(best)
        if top in settled or upper[top] <= lower * (1 + NARROW):
            return float(values[best]), lower, float(upper[top])
        maps = bounded_maps(network, patterns[[top]])
        settle(exact, patterns[[top]], maps, every)
        values[top] = operator_norms(maps.J, p, q)[0]
        upper[top] = upper_norms(maps.J, maps.J_error, p, q)[0]
        settled.add(top)


def _steepest(
    network: Network, domain: Polyhedron, n: int, rng: np.random.Generator, p: float, q: float
) -> tuple[float, FloatArray]:
    """A lower bound on the greatest norm at n random points off all crossings, and where; 0 if none is."""
    tables = boundaries(network)
    best, witness = 0.0, domain.inscribed_ball[0]
    for points in random_points(domain, n, rng):
        patterns, x = clear_patterns(network, tables, points)
        norms = _norms(network, patterns, p, q)
        if len(x) and norms.max() > best:
            steepest = int(norms.argmax())
            best, witness = _greatest(network, patterns[[steepest]], p, q)[1], x[steepest]
    return best, witness


def norm_bound(matrix: FloatArray, p: float, q: float) -> float:
    """An upper bound on the p -> q norm of every matrix ``B`` with ``|B| <= matrix``; tight for most p, q."""
    exponent = int(np.frexp(matrix.max(initial=0.0))[1])
    matrix = np.ldexp(matrix, -exponent)  # entries up to 1: squares neither overflow nor, where large, vanish
    if not np.isfinite(matrix).all():
        return np.inf
    if p == np.inf and q != np.inf:  # |B| maps the unit box below its values at the corner (1, ..., 1)
        value = float(np.linalg.norm(matrix.sum(axis=1), q))
    elif q == 1 and p == 2:
        value = float(np.linalg.norm(matrix.sum(axis=0)))
    else:
        value = float(operator_norms(matrix[None], p, q)[0])
    with np.errstate(over="ignore"):
        return float(np.nextafter(np.ldexp(_room(value), exponent), np.inf)) if value else 0.0


def _room(value: float) -> float:
    """The value with room for the rounding of a norm."""
    return value * (1 + 2.0**-36)


def _norm_product(
    network: Network, ranges: tuple[SlopeRanges | None, ...], p: float, middle: float, q: float
) -> float:
    """Products of the layers' norms, summed over paths: p at the input, q at the output."""
    constant = 1.0
    norms = [p, *(middle for _ in network.layers[1:]), q]
    for _, _, _, constant in sweep(network, 1.0, _Constants(norms, ranges)):
        if not _is_ordinary([constant]):
            return np.inf
    return _room(constant)


@dataclass(frozen=True)
class _Constants:
    """Lipschitz constants of values: sums over paths of products of norms.

    Arguments:
        norms: of the values h_0, h_1, ...
        ranges: the slopes that units can have.
    """

    norms: Sequence[float]
    ranges: tuple[SlopeRanges | None, ...]

    def affine(self, number: int, layer: Layer, reads: Sequence[float]) -> float:
        out, (factors, _) = self.norms[number], self._factors(number, layer)
        total = 0.0
        parts = zip(layer.inputs, layer.maps, layer.absolute_maps, reads, strict=True)
        for k, linear, absolute, constant in parts:
            norm = _map_norm(linear, absolute, factors, self.norms[k], out) if constant else 0.0
            total += constant * norm if norm else 0.0
        return total

    def activate(self, number: int, layer: Layer, z: float) -> float:
        _, factor = self._factors(number, layer)
        return z * factor if factor else 0.0

    def _factors(self, number: int, layer: Layer) -> tuple[FloatArray | None, float]:
        """What a layer's slopes multiply its rows by, and what its outputs."""
        slopes = self.ranges[number - 1]
        return (None, 1.0) if slopes is None else _row_factors(slopes, len(layer.bias), self.norms[number])


def _is_ordinary(numbers: ArrayLike) -> bool:
    """Whether products of four such numbers neither overflow nor underflow, so that ``_room`` suffices."""
    sizes = np.abs(numbers)
    return bool(((sizes == 0) | ((sizes > 2.0**-200) & (sizes < 2.0**200))).all())


def _row_factors(slopes: SlopeRanges, n: int, norm: float) -> tuple[FloatArray | None, float]:
    """Greatest absolute slopes of a layer: a factor of each pre-activation, or one for the whole layer."""
    size = np.maximum(np.abs(slopes.least), np.abs(slopes.greatest))
    if slopes.own:
        return size[0], 1.0
    readers = np.bincount(slopes.source[size > 0], minlength=n).max(initial=0)
    return None, float(size.max(initial=0.0) * {1.0: readers, 2.0: np.sqrt(readers), np.inf: 1.0}[norm])


def _map_norm(
    linear: LinearMap, absolute: LinearMap, factors: FloatArray | None, p: float, q: float
) -> float:
    """An upper bound on the norm of a map whose rows are multiplied by factors; infinite where unknown."""
    chain = linear.chain()
    numbers = [factor.to_sparse().data for factor in chain] + ([] if factors is None else [factors])
    if not all(_is_ordinary(part) for part in numbers):
        return np.inf
    scale = 1.0 if factors is None else factors[:, None]
    norm = _matrix_norm(csr_array(linear.to_sparse() * scale), p, q)
    if len(chain) > 1:  # its matrix is a rounded product
        share = sum(room(factor.shape[1]) for factor in chain)
        norm += share * _matrix_norm(csr_array(absolute.to_sparse() * scale), p, q)
    return norm


def _matrix_norm(matrix: csr_array, p: float, q: float) -> float:
    """An upper bound on the norm of a matrix."""
    m, n = matrix.shape
    if m * n <= LARGEST_DENSE:
        dense = matrix.toarray()
        if (p, q) in ((np.inf, 1), (np.inf, 2), (2, 1)):
            spectral = float(operator_norms(dense[None], 2, 2)[0])
            longer = (np.sqrt(n) if p == np.inf else 1.0) * (np.sqrt(m) if q == 1 else 1.0)
            return _room(min(norm_bound(np.abs(dense), p, q), spectral * longer))
        return _room(float(operator_norms(dense[None], p, q)[0]))
    size = abs(matrix)
    columns, rows = np.asarray(size.sum(axis=0)).ravel(), np.asarray(size.sum(axis=1)).ravel()
    if p == np.inf:
        return _room(float(np.linalg.norm(rows, q)))
    if q == 1:
        return _room(float(np.linalg.norm(columns, 2 if p == 2 else np.inf)))
    squares = size.power(2)
    if p == 1:
        each = np.sqrt(np.asarray(squares.sum(axis=0)).ravel()) if q == 2 else size.max(axis=0).toarray()
        return _room(float(each.max(initial=0.0)))
    if q == np.inf:
        return _room(float(np.sqrt(np.asarray(squares.sum(axis=1)).ravel()).max(initial=0.0)))
    return _room(float(np.sqrt(columns.max(initial=0.0) * rows.max(initial=0.0))))

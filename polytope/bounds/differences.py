r"""Bounds of how far two networks of one architecture are apart over a box.

Where layer by layer the maps :math:`A, A'` and biases :math:`b, b'` differ only in their numbers, the
pre-activations of the second network are off by :math:`e = (A - A') h' + (b - b')` in every layer, and what
is off in front of an activation comes out of it times one of its slopes. So

.. math:: f(x) - f'(x) = \sum_l J_l \, e_l,

with interval Jacobians :math:`J_l` from every layer to the outputs. Weights that are the same contribute
nothing, in whatever units that are on: the bound is of the size of what was changed. Where activations have
other slopes or intercepts, such as 0.1 and the float32 number next to it, what :math:`\phi - \phi'` can be
of the second network's pre-activations is counted behind them.

References: Paulsen, Wang, Wang (2020), "ReluDiff: Differential Verification of Deep Neural Networks",
https://arxiv.org/abs/2001.03662
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from polytope.bounds.interval_jacobian import Combinations, Ends
from polytope.bounds.intervals import LOST, ends, middle_radius, moved, room, unbounded_where_unknown
from polytope.bounds.linear_bounds import linear_bounds
from polytope.ir import Layer, Network
from polytope.ir.activations import Activation, MaxGroups, PiecewiseLinear, SlopeRanges
from polytope.ir.algebra import compose, summed
from polytope.ir.maps import Diagonal, FloatArray, LinearMap, Transposed
from polytope.ir.sweep import outputs_to_input

ENTRIES = 1 << 23  # numbers in the combinations of outputs that are followed at once


def same_architecture(first: Network, second: Network) -> bool:
    """Whether two networks differ in the numbers of their maps, biases, slopes and intercepts only."""
    return (
        first.input_dim == second.input_dim
        and len(first.layers) == len(second.layers)
        and all(map(_alike, first.layers, second.layers))
    )


def _alike(one: Layer, other: Layer) -> bool:
    shapes = [[linear.shape for linear in layer.maps] for layer in (one, other)]
    return one.inputs == other.inputs and shapes[0] == shapes[1] and _equal(one.activation, other.activation)


def _equal(one: Activation | None, other: Activation | None) -> bool:
    """Whether two activations are one function, up to slopes and intercepts between equal breakpoints."""
    if isinstance(one, PiecewiseLinear) and isinstance(other, PiecewiseLinear):
        tables = ((a.slopes, a.intercepts) for a in (one, other))
        return np.array_equal(one.breakpoints, other.breakpoints) and all(map(_near, *tables))
    if isinstance(one, MaxGroups) and isinstance(other, MaxGroups):
        return np.array_equal(one.members, other.members)
    return one is None and other is None


def _near(a: FloatArray, b: FloatArray) -> bool:
    """Whether two tables can be compared number by number."""
    with np.errstate(over="ignore"):
        return a.shape == b.shape and bool(np.isfinite(a - b).all())


def bounds_of_difference(first: Network, second: Network, box: FloatArray) -> FloatArray:
    """Low and high of ``first(x) - second(x)`` for all x of a box, ``[2, out]``; certified.

    Arguments:
        first, second: continuous networks of the same architecture.
        box: ``[2, d]``.
    """
    found = np.zeros((2, first.output_dim))
    if not any(map(_changed, first.layers, second.layers)):
        return found
    known = [linear_bounds(network, box) for network in (first, second)]
    slopes = tuple(
        None if layer.activation is None else layer.activation.slope_ranges(*_hull(one, other))
        for layer, one, other in zip(first.layers, *known, strict=True)
    )
    values = [box, *map(_values, second.layers, known[1])]
    off = [
        _mismatch(one, other, [values[k] for k in one.inputs])
        for one, other in zip(first.layers, second.layers, strict=True)
    ]
    bent = [
        _bent(one.activation, other.activation, z)
        for one, other, z in zip(first.layers, second.layers, known[1], strict=True)
    ]
    return carried_on(first, slopes, off, bent)


def carried_on(
    network: Network,
    slopes: tuple[SlopeRanges | None, ...],
    off: Sequence[FloatArray],
    bent: Sequence[FloatArray | None] = (),
) -> FloatArray:
    r"""What is off in front of activations, at the outputs: :math:`\sum_l J_l e_l`, ``[2, out]``; certified.

    Arguments:
        network: the network.
        slopes: between the values that are compared, of the units of each layer; ``None`` for an affine one.
        off: for each layer, low and high ``[2, n]`` of :math:`e_l`.
        bent: what is off behind its activation besides, ``[2, units]``; none by default.
    """
    found = np.zeros((2, network.output_dim))
    together = max(1, ENTRIES // max(network.input_dim, *(layer.width for layer in network.layers)))
    for i in range(0, network.output_dim, together):
        some = np.eye(network.output_dim, min(together, network.output_dim - i), -i)
        domain = _Off(Combinations(slopes), off, bent, np.zeros((3, some.shape[1])))
        with np.errstate(all="ignore"):
            outputs_to_input(network, (some, some), domain)
            low, high, room_left = domain.total
            ends = np.nextafter(low - room_left, -np.inf), np.nextafter(high + room_left, np.inf)
            found[:, i : i + together] = np.where(room_left == 0, 0.0, unbounded_where_unknown(*ends))
    return found


def _changed(one: Layer, other: Layer) -> bool:
    """Whether numbers of two layers differ."""
    maps = not np.array_equal(one.bias, other.bias) or any(map(_differ, one.maps, other.maps))
    return maps or _apart_in_pieces(one.activation, other.activation) is not None


def _apart_in_pieces(one: Activation | None, other: Activation | None) -> PiecewiseLinear | None:
    """One activation less another with the same breakpoints, every number rounded once; ``None``: equal."""
    if not isinstance(one, PiecewiseLinear) or not isinstance(other, PiecewiseLinear):
        return None
    slopes, intercepts = one.slopes - other.slopes, one.intercepts - other.intercepts
    if not slopes.any() and not intercepts.any():
        return None
    return PiecewiseLinear(one.breakpoints, slopes, intercepts)


def _bent(one: Activation | None, other: Activation | None, z: FloatArray) -> FloatArray | None:
    """``[2, units]``: the range of what one activation makes of values less what another makes of them."""
    apart = _apart_in_pieces(one, other)
    if apart is None:
        return None
    low, high = apart.value_ranges(*z)
    reach = np.maximum(np.abs(low), np.abs(high))
    slope, far = np.abs(apart.slopes).max(axis=1), np.abs(z).max(axis=0)
    size = slope * np.where(slope == 0, 0.0, far) + np.abs(apart.intercepts).max(axis=1)
    more = np.where(reach == 0, 0.0, room(2) * size + LOST)  # slopes and intercepts are rounded
    return np.stack([np.nextafter(low - more, -np.inf), np.nextafter(high + more, np.inf)]) * (reach > 0)


def _differ(a: LinearMap, b: LinearMap) -> bool:
    ours, theirs = a.chain(), b.chain()
    if [m.shape for m in ours] != [m.shape for m in theirs]:
        return True
    apart = (_apart(m, n) for m, n in zip(ours, theirs, strict=True))
    return any(m.absolute().apply(np.ones((m.shape[1], 1))).any() for m in apart)


def _hull(one: FloatArray, other: FloatArray) -> tuple[FloatArray, FloatArray]:
    return np.minimum(one[0], other[0]), np.maximum(one[1], other[1])


def _values(layer: Layer, z: FloatArray) -> FloatArray:
    """``[2, width]``: the ranges of a layer's outputs."""
    return z if layer.activation is None else np.stack(layer.activation.value_ranges(*z))


@dataclass(frozen=True, eq=False)
class _Off:
    """Combinations of values on their way back, as intervals; what layers contribute is added up.

    Arguments:
        combinations: how they go through a layer.
        off: what layers contribute in front of their activations, ``[2, n]``.
        bent: what they contribute behind them, where something.
        total: low, high and room for their rounding, ``[3, out]``.
    """

    combinations: Combinations
    off: Sequence[FloatArray]
    bent: Sequence[FloatArray | None]
    total: FloatArray = field(repr=False)

    def affine(self, number: int, layer: Layer, weights: Ends) -> Iterator[Ends]:
        self._add(self.off[number - 1], weights)
        return self.combinations.affine(number, layer, weights)

    def _add(self, e: FloatArray, weights: Ends) -> None:
        """Count what is off, in combinations of it, to what is off at the outputs."""
        changed = np.flatnonzero((e != 0).any(axis=0))
        if len(changed):
            low, high = (w[changed] for w in weights)
            products = [end * side[changed, None] for end in (low, high) for side in e]
            products = [np.where(np.isnan(p), 0.0, p) for p in products]  # 0 times infinity
            least, greatest = np.minimum.reduce(products), np.maximum.reduce(products)
            size = np.maximum(np.abs(least), np.abs(greatest)).sum(axis=0)
            n = len(changed)
            self.total[0] += least.sum(axis=0)
            self.total[1] += greatest.sum(axis=0)
            self.total[2] += room(n) * (size + np.abs(self.total[:2]).max(axis=0)) + (8 + n) * LOST

    def activate(self, number: int, layer: Layer, weights: Ends) -> Ends:
        behind = self.bent[number - 1] if self.bent else None
        if behind is not None:
            self._add(behind, weights)
        return self.combinations.activate(number, layer, weights)

    def plus(self, k: int, a: Ends, b: Ends) -> Ends:
        return self.combinations.plus(k, a, b)


def _mismatch(one: Layer, other: Layer, reads: list[FloatArray]) -> FloatArray:
    """``[2, n]``: the range of what one layer makes of values less what another makes of them."""
    constant = (one.bias - other.bias)[:, None]
    middle, radius = constant, room(1) * np.abs(constant)
    for a, b, h in zip(one.maps, other.maps, reads, strict=True):
        at, around = _moved_apart(a, b, h[:, :, None])
        middle = middle + at
        radius = radius + around + room(2) * np.abs(middle)
    off = (middle != 0) | (radius != 0)
    found: FloatArray = np.where(off, ends(middle, radius), 0.0)[:, :, 0]
    return found


def _moved_apart(a: LinearMap, b: LinearMap, h: FloatArray) -> tuple[FloatArray, FloatArray]:
    r"""Middle and radius of what two maps make of values ``[2, n, 1]``, one less the other.

    Of products, :math:`A_1 A_2 - B_1 B_2 = A_1 (A_2 - B_2) + (A_1 - B_1) B_2`.
    """
    middle, radius = middle_radius(h)
    at = around = np.zeros((a.shape[0], 1))
    ours, theirs = list(a.chain()), list(b.chain())
    if [m.shape for m in ours] != [m.shape for m in theirs]:
        (at, around), (less, about) = (moved(m, m.absolute(), middle, radius) for m in (a, b))
        return at - less, around + about + room(1) * (np.abs(at) + np.abs(less))
    for place in reversed(range(len(ours))):
        apart = _apart(ours[place], theirs[place])
        size = apart.absolute()
        if size.apply(np.ones((apart.shape[1], 1))).any():
            off, wide = moved(apart, size, middle, radius)
            wide = wide + room(2) * size.apply(
                np.abs(middle) + radius
            )  # entries of the difference are rounded
            for outer in reversed(ours[:place]):
                off, wide = moved(outer, outer.absolute(), off, wide)
            at, around = at + off, around + wide + room(1) * (np.abs(at) + np.abs(off))
        middle, radius = moved(theirs[place], theirs[place].absolute(), middle, radius)
    return at, around


def _apart(a: LinearMap, b: LinearMap) -> LinearMap:
    """The difference of two maps, none of them a product, every entry rounded once."""
    if isinstance(a, Transposed) and isinstance(b, Transposed):
        return Transposed(_apart(a.of, b.of))
    n = a.shape[0]
    minus = compose(Diagonal(np.full(n, -1.0)), b)
    assert minus is not None, "a negative identity is not the identity"
    return summed(a, minus, n)

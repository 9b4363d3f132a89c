r"""Upper bounds of a Lipschitz constant by splitting units: the steepest part of a domain first.

A part of the domain is given by the pieces that units may be on. Over it interval Jacobians bound the
greatest norm; the part with the largest bound is split at the unit that matters most to it. Where all units
are on one piece the bound is the norm of one Jacobian, and a point inside, if there is one, attains it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush

import numpy as np

from polytope.bounds.interval_jacobian import Combinations, Ends, jacobian_ends
from polytope.bounds.intervals import middle_radius
from polytope.bounds.linear_bounds import linear_bounds_within
from polytope.errors import SolverError
from polytope.exact.cells import ExactCells
from polytope.exact.interior import interior_point
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Layer, Network
from polytope.ir.activations import PatternArray, PiecewiseLinear, SlopeRanges
from polytope.ir.maps import FloatArray
from polytope.measures.norm_product import LARGEST_SPECTRAL
from polytope.measures.operator_norm import upper_norms

NARROW = 2.0**-30  # relative differences of the ends that are as good as none

Part = tuple[float, int, PatternArray, PatternArray, int, int]
"""The negative bound, a number that is different for all, first and last pieces ``int8[units]``, the unit to
split and its last piece below the split; -1 where every unit is on one piece."""


@dataclass(eq=False)
class SteepestParts:
    """The search.

    Arguments:
        network: of units with breakpoints of their own.
        domain: bounded, with interior.
        norms: p and q.
        bound: an upper bound of the norm of an interval Jacobian ``[2, out, d]``.
        upper: what is known from above.
        attained: told a point inside of a region, returns the norm there, rounded down, or 0.

    Attributes:
        lower: what is attained.
        splits: parts split so far.
    """

    network: Network
    domain: Polyhedron
    bound: Callable[[FloatArray], float]
    upper: float
    attained: Callable[[FloatArray], float]
    lower: float = 0.0
    splits: int = 0
    parts: list[Part] = field(default_factory=list)
    closed: float = 0.0  # the largest bound of parts without a point that is known to be inside

    def __post_init__(self) -> None:
        self._cells = ExactCells(self.network, self.domain.rows, self.domain.b)
        self._made = 0

    def begin(self, first: PatternArray, last: PatternArray) -> None:
        """Begin with all of the domain, where units are known to be on some pieces."""
        self._add(self.upper, first, last)

    @property
    def least_upper(self) -> float:
        """No Jacobian of the domain has a larger norm."""
        open_parts = -self.parts[0][0] if self.parts else 0.0
        return min(self.upper, max(open_parts, self.closed, self.lower))

    def step(self) -> bool:
        """Split the part of the largest bound; whether one was left that may be steeper than is known."""
        if not self.parts or -self.parts[0][0] <= self.lower * (1 + NARROW):
            return False
        bound, _, first, last, unit, piece = self.parts[0]
        if unit < 0:
            self._settle(-bound, first)
        else:
            below, above = last.copy(), first.copy()
            below[unit], above[unit] = piece, piece + 1
            self._add(-bound, first, below)
            self._add(-bound, above, last)
            self.splits += 1
        heappop(self.parts)  # its parts are no steeper and came later; where a look ended them, it stays
        return True

    def _add(self, most: float, first: PatternArray, last: PatternArray) -> None:
        """A part, unless it holds no point or nothing steeper than what is known."""
        z = linear_bounds_within(self.network, self.domain.bounds, self._within(first, last))
        if z is None:
            return
        first, last = first.copy(), last.copy()
        ranges: list[SlopeRanges | None] = []
        for _, layer, span, ends in self._layers(z):
            phi = layer.phi
            assert isinstance(phi, PiecewiseLinear), "units with breakpoints of their own"
            reached = (phi.pattern(end[:, None])[:, 0] for end in ends)
            first[span] = np.maximum(first[span], next(reached))
            last[span] = np.maximum(np.minimum(last[span], next(reached)), first[span])
            ranges.append(phi.slopes_between(first[span], last[span]))
        each = iter(ranges)
        slopes = tuple(next(each) if layer.activation else None for layer in self.network.layers)
        seen = _Seen(slopes)
        bound = min(most, self.bound(jacobian_ends(self.network, seen)))
        if not bound <= self.lower:
            unit, piece = self._choice(first, last, z, seen)
            self._made += 1
            heappush(self.parts, (-bound, self._made, first, last, unit, piece))

    def _layers(self, z: list[FloatArray]) -> list[tuple[int, Layer, slice, FloatArray]]:
        """The layers with activations by number, where their units are in a pattern, and their ends."""
        offsets = self.network.unit_offsets
        return [
            (k + 1, layer, slice(offsets[k], offsets[k + 1]), z[k])
            for k, layer in enumerate(self.network.layers)
            if layer.activation is not None
        ]

    def _within(self, first: PatternArray, last: PatternArray) -> list[FloatArray | None]:
        """The ends of pieces, for every layer ``[2, n]``."""
        offsets, out = self.network.unit_offsets, list[FloatArray | None]()
        for k, layer in enumerate(self.network.layers):
            if layer.activation is None:
                out.append(None)
                continue
            phi, span = layer.phi, slice(offsets[k], offsets[k + 1])
            assert isinstance(phi, PiecewiseLinear), "units with breakpoints of their own"
            edge = np.full((len(phi.breakpoints), 1), np.inf)
            ends = np.concatenate([-edge, phi.breakpoints, edge], axis=1)
            ends = np.broadcast_to(ends, (layer.width, ends.shape[1]))
            units = np.arange(layer.width)
            top = ends.shape[1] - 1
            out.append(np.stack([ends[units, first[span]], ends[units, np.minimum(last[span] + 1, top)]]))
        return out

    def _choice(
        self, first: PatternArray, last: PatternArray, z: list[FloatArray], seen: _Seen
    ) -> tuple[int, int]:
        """Of units on several pieces the one that may change the Jacobian most, and a piece in its middle."""
        best, unit, piece = -1.0, -1, -1
        for number, layer, span, (low, high) in self._layers(z):
            several = first[span] < last[span]
            if not several.any():
                continue
            slopes = seen.ranges[number - 1]
            assert slopes is not None, "a layer with an activation has slopes"
            with np.errstate(all="ignore"):
                reach = seen.weights.get(number, 0.0) * (slopes.greatest[0] - slopes.least[0]) * (high - low)
            score = np.where(several, np.nan_to_num(reach, nan=0.0), -1.0)
            k = int(score.argmax())
            if score[k] > best:
                best, unit = float(score[k]), span.start + k
                inner = int(layer.phi.pattern(((low + high) / 2)[:, None])[k, 0])
                piece = min(max(inner, int(first[unit])), int(last[unit]) - 1)
        return unit, piece

    def _settle(self, bound: float, pattern: PatternArray) -> None:
        """A part whose units are all on one piece: a point inside attains its bound, or there is none."""
        rows = [row.row for row in self._cells.rows(pattern)]
        try:  # a unit that is at a breakpoint all over the part bounds nothing: its row is zero
            point = interior_point([row for row in rows if any(row)])
        except SolverError:
            point = ()
        if point is None:
            return
        at = self.attained(np.array([float(v) for v in point])) if point else 0.0
        self.lower = max(self.lower, at)
        self.closed = max(self.closed, bound)


@dataclass(frozen=True, eq=False)
class _Seen(Combinations):
    """What combinations of outputs read of units is noted, ``[units]`` by the number of the layer."""

    weights: dict[int, FloatArray] = field(default_factory=dict)

    def activate(self, number: int, layer: Layer, weights: Ends) -> Ends:
        """Through an activation, by the slopes that its units can have."""
        sizes = np.maximum(np.abs(weights[0]), np.abs(weights[1]))
        self.weights[number] = np.linalg.norm(sizes, axis=1)
        return super().activate(number, layer, weights)


def bound_of_ends(ends: FloatArray, p: float, q: float, by_size: Callable[[FloatArray], float]) -> float:
    """An upper bound of the norms of all matrices between ends ``[2, out, d]``.

    Arguments:
        by_size: a bound for matrices whose entries are at most so large, ``[out, d]``.
    """
    middle, radius = middle_radius(ends)
    size = by_size(np.abs(ends).max(axis=0))
    if not np.isfinite(radius).all() or (p == q == 2 and min(middle.shape) > LARGEST_SPECTRAL):
        return size
    with np.errstate(all="ignore"):
        near = float(upper_norms(middle[None], radius[None], p, q)[0])
    return min(size, near) if near >= 0 else size

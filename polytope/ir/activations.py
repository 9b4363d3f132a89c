r"""Activations as data: each says its pieces, the cell of a piece, and the affine map on it.

A layer's *units* are the outputs of its activation. A unit is on exactly one of finitely many
*pieces*; the pieces are numbered from 0, and the number is the unit's entry in a pattern. On a piece
the unit is an affine function of **one** pre-activation, :math:`h = s z_{q} + t`, and the piece's cell
is described by rows :math:`u\, z_{q} + v\, z_{q'} \le g`. Engines ask nothing else, so a new kind of
activation needs no change in any engine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polytope.ir.maps import FloatArray, IntArray

PatternArray = NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class PieceCell:
    """The rows ``coefficients[r, 0] * z[index[r, 0]] + coefficients[r, 1] * z[index[r, 1]] <= offset[r]``.

    Where a row's left side equals its right side on a whole cell of the input space, the unit is on
    this piece only if ``strict[r]`` is false: so ties have one owner, and a unit that is identically
    zero counts as off.
    """

    index: IntArray
    coefficients: FloatArray
    offset: FloatArray
    strict: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class PieceMaps:
    """Affine functions of units, ``h[u] = slope[u] * z[source[u]] + intercept[u]``; also ``[units, B]``.

    ``own`` says that every unit reads its own pre-activation.
    """

    source: IntArray
    slope: FloatArray
    intercept: FloatArray
    own: bool = False


@dataclass(frozen=True, eq=False)
class SlopeRanges:
    """Between which slopes each unit may read each pre-activation; it reads no other.

    Arguments:
        source: ``int[k, units]``, pre-activations; entries with the slopes 0 to 0 stand for none.
        least, greatest: ``[k, units]``.
        own: whether k = 1 and every unit reads its own pre-activation.
    """

    source: IntArray
    least: FloatArray
    greatest: FloatArray
    own: bool = False


@dataclass(frozen=True, eq=False)
class Enclosure:
    """Units between two parallel functions: ``slope * z[source] + below <= h <= slope * z[source] + above``.

    All are arrays ``[units]``.
    """

    source: IntArray
    slope: FloatArray
    below: FloatArray
    above: FloatArray


class Activation(ABC):
    """What a layer does with its pre-activations ``z``, an array ``[n, B]`` of B columns."""

    @abstractmethod
    def n_units(self, n: int) -> int:
        """Number of outputs for n pre-activations."""

    @abstractmethod
    def n_bends(self, n: int) -> int:
        """Number of hyperplanes, in the space of n pre-activations, that the units bend on at most."""

    @abstractmethod
    def n_pieces(self, unit: int) -> int:
        """Number of pieces of one unit."""

    @abstractmethod
    def pattern(self, z: FloatArray) -> PatternArray:
        """The piece each unit is on, ``int8[units, B]``."""

    @abstractmethod
    def values(self, z: FloatArray) -> FloatArray:
        """The outputs ``h``, ``[units, B]``."""

    @abstractmethod
    def affine(self, pattern: PatternArray) -> PieceMaps:
        """The affine functions of the pieces that ``pattern``, ``int8[units]`` or ``[units, B]``, names."""

    @abstractmethod
    def slope_ranges(self, low: FloatArray, high: FloatArray) -> SlopeRanges:
        """The slopes of the units while pre-activations stay between ``low [n]`` and ``high [n]``."""

    @abstractmethod
    def enclosure(self, low: FloatArray, high: FloatArray) -> Enclosure:
        """Parallel bounds while pre-activations stay between finite ``low [n]`` and ``high [n]``."""

    @abstractmethod
    def cell(self, unit: int, piece: int) -> PieceCell:
        """The inequalities on ``z`` that describe one piece of one unit."""

    @abstractmethod
    def beyond(self, unit: int, piece: int, level: NDArray[Any], rise: NDArray[Any], scale: int) -> int:
        """The piece behind a hyperplane on which a row of the unit's piece vanishes.

        Arguments:
            unit, piece: the unit and its piece on the near side.
            level: ``[n, d + 1]`` integers, ``scale`` times z as affine functions on the hyperplane.
            rise: ``[n]`` integers, slopes of z across it on the far side, times any positive number.
        """

    @abstractmethod
    def restricted(self, units: IntArray) -> tuple[Activation, IntArray]:
        """The activation of some units alone, and which pre-activations these read, in their new order."""

    @abstractmethod
    def is_continuous(self) -> bool:
        """Whether pieces agree exactly where they meet, in rational arithmetic."""

    @abstractmethod
    def is_convex(self) -> bool:
        """Whether every unit is the maximum of its pieces."""

    @abstractmethod
    def is_uniform(self) -> bool:
        """Whether all units bend at the same values, each of its own pre-activation alone."""


@dataclass(frozen=True, eq=False)
class PiecewiseLinear(Activation):
    r"""Each unit a continuous piecewise-linear function of its own pre-activation.

    Piece p of unit j is :math:`t_{j,p-1} < z_j \le t_{j,p}`, with slope and intercept of its own.

    Arguments:
        breakpoints: ``[n or 1, k]``, ascending in each row; ``+inf`` fills rows with fewer.
        slopes, intercepts: ``[n or 1, k + 1]``. One row stands for all units.
    """

    breakpoints: FloatArray
    slopes: FloatArray
    intercepts: FloatArray

    def __post_init__(self) -> None:
        b, s, t = self.breakpoints, self.slopes, self.intercepts
        if b.ndim != 2 or s.shape[1:] != (b.shape[1] + 1,) or t.shape[1:] != s.shape[1:]:
            raise ValueError("PiecewiseLinear: k breakpoints need k + 1 slopes and intercepts.")
        if np.isnan(b).any() or not (np.isfinite(s).all() and np.isfinite(t).all()):
            raise ValueError("PiecewiseLinear: slopes and intercepts must be finite numbers.")
        if b.size and ((b == -np.inf).any() or (b[:, 1:] < b[:, :-1]).any()):
            raise ValueError("PiecewiseLinear: breakpoints must ascend from a finite first one.")

    def n_units(self, n: int) -> int:
        """As many as pre-activations."""
        return n

    def n_bends(self, n: int) -> int:
        """One for each finite breakpoint of each unit."""
        bends = np.isfinite(self.breakpoints).sum(axis=1)
        return int(bends.sum()) * (n if len(bends) == 1 else 1)

    def n_pieces(self, unit: int) -> int:
        """One more than the unit's finite breakpoints."""
        return 1 + int(np.isfinite(_row(self.breakpoints, unit)).sum())

    def pattern(self, z: FloatArray) -> PatternArray:
        """The number of breakpoints below z."""
        out = np.zeros(z.shape, dtype=np.int8)
        for k in range(self.breakpoints.shape[1]):
            out += z > self.breakpoints[:, k, None]
        return out

    def values(self, z: FloatArray) -> FloatArray:
        """Slope times z plus intercept, on the piece that z is on."""
        pieces = self.pattern(z)
        h = np.zeros_like(z)
        for p in range(self.slopes.shape[1]):
            on = pieces == p
            h += np.where(on, self.slopes[:, p, None] * z + self.intercepts[:, p, None], 0.0)
        return h

    def affine(self, pattern: PatternArray) -> PieceMaps:
        """Each unit reads its own pre-activation."""
        unit = _unit_index(pattern)
        row = unit if len(self.slopes) > 1 else np.zeros_like(unit)
        constant = unit if len(self.intercepts) > 1 else np.zeros_like(unit)
        return PieceMaps(unit, self.slopes[row, pattern], self.intercepts[constant, pattern], own=True)

    def slope_ranges(self, low: FloatArray, high: FloatArray) -> SlopeRanges:
        """The slopes of the pieces from that of the lower end to that of the upper one."""
        first, last = (self.pattern(end[:, None])[:, 0] for end in (low, high))
        least, greatest = np.full(len(low), np.inf), np.full(len(low), -np.inf)
        for p in range(self.slopes.shape[1]):
            met = (first <= p) & (p <= last)
            least = np.where(met, np.minimum(least, self.slopes[:, p]), least)
            greatest = np.where(met, np.maximum(greatest, self.slopes[:, p]), greatest)
        return SlopeRanges(np.arange(len(low))[None], least[None], greatest[None], own=True)

    def enclosure(self, low: FloatArray, high: FloatArray) -> Enclosure:
        """The slope of the chord between the ends, shifted to the lowest and the highest bend."""
        ends = np.stack([low, high], axis=1)
        inner = np.broadcast_to(self.breakpoints, (len(low), self.breakpoints.shape[1]))
        points = np.concatenate([ends, np.clip(inner, low[:, None], high[:, None])], axis=1)
        h = self.values(points)
        wide = high > low
        slope = np.where(wide, h[:, 1] - h[:, 0], 0.0) / np.where(wide, high - low, 1.0)
        line = slope[:, None] * points
        room = 2.0**-50 * (np.abs(h) + np.abs(line)).max(axis=1)
        apart = h - line
        return Enclosure(np.arange(len(low)), slope, apart.min(axis=1) - room, apart.max(axis=1) + room)

    def cell(self, unit: int, piece: int) -> PieceCell:
        """Above the breakpoint below (strictly), not above the breakpoint above."""
        t = _row(self.breakpoints, unit)
        rows = []
        if piece > 0:
            rows.append((-1.0, -t[piece - 1], True))
        if piece < len(t) and np.isfinite(t[piece]):
            rows.append((1.0, t[piece], False))
        return PieceCell(
            index=np.full((len(rows), 2), unit, dtype=np.int64),
            coefficients=np.array([[r[0], 0.0] for r in rows]).reshape(-1, 2),
            offset=np.array([r[1] for r in rows], dtype=float),
            strict=np.array([r[2] for r in rows], dtype=bool),
        )

    def beyond(self, unit: int, piece: int, level: NDArray[Any], rise: NDArray[Any], scale: int) -> int:
        """The number of breakpoints below z, where z is constant on the hyperplane."""
        if level[unit, :-1].any():
            return piece
        above = int(rise[unit] > 0)
        finite = [Fraction(t) * scale for t in _row(self.breakpoints, unit).tolist() if np.isfinite(t)]
        return sum(t < level[unit, -1] or (above and t == level[unit, -1]) for t in finite)

    def restricted(self, units: IntArray) -> tuple[PiecewiseLinear, IntArray]:
        """Rows of the tables; each unit reads its own pre-activation."""
        tables = (self.breakpoints, self.slopes, self.intercepts)
        return PiecewiseLinear(*(table[units] if len(table) > 1 else table for table in tables)), units

    def is_continuous(self) -> bool:
        """Whether neighbouring pieces have one value at their breakpoint."""
        for unit in range(max(len(table) for table in (self.breakpoints, self.slopes, self.intercepts))):
            s, t = (
                [Fraction(x) for x in _row(table, unit).tolist()] for table in (self.slopes, self.intercepts)
            )
            for p, at in enumerate(_row(self.breakpoints, unit).tolist()):
                if np.isfinite(at) and (s[p + 1] - s[p]) * Fraction(at) + t[p + 1] - t[p]:
                    return False
        return True

    def is_convex(self) -> bool:
        """Whether slopes ascend at every finite breakpoint."""
        bends = np.isfinite(self.breakpoints)
        return bool((~bends | (np.diff(self.slopes, axis=1) >= 0)).all())

    def is_uniform(self) -> bool:
        """Whether one row of breakpoints stands for all units."""
        return len(self.breakpoints) == 1


@dataclass(frozen=True, eq=False)
class MaxGroups(Activation):
    """Each unit the largest of a group of pre-activations; the piece is the winner's place in the group.

    Arguments:
        members: ``int[groups, size]``, indices of pre-activations; -1 fills shorter groups at the end.
    """

    members: IntArray

    def __post_init__(self) -> None:
        m = self.members
        if m.ndim != 2 or not m.size or (m[:, 0] < 0).any():
            raise ValueError("MaxGroups: every group needs a member, in the first place of its row.")
        if m.shape[1] > 127:
            raise ValueError(f"MaxGroups: groups of {m.shape[1]} are larger than the limit of 127.")
        if ((m[:, 1:] >= 0) & (m[:, :-1] < 0)).any():
            raise ValueError("MaxGroups: -1 may only fill the end of a row.")

    def n_units(self, n: int) -> int:
        """One for each group."""
        return len(self.members)

    def n_bends(self, n: int) -> int:
        """One for each pair of members of each group."""
        size = (self.members >= 0).sum(axis=1)
        return int((size * (size - 1) // 2).sum())

    def n_pieces(self, unit: int) -> int:
        """The size of the group."""
        return int((self.members[unit] >= 0).sum())

    def _gathered(self, z: FloatArray, place: int) -> FloatArray:
        member = self.members[:, place]
        return np.where((member >= 0)[:, None], z[member], -np.inf)

    def pattern(self, z: FloatArray) -> PatternArray:
        """The first place where the largest value stands."""
        best = self._gathered(z, 0)
        winner = np.zeros(best.shape, dtype=np.int8)
        for place in range(1, self.members.shape[1]):
            other = self._gathered(z, place)
            winner[other > best] = place
            best = np.maximum(best, other)
        return winner

    def values(self, z: FloatArray) -> FloatArray:
        """The largest value of each group."""
        best = self._gathered(z, 0)
        for place in range(1, self.members.shape[1]):
            best = np.maximum(best, self._gathered(z, place))
        return best

    def affine(self, pattern: PatternArray) -> PieceMaps:
        """Each unit copies its winner."""
        source = self.members[_unit_index(pattern), pattern]
        return PieceMaps(source, np.ones(pattern.shape), np.zeros(pattern.shape))

    def slope_ranges(self, low: FloatArray, high: FloatArray) -> SlopeRanges:
        """0 to 1 for members that may win, 1 for one that always does."""
        there = self.members.T >= 0
        ends = np.where(there, np.stack([low[self.members.T], high[self.members.T]]), -np.inf)
        may_win = there & (ends[1] >= ends[0].max(axis=0))
        alone = may_win & (may_win.sum(axis=0) == 1)
        return SlopeRanges(np.maximum(self.members.T, 0), alone.astype(float), may_win.astype(float))

    def enclosure(self, low: FloatArray, high: FloatArray) -> Enclosure:
        """At least the member that is surely large, and above it by no more than others can be."""
        ends = np.where(self.members >= 0, np.stack([low[self.members], high[self.members]]), -np.inf)
        place = ends[0].argmax(axis=1)
        source = np.take_along_axis(self.members, place[:, None], axis=1)[:, 0]
        others = ends[1].copy()
        np.put_along_axis(others, place[:, None], -np.inf, axis=1)
        lead = np.maximum(others.max(axis=1) - low[source], 0.0)
        above = np.where(lead > 0, lead + 2.0**-50 * (lead + np.abs(low[source])), 0.0)
        return Enclosure(source, np.ones(len(source)), np.zeros(len(source)), above)

    def cell(self, unit: int, piece: int) -> PieceCell:
        """No other member is larger; members in front are smaller."""
        group = self.members[unit]
        group = group[group >= 0]
        others = np.delete(np.arange(len(group)), piece)
        index = np.stack([group[others], np.full(len(others), group[piece])], axis=1)
        return PieceCell(
            index=index.astype(np.int64),
            coefficients=np.tile([1.0, -1.0], (len(others), 1)),
            offset=np.zeros(len(others)),
            strict=others < piece,
        )

    def beyond(self, unit: int, piece: int, level: NDArray[Any], rise: NDArray[Any], scale: int) -> int:
        """The first of those that rise most among the members equal to the winner on the hyperplane."""
        group = self.members[unit].tolist()
        tied = [p for p, m in enumerate(group) if m >= 0 and (level[m] == level[group[piece]]).all()]
        return max(tied, key=lambda p: rise[group[p]])

    def restricted(self, units: IntArray) -> tuple[MaxGroups, IntArray]:
        """Some groups, of the pre-activations that they hold."""
        groups = self.members[units]
        held = np.unique(groups[groups >= 0])
        return MaxGroups(np.where(groups >= 0, np.searchsorted(held, groups), -1)), held

    def is_continuous(self) -> bool:
        """A maximum is."""
        return True

    def is_convex(self) -> bool:
        """A maximum is."""
        return True

    def is_uniform(self) -> bool:
        """Never: groups read different pre-activations."""
        return False


def _unit_index(pattern: PatternArray) -> IntArray:
    """The unit that each entry of a pattern belongs to, in the pattern's shape."""
    units = np.arange(len(pattern)).reshape(-1, *[1] * (pattern.ndim - 1))
    return np.broadcast_to(units, pattern.shape)


def _row(table: FloatArray, unit: int) -> FloatArray:
    """The row of a unit in a table that may hold one row for all."""
    row: FloatArray = table[unit if len(table) > 1 else 0]
    return row


def relu() -> PiecewiseLinear:
    """``max(z, 0)``: pieces off (0) and on (1)."""
    return leaky_relu(0.0)


def leaky_relu(slope: float) -> PiecewiseLinear:
    """``z`` where positive, ``slope * z`` elsewhere."""
    return prelu([slope])


def absolute() -> PiecewiseLinear:
    """``|z|``: pieces negative (0) and positive (1)."""
    return leaky_relu(-1.0)


def prelu(slopes: ArrayLike) -> PiecewiseLinear:
    """``z`` where positive, ``slopes[j] * z`` elsewhere; a unit of slope 1 does not bend."""
    below = np.atleast_1d(np.asarray(slopes, dtype=float)).ravel()
    no_bend = np.where(below == 1.0, np.inf, 0.0)
    pieces = np.stack([below, np.ones_like(below)], axis=1)
    return PiecewiseLinear(no_bend[:, None], pieces, np.zeros((1, 2)).repeat(len(below), axis=0))


def hard_tanh(low: float = -1.0, high: float = 1.0) -> PiecewiseLinear:
    """``min(max(z, low), high)`` with finite bounds: pieces low (0), linear (1), high (2)."""
    return clip(low, high)


def clip(low: float, high: float) -> PiecewiseLinear:
    """``min(max(z, low), high)``; an infinite bound bends nothing and has no piece."""
    if not low < high:
        raise ValueError(f"clip: the lower bound {low} must be below the upper bound {high}.")
    below = [low] if np.isfinite(low) else []
    above = [high] if np.isfinite(high) else []
    slopes = [0.0] * len(below) + [1.0] + [0.0] * len(above)
    return piecewise_linear(below + above, slopes, [*below, 0.0, *above])


def hard_sigmoid(alpha: float = 0.2, beta: float = 0.5) -> PiecewiseLinear:
    """``min(max(alpha * z + beta, 0), 1)`` for positive alpha."""
    if not (alpha > 0 and np.isfinite([alpha, beta]).all()):
        raise ValueError(f"hard_sigmoid: alpha must be positive and finite, not {alpha}.")
    return piecewise_linear([-beta / alpha, (1 - beta) / alpha], [0.0, alpha, 0.0], [0.0, beta, 1.0])


def piecewise_linear(breakpoints: ArrayLike, slopes: ArrayLike, intercepts: ArrayLike) -> PiecewiseLinear:
    """One function for all units, from k breakpoints and k + 1 slopes and intercepts."""
    table = [np.asarray(a, dtype=float).reshape(1, -1) for a in (breakpoints, slopes, intercepts)]
    return PiecewiseLinear(*table)


def max_groups(members: ArrayLike) -> MaxGroups:
    """The largest of each group; ``members`` is ``int[groups, size]``, filled with -1."""
    return MaxGroups(np.asarray(members, dtype=np.int64))

"""Units with breakpoints of their own pre-activation: ReLU and its kin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polytope.ir.maps import FloatArray, IntArray, times_power
from polytope.ir.oneline import one_line
from polytope.ir.pieces import (
    Activation,
    Enclosure,
    PatternArray,
    PieceCell,
    PieceMaps,
    SlopeRanges,
    unit_index,
)

_Corner = tuple[FloatArray, FloatArray, FloatArray, NDArray[np.bool_]]

LOST = 2.0**-1022  # more than what a product can lose by underflow
LARGEST = float(np.finfo(float).max)
MOST_PIECES = 127


@dataclass(frozen=True)
class Spline:
    r"""Of which smooth function a piecewise-linear activation is a spline, and how near it is proved to be.

    Arguments:
        name: the function, as PyTorch calls it.
        spacing: of the breakpoints where the function bends most.
        error: :math:`\sup |\phi - s|` is at most that.
        slope_error: :math:`\sup |\phi' - s'|` is at most that.
        steepest: a bound of :math:`\sup |\phi'|`.
    """

    name: str
    spacing: float
    error: float
    slope_error: float
    steepest: float


@dataclass(frozen=True, eq=False)
class PiecewiseLinear(Activation):
    r"""Each unit a continuous piecewise-linear function of its own pre-activation.

    Piece p of unit j is :math:`t_{j,p-1} < z_j \le t_{j,p}`, with slope and intercept of its own.

    Arguments:
        breakpoints: ``[n or 1, k]``, ascending in each row; ``+inf`` fills rows with fewer.
        slopes, intercepts: ``[n or 1, k + 1]``. One row stands for all units.
        spline: what it stands for, if it stands for a smooth function.
    """

    breakpoints: FloatArray
    slopes: FloatArray
    intercepts: FloatArray
    spline: Spline | None = None

    __repr__ = one_line

    def __post_init__(self) -> None:
        b, s, t = self.breakpoints, self.slopes, self.intercepts
        if b.ndim != 2 or s.shape[1:] != (b.shape[1] + 1,) or t.shape[1:] != s.shape[1:]:
            raise ValueError("PiecewiseLinear: k breakpoints need k + 1 slopes and intercepts.")
        if np.isnan(b).any() or not (np.isfinite(s).all() and np.isfinite(t).all()):
            raise ValueError("PiecewiseLinear: slopes and intercepts must be finite numbers.")
        if b.size and ((b == -np.inf).any() or (b[:, 1:] < b[:, :-1]).any()):
            raise ValueError("PiecewiseLinear: breakpoints must ascend from a finite first one.")
        if s.shape[1] > MOST_PIECES:
            raise ValueError(
                f"PiecewiseLinear: {s.shape[1]} pieces are more than the limit of {MOST_PIECES}: "
                "patterns number them in int8."
            )

    def n_units(self, n: int) -> int:
        """As many as pre-activations."""
        return n

    def n_hyperplanes(self, n: int) -> int:
        """One for each finite breakpoint of each unit."""
        finite = np.isfinite(self.breakpoints).sum(axis=1)
        return int(finite.sum()) * (n if len(finite) == 1 else 1)

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
        unit = unit_index(pattern)
        slope, intercept = (
            table[unit, pattern] if len(table) > 1 else table[0].take(pattern)
            for table in (self.slopes, self.intercepts)
        )
        return PieceMaps(unit, slope, intercept, own=True)

    def slope_ranges(self, low: FloatArray, high: FloatArray) -> SlopeRanges:
        """The slopes of the pieces from that of the lower end to that of the upper one."""
        first, last = (self.pattern(end[:, None])[:, 0] for end in (low, high))
        return self.slopes_between(first, last)

    def slopes_between(self, first: PatternArray, last: PatternArray) -> SlopeRanges:
        """The slopes of the pieces from some to others, ``int8[n]``."""
        least, greatest = np.full(len(first), np.inf), np.full(len(first), -np.inf)
        for p in range(self.slopes.shape[1]):
            met = (first <= p) & (p <= last)
            least = np.where(met, np.minimum(least, self.slopes[:, p]), least)
            greatest = np.where(met, np.maximum(greatest, self.slopes[:, p]), greatest)
        return SlopeRanges(np.arange(len(first))[None], least[None], greatest[None], own=True)

    def value_ranges(self, low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The least and the greatest value at both ends of every piece that is met."""
        least, greatest = np.full(len(low), np.inf), np.full(len(low), -np.inf)
        with np.errstate(all="ignore"):
            for z, h, off, met in self._corners(low, high):
                below, above = _around(z, h, off)
                least = np.where(met, np.minimum(least, below), least)
                greatest = np.where(met, np.maximum(greatest, above), greatest)
        return least, greatest

    def _corners(self, low: FloatArray, high: FloatArray) -> Iterator[_Corner]:
        """For both ends of every piece: where, the value there, how far it may be off, whether it is met."""
        for p in range(self.slopes.shape[1]):
            begin = low if p == 0 else np.maximum(low, self.breakpoints[:, p - 1])
            end = high if p == self.breakpoints.shape[1] else np.minimum(high, self.breakpoints[:, p])
            slope, constant = self.slopes[:, p], self.intercepts[:, p]
            exact = (slope == 0) | ((np.abs(slope) == 1) & (constant == 0))
            for z in (begin, end):
                product = slope * np.where(slope == 0, 0.0, z)
                off = np.where(exact, 0.0, 2.0**-51 * (np.abs(product) + np.abs(constant)) + LOST)
                yield z, product + constant, off, begin <= end

    def enclosure(self, low: FloatArray, high: FloatArray) -> Enclosure:
        """The slope of the chord between the ends, shifted to the lowest and the highest breakpoint."""
        with np.errstate(all="ignore"):
            first, last = self.values(np.stack([low, high], axis=1)).T
            slope = np.where(high > low, last - first, 0.0) / np.where(high > low, high - low, 1.0)
            slope = np.where(np.isfinite(slope) & np.isfinite(low) & np.isfinite(high), slope, 0.0)
            below, above = np.full(len(low), np.inf), np.full(len(low), -np.inf)
            for z, h, off, met in self._corners(low, high):
                line = slope * np.where(slope == 0, 0.0, z)
                more = np.where(slope == 0, off, off + 2.0**-50 * (np.abs(h) + np.abs(line)) + LOST)
                least, most = _around(z, h - line, more)
                below = np.where(met, np.minimum(below, least), below)
                above = np.where(met, np.maximum(above, most), above)
        return Enclosure(np.arange(len(low)), slope, below, above)

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
        b, s, t = (table[units] if len(table) > 1 else table for table in tables)
        return PiecewiseLinear(b, s, t, self.spline), units

    def scale_classes(self, n: int) -> IntArray:
        """Each for itself."""
        return np.arange(n)

    def scaled(self, power: IntArray) -> PiecewiseLinear:
        """Breakpoints and intercepts times the factors; slopes stay."""
        if not (
            power.any() and (self.breakpoints[np.isfinite(self.breakpoints)].any() or self.intercepts.any())
        ):
            return self
        column = power[:, None]
        breakpoints = np.where(self.breakpoints == np.inf, 0.0, self.breakpoints)
        breakpoints = np.where(self.breakpoints == np.inf, np.inf, times_power(breakpoints, column))
        return PiecewiseLinear(breakpoints, self.slopes, times_power(self.intercepts, column))

    def jump(self) -> tuple[int, int] | None:
        """Where two neighbouring pieces differ at their breakpoint, in rational arithmetic."""
        s, t = self.slopes, self.intercepts
        at = np.where(np.isfinite(self.breakpoints), self.breakpoints, 0.0)
        steps, lifts = np.diff(s, axis=1), np.diff(t, axis=1)
        easy = np.isin(s, (-1, 0, 1)).all(axis=1, keepdims=True) & ((t[:, 1:] == 0) | (t[:, :-1] == 0))
        meet = ((lifts == 0) & ((steps == 0) | (at == 0))) | (easy & (steps * at == -lifts))
        for unit, p in np.argwhere(np.isfinite(self.breakpoints) & ~meet).tolist():
            here = _row(self.breakpoints, unit)
            first, last = (int(np.searchsorted(here, here[p], side)) for side in ("left", "right"))
            (s0, s1), (t0, t1) = (
                [Fraction(x) for x in _row(table, unit)[[first, last]].tolist()]
                for table in (self.slopes, self.intercepts)
            )
            if (s1 - s0) * Fraction(float(here[p])) + t1 - t0:
                return unit, p
        return None

    def is_convex(self) -> bool:
        """Whether slopes ascend at every finite breakpoint."""
        finite = np.isfinite(self.breakpoints)
        return bool((~finite | (np.diff(self.slopes, axis=1) >= 0)).all())

    def is_uniform(self) -> bool:
        """Whether one row of breakpoints stands for all units."""
        return len(self.breakpoints) == 1


def _around(z: FloatArray, h: FloatArray, off: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Bounds of values at points, from computed ones; a value that overflows at a finite point may be any."""
    known, beyond = np.isfinite(h), np.isinf(z) & ~np.isnan(h)
    below = np.where(known, h - off, np.where(beyond & (h > 0), LARGEST, -np.inf))
    return below, np.where(known, h + off, np.where(beyond & (h < 0), -LARGEST, np.inf))


def _row(table: FloatArray, unit: int) -> FloatArray:
    """The row of a unit in a table that may hold one row for all."""
    row: FloatArray = table[unit if len(table) > 1 else 0]
    return row

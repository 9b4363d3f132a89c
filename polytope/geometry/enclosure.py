r"""A box around :math:`\{A x \le b\}` that is proved to hold it, and whether the polyhedron is bounded.

Multipliers :math:`y \ge 0` of a float program show :math:`\pm x_j \le y \cdot b + E \cdot x` with the rest
:math:`E = \pm e_j - y A`. Where every rest is shorter than one coordinate, the bounds prove each other: with
:math:`|x_k| \le \beta`, all coordinates are at most :math:`\max_j y_j \cdot b / (1 - \max_j |E_j|_1)`. What
that does not prove is left to rational arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from polytope.errors import EmptyDomainError, SolverError
from polytope.exact.program import Row, maximise
from polytope.geometry.inside import LEAST, ROUNDING, SLIGHTLY, integer_rows
from polytope.geometry.lp import WarmProgram
from polytope.geometry.scales import column_scales, unit_rows
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.matrix import Matrix, dense, single_entries

FAR = 1e7  # artificial bound of float programs, in units of the polyhedron's own size: no proof rests on it


def row_bounds(A: Matrix, b: FloatArray, *, outward: bool = True) -> FloatArray:
    """Low and high of coordinates by rows on one coordinate, ``[2, d]``; infinite without such rows.

    Arguments:
        outward: whether they are rounded so that they enclose; otherwise to the nearest.
    """
    d = A.shape[1]
    ends = np.stack([np.full(d, -np.inf), np.full(d, np.inf)])
    single, axis, slope = single_entries(A)
    with np.errstate(over="ignore", under="ignore"):
        limit = b[single] / slope
    exact = (np.abs(slope) == 1) | (not outward)
    np.minimum.at(ends[1], axis[slope > 0], np.where(exact, limit, np.nextafter(limit, np.inf))[slope > 0])
    np.maximum.at(ends[0], axis[slope < 0], np.where(exact, limit, np.nextafter(limit, -np.inf))[slope < 0])
    return ends


def has_two_sides(A: Matrix) -> bool:
    """Whether every coordinate is bounded from both sides by rows on it alone."""
    _, axis, slope = single_entries(A)
    sides = np.zeros((2, A.shape[1]), dtype=bool)
    sides[(slope > 0).astype(int), axis] = True
    return bool(sides.all())


def proved_box(A: Matrix, b: FloatArray) -> FloatArray | None:
    """Low and high ``[2, d]`` of a bounded polyhedron, proved in floats; ``None`` where floats cannot."""
    own = row_bounds(A, b)
    known = np.isfinite(own).all(axis=0)
    if known.all():
        return own
    A, places = dense(A), np.flatnonzero(~known)
    found = _multipliers(A, b, places)
    if found is None:
        return None
    y, sign = found  # first all lower sides, then all upper ones
    m = len(A)
    with np.errstate(over="ignore", invalid="ignore"):
        size = (m + 2) * ROUNDING * SLIGHTLY
        limit = y @ b + size * (y @ np.abs(b)) + LEAST
        rest = -(y @ A)
        rest[np.arange(len(y)), np.tile(places, 2)] += sign
        rest = SLIGHTLY * np.abs(rest) + size * (y @ np.abs(A)) + LEAST
        scale = column_scales(A, b)[places]
        short = (rest[:, places] * scale).sum(axis=1) / np.tile(scale, 2) * SLIGHTLY
        if not (short < 0.5).all():
            return None
        limit += rest[:, known] @ np.abs(own[:, known]).max(axis=0) * SLIGHTLY
        beta = max(float((limit / np.tile(scale, 2)).max()), 0.0) / (1 - short.max()) * SLIGHTLY
        limit += rest[:, places] @ scale * beta * SLIGHTLY
    if not np.isfinite(limit).all():
        return None
    box, ends = own.copy(), np.nextafter(limit + 2.0**-48 * np.abs(limit), np.inf).reshape(2, -1)
    box[0, places] = np.maximum(own[0, places], -ends[0])
    box[1, places] = np.minimum(own[1, places], ends[1])
    return box


def _multipliers(A: FloatArray, b: FloatArray, places: IntArray) -> tuple[FloatArray, FloatArray] | None:
    """Nonnegative ``[2 k, m]`` for the lower, then the upper sides of coordinates, and the sides' signs."""
    scale = column_scales(A, b)
    rows, lengths = unit_rows(A * scale, b)
    program = WarmProgram(A.shape[1], FAR)
    out, signs = [], np.repeat([-1.0, 1.0], len(places))
    for j, sign in zip(np.tile(places, 2).tolist(), signs.tolist(), strict=True):
        goal = np.zeros(A.shape[1] + 1)
        goal[j] = sign
        try:
            best = program.maximise(list(rows), goal)
        except SolverError:
            return None
        if not best.bounded:
            return None
        out.append(np.maximum(best.multipliers, 0.0) * scale[j] * lengths)
    return np.array(out), signs


def recedes(rows: Sequence[Row]) -> bool:
    """Whether there is a direction besides 0 along which no integer row grows: in rational arithmetic."""
    if not rows:
        return True
    d = len(rows[0]) - 1
    cone = [(*row[:-1], 0) for row in rows]
    for j in range(d):
        for sign in (1, -1):
            goal = [0] * (d + 1)
            goal[j] = sign
            best = maximise(cone, goal)
            assert best is not None, "0 is in the cone"
            if best.value is None:
                return True
    return False


def exact_box(A: FloatArray, b: FloatArray) -> FloatArray:
    """Low and high ``[2, d]`` in rational arithmetic, rounded outward; infinite where unbounded.

    Raises:
        EmptyDomainError: no point satisfies all rows.
    """
    rows, box = integer_rows(A, b), row_bounds(A, b)
    for side, sign in ((0, -1), (1, 1)):
        for j in np.flatnonzero(np.isinf(box[side])).tolist():
            goal = [0] * (A.shape[1] + 1)
            goal[j] = sign
            best = maximise(rows, goal)
            if best is None:
                raise EmptyDomainError("The domain is empty: no point satisfies all its rows.")
            if best.value is not None:
                box[side, j] = sign * _rounded_up(best.value)
    return box


def _rounded_up(value: Fraction) -> float:
    """The least float64 that is not smaller."""
    try:
        nearest = float(value)
    except OverflowError:
        return np.inf if value > 0 else -np.finfo(float).max
    return nearest if Fraction(nearest) >= value else float(np.nextafter(nearest, np.inf))

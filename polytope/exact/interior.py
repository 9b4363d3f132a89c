"""Points strictly inside polyhedra: as deep as can be in rationals, and in float64 where one fits."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import product

import numpy as np

from polytope.exact.dyadic import dyadic
from polytope.exact.program import Row, maximise
from polytope.ir.maps import FloatArray

MOST_ROUNDED = 6  # dimensions in which every way to round a point is tried


def interior_point(rows: Sequence[Row], largest: int = 1) -> tuple[Fraction, ...] | None:
    """A point strictly inside, as far from every row as possible; ``None`` if there is no interior.

    Depth is measured, for each row, in the max norm of its gradient: ``row . x + depth * |row| <= 0``.

    Arguments:
        rows: ``d + 1`` integers each, ``row[:d] . x + row[d] <= 0``; a row without coefficients must be
            negative.
        largest: a depth that is deep enough.
    """
    if not rows:
        raise ValueError("interior_point: without rows there is no telling in how many dimensions.")
    d = len(rows[0]) - 1
    sizes = [max(abs(v) for v in row[:-1]) for row in rows]
    if any(not size and row[-1] >= 0 for size, row in zip(sizes, rows, strict=True)):
        return None
    deep = [[*row[:-1], size, row[-1]] for size, row in zip(sizes, rows, strict=True) if size]
    best = maximise([*deep, [*[0] * d, 1, -largest]], [*[0] * d, 1, 0])
    if best is None or best.value is None or best.value <= 0:
        return None
    return best.point[:-1]


def is_inside(rows: Sequence[Row], point: FloatArray) -> bool:
    """Whether a float64 point, read as rationals, satisfies every row strictly."""
    x = dyadic(point)
    at = [*x.integers.tolist(), 1 << x.exponent]
    return all(sum(a * v for a, v in zip(row, at, strict=True)) < 0 for row in rows)


def rounded_inside(rows: Sequence[Row], point: Sequence[Fraction]) -> tuple[FloatArray, bool]:
    """A float64 point next to one that lies strictly inside, and whether it lies strictly inside too.

    Where rounding to the nearest leaves the polyhedron, the other ways to round are tried in few dimensions;
    a polyhedron thinner than float64 numbers are dense may hold none of them.
    """
    nearest = np.array([float(v) for v in point])
    if is_inside(rows, nearest):
        return nearest, True
    if len(nearest) <= MOST_ROUNDED:
        ends = [
            (v, float(np.nextafter(v, np.inf if x > v else -np.inf)))
            for v, x in zip(nearest, map(Fraction, point), strict=True)
        ]
        for corner in product(*ends):
            if is_inside(rows, np.array(corner)):
                return np.array(corner), True
    return nearest, False

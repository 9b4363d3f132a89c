"""Points strictly inside polyhedra, in rationals: as deep as can be."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from polytope.exact.dyadic import dyadic
from polytope.exact.program import Row, maximise
from polytope.ir.maps import FloatArray


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


def interior_point_between_bounds(rows: Sequence[Row]) -> tuple[Fraction, ...] | None:
    """A point strictly inside; ``None`` if there is no interior: quick where most rows bound one coordinate.

    Depth counts for the other rows alone; from the deepest point it goes half as far towards the middle of
    the bounds as these rows allow.

    Arguments:
        rows: as for ``interior_point``.
    """
    d = len(rows[0]) - 1
    single = [row for row in rows if sum(map(bool, row[:-1])) == 1]
    general = [row for row in rows if any(row[:-1]) and sum(map(bool, row[:-1])) > 1]
    if any(row[-1] >= 0 for row in rows if not any(row[:-1])):
        return None
    deep = [[*row[:-1], max(map(abs, row[:-1])), row[-1]] for row in general]
    best = maximise(
        [*([*row[:-1], 0, row[-1]] for row in single), *deep, [*[0] * d, 1, -1]], [*[0] * d, 1, 0]
    )
    if best is None or best.value is None or best.value <= 0:
        return None
    x = best.point[:-1]
    middle = [_between(ends, v) for ends, v in zip(_bounds(single, d), x, strict=True)]
    step = [m - v for m, v in zip(middle, x, strict=True) if m is not None]
    if len(step) < d:
        return None
    share = Fraction(1)
    for row in general:
        speed = dot(row, step)
        if speed > 0:
            share = min(share, -(row[-1] + dot(row, x)) / speed)
    return tuple(v + share / 2 * s for v, s in zip(x, step, strict=True))


def dot(row: Row, x: Sequence[Fraction]) -> Fraction:
    """``row[:d] . x``."""
    return sum((a * v for a, v in zip(row, x, strict=False) if a), Fraction(0))


def _bounds(single: Sequence[Row], d: int) -> list[tuple[list[Fraction], list[Fraction]]]:
    """For each coordinate the lower and the upper bounds that rows on it alone set."""
    found: list[tuple[list[Fraction], list[Fraction]]] = [([], []) for _ in range(d)]
    for row in single:
        [j] = [j for j in range(d) if row[j]]
        found[j][row[j] > 0].append(Fraction(-row[-1], row[j]))
    return found


def _between(ends: tuple[list[Fraction], list[Fraction]], near: Fraction) -> Fraction | None:
    """A number strictly between bounds, not far from a given one; ``None`` if there is none."""
    low, high = max(ends[0], default=None), min(ends[1], default=None)
    if low is not None and high is not None:
        return (low + high) / 2 if low < high else None
    if low is not None:
        return max(near, low + 1)
    return near if high is None else min(near, high - 1)


def is_inside(rows: Sequence[Row], point: FloatArray) -> bool:
    """Whether a float64 point, read as rationals, satisfies every row strictly."""
    x = dyadic(point)
    at = [*x.integers.tolist(), 1 << x.exponent]
    return all(sum(a * v for a, v in zip(row, at, strict=True)) < 0 for row in rows)

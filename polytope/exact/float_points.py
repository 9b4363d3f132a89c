"""Float64 points strictly inside polyhedra, where some fit: roundings of points that are inside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import product
from math import inf, lcm
from operator import mul
from random import Random

import numpy as np

from polytope.errors import GeometryError
from polytope.exact.interior import dot, interior_point, is_inside
from polytope.exact.program import Row, maximise
from polytope.ir.maps import FloatArray

MOST_ROUNDED = 6  # dimensions in which every way to round a point is tried
TRIES = 160  # roundings of further points that are tried
SHARP = 1 << 20  # how finely their places are told apart
DISTANT = 1 << 20  # coordinates from which points are looked for as deep as they are far


def float_point(rows: Sequence[Row]) -> tuple[FloatArray, bool] | None:
    """A float64 point inside, and whether strictly so; else one next to such a point; ``None``: no interior.

    A deep point is rounded in all ways; then one that is half as deep and close to the origin, where float64
    numbers are dense; then others. A polyhedron thinner than they are dense may hold none of them.

    Arguments:
        rows: ``d + 1`` integers each, ``row[:d] . x + row[d] <= 0``.

    Raises:
        GeometryError: a coordinate is beyond the numbers of float64.
    """
    deep = interior_point(rows)
    if deep is None:
        return None
    far = max(abs(v) for v in deep)
    if far > DISTANT:
        deep = interior_point(rows, int(far)) or deep
    return rounded_inside(rows, deep)


def rounded_inside(rows: Sequence[Row], point: Sequence[Fraction]) -> tuple[FloatArray, bool]:
    """The same from a point strictly inside."""
    try:
        nearest = np.array([float(v) for v in point])
    except OverflowError as error:
        raise GeometryError(
            "A cell lies beyond the numbers of float64: no point of it can be given."
        ) from error
    if is_inside(rows, nearest):
        return nearest, True
    for inner in _others(rows, tuple(point)):
        for corner in _roundings(inner):
            if is_inside(rows, corner):
                return corner, True
    return nearest, False


def _others(rows: Sequence[Row], point: tuple[Fraction, ...]) -> Iterator[tuple[Fraction, ...]]:
    """The point, one close to the origin, and points on chords through that in random directions."""
    yield point
    point = _near_origin(rows, point)
    yield point
    random = Random(0)  # noqa: S311  # the same points each time
    below = lcm(*(v.denominator for v in point))
    at = [v.numerator * (below // v.denominator) for v in point]
    slacks = [-(row[-1] * below + sum(map(mul, row, at))) for row in rows]
    far = max(map(abs, at)) or below
    for _ in range(TRIES >> min(len(point), MOST_ROUNDED)):
        direction = [random.randint(-SHARP, SHARP) * far for _ in point]
        ahead, behind = 1.0, -1.0  # where the chord ends, in shares of direction / SHARP
        for row, slack in zip(rows, slacks, strict=True):
            speed = sum(map(mul, row, direction))
            if abs(speed) <= SHARP * slack:
                continue
            if speed > 0:
                ahead = min(ahead, SHARP * slack / speed)
            else:
                behind = max(behind, SHARP * slack / speed)
        share = behind + random.randint(1, SHARP - 1) / SHARP * (ahead - behind)
        p, q = (share / SHARP).as_integer_ratio()
        yield tuple(Fraction(v * q + p * u, below * q) for v, u in zip(at, direction, strict=True))


def _near_origin(rows: Sequence[Row], point: tuple[Fraction, ...]) -> tuple[Fraction, ...]:
    """The point with the least sum of absolute coordinates among those that are half as deep."""
    d = len(point)
    sizes = [max(map(abs, row[:-1])) for row in rows]
    depth = (
        min(-(row[-1] + dot(row, point)) / size for row, size in zip(rows, sizes, strict=True) if size) / 2
    )
    p, q = depth.as_integer_ratio()
    inner = [
        (*(q * a for a in row[:-1]), *[0] * d, q * row[-1] + p * size)
        for row, size in zip(rows, sizes, strict=True)
        if size
    ]
    for j in range(d):
        for sign in (1, -1):
            bound = [0] * (2 * d + 1)
            bound[j], bound[d + j] = sign, -1
            inner.append(tuple(bound))
    best = maximise(inner, [*[0] * d, *[-1] * d, 0])
    return point if best is None else best.point[:d]


def _roundings(point: Sequence[Fraction]) -> Iterator[FloatArray]:
    """The ways to round a point: each coordinate up or down, in few dimensions."""
    nearest = [float(v) for v in point]
    if len(nearest) > MOST_ROUNDED:
        yield np.array(nearest)
        return
    ends = [(v, float(np.nextafter(v, inf if x > v else -inf))) for v, x in zip(nearest, point, strict=True)]
    yield from map(np.array, product(*ends))

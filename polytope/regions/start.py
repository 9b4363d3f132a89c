"""The region that a walk starts in: the one that holds a point, or one of those around it."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from polytope.exact.interior import dot, interior_point
from polytope.exact.network import ExactNetwork
from polytope.exact.values import pattern_beside
from polytope.geometry.inside import integer_rows
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir.activations import PatternArray
from polytope.ir.maps import FloatArray
from polytope.regions.crossing import Crosser

Point = tuple[Fraction, ...]


def first_region(crosser: Crosser, start: FloatArray) -> tuple[PatternArray, FloatArray, bool]:
    """The pattern of a region whose closure holds the start, a point inside, and whether that is proved."""
    pattern = crosser.network.pattern(start[None])
    told = bool(crosser.on_pieces(pattern, start[None])[0])
    if told and crosser.in_domain(start[None])[0]:
        return pattern[0], start, True
    start = _moved_inside(crosser.domain, start)
    found, way = next(_around(crosser.domain, crosser.exact.exact, start, pattern[0] if told else None))
    points, sure = crosser.inside(found[None], start[None], way[None] / np.linalg.norm(way))
    return found, points[0], bool(sure[0])


def patterns_around(domain: Polyhedron, exact: ExactNetwork, x: FloatArray) -> Iterator[PatternArray]:
    """The patterns of regions around a point of the domain, in random directions, without end."""
    return (pattern for pattern, _ in _around(domain, exact, x, None))


def _around(
    domain: Polyhedron, exact: ExactNetwork, x: FloatArray, known: PatternArray | None
) -> Iterator[tuple[PatternArray, FloatArray]]:
    """Patterns around a point, all the same one if it is known, and directions that lead there."""
    start = tuple(map(Fraction, x.tolist()))
    for aim in _aims(domain, start):
        way = [a - v for a, v in zip(aim, start, strict=True)]
        pattern = pattern_beside(exact, start, way) if known is None else known
        if pattern is not None:
            size = max(map(abs, way))
            yield pattern, np.array([float(v / size) for v in way])


def _aims(domain: Polyhedron, start: Point) -> Iterator[Point]:
    """Random points strictly inside the domain, other than the start, near its centre."""
    center, radius = domain.inscribed_ball
    middle, wide = tuple(map(Fraction, center.tolist())), Fraction(min(radius, 1.0))
    inside: list[tuple[int, ...]] = []
    if not wide:  # no float64 point is inside
        inside = integer_rows(domain.A, domain.b)
        middle, wide = interior_point(inside) or middle, Fraction(1)
    rng = np.random.default_rng(0)
    while True:
        side = rng.standard_normal(len(start))
        side /= 2 * np.linalg.norm(side)
        aim = tuple(v + wide * Fraction(s) for v, s in zip(middle, side.tolist(), strict=True))
        if any(row[-1] + dot(row, aim) >= 0 for row in inside):
            wide /= 2
        elif aim != start:
            yield aim


def _moved_inside(domain: Polyhedron, start: FloatArray) -> FloatArray:
    """The start, or where rounding left it outside the domain, a point near it that is not."""
    point, share = start, 2.0**-60
    while share < 4 and not domain.contains(point[None])[0]:
        point = start + min(share, 1.0) * (domain.inscribed_ball[0] - start)
        share *= 2
    return point

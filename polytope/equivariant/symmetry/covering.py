r"""Whether a polyhedron F meets every orbit of points in a domain: its images :math:`g F` cover the domain.

What is left of the domain is kept as convex pieces. A point inside a piece lies in an image of F, or shows
that F is none that will do; that image is then cut off the piece, row by row.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from polytope.equivariant.groups.representations import Representation
from polytope.equivariant.symmetry.domains import integer_rows, moved_row
from polytope.exact.program import positive_point
from polytope.geometry.polyhedron import Polyhedron

Rows = list[list[int]]  # (a, -b) of a x <= b


def require_covering(F: Polyhedron, domain: Polyhedron, rho: Representation) -> None:
    """Refuse a polyhedron whose images leave out points of a domain that the group preserves.

    With matrices of integers this is decided in exact arithmetic. With others the images of F have rounded
    walls, and the orbits of 1,000 random points are looked at.

    Raises:
        ValueError: the orbit of a point, which the message names, does not meet F.
    """
    if bool((rho.matrices == np.round(rho.matrices)).all()):
        limits = [[moved_row(a, float(b), M) for a, b in zip(F.A, F.b, strict=True)] for M in rho.matrices]
        point = _left_out(integer_rows(domain), limits)
    else:
        point = _sampled_left_out(F, domain, rho)
    if point is not None:
        raise ValueError(
            f"enumerate_up_to_symmetry: fundamental must meet every orbit of the domain's points; that of "
            f"{point} it does not."
        )


def _left_out(domain: Rows, images: list[Rows]) -> list[float] | None:
    """A point of a domain with interior in none of the images; ``None`` if they cover it."""
    pieces: list[tuple[Rows, Rows]] = [(domain, [])]  # rows that hold, rows that are violated
    while pieces:
        held, beyond = pieces.pop()
        point = _inside(held, beyond)
        if point is None:
            continue
        around = next((rows for rows in images if all(_value(row, point) <= 0 for row in rows)), None)
        if around is None:
            return [float(x) for x in point]
        pieces += [(held + around[:i], [*beyond, row]) for i, row in enumerate(around)]
    return None


def _inside(held: Rows, beyond: Rows) -> tuple[Fraction, ...] | None:
    """A point at which rows hold with some room, and others are violated with it; ``None`` without any."""
    room = [[*row[:-1], 1, row[-1]] for row in held] + [
        [*(-v for v in row[:-1]), 1, -row[-1]] for row in beyond
    ]
    d = len(room[0]) - 2 if room else 0
    least = [0] * d
    found = positive_point([*room, [*least, 1, -1]], [*least, 1, 0])
    return None if found is None else found[:-1]


def _value(row: list[int], point: tuple[Fraction, ...]) -> Fraction:
    return sum((a * x for a, x in zip(row, point, strict=False)), Fraction(row[-1]))


def _sampled_left_out(F: Polyhedron, domain: Polyhedron, rho: Representation) -> list[float] | None:
    """Of random points around the domain's largest ball one whose orbit does not meet F, beyond rounding."""
    center, radius = domain.inscribed_ball
    size = radius if np.isfinite(radius) else 1.0
    points = center + size * np.random.default_rng(0).standard_normal((1000, domain.dim))
    points = points[domain.contains(points)]
    met = np.any([F.contains(points @ M.T, 1e-9) for M in rho.matrices], axis=0)
    return None if met.all() else [float(x) for x in points[~met][0]]

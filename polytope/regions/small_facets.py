"""Facets that are too small for float64: found, and given a point, in exact arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import inf

import numpy as np

from polytope.geometry.bounded_lp import positive_point
from polytope.geometry.rational_lp import Row, maximise
from polytope.ir.maps import FloatArray
from polytope.regions.found import ExactFacet


def exact_facet(
    rows: Sequence[Row], inside: FloatArray | Sequence[Fraction], work: float = inf
) -> ExactFacet | None:
    """The facet on the last row, or ``None`` where the other rows imply it.

    Arguments:
        rows: integer rows ``row[:d] . x + row[d] <= 0``.
        inside: a point where all of them are negative.
        work: give up after about so many products of integers.

    Raises:
        SolverError: that was too little.
    """
    *rest, row = rows
    far = positive_point(rest, row, work)
    if far is None:
        return None
    near = [Fraction(v) for v in inside]
    below, beyond = -_value(row, near), _value(row, far)
    share = below / (below + beyond)
    point = tuple(x + share * (y - x) for x, y in zip(near, far, strict=True))
    return ExactFacet(tuple(row), point)


def _value(row: Row, x: Sequence[Fraction]) -> Fraction:
    return sum((a * v for a, v in zip(row, x, strict=False) if a), Fraction(row[-1]))


def exact_facets(rows: Sequence[Row]) -> dict[int, tuple[FloatArray, ExactFacet | None]]:
    """All facets of a polyhedron with interior, by the numbers of their rows."""
    numbers: list[int] = []
    for i, row in enumerate(rows):
        if not any(same_hyperplane(rows[k], row) for k in numbers):
            numbers.append(i)
    inside = deep_point([rows[i] for i in numbers])
    found: dict[int, tuple[FloatArray, ExactFacet | None]] = {}
    for i in numbers:
        facet = exact_facet([*(rows[j] for j in numbers if j != i), rows[i]], inside)
        if facet is not None:
            found[i] = (np.array([float(v) for v in facet.point]), facet)
    return found


def same_hyperplane(a: Row, b: Row) -> bool:
    """Whether one row is a positive multiple of the other."""
    scale_a, scale_b = max(abs(v) for v in a[:-1]), max(abs(v) for v in b[:-1])
    return all(v * scale_b == w * scale_a for v, w in zip(a, b, strict=True))


def deep_point(rows: Sequence[Row], largest: int = 1) -> tuple[Fraction, ...]:
    """A point strictly inside, as far from every row as possible (each in the max norm of its gradient)."""
    d = len(rows[0]) - 1
    deep = [[*row[:-1], max(abs(v) for v in row[:-1]), row[-1]] for row in rows]
    cap = [*[0] * d, 1, -largest]
    return maximise([*deep, cap], [*[0] * d, 1, 0]).point[:-1]

"""Which rows of a polyhedron carry facets, and a point inside each facet, in exact arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import inf

from polytope.exact.dyadic import primitive
from polytope.exact.interior import interior_point
from polytope.exact.program import Row, positive_point
from polytope.ir.maps import FloatArray


@dataclass(frozen=True, eq=False)
class ExactFacet:
    """A facet in rationals: its row, a positive multiple in ``d + 1`` integers, and a point inside it."""

    row: tuple[int, ...]
    point: tuple[Fraction, ...]


def exact_facet(
    rows: Sequence[Row],
    inside: FloatArray | Sequence[Fraction],
    *,
    first: Sequence[int] = (),
    work: float = inf,
) -> ExactFacet | None:
    """The facet on the last row, or ``None`` where the other rows imply it.

    Arguments:
        rows: integer rows ``row[:d] . x + row[d] <= 0``, of which no two have one hyperplane.
        inside: a point where all of them are negative.
        first: numbers of rows that are likely tight where the last row is greatest.
        work: give up after about so many products.

    Raises:
        SolverError: that was too little.
    """
    *rest, row = rows
    far = positive_point(rest, row, first=first, work=work)
    if far is None:
        return None
    near = [Fraction(v) for v in inside]
    below, beyond = -value_at(row, near), value_at(row, far)
    assert below > 0, "the point is strictly inside"
    share = below / (below + beyond)
    point = tuple(x + share * (y - x) for x, y in zip(near, far, strict=True))
    return ExactFacet(tuple(row), point)


def exact_facets(rows: Sequence[Row]) -> dict[int, ExactFacet]:
    """All facets of a polyhedron with interior, by the numbers of their rows; of equal rows the first.

    Raises:
        ValueError: the polyhedron has no interior.
    """
    first = {primitive(list(row)): i for i, row in reversed(list(enumerate(rows))) if any(row[:-1])}
    numbers = sorted(first.values())
    kept = [rows[i] for i in numbers]
    inside = interior_point(kept) if kept else ()
    if inside is None:
        raise ValueError("exact_facets: the polyhedron has no interior.")
    found = {}
    for i in numbers:
        facet = exact_facet([*(rows[j] for j in numbers if j != i), rows[i]], inside)
        if facet is not None:
            found[i] = facet
    return found


def value_at(row: Row, x: Sequence[Fraction]) -> Fraction:
    """``row[:d] . x + row[d]``."""
    return sum((a * v for a, v in zip(row, x, strict=False) if a), Fraction(row[-1]))

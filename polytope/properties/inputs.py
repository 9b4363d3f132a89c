r"""The inputs that a case of a property allows, in coordinates where they have interior, without rounding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm

import numpy as np

from polytope.errors import EmptyDomainError
from polytope.geometry.affine_hull import RationalHull, rational_hull
from polytope.geometry.polyhedron import Polyhedron
from polytope.geometry.slice import Slice
from polytope.ir.maps import FloatArray
from polytope.properties.vnnlib_property import Case

Point = tuple[Fraction, ...]


@dataclass(frozen=True, eq=False)
class AllowedInputs:
    """Inputs ``x = base + t @ directions`` for the points t of a domain with interior.

    Arguments:
        window: where the inputs lie, in numbers that are exact; ``None`` where t is x.
        domain: in the window's coordinates.
        box: ``[2, k]``, around the domain.
        A, b: rows ``A x <= b`` that inputs must satisfy too, since no window holds the set exactly.
    """

    window: Slice | None
    domain: Polyhedron
    box: FloatArray
    A: FloatArray
    b: FloatArray

    def lifted(self, t: Sequence[Fraction]) -> Point:
        """The input of a point of the domain."""
        if self.window is None:
            return tuple(t)
        columns = self.window.directions.T.tolist()
        return tuple(
            sum((Fraction(c) * v for c, v in zip(column, t, strict=True) if c), Fraction(base))
            for base, column in zip(self.window.base.tolist(), columns, strict=True)
        )


def allowed_inputs(case: Case) -> AllowedInputs | Point | None:
    """The inputs of a case, or the only one, or ``None`` where there are none."""
    low, high, d = case.low, case.high, len(case.low)
    box, nothing = np.stack([low, high]), (np.zeros((0, d)), np.zeros(0))
    free = np.flatnonzero(low < high)
    if len(case.b):
        A, b = np.concatenate([np.eye(d), -np.eye(d), case.A]), np.concatenate([high, -low, case.b])
        if len(free) == d and _has_interior(Polyhedron(A, b)):
            return AllowedInputs(None, Polyhedron(A, b), box, *nothing)
        try:
            hull = rational_hull(Polyhedron(A, b))
        except EmptyDomainError:
            return None
        if not hull.directions:
            return tuple(hull.base)
        found = _exact_window(hull, box)
        if found is not None:
            return found
    if not len(free):
        return tuple(map(Fraction, low.tolist()))
    window = None if len(free) == d else Slice(np.where(low < high, 0.0, low), np.eye(d)[free])
    return AllowedInputs(window, Polyhedron.box(*box[:, free]), box[:, free], case.A, case.b)


def _has_interior(domain: Polyhedron) -> bool:
    try:
        _ = domain.inscribed_ball
    except EmptyDomainError:
        return False
    return True


def _exact_window(hull: RationalHull, box: FloatArray) -> AllowedInputs | None:
    """The hull with its directions in integers; ``None`` if float64 does not hold its numbers."""
    factors = [lcm(*(v.denominator for v in direction)) for direction in hull.directions]
    directions = [
        [v * factor for v in direction] for direction, factor in zip(hull.directions, factors, strict=True)
    ]
    rows = [_small(row, factors) for row in hull.rows]
    if not all(_is_float(v) for row in (hull.base, *directions, *rows) for v in row):
        return None
    window = Slice(np.array(hull.base, dtype=float), np.array(directions, dtype=float))
    table = np.array(rows, dtype=float).reshape(-1, window.dim + 1)
    low, high = box[:, hull.free] / np.array(factors, dtype=float)
    around = np.stack([np.nextafter(low, -np.inf), np.nextafter(high, np.inf)])
    nothing = np.zeros((0, box.shape[1])), np.zeros(0)
    return AllowedInputs(window, Polyhedron(table[:, :-1], -table[:, -1]), around, *nothing)


def _small(row: Sequence[Fraction], factors: Sequence[int]) -> list[Fraction]:
    """A row in the scaled coordinates, in integers without a common factor."""
    scaled = [v * factor for v, factor in zip(row, [*factors, 1], strict=True)]
    common = lcm(*(v.denominator for v in scaled))
    divisor = gcd(*(int(v * common) for v in scaled))
    return [v * common / divisor for v in scaled]


def _is_float(value: Fraction) -> bool:
    try:
        return Fraction(float(value)) == value
    except OverflowError:
        return False

r"""The vertices and the volume of a bounded polyhedron with interior, in exact arithmetic.

Vertices are the extreme rays of the cone :math:`\{(x, t) : A x \le b t, t \ge 0\}`, found by double
description: rows are added one by one, and where a row cuts an edge between two rays, a new ray begins. The
volume is that of the simplices of a pulling triangulation, :math:`\sum |\det| / d!`.

References: Motzkin, Raiffa, Thompson, Thrall (1953), "The double description method"; Fukuda, Prodon (1996),
"Double description method revisited", https://doi.org/10.1007/3-540-61576-8_77
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import factorial

import flint
from flint import fmpq

from polytope.errors import GeometryError
from polytope.exact.dyadic import primitive
from polytope.exact.program import Row


@dataclass(frozen=True)
class Corner:
    """A vertex ``numerators / denominator``, and the rows that vanish there: bit i stands for row i."""

    numerators: tuple[int, ...]
    denominator: int
    rows: int

    @property
    def point(self) -> tuple[Fraction, ...]:
        """The coordinates."""
        return tuple(Fraction(v, self.denominator) for v in self.numerators)


def exact_corners(rows: Sequence[Row]) -> list[Corner]:
    """All vertices of a bounded polyhedron with interior.

    Arguments:
        rows: ``d + 1`` integers each, ``row[:d] . x + row[d] <= 0``; some may be implied, or repeat.

    Example:
        >>> square = [(2, 0, -1), (-1, 0, 0), (0, 3, -1), (0, -1, 0)]
        >>> sorted(corner.point for corner in exact_corners(square))[-1]
        (Fraction(1, 2), Fraction(1, 3))
    """
    d = len(rows[0]) - 1
    every = [*rows, (*[0] * d, -1)]
    first = independent(every)
    assert len(first) == d + 1, "the polyhedron is bounded"
    rays = _simplicial(every, first)
    for number in [i for i in range(len(every)) if i not in first]:
        rays = _cut(rays, every[number], 1 << number, d)
    return [Corner(ray[:-1], ray[-1], on) for ray, on in rays]


def around_polygon(points: Sequence[tuple[Fraction, ...]]) -> list[tuple[Fraction, ...]]:
    """The corners of a convex polygon counterclockwise, from the first in lexicographic order.

    Arguments:
        points: the corners, ``[v, 2]``, in lexicographic order.

    Example:
        >>> square = [(Fraction(x), Fraction(y)) for x in (0, 1) for y in (0, 1)]
        >>> [(int(x), int(y)) for x, y in around_polygon(square)]
        [(0, 0), (1, 0), (1, 1), (0, 1)]
    """
    (x0, y0), (x1, y1) = points[0], points[-1]
    below: list[tuple[Fraction, ...]] = []
    above: list[tuple[Fraction, ...]] = []
    for point in points[1:-1]:
        turn = (x1 - x0) * (point[1] - y0) - (y1 - y0) * (point[0] - x0)
        (above if turn > 0 else below).append(point)
    return [points[0], *below, points[-1], *reversed(above)]


def exact_volume(rows: Sequence[Row]) -> Fraction:
    """The volume of a bounded polyhedron with interior.

    Example:
        >>> exact_volume([(2, 0, -1), (-1, 0, 0), (0, 3, -1), (0, -1, 0)])
        Fraction(1, 6)
    """
    corners, d = exact_corners(rows), len(rows[0]) - 1
    facets = {
        sum(1 << k for k, corner in enumerate(corners) if corner.rows >> i & 1) for i in range(len(rows))
    }
    total = fmpq(0)
    for simplex in _pulled((1 << len(corners)) - 1, sorted(facets - {0}), d, {}):
        chosen = [corners[k] for k in simplex]
        entries = [v for corner in chosen for v in (*corner.numerators, corner.denominator)]
        size = 1
        for corner in chosen:
            size *= corner.denominator
        total += fmpq(abs(flint.fmpz_mat(d + 1, d + 1, entries).det()), size)
    return Fraction(int(total.p), int(total.q)) / factorial(d)


def box_volume(rows: Sequence[Row]) -> Fraction:
    """The volume of a box by its rows, each on one coordinate; quick in many dimensions."""
    total = Fraction(1)
    for j in range(len(rows[0]) - 1):
        ends = [(row[j] > 0, Fraction(-row[-1], row[j])) for row in rows if row[j]]
        total *= min(end for upper, end in ends if upper) - max(end for upper, end in ends if not upper)
    return total


def nearest_float(value: Fraction) -> float:
    """The nearest float64 number.

    Raises:
        GeometryError: the value is beyond such numbers.
    """
    try:
        return float(value)
    except OverflowError as error:
        raise GeometryError("A vertex or a volume is beyond the numbers of float64.") from error


_Ray = tuple[tuple[int, ...], int]  # d + 1 integers, and the rows that vanish on it


def independent(rows: Sequence[Row]) -> list[int]:
    """The numbers of rows of which no earlier ones are a basis: d + 1 of them."""
    n = len(rows[0])
    reduced, _, rank = flint.fmpz_mat([[int(row[j]) for row in rows] for j in range(n)]).rref()
    out, column = [], 0
    for i in range(rank):
        while not reduced[i, column]:
            column += 1
        out.append(column)
    return out


def _simplicial(rows: Sequence[Row], first: Sequence[int]) -> list[_Ray]:
    """The rays of the cone of d + 1 independent rows: on each, all of them but one vanish."""
    n = len(first)
    together = [[*map(int, rows[i]), *(int(i == k) for k in first)] for i in first]
    reduced, whole, _ = flint.fmpz_mat(together).rref()  # whole times the identity, and the inverse
    sign = -1 if whole > 0 else 1
    every = sum(1 << i for i in first)
    return [
        (primitive([sign * int(reduced[i, n + j]) for i in range(n)]), every & ~(1 << first[j]))
        for j in range(n)
    ]


def _cut(rays: list[_Ray], row: Row, bit: int, d: int) -> list[_Ray]:
    """The rays of the part of a cone on which a further row is not positive."""
    values = [sum(map(int.__mul__, row, ray)) for ray, _ in rays]
    inside = [(v, ray, on) for v, (ray, on) in zip(values, rays, strict=True) if v < 0]
    beyond = [(v, ray, on) for v, (ray, on) in zip(values, rays, strict=True) if v > 0]
    kept = [(ray, on if v else on | bit) for v, (ray, on) in zip(values, rays, strict=True) if v <= 0]
    masks = [on for _, on in rays]
    for v, ray, on in beyond:
        for w, other, theirs in inside:
            common = on & theirs
            if common.bit_count() >= d - 1 and sum(mask & common == common for mask in masks) == 2:
                new = primitive([v * b - w * a for a, b in zip(ray, other, strict=True)])
                kept.append((new, common | bit))
    return kept


def _pulled(
    face: int, facets: Sequence[int], dim: int, known: dict[int, list[tuple[int, ...]]]
) -> list[tuple[int, ...]]:
    """Simplices that make up a face: from its first vertex over the facets of it that do not hold that.

    Arguments:
        face: a set of vertices, as bits; facets: those of the polyhedron.
        dim: of the face.
        known: what was found before.
    """
    apex = (face & -face).bit_length() - 1
    if not dim:
        return [(apex,)]
    if face not in known:
        parts = {face & facet for facet in facets} - {0, face}
        largest = [p for p in parts if not any(p != q and p & q == p for q in parts)]
        known[face] = [
            (apex, *simplex)
            for part in sorted(largest)
            if not part >> apex & 1
            for simplex in _pulled(part, facets, dim - 1, known)
        ]
    return known[face]

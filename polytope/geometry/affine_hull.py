r"""Domains of lower dimension: the window that holds one, and the domain in the window's coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

import numpy as np
from numpy.typing import ArrayLike

from polytope.errors import EmptyDomainError
from polytope.exact.interior import interior_point_between_bounds, is_inside
from polytope.exact.program import maximise
from polytope.geometry.polyhedron import Polyhedron
from polytope.geometry.slice import Slice
from polytope.ir.maps import FloatArray

FractionRow = list[Fraction]  # d + 1 numbers, row[:d] . x + row[d]


def affine_hull(
    polyhedron: Polyhedron, equalities: tuple[ArrayLike, ArrayLike] | None = None
) -> tuple[Slice, Polyhedron]:
    r"""The affine hull of :math:`\{A x \le b,\ C x = e\}` as a window, and the set in its coordinates.

    Equalities that the rows only imply (``a.x <= b`` and ``-a.x <= -b``, or less obvious ones) are found
    in exact arithmetic. The window's numbers are the float64 nearest to the rational ones.

    Arguments:
        polyhedron: the rows ``A x <= b``.
        equalities: ``(C [k, d], e [k])``.

    Returns:
        ``(window, inner)``: enumerate ``network.restrict(window)`` over ``inner``, which has interior.

    Raises:
        ValueError: C and e do not fit the polyhedron.
        EmptyDomainError: no point satisfies all rows, or a single one does.

    Example:
        >>> import polytope as pt
        >>> window, inner = pt.affine_hull(pt.Polyhedron.box([0, 0], [1, 1]), ([[1, 1]], [1]))
        >>> window.lift(inner.vertices()).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    hull = rational_hull(polyhedron, equalities)
    if not hull.directions:
        raise EmptyDomainError("The domain has no interior in any window: its equalities leave one point.")
    window = Slice(np.array(hull.base, dtype=float), np.array(hull.directions, dtype=float))
    table = np.array(hull.rows, dtype=float).reshape(-1, window.dim + 1)
    return window, Polyhedron(table[:, :-1], -table[:, -1])


@dataclass(frozen=True)
class RationalHull:
    """A window ``base + t @ directions`` in fractions, and the rows of the set in its coordinates.

    Each t_j is a coordinate of x, ``x[free[j]]``; without directions the set is the point ``base``.
    """

    base: FractionRow
    directions: list[FractionRow]
    free: list[int]
    rows: list[FractionRow]


def rational_hull(
    polyhedron: Polyhedron, equalities: tuple[ArrayLike, ArrayLike] | None = None
) -> RationalHull:
    """The affine hull as ``affine_hull`` finds it, before it is rounded, and where it is a single point."""
    d = polyhedron.dim
    C, e = np.zeros((0, d)), np.zeros(0)
    if equalities is not None:
        C, e = np.atleast_2d(np.asarray(equalities[0], dtype=float)), np.asarray(equalities[1], dtype=float)
        if C.shape != (len(e.ravel()), d):
            raise ValueError(f"affine_hull: C {C.shape} and e {e.shape} must be [k, {d}] and [k].")
    rows = [_fractions(row) for row in np.concatenate([polyhedron.A, -polyhedron.b[:, None]], axis=1)]
    equal = [_fractions(row) for row in np.concatenate([C, -e.reshape(-1, 1)], axis=1)]
    equal += _opposite(rows)
    while True:
        base, directions, free = _solutions(equal, d)
        inner, numbers = _restricted(rows, base, directions)
        implied = _implied(inner)
        if not implied:
            return RationalHull(base, directions, free, inner)
        equal += [rows[numbers[i]] for i in implied]


def _fractions(row: Sequence[float]) -> FractionRow:
    return [Fraction(float(v)) for v in row]


def _opposite(rows: Sequence[FractionRow]) -> list[FractionRow]:
    """Rows whose opposites are rows too."""
    scaled = []
    for row in rows:
        size = max(abs(v) for v in row[:-1])
        scaled.append(tuple(v / size for v in row))
    present = set(scaled)
    return [list(row) for row in scaled if tuple(-v for v in row) in present]


def _solutions(equal: Sequence[FractionRow], d: int) -> tuple[FractionRow, list[FractionRow], list[int]]:
    """A point where all equalities hold, a basis of their directions and its coordinates, by elimination."""
    table: list[tuple[int, FractionRow]] = []
    for given in equal:
        row = list(given)
        for pivot, other in table:
            if row[pivot]:
                row = _minus(row, row[pivot], other)
        pivot = next((k for k in range(d) if row[k]), -1)
        if pivot < 0:
            if row[d]:
                raise EmptyDomainError("The domain is empty: its equalities contradict each other.")
            continue
        row = [v / row[pivot] for v in row]
        table = [(k, _minus(other, other[pivot], row) if other[pivot] else other) for k, other in table]
        table.append((pivot, row))
    free = [k for k in range(d) if k not in {pivot for pivot, _ in table}]
    base = [Fraction(0)] * d
    directions = [[Fraction(int(k == j)) for k in range(d)] for j in free]
    for pivot, row in table:
        base[pivot] = -row[d]
        for direction, j in zip(directions, free, strict=True):
            direction[pivot] = -row[j]
    return base, directions, free


def _minus(row: FractionRow, factor: Fraction, other: FractionRow) -> FractionRow:
    return [v - factor * w if w else v for v, w in zip(row, other, strict=True)]


def _restricted(
    rows: Sequence[FractionRow], base: FractionRow, directions: Sequence[FractionRow]
) -> tuple[list[FractionRow], list[int]]:
    """The rows in the window's coordinates and their numbers, without those that hold everywhere."""
    inner, numbers = [], []
    for number, row in enumerate(rows):
        constant = row[-1] + _dot(row, base)
        slopes = [_dot(row, direction) for direction in directions]
        if any(slopes):
            inner.append([*slopes, constant])
            numbers.append(number)
        elif constant > 0:
            raise EmptyDomainError("The domain is empty: a row contradicts its equalities.")
    return inner, numbers


def _dot(row: FractionRow, x: FractionRow) -> Fraction:
    return sum((a * v for a, v in zip(row, x, strict=False) if a and v), Fraction(0))


def _implied(inner: Sequence[FractionRow]) -> list[int]:
    """The rows that hold with equality on the whole set, by exact linear programs where there may be any."""
    rows = [_integers(row) for row in inner]
    if not rows or _has_interior(rows, np.array(inner, dtype=float)):
        return []
    found = []
    for i, row in enumerate(rows):
        best = maximise(rows, [-v for v in row])
        if best is None:
            raise EmptyDomainError("The domain is empty: no point satisfies all its rows.")
        if best.value == 0:
            found.append(i)
    return found


def _has_interior(rows: Sequence[Sequence[int]], nearest: FloatArray) -> bool:
    """Whether some point satisfies all rows strictly; floats propose one, from the rows' nearest numbers."""
    with suppress(EmptyDomainError):
        if is_inside(rows, Polyhedron(nearest[:, :-1], -nearest[:, -1]).inscribed_ball[0]):
            return True
    return interior_point_between_bounds(rows) is not None


def _integers(row: FractionRow) -> list[int]:
    common = lcm(*(v.denominator for v in row))
    return [int(v * common) for v in row]

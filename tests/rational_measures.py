"""Measures of the slow twin: merging, slopes, extreme values, properties, distances and volumes, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations
from operator import mul

import numpy as np

from tests.rational import Cell, Twin, combined
from tests.rational_programs import (
    ZERO,
    Point,
    Row,
    ascend,
    coordinates,
    deepest,
    dot,
    highest,
    origin,
    primitive,
    rational,
    row_of,
    value,
)


def linear_regions(twin: Twin) -> tuple[int, int]:
    """The number of linear regions (cells joined where maps agree across a facet) and of distinct maps."""
    return len(set(linear_labels(twin))), len({cell.outputs for cell in twin.cells})


def linear_labels(twin: Twin) -> list[int]:
    """For each cell one of its linear region."""
    label = list(range(len(twin.cells)))

    def root(i: int) -> int:
        while label[i] != i:
            i = label[i]
        return i

    for i, j in twin.edges:
        if twin.cells[i].outputs == twin.cells[j].outputs:
            label[root(i)] = root(j)
    return [root(i) for i in label]


def bounded(rows: Sequence[Row], x: Point) -> bool:
    """Whether a polyhedron around a point is bounded."""
    d = len(x) - 1
    axes = [tuple(Fraction(s * (i == j)) for j in range(d + 1)) for i in range(d) for s in (1, -1)]
    return None not in [highest(rows, axis, x) for axis in axes]


def inside(cell: Cell, x: Sequence[float]) -> bool:
    """Whether a point lies strictly inside."""
    point = rational(x)
    return all(dot(row, point) < 0 for row in cell.rows)


def meets(rows: Sequence[Row], x: Sequence[float]) -> bool:
    """Whether no row is positive at a point."""
    point = rational(x)
    return all(dot(row, point) <= 0 for row in rows)


def half_width(cell: Cell) -> tuple[Point, Fraction | None]:
    """Centre and half side of a largest cube inside; ``None`` where there is no largest."""
    rows = [(*row[:-1], sum(map(abs, row[:-1])), row[-1]) for row in cell.rows]
    goal = [*[0] * (len(cell.point) - 1), 1, 0]
    top, bounded = ascend(rows, (*cell.point[:-1], 0, cell.point[-1]), goal)
    return primitive((*top[:-2], top[-1])), Fraction(top[-2], top[-1]) if bounded else None


def volume(rows: Sequence[Row]) -> Fraction:
    r"""Volume of a bounded polyhedron, by facets: :math:`d V = \sum_i b_i V_i / |a_{ik}|`, projected along k.

    References: Lasserre (1983), "An analytical expression and an algorithm for the volume of a convex
        polyhedron".
    """
    d = len(rows[0]) - 1
    if d == 1:
        ends = [(row[0] > 0, Fraction(-row[1], row[0])) for row in rows]
        span = min(end for up, end in ends if up) - max(end for up, end in ends if not up)
        return max(span, ZERO)
    total = ZERO
    for row in set(rows):
        k = next(j for j in range(d) if row[j])
        sign = 1 if row[k] > 0 else -1
        face = {
            primitive([sign * (row[k] * a - other[k] * b) for a, b in zip(other, row, strict=True)])
            for other in rows
            if other != row
        }
        if row[-1] and not any(not any(r[:-1]) and r[-1] > 0 for r in face):
            left = [r[:k] + r[k + 1 :] for r in face if any(r[:-1])]
            total -= volume(left) * Fraction(row[-1], abs(row[k]))
    return total / d


def corners(rows: Sequence[Row]) -> set[tuple[Fraction, ...]]:
    """The vertices of a bounded polyhedron: where d rows meet and no other is broken."""
    d, found = len(rows[0]) - 1, set()
    for chosen in combinations(set(rows), d):
        x = _meeting(chosen)
        if x is not None and all(sum(map(mul, row, (*x, 1))) <= 0 for row in rows):
            found.add(x)
    return found


def _meeting(rows: Sequence[Row]) -> tuple[Fraction, ...] | None:
    """Where d rows vanish, by elimination; ``None`` if they are dependent."""
    table = [list(map(Fraction, row)) for row in rows]
    for i in range(len(table)):
        pivot = next((k for k in range(i, len(table)) if table[k][i]), None)
        if pivot is None:
            return None
        table[i], table[pivot] = table[pivot], table[i]
        table[i] = [v / table[i][i] for v in table[i]]
        for k in range(len(table)):
            if k != i:
                table[k] = [v - table[k][i] * w for v, w in zip(table[k], table[i], strict=True)]
    return tuple(-row[-1] for row in table)


def part(cell: Cell, level: Fraction, signs: Sequence[int]) -> list[Row]:
    """The rows of a cell, and ``sign * (f - level) <= 0`` for each sign, f its first output."""
    f = (*cell.outputs[0][:-1], cell.outputs[0][-1] - level)
    return [*cell.rows, *(row_of([sign * v for v in f]) for sign in signs)]


def nerve(parts: Sequence[Sequence[Row]]) -> tuple[int, int]:
    """Components and Euler characteristic of a union of polytopes, which are those of its nerve."""
    d = len(parts[0][0]) - 1
    here = [frozenset({i}) for i, rows in enumerate(parts) if deepest(rows, [], origin(d))[0] >= 0]
    single, edges, characteristic, sign = here, set(), 0, 1
    while here:
        characteristic += sign * len(here)
        sign = -sign
        larger = {old | new for old in here for new in single if not new <= old}
        met = [s for s in larger if deepest([row for i in s for row in parts[i]], [], origin(d))[0] >= 0]
        edges |= {s for s in met if len(s) == 2}
        here = met
    label = {min(s): min(s) for s in single}
    for _ in label:
        for a, b in edges:
            label[a] = label[b] = min(label[a], label[b])
    return len(set(label.values())), characteristic


def lipschitz(cells: list[Cell], p: float, q: float) -> Fraction:
    """The greatest norm of a Jacobian, from the 1-norm to the 1- or max norm, or between max norms."""
    sizes = [[[abs(v) for v in f[:-1]] for f in cell.outputs] for cell in cells]
    if p == q == np.inf:
        return max(sum(row, ZERO) for J in sizes for row in J)
    assert p == 1, "other norms are not rational"
    columns = [column for J in sizes for column in zip(*J, strict=True)]
    return max(sum(column, ZERO) if q == 1 else max(column) for column in columns)


def extremes(cells: list[Cell], output: int) -> tuple[Fraction | None, Fraction | None]:
    """Least and greatest value of an output; ``None`` where there is none."""
    tops = []
    for sign in (-1, 1):
        goals = [tuple(sign * v for v in cell.outputs[output]) for cell in cells]
        found = [highest(cell.rows, goal, cell.point) for cell, goal in zip(cells, goals, strict=True)]
        tops.append(None if None in found else sign * max(v for v in found if v is not None))
    return tops[0], tops[1]


def satisfiable(cells: list[Cell], conditions: Sequence[tuple[Sequence[float], float, bool]]) -> bool:
    """Whether some point has ``c . f(x) <= limit`` (or <, where strict) for all ``(c, limit, strict)``."""
    for cell in cells:
        rows = []
        for c, limit, _ in conditions:
            terms = [(Fraction(a), f) for a, f in zip(c, cell.outputs, strict=True)]
            rows.append(row_of(combined(terms, -Fraction(limit), len(cell.point))))
        sign, x = deepest(rows, cell.rows, cell.point)
        weak = [row for row, c in zip(rows, conditions, strict=True) if not c[-1]]
        strict = [row for row, c in zip(rows, conditions, strict=True) if c[-1]]
        if sign > 0 or (sign == 0 and (not strict or deepest(strict, [*cell.rows, *weak], x)[0] > 0)):
            return True
    return False


def radius(twin: Twin, x: Sequence[float], label: int, norm: float) -> Fraction | None:
    """How near another output equals that of a label: the distance, or its square in the Euclidean norm.

    A scalar output is held against 0, and label 1 says that it is positive at x. ``None``: there is no point.
    """
    found = []
    for cell, facets in zip(twin.cells, twin.facets, strict=True):
        f = cell.outputs
        zero = (ZERO,) * len(cell.point)
        pairs = (
            [(f[label], g) for k, g in enumerate(f) if k != label]
            if len(f) > 1
            else [(f[0], zero)[:: 2 * label - 1]]
        )
        for a, b in pairs:
            margin = row_of([v - w for v, w in zip(a, b, strict=True)])
            sign, y = deepest([margin], cell.rows, cell.point)
            if sign < 0:
                continue
            if norm == 2:
                found.append(square([*facets, margin], rational(x)))
            else:
                found.append(distance([*cell.rows, margin], y, rational(x), norm))
    return min(found, default=None)


def square(rows: Sequence[Row], x: Point) -> Fraction:
    """The squared distance of a polyhedron from x: the least of all places where some rows vanish.

    The nearest point of a face's hull is the nearest of the polyhedron for the face that it lies inside of.
    """
    p, squares = coordinates(x), []
    for count in range(len(p) + 1):
        for chosen in combinations([row for row in rows if any(row[:-1])], count):
            y = _foot(chosen, p)
            if y is not None and all(_at(row, y) <= 0 for row in rows):
                squares.append(sum(((v - w) ** 2 for v, w in zip(y, p, strict=True)), ZERO))
    return min(squares)


def _at(row: Row, y: Sequence[Fraction]) -> Fraction:
    return sum((a * v for a, v in zip(row, y, strict=False)), Fraction(row[-1]))


def _foot(rows: Sequence[Row], p: Sequence[Fraction]) -> list[Fraction] | None:
    """The nearest point to p where independent rows vanish, by Gram's matrix."""
    table = [[*(Fraction(sum(map(int.__mul__, a[:-1], b[:-1]))) for b in rows), _at(a, p)] for a in rows]
    for k in range(len(rows)):
        pivot = next((i for i in range(k, len(rows)) if table[i][k]), None)
        if pivot is None:
            return None
        table[k], table[pivot] = table[pivot], table[k]
        table[k] = [v / table[k][k] for v in table[k]]
        for i, line in enumerate(table):
            if i != k and line[k]:
                table[i] = [v - line[k] * w for v, w in zip(line, table[k], strict=True)]
    return [
        v - sum((line[-1] * row[j] for line, row in zip(table, rows, strict=True)), ZERO)
        for j, v in enumerate(p)
    ]


def distance(rows: Sequence[Row], y: Point, x: Point, norm: float) -> Fraction:
    """The distance of a polyhedron that holds y from x: the least t, or sum of t_i, with ``|y - x| <= t``."""
    d = len(x) - 1
    extra = 1 if norm == np.inf else d
    lifted = [(*row[:-1], *[0] * extra, row[-1]) for row in rows]
    for i in range(d):
        for sign in (1, -1):
            row = [0] * (d + extra) + [-sign * x[i]]
            row[i], row[d + i % extra] = sign * x[-1], -x[-1]
            lifted.append(tuple(row))
    at = coordinates(y)
    apart = [abs(a - b) for a, b in zip(at, coordinates(x), strict=True)]
    start = rational([*at, *(apart if extra == d else [max(apart)])])
    goal = [0] * d + [-1] * extra + [0]
    return -value(goal, ascend(lifted, start, goal)[0])


def effective_radius(twin: Twin) -> Fraction:
    """The least r for which the cube of radius r meets every linear region."""
    center = rational([0.0] * (len(twin.cells[0].point) - 1))
    least: dict[int, Fraction] = {}
    for label, cell in zip(linear_labels(twin), twin.cells, strict=True):
        far = distance(cell.rows, cell.point, center, np.inf)
        least[label] = min(least.get(label, far), far)
    return max(least.values())


def hoffman(rows: Sequence[Sequence[Fraction]]) -> Fraction:
    r"""The greatest ``1 / t`` of all row sets: t is the greatest with ``row . x <= -t`` in the unit cube."""
    d, found = len(rows[0]), []
    for k in range(1, len(rows) + 1):
        for chosen in combinations([row for row in rows if any(row)], k):
            program = [row_of([*row, 1, 0]) for row in chosen]
            for j in range(d):
                program += [row_of([s * (i == j) for i in range(d)] + [0, -1]) for s in (1, -1)]
            best = highest(program, (*[ZERO] * d, Fraction(1), ZERO), rational([0.0] * (d + 1)))
            if best:
                found.append(1 / best)
    return max(found)


def winners(exponents: Sequence[Sequence[Fraction]], coefficients: Sequence[Fraction]) -> list[int]:
    """The monomials that are somewhere greater than all others; of equal ones the first."""
    out = []
    for i, (a, b) in enumerate(zip(exponents, coefficients, strict=True)):
        rows, best = [], True
        for j, (c, e) in enumerate(zip(exponents, coefficients, strict=True)):
            row = [*(v - w for v, w in zip(c, a, strict=True)), e - b]
            if any(row[:-1]):
                rows.append(row_of(row))
            else:
                best = best and (row[-1] < 0 or (row[-1] == 0 and j >= i))
        if best and deepest(rows, [], rational([0.0] * len(a)))[0] > 0:
            out.append(i)
    return out

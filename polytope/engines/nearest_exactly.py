"""The point of a region nearest to a given one where a further row holds, in rational arithmetic.

Few rows decide: those that floats propose, and those that the nearest point of these breaks, until all others
hold there. Floats show that where their error bounds do; else the exact rows do.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from polytope.engines.walk import Opened
from polytope.exact.facets import value_at
from polytope.exact.nearest import NearestPoint, nearest_point
from polytope.exact.program import Row
from polytope.geometry.projection import Nearest
from polytope.ir.maps import FloatArray, IntArray
from polytope.regions.facet_search import EXACT_DIMENSIONS
from polytope.regions.region_rows import RegionRows

TOGETHER = 16  # broken rows that enter at once
WORK = 20_000_000  # products of large integers, in more than so many dimensions: some seconds


def nearest_in_region(
    opened: Opened, further: Row, start: FloatArray, norm: float, near: Nearest | None
) -> NearestPoint | None:
    """The point of a region's closure nearest to the start where a further row holds, if there is one.

    Arguments:
        further: ``d + 1`` integers.
        norm: 1, 2 or infinity.
        near: what floats say: rows that are likely tight, by their numbers in the region, and the step.

    Raises:
        SolverError: that is more work than expected.
    """
    rows, exact = opened.rows, opened.facets.exact_row
    chosen = _proposed(opened, start, near)
    known = [list(further), *map(exact, chosen)]
    first = list(range(len(known)))
    x = [Fraction(v) for v in start.tolist()]
    ahead = near.point if near is not None and near.point is not None else -_about(further)
    work = WORK if len(start) > EXACT_DIMENSIONS else np.inf
    while True:
        found = nearest_point(known, x, norm, first=first, ahead=ahead.tolist(), work=work)
        if found is None:
            return None
        broken = [i for i in _doubtful(rows, opened.facets.first, found.point) if i not in chosen]
        new = [(i, row) for i, row in ((i, exact(i)) for i in broken) if value_at(row, found.point) > 0]
        if not new:
            return found
        first = list(found.tight)
        chosen += [i for i, _ in new[:TOGETHER]]
        known += [row for _, row in new[:TOGETHER]]


def _proposed(opened: Opened, start: FloatArray, near: Nearest | None) -> list[int]:
    """The rows that floats call tight, and those of the bounds that the step ends on."""
    if near is None:
        return []
    tight = {int(i) for i in near.tight if i >= 0}
    if near.point is not None:
        low, high, column = opened.rows.bounds
        y = start + near.point
        ends = np.minimum(np.abs(y - low), np.abs(high - y)) <= 2.0**-40 * (1 + np.abs(near.point).max())
        single = opened.facets.first[column[opened.facets.first] >= 0]
        for i in single[ends[column[single]]].tolist():
            k = int(column[i])
            above = opened.rows.rows(np.array([i]))[0, k] > 0
            if (abs(high[k] - y[k]) < abs(y[k] - low[k])) == above:
                tight.add(i)
    return sorted(tight)


def _doubtful(rows: RegionRows, which: IntArray, point: Sequence[Fraction]) -> list[int]:
    """Some rows that floats do not show to hold at a rational point, those broken most first."""
    try:
        y = np.array([float(v) for v in point])
    except OverflowError:
        return list(map(int, which))
    with np.errstate(all="ignore"):
        room = rows.doubt(y) * (1 + 2.0**-20) + float(np.linalg.norm(np.spacing(np.abs(y))))
        value = rows.at(y)
        doubtful = which[~(value[which] <= -room[which])]
    order: list[int] = doubtful[np.argsort(-value[doubtful], kind="stable")].tolist()
    return order


def _about(row: Row) -> FloatArray:
    """The gradient of an integer row in floats, up to a factor."""
    size = max(map(abs, row[:-1])) or 1
    return np.array([v / size for v in row[:-1]])

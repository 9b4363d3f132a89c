r"""The walk by distance: Dijkstra over facets, whose distances from the start are only bounded until needed.

A region other than the start's is as far away as its nearest facet, and that facet's other side is no
farther. The distance of a row's hyperplane bounds that of its facet from below; a better bound is computed
when that one comes first, and whether there is a facet at all when the better one does. All bounds are proved
for the rows that there are exactly, and a row is only left out where it is proved to carry no facet.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from heapq import heappop, heappush
from math import frexp, ldexp

import numpy as np

from polytope.engines.walk import Opened, Walk
from polytope.errors import SolverError
from polytope.geometry.norm_distance import DUAL, dual_factor, nearest_where_zero
from polytope.geometry.projection import ROOM, Errors, Nearest, nearest_surely
from polytope.ir.forward import U
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.matrix import Matrix, compact, dense_rows, lengths, nbytes, single_entries, stacked
from polytope.regions.region_rows import RegionRows

BOUND, BETTER = 0, 1  # what the key of a queued facet is
BETTER_BY = 1.25  # bounds that grow by less are not worth another look
FAR = 2.0**30  # how many times farther than anything else rows are put aside, those of a region together
REMEMBERED = 1 << 29  # bytes of rows kept to measure distances
FEW = 64  # dimensions up to which least squares over all rows are cheap

Flip = tuple[
    int, int
]  # the unit that alone changes across a row and its piece there; (-1, -1): others may, too


@dataclass(frozen=True, eq=False)
class Row:
    """A row ``a s + at <= 0`` of unit length for steps s from the start, and bounds on its errors."""

    a: FloatArray
    at: float
    error: float
    tilt: float


@dataclass(frozen=True, eq=False)
class Seen:
    """What measuring needs of a region: the rows on more than one coordinate, and the box, from the start.

    Arguments:
        A, at: ``[m, d]`` and ``[m]``, rows ``A s + at <= 0`` for steps s from the start.
        errors: of these rows.
        numbers: ``[m]``, of the region's rows.
        low, high: ``[d]``, a box that holds all steps into the region.
    """

    A: Matrix
    at: FloatArray
    errors: Errors
    numbers: IntArray
    low: FloatArray
    high: FloatArray

    def nearest(self, i: int, *, norm: float, stop: float, rounds: int) -> Nearest:
        """The shortest step to where row i vanishes; bound 0 where HiGHS fails."""
        try:
            near = nearest_where_zero(
                self.A,
                self.at,
                i,
                self.low,
                self.high,
                norm=norm,
                stop=stop,
                rounds=rounds,
                errors=self.errors,
            )
        except SolverError:
            return Nearest(0.0, None)
        return self._numbered(near)

    def surely(self, i: int) -> Nearest:
        """The same by the norm 2 and by least squares over all rows, without the box."""
        rows = dense_rows(self.A, np.arange(len(self.at)))
        return self._numbered(nearest_surely(rows, self.at, i, self.errors))

    def _numbered(self, near: Nearest) -> Nearest:
        return Nearest(near.bound, near.point, self.numbers[near.tight])

    def with_row(self, row: Row) -> Seen:
        """One more row, behind the others, of number -1."""
        errors = Errors(np.append(self.errors.at, row.error), np.append(self.errors.tilt, row.tilt))
        rows = stacked([self.A, row.a[None]]), np.append(self.at, row.at)
        return Seen(*rows, errors, np.append(self.numbers, -1), self.low, self.high)


@dataclass(eq=False)
class Frontier:
    """Facets that may lead to new regions, in order of (bounds on) their distance from the start.

    Arguments:
        walk: what is walked through.
        start: a point of the domain, ``[d]``.
        norm: 1, 2 or infinity: what distances are measured by.
    """

    walk: Walk
    start: FloatArray
    norm: float = 2.0
    queue: list[tuple[float, int, int, int, Flip]] = field(
        default_factory=list
    )  # key, kind, region, row, flip
    known: list[tuple[int, int]] = field(default_factory=list)  # region, row: the other side is found already

    def __post_init__(self) -> None:
        self._seen: OrderedDict[int, Seen] = OrderedDict()

    def add(self, region: int, distance: float) -> None:
        """Queue all rows of a region."""
        opened = self.walk.open(region)
        self._remember(region, opened)
        rows, inner = opened.rows, opened.inner
        A, at, error = rows.A[inner], rows.at(self.start)[inner], rows.doubt(self.start)[inner]
        away = np.maximum(hyperplane_distances(A, at, Errors(error, rows.tilt[inner]), self.norm), distance)
        for key, row in zip(away.tolist(), inner.tolist(), strict=True):
            heappush(self.queue, (key, BOUND, region, row, self._flip(opened, row)))

    def step(self) -> None:
        """Take the first queued row one stage further."""
        key, kind, region, row, flip = heappop(self.queue)
        if flip[0] >= 0 and self._leads_back(region, flip):
            self.known.append((region, row))
            return
        if kind == BOUND:
            self._measure(key, region, row, flip)
            return
        opened = self.walk.open(region)
        for new in self.walk.cross(region, one_facet(opened, row, self.walk.domain.dim)):
            self.add(new, key)

    def _measure(self, key: float, region: int, row: int, flip: Flip) -> None:
        """Replace a bound by a better one, which is about the facet's distance; drop what is no facet."""
        following = self.queue[0][0] if self.queue else key
        self.walk.tally["measured"] += 1
        seen = self.seen(region)
        place = int(np.flatnonzero(seen.numbers == row)[0])
        stop = 1.5 * max(key, following)
        near = seen.nearest(place, norm=self.norm, stop=stop, rounds=60)
        if near.bound > FAR * stop > 0:  # most likely there is no facet: decided at the end, if at all
            heappush(self.queue, (_coarse(near.bound), BETTER, region, row, flip))
        elif near.point is not None:
            heappush(self.queue, (max(near.bound, key), BETTER, region, row, flip))
        elif near.bound > BETTER_BY * key:
            heappush(self.queue, (near.bound, BOUND, region, row, flip))
        elif one_facet(self.walk.open(region), row, self.walk.domain.dim):
            self.walk.tally["unmeasured"] += 1
            surely = self.surely(region, row, np.inf)
            heappush(self.queue, (max(key, near.bound, surely.bound), BETTER, region, row, flip))

    def seen(self, region: int) -> Seen:
        """The rows of a region that distances are measured with."""
        return self._seen.get(region) or self._remember(region, self.walk.open(region))

    def _remember(self, region: int, opened: Opened) -> Seen:
        self._seen[region] = known = seen_from(self.start, opened.rows, opened.curved)
        if len(self._seen) * nbytes(known.A) > REMEMBERED:
            self._seen.popitem(last=False)
        return known

    def surely(self, region: int, row: int | Row, stop: float) -> Nearest:
        """The nearest point of a region where a row vanishes, by the method that suits the dimension.

        Arguments:
            row: of the region, by number, or another one.
            stop: give up as soon as the distance is proved to be larger.
        """
        programs = self.walk.domain.dim > FEW or self.norm != 2
        opened = self.walk.open(region)
        seen = self.seen(region) if programs else all_seen_from(self.start, opened.rows, opened.facets.first)
        if isinstance(row, Row):
            seen, place = seen.with_row(row), len(seen.at)
        else:
            place = int(np.flatnonzero(seen.numbers == row)[0])
        return seen.nearest(place, norm=self.norm, stop=stop, rounds=500) if programs else seen.surely(place)

    def _flip(self, opened: Opened, row: int) -> Flip:
        rows = opened.rows
        if row in opened.facets.same or len(rows.ties) or rows.behind[row] < 0:
            return -1, -1
        return int(rows.unit[row]), int(rows.behind[row])

    def _leads_back(self, region: int, flip: Flip) -> bool:
        unit, piece = flip
        other = self.walk.patterns[region].copy()
        other[unit] = piece
        return other.tobytes() in self.walk.numbers

    def finish(self) -> bool:
        """Decide the rows put aside; whether that found a region after all."""
        count = len(self.walk.patterns)
        while self.known:
            region, row = self.known.pop()
            if self.walk.budget.spent(len(self.walk.patterns)):
                return True
            opened = self.walk.open(region)
            for new in self.walk.cross(region, one_facet(opened, row, self.walk.domain.dim)):
                self.add(new, 0.0)
        return len(self.walk.patterns) > count


def by_distance(walk: Walk, start: FloatArray) -> bool:
    """Regions by their distance from the start. Whether all were found."""
    frontier = Frontier(walk, start)
    frontier.add(0, 0.0)
    while frontier.queue or frontier.finish():
        if walk.budget.spent(len(walk.patterns)):
            return False
        if frontier.queue:
            frontier.step()
        walk.tell(len(frontier.queue))
    return not walk.cut_short


def one_facet(opened: Opened, row: int, dim: int) -> dict[int, FloatArray]:
    """The facet on a row with a point inside it; empty where the other rows imply it."""
    wanted = np.array([row])
    if opened.facets.tiny:
        return opened.facets.by_programs(wanted)
    found = opened.facets.by_rays(wanted, wanted)
    if not found and dim > 16:  # below, a linear program is as cheap
        found = opened.facets.by_nearest_points(wanted)
    return found or opened.facets.by_programs(wanted)


def hyperplane_distances(A: Matrix, at: FloatArray, errors: Errors, norm: float) -> FloatArray:
    """Lower bounds on the distances of hyperplanes, of unit rows A with values ``at``."""
    size = 1.0 if norm == 2 else lengths(A, DUAL[norm])
    tilt = dual_factor(norm, A.shape[1]) * (errors.tilt + A.shape[1] * U)
    out: FloatArray = np.maximum(np.abs(at) - errors.at, 0.0) / ((size + tilt) * (1 + 8 * U))
    return out


def _coarse(bound: float) -> float:
    """A bound that is no greater, one for many."""
    return ldexp(1.0, 30 * ((frexp(bound)[1] - 1) // 30))


def seen_from(start: FloatArray, rows: RegionRows, which: IntArray) -> Seen:
    """Some rows of a region for steps from a point, and the box that rows on single coordinates make."""
    low, high, column = rows.bounds
    single, axis, slope = single_entries(rows.A)
    ends = np.abs(np.stack([low, high]))
    ends[~np.isfinite(ends)] = 0.0
    far = ends.max(axis=0)[axis]
    moved = np.zeros(len(low))  # what the true ends may differ by
    errors = np.where(column[single] >= 0, rows.shift[single] + rows.tilt[single] * far, 0.0)
    np.maximum.at(moved, axis, 2 * errors / np.abs(slope))
    moved += 8 * U * (ends.max(axis=0) + np.abs(start))
    at = rows.at(start)[which], Errors(rows.doubt(start)[which] * ROOM, rows.tilt[which])
    return Seen(compact(rows.A[which]), *at, which, low - start - moved, high - start + moved)


def all_seen_from(start: FloatArray, rows: RegionRows, which: IntArray) -> Seen:
    """Rows of a region for steps from a point, those on single coordinates like others."""
    none = np.full(len(start), np.inf)
    at = rows.at(start)[which], Errors(rows.doubt(start)[which] * ROOM, rows.tilt[which])
    return Seen(rows.A[which], *at, which, -none, none)

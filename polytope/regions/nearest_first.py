r"""The walk by distance: Dijkstra over facets, whose distances from the start are only bounded until needed.

A region other than the start's is as far away as its nearest facet, and that facet's other side is no
farther. The distance of a row's hyperplane bounds that of its facet from below; the true one is computed
when that bound comes first, and whether there is a facet at all when the true one does.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from heapq import heappop, heappush

import numpy as np

from polytope.errors import SolverError
from polytope.geometry.norm_distance import DUAL, nearest_where_zero
from polytope.geometry.projection import Nearest, nearest_surely
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.matrix import Matrix, compact, lengths, nbytes, stacked
from polytope.regions.walk import Opened, Walk

BOUND, TRUE = 0, 1  # what the key of a queued facet is
REMEMBERED = 1 << 29  # bytes of rows kept to measure distances

Flip = tuple[
    int, int
]  # the unit that alone changes across a row and its piece there; (-1, -1): others may, too


@dataclass(frozen=True, eq=False)
class Curved:
    """What measuring needs of a region: the rows on more than one coordinate, their numbers, and the box."""

    A: Matrix
    c: FloatArray
    numbers: IntArray
    box: tuple[FloatArray, FloatArray]

    def with_row(self, row: FloatArray) -> tuple[Matrix, FloatArray]:
        """The rows and one more, ``[d + 1]``, behind them."""
        return stacked([self.A, row[None, :-1]]), np.append(self.c, row[-1])


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
        self._curved: OrderedDict[int, Curved] = OrderedDict()

    def add(self, region: int, distance: float) -> None:
        """Queue all rows of a region."""
        opened = self.walk.open(region)
        self._remember(region, opened)
        rows = opened.rows
        away = np.abs(rows.at(self.start)[opened.inner])
        if self.norm != 2:  # rows have unit length
            away /= lengths(rows.A[opened.inner], DUAL[self.norm])
        away = np.maximum(away, distance)
        for key, row in zip(away.tolist(), opened.inner.tolist(), strict=True):
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
        """Replace a bound by the facet's true distance, or by a better bound; drop what is no facet."""
        following = self.queue[0][0] if self.queue else key
        self.walk.tally["measured"] += 1
        near = self._nearest(region, row, stop=1.5 * max(key, following), rounds=60)
        if near.point is not None:
            heappush(self.queue, (max(near.bound, key), TRUE, region, row, flip))
        elif key * (1 + 1e-9) < near.bound < np.inf:
            heappush(self.queue, (near.bound, BOUND, region, row, flip))
        elif one_facet(self.walk.open(region), row, self.walk.domain.dim):
            point = self._surely(region, row)
            away = key if point is None else max(float(np.linalg.norm(point - self.start, self.norm)), key)
            self.walk.tally["unmeasured"] += point is None
            heappush(self.queue, (away, TRUE, region, row, flip))

    def _nearest(self, region: int, row: int, *, stop: float, rounds: int) -> Nearest:
        known = self.curved(region)
        place = int(np.flatnonzero(known.numbers == row)[0])
        return self.nearest_on(known.A, known.c, place, known.box, stop=stop, rounds=rounds)

    def curved(self, region: int) -> Curved:
        """The rows of a region that distances are measured with."""
        return self._curved.get(region) or self._remember(region, self.walk.open(region))

    def nearest_on(
        self,
        A: Matrix,
        c: FloatArray,
        i: int,
        box: tuple[FloatArray, FloatArray],
        *,
        stop: float,
        rounds: int,
    ) -> Nearest:
        """The point nearest to the start with ``A y + c <= 0`` and row i zero; bound 0 where HiGHS fails."""
        try:
            return nearest_where_zero(A, c, i, self.start, *box, norm=self.norm, stop=stop, rounds=rounds)
        except SolverError:
            return Nearest(0.0, None)

    def _remember(self, region: int, opened: Opened) -> Curved:
        rows, curved = opened.rows, opened.curved
        low, high, _ = rows.bounds
        self._curved[region] = known = Curved(compact(rows.A[curved]), rows.c[curved], curved, (low, high))
        if len(self._curved) * nbytes(known.A) > REMEMBERED:
            self._curved.popitem(last=False)
        return known

    def _surely(self, region: int, row: int) -> FloatArray | None:
        """The nearest point of a facet, by the method that suits the dimension; ``None`` if it gives up."""
        if self.walk.domain.dim > 64 or self.norm != 2:
            return self._nearest(region, row, stop=np.inf, rounds=500).point
        opened = self.walk.open(region)
        kept = opened.facets.first
        return nearest_surely(opened.rows.rows(kept), int(np.flatnonzero(kept == row)[0]), self.start)

    def nearest_in(self, region: int, row: FloatArray) -> FloatArray | None:
        """The point of a region nearest to the start where a unit row vanishes, by a method never stuck.

        ``None`` where there is none, by another norm than the Euclidean, and in many dimensions.
        """
        if self.walk.domain.dim > 64 or self.norm != 2:
            return None
        opened = self.walk.open(region)
        rows = np.concatenate([opened.rows.rows(opened.facets.first), row[None]])
        point = nearest_surely(rows, len(rows) - 1, self.start)
        if point is None or (rows[:, :-1] @ point + rows[:, -1]).max() > 1e-9 * (1 + np.abs(point).max()):
            return None
        return point

    def meets(self, region: int, row: FloatArray) -> bool:
        """Whether a unit row may vanish in a region: false is proved by a linear program."""
        known = self.curved(region)
        A, c = known.with_row(row)
        try:
            near = nearest_where_zero(A, c, len(c) - 1, self.start, *known.box, norm=np.inf, rounds=500)
        except SolverError:
            return True
        return near.bound < np.inf

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

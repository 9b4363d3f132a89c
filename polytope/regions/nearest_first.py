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

from polytope.geometry.projection import Nearest, nearest_on_row, nearest_surely
from polytope.ir.maps import FloatArray, IntArray
from polytope.regions.facets import FacetPoint
from polytope.regions.walk import Opened, Walk

BOUND, TRUE = 0, 1  # what the key of a queued facet is
REMEMBERED = 1 << 29  # bytes of rows kept to measure distances


@dataclass(frozen=True, eq=False)
class Curved:
    """What measuring needs of a region: the rows on more than one coordinate, their numbers, and the box."""

    rows: FloatArray
    numbers: IntArray
    box: tuple[FloatArray, FloatArray]


@dataclass(eq=False)
class Frontier:
    """Facets that may lead to new regions, in order of (bounds on) their distance from the start."""

    walk: Walk
    start: FloatArray
    queue: list[tuple[float, int, int, int, int]] = field(
        default_factory=list
    )  # key, kind, region, row, flip
    known: list[tuple[int, int]] = field(default_factory=list)  # region, row: the other side is found already

    def __post_init__(self) -> None:
        self._curved: OrderedDict[int, Curved] = OrderedDict()

    def add(self, region: int, distance: float) -> None:
        """Queue all rows of a region."""
        opened = self.walk.open(region)
        self._remember(region, opened)
        rows = opened.rows.rows[opened.inner]
        away = np.maximum(np.abs(rows[:, :-1] @ self.start + rows[:, -1]), distance)
        for key, row in zip(away.tolist(), opened.inner.tolist(), strict=True):
            heappush(self.queue, (key, BOUND, region, row, self._flip(opened, row)))

    def step(self) -> None:
        """Take the first queued row one stage further."""
        key, kind, region, row, flip = heappop(self.queue)
        if flip >= 0 and self._leads_back(region, flip):
            self.known.append((region, row))
            return
        if kind == BOUND:
            self._measure(key, region, row, flip)
            return
        opened = self.walk.open(region)
        for new in self.walk.cross(region, one_facet(opened, row, self.walk.domain.dim)):
            self.add(new, key)

    def _measure(self, key: float, region: int, row: int, flip: int) -> None:
        """Replace a bound by the facet's true distance, or by a better bound."""
        following = self.queue[0][0] if self.queue else key
        self.walk.tally["measured"] += 1
        near = self._nearest(region, row, stop=1.5 * max(key, following), rounds=60)
        if near.point is not None:
            heappush(self.queue, (max(near.bound, key), TRUE, region, row, flip))
        elif near.bound > key * (1 + 1e-9):
            heappush(self.queue, (near.bound, BOUND, region, row, flip))
        elif one_facet(self.walk.open(region), row, self.walk.domain.dim):
            point = self._surely(region, row)
            away = key if point is None else max(float(np.linalg.norm(point - self.start)), key)
            self.walk.tally["unmeasured"] += point is None
            heappush(self.queue, (away, TRUE, region, row, flip))

    def _nearest(self, region: int, row: int, *, stop: float, rounds: int) -> Nearest:
        known = self._curved.get(region) or self._remember(region, self.walk.open(region))
        place = int(np.flatnonzero(known.numbers == row)[0])
        low, high = known.box
        return nearest_on_row(known.rows, place, self.start, low, high, stop=stop, rounds=rounds)

    def _remember(self, region: int, opened: Opened) -> Curved:
        self._curved[region] = known = Curved(opened.rows.rows[opened.curved], opened.curved, opened.box)
        if len(self._curved) * known.rows.nbytes > REMEMBERED:
            self._curved.popitem(last=False)
        return known

    def _surely(self, region: int, row: int) -> FloatArray | None:
        """The nearest point of a facet, by the method that suits the dimension; ``None`` if it gives up."""
        if self.walk.domain.dim > 64:
            return self._nearest(region, row, stop=np.inf, rounds=500).point
        opened = self.walk.open(region)
        kept = opened.facets.first
        return nearest_surely(opened.rows.rows[kept], int(np.flatnonzero(kept == row)[0]), self.start)

    def _flip(self, opened: Opened, row: int) -> int:
        """The unit of two pieces that alone changes across a row, or -1 where others may too."""
        unit, number = int(opened.rows.unit[row]), opened.rows.cuts[row].number
        pieces = self.walk.tables[number - 1].pieces[unit - self.walk.network.unit_offsets[number - 1]]
        return unit if opened.simple and len(pieces) == 2 else -1

    def _leads_back(self, region: int, flip: int) -> bool:
        other = self.walk.patterns[region].copy()
        other[flip] = 1 - other[flip]
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
    return True


def one_facet(opened: Opened, row: int, dim: int) -> dict[int, FacetPoint]:
    """The facet on a row with a point inside it; empty where the other rows imply it."""
    if opened.facets.tiny:
        return {i: point for i, point in opened.facets.all().items() if i == row}
    wanted = np.array([row])
    found = opened.facets.by_rays(wanted)
    if not found and dim > 16:  # below, a linear program is as cheap
        found = opened.facets.by_nearest_points(wanted)
    return found or opened.facets.by_programs(wanted)

"""Regions known to a walk, their facets, and the walk by hops: all regions of one ring before the next."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from polytope.engines.budget import Budget, Progress
from polytope.exact.rows import ExactRows
from polytope.geometry.centering import deeper
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Network
from polytope.ir.activations import PatternArray
from polytope.ir.boundaries import LayerBoundaries
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.matrix import compact, dense_rows
from polytope.regions.adjacency import pattern_across
from polytope.regions.crossing import Crosser, is_inside
from polytope.regions.facet_search import EXACT_DIMENSIONS, RAYS, FacetSearch
from polytope.regions.region_rows import RegionRows, region_rows
from polytope.regions.start import first_region

REMEMBERED = 32  # regions whose rows are kept: a few megabytes each in hundreds of dimensions
TOGETHER = 16  # rows that are decided between two looks at the budget; linear programs in many dimensions: 1


@dataclass(frozen=True, eq=False)
class Opened:
    """A region with its rows and the search for its facets.

    Arguments:
        rows, facets: as they are called.
        inner: the rows that units contribute, without repetitions.
        curved: the rows that are not bounds of the domain on single coordinates.
    """

    rows: RegionRows
    facets: FacetSearch
    inner: IntArray
    curved: IntArray


@dataclass(eq=False)
class Walk:
    """What a walk has found so far, and how it steps on.

    Arguments:
        network, domain, tables: what is walked through.
        budget, progress: when to stop, whom to tell.
        outputs: whether regions are opened with the network's outputs on them.
        cut_short: whether the budget ended a step, so that what lies behind some facet was not looked at.
    """

    network: Network
    domain: Polyhedron
    tables: Sequence[LayerBoundaries]
    budget: Budget
    progress: Progress | None
    outputs: bool = False
    cut_short: bool = False
    patterns: list[PatternArray] = field(default_factory=list)
    points: list[FloatArray] = field(default_factory=list)
    carriers: list[set[int]] = field(default_factory=list)
    edges: set[tuple[int, int]] = field(default_factory=set)
    tally: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.exact = ExactRows(self.network, self.domain.rows, self.domain.b, self.tables)
        self.crosser = Crosser(self.network, self.domain, self.tables, self.exact)
        self.numbers: dict[bytes, int] = {}
        self._centered: set[int] = set()
        self._opened: OrderedDict[int, Opened] = OrderedDict()

    def begin(self, start: FloatArray) -> None:
        """Find the region that holds the start; on a boundary, one of those around it."""
        pattern, point, sure = first_region(self.crosser, start)
        self.tally["undecided"] += not sure
        self.admit(pattern, point)

    def admit(self, pattern: PatternArray, point: FloatArray) -> int:
        """Add a region."""
        self.numbers[pattern.tobytes()] = number = len(self.patterns)
        self.patterns.append(pattern)
        self.points.append(point)
        self.carriers.append(set())
        return number

    def admit_unseen(self, pattern: PatternArray, start: FloatArray) -> int:
        """Add a region, which may be empty, to measure how far from the start it is."""
        number = self.admit(pattern, start)
        self._centered.add(number)
        return number

    def open(self, region: int) -> Opened:
        """A region's rows; those of the last few regions are remembered."""
        known = self._opened.pop(region, None)
        if known is None:
            pattern = self.patterns[region]
            rows = region_rows(
                self.network, self.domain, self.tables, pattern, self.exact, outputs=self.outputs
            )
            if region not in self._centered:
                self._center(region, rows)
            known = _opened(rows, FacetSearch(rows, self.points[region], pattern, self.exact))
            self.tally["opened"] += 1
        self._opened[region] = known
        if len(self._opened) > REMEMBERED:
            self._forget()
        return known

    def _center(self, region: int, rows: RegionRows) -> None:
        """Move a region's point deeper inside."""
        self._centered.add(region)
        low, high, column = rows.bounds
        curved = column < 0
        point = deeper(compact(rows.A[curved]), rows.c[curved], low, high, self.points[region])
        if is_inside(rows, point):
            self.points[region] = point

    def _forget(self) -> None:
        _, oldest = self._opened.popitem(last=False)
        self.tally["undecided"] += len(oldest.facets.undecided)

    @property
    def sure(self) -> bool:
        """Whether every question so far was decided."""
        here = sum(len(known.facets.undecided) for known in self._opened.values())
        return self.tally["undecided"] + here == 0

    def behind(self, region: int, row: int) -> PatternArray:
        """The pattern behind the facet on a row of a region."""
        opened = self.open(region)
        return pattern_across(opened.rows, opened.facets.equal_to(row), self.patterns[region], self.exact)

    def cross(self, region: int, facets: dict[int, FloatArray]) -> list[int]:
        """Step over facets of a region: the regions that are new, in order, until the budget is spent.

        Arguments:
            facets: rows of units that carry facets, with a point inside each.
        """
        rows = self.open(region).rows
        far = {i: self.behind(region, i) for i in facets}
        unknown = [i for i, pattern in far.items() if pattern.tobytes() not in self.numbers]
        points = dict(zip(unknown, self._points_behind(rows, far, facets, unknown), strict=True))
        self.tally["crossed"] += len(facets)
        new: list[int] = []
        for i, pattern in far.items():
            number = self.numbers.get(pattern.tobytes())
            if number is None:
                point = points[i]
                if point is None:
                    self.tally["undecided"] += 1
                    continue
                if self.budget.spent(len(self.patterns)):
                    self.cut_short = True
                    break
                number = self.admit(pattern, point)
                new.append(number)
            self.carriers[region].add(int(rows.unit[i]))
            self.edges.add((min(region, number), max(region, number)))
        return new

    def _points_behind(
        self,
        rows: RegionRows,
        far: dict[int, PatternArray],
        facets: dict[int, FloatArray],
        which: list[int],
    ) -> list[FloatArray | None]:
        """Points strictly inside the regions behind some facets; ``None`` where none is proved."""
        if not which:
            return []
        patterns, points = np.array([far[i] for i in which]), np.array([facets[i] for i in which])
        inside, sure = self.crosser.inside(patterns, points, dense_rows(rows.A, np.array(which)))
        return [point if proved else None for point, proved in zip(inside, sure.tolist(), strict=True)]

    def tell(self, open_regions: int) -> None:
        """Report progress."""
        if self.progress:
            self.progress(len(self.patterns), open_regions)

    def candidates(self) -> tuple[IntArray, ...]:
        """Per region the units that carry its facets, and all rows of the domain."""
        faces = -1 - np.arange(len(self.domain.b), dtype=np.int64)
        return tuple(
            np.concatenate([faces[::-1], np.array(sorted(units), dtype=np.int64)]) for units in self.carriers
        )

    def neighbours(self) -> IntArray:
        """The pairs of regions that share a facet, ``int[E, 2]``."""
        return np.array(sorted(self.edges), dtype=np.int64).reshape(-1, 2)


def _opened(rows: RegionRows, facets: FacetSearch) -> Opened:
    first = facets.first
    units = rows.unit[first] >= 0
    return Opened(rows, facets, first[units], first[units | (rows.bounds[2][first] < 0)])


def by_hops(walk: Walk) -> bool:
    """Ring after ring; in each, facets that are cheap to find first. Whether all regions were found."""
    ring, together = [0], TOGETHER if walk.domain.dim <= EXACT_DIMENSIONS else 1
    while ring:
        after: list[int] = []
        left: list[tuple[int, IntArray]] = []
        for region in ring:
            rest = walk.open(region).inner
            for found, undecided in _cheap_facets(walk, walk.open(region)):
                rest = undecided
                after += walk.cross(region, found)
                walk.tell(len(ring) + len(after))
                if walk.budget.spent(len(walk.patterns)):
                    return False
            left += [(region, rest[i : i + together]) for i in range(0, len(rest), together)]
        for region, rows in left:
            after += walk.cross(region, walk.open(region).facets.by_programs(rows))
            if walk.budget.spent(len(walk.patterns)):
                return False
        ring = after
    return not walk.cut_short


def _cheap_facets(walk: Walk, opened: Opened) -> Iterator[tuple[dict[int, FloatArray], IntArray]]:
    """Facets by rays, in high dimension by nearest points too, and the rows that this leaves open.

    Where float64 cannot tell the rows apart, all facets, exactly.
    """
    if opened.facets.tiny:
        found = opened.facets.all()
        yield {i: p for i, p in found.items() if opened.rows.unit[i] >= 0}, opened.inner[:0]
        return
    rays = rest = opened.facets.nearest_first(opened.inner)
    for i in range(0, len(rays), RAYS):
        found = opened.facets.by_rays(rays[i : i + RAYS], rest)
        rest = rest[~np.isin(rest, list(found))]
        yield found, rest
    if walk.domain.dim <= 16:  # a linear program is as cheap
        return
    near = rest
    for i in range(0, len(near), TOGETHER):
        found = opened.facets.by_nearest_points(near[i : i + TOGETHER])
        rest = rest[~np.isin(rest, list(found))]
        yield found, rest

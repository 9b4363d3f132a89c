r"""Irredundant facets of regions: rays from the interior point first, a linear program for each other row.

In the coordinates :math:`y = (x - x_0) / \rho`, with :math:`\rho` the distance from the interior point to
the nearest row, every region contains the unit ball, so one tolerance suits regions of every size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np

from polytope.errors import SolverError
from polytope.exact.facets import ExactFacet, exact_facet, exact_facets, same_hyperplane
from polytope.exact.rows import ExactRows
from polytope.geometry.lp import FacetProgram
from polytope.geometry.polyhedron import UNBOUNDED, Polyhedron
from polytope.geometry.projection import nearest_on_row
from polytope.ir import Network
from polytope.ir.activations import PatternArray
from polytope.ir.boundaries import LayerBoundaries
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.matrix import Matrix, compact, dense_rows, product
from polytope.regions.found import Facets
from polytope.regions.region_rows import RegionRows, region_rows

EXACT_DIMENSIONS = 64  # above, exact linear programs are only for few rows besides those of a box
EXACT_NUMBERS = 1 << 16  # in those rows
WORK = 4_000_000  # products of large integers in one decision there: some seconds


def facets_of(
    network: Network,
    domain: Polyhedron,
    tables: Sequence[LayerBoundaries],
    patterns: PatternArray,
    interior_points: FloatArray,
    candidates: Sequence[IntArray] | None,
) -> Facets:
    """The irredundant facets of every region, with a point inside each.

    Arguments:
        patterns, interior_points: ``int8[R, units]``, ``[R, d]``.
        candidates: per region the units and domain rows that can carry facets; all, where ``None``.

    Raises:
        SolverError: in so many dimensions, it is not decided whether some row carries a facet.
    """
    exact = ExactRows(network, domain.A, domain.b, tables)
    units, points, counts, small = [], [], [0], {}
    for number, (pattern, x0) in enumerate(zip(patterns, interior_points, strict=True)):
        carriers = None if candidates is None else candidates[number]
        described = region_rows(network, domain, tables, pattern, carriers)
        search = FacetSearch(described, x0, pattern, exact)
        found = search.all()
        if search.undecided:
            raise SolverError(
                f"Whether {search.undecided} rows of region {number} carry facets is not decided in "
                f"{domain.dim} dimensions."
            )
        units.append(described.unit[list(found)])
        for k, (_, facet) in enumerate(found.values()):
            if facet is not None:
                small[sum(counts) + k] = facet
        points += [point for point, _ in found.values()]
        counts.append(len(found))
    return Facets(
        np.cumsum(counts),
        np.concatenate([np.zeros(0, np.int64), *units]),
        np.array(points).reshape(-1, domain.dim),
        small,
    )


def exactly(
    described: RegionRows,
    unit: int,
    near: FloatArray,
    x0: FloatArray,
    pattern: PatternArray,
    exact: ExactRows,
) -> ExactFacet | None:
    """The facet of a region on a unit's boundary next to a point, in rationals.

    Raises:
        SolverError: in so many dimensions it took too long.
    """
    off = np.abs(described.at(near))
    i = int(np.where(described.unit == unit, off, np.inf).argmin())
    rows = [exact(cut, pattern).tolist() for cut in described.cuts]
    others = [row for row in rows if not same_hyperplane(row, rows[i])]
    return exact_facet([*others, rows[i]], x0, work=_work(x0))


def affordable(described: RegionRows) -> bool:
    """Whether linear programs over the rows in exact arithmetic end within seconds."""
    d = described.A.shape[1]
    inner = int(np.count_nonzero(described.bounds[2] < 0))
    return bool(d <= EXACT_DIMENSIONS or inner * d <= EXACT_NUMBERS)


def _work(x0: FloatArray) -> float:
    return WORK if len(x0) > EXACT_DIMENSIONS else np.inf


SMALL = 1 << 16  # numbers in the rows that the compiled simplex method takes
RAYS = 64  # shot at once

FacetPoint = tuple[FloatArray, ExactFacet | None]


class FacetSearch:
    """The facets of one region: rays first, then nearest points, then linear programs, exact ones last.

    Arguments:
        described: the rows of the region.
        x0: a point inside.
        pattern, exact: what the rows are in exact arithmetic.

    Attributes:
        first: the first row of each set of rows with one hyperplane (rows of the domain before units).
        tiny: whether float64 cannot tell the point from the rows; all facets are found exactly then.
        undecided: rows that neither float64 nor, in so many dimensions, exact arithmetic could decide.
    """

    def __init__(
        self, described: RegionRows, x0: FloatArray, pattern: PatternArray, exact: ExactRows
    ) -> None:
        self._described, self._x0, self._pattern, self._exact = described, x0, pattern, exact
        self._A, slack = described.A, -described.at(x0)
        self._rho = float(slack.min(initial=np.inf))
        size = float(np.abs(described.c).max(initial=0.0) + np.abs(x0).max())
        self.tiny = len(slack) > 0 and self._rho <= 2.0**-40 * size and len(x0) <= EXACT_DIMENSIONS
        self.first = np.arange(len(slack))
        self.undecided = 0
        self._programs: dict[float, FacetProgram] = {}
        if not self.tiny and len(slack):
            self._height = slack / self._rho
            self.first = _first_of_equal(self._A, self._height, self._exact_row)
            alone = len(self.first) == len(slack)
            self._kept = self._A if alone else self._A[self.first]

    def _exact_row(self, i: int) -> list[int]:
        row: list[int] = self._exact(self._described.cut(i), self._pattern).tolist()
        return row

    def all(self) -> dict[int, FacetPoint]:
        """The numbers of the rows that carry facets, and a point in the relative interior of each facet."""
        if self.tiny:
            exactly = exact_facets([self._exact_row(i) for i in range(len(self._described))])
            return {i: (np.array([float(v) for v in facet.point]), facet) for i, facet in exactly.items()}
        found: dict[int, FacetPoint] = {}
        for i in range(0, len(self.first), RAYS):
            found |= self.by_rays(self.first[i : i + RAYS], self.first)
        found |= self.by_programs(np.array([i for i in self.first.tolist() if i not in found], dtype=int))
        return dict(sorted(found.items()))

    def nearest_first(self, rows: IntArray) -> IntArray:
        """Rows in order of their distance from the interior point."""
        return rows[np.argsort(self._height[rows], kind="stable")]

    def by_rays(self, rays: IntArray, wanted: IntArray) -> dict[int, FacetPoint]:
        """Facets among the wanted rows that rays along the normals of some rows meet first, alone."""
        if not len(rays):
            return {}
        normals = dense_rows(self._A, rays)
        numbers, points = _shoot(self._kept, self._height[self.first], normals)
        rows = self.first[numbers]
        mine = np.isin(rows, wanted)
        return {i: self._here(y) for i, y in zip(rows[mine].tolist(), points[mine], strict=True)}

    def by_nearest_points(self, wanted: IntArray) -> dict[int, FacetPoint]:
        """Wanted facets behind which a nearest point is found; says nothing of the others."""
        found = {}
        inner, rows = self._inner
        low, high, _ = self._described.bounds
        low, high = (low - self._x0) / self._rho, (high - self._x0) / self._rho
        for i in wanted[np.isin(wanted, inner)].tolist():
            k = int(np.flatnonzero(inner == i)[0])
            for times in (2.0, 1.01):  # far behind the row, the point on it is deep inside the facet
                behind = -self._height[inner]
                behind[k] *= times
                zero = np.zeros(len(self._x0))
                y = nearest_on_row(rows, behind, k, zero, low, high, rounds=12).point
                if y is not None:
                    found[i] = self._here(y / times)
                    break
        return found

    @cached_property
    def _inner(self) -> tuple[IntArray, Matrix]:
        """The rows that are not bounds of a coordinate, by number, and their normals."""
        inner = self.first[self._described.bounds[2][self.first] < 0]
        return inner, compact(self._A[inner])

    def by_programs(self, wanted: IntArray) -> dict[int, FacetPoint]:
        """All facets among the wanted rows."""
        found: dict[int, FacetPoint] = {}
        known = self._compiled(wanted)
        for i in wanted.tolist():
            y = known[i] if i in known else self._point(int(np.flatnonzero(self.first == i)[0]))
            if y is None:
                facet = self._exactly(i)
                if facet is not None:
                    found[i] = (np.array([float(v) for v in facet.point]), facet)
            elif len(y):
                found[i] = self._here(y)
        return found

    def _compiled(self, wanted: IntArray) -> dict[int, FloatArray]:
        """What the compiled simplex method says of rows: a point of the facet, nothing if there is none."""
        if not len(wanted) or len(self.first) * (len(self._x0) + 1) > SMALL:
            return {}
        from polytope.regions.kernels_facets import FACET, UNCLEAR, decided  # numba only when it is needed

        places = np.flatnonzero(np.isin(self.first, wanted))
        height = self._height[self.first]
        normals = dense_rows(self._A, self.first)
        states, beyond = decided(np.concatenate([normals, -height[:, None]], axis=1), places)
        found: dict[int, FloatArray] = {}
        for place, state, y in zip(places.tolist(), states.tolist(), beyond, strict=True):
            if state != UNCLEAR:
                on_row = height[place] / float(normals[place] @ y) if state == FACET else 0.0
                found[int(self.first[place])] = y * on_row if state == FACET else y[:0]
        return found

    def _exactly(self, i: int) -> ExactFacet | None:
        if affordable(self._described):
            rest = [self._exact_row(j) for j in self.first.tolist() if j != i]
            try:
                return exact_facet([*rest, self._exact_row(i)], self._x0, work=_work(self._x0))
            except SolverError:  # more work than expected
                pass
        self.undecided += 1
        return None

    def _point(self, i: int) -> FloatArray | None:
        """A point of a facet; empty where the other rows imply it; ``None`` where the margin is too small."""
        best, height = None, float(self._height[self.first[i]])
        for bound in self._reaches:  # near points first: they are the accurate ones
            if bound not in self._programs:
                self._programs[bound] = FacetProgram(self._kept, -self._height[self.first], bound)
            try:
                best = self._programs[bound].beyond(i)
            except SolverError:
                continue
            if best.bounded or best.value > 1e-6:
                break
        if best is not None and best.value > 1e-6:
            return best.point * (height / (height + best.value))
        return np.zeros(0) if best is not None and best.value < -1e-6 and best.bounded else None

    @cached_property
    def _reaches(self) -> tuple[float, ...]:
        """Artificial bounds of linear programs; no large one where it would decide nothing."""
        low, high, _ = self._described.bounds
        bounded = bool(np.isfinite(low).all() and np.isfinite(high).all())
        return (1e3, UNBOUNDED) if bounded or not affordable(self._described) else (1e3,)

    def _here(self, y: FloatArray) -> FacetPoint:
        return self._x0 + self._rho * y, None


def _first_of_equal(A: Matrix, height: FloatArray, exact: Callable[[int], list[int]]) -> IntArray:
    """The first row of each set of rows with one hyperplane (rows of the domain come before units).

    Rows that rounding cannot tell apart are compared exactly: they are neighbours by the length of their
    shadow on one direction.
    """
    direction: FloatArray = np.random.default_rng(0).standard_normal((A.shape[1],))
    size = 2.0**-40 * (1.0 + np.abs(height))
    shadow: FloatArray = product(A, direction)
    width: FloatArray = size * np.abs(direction).sum()
    order = np.argsort(shadow, kind="stable")
    first = np.searchsorted(shadow[order], shadow - width)
    count = np.searchsorted(shadow[order], shadow + width) - first
    i = np.repeat(np.arange(len(height)), count)
    k = order[np.arange(len(i)) - np.repeat(np.cumsum(count) - count - first, count)]
    near = (k < i) & (np.abs(height[k] - height[i]) <= size[i])
    near[near] = _largest_differences(A, i[near], k[near]) <= size[i[near]]
    kept = np.ones(len(height), dtype=bool)
    for a, b in sorted(zip(i[near].tolist(), k[near].tolist(), strict=True)):
        if kept[a] and kept[b]:
            kept[a] = not same_hyperplane(exact(b), exact(a))
    return np.flatnonzero(kept)


def _largest_differences(A: Matrix, i: IntArray, k: IntArray) -> FloatArray:
    """The largest absolute entry of ``A[i] - A[k]``, pair by pair."""
    parts = [np.zeros(0)]
    for start in range(0, len(i), RAYS):
        some = slice(start, start + RAYS)
        parts.append(np.abs(dense_rows(A, i[some]) - dense_rows(A, k[some])).max(axis=1))
    return np.concatenate(parts)


def _shoot(A: Matrix, height: FloatArray, normals: FloatArray) -> tuple[IntArray, FloatArray]:
    """Rows that rays from the origin meet first, alone, each once, and the points where they meet them."""
    speed = product(A, normals.T).T
    reach = np.full(speed.shape, np.inf)  # [ray, row]
    np.divide(height, speed, out=reach, where=speed > 1e-9)
    first = reach.argmin(axis=1)
    rays = np.arange(len(normals))
    nearest = reach[rays, first]
    reach[rays, first] = np.inf
    alone = np.isfinite(nearest) & (reach.min(axis=1) > nearest * (1 + 1e-6))
    rows, ray = np.unique(first[alone], return_index=True)
    ray = np.flatnonzero(alone)[ray]
    return rows, nearest[ray, None] * normals[ray]

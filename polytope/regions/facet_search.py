r"""Irredundant facets of regions: rays from the interior point first, then linear programs, exact ones last.

Floats propose points beyond rows and multipliers that imply them; what their error bounds do not prove
(see ``float_proofs``) is decided in rational arithmetic. In the coordinates :math:`y = (x - x_0) / \rho`,
with :math:`\rho` the distance from the interior point to the nearest row, every region contains the unit
ball, so that proposals suit regions of every size.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from polytope.core.proposals import FAILED, proposals
from polytope.errors import SolverError
from polytope.exact.facets import exact_facet, exact_facets
from polytope.exact.rows import ExactRows
from polytope.geometry.lp import FacetProgram
from polytope.geometry.projection import nearest_on_row
from polytope.ir.activations import PatternArray
from polytope.ir.looking import look
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.matrix import Matrix, compact, dense_rows, product
from polytope.regions.equal_rows import equal_rows
from polytope.regions.float_proofs import RowsAround, rows_around
from polytope.regions.region_rows import RegionRows

EXACT_DIMENSIONS = 64  # above, exact linear programs are only for few rows besides those of a box
EXACT_NUMBERS = 1 << 16  # in those rows
WORK = 4_000_000  # products of large integers in one decision there: some seconds
SMALL = 1 << 16  # numbers in the rows that the compiled simplex method takes
RAYS = 64  # shot at once
REACHES = (
    1e3,
    1e7,
)  # bounds on the coordinates y of proposals, near points first: they are the accurate ones


class FacetSearch:
    """The facets of one region: rays first, then nearest points, then linear programs, exact ones last.

    Arguments:
        described: the rows of the region.
        x0: a point strictly inside.
        pattern, exact: what the rows are in exact arithmetic.
        carriers: units, and ``-(k + 1)`` for rows of the domain, that can carry facets; all, where ``None``.

    Attributes:
        first: the first row of each set of rows with one hyperplane (rows of the domain before units), of
            those that can carry facets.
        same: for those that are not alone, all rows of the set.
        tiny: whether floats do not show that the point is inside; all facets are found exactly then.
        undecided: rows that neither float64 nor, in so many dimensions, exact arithmetic could decide.
    """

    def __init__(
        self,
        described: RegionRows,
        x0: FloatArray,
        pattern: PatternArray,
        exact: ExactRows,
        carriers: IntArray | None = None,
    ) -> None:
        self.described, self.x0, self._pattern, self._exact = described, x0, pattern, exact
        self.undecided: set[int] = set()
        self.first, self.same = equal_rows(described, self.exact_row)
        if carriers is not None:
            self._keep(np.isin(described.unit, carriers))
        slack, doubt = -described.at(x0), described.doubt(x0)
        inside = bool((slack > doubt).all())
        self.tiny = not inside and affordable(described)
        self._rho = (
            float(slack.min(initial=np.inf)) if inside else float(slack[slack > 0].min(initial=np.inf))
        )
        self._height = slack / self._rho
        self._programs: dict[float, FacetProgram] = {}

    def _keep(self, able: NDArray[np.bool_]) -> None:
        """Keep sets of which some row is able to carry a facet; their first is one, or one of the domain."""
        for rows in list(self.same.values()):
            first = next((i for i in rows if able[i] or self.described.origin[i] < 0), rows[0])
            self.first[self.first == rows[0]] = first
            self.same[first] = self.same.pop(rows[0])
            able[first] |= able[rows].any()
        self.first = np.sort(self.first[able[self.first]])

    def equal_to(self, i: int) -> list[int]:
        """All rows with the hyperplane of a row that is the first of them."""
        return self.same.get(i, [i])

    def exact_row(self, i: int) -> list[int]:
        """``d + 1`` integers, a positive multiple of row i."""
        row: list[int] = self._exact(self.described.cut(i), self._pattern).tolist()
        return row

    def all(self) -> dict[int, FloatArray]:
        """The numbers of the rows that carry facets, and a point in the relative interior of each facet."""
        if self.tiny:
            return self.by_exact_programs
        found: dict[int, FloatArray] = {}
        for i in range(0, len(self.first), RAYS):
            look()
            found |= self.by_rays(self.first[i : i + RAYS], self.first)
        found |= self.by_programs(np.array([i for i in self.first.tolist() if i not in found], dtype=int))
        return dict(sorted(found.items()))

    @cached_property
    def by_exact_programs(self) -> dict[int, FloatArray]:
        """All facets by rational arithmetic alone, with points that are rounded."""
        rows = [self.exact_row(i) for i in self.first.tolist()]
        found = exact_facets(rows)
        return {int(self.first[k]): np.array([float(v) for v in facet.point]) for k, facet in found.items()}

    def nearest_first(self, rows: IntArray) -> IntArray:
        """Rows in order of their distance from the interior point."""
        return rows[np.argsort(self._height[rows], kind="stable")]

    @cached_property
    def _around(self) -> RowsAround:
        return rows_around(self.described, self.x0, self.first)

    def by_rays(self, rays: IntArray, wanted: IntArray) -> dict[int, FloatArray]:
        """Facets among the wanted rows that rays along the normals of some rows meet first, alone."""
        if not len(rays):
            return {}
        normals = dense_rows(self.described.A, rays)
        numbers, points = _shoot(self._around, normals)
        rows = self.first[numbers]
        mine = np.isin(rows, wanted)
        return dict(zip(rows[mine].tolist(), points[mine], strict=True))

    def by_nearest_points(self, wanted: IntArray) -> dict[int, FloatArray]:
        """Wanted facets behind which a nearest point is found; says nothing of the others."""
        found: dict[int, FloatArray] = {}
        inner, rows = self._inner
        low, high, _ = self.described.bounds
        low, high = (low - self.x0) / self._rho, (high - self.x0) / self._rho
        for i in wanted[np.isin(wanted, inner)].tolist():
            k = int(np.flatnonzero(inner == i)[0])
            for times in (2.0, 1.01):  # far behind the row, the point on it is deep inside the facet
                behind = -self._height[inner]
                behind[k] *= times
                y = nearest_on_row(rows, behind, k, low, high, rounds=12).point
                if y is not None:
                    found |= self._proved(np.array([i]), y[None], np.array([times - 1.0]) * self._height[i])
                    break
        return found

    @cached_property
    def _inner(self) -> tuple[IntArray, Matrix]:
        """The rows that are not bounds of a coordinate, by number, and their normals."""
        inner = self.first[self.described.bounds[2][self.first] < 0]
        return inner, compact(self.described.A[inner])

    def by_programs(self, wanted: IntArray) -> dict[int, FloatArray]:
        """All facets among the wanted rows."""
        if self.tiny:
            return {i: point for i, point in self.by_exact_programs.items() if i in wanted}
        if not len(wanted):
            return {}
        small = len(self.first) * (len(self.x0) + 1) <= SMALL
        found, tight = (self._compiled if small else self._by_highs)(wanted)
        for i, hint in tight.items():
            look()
            point = self._exactly(i, hint)
            if point is not None:
                found[i] = point
        return found

    def _compiled(self, wanted: IntArray) -> tuple[dict[int, FloatArray], dict[int, IntArray]]:
        """What the compiled simplex method shows; for rows that it leaves open, rows tight behind them."""
        place = {i: k for k, i in enumerate(self.first.tolist())}
        rows = np.concatenate(
            [dense_rows(self.described.A, self.first), -self._height[self.first, None]], axis=1
        )
        found: dict[int, FloatArray] = {}
        hints = {i: np.zeros(0, dtype=int) for i in wanted.tolist()}
        for reach in self._reaches:
            left = np.array(list(hints), dtype=int)
            if not len(left):
                break
            said = proposals(rows, np.array([place[i] for i in left.tolist()]), reach)
            beyond = said.value > 0
            found |= self._proved(left[beyond], said.points[beyond], said.value[beyond])
            behind = ~beyond & (said.state != FAILED)
            implied = self._implied(left[behind], said.multipliers[behind])
            hints = {
                i: self.first[np.flatnonzero(y)]
                for i, y in zip(left.tolist(), said.multipliers, strict=True)
                if i not in found and i not in implied
            }
        return found, hints

    def _proved(self, rows: IntArray, beyond: FloatArray, excess: FloatArray) -> dict[int, FloatArray]:
        """Facets that points y beyond rows prove, half way back to the row, with points on them."""
        height = self._height[rows]
        half, on = (height + excess / 2) / (height + excess), height / (height + excess)
        trial = self.x0 + (self._rho * half)[:, None] * beyond
        shown = self._around.alone_beyond(trial, np.searchsorted(self.first, rows))
        points = self.x0 + (self._rho * on)[:, None] * beyond
        return dict(zip(rows[shown].tolist(), points[shown], strict=True))

    def _implied(self, rows: IntArray, multipliers: FloatArray) -> set[int]:
        """Rows that multipliers of the others, in the coordinates y, prove to be implied."""
        places = np.searchsorted(self.first, rows)
        prove = self._around.implied_in_box if self._is_boxed else self._around.implied_by_basis
        return set(rows[prove(places, multipliers)].tolist())

    @cached_property
    def _reaches(self) -> tuple[float, ...]:
        """Bounds on the coordinates y of proposals: that of the box, or near ones first."""
        if not self._is_boxed:
            return REACHES
        return (min(float(self._around.width.max()) / self._rho, REACHES[-1]),)

    @cached_property
    def _is_boxed(self) -> bool:
        """Whether rows on single coordinates bound the region from all sides."""
        low, high, _ = self.described.bounds
        return bool(np.isfinite(low).all() and np.isfinite(high).all())

    def _by_highs(self, wanted: IntArray) -> tuple[dict[int, FloatArray], dict[int, IntArray]]:
        """The same by HiGHS, for more numbers."""
        found: dict[int, FloatArray] = {}
        hints: dict[int, IntArray] = {}
        for i in wanted.tolist():
            hints[i] = np.zeros(0, dtype=int)
            for reach in self._reaches if self._is_boxed else REACHES[:1]:
                if reach not in self._programs:
                    self._programs[reach] = FacetProgram(self._around.A, -self._height[self.first], reach)
                try:
                    best = self._programs[reach].beyond(int(np.searchsorted(self.first, i)))
                except SolverError:
                    continue
                this = np.array([i])
                if best.value > 0:
                    found |= self._proved(this, best.point[None], np.array([best.value]))
                elif self._implied(this, np.maximum(best.multipliers, 0.0)[None]):
                    del hints[i]
                    break
                hints[i] = self.first[np.flatnonzero(best.multipliers)]
                if i in found:
                    del hints[i]
                    break
        return found, hints

    def _exactly(self, i: int, tight: IntArray) -> FloatArray | None:
        """A point of the facet on row i in rational arithmetic, rounded; ``None`` where there is none."""
        if affordable(self.described):
            others = [j for j in self.first.tolist() if j != i]
            rows = [self.exact_row(j) for j in others]
            first = [k for k, j in enumerate(others) if j in set(tight.tolist())]
            try:
                facet = exact_facet([*rows, self.exact_row(i)], self.x0, first=first, work=_work(self.x0))
            except SolverError:  # more work than expected
                pass
            else:
                return None if facet is None else np.array([float(v) for v in facet.point])
        self.undecided.add(i)
        return None


def affordable(described: RegionRows) -> bool:
    """Whether linear programs over the rows in exact arithmetic end within seconds."""
    d = described.A.shape[1]
    inner = int(np.count_nonzero(described.bounds[2] < 0))
    return bool(d <= EXACT_DIMENSIONS or inner * d <= EXACT_NUMBERS)


def _work(x0: FloatArray) -> float:
    return WORK if len(x0) > EXACT_DIMENSIONS else np.inf


def _shoot(around: RowsAround, normals: FloatArray) -> tuple[IntArray, FloatArray]:
    """Rows that rays from the point meet first, alone, each once, and the points where they meet them."""
    speed = product(around.A, normals.T)
    reach = np.full(speed.shape, np.inf)  # [row, ray]
    np.divide(around.slack[:, None], speed, out=reach, where=speed > 0)
    first = reach.argmin(axis=0)
    rays = np.arange(len(normals))
    nearest = reach[first, rays]
    reach[first, rays] = np.inf
    gap = np.minimum(reach.min(axis=0, initial=np.inf) - nearest, nearest) / 2
    met = np.flatnonzero(np.isfinite(nearest))
    first, nearest, gap = first[met], nearest[met], gap[met]
    alone = around.alone_along(speed[:, met], nearest + gap, np.ones(len(met)), first)
    rows, ray = np.unique(first[alone], return_index=True)
    chosen = np.flatnonzero(alone)[ray]
    points = around.x0 + nearest[chosen, None] * normals[met[chosen]]
    return rows, points

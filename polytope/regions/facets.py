r"""Irredundant facets of regions: rays from the interior point first, a linear program for each other row.

In the coordinates :math:`y = (x - x_0) / \rho`, with :math:`\rho` the distance from the interior point to
the nearest row, every region contains the unit ball, so one tolerance suits regions of every size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from polytope.errors import SolverError
from polytope.geometry.lp import FacetProgram, coordinate_bounds
from polytope.geometry.polyhedron import UNBOUNDED, Polyhedron
from polytope.geometry.projection import nearest_on_row
from polytope.ir import Network
from polytope.ir.activations import PatternArray
from polytope.ir.maps import FloatArray, IntArray
from polytope.regions.boundaries import LayerBoundaries
from polytope.regions.exact_rows import Cut, ExactRows
from polytope.regions.found import ExactFacet, Facets
from polytope.regions.small_facets import exact_facet, exact_facets, same_hyperplane

EXACT_DIMENSIONS = 64  # above, an exact linear program takes hours


@dataclass(frozen=True, eq=False)
class RegionRows:
    """Rows ``[m, d + 1]`` of unit length that describe a region, and where each comes from.

    ``unit[i]`` is the unit whose boundary row i is, or ``-(row + 1)`` for a row of the domain. ``ties``:
    whether some unit lies on a boundary of its piece all over the region, so that it has no row there.
    """

    rows: FloatArray
    unit: IntArray
    cuts: tuple[Cut, ...]
    ties: bool


def region_rows(
    network: Network,
    domain: Polyhedron,
    tables: Sequence[LayerBoundaries],
    pattern: PatternArray,
    carriers: IntArray | None = None,
) -> RegionRows:
    """The rows of a region: of the domain, and of the pieces that its units (or ``carriers``) are on."""
    if carriers is None:
        kept = np.arange(len(domain.A))
        carriers = np.concatenate([-1 - kept, np.arange(network.n_units)])
    faces = np.sort(-1 - carriers[carriers < 0])
    rows = [domain.unit_rows[faces]]
    units: list[int] = (-1 - faces).tolist()
    cuts = [Cut(0, int(i), 1.0) for i in faces]
    for table in tables:
        first, last = network.unit_offsets[table.number - 1], network.unit_offsets[table.number]
        here = carriers[(carriers >= first) & (carriers < last)]
        wanted = [
            (unit, boundary, sign)
            for unit in here.tolist()
            for boundary, sign, _ in table.pieces[unit - first][pattern[unit]]
        ]
        if wanted:
            rows.append(_rows_of_layer(network, table, pattern, wanted))
            units += [unit for unit, _, _ in wanted]
            cuts += [Cut(table.number, boundary, sign) for _, boundary, sign in wanted]
    stacked = np.concatenate(rows[1:]) if len(rows) > 1 else np.zeros((0, domain.dim + 1))
    length = np.linalg.norm(stacked[:, :-1], axis=1)
    size = max(float(np.abs(a).max(initial=0.0)) for a in (rows[0], stacked))
    real = length > 2.0**-44 * size
    kept = np.concatenate([np.ones(len(faces), dtype=bool), real])
    return RegionRows(
        np.concatenate([rows[0], stacked[real] / length[real, None]]),
        np.array(units, dtype=np.int64)[kept],
        tuple(cut for cut, keep in zip(cuts, kept, strict=True) if keep),
        bool((np.abs(stacked[~real, -1]) <= 2.0**-40 * size).any()),
    )


def _rows_of_layer(
    network: Network,
    table: LayerBoundaries,
    pattern: PatternArray,
    wanted: Sequence[tuple[int, int, float]],
) -> FloatArray:
    """Boundary functions of one layer, with their signs, pulled back to the input."""
    boundary = np.array([b for _, b, _ in wanted])
    sign = np.array([s for _, _, s in wanted])
    weights = np.zeros((len(network.layers[table.number - 1].bias), len(wanted)))
    columns = np.arange(len(wanted))
    for term in range(2):
        np.add.at(weights, (table.index[boundary, term], columns), sign * table.coefficients[boundary, term])
    J, c = network.pull_back(table.number, weights, pattern)
    return np.concatenate([J, (c - sign * table.offset[boundary])[:, None]], axis=1)


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
    """
    exact = ExactRows(network, domain, tables)
    units, points, counts, small = [], [], [0], {}
    for number, (pattern, x0) in enumerate(zip(patterns, interior_points, strict=True)):
        carriers = None if candidates is None else candidates[number]
        described = region_rows(network, domain, tables, pattern, carriers)
        found = FacetSearch(described, x0, pattern, exact).all()
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
    """The facet of a region on a unit's boundary next to a point, in rationals."""
    off = np.abs(described.rows[:, :-1] @ near + described.rows[:, -1])
    i = int(np.where(described.unit == unit, off, np.inf).argmin())
    rows = [exact(cut, pattern).tolist() for cut in described.cuts]
    others = [row for row in rows if not same_hyperplane(row, rows[i])]
    return exact_facet([*others, rows[i]], x0)


SMALL = 1 << 16  # numbers in the rows that the compiled simplex method takes

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
        rows = described.rows
        self._described, self._x0, self._pattern, self._exact = described, x0, pattern, exact
        slack = -(rows[:, :-1] @ x0 + rows[:, -1])
        self._rho = float(slack.min(initial=np.inf))
        size = float(np.abs(rows[:, -1]).max(initial=0.0) + np.abs(x0).max())
        self.tiny = len(rows) > 0 and self._rho <= 2.0**-40 * size and len(x0) <= EXACT_DIMENSIONS
        self.first = np.arange(len(rows))
        self.undecided = 0
        self._programs: dict[float, FacetProgram] = {}
        if not self.tiny and len(rows):
            self._local = np.concatenate([rows[:, :-1], -(slack / self._rho)[:, None]], axis=1)
            self.first = _first_of_equal(self._local, self._exact_row)

    def _exact_row(self, i: int) -> list[int]:
        row: list[int] = self._exact(self._described.cuts[i], self._pattern).tolist()
        return row

    def all(self) -> dict[int, FacetPoint]:
        """The numbers of the rows that carry facets, and a point in the relative interior of each facet."""
        if self.tiny:
            return exact_facets([self._exact_row(i) for i in range(len(self._described.rows))])
        found = self.by_rays(self.first)
        found |= self.by_programs(np.array([i for i in self.first.tolist() if i not in found], dtype=int))
        return dict(sorted(found.items()))

    def by_rays(self, wanted: IntArray) -> dict[int, FacetPoint]:
        """Facets of the wanted rows that rays along their normals meet first, alone."""
        if not len(wanted):
            return {}
        return {i: self._here(y) for i, y in _shoot(self._local, self.first, wanted).items()}

    def by_nearest_points(self, wanted: IntArray) -> dict[int, FacetPoint]:
        """Wanted facets behind which a nearest point is found; says nothing of the others."""
        found = {}
        kept = self._local[self.first]
        low, high, column = coordinate_bounds(kept, np.inf)
        inner = self.first[column < 0]
        rows = self._local[inner]
        for i in wanted[np.isin(wanted, inner)].tolist():
            k = int(np.flatnonzero(inner == i)[0])
            for times in (2.0, 1.01):  # far behind the row, the point on it is deep inside the facet
                behind = rows.copy()
                behind[k, -1] *= times
                y = nearest_on_row(behind, k, np.zeros(len(self._x0)), low, high, rounds=12).point
                if y is not None:
                    found[i] = self._here(y / times)
                    break
        return found

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
        if not len(wanted) or self._local[self.first].size > SMALL:
            return {}
        from polytope.regions.kernels_facets import FACET, UNCLEAR, decided  # numba only when it is needed

        places = np.flatnonzero(np.isin(self.first, wanted))
        states, beyond = decided(self._local[self.first], places)
        rows = self.first[places].tolist()
        return {
            i: y * (-float(self._local[i, -1]) / float(self._local[i, :-1] @ y)) if state == FACET else y[:0]
            for i, state, y in zip(rows, states.tolist(), beyond, strict=True)
            if state != UNCLEAR
        }

    def _exactly(self, i: int) -> ExactFacet | None:
        if len(self._x0) > EXACT_DIMENSIONS:
            self.undecided += 1
            return None
        rest = [self._exact_row(j) for j in self.first.tolist() if j != i]
        return exact_facet([*rest, self._exact_row(i)], self._x0)

    def _point(self, i: int) -> FloatArray | None:
        """A point of a facet; empty where the other rows imply it; ``None`` where the margin is too small."""
        best = None
        for bound in (1e3, UNBOUNDED):  # near points first: they are the accurate ones
            if bound not in self._programs:
                self._programs[bound] = FacetProgram(self._local[self.first], bound)
            try:
                best = self._programs[bound].beyond(i)
            except SolverError:
                continue
            if best.bounded or best.value > 1e-6:
                break
        if best is not None and best.value > 1e-6:
            height = -float(self._local[self.first[i], -1])
            return best.point * (height / (height + best.value))
        return np.zeros(0) if best is not None and best.value < -1e-6 and best.bounded else None

    def _here(self, y: FloatArray) -> FacetPoint:
        return self._x0 + self._rho * y, None


def _first_of_equal(local: FloatArray, exact: Callable[[int], list[int]]) -> IntArray:
    """The first row of each set of rows with one hyperplane (rows of the domain come before units).

    Rows that rounding cannot tell apart are compared exactly: they are neighbours by the length of their
    shadow on one direction.
    """
    direction = np.random.default_rng(0).standard_normal(local.shape[1])
    size = 2.0**-40 * (1.0 + np.abs(local[:, -1]))
    shadow, width = local @ direction, size * float(np.abs(direction).sum())
    order = np.argsort(shadow, kind="stable")
    place = np.searchsorted(shadow[order], shadow - width), np.searchsorted(shadow[order], shadow + width)
    kept = np.ones(len(local), dtype=bool)
    for i in np.flatnonzero(place[1] - place[0] > 1).tolist():
        others = order[place[0][i] : place[1][i]]
        near = [k for k in others.tolist() if k < i and kept[k]]
        near = [k for k in near if np.abs(local[k] - local[i]).max() <= size[i]]
        kept[i] = not any(same_hyperplane(exact(k), exact(i)) for k in near)
    return np.flatnonzero(kept)


def _shoot(local: FloatArray, rows: IntArray, wanted: IntArray) -> dict[int, FloatArray]:
    """Wanted rows that rays along their normals meet first, alone, with the points where they meet them."""
    normals = local[wanted, :-1]
    reach = np.full((len(wanted), len(rows)), np.inf)  # [ray, row]
    speed = normals @ local[rows, :-1].T
    ahead = speed > 1e-9
    reach[ahead] = np.broadcast_to(-local[rows, -1], reach.shape)[ahead] / speed[ahead]
    first = reach.argmin(axis=1)
    rays = np.arange(len(wanted))
    nearest = reach[rays, first]
    reach[rays, first] = np.inf
    alone = np.isfinite(nearest) & (reach.min(axis=1) > nearest * (1 + 1e-6))
    alone &= np.isin(rows[first], wanted)
    return {int(rows[first[ray]]): nearest[ray] * normals[ray] for ray in np.flatnonzero(alone).tolist()}

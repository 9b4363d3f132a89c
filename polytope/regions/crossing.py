r"""To the far side of facets: the patterns there, and points strictly inside the regions that have them.

From a point inside a facet the ray along its normal runs through the far region; half way to the next
boundary it is clear of all of them, and every boundary's sign is checked there, exactly where rounding is
larger than the value.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from polytope.errors import SolverError
from polytope.exact.facets import ExactFacet
from polytope.exact.interior import interior_point
from polytope.exact.rows import Cut, ExactRows
from polytope.geometry.lp import WarmProgram
from polytope.geometry.polyhedron import UNBOUNDED, Polyhedron
from polytope.ir import Network
from polytope.ir.activations import PatternArray
from polytope.ir.boundaries import LayerBoundaries
from polytope.ir.maps import FloatArray
from polytope.ir.matrix import dense_rows
from polytope.regions.adjacency import pattern_across_exactly, patterns_across
from polytope.regions.columns import Columns, walk
from polytope.regions.facets import EXACT_DIMENSIONS, affordable, exactly
from polytope.regions.region_rows import RegionRows, region_rows

LARGE = 1 << 22  # numbers in the rows of a region, from which a linear program over all of them takes long


@dataclass(frozen=True, eq=False)
class Crossings:
    """What lies behind facets.

    Arguments:
        patterns: ``int8[F, units]``.
        points: ``[F, d]``, strictly inside.
        sure: ``[F]``, false where neither float64 nor, in so many dimensions, exact arithmetic could tell.
    """

    patterns: PatternArray
    points: FloatArray
    sure: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Crosser:
    """Steps over facets of one network in one domain."""

    network: Network
    domain: Polyhedron
    tables: Sequence[LayerBoundaries]
    exact: ExactRows

    def cross(
        self,
        described: RegionRows,
        x0: FloatArray,
        pattern: PatternArray,
        facets: dict[int, tuple[FloatArray, ExactFacet | None]],
    ) -> Crossings:
        """Behind facets of one region.

        Arguments:
            described, x0, pattern: the region's rows, a point inside, and its pattern.
            facets: rows of units that carry facets, with a point inside each.
        """
        rows = np.array(list(facets), dtype=np.int64)
        points = np.array([point for point, _ in facets.values()]).reshape(-1, len(x0))
        normals = dense_rows(described.A, rows)
        near = np.broadcast_to(pattern, (len(rows), len(pattern)))
        sizes = np.maximum(np.abs(points).max(axis=1, initial=0.0), np.abs(x0).max())
        far = patterns_across(self.network, self.tables, near, points, normals, sizes)
        for k, (i, (point, facet)) in enumerate(facets.items()):
            if facet is None and (far[k] != pattern).sum() != 1 and affordable(described):
                with suppress(SolverError):  # too long: what lies behind is checked below
                    facet = exactly(described, int(described.unit[i]), point, x0, pattern, self.exact)
            if facet is not None:
                far[k] = pattern_across_exactly(self.network, self.tables, self.exact, pattern, facet)
        return self.inside(far, points, normals)

    def inside(self, patterns: PatternArray, points: FloatArray, directions: FloatArray) -> Crossings:
        """Points strictly inside regions that directions ``[F, d]`` from boundary points lead into."""
        sizes = np.abs(points).max(axis=1, initial=0.0)
        reach = self._reach(patterns, points, directions, sizes)
        halves = points + (np.minimum(reach, 1.0 + sizes) / 2)[:, None] * directions
        clear = self._clear(patterns, halves)
        for k in np.flatnonzero(~clear).tolist():
            halves[k], clear[k] = self.deep_point(patterns[k], halves[k])
        return Crossings(patterns, halves, clear)

    def _reach(
        self, patterns: PatternArray, points: FloatArray, directions: FloatArray, sizes: FloatArray
    ) -> FloatArray:
        """How far rays stay in the regions and in the domain, ``[F]``; what vanishes is left aside."""
        speed = directions @ self.domain.unit_rows[:, :-1].T
        slack = -(points @ self.domain.unit_rows[:, :-1].T + self.domain.unit_rows[:, -1])
        reach: FloatArray = _times(slack, speed, speed > 0).min(axis=1, initial=np.inf)

        def measure(number: int, z: Columns) -> PatternArray:
            table, pieces = self.tables[number - 1], self._pieces(number, patterns)
            at, rate = table.values(z.value), table.values(z.speed, constant=False)
            told = np.abs(at) > 2.0**-38 * table.sizes(z.size)
            meets = told & ((at > 0) != (rate > 0)) & (rate != 0) & (self._signs(table, pieces) != 0)
            np.minimum(reach, _times(-at, rate, meets).min(axis=0, initial=np.inf), out=reach)
            return pieces

        walk(self.network, points, directions, sizes, measure)
        return reach

    def _clear(self, patterns: PatternArray, points: FloatArray) -> NDArray[np.bool_]:
        """Which points lie strictly inside the regions, proved by the signs of all boundaries there."""
        slack = -(points @ self.domain.unit_rows[:, :-1].T + self.domain.unit_rows[:, -1])
        size = np.abs(points).max(axis=1, initial=0.0)
        clear: NDArray[np.bool_] = (
            slack > 2.0**-44 * (size[:, None] + np.abs(self.domain.unit_rows[:, -1]))
        ).all(axis=1)

        def check(number: int, z: Columns) -> PatternArray:
            table, pieces = self.tables[number - 1], self._pieces(number, patterns)
            value, bound = table.values(z.value), 2.0**-40 * table.sizes(z.size)
            sign = self._signs(table, pieces)
            wrong = (sign != 0) & ~(sign * value < -bound)
            for k in np.flatnonzero(wrong.any(axis=0) & clear).tolist():
                broken = [(int(b), float(sign[b, k])) for b in np.flatnonzero(wrong[:, k])]
                clear[k] = self._exactly_inside(number, patterns[k], points[k], broken)
            return pieces

        walk(self.network, points, np.zeros_like(points), size, check)
        return clear

    def _exactly_inside(
        self, number: int, pattern: PatternArray, x: FloatArray, rows: Sequence[tuple[int, float]]
    ) -> bool:
        """Whether rows of a layer are negative at x in exact arithmetic, or zero everywhere."""
        place = [Fraction(v) for v in x.tolist()]
        for boundary, sign in rows:
            row = self.exact(Cut(number, boundary, sign), pattern).tolist()
            value = sum((a * v for a, v in zip(row, place, strict=False) if a), Fraction(row[-1]))
            if value > 0 or (value == 0 and any(row)):
                return False
        return True

    def deep_point(self, pattern: PatternArray, near: FloatArray) -> tuple[FloatArray, bool]:
        """The centre of a large ball in a region, exactly where needed, and whether that was feasible.

        Arguments:
            near: a point close by; in an unbounded region a larger ball may be far away.
        """
        described = region_rows(self.network, self.domain, self.tables, pattern)
        limit = None if self.domain.is_bounded else 1.0
        point, size = near, float(np.abs(near).max(initial=0.0))
        for bound in (8 * (1.0 + size), UNBOUNDED * max(1.0, size)):
            if len(described) * self.domain.dim > LARGE:
                return near, False
            try:
                point, _ = WarmProgram(self.domain.dim, bound).inscribed_ball(list(described.rows()), limit)
            except SolverError:
                continue  # too small for float64, or not there
            if self._clear(pattern[None], point[None])[0]:
                return point, True
        size = float(np.abs(point).max())
        if self.domain.dim > EXACT_DIMENSIONS:
            return point, False
        exact = [self.exact(cut, pattern).tolist() for cut in described.cuts]
        deep = interior_point(exact, int(max(size, 1.0)))
        if deep is None:
            return point, False
        return np.array([float(v) for v in deep]), True

    def _pieces(self, number: int, patterns: PatternArray) -> PatternArray:
        pieces: PatternArray = self.network.layer_pattern(number, patterns).T
        return pieces

    def _signs(self, table: LayerBoundaries, pieces: PatternArray) -> FloatArray:
        """The sign with which each boundary bounds the piece its unit is on, ``[m, F]``; 0: it does not."""
        signs = self._sign_tables[table.number - 1]
        chosen: FloatArray = np.take_along_axis(signs, pieces[table.unit].astype(np.int64), axis=1)
        return chosen

    @cached_property
    def _sign_tables(self) -> tuple[FloatArray, ...]:
        """For each layer the sign of every boundary on every piece of its unit, ``[m, pieces]``."""
        tables = []
        for table in self.tables:
            widest = max((len(of_unit) for of_unit in table.pieces), default=1)
            signs = np.zeros((len(table.unit), widest))
            for of_unit in table.pieces:
                for piece, rows in enumerate(of_unit):
                    for boundary, sign, _ in rows:
                        signs[boundary, piece] = sign
            tables.append(signs)
        return tuple(tables)


def _times(ahead: FloatArray, speed: FloatArray, meets: NDArray[np.bool_]) -> FloatArray:
    """``ahead / speed`` where they meet, else infinite."""
    times: FloatArray = np.divide(ahead, speed, out=np.full(ahead.shape, np.inf), where=meets)
    return times

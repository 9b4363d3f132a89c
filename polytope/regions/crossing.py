r"""Points strictly inside the regions behind facets.

From a point inside a facet the ray along its normal runs through the far region; half way to the next
boundary it is clear of all of them, and every boundary's sign is proved there. Where floats prove nothing,
a largest ball is looked for, and a point is computed in exact arithmetic last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from polytope.errors import SolverError
from polytope.exact.float_points import rounded_inside
from polytope.exact.interior import interior_point
from polytope.exact.rows import Cut, ExactRows
from polytope.geometry.inside import contained
from polytope.geometry.lp import WarmProgram
from polytope.geometry.polyhedron import UNBOUNDED, Polyhedron
from polytope.ir import Network
from polytope.ir.activations import PatternArray
from polytope.ir.boundaries import LayerBoundaries
from polytope.ir.maps import FloatArray
from polytope.ir.matrix import product
from polytope.regions.columns import Columns, boundary_values, walk
from polytope.regions.facet_search import affordable
from polytope.regions.region_rows import RegionRows, region_rows

LARGE = 1 << 22  # numbers in the rows of a region, from which a linear program over all of them takes long


@dataclass(frozen=True, eq=False)
class Crosser:
    """Steps over facets of one network in one domain."""

    network: Network
    domain: Polyhedron
    tables: Sequence[LayerBoundaries]
    exact: ExactRows

    def inside(
        self, patterns: PatternArray, points: FloatArray, directions: FloatArray
    ) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Points strictly inside regions, and which of them are proved.

        Arguments:
            patterns: ``int8[F, units]``, of regions.
            points: ``[F, d]``, inside facets of theirs.
            directions: ``[F, d]`` of unit length, from there into the regions.

        Returns:
            ``[F, d]`` and ``[F]``, false where neither float64 nor, in so many dimensions, exact arithmetic
            has found one. In a region that holds no float64 point it is the one next to an exact one.
        """
        size = np.abs(points).max(axis=1, initial=0.0)
        reach = np.minimum(self._reach(patterns, points, directions), 1.0 + size)
        halves = points + reach[:, None] / 2 * directions
        clear = self.clear(patterns, halves)
        for k in np.flatnonzero(~clear).tolist():
            halves[k], clear[k] = self.deep_point(patterns[k], halves[k])
        return halves, clear

    def _reach(self, patterns: PatternArray, points: FloatArray, directions: FloatArray) -> FloatArray:
        """About how far rays stay in the regions and in the domain, ``[F]``."""
        rows = self.domain.rows
        slack, speed = self.domain.b - product(rows, points.T).T, product(rows, directions.T).T
        reach: FloatArray = _times(slack, speed, speed > 0).min(axis=1, initial=np.inf)

        def measure(number: int, z: Columns) -> PatternArray:
            assert z.speed is not None, "derivatives were wanted"
            table, pieces = self.tables[number - 1], self._pieces(number, patterns)
            sign = self._signs(table, pieces)
            at, rate = sign * table.values(z.value), sign * table.values(z.speed, constant=False)
            np.minimum(reach, _times(-at, rate, (at < 0) & (rate > 0)).min(axis=0, initial=np.inf), out=reach)
            return pieces

        walk(self.network, Columns(points.T, directions.T), measure)
        return reach

    def clear(self, patterns: PatternArray, points: FloatArray) -> NDArray[np.bool_]:
        """Which points are proved to lie strictly inside the regions of patterns."""
        inside: NDArray[np.bool_] = self.in_domain(points) & self.on_pieces(patterns, points)
        return inside

    def in_domain(self, points: FloatArray) -> NDArray[np.bool_]:
        """Which points lie strictly inside the domain."""
        return contained(self.domain.rows, self.domain.b, points, strictly=True)

    def on_pieces(self, patterns: PatternArray, points: FloatArray) -> NDArray[np.bool_]:
        """At which points all units are proved to be strictly on the pieces that patterns name.

        A boundary function that is zero all over the region has no sign there.
        """
        clear = np.ones(len(points), dtype=bool)

        def check(number: int, z: Columns) -> PatternArray:
            table, pieces = self.tables[number - 1], self._pieces(number, patterns)
            value, error = boundary_values(table, z)
            sign = self._signs(table, pieces)
            told = (sign == 0) | (sign * value < -error)
            for k in np.flatnonzero(~told.all(axis=0) & clear).tolist():
                clear[k] = all(
                    abs(value[b, k]) <= error[b, k] and self._stays(number, patterns[k], b, error[b, k] == 0)
                    for b in np.flatnonzero(~told[:, k]).tolist()
                )
            return pieces

        walk(self.network, Columns.at(points), check)
        return clear

    def _stays(self, number: int, pattern: PatternArray, boundary: int, constant: bool) -> bool:
        """Whether a boundary function is zero all over a region, and its unit's piece owns the tie.

        Arguments:
            constant: whether it is known to be zero all over.
        """
        table = self.tables[number - 1]
        unit = int(table.unit[boundary])
        piece = int(self.network.layer_pattern(number, pattern)[unit])
        if any(strict for b, _, strict in table.pieces[unit][piece] if b == boundary):
            return False
        return constant or not any(self.exact(Cut(number, boundary, 1.0), pattern).tolist())

    def deep_point(self, pattern: PatternArray, near: FloatArray) -> tuple[FloatArray, bool]:
        """A point far from all rows of a region, exactly where needed, and whether that was feasible.

        Arguments:
            near: a point close by; in an unbounded region a larger ball may be far away.
        """
        described = region_rows(self.network, self.domain, self.tables, pattern, self.exact)
        if len(described) * self.domain.dim > LARGE:
            return near, False
        size = float(np.abs(near).max(initial=0.0))
        limit = None if self.domain.is_bounded else 1.0
        rows = list(described.rows())
        for bound in (8 * (1.0 + size), UNBOUNDED * max(1.0, size)):
            try:
                point, _ = WarmProgram(self.domain.dim, bound).inscribed_ball(rows, limit)
            except SolverError:
                continue  # too small for float64
            if is_inside(described, point):
                return point, True
        if not affordable(described):
            return near, False
        return self._exact_point(described, pattern, size)

    def _exact_point(
        self, described: RegionRows, pattern: PatternArray, size: float
    ) -> tuple[FloatArray, bool]:
        """A point of a region in rational arithmetic, rounded."""
        rows = [self.exact(cut, pattern).tolist() for cut in described.cuts]
        deep = interior_point(rows, int(max(size, 1.0)))
        assert deep is not None, "what lies behind a facet has an interior"
        return rounded_inside(rows, deep)[0], True

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
            number = np.repeat(np.arange(len(table.rows_end) - 1), np.diff(table.rows_end))
            piece = number - table.first_piece[table.unit[table.row_boundary]]
            signs = np.zeros((len(table.unit), int(np.diff(table.first_piece).max(initial=1))))
            signs[table.row_boundary, piece] = table.row_sign
            tables.append(signs)
        return tuple(tables)


def is_inside(described: RegionRows, x: FloatArray) -> bool:
    """Whether floats prove that a point lies strictly inside a region."""
    return bool((described.at(x) < -described.doubt(x)).all())


def _times(ahead: FloatArray, speed: FloatArray, meets: NDArray[np.bool_]) -> FloatArray:
    """``ahead / speed`` where they meet, else infinite."""
    times: FloatArray = np.divide(ahead, speed, out=np.full(ahead.shape, np.inf), where=meets)
    return times

r"""Vertices of cells in exact arithmetic: where the rows of d facets through them meet."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cached_property
from itertools import combinations

import numpy as np

from polytope.core.vertex_cells import VertexCells
from polytope.exact.cells import ExactCells
from polytope.exact.facets import value_at
from polytope.exact.implied import basis
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Network
from polytope.ir.maps import FloatArray

Point = tuple[Fraction, ...]
Row = tuple[int, ...]


class ExactVertices:
    """The exact vertices of a network's cells in a domain.

    Arguments:
        network, domain: what was searched.
        found: the cells, with their vertices.
    """

    def __init__(self, network: Network, domain: Polyhedron, found: VertexCells) -> None:
        self.network, self.domain, self.found = network, domain, found
        self._known: dict[int, tuple[Point, ...]] = {}

    def cell_of(self, vertex: int) -> int:
        """The cell that a vertex, by its place among all, belongs to."""
        return int(np.searchsorted(self.found.vertices.offsets, vertex, side="right")) - 1

    def points(self, vertex: int) -> tuple[Point, ...]:
        """The vertex, by its place among all; several points where its error bound leaves open which it is.

        All lie in the cell, within the bound, and on a row of every unit that changes on a facet through it.
        """
        if vertex not in self._known:
            self._known[vertex] = tuple(self._meetings(vertex))
        return self._known[vertex]

    def _meetings(self, vertex: int) -> list[Point]:
        near, error = self.found.vertices.points[vertex], self.found.vertices.errors[vertex]
        owners = self._owners(vertex)
        every = [r for r in self._cells.rows(self.found.patterns[self.cell_of(vertex)]) if any(r.row[:-1])]
        tight = [r for r in every if r.owner in owners and _may_vanish(r.row, near, error)]
        points: list[Point] = []
        for chosen in combinations({r.row for r in tight}, len(near)):
            x = meeting(chosen)
            if x is None or x in points or not _is_near(x, near, error):
                continue
            on = {r.owner for r in tight if value_at(r.row, x) == 0}
            if on == owners and all(value_at(r.row, x) <= 0 for r in every):
                points.append(x)
        assert points, "a vertex lies on the rows of its facets"
        return points

    def _owners(self, vertex: int) -> set[int]:
        """The units, and domain rows as -(row + 1), that vanish on facets through a vertex."""
        first = int(self.found.facets.offsets[self.cell_of(vertex)])
        bits = np.unpackbits(self.found.vertices.incidences[vertex].view(np.uint8), bitorder="little")
        return self.found.owners(first + np.flatnonzero(bits))

    @cached_property
    def _cells(self) -> ExactCells:
        return ExactCells(self.network, self.domain.rows, self.domain.b)


def meeting(rows: Sequence[Row]) -> Point | None:
    """The point where d rows ``f . x + f_0`` vanish; ``None`` if they are dependent."""
    found = basis(rows)
    if found is None:
        return None
    d = len(rows)
    numerators = [-sum(found.inverse[i][j] * c for i, c in enumerate(found.constants)) for j in range(d)]
    return tuple(Fraction(n, found.determinant) for n in numerators)


def _may_vanish(row: Row, near: FloatArray, error: FloatArray) -> bool:
    """Whether a row can be zero within the error of a point."""
    room = sum(abs(a) * Fraction(e) for a, e in zip(row, error.tolist(), strict=False))
    return abs(value_at(row, [Fraction(v) for v in near.tolist()])) <= room


def _is_near(x: Point, near: FloatArray, error: FloatArray) -> bool:
    pairs = zip(x, near.tolist(), error.tolist(), strict=True)
    return all(abs(v - Fraction(w)) <= Fraction(e) for v, w, e in pairs)

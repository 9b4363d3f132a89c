r"""Evidence that a cell is the polytope of its facets: for every other row, d facets that imply it.

Floating-point vertices propose the facets; only what exact arithmetic confirms is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, islice

import numpy as np
from numpy.typing import NDArray

from polytope.core.vertex_cells import VertexCells
from polytope.errors import CertificateError
from polytope.exact.cells import ExactCells, ExactRow, strictly_inside
from polytope.exact.implied import Basis, basis
from polytope.exact.program import maximise
from polytope.ir.maps import FloatArray, IntArray
from polytope.regions.shards import Evidence

PROPOSALS = 12  # sets of d facets at a vertex that are tried before an exact linear program

Row = tuple[int, ...]


def evidence_of(found: VertexCells, exact: ExactCells) -> Evidence:
    """Proofs of cells that were found with their vertices.

    Raises:
        CertificateError: a cell's interior point is not strictly inside, or a row has no evidence.
    """
    facet_row: list[int] = []
    implied: list[int] = []
    offsets = [0]
    for i in range(found.n_regions):
        cell = _Cell(found, i, exact.rows(found.patterns[i]))
        facet_row += cell.facet_row
        implied += cell.implied()
        offsets.append(len(implied))
    return Evidence(
        np.array(facet_row, dtype=np.uint16), np.array(offsets), np.array(implied, dtype=np.uint16)
    )


class _Cell:
    """One cell: exact rows, which of them are facets, and float vertices that propose evidence."""

    def __init__(self, found: VertexCells, i: int, rows: list[ExactRow]) -> None:
        self.pattern = found.patterns[i]
        self.rows = rows
        first, last = found.vertices.offsets[i], found.vertices.offsets[i + 1]
        self.vertices = found.vertices.points[first:last]
        facets = slice(int(found.facets.offsets[i]), int(found.facets.offsets[i + 1]))
        units = found.facets.unit[facets].tolist()
        self.tight = _incidences(found.vertices.incidences[first:last], len(units), self.vertices.shape[1])
        if not strictly_inside(rows, found.interior_points[i]):
            raise _refused(self.pattern, "its interior point, rounded to float64, is not strictly inside")
        self.values = _values(rows, self.vertices)
        self.facet_row = [self._row_of(j, unit) for j, unit in enumerate(units)]
        self.facets = [self._owned(unit)[k] for k, unit in zip(self.facet_row, units, strict=True)]
        self.known: dict[tuple[int, ...], Basis | None] = {}

    def _owned(self, unit: int) -> list[Row]:
        return [row.row for row in self.rows if row.owner == unit]

    def _row_of(self, j: int, unit: int) -> int:
        """Which row of its owner facet j is: the one that vanishes on the facet's vertices."""
        places = [n for n, row in enumerate(self.rows) if row.owner == unit]
        if not places:
            raise _refused(self.pattern, "a facet names a unit without a boundary")
        size = np.abs(self.values[places][:, self.tight[:, j]]).max(axis=1, initial=0.0)
        size[[not any(self.rows[n].row[:-1]) for n in places]] = np.inf
        return int(size.argmin())

    def implied(self) -> list[int]:
        """Places of d facets for each row that is neither a facet nor constant."""
        out: list[int] = []
        facets = set(self.facets)
        best = self.values.argmax(axis=1).tolist()
        for n, row in enumerate(self.rows):
            if any(row.row[:-1]) and row.row not in facets:
                out += self._evidence(row.row, best[n])
        return out

    def _evidence(self, row: Row, vertex: int) -> Sequence[int]:
        d = len(row) - 1
        for places in islice(combinations(np.flatnonzero(self.tight[vertex]).tolist(), d), PROPOSALS):
            if places not in self.known:
                self.known[places] = basis([self.facets[j] for j in places])
            proposed = self.known[places]
            if proposed is not None and proposed.implies(row):
                return places
        found = maximise(self.facets, row)
        if found is None:
            raise _refused(self.pattern, "its facets contradict each other")
        if found.value is None or found.value > 0 or len(found.tight) < d:
            raise _refused(self.pattern, "its facets do not imply all its rows")
        return found.tight


def _incidences(bits: IntArray, facets: int, d: int) -> NDArray[np.bool_]:
    """``[vertices, facets]``: which facets hold which vertices."""
    out = np.zeros((len(bits), facets), dtype=bool)
    if d == 2:  # the edges after and before each corner
        corner = np.arange(len(bits))
        out[corner, corner] = out[corner, corner - 1] = True
        return out
    place = np.arange(facets)
    out[:] = (bits[:, place // 64] >> (place % 64)) & 1
    return out


def _values(rows: list[ExactRow], points: FloatArray) -> FloatArray:
    """``[rows, points]``: the rows, scaled to coefficients of at most one, in floating point."""
    scaled = []
    for row in rows:
        size = max(map(abs, row.row[:-1])) or 1
        far = size << 1000
        constant = max(min(row.row[-1], far), -far) / size
        scaled.append([*(c / size for c in row.row[:-1]), constant])
    table = np.array(scaled)
    out: FloatArray = table[:, :-1] @ points.T + table[:, -1:]
    return out


def _refused(pattern: NDArray[np.int8], reason: str) -> CertificateError:
    name = "".join(map(str, pattern.tolist()[:40])) + ("..." if len(pattern) > 40 else "")
    return CertificateError(f"No certificate can be written for the region with pattern {name}: {reason}.")

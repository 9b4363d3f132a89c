"""Volumes of vertex cells, proved, and of their facets, up to rounding, from vertices and incidences."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from polytope import _core
from polytope.core.vertex_cells import VertexCells
from polytope.exact.cells import ExactCells
from polytope.exact.polytope import exact_volume, nearest_float
from polytope.exact.program import Row
from polytope.ir.maps import FloatArray

DOUBT = 2.0**-8  # relative errors of float volumes from which rational ones take their place


def float_volumes(found: VertexCells) -> tuple[FloatArray, FloatArray]:
    """The d-volumes of all cells, ``[R]``, of a search that kept vertices, and bounds on their errors."""
    incidences = found.vertices.incidences.view(np.uint64)
    return _core.volumes(
        found.vertices.offsets, found.vertices.points, found.vertices.errors, incidences, found.facets.offsets
    )


def cell_volumes(found: VertexCells, cells: ExactCells) -> tuple[FloatArray, FloatArray]:
    """The same, with volumes that are not proved up to ``DOUBT`` computed in rationals, and rounded once."""
    sizes, errors = float_volumes(found)
    for i in np.flatnonzero(~(errors <= DOUBT * sizes)).tolist():
        owners = found.owners(np.arange(found.facets.offsets[i], found.facets.offsets[i + 1]))
        rows = [row.row for row in cells.rows(found.patterns[i]) if row.owner in owners and any(row.row[:-1])]
        sizes[i], errors[i] = rounded_volume(rows)
    return sizes, errors


def rounded_volume(rows: Sequence[Row]) -> tuple[float, float]:
    """The volume of a bounded polyhedron of integer rows, rounded once, and a bound on what that changed."""
    right = exact_volume(rows)
    size = nearest_float(right)
    return size, 0.0 if Fraction(size) == right else float(np.spacing(size))


def facet_volumes(found: VertexCells, wanted: NDArray[np.bool_]) -> FloatArray:
    """The (d-1)-volumes of the facets ``wanted`` among all, and 0 for the others; vertices were kept."""
    incidences = found.vertices.incidences.view(np.uint64)
    return _core.facet_volumes(
        found.vertices.offsets, found.vertices.points, incidences, found.facets.offsets, wanted
    )

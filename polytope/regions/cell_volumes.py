"""Volumes of vertex cells and of their facets, up to rounding, from vertices and incidences."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from polytope import _core
from polytope.ir.maps import FloatArray
from polytope.regions.vertex_cell import VertexCells


def cell_volumes(found: VertexCells) -> FloatArray:
    """The d-volumes of all cells, ``[R]``, of a search that kept vertices."""
    incidences = found.incidences.view(np.uint64)
    return _core.volumes(found.vertex_offsets, found.vertices, incidences, found.facet_offsets)


def facet_volumes(found: VertexCells, wanted: NDArray[np.bool_]) -> FloatArray:
    """The (d-1)-volumes of the facets ``wanted`` among all, and 0 for the others; vertices were kept."""
    incidences = found.incidences.view(np.uint64)
    return _core.facet_volumes(found.vertex_offsets, found.vertices, incidences, found.facet_offsets, wanted)

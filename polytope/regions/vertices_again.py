"""What needs the vertices of all cells: kept by the search, or a complete complex searched once more."""

from __future__ import annotations

from typing import TypeGuard

import numpy as np

from polytope.core.result import Facets
from polytope.core.vertex_cells import VertexCells, explore
from polytope.exact.cells import ExactCells
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Network
from polytope.ir.activations import PatternArray
from polytope.ir.maps import FloatArray, IntArray
from polytope.regions.cell_volumes import cell_volumes


def has_vertices(found: object) -> TypeGuard[VertexCells]:
    """Whether a search kept the vertices of its cells."""
    return isinstance(found, VertexCells) and len(found.vertices.points) > 0


def volumes(
    network: Network, domain: Polyhedron, patterns: PatternArray, known: object
) -> tuple[FloatArray, FloatArray]:
    """The volumes of all regions, ``[R]``, and bounds on their errors: the search once more, with vertices.

    Arguments:
        patterns: ``int8[R, units]``, all regions of the network in the domain.
        known: what the search found; where it kept vertices it is not repeated.
    """
    cells = ExactCells(network, domain.rows, domain.b)
    if has_vertices(known):
        return cell_volumes(known, cells)
    found = explore(network, domain, keep="vertices")
    sizes, errors = cell_volumes(found, cells)
    order = np.argsort(numbers_in(patterns, found.patterns))
    return sizes[order], errors[order]


def facet_points(
    network: Network, domain: Polyhedron, patterns: PatternArray, facets: Facets
) -> FloatArray | None:
    """A point inside every facet, ``[F, d]``: the search once more; ``None`` if it names facets otherwise.

    Arguments:
        patterns: ``int8[R, units]``, all regions of the network in the domain.
        facets: their facets.
    """
    found = explore(network, domain, keep="points")
    theirs = np.repeat(numbers_in(patterns, found.patterns), np.diff(found.facets.offsets))
    ours = np.repeat(np.arange(len(patterns)), np.diff(facets.offsets))
    if len(ours) != len(theirs):
        return None
    a, b = np.lexsort((facets.unit, ours)), np.lexsort((found.facets.unit, theirs))
    if (ours[a] != theirs[b]).any() or (facets.unit[a] != found.facets.unit[b]).any():
        return None
    assert found.facets.points is not None, "they were asked for"
    points = np.empty_like(found.facets.points)
    points[a] = found.facets.points[b]
    return points


def numbers_in(patterns: PatternArray, other: PatternArray) -> IntArray:
    """The places in ``patterns`` of the same rows in another order."""
    number = {pattern.tobytes(): i for i, pattern in enumerate(patterns)}
    return np.array([number[pattern.tobytes()] for pattern in other], dtype=np.int64)

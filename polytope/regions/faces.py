r"""Faces of every dimension of a complex of vertex cells, d <= 3, with :math:`\sum_k (-1)^k f_k = 1`.

Vertices are identified across the facets that cells share, by proved error bounds or exactly, and an edge is
named by its ends.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from polytope.core.vertex_cells import VertexCells
from polytope.errors import GeometryError
from polytope.ir.components import connected_components
from polytope.ir.maps import FloatArray, IntArray
from polytope.regions.exact_vertices import ExactVertices, Point

APART = "Vertices of one cell on the same facets are nearer to each other than float64 numbers can tell."


@dataclass(frozen=True, eq=False)
class FaceLattice:
    """The faces of a complex in up to three dimensions, and which lie on which.

    Arguments:
        vertices: ``[V, d]``.
        label: ``int``, which of them each vertex of each cell is.
        boundary: ``boundary[k - 1]`` is sparse ``bool[faces of dimension k, faces of dimension k - 1]``.
    """

    vertices: FloatArray
    label: IntArray
    boundary: tuple[csr_array, ...]


def face_lattice(exact: ExactVertices) -> FaceLattice:
    """The faces of every dimension of a complex of vertex cells, d <= 3, by the facets that cells share.

    Arguments:
        exact: a complete search with ``keep="vertices"``.

    Raises:
        GeometryError: vertices that error bounds do not tell apart.
    """
    found = exact.found
    d = found.interior_points.shape[1]
    shared = found.pairs(places=True)
    count, label = _vertices(exact, shared)
    first = np.zeros(count, dtype=np.int64)
    first[label[::-1]] = np.arange(len(label))[::-1]
    points = found.vertices.points[first]
    if d == 1:
        cell = np.repeat(np.arange(found.n_regions), np.diff(found.vertices.offsets))
        return FaceLattice(points, label, (_incidence(cell, label, (found.n_regions, count)),))
    n_facets, facet = connected_components(shared, len(found.facets.unit))
    owner = np.repeat(np.arange(found.n_regions), np.diff(found.facets.offsets))
    cells = _incidence(owner, facet, (found.n_regions, n_facets))
    if d == 2:
        place, vertex = corners(found)
        return FaceLattice(points, label, (_incidence(facet[place], label[vertex], (n_facets, count)), cells))
    ends, on_facet, edge = _edges(found, label)
    facets = _incidence(facet[on_facet], edge, (n_facets, len(ends)))
    own = _incidence(np.repeat(np.arange(len(ends)), 2), ends.ravel(), (len(ends), count))
    return FaceLattice(points, label, (own, facets, cells))


def _edges(found: VertexCells, label: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """The edges of three-dimensional cells by their ends; places of facets, and the edge on each."""
    ends, holders, held = [np.zeros((0, 2), np.int64)], [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    total = 0
    for i in range(found.n_regions):
        span = slice(int(found.vertices.offsets[i]), int(found.vertices.offsets[i + 1]))
        incidences = found.vertices.incidences[span]
        edges = _edges_of(incidences)
        common = incidences[edges[:, 0]] & incidences[edges[:, 1]]
        which, ordinal = np.nonzero(np.unpackbits(common.view(np.uint8), axis=1, bitorder="little"))
        ends.append(np.sort(label[span][edges], axis=1))
        holders.append(int(found.facets.offsets[i]) + ordinal)
        held.append(total + which)
        total += len(edges)
    distinct, number = np.unique(np.concatenate(ends), axis=0, return_inverse=True)
    return distinct, np.concatenate(holders), number.ravel()[np.concatenate(held)]


def _incidence(row: IntArray, column: IntArray, shape: tuple[int, int]) -> csr_array:
    """A sparse matrix of truth values with these entries, each once."""
    pairs = np.unique(np.stack([row, column], axis=1), axis=0)
    return csr_array((np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), shape=shape)


def _vertices(exact: ExactVertices, shared: IntArray) -> tuple[int, IntArray]:
    """The number of different points among the cells' vertices, and which of them each is."""
    found = exact.found
    place, vertex = corners(found)
    starts = np.searchsorted(place, np.arange(len(found.facets.unit) + 1))
    sizes = np.diff(starts)
    assert (sizes[shared[:, 0]] == sizes[shared[:, 1]]).all(), "both sides of a facet have its vertices"
    pairs = [np.zeros((0, 2), dtype=np.int64)]
    for size in np.unique(sizes[shared[:, 0]]).tolist():
        alike = starts[shared[sizes[shared[:, 0]] == size]]
        one, two = (vertex[alike[:, [side]] + np.arange(size)] for side in range(2))
        pairs.append(_identified(exact, one, two))
    return connected_components(np.concatenate(pairs), len(found.vertices.points))


def _identified(exact: ExactVertices, one: IntArray, two: IntArray) -> IntArray:
    """The pairs of equal points among the vertices ``[F, v]`` of facets in the two cells that share them.

    Equal points lie within their error bounds of each other. Where more than one do, exact points decide.
    """
    points, errors = exact.found.vertices.points, exact.found.vertices.errors
    gap = np.abs(points[one][:, :, None] - points[two][:, None])
    room = (errors[one][:, :, None] + errors[two][:, None]) * (1 + 2.0**-50)
    near = (gap <= room + 2.0**-52 * gap).all(axis=3)
    clear = (near.sum(axis=1) == 1).all(axis=1) & (near.sum(axis=2) == 1).all(axis=1)
    match = near.argmax(axis=2)
    for f in np.flatnonzero(~clear).tolist():
        places = {_point(exact, v): i for i, v in enumerate(two[f].tolist())}
        match[f] = [places[_point(exact, v)] for v in one[f].tolist()]
    return np.stack([one, np.take_along_axis(two, match, axis=1)], axis=2).reshape(-1, 2)


def _point(exact: ExactVertices, vertex: int) -> Point:
    """The exact vertex, if there is no other within its error bound on the same units."""
    points = exact.points(vertex)
    if len(points) > 1:
        raise GeometryError(APART)
    return points[0]


def _edges_of(incidences: IntArray) -> IntArray:
    """The pairs of a cell's vertices, ``[E, 2]``, that span an edge: no third one is on all their facets."""
    common = incidences[:, None] & incidences[None]
    holds = ((common[:, :, None] & incidences) == common[:, :, None]).all(axis=3)
    edges: IntArray = np.argwhere(np.triu(holds.sum(axis=2) == 2, 1))
    return edges


def corners(found: VertexCells) -> tuple[IntArray, IntArray]:
    """The places of facets and the vertices on them, by ascending places."""
    words = found.vertices.incidences.view(np.uint64)
    bits = (words[:, :, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    vertex, ordinal = np.nonzero(bits.reshape(len(words), 64 * words.shape[1]))
    cell = np.repeat(np.arange(found.n_regions), np.diff(found.vertices.offsets))
    place = found.facets.offsets[cell[vertex]] + ordinal
    order = np.argsort(place, kind="stable")
    return place[order], vertex[order]

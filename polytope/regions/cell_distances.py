r"""Lower bounds on how far cells are from a point, for many cells at once, from their vertices.

No point of a cell is nearer than :math:`\min_v u \cdot (v - x) / \|u\|_q` over its vertices v, for any u; the
u are steps towards the cell's point nearest to x (Gilbert 1966). Nor is it nearer than the box around the
vertices. Both count what the vertices may be off, and rounding.
"""

from __future__ import annotations

import numpy as np

from polytope.core.vertex_cells import Vertices
from polytope.geometry.norm_distance import DUAL
from polytope.ir.forward import U
from polytope.ir.maps import FloatArray, IntArray

ROUNDS = 12


def cell_distances(vertices: Vertices, which: IntArray, x: FloatArray, norm: float) -> FloatArray:
    """Lower bounds on the distances of some cells from a point, ``[k]``.

    Arguments:
        vertices: of all cells.
        which: ``[k]``, numbers of cells.
        x: the point, ``[d]``.
        norm: 1, 2 or infinity.
    """
    if not len(which):
        return np.zeros(0)
    sizes = np.diff(vertices.offsets)[which]
    begins = np.cumsum(sizes) - sizes
    places = np.repeat(vertices.offsets[which] - begins, sizes) + np.arange(sizes.sum())
    cell = np.repeat(np.arange(len(which)), sizes)
    points = vertices.points[places]
    steps = points - x
    off = vertices.errors[places] + 4 * U * (np.abs(points) + np.abs(x)) + 2.0**-1000
    low, high = np.minimum.reduceat(steps - off, begins), np.maximum.reduceat(steps + off, begins)
    out = np.linalg.norm(np.maximum(np.maximum(low, -high), 0.0), norm, axis=1)
    toward = steps[begins]
    for _ in range(ROUNDS):
        u = toward[cell]
        along = (u * steps).sum(axis=1)
        error = (np.abs(u) * (off + 8 * len(x) * U * np.abs(steps))).sum(axis=1)
        least = np.minimum.reduceat(along - error, begins)
        size = np.linalg.norm(toward, DUAL[norm], axis=1)
        with np.errstate(all="ignore"):
            out = np.fmax(out, least / size)
        lowest = np.flatnonzero(along == np.minimum.reduceat(along, begins)[cell])
        vertex = steps[lowest[np.unique(cell[lowest], return_index=True)[1]]]
        toward = _nearer(toward, vertex)
    bounds: FloatArray = out * (1 - 2.0**-44)
    return bounds


def _nearer(a: FloatArray, b: FloatArray) -> FloatArray:
    """The points of segments from a to b that are nearest to 0, ``[k, d]``."""
    way = b - a
    with np.errstate(all="ignore"):
        share = -(a * way).sum(axis=1) / (way * way).sum(axis=1)
    return a + np.clip(np.where(np.isfinite(share), share, 0.0), 0.0, 1.0)[:, None] * way

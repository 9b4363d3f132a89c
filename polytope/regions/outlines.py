"""The outlines of plane regions: corners in order, from consecutive edges."""

from __future__ import annotations

import numpy as np

from polytope.errors import UnboundedDomainError
from polytope.ir.boundaries import boundaries
from polytope.ir.maps import FloatArray
from polytope.regions.cell_vertices import cell_vertices
from polytope.regions.region import Regions
from polytope.regions.region_rows import region_rows
from polytope.regions.vertices_again import has_vertices


def outlines(complex: Regions) -> list[FloatArray]:
    """The corners ``[v, 2]`` of every region of a bounded plane complex, counterclockwise.

    Raises:
        ValueError: the domain is not two-dimensional.
        UnboundedDomainError: the domain is unbounded.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0, 0.0]], [0.0]), ([[1.0]], [0.0])])
        >>> left, right = outlines(pt.enumerate_regions(net, pt.Polyhedron.box([-1, -1], [1, 1])))
        >>> len(left), len(right)
        (4, 4)
    """
    if complex.domain.dim != 2:
        raise ValueError(f"Outlines are of planes; this domain has {complex.domain.dim} dimensions.")
    if not complex.domain.is_bounded:
        raise UnboundedDomainError("Outlines need a bounded domain: an unbounded region has none.")
    if complex.complete or has_vertices(complex.found):
        return list(cell_vertices(complex))
    return [one_outline(complex, i) for i in range(len(complex))]


def one_outline(complex: Regions, region: int) -> FloatArray:
    """The outline of one region, from its facets.

    Arguments:
        region: its number.
    """
    return _corners(*_edges(complex, region))


def _edges(complex: Regions, region: int) -> tuple[FloatArray, FloatArray]:
    """The rows ``r[:2] . x + r[2] <= 0`` of a region's edges through a point of each, and the points."""
    facets = complex.facets
    span = slice(int(facets.offsets[region]), int(facets.offsets[region + 1]))
    units, points = facets.unit[span].astype(np.int64), complex.facet_points(region)
    tables = boundaries(complex.network)
    described = region_rows(complex.network, complex.domain, tables, complex.patterns[region])
    candidates = described.rows()
    distance = np.abs(points @ candidates[:, :2].T + candidates[:, 2])
    distance[described.unit != units[:, None]] = np.inf
    rows: FloatArray = candidates[distance.argmin(axis=1)]
    rows[:, 2] = -(rows[:, :2] * points).sum(axis=1)
    return rows, points


def _corners(rows: FloatArray, points: FloatArray) -> FloatArray:
    """The intersections of consecutive edges; the points, where a sliver's edges cannot be told apart."""
    angle = np.arctan2(rows[:, 1], rows[:, 0])
    order = np.argsort(angle)
    turn = np.diff(angle[order], append=angle[order[:1]] + 2 * np.pi)
    if len(rows) < 3 or turn.max() >= np.pi:
        return points[order]
    a, b = rows[order], rows[np.roll(order, -1)]
    corners: FloatArray = np.stack(
        [a[:, 1] * b[:, 2] - b[:, 1] * a[:, 2], b[:, 0] * a[:, 2] - a[:, 0] * b[:, 2]], axis=1
    ) / (a[:, :1] * b[:, 1:2] - b[:, :1] * a[:, 1:2])
    return corners

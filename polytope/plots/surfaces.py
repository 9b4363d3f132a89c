"""The facets of three-dimensional regions as polygons, and which regions they lie between."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polytope.core.vertex_cells import explore
from polytope.errors import UnboundedDomainError
from polytope.ir.maps import FloatArray, IntArray
from polytope.regions.complex import RegionComplex
from polytope.regions.faces import corners


@dataclass(frozen=True, eq=False)
class Solid:
    """The facets of all regions, each once for every region that it belongs to.

    Arguments:
        region: ``int[F]``.
        across: ``int[F]``, the region on the other side; -1 on the domain's boundary.
        offsets: ``int[F + 1]``, where each facet's vertices begin.
        vertices: ``[V, 3]``.
    """

    region: IntArray
    across: IntArray
    offsets: IntArray
    vertices: FloatArray

    def polygon(self, facet: int) -> FloatArray:
        """The corners of a facet in their order, ``[v, 3]``."""
        return around(self.vertices[self.offsets[facet] : self.offsets[facet + 1]])


def solid(complex: RegionComplex) -> Solid:
    """The facets of a complete complex in a bounded domain of three dimensions.

    Raises:
        ValueError: the domain has other dimensions.
        IncompleteComplexError, UnboundedDomainError: the complex is partial, or its domain unbounded.
    """
    if complex.domain.dim != 3:
        raise ValueError(f"Solids have three dimensions; this domain has {complex.domain.dim}.")
    complex.require_complete("A picture in three dimensions")
    if not complex.domain.is_bounded:
        raise UnboundedDomainError("A picture needs a bounded domain: intersect it with a box.")
    found = explore(complex.network, complex.domain, keep="vertices")
    number = {pattern.tobytes(): i for i, pattern in enumerate(complex.patterns)}
    own = np.array([number[pattern.tobytes()] for pattern in found.patterns], dtype=np.int64)
    region = np.repeat(own, np.diff(found.facets.offsets))
    across = np.full(len(region), -1, dtype=np.int64)
    one, two = found.pairs(places=True).T
    across[one], across[two] = region[two], region[one]
    place, vertex = corners(found)
    offsets = np.searchsorted(place, np.arange(len(region) + 1)).astype(np.int64)
    return Solid(region, across, offsets, found.vertices.points[vertex])


def around(points: FloatArray) -> FloatArray:
    """The corners of a convex polygon in space in their order around it."""
    middle = points - points.mean(axis=0)
    _, _, axes = np.linalg.svd(middle, full_matrices=False)
    x, y = axes[:2] @ middle.T
    ordered: FloatArray = points[np.argsort(np.arctan2(y, x))]
    return ordered

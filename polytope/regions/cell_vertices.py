"""The vertices of all regions of a complex, region by region."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from polytope.core.limits import BudgetSpent
from polytope.core.vertex_cells import explore, suits_vertices
from polytope.ir.maps import FloatArray
from polytope.regions.region import Regions
from polytope.regions.vertices_again import has_vertices, numbers_in


def cell_vertices(complex: Regions) -> Iterator[FloatArray]:
    """The vertices ``[v, d]`` of every region in their order; in a plane, counterclockwise.

    Arguments:
        complex: of a bounded domain; a complete one, or one whose search kept vertices.

    Raises:
        BudgetSpent: a look of the block around ended the work: some of them never pass for all.
    """
    if has_vertices(complex.found):
        yield from np.split(complex.found.vertices.points, complex.found.vertices.offsets[1:-1])
        return
    if not suits_vertices(complex.domain):
        yield from (region.vertices() for region in complex)
        return
    found = explore(complex.network, complex.domain, keep="vertices")
    if len(found.patterns) != len(complex):
        raise BudgetSpent
    order = np.argsort(numbers_in(complex.patterns, found.patterns))
    for i in order.tolist():
        yield found.vertices.points[found.vertices.offsets[i] : found.vertices.offsets[i + 1]]

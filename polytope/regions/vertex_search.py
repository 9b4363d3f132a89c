r"""The search over vertex cells as an engine: budgets, certified bounds, facets, neighbours."""

from __future__ import annotations

import numpy as np

from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Network
from polytope.ir.activations import PatternArray
from polytope.ir.maps import FloatArray, IntArray
from polytope.regions.boundaries import boundaries
from polytope.regions.ceiling import layers_bound
from polytope.regions.found import Budget, Facets, Found, Progress
from polytope.regions.vertex_cell import VertexCells, explore

MOST_DIMENSIONS = 6  # beyond, cells have so many vertices that linear programs are faster


def suits_vertices(domain: Polyhedron) -> bool:
    """Whether cells are best kept by their vertices: few dimensions, and a bounded domain."""
    return domain.dim <= MOST_DIMENSIONS and domain.is_bounded


def search_vertices(
    network: Network,
    domain: Polyhedron,
    *,
    budget: Budget,
    keep: bool,
    progress: Progress | None,
    workers: int,
) -> Found:
    """Find the regions of the network in the domain, or as many as the budget allows."""
    found = explore(
        network,
        domain.A,
        domain.b,
        keep="points" if keep else "count",
        max_regions=budget.max_regions,
        deadline=None if budget.max_seconds is None else budget.started + budget.max_seconds,
        progress=progress,
        workers=workers,
    )
    most = 0 if found.complete else layers_bound(boundaries(network), 1, domain.dim)
    return Found(
        engine="layer split, vertex cells",
        n_regions=found.n_regions,
        open_bound=len(found.open_cells) * most,
        patterns=found.patterns,
        interior_points=found.interior_points,
        facets=_facets(found) if keep else None,
        neighbours=_neighbours(found) if keep else None,
        statistics={"exact_signs": found.n_exact, "smallest_margin": found.smallest_margin},
    )


def volumes(network: Network, domain: Polyhedron, patterns: PatternArray) -> FloatArray:
    """The volumes of all regions, ``[R]``, exact up to rounding: the search once more, with vertices.

    Arguments:
        patterns: ``int8[R, units]``, all regions of the network in the domain.
    """
    from polytope.regions.kernels_volume import volumes as of_cells

    found = explore(network, domain.A, domain.b, keep="vertices")
    sizes = of_cells(found.vertex_offsets, found.vertices, found.incidences, found.facet_offsets)
    number = {pattern.tobytes(): i for i, pattern in enumerate(found.patterns)}
    order = [number[pattern.tobytes()] for pattern in patterns]
    sized: FloatArray = sizes[order]
    return sized


def _facets(found: VertexCells) -> Facets:
    return Facets(found.facet_offsets, found.facet_units.astype(np.int64), found.facet_points)


def _neighbours(found: VertexCells) -> IntArray:
    return np.sort(found.edges()[0], axis=1)

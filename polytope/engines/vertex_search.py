r"""The search over vertex cells as an engine: budgets, certified bounds, facets, neighbours."""

from __future__ import annotations

from polytope.core.packed import as_kept
from polytope.core.vertex_cells import VertexCells, explore
from polytope.engines.budget import Budget, Progress
from polytope.engines.result import SearchResult
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Network
from polytope.regions.facets import Facets

VERTEX_CELLS = "layer split, vertex cells"  # as reports call the engine


def search_vertices(
    network: Network,
    domain: Polyhedron,
    *,
    budget: Budget,
    keep: bool,
    progress: Progress | None,
    workers: int,
) -> SearchResult:
    """Find the regions of the network in the domain, or as many as the budget allows."""
    # a complete complex finds facet points when it is asked for them; in one that is cut short they cost a
    # linear program each, unless kept
    points = domain.dim <= 2 and budget.limited
    found = explore(
        network,
        domain.A,
        domain.b,
        keep=("points" if points else "cells") if keep else "count",
        max_regions=budget.max_regions,
        deadline=None if budget.max_seconds is None else budget.started + budget.max_seconds,
        full=None if budget.max_memory is None else budget.full,
        progress=progress,
        workers=workers,
    )
    return SearchResult(
        engine=VERTEX_CELLS,
        n_regions=found.n_regions,
        open_bound=found.open_bound,
        patterns=as_kept(found),
        interior_points=found.interior_points,
        facets=_facets(found, points) if keep else None,
        neighbours=found.neighbours(workers=workers) if keep else None,
        statistics={"exact_signs": found.n_exact, "smallest_margin": found.smallest_margin},
        open_cells=found.open_cells,
        open_bounds=found.open_bounds,
    )


def _facets(found: VertexCells, points: bool) -> Facets:
    return Facets(found.facet_offsets, found.facet_units, found.facet_points if points else None)

r"""The search over vertex cells as an engine: budgets, certified bounds, facets, neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from polytope.exact.cells import ExactCells
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Network
from polytope.ir.activations import PatternArray
from polytope.ir.maps import FloatArray, IntArray
from polytope.regions.cell_volumes import cell_volumes
from polytope.regions.found import Budget, Facets, Found, Progress
from polytope.regions.packed import as_kept
from polytope.regions.vertex_cell import VertexCells, explore

if TYPE_CHECKING:
    from polytope.regions.complex import RegionComplex

VERTEX_CELLS = "layer split, vertex cells"  # as reports call the engine
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
    return Found(
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


def volumes(network: Network, domain: Polyhedron, patterns: PatternArray) -> tuple[FloatArray, FloatArray]:
    """The volumes of all regions, ``[R]``, and bounds on their errors: the search once more, with vertices.

    Arguments:
        patterns: ``int8[R, units]``, all regions of the network in the domain.
    """
    found = explore(network, domain.A, domain.b, keep="vertices")
    sizes, errors = cell_volumes(found, ExactCells(network, domain.A, domain.b))
    order = np.argsort(_numbers(patterns, found.patterns))
    return sizes[order], errors[order]


def cell_vertices(complex: RegionComplex) -> Iterator[FloatArray]:
    """The vertices ``[v, d]`` of every region of a complete complex in a bounded domain, in their order."""
    if not suits_vertices(complex.domain):
        yield from (region.vertices() for region in complex)
        return
    found = explore(complex.network, complex.domain.A, complex.domain.b, keep="vertices")
    order = np.argsort(_numbers(complex.patterns, found.patterns))
    for i in order.tolist():
        yield found.vertices[found.vertex_offsets[i] : found.vertex_offsets[i + 1]]


def facet_points(
    network: Network, domain: Polyhedron, patterns: PatternArray, facets: Facets
) -> FloatArray | None:
    """A point inside every facet, ``[F, d]``: the search once more; ``None`` if it names facets otherwise.

    Arguments:
        patterns: ``int8[R, units]``, all regions of the network in the domain.
        facets: their facets.
    """
    found = explore(network, domain.A, domain.b, keep="points")
    theirs = np.repeat(_numbers(patterns, found.patterns), np.diff(found.facet_offsets))
    ours = np.repeat(np.arange(len(patterns)), np.diff(facets.offsets))
    if len(ours) != len(theirs):
        return None
    a, b = np.lexsort((facets.unit, ours)), np.lexsort((found.facet_units, theirs))
    if (ours[a] != theirs[b]).any() or (facets.unit[a] != found.facet_units[b]).any():
        return None
    points = np.empty_like(found.facet_points)
    points[a] = found.facet_points[b]
    return points


def _numbers(patterns: PatternArray, other: PatternArray) -> IntArray:
    """The places in ``patterns`` of the same rows in another order."""
    number = {pattern.tobytes(): i for i, pattern in enumerate(patterns)}
    return np.array([number[pattern.tobytes()] for pattern in other], dtype=np.int64)


def _facets(found: VertexCells, points: bool) -> Facets:
    return Facets(found.facet_offsets, found.facet_units, found.facet_points if points else None)

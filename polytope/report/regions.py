"""The report on regions: how many, linear regions, pieces, and how they touch."""

from __future__ import annotations

import numpy as np

from polytope.exact.equal_maps import map_labels
from polytope.ir.components import connected_components
from polytope.ir.maps import FloatArray
from polytope.labelled import Bound, Estimate, Exact, Missing, Number, interval
from polytope.measures.topology import dual_graph
from polytope.plots.planar import area, outlines
from polytope.regions.complex import RegionComplex
from polytope.report.clock import Clock
from polytope.report.cost import estimated_seconds, some_regions
from polytope.report.network_sections import Adjacency, Degrees, Regions, Search

LARGEST_MAPS = 30_000_000
"""Numbers that the affine maps of all regions may fill."""
EQUAL = "affine maps are compared in exact arithmetic"


def region_numbers(complex: RegionComplex, sampled: int, clock: Clock) -> Regions:
    """Activation regions, linear regions, affine pieces; intervals where the search was stopped.

    Arguments:
        complex: what the search found.
        sampled: number of regions hit by random points; another lower bound.
        clock: limits the cost of comparing affine maps.
    """
    lower, upper = max(complex.lower, sampled), complex.upper
    compared = _compared(complex, clock)
    pieces = _pieces_found(compared) if len(compared) else 0
    everything = complex.complete and len(compared) == len(complex)
    linear = interval(pieces, upper, "at least the affine pieces found, at most the activation regions")
    if everything and not _adjacency_refused(complex, clock):
        linear = Exact(len(np.unique(complex.merged())), EQUAL)
    return Regions(interval(lower, upper), linear, interval(pieces, pieces if everything else upper, EQUAL))


def _pieces_found(complex: RegionComplex) -> int:
    """The affine pieces among the regions that were found."""
    return int(map_labels(complex.network, complex.patterns).max(initial=-1)) + 1


def _compared(complex: RegionComplex, clock: Clock) -> RegionComplex:
    """The regions whose affine maps are compared: all, or as many as the clock lets pass."""
    size = complex.network.output_dim * (complex.network.input_dim + 1)
    most = LARGEST_MAPS // size
    expected = estimated_seconds(complex, _pieces_found)
    if expected > max(clock.left, 0.0):
        most = min(most, int(len(complex) * max(clock.left, 0.0) / (2 * expected)))
    if most >= len(complex):
        return complex
    megabytes = 8e-6 * size * len(complex)
    why = f"all {len(complex):,} maps would take about {expected:,.0f} s and {megabytes:,.0f} MB"
    clock.refuse(f"comparing the affine maps of more than {most:,} regions", why)
    return some_regions(complex, np.unique(np.linspace(0, len(complex) - 1, most).astype(np.int64)))


def _adjacency_refused(complex: RegionComplex, clock: Clock) -> str:
    what = "the adjacency graph and what needs it"
    if known := next((item.why for item in clock.left_out if item.what == what), ""):
        return known
    return clock.allows(complex, RegionComplex.adjacency_matrix, what)


LARGEST_GRAPH = 20_000
"""Regions up to which diameter and spectrum of their graph are computed."""


def adjacency_numbers(complex: RegionComplex, clock: Clock) -> Adjacency:
    """Edges, degrees, components, diameter and spectral gap; of a partial complex only the edges found."""
    reason = _adjacency_refused(complex, clock)
    if reason:
        return unknown(Missing(reason), Missing(reason))
    matrix = complex.adjacency_matrix()
    edges = len(complex.neighbours)
    if not complex.complete:
        found = Bound(edges, note="edges between the regions found")
        return unknown(found, Missing("the enumeration is not complete"))
    degrees = np.bincount(np.diff(matrix.indptr)).tolist()
    diameter, gap = _global_numbers(complex, clock)
    parts = connected_components(complex.neighbours, len(complex))[0]
    return Adjacency(
        edges=Exact(edges),
        mean_degree=Exact(2 * edges / len(complex)),
        least_degree=Exact(next(k for k, n in enumerate(degrees) if n)),
        largest_degree=Exact(len(degrees) - 1),
        components=Exact(parts, "1 for a convex domain: a check of the graph"),
        diameter=diameter,
        gap=gap,
        degrees=Degrees("exact", tuple(degrees[:64])),
    )


def unknown(edges: Number, why: Missing) -> Adjacency:
    """A graph of which at most the edges are known."""
    return Adjacency(edges, why, why, why, why, why, why, None)


def _global_numbers(complex: RegionComplex, clock: Clock) -> tuple[Number, Number]:
    """Diameter, and the second eigenvalue of the normalised Laplacian."""
    if len(complex) > LARGEST_GRAPH or clock.left <= 0:
        most = f"the graph has {len(complex):,} nodes, up to {LARGEST_GRAPH:,} are looked at"
        reason = clock.refuse(
            "diameter and spectrum of the adjacency graph",
            most if len(complex) > LARGEST_GRAPH else "the budget was spent",
        )
        return Missing(reason), Missing(reason)
    graph = dual_graph(complex, eigenvalues=2)
    gap = float(graph.spectrum[1]) if len(graph.spectrum) > 1 else 0.0
    return (
        Exact(graph.diameter, "most facets crossed between two regions on a shortest way"),
        Estimate(gap, "second eigenvalue of the normalised Laplacian, in floating point"),
    )


def plane_outlines(complex: RegionComplex, clock: Clock) -> list[FloatArray] | None:
    """The outlines of the regions of a bounded plane, if they do not cost too much."""
    if complex.domain.dim != 2 or not complex.domain.is_bounded:
        return None
    what = "the outlines of the regions and their areas"
    return outlines(complex) if complex.complete or not clock.allows(complex, outlines, what) else None


def coverage(complex: RegionComplex, polygons: list[FloatArray] | None) -> Number:
    """The regions' areas as a share of a plane domain's: 1 if nothing is missing, up to rounding."""
    if polygons is None:
        return Missing("areas are added up in bounded planes, where the outlines are affordable")
    share = sum(area(polygon) for polygon in polygons) / complex.domain.volume()
    return Estimate(share, "sum of the regions' areas over the domain's, in floating point")


def search_facts(complex: RegionComplex) -> Search:
    """What searched, how long, and whether it came to an end."""
    statistics = {name: float(value) for name, value in complex.statistics.items()}
    return Search(
        engine=complex.engine,
        seconds=Estimate(round(complex.seconds, 3)),
        complete=complex.complete,
        stopped_by=complex.stopped_by,
        statistics=statistics,
    )

"""The report on regions: how many, linear regions, pieces, and how they touch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import networkx as nx
import numpy as np

from polytope.ir.maps import FloatArray
from polytope.regions.complex import RegionComplex
from polytope.report.cost import Question, estimated_seconds, some_regions
from polytope.report.labels import Labelled, at_least, bound, estimate, exact, not_computed
from polytope.report.planar import area, outlines

LARGEST_MAPS = 30_000_000
"""Numbers that the affine maps of all regions may fill."""
TOLERANCE = "affine maps that differ by less than 2^-36 of their largest entry count as equal"


@dataclass
class Allowance:
    """Seconds that each follow-up question may take, and what was left out for that or another reason."""

    seconds: float
    left_out: list[dict[str, str]] = field(default_factory=list)

    def allows(self, complex: RegionComplex, question: Question, what: str) -> str:
        """The empty string if a question fits; else why it does not, which is also kept."""
        expected = estimated_seconds(complex, question)
        if expected <= self.seconds:
            return ""
        cost = f"it would take about {expected:,.0f} s for {len(complex):,} regions"
        return self.refuse(what, f"{cost}; {self.seconds:g} s are allowed")

    def refuse(self, what: str, why: str) -> str:
        """Keep that something was left out, and why."""
        self.left_out.append({"what": what, "why": why})
        return why


def region_numbers(complex: RegionComplex, sampled: int, allowance: Allowance) -> dict[str, Labelled]:
    """Activation regions, linear regions, affine pieces; intervals where the search was stopped.

    Arguments:
        complex: what the search found.
        sampled: number of regions hit by random points; another lower bound.
        allowance: limits the cost of comparing affine maps.
    """
    lower, upper = max(complex.lower, sampled), complex.upper
    numbers = {"activation": bound(lower, upper)}
    compared = _compared(complex, allowance)
    pieces = compared.pieces() if len(compared) else 0
    everything = complex.complete and len(compared) == len(complex)
    numbers["linear"] = bound(
        pieces, upper, "at least the affine pieces found, at most the activation regions"
    )
    if everything and not _adjacency_refused(complex, allowance):
        numbers["linear"] = exact(len(np.unique(complex.merged())), TOLERANCE)
    numbers["pieces"] = bound(pieces, pieces if everything else upper, TOLERANCE)
    return numbers


def _compared(complex: RegionComplex, allowance: Allowance) -> RegionComplex:
    """The regions whose affine maps are compared: all, or as many as the allowance lets pass."""
    size = complex.network.output_dim * (complex.network.input_dim + 1)
    most = LARGEST_MAPS // size
    expected = estimated_seconds(complex, RegionComplex.pieces)
    if expected > allowance.seconds:
        most = min(most, int(len(complex) * allowance.seconds / (2 * expected)))
    if most >= len(complex):
        return complex
    megabytes = 8e-6 * size * len(complex)
    why = f"all {len(complex):,} maps would take about {expected:,.0f} s and {megabytes:,.0f} MB"
    allowance.refuse(f"comparing the affine maps of more than {most:,} regions", why)
    return some_regions(complex, np.unique(np.linspace(0, len(complex) - 1, most).astype(np.int64)))


def _adjacency_refused(complex: RegionComplex, allowance: Allowance) -> str:
    what = "the adjacency graph and what needs it"
    if known := next((item["why"] for item in allowance.left_out if item["what"] == what), ""):
        return known
    return allowance.allows(complex, RegionComplex.adjacency, what)


def adjacency_numbers(complex: RegionComplex, allowance: Allowance) -> dict[str, Labelled]:
    """Edges, degrees and components of the dual graph; of a partial complex only the edges found."""
    names = ("edges", "mean_degree", "least_degree", "largest_degree", "components")
    reason = _adjacency_refused(complex, allowance)
    if reason:
        return dict.fromkeys(names, not_computed(reason))
    graph = complex.adjacency()
    edges = graph.number_of_edges()
    if not complex.complete:
        missing = not_computed("the enumeration is not complete")
        return dict.fromkeys(names, missing) | {"edges": at_least(edges, "edges between the regions found")}
    degrees = [degree for _, degree in graph.degree()]
    return {
        "edges": exact(edges),
        "mean_degree": exact(2 * edges / len(complex)),
        "least_degree": exact(min(degrees)),
        "largest_degree": exact(max(degrees)),
        "components": exact(
            nx.number_connected_components(graph), "1 for a convex domain: a check of the graph"
        ),
    }


def plane_outlines(complex: RegionComplex, allowance: Allowance) -> list[FloatArray] | None:
    """The outlines of the regions of a bounded plane, if they do not cost too much."""
    if complex.domain.dim != 2 or not complex.domain.is_bounded:
        return None
    what = "the outlines of the regions, their areas and the picture"
    return None if allowance.allows(complex, outlines, what) else outlines(complex)


def coverage(complex: RegionComplex, polygons: list[FloatArray] | None) -> Labelled:
    """The regions' areas as a share of a plane domain's: 1 if nothing is missing, up to rounding."""
    if polygons is None:
        return not_computed("areas are added up in bounded planes, where the outlines are affordable")
    share = sum(area(polygon) for polygon in polygons) / complex.domain.volume()
    return estimate(share, "sum of the regions' areas over the domain's, in floating point")


def search_facts(complex: RegionComplex) -> dict[str, Any]:
    """What searched, how long, and whether it came to an end."""
    statistics = {name: float(value) for name, value in complex.statistics.items()}
    return {
        "engine": complex.engine,
        "seconds": estimate(round(complex.seconds, 3)),
        "complete": complex.complete,
        "statistics": statistics,
    }

"""The report on regions: how many, linear regions, pieces, and how they touch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import networkx as nx
import numpy as np

from polytope.regions.complex import RegionComplex
from polytope.report.cost import Question, estimated_seconds
from polytope.report.labels import Labelled, at_least, bound, estimate, exact, not_computed

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
    numbers = {"activation": bound(lower, upper), "linear": not_computed(""), "pieces": not_computed("")}
    reason = _maps_refused(complex, allowance)
    if reason:
        numbers["linear"] = bound(min(1, upper), upper, "linear regions are at most activation regions")
        numbers["pieces"] = bound(min(1, upper), upper, "affine pieces are at most activation regions")
        return numbers
    pieces = complex.pieces()
    numbers["pieces"] = bound(pieces, pieces if complex.complete else upper, TOLERANCE)
    if complex.complete and not _adjacency_refused(complex, allowance):
        numbers["linear"] = exact(len(np.unique(complex.merged())), TOLERANCE)
    else:
        numbers["linear"] = bound(
            pieces, upper, "at least as many as affine pieces, at most as activation regions"
        )
    return numbers


def _maps_refused(complex: RegionComplex, allowance: Allowance) -> str:
    what = "comparing the affine maps of the regions"
    size = len(complex) * complex.network.output_dim * (complex.network.input_dim + 1)
    if size > LARGEST_MAPS:
        return allowance.refuse(what, f"they fill {size:,} numbers; at most {LARGEST_MAPS:,} are compared")
    return allowance.allows(complex, RegionComplex.pieces, what)


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


def coverage(complex: RegionComplex, allowance: Allowance) -> Labelled:
    """The regions' volumes as a share of the domain's: 1 if nothing is missing, up to rounding."""
    if complex.domain.dim > 3 or not complex.domain.is_bounded:
        return not_computed("volumes are added up in bounded domains of at most three dimensions")
    reason = allowance.allows(complex, RegionComplex.volumes, "adding up the volumes of the regions")
    if reason:
        return not_computed(reason)
    share = float(complex.volumes().sum() / complex.domain.volume())
    return estimate(share, "sum of the regions' volumes over the domain's volume, in floating point")


def search_facts(complex: RegionComplex) -> dict[str, Any]:
    """What searched, how long, and whether it came to an end."""
    statistics = {name: float(value) for name, value in complex.statistics.items()}
    return {
        "engine": complex.engine,
        "seconds": estimate(round(complex.seconds, 3)),
        "complete": complex.complete,
        "statistics": statistics,
    }

"""What every engine returns, and what makes an engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from polytope.core.open_cells import Path
from polytope.core.packed import takes_packed
from polytope.engines.budget import Budget, Progress
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Network
from polytope.ir.activations import PatternArray
from polytope.ir.maps import FloatArray, IntArray
from polytope.regions.facets import Facets


@takes_packed
@dataclass(frozen=True, eq=False)
class SearchResult:
    """The outcome of a search.

    Arguments:
        engine: what found them, as reports call it.
        n_regions: regions found, each once.
        open_bound: certified bound on the regions not found; 0 where the search is complete.
        patterns, interior_points: ``int8[R, units]`` and ``[R, d]``; empty where only a count was asked.
        candidates: per region, units (or ``-(row + 1)``) that include all carriers of its facets, if known.
        facets: exact facets, where the engine has them anyway.
        neighbours: ``int[E, 2]``, the pairs of regions that share a facet, where the engine knows them.
        statistics: how many signs each test decided, programs solved, seconds in the solver.
        open_cells, open_bounds: branches of the search that are still to do, where the engine names them, and
            the most regions in each.
    """

    engine: str
    n_regions: int
    open_bound: int
    patterns: PatternArray
    interior_points: FloatArray
    candidates: Sequence[IntArray] | None = None
    facets: Facets | None = None
    neighbours: IntArray | None = None
    statistics: Mapping[str, float] = field(default_factory=dict)
    open_cells: tuple[Path, ...] = ()
    open_bounds: tuple[int, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether nothing can be missing."""
        return self.open_bound == 0


class Engine(Protocol):
    """A frozen dataclass of options that can search a domain."""

    def search(
        self,
        network: Network,
        domain: Polyhedron,
        *,
        budget: Budget,
        keep: bool,
        progress: Progress | None,
    ) -> SearchResult:
        """Find the regions in the domain; with ``keep=False`` only count them."""

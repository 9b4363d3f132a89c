"""The exact engine: cells split layer by layer, whichever way a cell is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Network
from polytope.regions.boundaries import boundaries
from polytope.regions.found import Budget, Found, Progress
from polytope.regions.lp_cell import decider
from polytope.regions.lp_tree import Tree
from polytope.regions.vertex_search import search_vertices, suits_vertices


@dataclass(frozen=True)
class LayerSplit:
    """Exact enumeration by splitting cells layer by layer.

    ============ ============================================== ==================================
    cells        kept by                                        domains
    ============ ============================================== ==================================
    ``vertices`` vertices and incidences, in compiled code      bounded, d <= 6: 1-10 us a region
    ``lp``       inequalities, decided by linear programs       any: about a millisecond a region
    ``auto``     ``vertices`` where they fit, else ``lp``       any
    ============ ============================================== ==================================

    Arguments:
        cells: how a cell is kept, as above.
        workers: threads of the search over vertex cells.
    """

    cells: Literal["auto", "vertices", "lp"] = "auto"
    workers: int = 1

    def __post_init__(self) -> None:
        if self.cells not in ("auto", "vertices", "lp"):
            raise ValueError(f"LayerSplit: cells must be 'auto', 'vertices' or 'lp', not {self.cells!r}.")
        if self.workers < 1:
            raise ValueError(f"LayerSplit: workers must be at least 1, not {self.workers}.")

    def search(
        self,
        network: Network,
        domain: Polyhedron,
        *,
        budget: Budget,
        keep: bool,
        progress: Progress | None,
    ) -> Found:
        """Find the regions of the network in the domain, or as many as the budget allows."""
        if self.cells == "vertices" or (self.cells == "auto" and suits_vertices(domain)):
            return search_vertices(
                network, domain, budget=budget, keep=keep, progress=progress, workers=self.workers
            )
        tables = boundaries(network)
        return Tree(network, tables, decider(network, domain, tables), keep).search(budget, progress)

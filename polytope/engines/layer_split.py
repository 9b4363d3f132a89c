"""The exact engine: cells split layer by layer, whichever way a cell is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from polytope.core.open_cells import Path
from polytope.core.result import ROOT, Keep, SearchResult
from polytope.core.vertex_cells import suits_vertices
from polytope.engines.budget import Budget, Progress
from polytope.engines.highs_search import HighsSearch
from polytope.engines.lp_choice import chosen_solver
from polytope.engines.simplex_search import SimplexSearch
from polytope.engines.vertex_search import VertexSearch
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Network


@dataclass(frozen=True)
class LayerSplit:
    """Exact enumeration by splitting cells layer by layer.

    ============ ============================================== ==================================
    cells        kept by                                        domains
    ============ ============================================== ==================================
    ``vertices`` vertices and incidences, in compiled code      bounded, d <= 12: 1-15 us a region
    ``lp``       inequalities, decided by linear programs       any
    ``auto``     ``vertices`` where d <= 6, else ``lp``         any
    ============ ============================================== ==================================

    Microseconds a region when counting, and with patterns, facets and neighbours, for two layers of torch's
    default initialisation (``lp`` without facets): where d = 6 is the turning point.

    =========== ========= ================ ============
    network     regions   ``vertices``     ``lp``
    =========== ========= ================ ============
    4-32-32-1   85,991    1.1;  3.4        5.0;  8.2
    5-24-24-1   128,860   1.7;  3.3        5.0;  7.7
    6-20-20-1   334,156   2.4;  5.8        4.6;  7.8
    7-16-16-1   102,379   11.4; 14.0       5.3;  8.1
    =========== ========= ================ ============

    ============ ============================================== ==================================
    solver       of the linear programs                         domains
    ============ ============================================== ==================================
    ``simplex``  a dense simplex method in compiled code        bounded: 4-12 us a region
    ``highs``    HiGHS, one program after the other             any: about a millisecond a region
    ``auto``     ``simplex`` where it fits, else ``highs``      any
    ============ ============================================== ==================================

    Whichever solver proposes them, decisions are proved, or made in rational arithmetic.

    Arguments:
        cells: how a cell is kept, as above.
        workers: threads of the compiled searches.
        solver: what solves the programs of LP cells, as above.
    """

    cells: Literal["auto", "vertices", "lp"] = "auto"
    workers: int = 1
    solver: Literal["auto", "simplex", "highs"] = "auto"

    def __post_init__(self) -> None:
        if self.cells not in ("auto", "vertices", "lp"):
            raise ValueError(f"LayerSplit: cells must be 'auto', 'vertices' or 'lp', not {self.cells!r}.")
        if self.solver not in ("auto", "simplex", "highs"):
            raise ValueError(f"LayerSplit: solver must be 'auto', 'simplex' or 'highs', not {self.solver!r}.")
        if self.workers < 1:
            raise ValueError(f"LayerSplit: workers must be at least 1, not {self.workers}.")

    def choose(self, network: Network, domain: Polyhedron) -> VertexSearch | SimplexSearch | HighsSearch:
        """The engine that does the work here.

        Arguments:
            network: the network.
            domain: a polyhedron in its input space.

        Returns:
            The search over vertices, or over linear programs by the simplex method or by HiGHS.

        Raises:
            UnboundedDomainError: the simplex method is asked for on an unbounded domain.
        """
        if self.cells == "vertices" or (self.cells == "auto" and suits_vertices(domain)):
            return VertexSearch(self.workers)
        if chosen_solver(self.solver, network, domain) == "simplex":
            return SimplexSearch(self.workers)
        return HighsSearch()

    def search(
        self,
        network: Network,
        domain: Polyhedron,
        *,
        start: Sequence[Path] = ROOT,
        budget: Budget,
        keep: Keep,
        progress: Progress | None,
    ) -> SearchResult:
        """Find the regions of the network in the domain, or as many as the budget allows."""
        chosen = self.choose(network, domain)
        return chosen.search(network, domain, start=start, budget=budget, keep=keep, progress=progress)

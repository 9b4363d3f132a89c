"""Cells of inequalities decided by HiGHS as an engine: any domain, the whole space too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from polytope.core.open_cells import Path
from polytope.core.result import ROOT, Keep, SearchResult
from polytope.engines.budget import Budget, Progress
from polytope.engines.engine import at_the_root
from polytope.engines.lp_decide import decider
from polytope.engines.lp_tree import HIGHS_CELLS, Tree
from polytope.geometry.equilibrate import equilibrated
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Network
from polytope.ir.boundaries import boundaries
from polytope.ir.looking import watched


@dataclass(frozen=True)
class HighsSearch:
    """The search over cells of inequalities, one linear program after the other."""

    name: ClassVar[str] = HIGHS_CELLS

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
        at_the_root(start, self)
        with watched(budget.first):
            even = equilibrated(network, domain)
            tables = boundaries(even.network)
            tree = Tree(even.network, tables, decider(even.network, even.domain, tables), keep != "count")
        found = tree.search(budget, progress)
        return replace(found, interior_points=found.interior_points * even.scale)

"""Cells by their vertices as an engine: budgets, certified bounds, facets with both their sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from polytope.core.open_cells import Path
from polytope.core.result import ROOT, Keep
from polytope.core.vertex_cells import VERTEX_CELLS, VertexCells, explore
from polytope.engines.budget import Budget, Progress
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Network


@dataclass(frozen=True)
class VertexSearch:
    """The native search over cells by their vertices, in bounded domains of at most twelve dimensions.

    Arguments:
        workers: threads.
    """

    workers: int = 1
    name: ClassVar[str] = VERTEX_CELLS

    def search(
        self,
        network: Network,
        domain: Polyhedron,
        *,
        start: Sequence[Path] = ROOT,
        budget: Budget,
        keep: Keep,
        progress: Progress | None,
    ) -> VertexCells:
        """Find the regions of the network in the domain, or as many as the budget allows."""
        # a complete complex finds facet points when it is asked for them; in one that is cut short they cost
        # a linear program each, unless kept
        points = keep == "cells" and domain.dim <= 2 and budget.limited
        found = explore(
            network,
            domain,
            keep="points" if points else keep,
            max_regions=budget.max_regions,
            limits=budget,
            progress=progress,
            workers=self.workers,
            start=start,
        )
        if keep != "cells" or self.workers == 1 or tuple(start) != ROOT:
            return found  # a complex matches the facets' keys when it is asked who touches whom
        return replace(found, neighbours=found.pairs(workers=self.workers))

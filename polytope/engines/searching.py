"""A search by any engine that ends when its limits say so, and has at least one region to show for it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from time import monotonic

import numpy as np

from polytope.core.open_cells import Bounds, Path, open_cells
from polytope.core.result import ROOT, Keep, SearchResult
from polytope.engines.budget import GRACE, Budget, BudgetSpent, Progress
from polytope.engines.engine import Engine
from polytope.geometry.inside import contained
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Network
from polytope.ir.activations import PatternArray
from polytope.ir.boundaries import boundaries
from polytope.ir.looking import watched
from polytope.ir.maps import FloatArray
from polytope.regions.locate import told_patterns

TRIED = 8  # points at which a first region is looked for
PROVING = 0.25  # of the time for that


def searched(
    engine: Engine,
    network: Network,
    domain: Polyhedron,
    *,
    start: Sequence[Path] = ROOT,
    budget: Budget,
    keep: Keep,
    progress: Progress | None,
) -> SearchResult:
    """What the engine finds; where the limits end what it has to make before it can search, nothing.

    Arguments:
        engine, network, domain, start, budget, keep, progress: as for ``Engine.search``.
    """
    try:
        return engine.search(network, domain, start=start, budget=budget, keep=keep, progress=progress)
    except BudgetSpent:
        left = open_cells(
            {"done": [], "untouched": [(path, -1, 0) for path in start], "regions": 0}, Bounds(network)
        )
        return SearchResult(
            engine=getattr(engine, "name", type(engine).__name__),
            n_regions=0,
            open_bound=left.bound,
            kept_patterns=np.zeros((0, network.n_units), dtype=np.int8),
            interior_points=np.zeros((0, domain.dim)),
            open_cells=left.cells,
            open_bounds=left.bounds,
        )


Inside = tuple[PatternArray, FloatArray]  # of a region: its pattern int8[1, units], and a point in it [1, d]


def a_region(network: Network, domain: Polyhedron, budget: Budget) -> Inside | None:
    """A region around a point in the middle of the domain; where none that is tried is proved, ``None``.

    That costs a forward pass with bounds on its rounding errors: the smallest step of any search. Where there
    is no time to list the boundaries of all units, there is none for it either.

    Arguments:
        network, domain: as of a search.
        budget: when to try no further point than the first.
    """
    rng, began = np.random.default_rng(0), monotonic()
    center, radius = domain.inscribed_ball
    limit = budget.max_seconds
    seconds = None if limit is None else max(PROVING * limit, GRACE / 2)
    try:
        with watched(Budget(max_seconds=seconds).look):
            tables = boundaries(network)
    except BudgetSpent:
        return None
    for share in np.linspace(0.0, 0.5, TRIED):
        side = rng.standard_normal(domain.dim)
        x = (center + share * min(radius, 1.0) * side / np.linalg.norm(side))[None]
        try:
            with watched(budget.first) if share else nullcontext():  # the first one is tried in any case
                pattern, told = told_patterns(network, tables, x)
        except BudgetSpent:
            break
        if told[0] and contained(domain.rows, domain.b, x, strictly=True)[0]:
            return pattern, x
        if seconds is not None and monotonic() - began > seconds:
            break
    return None


def with_a_region(found: SearchResult, known: Inside, keep: Keep) -> SearchResult:
    """The same as if the search had found that region alone. One of the open cells holds it: none is named.

    Arguments:
        found: the result of a search that was stopped before the first region.
        keep: what was asked for.
    """
    kept = slice(0, int(keep != "count"))
    return replace(
        found,
        n_regions=1,
        open_bound=max(found.open_bound - 1, 1),
        kept_patterns=known[0][kept],
        interior_points=known[1][kept],
        candidates=None,
        facets=None,
        neighbours=None,
        open_cells=(),
        open_bounds=(),
    )

r"""The walk from a point, facet by facet: nearest regions first, for inputs of hundreds of dimensions.

The regions of a convex domain are connected through facets, so a walk whose queue is empty has found them
all. One that a budget stops has found the nearest ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from polytope.core.open_cells import Path
from polytope.core.result import ROOT, Keep, SearchResult
from polytope.engines.budget import Budget, BudgetSpent, Progress
from polytope.engines.engine import at_the_root
from polytope.engines.listed import listed
from polytope.engines.nearest_first import by_distance
from polytope.engines.walk import Walk, by_hops
from polytope.geometry.equilibrate import equilibrated
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Network
from polytope.ir.arrays import floats
from polytope.ir.boundaries import boundaries
from polytope.ir.looking import watched
from polytope.ir.maps import FloatArray


@dataclass(frozen=True, eq=False)
class FacetFlip:
    r"""Exact enumeration outward from a point, by crossing one facet after the other.

    ============ ===================================================================================
    order        regions come
    ============ ===================================================================================
    ``distance`` by the Euclidean distance :math:`\min_{y \in R} |y - x|` from the start, least first
    ``hops``     by the least number of facets between them and the start
    ============ ===================================================================================

    Only what the order needs is decided: with a budget, a region of an MLP with 512 units on 784 inputs took
    about 0.025 s by hops and 0.15 s by distance, one of a convolutional network with 23,328 units 0.05 s and
    0.9 s, although deciding all its facets takes much longer. The whole of R^d is a domain like any other.
    Above 64 dimensions rows that float64 cannot tell are decided exactly where a region has few of them
    besides those of a box; a walk that leaves one undecided is not complete.

    Arguments:
        start: a point of the domain, ``[d]``; its region is the first. ``None`` is the centre of a largest
            ball in the domain.
        order: as above.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0], [1.0]], [0.0, -1.0]), ([[1.0, 1.0]], [0.0])])  # breakpoints at 0 and 1
        >>> regions = pt.enumerate_regions(net, pt.Polyhedron.whole_space(1), pt.FacetFlip([-2.0]))
        >>> regions.patterns.tolist()
        [[0, 0], [1, 0], [1, 1]]
    """

    start: ArrayLike | None = None
    order: Literal["distance", "hops"] = "distance"

    def __post_init__(self) -> None:
        if self.order not in ("distance", "hops"):
            raise ValueError(f"FacetFlip: order must be 'distance' or 'hops', not {self.order!r}.")

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
        """Walk until the regions or the budget end.

        Raises:
            ValueError: the start is not a point of the domain.
            EmptyDomainError: the domain has no interior.
        """
        at_the_root(start, self)
        origin = self._start(domain)
        with watched(budget.first):
            inner = equilibrated(network, domain, columns=self.order == "hops")
            network, domain, origin = inner.network, inner.domain, origin / inner.scale
            walk = Walk(network, domain, boundaries(network), budget, progress)
            walk.begin(origin)
        try:
            with watched(budget.look):
                ended = by_hops(walk) if self.order == "hops" else by_distance(walk, origin)
        except BudgetSpent:
            ended = False
        done = ended and walk.sure
        regions = [(p, x * inner.scale) for p, x in zip(walk.patterns, walk.points, strict=True)]
        name = f"facet flip, by {self.order}"
        found = listed(network, regions, engine=name, keep=keep, done=done, statistics=dict(walk.tally))
        if not done or keep == "count":
            return found
        return replace(found, candidates=walk.candidates(), neighbours=walk.neighbours())

    def _start(self, domain: Polyhedron) -> FloatArray:
        if self.start is None:
            return domain.inscribed_ball[0]
        start = floats(self.start).ravel()
        if len(start) != domain.dim or not np.isfinite(start).all():
            raise ValueError(f"FacetFlip: the start must be a point of R^{domain.dim}.")
        if not domain.contains(start[None], tolerance=1e-9)[0]:
            raise ValueError("FacetFlip: the start lies outside the domain; move it inside.")
        return start

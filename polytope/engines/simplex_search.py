r"""The native search over cells of inequalities as an engine: budgets, certified bounds, exact answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from polytope import _core
from polytope.core.bounding_box import bounding_box
from polytope.core.exact_signs import ExactSigns
from polytope.core.flat_network import FlatNetwork, flatten
from polytope.core.interior_points import proved_inside
from polytope.core.limits import attendant
from polytope.core.open_cells import Bounds, ForeignBranchError, Path, open_cells
from polytope.core.packed import patterns_of
from polytope.core.ragged import Ragged
from polytope.core.result import ROOT, Keep, SearchResult
from polytope.core.vertex_cells import MOST_REGIONS
from polytope.engines.budget import Budget, Progress
from polytope.engines.lp_choice import SIMPLEX_CELLS
from polytope.exact.interior import interior_point
from polytope.exact.program import positive_point
from polytope.geometry.equilibrate import equilibrated
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Network
from polytope.ir.looking import look, watched, who_watches
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.products import unfolded

NEGATIVE, POSITIVE = 1, 2  # bits of a set of signs, as in the core
Name = tuple[int, int, float]  # a row: z_a - z_b, z_a - breakpoint (b = -1), or row a of the domain (b = -2)


@dataclass(frozen=True, eq=False)
class Root:
    """The first cell: bounds of the coordinates, further rows of the domain, and a point deep inside.

    Arguments:
        low, high: a box around the domain.
        box_rows: ``int[d, 2]``, the rows ``dom`` of the flat network that are these bounds.
        center: ``[d]``, a point strictly inside.
    """

    low: FloatArray
    high: FloatArray
    box_rows: IntArray
    center: FloatArray


def problem(network: Network, domain: Polyhedron) -> tuple[FlatNetwork, Root]:
    """The flat network on the domain, and the first cell."""
    d = domain.dim
    low, high, owner = bounding_box(domain)
    rows = [np.append(a, -c) for a, c in zip(domain.A, domain.b, strict=True)]
    for t in range(d):
        for side in range(2):
            if owner[t, side] < 0:
                row = np.zeros(d + 1)
                row[t], row[d] = (-1.0, low[t]) if side == 0 else (1.0, -high[t])
                owner[t, side] = len(rows)
                rows.append(row)
    used = set(owner.ravel().tolist())
    cutting = [(i, i) for i in range(len(domain.b)) if i not in used]
    xmax = np.maximum(np.abs(low), np.abs(high))
    net = flatten(network, np.array(rows), cutting, xmax, 1)
    net.par[4] = 0
    return net, Root(low, high, owner, domain.inscribed_ball[0])


@dataclass(frozen=True, eq=False)
class Answers:
    """What exact arithmetic says of a cell: the signs of a row inside, and points in its two parts."""

    exact: ExactSigns
    root: Root

    def __call__(
        self,
        rows: Sequence[tuple[int, int, int, float]],
        tight: Sequence[int],
        name: Name,
        both: bool,
        known: int,
        pieces: IntArray,
    ) -> tuple[int, list[float], list[float]]:
        """The signs, and where there are two and it is asked for, a point in each part.

        Arguments:
            rows: of the cell besides the box's: sign and name of each.
            tight: numbers of rows that are likely tight at the optimum; the box's come behind the others.
            name: of the row.
            both: whether points are wanted.
            known: signs that are known to occur.
            pieces: of all units, where decided.
        """
        row = self._integers(*name, pieces)
        sides = {POSITIVE: row, NEGATIVE: [-x for x in row]}
        cell = [[sign * x for x in self._integers(a, b, at, pieces)] for sign, a, b, at in rows]
        cell += [self._integers(i, -2, 0.0, pieces) for i in self.root.box_rows.ravel().tolist()]
        signs = known
        for bit, side in sides.items():
            if signs & bit:
                continue
            if not any(side[:-1]):
                signs |= bit if side[-1] > 0 else 0
            elif positive_point(cell, side, first=tight) is not None:
                signs |= bit
        if not both or signs != POSITIVE | NEGATIVE:
            return signs, [], []
        parts = [interior_point([*cell, side]) for side in sides.values()]
        below, above = ([float(x) for x in part] for part in parts if part is not None)
        return signs, below, above

    def _integers(self, a: int, b: int, at: float, pieces: IntArray) -> list[int]:
        integers: list[int] = self.exact.row(a, b, at, pieces).integers.tolist()
        return integers


@dataclass(frozen=True)
class SimplexSearch:
    """The native search over cells of inequalities, decided by its own dense simplex method; bounded domains.

    Arguments:
        workers: threads.
        floats: whether floats may prove signs; otherwise exact arithmetic is asked for every one (slow).
    """

    workers: int = 1
    floats: bool = True
    name: ClassVar[str] = SIMPLEX_CELLS

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
        """Find the regions of the network in a bounded domain, or as many as the budget allows.

        Raises:
            ValueError: an open cell to start from is not one of this search.
        """
        with watched(budget.first):
            inner, even, scale, net, root = _problem(network, domain)
        faces = -1 - root.box_rows[root.box_rows < len(domain.b)]
        seconds = np.inf if budget.left is None else budget.left
        outside = who_watches()
        # ``attend`` ends it, and what it has found is kept; unless exact arithmetic takes far too long
        with watched(budget.first):
            raw = _core.explore_lp(
                net,
                root.low.tolist(),
                root.high.tolist(),
                root.center.tolist(),
                faces.tolist(),
                keep=int(keep != "count"),
                paths=start,
                most=budget.max_regions or MOST_REGIONS,
                seconds=seconds,
                workers=self.workers,
                floats=self.floats,
                exact=Answers(ExactSigns(inner, net), root),
                attend=attendant(budget, progress, outside),
            )
        if raw["lost"]:
            raise ForeignBranchError
        left = open_cells(raw, Bounds(inner))
        units, packed, points = network.n_units, bool(net.par[7]), raw["points"]
        offsets = np.concatenate([[0], np.cumsum(raw["n_facets"], dtype=np.int64)])
        carriers = Ragged(offsets, raw["facet_units"])
        doubtful = np.flatnonzero(raw["doubtful"])
        some = patterns_of(raw["patterns"][doubtful], units, packed=packed)
        points[doubtful] = proved_inside(
            inner, even, some, points[doubtful], [carriers[i] for i in doubtful.tolist()]
        )
        return SearchResult(
            engine=SIMPLEX_CELLS,
            n_regions=raw["regions"],
            open_bound=left.bound,
            kept_patterns=patterns_of(raw["patterns"], units, packed=packed),
            interior_points=points * scale,
            candidates=None if keep == "count" else carriers,
            statistics=raw["statistics"],
            open_cells=left.cells,
            open_bounds=left.bounds,
        )


Problem = tuple[Network, Polyhedron, FloatArray, FlatNetwork, Root]
"""Network and domain in units of ordinary size, the units, the flat network and the first cell."""


@lru_cache(maxsize=1)  # a worker is asked for one part of a search after the other
def _kept(network: Network, domain: Polyhedron) -> list[Problem]:
    """A place for one problem; empty until it is made."""
    return []


def _problem(network: Network, domain: Polyhedron) -> Problem:
    kept = _kept(network, domain)
    if not kept:
        look()
        even = equilibrated(network, domain)
        inner = unfolded(even.network)
        kept.append((inner, even.domain, even.scale, *problem(inner, even.domain)))
    return kept[0]

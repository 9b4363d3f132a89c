r"""The compiled search over cells of inequalities as an engine: budgets, certified bounds, exact answers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polytope.exact.interior import interior_point
from polytope.exact.program import positive_point
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Network
from polytope.ir.maps import IntArray
from polytope.ir.products import unfolded
from polytope.regions import kernels_layer as layout
from polytope.regions.bounding_box import bounding_box
from polytope.regions.equilibrate import equilibrated
from polytope.regions.exact import ExactSigns
from polytope.regions.flat_network import FlatNetwork, flatten
from polytope.regions.found import Budget, Found, Path, Progress
from polytope.regions.kernels_decide import NEGATIVE, POSITIVE
from polytope.regions.kernels_lp import run
from polytope.regions.kernels_lp_cell import KNOWN
from polytope.regions.lp_choice import SIMPLEX_CELLS
from polytope.regions.lp_state import Root, drain, grow, new_work, reset
from polytope.regions.open_cells import Bounds, open_cells

FIRST_QUANTUM, QUANTUM = 4, 20_000  # splits between two looks at the clock, at first and at most
LOOK_SECONDS = 0.1  # a quantum that lasted longer is followed by a smaller one
COUNTS = ("programs", "pivots", "ball", "points", "multipliers", "bare", "exact", "splits", "uncentered")


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
    cutting = [(i, i) for i in range(len(domain.A)) if i not in used]
    xmax = np.maximum(np.abs(low), np.abs(high))
    net = flatten(network, np.array(rows), cutting, xmax, 1)
    net.par[4] = 0
    return net, Root(low, high, owner, np.arange(len(cutting)), domain.inscribed_ball[0])


class LpSearch:
    """One compiled search: the loop around ``run``, and the answers of exact arithmetic."""

    def __init__(self, network: Network, domain: Polyhedron, *, keep: bool) -> None:
        even = equilibrated(network, domain)
        network, domain = unfolded(even.network), even.domain
        self.network, self.domain, self.keep = network, domain, keep
        self.scale = even.scale
        self.net, self.root = problem(network, domain)
        chunk = int(np.clip(2**22 // max(network.n_units, 1), 256, 16384))
        self.w = new_work(self.net, keep, chunk)
        reset(self.net, self.w, self.root, keep=keep)
        self.exact = ExactSigns(network, self.net)
        self.bounds = Bounds(network, self.net)
        self.chunks: list[dict[str, NDArray[Any]]] = []
        self.found, self.open_bound = 0, 0
        self.open: list[tuple[Path, int]] = []

    def search(self, budget: Budget, progress: Progress | None, start: Sequence[Path] = ((),)) -> Found:
        """Depth first until the tree or the budget ends.

        Arguments:
            start: open cells of an earlier, stopped search with the same network and domain.

        Raises:
            ValueError: one of them is not a branch of this search.
        """
        for number, path in enumerate(start):
            if self.open or (number and budget.spent(self.found)):
                whole = self.bounds.ceiling.whole
                self.open.append((path, whole))
                self.open_bound += whole
                continue
            if path:
                reset(self.net, self.w, self.root, keep=self.keep, path=path)
            self._branch(budget, progress)
        if self.keep:
            self._drain()
        return self._found()

    def _branch(self, budget: Budget, progress: Progress | None) -> None:
        """Search from where the state stands, and keep what a budget leaves."""
        net, w = self.net, self.w
        R = w.R
        if budget.max_regions is not None:
            R[layout.MAXIT] = budget.max_regions - self.found
        R[layout.BUDGET] = quantum = FIRST_QUANTUM
        looked = monotonic()
        while True:
            code = int(run(net, w))
            found = self.found + int(R[layout.COUNT])
            if code == layout.NEED_SIGN:
                self._answer()
                if budget.spent(found):
                    break
            elif code == layout.GROW:
                grow(w, int(R[layout.WHAT]))
            elif code == layout.FLUSH:
                self._drain()
            elif code == layout.LOST:
                raise ValueError("A branch to start from is not one of this network on this domain.")
            else:
                if progress:
                    progress(found, int(R[layout.DEPTH]))
                if code == layout.FINISHED or budget.spent(found):
                    break
                slow = monotonic() - looked > LOOK_SECONDS
                quantum = max(quantum // 2, 1) if slow else min(2 * quantum, QUANTUM)
                R[layout.BUDGET], looked = quantum, monotonic()
        self.found = found
        if code != layout.FINISHED:
            nodes, most = open_cells(w, self.bounds, current=int(R[layout.PHASE]) != 1)
            self.open += nodes
            self.open_bound += most

    def _answer(self) -> None:
        """Decide the signs that the search asks for in rational arithmetic, and find points in both parts."""
        w, R = self.w, self.w.R
        f = self._integers(int(R[layout.QA]), int(R[layout.QB]), float(w.fl[1]))
        rows = [
            [sign * x for x in self._integers(a, b, brk)]
            for (sign, a, b), brk in zip(
                w.rec_i[: R[layout.RECN], [1, 5, 6]].tolist(), w.brks.tolist(), strict=False
            )
        ]
        opposite, tight = [-x for x in f], self._tight(len(rows))
        rows += [self._integers(i, -2, 0.0) for i in self.root.box_rows.ravel().tolist()]
        signs = int(R[KNOWN])
        for row, bit in ((f, POSITIVE), (opposite, NEGATIVE)):
            if signs & bit:
                continue
            if not any(row[:-1]):
                signs |= bit if row[-1] > 0 else 0
            elif positive_point(rows, row, first=tight) is not None:
                signs |= bit
        if R[layout.NREQ] and signs == POSITIVE | NEGATIVE:
            for side, row in enumerate((f, opposite)):
                deep = interior_point([*rows, row])
                assert deep is not None, "both signs occur inside"
                w.deep[side] = [float(x) for x in deep]
        R[layout.MEMO] = signs + 1

    def _tight(self, first: int) -> list[int]:
        """The rows through the dictionary's vertex, likely a basis of the optimum; the box's come last."""
        d = self.domain.dim
        sides = zip(self.w.nonb.tolist(), self.w.upper.tolist(), strict=True)
        return [v - d if v >= d else first + 2 * v + side for v, side in sides]

    def _integers(self, a: int, b: int, brk: float) -> list[int]:
        integers: list[int] = self.exact.row(a, b, brk, self.w.seg).integers.tolist()
        return integers

    def _found(self) -> Found:
        d = self.domain.dim
        statistics = dict(zip(COUNTS, self.w.stat.tolist(), strict=False))
        patterns = [c["patterns"] for c in self.chunks]
        points = [c["points"] for c in self.chunks]
        return Found(
            engine=SIMPLEX_CELLS,
            n_regions=self.found,
            open_bound=min(self.open_bound, self.bounds.ceiling.whole - self.found) if self.open else 0,
            patterns=np.concatenate([np.zeros((0, self.network.n_units), dtype=np.int8), *patterns]),
            interior_points=np.concatenate([np.zeros((0, d)), *points]) * self.scale,
            candidates=self._carriers() if self.keep else None,
            statistics=statistics,
            open_cells=tuple(path for path, _ in self.open),
            open_bounds=tuple(most for _, most in self.open),
        )

    def _drain(self) -> None:
        """Take over what the output buffers hold, with each cell's carriers in order and once."""
        out = drain(self.w)
        box = -1 - self.root.box_rows[self.root.box_rows < len(self.domain.A)]
        cells = np.arange(len(out["ends"]))
        cell = np.concatenate([np.repeat(cells, len(box)), np.repeat(cells, np.diff(out["ends"], prepend=0))])
        unit = np.concatenate([np.tile(box, len(cells)), out.pop("units")])
        order = np.lexsort((unit, cell))
        cell, unit = cell[order], unit[order]
        first = np.ones(len(unit), dtype=bool)
        first[1:] = (cell[1:] != cell[:-1]) | (unit[1:] != unit[:-1])
        out["ends"] = np.cumsum(np.bincount(cell[first], minlength=len(cells)))
        self.chunks.append(out | {"carriers": unit[first].astype(np.int32)})

    def _carriers(self) -> tuple[IntArray, ...]:
        """For each region the units and domain rows whose boundaries include all its facets."""
        parts: list[IntArray] = []
        for c in self.chunks:
            parts += [c["carriers"][i:j] for i, j in pairwise([0, *c["ends"].tolist()])]
        return tuple(parts)


def search_simplex(
    network: Network, domain: Polyhedron, *, budget: Budget, keep: bool, progress: Progress | None
) -> Found:
    """Find the regions of the network in a bounded domain, or as many as the budget allows."""
    return LpSearch(network, domain, keep=keep).search(budget, progress)

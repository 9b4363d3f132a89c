"""The least values of a network's outputs over a bounded polyhedron, by branch and bound.

Nodes are those of ``search``; a node's bound is a lower bound of its output. What is smallest among points
that were tried bounds the least value from above. A node whose units are all on one piece is a linear
program, solved in rational arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import torch

from polytope.bounds.branching.bounding import Bounding, alone
from polytope.bounds.branching.nodes import Nodes
from polytope.bounds.output_bounds import bounds_at, bounds_over_box
from polytope.core.limits import BudgetSpent
from polytope.engines.sampling import random_points
from polytope.errors import SolverError
from polytope.exact.cells import ExactCells
from polytope.exact.program import maximise
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir.activations import PatternArray
from polytope.ir.looking import watched
from polytope.ir.maps import FloatArray
from polytope.ir.network import Network

TOGETHER = 64  # nodes split at once
SAMPLES = 256
ROUNDS = 30  # of a descent
WORK = 2.0**27  # products for one linear program
STEPS = np.append(2.0 ** -np.arange(12), 0.0)[:, None]  # shares of the way to a corner


@dataclass(eq=False)
class Minima:
    """The search for the least value of each output.

    Arguments:
        network: of m outputs.
        domain: a bounded polyhedron with interior.
        gap: how far above the proved least value an attained one may stay.
        spent: whether to come to an end.

    Attributes:
        value: ``[m]``, attained, rounded up.
        at: ``[m, d]``, where, rounded.
    """

    network: Network
    domain: Polyhedron
    gap: float
    spent: Callable[[], bool]
    value: FloatArray = field(init=False)
    at: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        m, self.box = self.network.output_dim, self.domain.bounds
        self.value, self.at = np.full(m, np.inf), np.tile(self.domain.inscribed_ball[0], (m, 1))
        self._floor = np.full(m, np.inf)  # a lower bound where nodes were closed
        self._first = bounds_over_box(self.network, self.box)[0]
        self._nodes: Nodes | None = None
        self._cells = ExactCells(self.network, self.domain.rows, self.domain.b)

    @property
    def settled(self) -> int:
        """The number of nodes closed so far."""
        return 0 if self._nodes is None else self.bounding.settled

    @property
    def low(self) -> FloatArray:
        """``[m]``: proved lower bounds of the outputs."""
        if self._nodes is None:
            return self._first
        low = self._floor.copy()
        np.minimum.at(low, self._nodes.output.cpu().numpy(), self._nodes.bound.cpu().numpy())
        best: FloatArray = np.maximum(self._first, np.minimum(low, self.value))
        return best

    @alone
    def run(self) -> None:
        """Split nodes until all are closed, or the time is spent."""
        for points in random_points(self.domain, SAMPLES, np.random.default_rng(0)):
            self._try(np.concatenate([points, self.at[:1]]))
        middle = self.box[0] / 2 + self.box[1] / 2
        radius = float(np.maximum(self.box[1] - middle, middle - self.box[0]).max()) * (1 + 2.0**-40)
        self.bounding = Bounding(self.network, middle, self.box, np.inf, self.spent)
        self.bounding.look_within(radius)
        self._nodes = self._bounded(self.bounding.begin(torch.arange(self.network.output_dim)), split=False)
        while len(self._nodes) and not self.spent():
            self._step(self._nodes)

    def _step(self, nodes: Nodes) -> None:
        """Split the nodes that may be farthest below what is attained."""
        ahead = nodes.bound - torch.from_numpy(self.value)[nodes.output]
        chosen = torch.zeros(len(nodes), dtype=torch.bool)
        chosen[torch.argsort(ahead)[: min(TOGETHER, self.bounding.together)]] = True
        now = nodes.take(chosen)
        whole = now.unit[:, 0] < 0
        leaves = now.take(whole)
        level = torch.from_numpy(self.value - self.gap)
        children = self._bounded(self.bounding.split(now.take(~whole), level))
        if len(leaves):
            patterns = self.bounding.patterns(leaves)
            parts = zip(leaves.output.tolist(), leaves.bound.tolist(), patterns, strict=True)
            for output, bound, pattern in parts:
                self._solve(output, bound, pattern)
        self._nodes = nodes.take(~chosen).plus(children)
        level = torch.from_numpy(self.value - self.gap)
        self._close(self._nodes, self._nodes.bound > level[self._nodes.output])

    def _bounded(self, nodes: Nodes, split: bool = True) -> Nodes:
        """The nodes with their bounds; tries the inputs that these propose."""
        level = torch.from_numpy(self.value - self.gap)
        nodes, best, _ = self.bounding.bounded(nodes, level)
        nodes.bound = torch.maximum(nodes.bound, best) if split else best
        if len(nodes):
            slopes = nodes.slope.double().numpy()
            self._try(np.where(slopes > 0, self.box[0], self.box[1]))
        return nodes

    def _close(self, nodes: Nodes, closed: torch.Tensor) -> None:
        """Keep the other nodes only."""
        done = nodes.take(closed)
        np.minimum.at(self._floor, done.output.numpy(), done.bound.numpy())
        self._nodes = nodes.take(~closed)

    def _solve(self, output: int, bound: float, pattern: PatternArray) -> None:
        """The least value of an output on the closed cell of a pattern, exactly, where that ends in time."""
        found = self._cells.exact.outputs(pattern)
        function = [-v for v in found.integers[output].tolist()]
        try:
            with watched(self._look):
                best = maximise([row.row for row in self._cells.rows(pattern)], function, work=WORK)
        except (SolverError, BudgetSpent):
            self._floor[output] = min(self._floor[output], bound)
            return
        if best is None or best.value is None:
            return  # an empty cell
        value = -best.value / 2**found.exponent
        near = float(value)
        low = near if Fraction(near) <= value else np.nextafter(near, -np.inf)
        high = near if Fraction(near) >= value else np.nextafter(near, np.inf)
        self._floor[output] = min(self._floor[output], max(bound, low))
        if high < self.value[output]:
            self.value[output], self.at[output] = high, [float(v) for v in best.point]

    def _look(self, wanted: int = 0) -> None:
        """End a program where the time is spent."""
        if self.spent():
            raise BudgetSpent

    def _try(self, points: FloatArray) -> None:
        """Keep points of the domain, and what lies downhill of them, where outputs are smaller than known."""
        inside = points[self.domain.contains(points)]
        if not len(inside):
            return
        values = self.network(inside)
        best = values.argmin(axis=0)
        for k in np.flatnonzero(values.min(axis=0) < self.value).tolist():
            x = self._downhill(inside[best[k]], k)
            high = float(bounds_at(self.network, x)[1][k])
            if high < self.value[k]:
                self.value[k], self.at[k] = high, x

    def _downhill(self, x: FloatArray, k: int) -> FloatArray:
        """Towards the corner of the box at which the affine function around a point is least, and again."""
        value = self.network(x)[k]
        for _ in range(ROUNDS):
            slope = self.network.affine(self.network.pattern(x))[0][k]
            aim = np.where(slope > 0, self.box[0], np.where(slope < 0, self.box[1], x))
            way = np.clip(x + STEPS * (aim - x), *self.box)
            values = np.where(self.domain.contains(way), self.network(way)[:, k], np.inf)
            least = int(values.argmin())
            if not values[least] < value:
                break
            x, value = way[least], values[least]
        return x

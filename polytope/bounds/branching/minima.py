"""The least values of a network's outputs over a bounded polyhedron, by branch and bound.

Nodes are those of ``search``; a node's bound is a lower bound of its output. What is smallest among points
that were tried bounds the least value from above. A node whose units are all on one piece is a linear
program, solved in rational arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch

from polytope.bounds.branching.bounding import Bounding, alone
from polytope.bounds.branching.nodes import Nodes
from polytope.bounds.least_values import LeastValues
from polytope.core.limits import BudgetSpent
from polytope.errors import SolverError
from polytope.exact.cells import ExactCells
from polytope.exact.program import maximise
from polytope.ir.activations import PatternArray
from polytope.ir.looking import watched
from polytope.ir.maps import FloatArray

TOGETHER = 64  # nodes split at once
WORK = 2.0**27  # products for one linear program


@dataclass(eq=False)
class Minima:
    """The search for the least value of each output.

    Arguments:
        known: of the m outputs of a network; becomes better.
        gap: how far above the proved least value an attained one may stay.
        spent: whether to come to an end.
    """

    known: LeastValues
    gap: float
    spent: Callable[[], bool]

    def __post_init__(self) -> None:
        self.network, self.box = self.known.network, self.known.box
        self._floor = np.full(len(self.known.value), np.inf)  # a lower bound where nodes were closed
        self._nodes: Nodes | None = None
        self._cells = ExactCells(self.network, self.known.domain.rows, self.known.domain.b)

    @property
    def settled(self) -> int:
        """The number of nodes closed so far."""
        return 0 if self._nodes is None else self.bounding.settled

    @property
    def cells(self) -> int:
        """How many parts the box is in: nodes that are settled, and those that are open."""
        return 0 if self._nodes is None else self.bounding.settled + len(self._nodes)

    @property
    def low(self) -> FloatArray:
        """``[m]``: proved lower bounds of the outputs."""
        if self._nodes is None:
            return self.known.low
        low = self._floor.copy()
        np.minimum.at(low, self._nodes.output.cpu().numpy(), self._nodes.bound.cpu().numpy())
        best: FloatArray = np.maximum(self.known.low, np.minimum(low, self.known.value))
        return best

    @alone
    def run(self) -> None:
        """Split nodes until all are closed, or the time is spent."""
        middle = self.box[0] / 2 + self.box[1] / 2
        radius = float(np.maximum(self.box[1] - middle, middle - self.box[0]).max()) * (1 + 2.0**-40)
        self.bounding = Bounding(self.network, middle, self.box, np.inf, self.spent)
        self.bounding.look_within(radius)
        self._nodes = self._bounded(self.bounding.begin(torch.arange(self.network.output_dim)), split=False)
        while len(self._nodes) and not self.spent():
            self._step(self._nodes)

    def _step(self, nodes: Nodes) -> None:
        """Split the nodes that may be farthest below what is attained."""
        ahead = nodes.bound - torch.from_numpy(self.known.value)[nodes.output]
        chosen = torch.zeros(len(nodes), dtype=torch.bool)
        chosen[torch.argsort(ahead)[: min(TOGETHER, self.bounding.together)]] = True
        now = nodes.take(chosen)
        whole = now.unit[:, 0] < 0
        leaves = now.take(whole)
        level = torch.from_numpy(self.known.value - self.gap)
        children = self._bounded(self.bounding.split(now.take(~whole), level))
        if len(leaves):
            patterns = self.bounding.patterns(leaves)
            parts = zip(leaves.output.tolist(), leaves.bound.tolist(), patterns, strict=True)
            for output, bound, pattern in parts:
                self._solve(output, bound, pattern)
        self._nodes = nodes.take(~chosen).plus(children)
        level = torch.from_numpy(self.known.value - self.gap)
        self._close(self._nodes, self._nodes.bound > level[self._nodes.output])

    def _bounded(self, nodes: Nodes, split: bool = True) -> Nodes:
        """The nodes with their bounds; tries the inputs that these propose."""
        level = torch.from_numpy(self.known.value - self.gap)
        nodes, best, _ = self.bounding.bounded(nodes, level)
        nodes.bound = torch.maximum(nodes.bound, best) if split else best
        if len(nodes):
            slopes = nodes.slope.double().numpy()
            self.known.try_points(np.where(slopes > 0, self.box[0], self.box[1]))
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
        low, high = _around(value)
        self._floor[output] = min(self._floor[output], max(bound, low))
        self.known.keep(output, high, np.array([float(v) for v in best.point]))

    def _look(self, wanted: int = 0) -> None:
        """End a program where the time is spent."""
        if self.spent():
            raise BudgetSpent


def _around(value: Fraction) -> tuple[float, float]:
    """The neighbouring float64 numbers between which a number lies, or the one that it is."""
    try:
        near = float(value)
    except OverflowError:
        most = float(np.finfo(float).max)
        return (most, np.inf) if value > 0 else (-np.inf, -most)
    low = near if Fraction(near) <= value else float(np.nextafter(near, -np.inf))
    high = near if Fraction(near) >= value else float(np.nextafter(near, np.inf))
    return low, high

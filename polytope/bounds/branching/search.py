r"""Branch and bound for the nearest input at which some output is not positive.

A node is an output and, for every unit, the pieces that it may be on. Its bound is a radius within which
linear bounds show the output to be positive (``relaxed``, ``around``), with free slopes and multipliers of
the pieces improved by some steps of gradient ascent. The nodes of the smallest bounds are split first. Of the
units whose lines cost the bound most, that one is split whose halves have the best bounds before any ascent.
A node whose units are all on one piece is a region; what it holds is for the caller to say.

References:
    Bunel et al. (2020), "Branch and Bound for Piecewise Linear Neural Network Verification",
    https://arxiv.org/abs/1909.06588
    De Palma et al. (2021), "Improved Branch and Bound for Neural Network Verification via Lagrangian
    Decomposition", https://arxiv.org/abs/2104.06718 (splits that are tried first)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import reduce

import numpy as np
import torch

from polytope.bounds.branching.bounding import Bounding, alone
from polytope.bounds.branching.nodes import Nodes
from polytope.ir.activations import PatternArray
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.network import Network

TOGETHER = 256  # nodes split at once
CANDIDATES = 2
FARTHER, MOST_LEVELS = 1.25, 60  # by how much radii grow; how often the first one is halved


@dataclass(eq=False)
class Branching:
    """The search around a point.

    Arguments:
        network: whose outputs are positive at the point; max groups become trees of ReLUs.
        start: the point, ``[d]``.
        box: ``[2, d]``, in which to look; may be unbounded.
        norm: 1, 2 or infinity.
        radius: beyond which nothing is of interest; finite.
        spent: whether to come to an end; asked before what takes long.
        whole: whether to look within the whole radius at once; else within a small one first.
        outputs: numbers of those that are asked about; all by default.
        device: a torch device.

    Attributes:
        proved: a radius within which outputs are positive, outside of the regions that were handed out.
        nodes: that are open, for inputs within the present ``radius``.
    """

    network: Network
    start: FloatArray
    box: FloatArray
    norm: float
    radius: float
    spent: Callable[[], bool] = lambda: False
    whole: bool = False
    outputs: IntArray | None = None
    device: str = "cpu"
    proved: float = 0.0
    nodes: Nodes = field(init=False)

    @alone
    def __post_init__(self) -> None:
        self.bounding = Bounding(self.network, self.start, self.box, self.norm, self.spent, self.device)
        self._level = torch.zeros(self.network.output_dim, dtype=torch.float64, device=self.device)
        self.limit = self.radius
        self._enter(self.radius)
        for _ in range(MOST_LEVELS):
            if self.whole or not len(self.nodes) or self.spent():
                break
            self._enter(self.radius / 2)

    @property
    def settled(self) -> int:
        """The number of nodes closed so far."""
        return self.bounding.settled

    @property
    def least(self) -> float:
        """No input at which an output is not positive is nearer, but for the regions that were handed out.

        Infinite where there is none within the radius of interest.
        """
        if len(self.nodes):
            return max(self.proved, min(float(self.nodes.bound.min()), self.radius))
        return np.inf if self.radius >= self.limit else self.radius

    @alone
    def step(self, best: float) -> tuple[list[tuple[float, int, PatternArray]], FloatArray]:
        """Split the nodes of the smallest bounds; without any, look farther.

        Arguments:
            best: what is farther is of no interest; more than ``least``.

        Returns:
            the regions among the nodes, each with its bound, output and pattern; and inputs ``[k, d]`` that
            may be nearer than the best.
        """
        self.limit = min(self.limit, best)
        if best < self.radius:
            self.radius = best
            self.bounding.look_within(best)
        if not len(self.nodes):
            self.proved = self.radius
            self._enter(min(best, self.limit, FARTHER * self.radius))
            return [], self._points(self.nodes)
        nodes = self.nodes
        chosen = torch.zeros(len(nodes), dtype=torch.bool, device=self.device)
        chosen[torch.argsort(nodes.bound)[: min(TOGETHER, self.bounding.together)]] = True
        now, self.nodes = nodes.take(chosen), nodes.take(~chosen)
        whole = now.unit[:, 0] < 0
        regions = self._regions(now.take(whole))
        children = self._bounded(self.bounding.split(now.take(~whole), self._level))
        self.nodes = self.nodes.plus(children)
        return regions, self._points(children)

    def _enter(self, radius: float) -> None:
        """Begin with one node for each output, within a radius."""
        self.radius = radius
        self.bounding.look_within(radius)
        self._begin(np.arange(self.network.output_dim) if self.outputs is None else self.outputs)

    @alone
    def turn_to(self, outputs: IntArray) -> None:
        """Begin again with some of the outputs, within the same radius.

        Arguments:
            outputs: their numbers.
        """
        self._begin(outputs)

    def _begin(self, outputs: IntArray) -> None:
        every, together = torch.from_numpy(outputs).to(self.device), self.bounding.together
        parts = [every[i : i + together] for i in range(0, max(len(every), 1), together)]
        bounded = [self._bounded(self.bounding.begin(part)) for part in parts]
        self.nodes = reduce(Nodes.plus, bounded)

    def _bounded(self, nodes: Nodes) -> Nodes:
        """Of nodes those that may hold something within the radius, with their bounds."""
        nodes, best, form = self.bounding.bounded(nodes, self._level)
        if len(nodes):
            bound = torch.where(best > 0, torch.inf, self.bounding.read(*form))
            nodes.bound = torch.maximum(nodes.bound, bound)
        return nodes.take(nodes.bound < self.radius)

    def _regions(self, nodes: Nodes) -> list[tuple[float, int, PatternArray]]:
        """Nodes that are regions: bound, output and pattern."""
        if not len(nodes):
            return []
        patterns = self.bounding.patterns(nodes)
        return list(zip(nodes.bound.tolist(), nodes.output.tolist(), patterns, strict=True))

    def _points(self, nodes: Nodes) -> FloatArray:
        """Inputs at the bounds of the nearest nodes, in the direction of steepest descent, ``[k, d]``."""
        around, some = self.bounding.within.around, torch.argsort(nodes.bound)[:CANDIDATES]
        w, r = nodes.slope[some].double(), nodes.bound[some][:, None]
        if self.whole:
            r = torch.full_like(r, self.radius)  # the least value in the box
        step = -r * (
            torch.sign(w) if self.norm == np.inf else w / w.norm(dim=1, keepdim=True).clamp_min(1e-300)
        )
        x = torch.minimum(torch.maximum(around.point + step, around.low), around.high)
        return x.cpu().numpy()

"""What is known of a network within a radius of a point: bounds of its units, and the network they leave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from polytope.bounds.branching.around import Around
from polytope.bounds.branching.ascent import Ascent
from polytope.bounds.branching.folded import folded
from polytope.bounds.branching.relaxed import Known, Pair, Relaxed, lines_around, piece_of
from polytope.bounds.intervals import Intervals
from polytope.ir.layers import Layer
from polytope.ir.looking import look
from polytope.ir.maps import FloatArray
from polytope.ir.network import Network
from polytope.ir.sweep import outputs

STEPS = 6  # of gradient ascent for a bound of a unit
ROWS = 1 << 22  # numbers in combinations that are bounded at once


@dataclass(eq=False)
class Within:
    """The inputs within a radius of a point and in a box.

    Arguments:
        network: a network of units with breakpoints of their own.
        start: the point, ``[d]``.
        box: ``[2, d]``; may be unbounded.
        norm: 1, 2 or infinity.
        radius: finite.
        spent: whether to come to an end; asked before what takes long.
        device: a torch device.

    Attributes:
        around: least values of affine functions of the inputs.
        reach: the radius, ``[]``.
        inner: the network of the units that may be on several pieces.
        layers: of that network those with activations: number, layer, and where its units are.
        left, stays: ``int[left]`` and ``bool[units]``, its units among those of the network, and the others.
        fixed: ``int8[units]``, the pieces of these others.
        low, high: ``[1, left]``, bounds of the pre-activations of the units that are left.
    """

    network: Network
    start: FloatArray
    box: FloatArray
    norm: float
    radius: float
    spent: Callable[[], bool]
    device: str

    def __post_init__(self) -> None:
        reach = np.stack([self.start - self.radius, self.start + self.radius])
        box = np.stack([np.maximum(self.box[0], reach[0]), np.minimum(self.box[1], reach[1])])
        box[0], box[1] = np.nextafter(box[0], -np.inf), np.nextafter(box[1], np.inf)
        self._relaxed = relaxed = Relaxed(self.network, box, self.device)
        numbers = relaxed.batched.place.numbers
        self.around = Around(numbers(self.start), numbers(self.box[0]), numbers(self.box[1]), self.norm)
        self.reach = numbers(np.array(self.radius))
        self._ends: list[Pair] = []
        self._known: list[Known | None] = []
        outputs(self.network, box, Intervals(self._tighten))
        self._fold(box)

    def _fold(self, box: FloatArray) -> None:
        """The network of the units that may be on several pieces."""
        layers = [layer for layer in self.network.layers if layer.activation is not None]
        ends = [torch.cat(pair).cpu().numpy() for pair in self._ends]
        pieces = [
            torch.cat([piece_of(self._relaxed.tables(layer.phi)[0], end) for end in pair]).to(torch.int8)
            for layer, pair in zip(layers, self._ends, strict=True)
        ]
        small = folded(self.network, ends, [piece.cpu().numpy() for piece in pieces], box)
        self.inner = Relaxed(small.network, box, self.device, small.off)
        self.left = torch.as_tensor(small.left, device=self.device)
        self.fixed = torch.as_tensor(small.pattern, device=self.device)
        self.stays = torch.ones(len(self.fixed), dtype=torch.bool, device=self.device)
        self.stays[self.left] = False
        low, high = ([pair[side] for pair in self._ends] for side in (0, 1))
        none = self.reach.new_zeros(1, 0)
        self.low, self.high = (torch.cat([none, *end], 1)[:, self.left] for end in (low, high))
        self.layers: list[tuple[int, Layer, slice]] = []
        begin = 0
        for number, layer in enumerate(small.network.layers, start=1):
            if layer.activation is not None:
                span = slice(begin, begin + layer.width)
                self.layers.append((number, layer, span))
                begin = span.stop

    def least(self, weights: Tensor, constant: Tensor) -> Tensor:
        """Lower bounds ``[B]`` of affine functions ``x @ weights + constant`` of the inputs."""
        return self.around.least(weights, constant, self.reach)

    def _tighten(self, number: int, z: FloatArray) -> FloatArray:
        """Better bounds ``[2, n]`` of a layer's pre-activations; remembered where it has an activation."""
        layer, numbers = self.network.layers[number - 1], self._relaxed.batched.place.numbers
        if layer.activation is None:
            self._known.append(None)
            return z
        low, high = numbers(z[0]), numbers(z[1])
        t = self._relaxed.tables(layer.phi)[0]
        asked = torch.nonzero(((low[:, None] <= t) & (t <= high[:, None])).any(1))[:, 0]
        together = max(1, ROWS // max(*self.network.widths, self.network.input_dim))
        for i in range(0, len(asked), together):
            rows = asked[i : i + together]
            look()
            if self.spent():
                break  # intervals do
            one = torch.zeros(len(rows), len(layer.bias), dtype=torch.float64, device=self.device)
            one[torch.arange(len(rows)), rows] = 1.0
            least = self._least_of(number, torch.cat([one, -one]))
            low[rows] = torch.fmax(low[rows], least[: len(rows)])
            high[rows] = torch.fmin(high[rows], -least[len(rows) :])
        low, high = low[None], high[None]
        self._ends.append((low, high))
        lines = lines_around(self._relaxed.tables(layer.phi), low, high, piece_of(t, low), piece_of(t, high))
        self._known.append(Known(lines))
        return torch.cat([low, high]).cpu().numpy()

    def _least_of(self, number: int, weights: Tensor) -> Tensor:
        """Lower bounds of combinations ``[B, n]`` of a layer's pre-activations within the radius, ``[B]``."""
        n = len(weights)
        front = [None if k is None else k.lines for k in self._known]
        shares = [
            None
            if f is None
            else torch.full((n, f.turns.shape[1]), 0.5, dtype=torch.float64, device=self.device)
            for f in front
        ]
        free = [share.requires_grad_() for share in shares if share is not None]
        usual = self._relaxed.below(number, weights, self._known)
        best = self.least(usual.weights, usual.constant - usual.room)
        if not usual.seen:
            return best
        ascent = Ascent(free, [0.2] * len(free))
        for _ in range(STEPS):
            known = [None if f is None else Known(f, share) for f, share in zip(front, shares, strict=True)]
            found = self._relaxed.below(number, weights, known)
            value = self.least(found.weights, found.constant - found.room)
            best = torch.fmax(best, value.detach())
            ascent.climb(value.sum())
            with torch.no_grad():
                for share in free:
                    share.clamp_(0.0, 1.0)
        return best

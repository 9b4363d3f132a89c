"""Lower bounds of outputs on the nodes of a search: linear bounds, improved by gradient ascent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import ParamSpec, TypeVar

import numpy as np
import torch
from torch import Tensor

from polytope.bounds.branching.around import Around
from polytope.bounds.branching.ascent import Ascent
from polytope.bounds.branching.nodes import Nodes, Units, wanted
from polytope.bounds.branching.relaxed import Affine, Known, Lines, Pair, Relaxed, lines_around, piece_of
from polytope.bounds.intervals import Intervals
from polytope.ir.activations import PatternArray
from polytope.ir.continuity import refuse_jumps
from polytope.ir.layers import Layer
from polytope.ir.looking import look
from polytope.ir.maps import FloatArray
from polytope.ir.maxima import unrolled
from polytope.ir.network import Network
from polytope.ir.sweep import outputs

STEPS = 12  # of gradient ascent for a node
HALVINGS = 14  # of the radius, to read a node's bound off its affine function
MOST = 127  # more than any number of a piece
ROWS = 1 << 22  # numbers in combinations that are bounded at once
NODE_BYTES = 14  # of an open node, for each unit

P = ParamSpec("P")
T = TypeVar("T")


def alone(method: Callable[P, T]) -> Callable[P, T]:
    """A method during which torch uses one thread: for what is small, threads only wait for each other."""

    @wraps(method)
    def run(*args: P.args, **options: P.kwargs) -> T:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return method(*args, **options)
        finally:
            torch.set_num_threads(threads)

    return run


def _finite(t: Tensor) -> Tensor:
    return torch.where(t.isfinite(), t, 0.0)


@dataclass(eq=False)
class Bounding:
    """Bounds around a point, within a radius at a time.

    Arguments:
        network: the network; max groups become trees of ReLUs.
        start: the point, ``[d]``.
        box: ``[2, d]``, in which to look; may be unbounded.
        norm: 1, 2 or infinity.
        spent: whether to come to an end; asked before what takes long.
        device: a torch device.

    Attributes:
        settled: nodes that hold nothing, or no input at which the output is at most its level.
    """

    network: Network
    start: FloatArray
    box: FloatArray
    norm: float
    spent: Callable[[], bool]
    device: str = "cpu"
    settled: int = 0
    radius: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        refuse_jumps(self.network)
        self.trees = unrolled(self.network)
        self.plain = self.trees.network
        self.bending: list[tuple[Layer, slice]] = []
        begin = 0
        for layer in self.plain.layers:
            if layer.activation is not None:
                self.bending.append((layer, slice(begin, begin + layer.width)))
                begin += layer.width

    def look_within(self, radius: float) -> None:
        """Bounds of all pre-activations within a radius."""
        self.radius = radius
        reach = np.stack([self.start - radius, self.start + radius])
        box = np.stack([np.maximum(self.box[0], reach[0]), np.minimum(self.box[1], reach[1])])
        box[0], box[1] = np.nextafter(box[0], -np.inf), np.nextafter(box[1], np.inf)
        self.relaxed = relaxed = Relaxed(self.plain, box, self.device)
        numbers = relaxed.batched.place.numbers
        self.around = Around(numbers(self.start), numbers(self.box[0]), numbers(self.box[1]), self.norm)
        self._radius = numbers(np.array(radius))
        self.ends: list[Pair] = []
        self.known: list[Known | None] = []
        outputs(self.plain, box, Intervals(self._tighten))

    def _tighten(self, number: int, z: FloatArray) -> FloatArray:
        """Better bounds ``[2, n]`` of a layer's pre-activations; remembered where it has an activation."""
        layer, numbers = self.plain.layers[number - 1], self.relaxed.batched.place.numbers
        if layer.activation is None:
            self.known.append(None)
            return z
        low, high = numbers(z[0]), numbers(z[1])
        t = self.relaxed.tables(layer.phi)[0]
        asked = torch.nonzero(((low[:, None] <= t) & (t <= high[:, None])).any(1))[:, 0]
        together = max(1, ROWS // max(*self.plain.widths, self.plain.input_dim))
        for i in range(0, len(asked), together):
            rows = asked[i : i + together]
            look()
            if self.spent():
                break  # intervals do
            one = torch.zeros(len(rows), len(layer.bias), dtype=torch.float64, device=self.device)
            one[torch.arange(len(rows)), rows] = 1.0
            least = self._least(number, torch.cat([one, -one]))
            low[rows] = torch.fmax(low[rows], least[: len(rows)])
            high[rows] = torch.fmin(high[rows], -least[len(rows) :])
        low, high = low[None], high[None]
        self.ends.append((low, high))
        lines = lines_around(self.relaxed.tables(layer.phi), low, high, piece_of(t, low), piece_of(t, high))
        self.known.append(Known(lines))
        return torch.cat([low, high]).cpu().numpy()

    def _least(self, number: int, weights: Tensor) -> Tensor:
        """Lower bounds of combinations ``[B, n]`` of a layer's pre-activations within the radius, ``[B]``."""
        n = len(weights)
        front = [None if k is None else k.lines for k in self.known]
        shares = [
            None
            if f is None
            else torch.full((n, f.turns.shape[1]), 0.5, dtype=torch.float64, device=self.device)
            for f in front
        ]
        free = [share.requires_grad_() for share in shares if share is not None]
        usual = self.relaxed.below(number, weights, self.known)
        best = self.around.least(usual.weights, usual.constant - usual.room, self._radius)
        if not usual.seen:
            return best
        ascent = Ascent(free, [0.2] * len(free))
        for _ in range(STEPS // 2):
            known = [None if f is None else Known(f, share) for f, share in zip(front, shares, strict=True)]
            found = self.relaxed.below(number, weights, known)
            value = self.around.least(found.weights, found.constant - found.room, self._radius)
            best = torch.fmax(best, value.detach())
            ascent.climb(value.sum())
            with torch.no_grad():
                for share in free:
                    share.clamp_(0.0, 1.0)
        return best

    @property
    def together(self) -> int:
        """How many nodes are bounded at once, so that their numbers stay bounded."""
        return max(1, ROWS // max(*self.plain.widths, self.plain.n_units, len(self.start)))

    def begin(self, out: Tensor) -> Nodes:
        """A node for each of some outputs, not bounded yet."""
        n, units, device = len(out), self.plain.n_units, self.device
        look(NODE_BYTES * n * (units + len(self.start)))
        return Nodes(
            bound=torch.zeros(n, dtype=torch.float64, device=device),
            output=out,
            first=torch.zeros(n, units, dtype=torch.int8, device=device),
            last=torch.full((n, units), MOST, dtype=torch.int8, device=device),
            share=torch.full((n, units), -1.0, device=device),
            push=torch.zeros(n, 2, units, device=device),
            unit=torch.full((n,), -1, device=device),
            piece=torch.full((n,), -1, device=device),
            slope=torch.zeros(n, len(self.start), device=device),
        )

    def _units(self, nodes: Nodes) -> list[Units]:
        """Ends and pieces of the units in nodes, by layer with an activation."""
        out = []
        for (low, high), (layer, span) in zip(self.ends, self.bending, strict=True):
            first, last = nodes.first[:, span].long(), nodes.last[:, span].long()
            tables = self.relaxed.tables(layer.phi)
            ends = self.relaxed.thresholds(layer.phi)
            most, table = ends.shape[1] - 1, ends.expand(layer.width, -1).T
            floor, ceiling = (
                table.gather(0, first.clamp_max(most)),
                table.gather(0, (last + 1).clamp_max(most)),
            )
            low, high = torch.maximum(low, floor), torch.minimum(high, ceiling)
            first = torch.maximum(first, piece_of(tables[0], low))
            last = torch.maximum(torch.minimum(last, piece_of(tables[0], high)), first)
            out.append(Units(tables, low, high, first, last, _finite(floor), _finite(ceiling)))
        return out

    def bounded(self, nodes: Nodes, level: Tensor) -> tuple[Nodes, Tensor, Pair]:
        """The nodes with slopes, multipliers and what to split, without those that hold nothing.

        Arguments:
            nodes: the nodes; their bounds stay.
            level: ``[out]``; more than its output's is as good for a node as anything.

        Returns:
            the nodes; lower bounds ``[N]`` of their outputs; weights ``[N, d]`` and constants ``[N]`` of
            affine functions below these.
        """
        units = self._units(nodes)
        some = torch.ones(len(nodes), dtype=torch.bool, device=self.device)
        for u in units:
            some &= (u.low <= u.high).all(1)
        self.settled += int((~some).sum())
        nodes = nodes.take(some)
        if not len(nodes):
            return nodes, nodes.bound, (nodes.slope, nodes.bound)
        units = [u.take(some) for u in units]
        lines = [lines_around(u.tables, u.low, u.high, u.first, u.last) for u in units]
        most = level[nodes.output]
        best, form, share, push = self._ascent(nodes, units, lines, most)
        self.settled += int((best > most).sum())
        unit, piece = self._choice(units, self._influence(nodes, units, lines, share, push))
        rest = share.float(), push.float(), unit, piece, form[0].float()
        return Nodes(nodes.bound, nodes.output, nodes.first, nodes.last, *rest), best, form

    def _ascent(
        self, nodes: Nodes, units: Sequence[Units], lines: Sequence[Lines], most: Tensor
    ) -> tuple[Tensor, Pair, Tensor, Tensor]:
        """The best of some steps, which end where the bounds are more than asked.

        Returns:
            lower bounds of outputs, the affine functions, shares and multipliers.
        """
        share = torch.where(nodes.share < 0, 0.5, nodes.share).double().requires_grad_()
        push = nodes.push.double().requires_grad_()
        able = torch.stack([nodes.first > 0, nodes.last < MOST], 1)
        ascent = Ascent([share, push], [0.2, 0.05])
        best = torch.full((len(nodes),), -torch.inf, dtype=torch.float64, device=self.device)
        kept: list[Tensor] = []
        for step in range(STEPS):
            look()
            found = self._below(nodes, units, lines, share, push)
            constant = found.constant - found.room
            value = self.around.least(found.weights, constant, self._radius)
            with torch.no_grad():
                better = value > best
                best = torch.where(better, value, best)
                now = [tensor.detach() for tensor in (found.weights, constant, share, push)]
                masks = [better.reshape(-1, *[1] * (tensor.dim() - 1)) for tensor in now]
                kept = [
                    torch.where(mask, new, old)
                    for mask, new, old in zip(masks, now, kept or now, strict=True)
                ]
            if step + 1 == STEPS or not units or bool((best > most).all()) or self.spent():
                break
            ascent.climb(torch.where(best > most, 0.0, value).sum())
            with torch.no_grad():
                share.clamp_(0.0, 1.0)
                push.clamp_(min=0.0).mul_(able)
        weights, constant, shares, pushes = kept
        return best, (weights, constant), shares, pushes

    def _below(
        self, nodes: Nodes, units: Sequence[Units], lines: Sequence[Lines], share: Tensor, push: Tensor
    ) -> Affine:
        """Affine functions below the nodes' outputs."""
        number = len(self.plain.layers)
        known = iter(
            Known(line, share[:, span], push[:, :, span], u.floor, u.ceiling)
            for line, u, (_, span) in zip(lines, units, self.bending, strict=True)
        )
        by_layer = [next(known) if layer.activation is not None else None for layer in self.plain.layers]
        rows = torch.arange(len(nodes), device=self.device)
        weights = torch.zeros(len(nodes), self.plain.output_dim, dtype=torch.float64, device=self.device)
        weights[rows, nodes.output] = 1.0
        return self.relaxed.below(number, weights, by_layer)

    def _influence(
        self, nodes: Nodes, units: Sequence[Units], lines: Sequence[Lines], share: Tensor, push: Tensor
    ) -> Tensor:
        """What the lines around each unit cost the bound at most, ``[N, units]``."""
        seen = iter(self._below(nodes, units, lines, share, push).seen.items())
        by_number = dict(seen)
        numbers = [k for k, layer in enumerate(self.plain.layers, start=1) if layer.activation is not None]
        out = [share[:, :0]]
        for number, line, (layer, span) in zip(numbers, lines, self.bending, strict=True):
            weights = by_number.get(
                number, torch.zeros(len(nodes), layer.width, dtype=torch.float64, device=self.device)
            )
            under, over = line.gaps(*line.turned(share[:, span]))
            out.append(weights.clamp_min(0.0) * under - weights.clamp_max(0.0) * over)
        return torch.cat(out, 1)

    def _choice(self, units: Sequence[Units], influence: Tensor) -> Pair:
        """Of units on several pieces the one of the most influence, and the piece in its middle; or -1.

        Units that decide among those that are not the largest of their group are not split.
        """
        if not units:
            none = torch.full((len(influence),), -1, device=self.device)
            return none, none
        first, last = (torch.cat([getattr(u, name) for u in units], 1) for name in ("first", "last"))
        inner = torch.cat([piece_of(u.tables[0], (u.low + u.high) / 2) for u in units], 1)
        width = torch.cat([u.high - u.low for u in units], 1)
        # where no unit matters to the bound, any will do: the widest
        asked = (first < last) & wanted(self.trees, first, last)
        score = torch.where(asked, influence.clamp_min(0.0) + 1e-30 * width.clamp_max(1.0), -1.0)
        most, unit = score.max(1)
        piece = torch.minimum(torch.maximum(inner, first), last - 1).gather(1, unit[:, None])[:, 0]
        return torch.where(most < 0, -1, unit), torch.where(most < 0, -1, piece)

    def split(self, nodes: Nodes) -> Nodes:
        """Two nodes of each: the unit up to its piece, and from the next piece on."""
        rows = torch.arange(len(nodes), device=self.device)
        below, above = nodes.take(rows), nodes.take(rows)
        below.last, above.first = below.last.clone(), above.first.clone()
        below.last[rows, nodes.unit] = nodes.piece.to(torch.int8)
        above.first[rows, nodes.unit] = (nodes.piece + 1).to(torch.int8)
        return below.plus(above)

    def patterns(self, nodes: Nodes) -> PatternArray:
        """Of nodes whose units are all on one piece, the patterns of the network."""
        found = (
            torch.cat([nodes.first[:, :0].long(), *(u.first for u in self._units(nodes))], 1)
            .to(torch.int8)
            .cpu()
            .numpy()
        )
        return self.trees.pattern(found)

    def read(self, weights: Tensor, constant: Tensor) -> Tensor:
        """Radii within which affine functions are positive, by halving."""
        low, high = torch.zeros_like(constant), self._radius.expand(len(constant))
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            positive = self.around.least(weights, constant, middle) > 0
            low, high = torch.where(positive, middle, low), torch.where(positive, high, middle)
        return low

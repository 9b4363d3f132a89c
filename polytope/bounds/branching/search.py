r"""Branch and bound for the nearest input at which some output is not positive.

A node is an output and, for every unit, the pieces that it may be on. Its bound is a radius within which
linear bounds show the output to be positive (``relaxed``, ``around``), with free slopes and multipliers of
the pieces improved by some steps of gradient ascent. The nodes of the smallest bounds are split first, each
by the unit whose lines cost the bound most. A node whose units are all on one piece is a region; what
it holds is for the caller to say.

References: Bunel et al. (2020), "Branch and Bound for Piecewise Linear Neural Network Verification",
    https://arxiv.org/abs/1909.06588
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import reduce, wraps
from typing import ParamSpec, TypeVar

import numpy as np
import torch
from torch import Tensor

from polytope.bounds.branching.around import Around
from polytope.bounds.branching.ascent import Ascent
from polytope.bounds.branching.nodes import Nodes, Units
from polytope.bounds.branching.relaxed import Affine, Known, Lines, Pair, Relaxed, lines_around, piece_of
from polytope.bounds.intervals import Intervals
from polytope.ir.activations import PatternArray
from polytope.ir.layers import Layer
from polytope.ir.looking import look
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.network import Network
from polytope.ir.sweep import outputs

TOGETHER = 64  # nodes split at once
STEPS = 12  # of gradient ascent for a node
CANDIDATES = 2
FARTHER, MOST_LEVELS = 1.25, 60  # by how much radii grow; how often the first one is halved
HALVINGS = 14  # of the radius, to read a node's bound off its affine function
MOST = 127  # more than any number of a piece
ROWS = 1 << 22  # numbers in combinations that are bounded at once
NODE_BYTES = 14  # of an open node, for each unit


P = ParamSpec("P")
T = TypeVar("T")


def _alone(method: Callable[P, T]) -> Callable[P, T]:
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
class Branching:
    """The search around a point.

    Arguments:
        network: whose outputs are positive at the point.
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
        settled: nodes closed so far.
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
    settled: int = 0
    nodes: Nodes = field(init=False)

    @_alone
    def __post_init__(self) -> None:
        self.bending: list[tuple[Layer, slice]] = []
        begin = 0
        for layer in self.network.layers:
            if layer.activation is not None:
                self.bending.append((layer, slice(begin, begin + layer.width)))
                begin += layer.width
        self.limit = self.radius
        self._enter(self.radius)
        for _ in range(MOST_LEVELS):
            if self.whole or not len(self.nodes) or self.spent():
                break
            self._enter(self.radius / 2)

    @property
    def least(self) -> float:
        """No input at which an output is not positive is nearer, but for the regions that were handed out.

        Infinite where there is none within the radius of interest.
        """
        if len(self.nodes):
            return max(self.proved, min(float(self.nodes.bound.min()), self.radius))
        return np.inf if self.radius >= self.limit else self.radius

    @_alone
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
            self._look_within(best)
        if not len(self.nodes):
            self.proved = self.radius
            self._enter(min(best, self.limit, FARTHER * self.radius))
            return [], self._points(self.nodes)
        nodes = self.nodes
        chosen = torch.zeros(len(nodes), dtype=torch.bool, device=self.device)
        chosen[torch.argsort(nodes.bound)[: min(TOGETHER, self._together())]] = True
        now, self.nodes = nodes.take(chosen), nodes.take(~chosen)
        whole = now.unit < 0
        regions = self._regions(now.take(whole))
        children = self._bounded(self._split(now.take(~whole)))
        children = children.take(children.bound < self.radius)
        self.nodes = self.nodes.plus(children)
        return regions, self._points(children)

    def _enter(self, radius: float) -> None:
        """Begin with one node for each output, within a radius."""
        self._look_within(radius)
        self._begin(np.arange(self.network.output_dim) if self.outputs is None else self.outputs)

    @_alone
    def turn_to(self, outputs: IntArray) -> None:
        """Begin again with some of the outputs, within the same radius.

        Arguments:
            outputs: their numbers.
        """
        self._begin(outputs)

    def _begin(self, outputs: IntArray) -> None:
        every, together = torch.from_numpy(outputs).to(self.device), self._together()
        parts = [every[i : i + together] for i in range(0, max(len(every), 1), together)]
        self.nodes = reduce(Nodes.plus, map(self._begun, parts))

    def _together(self) -> int:
        """How many nodes are bounded at once, so that their numbers stay bounded."""
        return max(1, ROWS // max(*self.network.widths, self.network.n_units, len(self.start)))

    def _begun(self, out: Tensor) -> Nodes:
        """A node for each of some outputs, without those that hold nothing within the radius."""
        n, units, device = len(out), self.network.n_units, self.device
        look(NODE_BYTES * n * (units + len(self.start)))
        nodes = Nodes(
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
        nodes = self._bounded(nodes)
        return nodes.take(nodes.bound < self.radius)

    def _look_within(self, radius: float) -> None:
        """Bounds of all pre-activations within a radius."""
        self.radius = radius
        reach = np.stack([self.start - radius, self.start + radius])
        box = np.stack([np.maximum(self.box[0], reach[0]), np.minimum(self.box[1], reach[1])])
        box[0], box[1] = np.nextafter(box[0], -np.inf), np.nextafter(box[1], np.inf)
        self.relaxed = relaxed = Relaxed(self.network, box, self.device)
        numbers = relaxed.batched.place.numbers
        self.around = Around(numbers(self.start), numbers(self.box[0]), numbers(self.box[1]), self.norm)
        self._radius = numbers(np.array(radius))
        self.ends: list[Pair] = []
        self.known: list[Known | None] = []
        outputs(self.network, box, Intervals(self._tighten))

    def _tighten(self, number: int, z: FloatArray) -> FloatArray:
        """Better bounds ``[2, n]`` of a layer's pre-activations; remembered where it has an activation."""
        layer, numbers = self.network.layers[number - 1], self.relaxed.batched.place.numbers
        if layer.activation is None:
            self.known.append(None)
            return z
        low, high = numbers(z[0]), numbers(z[1])
        t = self.relaxed.tables(layer.phi)[0]
        asked = torch.nonzero(((low[:, None] <= t) & (t <= high[:, None])).any(1))[:, 0]
        together = max(1, ROWS // max(*self.network.widths, self.network.input_dim))
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

    def _bounded(self, nodes: Nodes) -> Nodes:
        """The nodes with their bounds, slopes and multipliers; without those that hold nothing."""
        units = self._units(nodes)
        some = torch.stack([(u.low <= u.high).all(1) for u in units]).all(0)
        self.settled += int((~some).sum())
        nodes = nodes.take(some)
        if not len(nodes):
            return nodes
        units = [u.take(some) for u in units]
        lines = [lines_around(u.tables, u.low, u.high, u.first, u.last) for u in units]
        best, form, share, push = self._ascent(nodes, units, lines)
        self.settled += int((best > 0).sum())
        bound = torch.where(best > 0, torch.inf, self._read(*form))
        unit, piece = self._choice(units, self._influence(nodes, units, lines, share, push))
        bound = torch.maximum(nodes.bound, bound)
        return Nodes(
            bound,
            nodes.output,
            nodes.first,
            nodes.last,
            share.float(),
            push.float(),
            unit,
            piece,
            form[0].float(),
        )

    def _ascent(
        self, nodes: Nodes, units: Sequence[Units], lines: Sequence[Lines]
    ) -> tuple[Tensor, Pair, Tensor, Tensor]:
        """The best of some steps: the outputs' lower bounds, the affine functions, shares and multipliers."""
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
            if step + 1 == STEPS or bool((best > 0).all()) or self.spent():
                break
            ascent.climb(torch.where(best > 0, 0.0, value).sum())
            with torch.no_grad():
                share.clamp_(0.0, 1.0)
                push.clamp_(min=0.0).mul_(able)
        weights, constant, shares, pushes = kept
        return best, (weights, constant), shares, pushes

    def _below(
        self, nodes: Nodes, units: Sequence[Units], lines: Sequence[Lines], share: Tensor, push: Tensor
    ) -> Affine:
        """Affine functions below the nodes' outputs."""
        number = len(self.network.layers)
        known = iter(
            Known(line, share[:, span], push[:, :, span], u.floor, u.ceiling)
            for line, u, (_, span) in zip(lines, units, self.bending, strict=True)
        )
        by_layer = [next(known) if layer.activation is not None else None for layer in self.network.layers]
        rows = torch.arange(len(nodes), device=self.device)
        weights = torch.zeros(len(nodes), self.network.output_dim, dtype=torch.float64, device=self.device)
        weights[rows, nodes.output] = 1.0
        return self.relaxed.below(number, weights, by_layer)

    def _influence(
        self, nodes: Nodes, units: Sequence[Units], lines: Sequence[Lines], share: Tensor, push: Tensor
    ) -> Tensor:
        """What the lines around each unit cost the bound at most, ``[N, units]``."""
        seen = iter(self._below(nodes, units, lines, share, push).seen.items())
        by_number = dict(seen)
        numbers = [k for k, layer in enumerate(self.network.layers, start=1) if layer.activation is not None]
        out = []
        for number, line, (layer, span) in zip(numbers, lines, self.bending, strict=True):
            weights = by_number.get(
                number, torch.zeros(len(nodes), layer.width, dtype=torch.float64, device=self.device)
            )
            under, over = line.gaps(*line.turned(share[:, span]))
            out.append(weights.clamp_min(0.0) * under - weights.clamp_max(0.0) * over)
        return torch.cat(out, 1)

    def _choice(self, units: Sequence[Units], influence: Tensor) -> Pair:
        """Of units on several pieces the one of the most influence, and the piece in its middle; or -1."""
        first, last = (torch.cat([getattr(u, name) for u in units], 1) for name in ("first", "last"))
        inner = torch.cat([piece_of(u.tables[0], (u.low + u.high) / 2) for u in units], 1)
        width = torch.cat([u.high - u.low for u in units], 1)
        # where no unit matters to the bound, any will do: the widest
        score = torch.where(first < last, influence.clamp_min(0.0) + 1e-30 * width.clamp_max(1.0), -1.0)
        most, unit = score.max(1)
        piece = torch.minimum(torch.maximum(inner, first), last - 1).gather(1, unit[:, None])[:, 0]
        return torch.where(most < 0, -1, unit), torch.where(most < 0, -1, piece)

    def _split(self, nodes: Nodes) -> Nodes:
        """Two nodes of each: the unit up to its piece, and from the next piece on."""
        rows = torch.arange(len(nodes), device=self.device)
        below, above = nodes.take(rows), nodes.take(rows)
        below.last, above.first = below.last.clone(), above.first.clone()
        below.last[rows, nodes.unit] = nodes.piece.to(torch.int8)
        above.first[rows, nodes.unit] = (nodes.piece + 1).to(torch.int8)
        return below.plus(above)

    def _regions(self, nodes: Nodes) -> list[tuple[float, int, PatternArray]]:
        """Nodes that are regions: bound, output and pattern."""
        if not len(nodes):
            return []
        patterns = torch.cat([u.first for u in self._units(nodes)], 1).to(torch.int8).cpu().numpy()
        return list(zip(nodes.bound.tolist(), nodes.output.tolist(), patterns, strict=True))

    def _read(self, weights: Tensor, constant: Tensor) -> Tensor:
        """Radii within which affine functions are positive, by halving."""
        low, high = torch.zeros_like(constant), self._radius.expand(len(constant))
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            positive = self.around.least(weights, constant, middle) > 0
            low, high = torch.where(positive, middle, low), torch.where(positive, high, middle)
        return low

    def _points(self, nodes: Nodes) -> FloatArray:
        """Inputs at the bounds of the nearest nodes, in the direction of steepest descent, ``[k, d]``."""
        some = torch.argsort(nodes.bound)[:CANDIDATES]
        w, r = nodes.slope[some].double(), nodes.bound[some][:, None]
        if self.whole:
            r = torch.full_like(r, self.radius)  # the least value in the box
        step = -r * (
            torch.sign(w) if self.norm == np.inf else w / w.norm(dim=1, keepdim=True).clamp_min(1e-300)
        )
        x = torch.minimum(torch.maximum(self.around.point + step, self.around.low), self.around.high)
        return x.cpu().numpy()

"""Lower bounds of outputs on the nodes of a search: linear bounds, improved by gradient ascent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import wraps
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor
from torch.nn.functional import pad

from polytope.batched.threads import one_thread
from polytope.bounds.branching.ascent import Ascent
from polytope.bounds.branching.halves import lines_of, of_halves, told_units
from polytope.bounds.branching.nodes import Nodes, Units, wanted
from polytope.bounds.branching.relaxed import Affine, Known, Lines, Pair, piece_of
from polytope.bounds.branching.within import ROWS, Within
from polytope.ir.activations import PatternArray
from polytope.ir.continuity import refuse_jumps
from polytope.ir.looking import look
from polytope.ir.maps import FloatArray
from polytope.ir.maxima import unrolled
from polytope.ir.network import Network

LARGE = 512  # inputs and units
STEPS = 12  # of gradient ascent for a node
TRIED, SECOND = 32, 0.1  # units of the most influence that are tried; what the better half counts
HALVINGS = 14  # of the radius, to read a node's bound off its affine function
MOST = 127  # more than any number of a piece
NODE_BYTES = 14  # of an open node, for each unit

P = ParamSpec("P")
T = TypeVar("T")


def alone(method: Callable[P, T]) -> Callable[P, T]:
    """A method of what has a network, during which torch uses one thread if that is small.

    For small tensors threads only wait for each other.
    """

    @wraps(method)
    def run(*args: P.args, **options: P.kwargs) -> T:
        network: Network = args[0].network  # type: ignore[attr-defined]
        small = network.input_dim + network.n_units < LARGE
        with one_thread() if small else nullcontext():
            return method(*args, **options)

    return run


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

    def look_within(self, radius: float) -> None:
        """Bounds of all pre-activations within a radius."""
        self.radius = radius
        self.within = Within(self.plain, self.start, self.box, self.norm, radius, self.spent, self.device)

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
            share=torch.full((n, units), -1.0, dtype=torch.float32, device=device),
            push=torch.zeros(n, 2, units, dtype=torch.float32, device=device),
            unit=torch.full((n, TRIED), -1, device=device),
            piece=torch.full((n, TRIED), -1, device=device),
            slope=torch.zeros(n, len(self.start), dtype=torch.float32, device=device),
        )

    def units(self, nodes: Nodes) -> list[Units]:
        """Ends and pieces of the units in nodes, by layer with an activation."""
        within, out = self.within, []
        for _, layer, span in within.layers:
            which = within.left[span]
            first, last = nodes.first[:, which].long(), nodes.last[:, which].long()
            tables, ends = within.inner.tables(layer.phi), within.inner.thresholds(layer.phi)
            out.append(told_units(tables, ends, within.low[:, span], within.high[:, span], first, last))
        return out

    def halved(self, nodes: Nodes, children: Nodes) -> tuple[list[Units], list[Lines]]:
        """Units and lines of the halves of nodes at all splits that are tried."""
        within, number = self.within, nodes.unit.reshape(-1).repeat(2)
        place = torch.searchsorted(within.left, number)  # -1 is in front of all
        units, lines = [], []
        for (_, layer, span), u in zip(within.layers, self.units(nodes), strict=True):
            here = (number >= 0) & (span.start <= place) & (place < span.stop)
            at = torch.where(here, place - span.start, -1)
            bounds = within.low[:, span], within.high[:, span]
            split = of_halves(u, children, at, number, within.inner.thresholds(layer.phi), bounds)
            units.append(split[0])
            lines.append(split[1])
        return units, lines

    def bounded(self, nodes: Nodes, level: Tensor) -> tuple[Nodes, Tensor, Pair]:
        """The nodes with slopes, multipliers and what to split, without those that hold nothing.

        Arguments:
            nodes: the nodes; their bounds stay.
            level: ``[out]``; more than its output's is as good for a node as anything.

        Returns:
            the nodes; lower bounds ``[N]`` of their outputs; weights ``[N, d]`` and constants ``[N]`` of
            affine functions below these.
        """
        units, fixed = self.units(nodes), self.within.fixed
        some = ((nodes.first <= fixed) & (fixed <= nodes.last))[:, self.within.stays].all(1)
        for u in units:
            some &= (u.low <= u.high).all(1)
        self.settled += int((~some).sum())
        nodes = nodes.take(some)
        if not len(nodes):
            return nodes, nodes.bound, (nodes.slope, nodes.bound)
        units = [u.take(some) for u in units]
        lines = [lines_of(u) for u in units]
        most = level[nodes.output]
        best, form, share, push = self._ascent(nodes, units, lines, most)
        self.settled += int((best > most).sum())
        unit, piece = self._choice(units, self._influence(nodes, units, lines, share, push))
        shares, pushes = nodes.share.clone(), nodes.push.clone()
        shares[:, self.within.left], pushes[:, :, self.within.left] = share.float(), push.float()
        rest = shares, pushes, pad(self.within.left, (0, 1), value=-1)[unit], piece, form[0].float()
        return Nodes(nodes.bound, nodes.output, nodes.first, nodes.last, *rest), best, form

    def _ascent(
        self, nodes: Nodes, units: Sequence[Units], lines: Sequence[Lines], most: Tensor
    ) -> tuple[Tensor, Pair, Tensor, Tensor]:
        """The best of some steps, which end where the bounds are more than asked.

        Returns:
            lower bounds of outputs, the affine functions, shares and multipliers.
        """
        left = self.within.left
        share = nodes.share[:, left]
        share = torch.where(share < 0, 0.5, share).double().requires_grad_()
        push = nodes.push[:, :, left].double().requires_grad_()
        able = torch.stack([nodes.first > 0, nodes.last < MOST], 1)[:, :, left]
        ascent = Ascent([share, push], [0.2, 0.05])
        best = torch.full((len(nodes),), -torch.inf, dtype=torch.float64, device=self.device)
        kept: list[Tensor] = []
        for step in range(STEPS):
            look()
            found = self._below(nodes, units, lines, share, push)
            constant = found.constant - found.room
            value = self.within.least(found.weights, constant)
            with torch.no_grad():
                better = value > best
                best = torch.where(better, value, best)
                now = [tensor.detach() for tensor in (found.weights, constant, share, push)]
                masks = [better.reshape(-1, *[1] * (tensor.dim() - 1)) for tensor in now]
                kept = [
                    torch.where(mask, new, old)
                    for mask, new, old in zip(masks, now, kept or now, strict=True)
                ]
            asked = step + 1 < STEPS and value.requires_grad and not bool((best > most).all())
            if not asked or self.spent():
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
        layers = self.within.inner.network.layers
        known = iter(
            Known(line, share[:, span], push[:, :, span], u.floor, u.ceiling)
            for line, u, (_, _, span) in zip(lines, units, self.within.layers, strict=True)
        )
        by_layer = [next(known) if layer.activation is not None else None for layer in layers]
        rows = torch.arange(len(nodes), device=self.device)
        weights = torch.zeros(len(nodes), self.plain.output_dim, dtype=torch.float64, device=self.device)
        weights[rows, nodes.output] = 1.0
        return self.within.inner.below(len(layers), weights, by_layer)

    def _influence(
        self, nodes: Nodes, units: Sequence[Units], lines: Sequence[Lines], share: Tensor, push: Tensor
    ) -> Tensor:
        """What the lines around each unit cost the bound at most, ``[N, units]``."""
        seen = iter(self._below(nodes, units, lines, share, push).seen.items())
        by_number = dict(seen)
        out = [share[:, :0]]
        for line, (number, layer, span) in zip(lines, self.within.layers, strict=True):
            weights = by_number.get(
                number, torch.zeros(len(nodes), layer.width, dtype=torch.float64, device=self.device)
            )
            under, over = line.gaps(*line.turned(share[:, span]))
            out.append(weights.clamp_min(0.0) * under - weights.clamp_max(0.0) * over)
        return torch.cat(out, 1)

    def _choice(self, units: Sequence[Units], influence: Tensor) -> Pair:
        """Of units on several pieces those of the most influence, and the pieces in their middle; or -1.

        Units that decide among those that are not the largest of their group are not split.
        """
        first, last = (
            self._pieces([getattr(u, name) for u in units], len(influence)) for name in ("first", "last")
        )
        asked = ((first < last) & wanted(self.trees, first, last))[:, self.within.left]
        nothing = influence[:, :0]
        inner = torch.cat([nothing.long(), *(piece_of(u.tables[0], (u.low + u.high) / 2) for u in units)], 1)
        width = torch.cat([nothing, *(u.high - u.low for u in units)], 1)
        # where no unit matters to the bound, any will do: the widest
        score = torch.where(asked, influence.clamp_min(0.0) + 1e-30 * width.clamp_max(1.0), -1.0)
        more = (0, max(0, TRIED - score.shape[1]))
        most, unit = pad(score, more, value=-1.0).topk(TRIED, 1)
        first, last = first[:, self.within.left], last[:, self.within.left]
        piece = pad(torch.minimum(torch.maximum(inner, first), last - 1), more).gather(1, unit)
        return torch.where(most < 0, -1, unit), torch.where(most < 0, -1, piece)

    def _pieces(self, left: Sequence[Tensor], count: int) -> Tensor:
        """Pieces of all units, ``int[N, units]``, from those of the units that are left."""
        found = self.within.fixed.long().repeat(count, 1)
        for piece, (_, _, span) in zip(left, self.within.layers, strict=True):
            found[:, self.within.left[span]] = piece
        return found

    def split(self, nodes: Nodes, level: Tensor) -> Nodes:
        """Two nodes of each, split where the worse of the two has the best bound before any ascent.

        Arguments:
            level: ``[out]``, as for ``bounded``.
        """
        count, tried = nodes.unit.shape
        numbers = max(len(self.start), *self.within.inner.network.widths, 1)
        together = max(1, ROWS // (2 * tried * numbers))
        best = [self._best_of(nodes.take(slice(i, i + together)), level) for i in range(0, count, together)]
        which = torch.cat([nodes.unit[:0, 0], *best])[:, None]
        return self.halves(nodes, nodes.unit.gather(1, which)[:, 0], nodes.piece.gather(1, which)[:, 0])

    def _best_of(self, nodes: Nodes, level: Tensor) -> Tensor:
        """The place of the best split of each node, ``int[N]``."""
        look()
        count, tried = nodes.unit.shape
        each = nodes.take(torch.arange(count, device=self.device).repeat_interleave(tried))
        children = self.halves(each, nodes.unit.reshape(-1), nodes.piece.reshape(-1))
        (units, lines), left = self.halved(nodes, children), self.within.left
        share, push = children.share[:, left].double(), children.push[:, :, left].double()
        found = self._below(children, units, lines, torch.where(share < 0, 0.5, share), push)
        value = self.within.least(found.weights, found.constant - found.room) - level[children.output]
        empty = torch.stack([(u.low > u.high).any(1) for u in units]).any(0)
        value = torch.where(empty, 0.0, value.clamp_max(0.0)).reshape(2, count, tried)
        score = value.amin(0) + SECOND * value.amax(0)
        return torch.where(nodes.unit < 0, -torch.inf, score).argmax(1)

    def halves(self, nodes: Nodes, unit: Tensor, piece: Tensor) -> Nodes:
        """Two nodes of each: the unit up to its piece, and from the next piece on."""
        rows = torch.arange(len(nodes), device=self.device)
        below, above = nodes.take(rows), nodes.take(rows)
        below.last, above.first = below.last.clone(), above.first.clone()
        below.last[rows, unit] = piece.to(torch.int8)
        above.first[rows, unit] = (piece + 1).to(torch.int8)
        return below.plus(above)

    def patterns(self, nodes: Nodes) -> PatternArray:
        """Of nodes whose units are all on one piece, the patterns of the network."""
        found = self._pieces([u.first for u in self.units(nodes)], len(nodes))
        return self.trees.pattern(found.to(torch.int8).cpu().numpy())

    def read(self, weights: Tensor, constant: Tensor) -> Tensor:
        """Radii within which affine functions are positive, by halving."""
        low, high = torch.zeros_like(constant), self.within.reach.expand(len(constant))
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            positive = self.within.around.least(weights, constant, middle) > 0
            low, high = torch.where(positive, middle, low), torch.where(positive, high, middle)
        return low

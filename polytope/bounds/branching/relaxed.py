r"""Linear bounds of combinations of pre-activations, for many sets of inputs at once, on torch.

On a set of inputs every unit lies between two affine functions of its pre-activation. A combination of
pre-activations, pulled back to the input through the lines from below where its weights are positive and
those from above where they are negative, becomes an affine function of the input that is nowhere larger. The
slopes of lines that touch a unit at its breakpoint are free, and a part of the units' range may be excluded
by a multiplier: both are parameters, of which every value gives a bound, and gradients the best one.

The arithmetic is float64. A computed weight v of a pre-activation r is off by a share of sums in which the
terms of r stand with |v|, and these terms are bounded beforehand on the whole domain (``rooms``): so what
rounding can do to a bound is the sum of |v| times numbers that are known.

References:
    Zhang, Weng, Chen, Hsieh, Daniel (2018), "Efficient Neural Network Robustness Certification with General
    Activation Functions", https://arxiv.org/abs/1811.00866
    Xu et al. (2021), "Fast and Complete: Enabling Complete Neural Network Verification with Rapid and
    Massively Parallel Incomplete Verifiers", https://arxiv.org/abs/2011.13824 (free slopes)
    Wang et al. (2021), "Beta-CROWN", https://arxiv.org/abs/2103.06624 (multipliers)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from polytope.batched import BatchedNetwork
from polytope.batched.network import RowLayer
from polytope.bounds.branching.folded import LOST, SHARE
from polytope.ir.activations import PiecewiseLinear
from polytope.ir.layers import Layer
from polytope.ir.maps import FloatArray
from polytope.ir.network import Network
from polytope.ir.sweep import to_input

Pair = tuple[Tensor, Tensor]
Tables = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class Lines:
    """Affine functions around units on parts of their ranges; all ``[B or 1, n]``.

    Arguments:
        below, above: slope and constant of lines that hold.
        turns: 1 where a line below may turn around a breakpoint, -1 where a line above may, else 0.
        slopes: between which it turns.
        kink: the breakpoint, and the unit's value there.
        low, high: the ends of the range, and the unit's values there.
    """

    below: Pair
    above: Pair
    turns: Tensor
    slopes: Pair
    kink: Pair
    low: Pair
    high: Pair

    def parts(self) -> list[Tensor]:
        """All tensors in a row."""
        values = (getattr(self, f.name) for f in fields(self))
        return [part for value in values for part in (value if isinstance(value, tuple) else (value,))]

    @staticmethod
    def joined(parts: Sequence[Tensor]) -> Lines:
        """Lines from such a row."""
        a, b, c, d, turns, e, f, g, h, i, j, k, m = parts
        return Lines((a, b), (c, d), turns, (e, f), (g, h), (i, j), (k, m))

    def turned(self, share: Tensor) -> tuple[Pair, Pair]:
        """The lines below and above, where they turn with a share of the way between their slopes."""
        slope = self.slopes[0] + share * (self.slopes[1] - self.slopes[0])
        slope = torch.maximum(torch.minimum(slope, torch.maximum(*self.slopes)), torch.minimum(*self.slopes))
        constant = self.kink[1] - slope * self.kink[0]
        room = SHARE * (self.kink[1].abs() + (slope * self.kink[0]).abs()) + LOST
        under, over = self.turns > 0, self.turns < 0
        return (
            (torch.where(under, slope, self.below[0]), torch.where(under, constant - room, self.below[1])),
            (torch.where(over, slope, self.above[0]), torch.where(over, constant + room, self.above[1])),
        )

    def gaps(self, below: Pair, above: Pair) -> Pair:
        """The most that units are above lines below, and below lines above."""
        corners = (self.low, self.high, self.kink)
        under = [h - below[0] * z - below[1] for z, h in corners]
        over = [above[0] * z + above[1] - h for z, h in corners]
        return torch.stack(under).amax(0), torch.stack(over).amax(0)


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of a layer's units.

    Arguments:
        lines: around them.
        share: ``[B, n]``, how lines turn; ``None``: as is best in the middle.
        push, floor, ceiling: ``[B, 2, n]`` and ``[B, n]``, multipliers (at least 0) of z being at least and
            at most these; ``None`` where nothing more is known.
    """

    lines: Lines
    share: Tensor | None = None
    push: Tensor | None = None
    floor: Tensor | None = None
    ceiling: Tensor | None = None


@dataclass(eq=False)
class Affine:
    """Affine functions of the input below combinations: ``x @ weights + constant - room``.

    Arguments:
        weights: ``[B, d]``.
        constant, room: ``[B]``.
        seen: the combinations of the outputs of layers with activations, ``[B, n]``, by number.
    """

    weights: Tensor
    constant: Tensor
    room: Tensor
    seen: dict[int, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Relaxed:
    """A network whose units each bend at values of their own pre-activation, for bounds over parts of a box.

    Arguments:
        network: the network.
        box: ``[2, d]``, holds all inputs that are asked about.
        device: a torch device.
        off: for every layer ``[n]``, how far its pre-activations may be from those that are meant.
    """

    network: Network
    box: FloatArray
    device: str = "cpu"
    off: tuple[FloatArray, ...] = ()
    _tables: dict[int, Tables] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for layer in self.network.layers:
            if layer.activation is not None and not isinstance(layer.activation, PiecewiseLinear):
                raise TypeError(
                    f"Relaxed knows units with breakpoints, not {type(layer.activation).__name__}."
                )

    @cached_property
    def batched(self) -> BatchedNetwork:
        """The network on rows of tensors."""
        return BatchedNetwork(self.network, device=self.device)

    @cached_property
    def rooms(self) -> tuple[Tensor, ...]:
        """Of each layer ``[n]``: what a pre-activation with weight 1 adds to the error of a bound."""
        reach = np.abs(self.box).max(axis=0)
        sizes, rooms = [reach], []
        off = self.off or tuple(np.zeros(len(layer.bias)) for layer in self.network.layers)
        for layer, apart in zip(self.network.layers, off, strict=True):
            terms, size = 2, np.abs(layer.bias)
            for k, linear, absolute in zip(layer.inputs, layer.maps, layer.absolute_maps, strict=True):
                terms += sum(factor.shape[0] + factor.shape[1] for factor in linear.chain())
                size = size + absolute.apply(sizes[k][:, None])[:, 0]
            with np.errstate(over="ignore"):
                size = size * (1 + 2.0**-20) + LOST
                room = SHARE * (8 + terms + len(sizes)) * size + LOST + apart * (1 + 2.0**-20)
                rooms.append(self.batched.place.numbers(room))
                sizes.append(size if layer.activation is None else _largest(layer.phi, size))
        return tuple(rooms)

    def tables(self, phi: object) -> Tables:
        """Breakpoints, slopes and intercepts of units as tensors."""
        if id(phi) not in self._tables:
            assert isinstance(phi, PiecewiseLinear), "units bend at values of their own pre-activation"
            numbers = self.batched.place.numbers
            self._tables[id(phi)] = numbers(phi.breakpoints), numbers(phi.slopes), numbers(phi.intercepts)
        return self._tables[id(phi)]

    def thresholds(self, phi: object) -> Tensor:
        """The breakpoints between minus and plus infinity, ``[1 or n, k + 2]``."""
        t = self.tables(phi)[0]
        edge = torch.full((len(t), 1), torch.inf, dtype=t.dtype, device=t.device)
        return torch.cat([-edge, t, edge], 1)

    def below(self, number: int, weights: Tensor, known: Sequence[Known | None]) -> Affine:
        """Affine functions of the input below combinations ``[B, n]`` of the pre-activations of a layer.

        Arguments:
            number: the layer, from 1.
            known: of the units of layers in front with activations.
        """
        n = len(weights)
        found = Affine(weights, weights.new_zeros(n), weights.new_zeros(n))
        found.weights = to_input(self.network, number, weights, _Pulled(self, known, found))
        return found


def _largest(phi: object, size: FloatArray) -> FloatArray:
    """The largest absolute outputs for pre-activations up to a size."""
    assert isinstance(phi, PiecewiseLinear), "units bend at values of their own pre-activation"
    out: FloatArray = (np.abs(phi.slopes) * size[:, None] + np.abs(phi.intercepts)).max(axis=1)
    return out * (1 + 2.0**-20)


@dataclass(frozen=True, eq=False)
class _Pulled:
    """Combinations on their way to the input; what they leave behind is added to an affine function."""

    relaxed: Relaxed
    known: Sequence[Known | None]
    found: Affine

    def affine(self, number: int, layer: Layer, weights: Tensor) -> Iterator[Tensor]:
        row: RowLayer = self.relaxed.batched.layers[number - 1]
        self.found.constant = self.found.constant + weights @ row.bias
        self.found.room = self.found.room + weights.abs() @ self.relaxed.rooms[number - 1]
        for m in row.maps:
            yield m.apply_transpose(weights)

    def activate(self, number: int, layer: Layer, weights: Tensor) -> Tensor:
        known = self.known[number - 1]
        assert known is not None, "something is known of units with activations"
        self.found.seen[number] = weights
        lines = known.lines
        below, above = (lines.below, lines.above) if known.share is None else lines.turned(known.share)
        up, down = weights.clamp_min(0.0), weights.clamp_max(0.0)
        self._add(up * below[1] + down * above[1])
        weights = up * below[0] + down * above[0]
        if known.push is None or known.floor is None or known.ceiling is None:
            return weights
        least, most = known.push.unbind(1)
        self._add(least * known.floor - most * known.ceiling)
        terms = weights.abs() + least + most  # which may cancel
        self.found.room = self.found.room + terms @ self.relaxed.rooms[number - 1]
        return weights - least + most

    def _add(self, constants: Tensor) -> None:
        self.found.constant = self.found.constant + constants.sum(1)
        self.found.room = self.found.room + SHARE * (8 + constants.shape[1]) * constants.abs().sum(1)

    def plus(self, k: int, a: Tensor, b: Tensor) -> Tensor:
        return a + b


def lines_around(tables: Tables, low: Tensor, high: Tensor, first: Tensor, last: Tensor) -> Lines:
    """Lines around units that are on one of some pieces, and whose pre-activations stay between ends.

    A unit on one piece is its own line. Lines have the slope of the chord, or of the piece at an end,
    whichever is best in the middle. Where slopes grow at the only breakpoint that is met, the line below
    may turn around it; where they fall, the line above.

    Arguments:
        tables: breakpoints, slopes and intercepts.
        low, high, first, last: ``[B, n]``.
    """
    t, s, c = tables
    ends = _value(s, c, first, low), _value(s, c, last, high)
    slopes = _of(s, first), _of(s, last)
    chord = torch.where(high > low, (ends[1] - ends[0]) / (high - low).clamp_min(LOST), slopes[0])
    corners = [(low, ends[0], _of(c, first)), (high, ends[1], _of(c, last))]
    for k in range(t.shape[1]):
        at = t[:, k].expand_as(low)
        met = (first <= k) & (k < last)
        at = torch.where(met, at, low)
        for piece in (k, k + 1):
            value = torch.where(met, s[:, piece] * at + c[:, piece], ends[0])
            corners.append((at, value, c[:, piece].expand_as(low)))
    middle = (low + high) / 2
    pairs = [(slope, *_constants(slope, corners)) for slope in (chord, *slopes)]
    below = _best([(slope, under) for slope, under, _ in pairs], middle, 1.0)
    above = _best([(slope, over) for slope, _, over in pairs], middle, -1.0)
    single, own = first == last, _of(c, first)
    below = torch.where(single, slopes[0], below[0]), torch.where(single, own, below[1])
    above = torch.where(single, slopes[0], above[0]), torch.where(single, own, above[1])
    turns = torch.where(last == first + 1, torch.sign(slopes[1] - slopes[0]), 0.0)
    at = torch.where(turns == 0, low, _of(t, first.clamp_max(t.shape[1] - 1)) if t.shape[1] else low)
    kink = at, torch.where(turns == 0, ends[0], _value(s, c, first, at))
    return Lines(below, above, turns, slopes, kink, (low, ends[0]), (high, ends[1]))


def _constants(slope: Tensor, corners: Sequence[tuple[Tensor, Tensor, Tensor]]) -> Pair:
    """The largest constant below and the least above, with room for what is rounded here."""
    under, over = [], []
    for z, h, intercept in corners:
        room = SHARE * (h.abs() + intercept.abs() + (slope * z).abs()) + LOST
        at = h - slope * z
        under.append(at - room)
        over.append(at + room)
    return torch.stack(under).amin(0), torch.stack(over).amax(0)


def _best(lines: Sequence[Pair], z: Tensor, sign: float) -> Pair:
    """Of some lines the highest at z, or the lowest for sign -1."""
    slope, constant = lines[0]
    for other, more in lines[1:]:
        better = sign * (other * z + more) > sign * (slope * z + constant)
        slope, constant = torch.where(better, other, slope), torch.where(better, more, constant)
    return slope, constant


def piece_of(breakpoints: Tensor, z: Tensor) -> Tensor:
    """The number of breakpoints below z, ``int[B, n]``."""
    piece = torch.zeros(z.shape, dtype=torch.int64, device=z.device)
    for k in range(breakpoints.shape[1]):
        piece += z > breakpoints[:, k]
    return piece


def _of(table: Tensor, piece: Tensor) -> Tensor:
    """The entries of a table ``[1 or n, k]`` for pieces ``[B, n]``."""
    return table.expand(piece.shape[1], -1).T.gather(0, piece)


def _value(slopes: Tensor, intercepts: Tensor, piece: Tensor, z: Tensor) -> Tensor:
    return _of(slopes, piece) * z + _of(intercepts, piece)

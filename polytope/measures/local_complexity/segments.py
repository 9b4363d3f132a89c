r"""Many segments through a network at once: where units change pieces on each, and gradients in between.

Along a segment all values are piecewise affine. Layer after layer, the segment is cut where a boundary
function :math:`g_k(z) = u z_i + v z_j - t` of the layer changes sign; between cuts every later value is
affine again, so values at new cuts are interpolated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from polytope.batched.activations import RowActivation
from polytope.batched.network import BatchedNetwork
from polytope.ir.looking import look
from polytope.ir.maps import FloatArray, IntArray

FEW = 8
"""Points at which values are kept whatever room they take: both ends of a segment, and some cuts."""


class BoundaryFunctions(Protocol):
    """The boundary functions ``coefficients . z[index] - offset`` of one layer, as arrays.

    ``index``, ``coefficients``: ``[m, 2]``; ``offset``: ``[m]``; ``unit``: ``int[m]``; ``pieces``: for each
    unit and piece the functions that bound it, by number, with signs and whether strictly.
    """

    @property
    def unit(self) -> IntArray:
        """The unit of each function."""

    @property
    def index(self) -> IntArray:
        """The pre-activations it reads."""

    @property
    def coefficients(self) -> FloatArray:
        """Their factors."""

    @property
    def offset(self) -> FloatArray:
        """What is subtracted."""

    @property
    def pieces(self) -> Sequence[tuple[tuple[tuple[int, float, bool], ...], ...]]:
        """What bounds each piece."""


@dataclass(frozen=True, eq=False)
class BoundaryTensors:
    """The boundary functions of one layer on a device, and of each unit the first and the end of its own."""

    first: Tensor
    second: Tensor
    weights: Tensor
    offset: Tensor
    unit: Tensor
    start: Tensor

    @classmethod
    def of(cls, net: BatchedNetwork, table: BoundaryFunctions) -> BoundaryTensors | None:
        """The tables as tensors; ``None`` for a layer without an activation."""
        if not table.pieces:
            return None
        numbers, indices = net.place.numbers, net.place.indices
        assert (np.diff(table.unit) >= 0).all(), "boundaries stand unit by unit"
        return cls(
            indices(table.index[:, 0]),
            indices(table.index[:, 1]),
            numbers(table.coefficients),
            numbers(table.offset),
            indices(table.unit),
            indices(np.searchsorted(table.unit, np.arange(len(table.pieces) + 1))),
        )

    def values(self, z: Tensor) -> Tensor:
        """``[N, n]`` to ``[N, m]``."""
        return z[:, self.first] * self.weights[:, 0] + z[:, self.second] * self.weights[:, 1] - self.offset

    def some(self, z: Tensor, row: Tensor, which: Tensor) -> Tensor:
        """Function ``which[k]`` at row ``row[k]`` of z."""
        two = z[row, self.first[which]], z[row, self.second[which]]
        weights = self.weights[which]
        return two[0] * weights[:, 0] + two[1] * weights[:, 1] - self.offset[which]

    def vanish(self, z: Tensor, row: Tensor, which: Tensor) -> None:
        """Make function ``which[k]`` zero at row ``row[k]`` of z, where rounding left it next to it.

        A unit that is flat on one side of its breakpoint is then flat up to it, and the maximum of flat units
        changes its winner there, not before.
        """
        one = self.weights[which, 1] == 0
        alone, level = which[one], self.offset[which] / self.weights[which, 0]
        z[row[one], self.first[alone]] = level[one]
        row, which = row[~one], which[~one]
        first = self.offset[which] - z[row, self.first[which]] * self.weights[which, 0]
        z[row, self.second[which]] = first / self.weights[which, 1]

    def of_units(self, unit: Tensor) -> tuple[Tensor, Tensor]:
        """All functions of the given units, and for each which of them it belongs to."""
        start, count = self.start[unit], self.start[unit + 1] - self.start[unit]
        owner = torch.arange(len(unit), device=unit.device).repeat_interleave(count)
        before = count.cumsum(0) - count
        place = torch.arange(len(owner), device=unit.device) - before[owner]
        return start[owner] + place, owner

    def slopes(self, gradients: Tensor) -> Tensor:
        """Gradients of z, ``[N, n, d]``, to those of the functions, ``[N, m, d]``."""
        one = gradients[:, self.first] * self.weights[:, :1]
        if bool((self.weights[:, 1] == 0).all()):
            return one
        return one + gradients[:, self.second] * self.weights[:, 1:]


def _bounds(net: BatchedNetwork, table: BoundaryFunctions) -> Tensor:
    """``[m, pieces]``: which boundary functions bound which piece of their unit."""
    bounds = np.zeros((len(table.unit), max(len(of_unit) for of_unit in table.pieces)))
    for of_unit in table.pieces:
        for piece, rows in enumerate(of_unit):
            bounds[[number for number, _, _ in rows], piece] = 1.0
    return net.place.numbers(bounds)


class TooManyCutsError(Exception):
    """The values at the cuts do not fit into the room that was given, but a share of them would."""

    def __init__(self, share: float) -> None:
        super().__init__(share)
        self.share = share


@dataclass(eq=False)
class Cuts:
    """Points on segments, in order: the segment of each, its place from 0 to 1, values by number."""

    owner: Tensor
    t: Tensor
    values: dict[int, Tensor]
    crossed: list[tuple[Tensor, Tensor, Tensor]]
    """Of each layer: segments, places and units where units of it change pieces."""

    def insert(self, after: Tensor, share: Tensor) -> Tensor:
        """New points behind the given ones, at shares of the way to the next; where they stand."""
        t = self.t[after] + share * (self.t[after + 1] - self.t[after])
        owner = torch.cat([self.owner, self.owner[after]])
        place = torch.cat([self.t, t])
        order = torch.argsort(place, stable=True)
        order = order[torch.argsort(owner[order], stable=True)]
        for k, h in self.values.items():
            new = h[after] + share[:, None] * (h[after + 1] - h[after])
            self.values[k] = torch.cat([h, new])[order]
        old = len(self.t)
        self.owner, self.t = owner[order], place[order]
        return torch.argsort(order)[old:]

    def keep(self, chosen: Tensor) -> None:
        """Forget all other points."""
        self.owner, self.t = self.owner[chosen], self.t[chosen]
        self.values = {k: h[chosen] for k, h in self.values.items()}

    def need(self, points: int, room: int | None) -> None:
        """Give up if the values at so many points are more numbers than there is room for; a few fit."""
        if room is None:
            return
        fitting = max(FEW, room // sum(h.shape[1] for h in self.values.values()))
        if points > fitting:
            raise TooManyCutsError(fitting / points)


def cuts(
    net: BatchedNetwork,
    boundaries: Sequence[BoundaryTensors | None],
    start: Tensor,
    end: Tensor,
    room: int | None = None,
) -> Cuts:
    """Where units change pieces on segments, ends included: the segment of each place, and the place in 0..1.

    Arguments:
        boundaries: the boundary functions of every layer, ``None`` where it has no activation.
        start, end: ``[B, d]``.
        room: the most numbers that the values at cuts may be.

    Raises:
        TooManyCutsError: they are more.
    """
    count = len(start)
    owner = torch.arange(count, device=start.device).repeat_interleave(2)
    ends = torch.stack([start, end], dim=1).flatten(0, 1)
    found = Cuts(owner, start.new_tensor([0.0, 1.0]).repeat(count), {0: ends}, [])
    last = max((k for k, table in enumerate(boundaries, start=1) if table), default=0)
    for number, (layer, table) in enumerate(zip(net.layers[:last], boundaries, strict=False), start=1):
        look()
        z = sum(m.apply(found.values[k]) for k, m in zip(layer.inputs, layer.maps, strict=True)) + layer.bias
        assert isinstance(z, Tensor), "every layer reads a value"
        found.values[number] = z
        if table is not None and layer.activation is not None:
            _cut(found, number, table, layer.activation, room)
            found.values[number] = layer.activation.values(found.values[number])
        for k in [k for k in found.values if net.network.last_use[k] <= number]:
            del found.values[k]
    return found


def _cut(found: Cuts, number: int, table: BoundaryTensors, phi: RowActivation, room: int | None) -> None:
    """Cut where units of a layer change pieces, each on its own interval of the present cuts.

    Between cuts z is affine and every piece is convex: a unit on one piece at both ends is on it in between.
    """
    z = found.values[number]
    after, unit = _changes(phi.pattern(z), found.owner)
    function, owner = table.of_units(unit)
    after = after[owner]
    before, behind = table.some(z, after, function), table.some(z, after + 1, function)
    share = before / (before - behind)
    inside = ((before < 0) & (behind > 0) | (before > 0) & (behind < 0)) & (share > 0) & (share < 1)
    found.need(len(z) + int(inside.sum()), room)
    fresh = found.insert(after[inside], share[inside])
    z = found.values[number]
    table.vanish(z, fresh, function[inside])
    stretch, unit = _changes(phi.pattern(z[1:] / 2 + z[:-1] / 2), found.owner[1:])
    same = found.owner[stretch] == found.owner[stretch + 1]  # else the stretch leads to another segment
    place, unit = stretch[same] + 1, unit[same]
    found.crossed.append((found.owner[place], found.t[place], unit))
    if not phi.ordered:  # two that are not the greatest may be equal
        chosen = torch.ones_like(found.owner, dtype=torch.bool)
        chosen[fresh], chosen[place] = False, True
        found.keep(chosen)


def _changes(pieces: Tensor, owner: Tensor) -> tuple[Tensor, Tensor]:
    """Which rows of a pattern differ from the next of the same segment, and in which unit."""
    inside = (owner[1:] == owner[:-1])[:, None]
    after, unit = ((pieces[1:] != pieces[:-1]) & inside).nonzero(as_tuple=True)
    return after, unit


def mean_gradients(
    net: BatchedNetwork,
    tables: Sequence[BoundaryFunctions],
    start: FloatArray,
    end: FloatArray,
    outputs: IntArray,
    batch_size: int,
) -> FloatArray:
    """The mean gradient of one output along each segment, ``[B, d]``.

    Arguments:
        tables: the boundary functions of every layer.
        start, end: ``[B, d]``.
        outputs: ``int[B]``, the output of each segment.
        batch_size: segments worked on together.
    """
    boundaries = [BoundaryTensors.of(net, table) for table in tables]
    out = [np.zeros((0, start.shape[1]))]
    for i in range(0, len(start), batch_size):
        some = slice(i, i + batch_size)
        ends = net.place.numbers(start[some]), net.place.numbers(end[some])
        out.append(_mean(net, boundaries, *ends, net.place.indices(outputs[some])).cpu().numpy())
    return np.concatenate(out)


def _mean(
    net: BatchedNetwork,
    boundaries: Sequence[BoundaryTensors | None],
    start: Tensor,
    end: Tensor,
    outputs: Tensor,
) -> Tensor:
    """The mean gradients of some segments."""
    found = cuts(net, boundaries, start, end)
    owner, t = found.owner, found.t
    inside = (owner[1:] == owner[:-1]) & (t[1:] > t[:-1])
    owner, length, middle = owner[1:][inside], (t[1:] - t[:-1])[inside], (t[1:] + t[:-1])[inside] / 2
    widest = max(net.network.input_dim, *(len(layer.bias) for layer in net.layers))
    step = max(1, 2**24 // widest)
    mean = torch.zeros_like(start)
    for i in range(0, len(owner), step):
        some = owner[i : i + step]
        rows = start[some] + middle[i : i + step, None] * (end[some] - start[some])
        gradient = output_gradient(net, rows, outputs[some])
        mean.index_add_(0, some, gradient * length[i : i + step, None])
    return mean


def output_gradients(
    net: BatchedNetwork, points: FloatArray, outputs: IntArray, batch_size: int | None
) -> FloatArray:
    """The gradient of one output at each point, ``[B, d]``."""
    step = batch_size or max(1, 2**24 // max(net.network.input_dim, *(len(la.bias) for la in net.layers)))
    out = [np.zeros((0, points.shape[1]))]
    for i in range(0, len(points), step):
        rows, chosen = net.place.numbers(points[i : i + step]), net.place.indices(outputs[i : i + step])
        out.append(output_gradient(net, rows, chosen).cpu().numpy())
    return np.concatenate(out)


def output_gradient(net: BatchedNetwork, rows: Tensor, outputs: Tensor) -> Tensor:
    """The gradient of one output at each point, ``[N, d]``."""
    pieces = net.pieces(rows)
    weights = torch.nn.functional.one_hot(outputs, net.network.output_dim).to(rows.dtype)[:, None]
    activation = net.layers[-1].activation
    if activation:
        weights = activation.pull_back(weights, pieces[-1])
    return net.gradients(len(net.layers), weights, pieces)[0][:, 0]


def clearances(
    net: BatchedNetwork,
    tables: Sequence[BoundaryFunctions],
    points: FloatArray,
    exponents: Sequence[float],
    batch_size: int | None,
) -> FloatArray:
    """The distances from each point to the nearest crossing around its region, ``[B, norms]``.

    Arguments:
        tables: the boundary functions of every layer.
        points: ``[B, d]``.
        exponents: of the norms of the boundary functions' gradients: the duals of the distances' norms.
        batch_size: points worked on together; ``None`` keeps the gradients of a layer near 256 MB.
    """
    boundaries = [
        (number, found, _bounds(net, table))
        for number, table in enumerate(tables, start=1)
        if (found := BoundaryTensors.of(net, table)) is not None
    ]
    widest = max([1, *(len(table.unit) for table in tables)])
    step = batch_size or max(1, 2**25 // (widest * net.network.input_dim))
    out = [np.zeros((0, len(exponents)))]
    for i in range(0, len(points), step):
        rows = net.place.numbers(points[i : i + step])
        out.append(_clearances(net, boundaries, rows, exponents).cpu().numpy())
    return np.concatenate(out)


def _clearances(
    net: BatchedNetwork,
    boundaries: Sequence[tuple[int, BoundaryTensors, Tensor]],
    rows: Tensor,
    exponents: Sequence[float],
) -> Tensor:
    """The distances of some points."""
    known = list(net.activations(net.affine_parts(rows)))
    pieces = [activation.pattern(z) for activation, z in known]
    nearest = rows.new_full((len(rows), len(exponents)), torch.inf)
    for (number, table, bounds), (_, z), piece in zip(boundaries, known, pieces, strict=True):
        units = torch.eye(z.shape[1], dtype=z.dtype, device=z.device).expand(len(rows), -1, -1)
        slopes = table.slopes(net.gradients(number, units, pieces)[0])
        level = table.values(z).abs()
        own = bounds.gather(1, piece.long().T[table.unit]).T > 0
        for column, exponent in enumerate(exponents):
            size = torch.linalg.vector_norm(slopes, ord=exponent, dim=2)
            away = torch.where(own & (size > 0), level / size, torch.inf)
            nearest[:, column] = torch.minimum(nearest[:, column], away.amin(dim=1))
    return nearest

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

from polytope.batched.network import BatchedNetwork
from polytope.ir.maps import FloatArray, IntArray


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
    """The boundary functions of one layer on a device; ``bounds [m, pieces]``: which bound which piece."""

    first: Tensor
    second: Tensor
    weights: Tensor
    offset: Tensor
    unit: Tensor
    bounds: Tensor

    @classmethod
    def of(cls, net: BatchedNetwork, table: BoundaryFunctions) -> BoundaryTensors | None:
        """The tables as tensors; ``None`` for a layer without an activation."""
        if not table.pieces:
            return None
        most = max(len(of_unit) for of_unit in table.pieces)
        bounds = np.zeros((len(table.unit), most))
        for of_unit in table.pieces:
            for piece, rows in enumerate(of_unit):
                bounds[[number for number, _, _ in rows], piece] = 1.0
        numbers, indices = net.place.numbers, net.place.indices
        return cls(
            indices(table.index[:, 0]),
            indices(table.index[:, 1]),
            numbers(table.coefficients),
            numbers(table.offset),
            indices(table.unit),
            numbers(bounds),
        )

    def values(self, z: Tensor) -> Tensor:
        """``[N, n]`` to ``[N, m]``."""
        return z[:, self.first] * self.weights[:, 0] + z[:, self.second] * self.weights[:, 1] - self.offset

    def slopes(self, gradients: Tensor) -> Tensor:
        """Gradients of z, ``[N, n, d]``, to those of the functions, ``[N, m, d]``."""
        one = gradients[:, self.first] * self.weights[:, :1]
        if bool((self.weights[:, 1] == 0).all()):
            return one
        return one + gradients[:, self.second] * self.weights[:, 1:]


@dataclass(eq=False)
class _Cuts:
    """Points on segments, in order: the segment of each, its place from 0 to 1, values by number."""

    owner: Tensor
    t: Tensor
    values: dict[int, Tensor]

    def insert(self, after: Tensor, share: Tensor) -> None:
        """New points behind the given ones, at shares of the way to the next."""
        t = self.t[after] + share * (self.t[after + 1] - self.t[after])
        owner = torch.cat([self.owner, self.owner[after]])
        place = torch.cat([self.t, t])
        order = torch.argsort(place, stable=True)
        order = order[torch.argsort(owner[order], stable=True)]
        for k, h in self.values.items():
            new = h[after] + share[:, None] * (h[after + 1] - h[after])
            self.values[k] = torch.cat([h, new])[order]
        self.owner, self.t = owner[order], place[order]


def cuts(
    net: BatchedNetwork, boundaries: Sequence[BoundaryTensors | None], start: Tensor, end: Tensor
) -> tuple[Tensor, Tensor]:
    """Where units change pieces on segments, ends included: the segment of each place, and the place in 0..1.

    Arguments:
        boundaries: the boundary functions of every layer, ``None`` where it has no activation.
        start, end: ``[B, d]``.
    """
    count = len(start)
    owner = torch.arange(count, device=start.device).repeat_interleave(2)
    ends = torch.stack([start, end], dim=1).flatten(0, 1)
    found = _Cuts(owner, start.new_tensor([0.0, 1.0]).repeat(count), {0: ends})
    last = max((k for k, table in enumerate(boundaries, start=1) if table), default=0)
    for number, (layer, table) in enumerate(zip(net.layers[:last], boundaries, strict=False), start=1):
        z = sum(m.apply(found.values[k]) for k, m in zip(layer.inputs, layer.maps, strict=True)) + layer.bias
        assert isinstance(z, Tensor), "every layer reads a value"
        found.values[number] = z
        if table is not None and layer.activation is not None:
            _cut(found, number, table)
            found.values[number] = layer.activation.values(found.values[number])
        for k in [k for k in found.values if net.network.last_use[k] <= number]:
            del found.values[k]
    return found.owner, found.t


def _cut(found: _Cuts, number: int, table: BoundaryTensors) -> None:
    """Cut where boundary functions of a layer change sign, each on its own interval of the present cuts."""
    g = table.values(found.values[number])
    inside = found.owner[1:] == found.owner[:-1]
    change = (g[1:] * g[:-1] < 0) & inside[:, None]
    after, function = change.nonzero(as_tuple=True)
    before, behind = g[after, function], g[after + 1, function]
    found.insert(after, before / (before - behind))


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
    owner, t = cuts(net, boundaries, start, end)
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
    boundaries = [BoundaryTensors.of(net, table) for table in tables]
    widest = max([1, *(len(table.unit) for table in tables)])
    step = batch_size or max(1, 2**25 // (widest * net.network.input_dim))
    out = [np.zeros((0, len(exponents)))]
    for i in range(0, len(points), step):
        rows = net.place.numbers(points[i : i + step])
        out.append(_clearances(net, boundaries, rows, exponents).cpu().numpy())
    return np.concatenate(out)


def _clearances(
    net: BatchedNetwork,
    boundaries: Sequence[BoundaryTensors | None],
    rows: Tensor,
    exponents: Sequence[float],
) -> Tensor:
    """The distances of some points."""
    known = list(net.activations(net.affine_parts(rows)))
    pieces = [activation.pattern(z) for activation, z in known]
    nearest = rows.new_full((len(rows), len(exponents)), torch.inf)
    known_tables = [(number, table) for number, table in enumerate(boundaries, start=1) if table is not None]
    for (number, table), (_, z), piece in zip(known_tables, known, pieces, strict=True):
        units = torch.eye(z.shape[1], dtype=z.dtype, device=z.device).expand(len(rows), -1, -1)
        slopes = table.slopes(net.gradients(number, units, pieces)[0])
        level = table.values(z).abs()
        own = table.bounds.gather(1, piece.long().T[table.unit]).T > 0
        for column, exponent in enumerate(exponents):
            size = torch.linalg.vector_norm(slopes, ord=exponent, dim=2)
            away = torch.where(own & (size > 0), level / size, torch.inf)
            nearest[:, column] = torch.minimum(nearest[:, column], away.amin(dim=1))
    return nearest

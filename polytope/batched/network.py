r"""A Network on torch: values, pre-activations, patterns and Jacobians of many points on any device.

Points are rows, ``[N, width]``. Every linear map becomes a pair of functions, the map and its transpose;
convolutions run as torch convolutions. A value :math:`h_k` is *affine* when no bend lies between it and
the input. Each pre-activation is split as :math:`z_l = a_l(x) + \sum_{k\ \mathrm{bent}} A_{l,k} h_k` with
the *affine part* :math:`a_l`, so that what is affine in the input can be computed once for many points
:math:`x \pm r v` (see ``polytope.measures.local_complexity.count``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from polytope.batched.activations import RowActivation, row_activation
from polytope.batched.maps import Place, RowMap, row_map
from polytope.ir.activations import PatternArray
from polytope.ir.layers import Layer
from polytope.ir.maps import FloatArray
from polytope.ir.network import Network

_DTYPES = {"float64": torch.float64, "float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, eq=False)
class RowLayer:
    """A layer on rows: its maps, split by whether they read an affine value, its bias and activation."""

    affine: tuple[tuple[int, RowMap], ...]
    bent: tuple[tuple[int, RowMap], ...]
    bias: Tensor
    activation: RowActivation | None


@dataclass(frozen=True, eq=False)
class BatchedNetwork:
    """A network for many points at once: ``[B, d]`` to values, patterns and Jacobians, as numpy arrays.

    The questions take ``batch_size``, the number of points worked on together; ``None`` chooses one that
    keeps the working memory near 256 MB. On a GPU torch may round the inputs of float32 convolutions to
    TF32: set ``torch.backends.cudnn.allow_tf32 = False`` where that matters.

    Arguments:
        network: the network.
        dtype: ``"float64"``, ``"float32"`` or ``"bfloat16"``: the type of all arithmetic.
        device: a torch device name, such as ``"cpu"`` or ``"cuda"``.

    Example:
        >>> from polytope.ir import mlp
        >>> net = mlp([([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])
        >>> BatchedNetwork(net)([[-2.0], [3.0]]).tolist()
        [[2.0], [3.0]]
    """

    network: Network
    dtype: str = "float64"
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.dtype not in _DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(_DTYPES)}, not {self.dtype!r}.")

    @cached_property
    def place(self) -> Place:
        """The torch type and device of all tensors."""
        return Place(_DTYPES[self.dtype], torch.device(self.device))

    @cached_property
    def affine_values(self) -> frozenset[int]:
        """The values ``h_k`` that are affine in the input; 0 is the input itself."""
        affine = {0}
        for number, layer in enumerate(self.network.layers, start=1):
            if layer.activation is None and affine.issuperset(layer.inputs):
                affine.add(number)
        return frozenset(affine)

    @cached_property
    def layers(self) -> tuple[RowLayer, ...]:
        """The layers on rows of tensors."""
        return tuple(self._row_layer(layer) for layer in self.network.layers)

    def _row_layer(self, layer: Layer) -> RowLayer:
        maps = [(k, row_map(m, self.place)) for k, m in zip(layer.inputs, layer.maps, strict=True)]
        bend = layer.activation
        return RowLayer(
            affine=tuple((k, m) for k, m in maps if k in self.affine_values),
            bent=tuple((k, m) for k, m in maps if k not in self.affine_values),
            bias=self.place.numbers(layer.bias),
            activation=row_activation(bend, len(layer.bias), self.place) if bend else None,
        )

    def affine_parts(self, rows: Tensor, *, linear: bool = False) -> list[Tensor | None]:
        """The affine part of every layer at the points ``rows [N, d]``, each ``[N, n]``.

        With ``linear=True`` only their linear part, for directions; ``None`` stands for a part that does
        not depend on the input: it is then the layer's bias.
        """
        values: dict[int, Tensor] = {0: rows}
        parts: list[Tensor | None] = []
        for number, layer in enumerate(self.layers, start=1):
            total = None
            for k, m in layer.affine:
                total = m.apply(values[k]) if total is None else total + m.apply(values[k])
            if total is not None and not linear:
                total += layer.bias
            if number in self.affine_values:
                assert total is not None, "an affine value reads an affine value"
                values[number] = total
            parts.append(total)
        return parts

    def steps(self, parts: Sequence[Tensor | None]) -> Iterator[Tensor]:
        """``z_l`` of every layer from its affine part; a bend is computed when the next z is asked for."""
        last_use = self.network.last_use
        values: dict[int, Tensor] = {}
        for number, (layer, part) in enumerate(zip(self.layers, parts, strict=True), start=1):
            z = part
            for k, m in layer.bent:
                z = m.apply(values[k]).add_(layer.bias if z is None else z)
            assert z is not None, "every layer reads a value"
            yield z
            values[number] = layer.activation.values(z) if layer.activation else z
            for k in [k for k in values if last_use[k] <= number]:
                del values[k]

    def bends(self, parts: Sequence[Tensor | None]) -> Iterator[tuple[RowActivation, Tensor]]:
        """The activation and ``z_l`` of each layer that bends, from the affine parts; then it stops."""
        last = max((n for n, layer in enumerate(self.layers, start=1) if layer.activation), default=0)
        for layer, z in zip(self.layers[:last], self.steps(parts), strict=False):
            if layer.activation:
                yield layer.activation, z

    def pieces(self, rows: Tensor) -> list[Tensor]:
        """The pattern of each layer that bends, ``bool or int8 [N, units]``."""
        return [activation.pattern(z) for activation, z in self.bends(self.affine_parts(rows))]

    def __call__(self, x: ArrayLike, *, batch_size: int | None = None) -> FloatArray:
        """The network's values, ``[B, out]``."""
        out = [np.zeros((0, self.network.output_dim))]
        bend = self.layers[-1].activation
        for rows in self._batches(x, batch_size):
            [z] = deque(self.steps(self.affine_parts(rows)), maxlen=1)
            out.append(_numpy(bend.values(z) if bend else z))
        return np.concatenate(out)

    def preactivations(self, x: ArrayLike, *, batch_size: int | None = None) -> list[FloatArray]:
        """The pre-activations of every layer, each ``[B, n]``."""
        out = [[np.zeros((0, len(layer.bias)))] for layer in self.network.layers]
        for rows in self._batches(x, batch_size):
            for collected, z in zip(out, self.steps(self.affine_parts(rows)), strict=True):
                collected.append(_numpy(z))
        return [np.concatenate(collected) for collected in out]

    def pattern(self, x: ArrayLike, *, batch_size: int | None = None) -> PatternArray:
        """The piece of every unit at every point, ``int8[B, units]``."""
        out = [np.zeros((0, self.network.n_units), dtype=np.int8)]
        for rows in self._batches(x, batch_size):
            pieces = [p.to(torch.int8) for p in self.pieces(rows)]
            out.append(torch.cat([rows.new_zeros(len(rows), 0, dtype=torch.int8), *pieces], 1).cpu().numpy())
        return np.concatenate(out)

    def jacobian(self, x: ArrayLike, *, batch_size: int | None = None) -> FloatArray:
        """The Jacobian of the affine map at every point, ``[B, out, d]``."""
        out = [np.zeros((0, self.network.output_dim, self.network.input_dim))]
        out += [_numpy(self._pulled_back(rows)) for rows in self._batches(x, batch_size)]
        return np.concatenate(out)

    def _pulled_back(self, rows: Tensor) -> Tensor:
        """The outputs' gradients at each row by one backward pass, ``[N, out, d]``."""
        return self.output_gradients(self.pieces(rows), len(rows))[0]

    def output_gradients(self, pieces: Sequence[Tensor], n: int) -> dict[int, Tensor]:
        """The outputs' gradients by every value ``h_k`` that they depend on, ``[n, out, width]``.

        Arguments:
            pieces: the patterns of n points, by layer that bends.
            n: the number of points.
        """
        out = self.network.output_dim
        weights = torch.eye(out, dtype=self.place.dtype, device=self.place.device).expand(n, out, out)
        bend = self.layers[-1].activation
        if bend:
            weights = bend.pull_back(weights, pieces[-1])
        return self.gradients(len(self.layers), weights, pieces)

    def gradients(self, number: int, weights: Tensor, pieces: Sequence[Tensor]) -> dict[int, Tensor]:
        """Gradients of combinations ``weights [N, m, n]`` of one layer's z by every value in front of it."""
        bending = [k for k, layer in enumerate(self.layers, start=1) if layer.activation]
        known: dict[int, Tensor] = {}
        waiting: dict[int, Tensor] = {}
        while True:
            layer = self.layers[number - 1]
            for k, m in layer.affine + layer.bent:
                pulled = m.apply_transpose(weights.flatten(0, 1)).reshape(*weights.shape[:2], -1)
                waiting[k] = waiting[k] + pulled if k in waiting else pulled
            number = max(waiting)
            known[number] = weights = waiting.pop(number)
            if number == 0:
                return known
            bend = self.layers[number - 1].activation
            if bend:
                weights = bend.pull_back(weights, pieces[bending.index(number)])

    def _batches(self, x: ArrayLike, batch_size: int | None) -> Iterator[Tensor]:
        """Points as rows on the device, some at a time."""
        points = np.asarray(x, dtype=float)
        d = self.network.input_dim
        if points.ndim < 2 or prod(points.shape[1:]) != d:
            raise ValueError(f"Expected points of shape [B, {d}], got {points.shape}.")
        if batch_size is None:
            widest = max(d, *(len(layer.bias) for layer in self.network.layers))
            batch_size = max(1, 2**25 // (4 * widest * max(1, self.network.output_dim)))
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}.")
        for start in range(0, len(points), batch_size):
            yield self.place.numbers(points[start : start + batch_size].reshape(-1, d))


def _numpy(tensor: Tensor) -> FloatArray:
    """A tensor as a float64 array on the host."""
    return tensor.to("cpu", torch.float64).numpy()

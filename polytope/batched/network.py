r"""A Network on torch: values, pre-activations, patterns and Jacobians of many points on any device.

Points are rows, ``[N, width]``. Every linear map becomes a pair of functions, the map and its transpose;
convolutions run as torch convolutions. A value :math:`h_k` is *affine* when no activation lies between it and
the input. Each pre-activation is split as :math:`z_l = a_l(x) + \sum_{k\ \mathrm{nonlinear}} A_{l,k} h_k`
with the *affine part* :math:`a_l`, so that what is affine in the input can be computed once for many points
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
from polytope.ir.looking import look
from polytope.ir.maps import FloatArray
from polytope.ir.network import Network
from polytope.ir.sweep import sweep, sweep_back

_DTYPES = {"float64": torch.float64, "float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, eq=False)
class RowLayer:
    """A layer on rows.

    Arguments:
        inputs, maps, bias, activation: as the layer's.
        affine, nonlinear: the maps with their places, split by whether they read an affine value.
    """

    inputs: tuple[int, ...]
    maps: tuple[RowMap, ...]
    affine: tuple[tuple[int, RowMap], ...]
    nonlinear: tuple[tuple[int, RowMap], ...]
    bias: Tensor
    activation: RowActivation | None

    @property
    def phi(self) -> RowActivation:
        """The activation of a layer that has one."""
        assert self.activation is not None, "the layer has an activation"
        return self.activation


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
        try:
            there = torch.empty(0, device=self.device).device.type != "meta"
        except (RuntimeError, AssertionError, TypeError, NotImplementedError):
            there = False
        if not there:
            raise ValueError(
                f"device {self.device!r} is none that PyTorch can compute on here; 'cpu' always is."
            )

    @cached_property
    def place(self) -> Place:
        """The torch type and device of all tensors."""
        return Place(_DTYPES[self.dtype], torch.device(self.device))

    @cached_property
    def affine_values(self) -> frozenset[int]:
        """The values ``h_k`` that are affine in the input; 0 is the input itself."""
        steps = sweep(self.network, True, _IsAffine())
        return frozenset({0} | {number for number, _, _, is_affine in steps if is_affine})

    @cached_property
    def layers(self) -> tuple[RowLayer, ...]:
        """The layers on rows of tensors."""
        return tuple(self._row_layer(layer) for layer in self.network.layers)

    def _row_layer(self, layer: Layer) -> RowLayer:
        look()
        maps = [row_map(m, self.place) for m in layer.maps]
        affine = [k in self.affine_values for k in layer.inputs]
        activation = layer.activation
        return RowLayer(
            inputs=layer.inputs,
            maps=tuple(maps),
            affine=tuple((place, m) for place, m in enumerate(maps) if affine[place]),
            nonlinear=tuple((place, m) for place, m in enumerate(maps) if not affine[place]),
            bias=self.place.numbers(layer.bias),
            activation=row_activation(activation, len(layer.bias), self.place) if activation else None,
        )

    def affine_parts(self, rows: Tensor, *, linear: bool = False) -> list[Tensor | None]:
        """The affine part of every layer at the points ``rows [N, d]``, each ``[N, n]``.

        With ``linear=True`` only their linear part, for directions; ``None`` stands for a part that does
        not depend on the input: it is then the layer's bias.
        """
        return [part for _, _, part, _ in sweep(self.network, rows, _AffineParts(self.layers, linear))]

    def steps(self, parts: Sequence[Tensor | None]) -> Iterator[Tensor]:
        """``z_l`` of every layer from its affine part."""
        return (z for _, z in self._swept(parts, len(self.layers)))

    def _swept(self, parts: Sequence[Tensor | None], last: int) -> Iterator[tuple[int, Tensor]]:
        """The number and z of every layer up to the last one of interest, the outputs of which are not."""
        for number, _, z, _ in sweep(self.network, None, _FromParts(self.layers, parts, last), last=last):
            assert z is not None, "every layer reads a value"
            yield number, z

    def activations(self, parts: Sequence[Tensor | None]) -> Iterator[tuple[RowActivation, Tensor]]:
        """The activation and ``z_l`` of each layer that has one, from the affine parts; then it stops."""
        last = max((n for n, layer in enumerate(self.layers, start=1) if layer.activation), default=0)
        for number, z in self._swept(parts, last):
            activation = self.layers[number - 1].activation
            if activation:
                yield activation, z

    def pieces(self, rows: Tensor) -> list[Tensor]:
        """The pattern of each layer with an activation, ``bool or int8 [N, units]``."""
        return [activation.pattern(z) for activation, z in self.activations(self.affine_parts(rows))]

    def __call__(self, x: ArrayLike, *, batch_size: int | None = None) -> FloatArray:
        """The network's values, ``[B, out]``."""
        out = [np.zeros((0, self.network.output_dim))]
        activation = self.layers[-1].activation
        for rows in self._batches(x, batch_size):
            [z] = deque(self.steps(self.affine_parts(rows)), maxlen=1)
            out.append(_numpy(activation.values(z) if activation else z))
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
            pieces: the patterns of n points, by layer with an activation.
            n: the number of points.
        """
        out = self.network.output_dim
        weights = torch.eye(out, dtype=self.place.dtype, device=self.place.device).expand(n, out, out)
        activation = self.layers[-1].activation
        if activation:
            weights = activation.pull_back(weights, pieces[-1])
        return self.gradients(len(self.layers), weights, pieces)

    def gradients(self, number: int, weights: Tensor, pieces: Sequence[Tensor]) -> dict[int, Tensor]:
        """Gradients of combinations ``weights [N, m, n]`` of one layer's z by every value in front of it."""
        numbers = [k for k, layer in enumerate(self.layers, start=1) if layer.activation]
        by_layer = dict(zip(numbers, pieces, strict=False))
        return dict(sweep_back(self.network, number, weights, _Gradients(self.layers, by_layer)))

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


class _IsAffine:
    """Whether values are affine in the input."""

    def affine(self, number: int, layer: Layer, reads: Sequence[bool]) -> bool:
        return all(reads)

    def activate(self, number: int, layer: Layer, z: bool) -> bool:
        return False


@dataclass(frozen=True, eq=False)
class _AffineParts:
    """The affine parts of values, ``[N, width]``; ``None`` behind an activation."""

    layers: tuple[RowLayer, ...]
    linear: bool

    def affine(self, number: int, layer: Layer, reads: Sequence[Tensor | None]) -> Tensor | None:
        rows, total = self.layers[number - 1], None
        for place, m in rows.affine:
            h = reads[place]
            assert h is not None, "an affine value is known"
            total = m.apply(h) if total is None else total + m.apply(h)
        if total is not None and not self.linear:
            total += rows.bias
        return total

    def activate(self, number: int, layer: Layer, z: Tensor | None) -> None:
        return None


@dataclass(frozen=True, eq=False)
class _FromParts:
    """Values that are not affine, from the affine parts of all; nothing reads those of layer ``unread``."""

    layers: tuple[RowLayer, ...]
    parts: Sequence[Tensor | None]
    unread: int

    def affine(self, number: int, layer: Layer, reads: Sequence[Tensor | None]) -> Tensor | None:
        rows, z = self.layers[number - 1], self.parts[number - 1]
        for place, m in rows.nonlinear:
            h = reads[place]
            assert h is not None, "a value behind an activation is known"
            z = m.apply(h).add_(rows.bias if z is None else z)
        return z

    def activate(self, number: int, layer: Layer, z: Tensor | None) -> Tensor | None:
        assert z is not None, "every layer reads a value"
        return z if number == self.unread else self.layers[number - 1].phi.values(z)


@dataclass(frozen=True, eq=False)
class _Gradients:
    """Gradients of combinations by values, ``[N, m, width]``, on the pieces of every activation."""

    layers: tuple[RowLayer, ...]
    pieces: dict[int, Tensor]

    def affine(self, number: int, layer: Layer, weights: Tensor) -> Iterator[Tensor]:
        for m in self.layers[number - 1].maps:
            yield m.apply_transpose(weights.flatten(0, 1)).reshape(*weights.shape[:2], -1)

    def activate(self, number: int, layer: Layer, weights: Tensor) -> Tensor:
        return self.layers[number - 1].phi.pull_back(weights, self.pieces[number])

    def plus(self, k: int, a: Tensor, b: Tensor) -> Tensor:
        return a + b


def _numpy(tensor: Tensor) -> FloatArray:
    """A tensor as a float64 array on the host."""
    return tensor.to("cpu", torch.float64).numpy()

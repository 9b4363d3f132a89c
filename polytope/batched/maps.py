"""Linear maps of the representation on rows of torch tensors; convolutions run as torch convolutions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import singledispatch

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn.functional import pad

from polytope.ir.convolution import Convolution
from polytope.ir.maps import Composition, Dense, Diagonal, LinearMap, Selection, Transposed


@dataclass(frozen=True)
class Place:
    """Where tensors live and of which type they are."""

    dtype: torch.dtype
    device: torch.device

    def numbers(self, array: ArrayLike) -> Tensor:
        """An array as a tensor of this place."""
        return torch.tensor(np.ascontiguousarray(array)).to(self.device, self.dtype)

    def indices(self, array: NDArray[np.integer]) -> Tensor:
        """An array of indices as an int64 tensor on this place's device."""
        return torch.tensor(np.ascontiguousarray(array, dtype=np.int64), device=self.device)


@dataclass(frozen=True, eq=False)
class RowMap:
    """A linear map on rows: ``apply`` takes ``[N, in]`` to ``[N, out]``, ``apply_transpose`` goes back.

    ``matrix [out, in]`` is there where the map is one.
    """

    apply: Callable[[Tensor], Tensor]
    apply_transpose: Callable[[Tensor], Tensor]
    matrix: Tensor | None = None


@singledispatch
def row_map(linear: LinearMap, place: Place) -> RowMap:
    """A linear map of the representation on rows of tensors; a kind without a rule goes by its entries."""
    entries = linear.to_sparse().tocoo()
    index = torch.stack([place.indices(entries.coords[0]), place.indices(entries.coords[1])])
    values = place.numbers(entries.data)
    matrix = torch.sparse_coo_tensor(index, values, linear.shape, check_invariants=True).coalesce()
    transposed = matrix.t().coalesce()
    return RowMap(lambda rows: (matrix @ rows.T).T, lambda rows: (transposed @ rows.T).T)


@row_map.register
def _dense(linear: Dense, place: Place) -> RowMap:
    matrix = place.numbers(linear.matrix)
    return RowMap(lambda rows: rows @ matrix.T, lambda rows: rows @ matrix, matrix)


@row_map.register
def _diagonal(linear: Diagonal, place: Place) -> RowMap:
    factors = place.numbers(linear.factors)
    return RowMap(lambda rows: rows * factors, lambda rows: rows * factors)


@row_map.register
def _selection(linear: Selection, place: Place) -> RowMap:
    kept = np.flatnonzero(linear.index >= 0)
    target, source = place.indices(kept), place.indices(linear.index[kept])
    out, n = linear.shape

    def apply(rows: Tensor) -> Tensor:
        if len(kept) == out:
            return rows.index_select(1, source)
        return rows.new_zeros(len(rows), out).index_copy_(1, target, rows.index_select(1, source))

    def apply_transpose(rows: Tensor) -> Tensor:
        return rows.new_zeros(len(rows), n).index_add_(1, source, rows.index_select(1, target))

    return RowMap(apply, apply_transpose)


@row_map.register
def _convolution(linear: Convolution, place: Place) -> RowMap:
    axes = len(linear.stride)
    if axes not in (1, 2, 3):
        return row_map.dispatch(LinearMap)(linear, place)
    kernel = place.numbers(linear.kernel)
    none = [0] * axes
    even = all(before == after for before, after in linear.padding)
    inside = [before for before, _ in linear.padding] if even else none
    padding = _pad_argument(linear.padding)
    missing = _pad_argument(_unread(linear))

    # in single precision a CPU convolves few channels up to four times as fast where they lie together
    together = axes == 2 and place.device.type == "cpu" and place.dtype == torch.float32

    def run(images: Tensor, padding: list[int], *, transposed: bool) -> Tensor:
        return torch.convolution(
            images, kernel, None, linear.stride, padding, linear.dilation, transposed, none, linear.groups
        )

    def apply(rows: Tensor) -> Tensor:
        images = rows.reshape(len(rows), *linear.input_shape)
        if together:
            images = images.contiguous(memory_format=torch.channels_last)
        return run(images if even else pad(images, padding), inside, transposed=False).flatten(1)

    def apply_transpose(rows: Tensor) -> Tensor:
        images = rows.reshape(len(rows), *linear.output_shape)
        return pad(run(images, none, transposed=True), missing).flatten(1)

    return RowMap(apply, apply_transpose)


def _unread(conv: Convolution) -> list[tuple[int, int]]:
    """Per axis, what must be added around a transposed convolution's image to give the input's size."""
    sizes = zip(
        conv.input_shape[1:],
        conv.output_shape[1:],
        conv.stride,
        conv.dilation,
        conv.kernel.shape[2:],
        conv.padding,
        strict=True,
    )
    return [(-before, n + before - ((m - 1) * s + d * (k - 1) + 1)) for n, m, s, d, k, (before, _) in sizes]


def _pad_argument(amounts: Sequence[tuple[int, int]]) -> list[int]:
    """Torch names the last axis first."""
    return [amount for pair in reversed(amounts) for amount in pair]


@row_map.register
def _transposed(linear: Transposed, place: Place) -> RowMap:
    inner = row_map(linear.of, place)
    return RowMap(inner.apply_transpose, inner.apply)


@row_map.register
def _composition(linear: Composition, place: Place) -> RowMap:
    outer, inner = row_map(linear.outer, place), row_map(linear.inner, place)
    return RowMap(
        lambda rows: outer.apply(inner.apply(rows)),
        lambda rows: inner.apply_transpose(outer.apply_transpose(rows)),
    )

r"""Linear maps of layers, kept in the structure they came in: a convolution stays a convolution.

Every kind acts on *columns*: an array ``X`` of shape ``[in, B]`` holds B vectors, and
``apply(X)`` has shape ``[out, B]``. Nothing here expands a structured map to a dense matrix unless
``rows`` or ``to_sparse`` is asked for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from math import prod

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class LinearMap(ABC):
    """A linear map from R^in to R^out; ``shape`` is ``(out, in)``."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """The sizes ``(out, in)``."""

    @abstractmethod
    def apply(self, columns: FloatArray) -> FloatArray:
        """``[in, B]`` to ``[out, B]``: the map applied to every column."""

    @abstractmethod
    def apply_transpose(self, columns: FloatArray) -> FloatArray:
        """``[out, B]`` to ``[in, B]``: the transposed map applied to every column."""

    @abstractmethod
    def to_sparse(self) -> csr_array:
        """The matrix of the map, ``[out, in]``, sparse."""

    @abstractmethod
    def absolute(self) -> LinearMap:
        """The map with every entry replaced by its absolute value (by a bound on it for a composition)."""

    def rows(self, units: IntArray) -> FloatArray:
        """The dense rows of the matrix for the given outputs, ``[len(units), in]``."""
        chosen = np.zeros((self.shape[0], len(units)))
        chosen[units, np.arange(len(units))] = 1.0
        return self.apply_transpose(chosen).T


@dataclass(frozen=True, eq=False)
class Dense(LinearMap):
    """A matrix, ``[out, in]``."""

    matrix: FloatArray

    @property
    def shape(self) -> tuple[int, int]:
        """The sizes ``(out, in)``."""
        return (self.matrix.shape[0], self.matrix.shape[1])

    def apply(self, columns: FloatArray) -> FloatArray:
        """``matrix @ columns``."""
        return self.matrix @ columns

    def apply_transpose(self, columns: FloatArray) -> FloatArray:
        """``matrix.T @ columns``."""
        return self.matrix.T @ columns

    def absolute(self) -> Dense:
        """Absolute entries."""
        return Dense(np.abs(self.matrix))

    def to_sparse(self) -> csr_array:
        """The matrix without its zeros."""
        return csr_array(self.matrix)

    def rows(self, units: IntArray) -> FloatArray:
        """Rows of the matrix."""
        return self.matrix[units]


@dataclass(frozen=True, eq=False)
class Sparse(LinearMap):
    """A sparse matrix, ``[out, in]``."""

    matrix: csr_array

    @property
    def shape(self) -> tuple[int, int]:
        """The sizes ``(out, in)``."""
        return (self.matrix.shape[0], self.matrix.shape[1])

    def apply(self, columns: FloatArray) -> FloatArray:
        """``matrix @ columns``."""
        return np.asarray(self.matrix @ columns)

    def apply_transpose(self, columns: FloatArray) -> FloatArray:
        """``matrix.T @ columns``."""
        return np.asarray(self.matrix.T @ columns)

    def absolute(self) -> Sparse:
        """Absolute entries."""
        return Sparse(csr_array(abs(self.matrix)))

    def to_sparse(self) -> csr_array:
        """The matrix itself."""
        return self.matrix


@dataclass(frozen=True, eq=False)
class Diagonal(LinearMap):
    """Multiplication of each coordinate by its own factor, ``factors[n]``."""

    factors: FloatArray

    @property
    def shape(self) -> tuple[int, int]:
        """The sizes ``(n, n)``."""
        return (len(self.factors), len(self.factors))

    def apply(self, columns: FloatArray) -> FloatArray:
        """``factors * columns``, row by row."""
        return self.factors[:, None] * columns

    def apply_transpose(self, columns: FloatArray) -> FloatArray:
        """The same: a diagonal matrix is symmetric."""
        return self.apply(columns)

    def absolute(self) -> Diagonal:
        """Absolute factors."""
        return Diagonal(np.abs(self.factors))

    def to_sparse(self) -> csr_array:
        """The diagonal matrix."""
        index = np.arange(len(self.factors))
        return csr_array((self.factors, (index, index)), shape=self.shape)


@dataclass(frozen=True, eq=False)
class Selection(LinearMap):
    """Output i is input ``index[i]``, or zero where ``index[i]`` is -1: reorder, crop, pad, repeat."""

    index: IntArray
    n_inputs: int

    def __post_init__(self) -> None:
        if len(self.index) and not (self.index.min() >= -1 and self.index.max() < self.n_inputs):
            raise ValueError(f"Selection.index must lie in -1..{self.n_inputs - 1}.")

    @property
    def shape(self) -> tuple[int, int]:
        """The sizes ``(out, in)``."""
        return (len(self.index), self.n_inputs)

    @cached_property
    def _kept(self) -> NDArray[np.bool_]:
        return self.index >= 0

    def apply(self, columns: FloatArray) -> FloatArray:
        """Rows of ``columns``, zeros where the index is -1."""
        if self._kept.all():
            return columns[self.index]
        out = np.zeros((len(self.index), columns.shape[1]))
        out[self._kept] = columns[self.index[self._kept]]
        return out

    def apply_transpose(self, columns: FloatArray) -> FloatArray:
        """Each output's value added to the input it was taken from."""
        out = np.zeros((self.n_inputs, columns.shape[1]))
        np.add.at(out, self.index[self._kept], columns[self._kept])
        return out

    def absolute(self) -> Selection:
        """The map itself: its entries are 0 and 1."""
        return self

    def to_sparse(self) -> csr_array:
        """One 1 in each row that is not zero."""
        rows = np.flatnonzero(self._kept)
        return csr_array((np.ones(len(rows)), (rows, self.index[rows])), shape=self.shape)


@dataclass(frozen=True, eq=False)
class Convolution(LinearMap):
    r"""Cross-correlation, :math:`y[o, p] = \sum_{i, k} K[o, i, k] \, x[i, s p + d k - a]`.

    Arguments:
        kernel: ``[out_channels, in_channels / groups, *kernel_sizes]``.
        input_shape: ``(in_channels, *sizes)`` of the image behind the flattened input.
        stride, dilation: one entry for each spatial axis.
        padding: zeros ``(before, after)`` added on each spatial axis.
        groups: number of channel groups that do not see each other.
    """

    kernel: FloatArray
    input_shape: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    groups: int = 1

    def __post_init__(self) -> None:
        axes = self.kernel.ndim - 2
        lengths = {len(self.stride), len(self.dilation), len(self.padding), len(self.input_shape) - 1}
        if lengths != {axes}:
            raise ValueError(f"Convolution: kernel has {axes} spatial axes, the geometry {lengths}.")
        if self.input_shape[0] != self.kernel.shape[1] * self.groups:
            raise ValueError(
                f"Convolution: the input has {self.input_shape[0]} channels, the kernel expects "
                f"{self.kernel.shape[1]} in each of {self.groups} groups."
            )
        if self.kernel.shape[0] % self.groups or min(self.output_shape, default=1) < 1:
            raise ValueError(f"Convolution: impossible output shape {self.output_shape}.")

    @cached_property
    def output_shape(self) -> tuple[int, ...]:
        """``(out_channels, *sizes)`` of the image behind the flattened output."""
        sizes = tuple(
            (n + before + after - d * (k - 1) - 1) // s + 1
            for n, (before, after), d, k, s in zip(
                self.input_shape[1:],
                self.padding,
                self.dilation,
                self.kernel.shape[2:],
                self.stride,
                strict=True,
            )
        )
        return (self.kernel.shape[0], *sizes)

    @property
    def shape(self) -> tuple[int, int]:
        """The sizes ``(out, in)`` of the flattened images."""
        return (prod(self.output_shape), prod(self.input_shape))

    @cached_property
    def _taps(self) -> list[tuple[tuple[int, ...], tuple[slice, ...], tuple[slice, ...]]]:
        """For each kernel position: the output positions it reaches and the input positions it reads."""
        axes = []
        for n, m, s, d, (before, _), k in zip(
            self.input_shape[1:],
            self.output_shape[1:],
            self.stride,
            self.dilation,
            self.padding,
            self.kernel.shape[2:],
            strict=True,
        ):
            taps = []
            for j in range(k):
                offset = d * j - before
                first = max(0, -(offset // s))
                last = min(m - 1, (n - 1 - offset) // s)
                if first <= last:
                    read = slice(s * first + offset, s * last + offset + 1, s)
                    taps.append((j, slice(first, last + 1), read))
            axes.append(taps)
        return [
            (tuple(t[0] for t in tap), tuple(t[1] for t in tap), tuple(t[2] for t in tap))
            for tap in product(*axes)
        ]

    def _grouped(self, channels: int, sizes: tuple[int, ...]) -> tuple[int, ...]:
        return (self.groups, channels // self.groups, *sizes)

    def _kernel_at(self, tap: tuple[int, ...]) -> FloatArray:
        """The channel matrices of one kernel position, ``[groups, out / groups, in / groups]``."""
        kernel = self.kernel.reshape(*self.kernel.shape[:2], -1)
        place = int(np.ravel_multi_index(tap, self.kernel.shape[2:]))
        return kernel[:, :, place].reshape(self.groups, -1, self.kernel.shape[1])

    def apply(self, columns: FloatArray) -> FloatArray:
        """One small matrix product for each kernel position; no unrolled image is built."""
        return self._run(columns, transpose=False)

    def apply_transpose(self, columns: FloatArray) -> FloatArray:
        """The transposed convolution."""
        return self._run(columns, transpose=True)

    def _run(self, columns: FloatArray, *, transpose: bool) -> FloatArray:
        source, target = self.input_shape, self.output_shape
        if transpose:
            source, target = target, source
        batch = columns.shape[1]
        images = columns.reshape(*self._grouped(source[0], source[1:]), batch)
        out = np.zeros((*self._grouped(target[0], target[1:]), batch))
        every = (slice(None), slice(None))
        for tap, written, read in self._taps:
            kernel = self._kernel_at(tap)
            if transpose:
                kernel, written, read = kernel.transpose(0, 2, 1), read, written
            out[(*every, *written)] += _channel_product(kernel, images[(*every, *read)])
        return out.reshape(prod(target), batch)

    def absolute(self) -> Convolution:
        """The convolution with the absolute kernel."""
        return replace(self, kernel=np.abs(self.kernel))

    def to_sparse(self) -> csr_array:
        """The matrix of the convolution: about ``out * kernel size`` entries."""
        out_index = np.arange(self.shape[0]).reshape(
            self._grouped(self.output_shape[0], self.output_shape[1:])
        )
        in_index = np.arange(self.shape[1]).reshape(self._grouped(self.input_shape[0], self.input_shape[1:]))
        rows, cols, values = [], [], []
        for tap, written, read in self._taps:
            kernel = self._kernel_at(tap)
            to = out_index[(slice(None), slice(None), *written)].reshape(*kernel.shape[:2], 1, -1)
            fro = in_index[(slice(None), slice(None), *read)].reshape(self.groups, 1, kernel.shape[2], -1)
            to, fro, weight = np.broadcast_arrays(to, fro, kernel[..., None])
            rows.append(to.ravel())
            cols.append(fro.ravel())
            values.append(weight.ravel())
        if not rows:
            return csr_array(self.shape)
        entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(cols)))
        return csr_array(entries, shape=self.shape)


def _channel_product(kernel: FloatArray, images: FloatArray) -> FloatArray:
    """``[g, o, i]`` times ``[g, i, *sizes, B]``: a product over channels at every position."""
    if kernel.shape[1:] == (1, 1):
        return kernel.reshape(-1, *[1] * (images.ndim - 1)) * images
    flat = kernel @ images.reshape(*images.shape[:2], -1)
    return flat.reshape(*flat.shape[:2], *images.shape[2:])


@dataclass(frozen=True, eq=False)
class Transposed(LinearMap):
    """The transpose of another map: a transposed convolution is ``Transposed(Convolution(...))``."""

    of: LinearMap

    @property
    def shape(self) -> tuple[int, int]:
        """The sizes ``(out, in)``."""
        out, n = self.of.shape
        return (n, out)

    def apply(self, columns: FloatArray) -> FloatArray:
        """The inner map's ``apply_transpose``."""
        return self.of.apply_transpose(columns)

    def apply_transpose(self, columns: FloatArray) -> FloatArray:
        """The inner map's ``apply``."""
        return self.of.apply(columns)

    def absolute(self) -> Transposed:
        """The transpose of the absolute map."""
        return Transposed(self.of.absolute())

    def to_sparse(self) -> csr_array:
        """The transposed matrix."""
        return csr_array(self.of.to_sparse().T)


@dataclass(frozen=True, eq=False)
class Composition(LinearMap):
    """``outer`` after ``inner``, kept as two factors where their product would be larger."""

    outer: LinearMap
    inner: LinearMap

    def __post_init__(self) -> None:
        if self.outer.shape[1] != self.inner.shape[0]:
            raise ValueError(f"Composition: {self.outer.shape} does not fit behind {self.inner.shape}.")

    @property
    def shape(self) -> tuple[int, int]:
        """The sizes ``(out, in)``."""
        return (self.outer.shape[0], self.inner.shape[1])

    def apply(self, columns: FloatArray) -> FloatArray:
        """``outer(inner(columns))``."""
        return self.outer.apply(self.inner.apply(columns))

    def apply_transpose(self, columns: FloatArray) -> FloatArray:
        """``inner^T(outer^T(columns))``."""
        return self.inner.apply_transpose(self.outer.apply_transpose(columns))

    def absolute(self) -> Composition:
        """The composition of the absolute maps, which bounds the absolute product."""
        return Composition(self.outer.absolute(), self.inner.absolute())

    def to_sparse(self) -> csr_array:
        """The product of the two matrices."""
        return csr_array(self.outer.to_sparse() @ self.inner.to_sparse())

"""Convolutions as linear maps that are never unrolled: one small matrix product for each kernel position."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from math import prod
from typing import Any

import numpy as np
from scipy.sparse import csc_array, csr_array

from polytope.ir.looking import look
from polytope.ir.maps import (
    Entrywise,
    FloatArray,
    IntArray,
    LinearMap,
    exponents,
    times_power,
)
from polytope.ir.oneline import one_line


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

    __repr__ = one_line

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
            look()
            kernel = self._kernel_at(tap)
            if transpose:
                kernel, written, read = kernel.transpose(0, 2, 1), read, written
            out[(*every, *written)] += _channel_product(kernel, images[(*every, *read)])
        return out.reshape(prod(target), batch)

    def entrywise(self, change: Entrywise) -> Convolution:
        """The convolution with the changed kernel."""
        return replace(self, kernel=change(self.kernel))

    @cached_property
    def longest_row(self) -> int:
        """The most entries in a row of the matrix: those of an output position that most taps reach."""
        reached = np.zeros(self.output_shape[1:], dtype=np.int64)
        for _, written, _ in self._taps:
            reached[written] += 1
        return int(reached.max(initial=0) * self.kernel.shape[1])

    @cached_property
    def longest_column(self) -> int:
        """The most entries in a column: those of an input position that most taps read."""
        used = np.zeros(self.input_shape[1:], dtype=np.int64)
        for _, _, read in self._taps:
            used[read] += 1
        return int(used.max(initial=0) * (self.kernel.shape[0] // self.groups))

    def to_sparse(self) -> csr_array:
        """The matrix of the convolution: about ``out * kernel size`` entries."""
        return csr_array(self._compressed(by_rows=True), shape=self.shape)

    def to_columns(self) -> csc_array:
        """The same by columns, channel by channel."""
        return csc_array(self._compressed(by_rows=False), shape=self.shape)

    def _compressed(self, *, by_rows: bool) -> tuple[FloatArray, Any, Any]:
        """Entries, their columns (rows), and where each row (column) starts: one channel like the other."""
        sizes, others = self._sizes(self.output_shape), self._sizes(self.input_shape)
        if not by_rows:
            sizes, others = others, sizes
        channels, places, weights, starts = self._one_channel(by_rows, sizes, others)
        n = len(places)
        total = self.groups * channels * n
        kind = np.int32 if max(total, *self.shape) < 2**31 else np.int64
        look(total * (8 + np.dtype(kind).itemsize))
        data, indices = np.empty(total), np.empty(total, dtype=kind)
        flat, kernel_size = self.kernel.ravel(), prod(self.kernel.shape[1:])
        step = kernel_size if by_rows else prod(self.kernel.shape[2:])
        for g in range(self.groups):
            first = g * (self.kernel.shape[0] // self.groups) * kernel_size
            for c in range(channels):
                look()
                here = slice((g * channels + c) * n, (g * channels + c + 1) * n)
                data[here] = flat[weights + (first + c * step)]
                indices[here] = places + g * others[0] * others[1]
        begin = (np.arange(self.groups * channels)[:, None] * n + starts[:-1]).ravel()
        return data, indices, np.append(begin, total).astype(kind)

    def _sizes(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Channels of a group, and positions."""
        return shape[0] // self.groups, prod(shape[1:])

    def _one_channel(
        self, by_rows: bool, sizes: tuple[int, int], others: tuple[int, int]
    ) -> tuple[int, IntArray, IntArray, IntArray]:
        """The first rows (columns), those of one channel: where their entries are, in matrix and kernel."""
        tap, mine, theirs = self._connections(by_rows)
        counts = np.bincount(mine, minlength=sizes[1])
        ends = np.concatenate([[0], np.cumsum(counts)])
        step = prod(self.kernel.shape[2:]) if by_rows else prod(self.kernel.shape[1:])
        channel = np.arange(others[0])[:, None]
        to = others[0] * ends[mine] + channel * counts[mine] + (np.arange(len(mine)) - ends[mine])
        places, weights = np.empty(to.size, dtype=np.int64), np.empty(to.size, dtype=np.int64)
        places[to], weights[to] = channel * others[1] + theirs, channel * step + tap
        return sizes[0], places, weights, others[0] * ends

    def _connections(self, by_rows: bool) -> tuple[IntArray, IntArray, IntArray]:
        """Which kernel position joins which positions of the two images, in the order of one of them."""
        none = np.zeros(0, dtype=np.int64)
        out, into = (np.arange(prod(s[1:])).reshape(s[1:]) for s in (self.output_shape, self.input_shape))
        taps, to, fro = [none], [none], [none]
        for tap, written, read in self._taps:
            to.append(out[written].ravel())
            fro.append(into[read].ravel())
            place = int(np.ravel_multi_index(tap, self.kernel.shape[2:]))
            taps.append(np.full(len(to[-1]), place, dtype=np.int64))
        mine, theirs = (np.concatenate(parts) for parts in ((to, fro) if by_rows else (fro, to)))
        order = np.lexsort((theirs, mine))
        return np.concatenate(taps)[order], mine[order], theirs[order]

    def row_exponents(self, columns: IntArray) -> IntArray:
        """One for each channel, of its largest entry and its largest column: so they can be scaled as one."""
        wide = columns.reshape(self.groups, -1).max(axis=1)
        kernel = exponents(np.abs(self.kernel).reshape(self.kernel.shape[0], -1).max(axis=1, initial=0.0))
        channel = kernel + np.repeat(wide, self.kernel.shape[0] // self.groups)
        return np.repeat(channel, prod(self.output_shape[1:]))

    def scaled(self, rows: IntArray, columns: IntArray) -> LinearMap:
        """A scaled kernel, where factors are the same all over each channel."""
        of_row = rows.reshape(self.kernel.shape[0], -1)
        of_column = columns.reshape(self.input_shape[0], -1)
        if np.ptp(of_row, axis=1).any() or np.ptp(of_column, axis=1).any():
            return super().scaled(rows, columns)
        if not (rows.any() or columns.any()):
            return self
        read = np.repeat(of_column[:, 0].reshape(self.groups, -1), len(of_row) // self.groups, axis=0)
        power = (of_row[:, :1] + read).reshape(*self.kernel.shape[:2], *[1] * (self.kernel.ndim - 2))
        return replace(self, kernel=times_power(self.kernel, power))


def _channel_product(kernel: FloatArray, images: FloatArray) -> FloatArray:
    """``[g, o, i]`` times ``[g, i, *sizes, B]``: a product over channels at every position."""
    if kernel.shape[1:] == (1, 1):
        return kernel.reshape(-1, *[1] * (images.ndim - 1)) * images
    flat = kernel @ images.reshape(*images.shape[:2], -1)
    return flat.reshape(*flat.shape[:2], *images.shape[2:])

"""Sums and means along axes, average pooling."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from scipy.sparse import csr_array

from adapters.lowering.fitting import axis_places, of_rank
from adapters.lowering.layers import Lowering, Tensor, Value
from adapters.lowering.registry import Node, aten_op, onnx_op
from adapters.ops.windows import Geometry, adaptive_windows, aten_geometry, members, onnx_geometry
from polytope.errors import CorruptFileError
from polytope.ir import Convolution, Diagonal, Sparse
from polytope.ir.maps import FloatArray, IntArray

_LARGEST_KERNEL = 128


def axes_of(node: Node, rank: int, *, since: int) -> tuple[int, ...] | None:
    """The axes of a reduction (an attribute before an opset, an input from it on); ``None``: do nothing."""
    axes = node.get("axes")
    if node.opset >= since and node.constant_or_none(1) is not None:
        axes = np.ravel(node.constant(1)).tolist()
    if axes is None or len(axes) == 0:
        return None if node.get("noop_with_empty_axes", 0) else tuple(range(rank))
    return tuple(axis_places(axes, rank))


def kept_shape(shape: Sequence[int], axes: Sequence[int], *, keep: bool) -> tuple[int, ...]:
    """The shape after a reduction."""
    return tuple(1 if a in axes else n for a, n in enumerate(shape) if keep or a not in axes)


def summed(t: Lowering, x: Value, axes: Sequence[int], *, keep: bool, mean: bool) -> Value:
    """Sum or mean along axes."""
    shape = kept_shape(x.shape, axes, keep=keep)
    if not isinstance(x, Tensor):
        return np.asarray((np.mean if mean else np.sum)(np.asarray(x), axis=tuple(axes))).reshape(shape)
    rest = [a for a in range(len(x.shape)) if a not in axes]
    places = np.arange(x.size).reshape(x.shape).transpose([*rest, *axes]).reshape(prod(shape), -1)
    weight = 1.0 / places.shape[1] if mean else 1.0
    return weighted(t, x, places, np.full(len(places), weight), shape)


def weighted(t: Lowering, x: Value, places: IntArray, weights: FloatArray, shape: Sequence[int]) -> Value:
    """Row r of the result is ``weights[r]`` times the sum of the elements ``places[r]`` (-1: none)."""
    kept = places >= 0
    starts = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
    values = np.repeat(weights, kept.sum(axis=1))
    matrix = csr_array((values, places[kept], starts), shape=(len(places), prod(x.shape)))
    return t.linear(x, Sparse(matrix), shape)


@onnx_op("ReduceMean", "ReduceSum", note="axes constant")
def reduce_sum(t: Lowering, node: Node) -> Value:
    """Mean or sum along axes; axes as attribute or input by opset."""
    mean = node.op == "ReduceMean"
    axes = axes_of(node, len(node[0].shape), since=18 if mean else 13)
    return (
        node[0] if axes is None else summed(t, node[0], axes, keep=bool(node.get("keepdims", 1)), mean=mean)
    )


@onnx_op("GlobalAveragePool")
def global_average_pool(t: Lowering, node: Node) -> Value:
    """Mean of each channel."""
    return summed(t, node[0], range(2, len(node[0].shape)), keep=True, mean=True)


@aten_op("mean", "sum")
def aten_sum(t: Lowering, node: Node) -> Value:
    """Mean or sum along axes."""
    x, dim = node.get("self"), node.get("dim")
    return summed(
        t, x, axis_places(dim, len(x.shape)), keep=bool(node.get("keepdim", False)), mean=node.op == "mean"
    )


@onnx_op("AveragePool")
def average_pool(t: Lowering, node: Node) -> Value:
    """Mean of each window."""
    g = onnx_geometry(node, tuple(node.get("kernel_shape", ())), node[0].shape[2:])
    ceil_mode, padded = bool(node.get("ceil_mode", 0)), bool(node.get("count_include_pad", 0))
    return averaged(t, node[0], g, ceil_mode=ceil_mode, count_padding=padded)


def averaged(
    t: Lowering, x: Value, g: Geometry, *, ceil_mode: bool, count_padding: bool, divisor: int | None = None
) -> Value:
    """Average pooling of the last axes."""
    axes = len(g.kernel)
    of_rank(x.shape, axes)
    lead, sizes = x.shape[:-axes], x.shape[-axes:]
    out = g.output_sizes(sizes, ceil_mode=ceil_mode)
    t.spend(max((m * k for m, k in zip(out, g.kernel, strict=True)), default=1))
    counts = (
        _counts(sizes, out, g, count_padding=count_padding)
        if divisor is None
        else np.full(out, float(divisor))
    )
    weights = np.broadcast_to(1.0 / counts, (*lead, *out)).ravel()
    if prod(g.kernel) > _LARGEST_KERNEL:
        places = members(t, prod(lead), sizes, g, out)
        return weighted(t, x, places, weights, (*lead, *out))
    ends = zip(sizes, out, g.reach, g.stride, g.padding, strict=True)
    padding = tuple((before, s * (m - 1) + r - n - before) for n, m, r, s, (before, _) in ends)
    kernel = np.ones((prod(lead), 1, *g.kernel))
    window = Convolution(kernel, (prod(lead), *sizes), g.stride, g.dilation, padding, prod(lead))
    sums = t.linear(x, window, (*lead, *out))
    return t.linear(sums, Diagonal(weights), (*lead, *out))


def _counts(sizes: Sequence[int], out: Sequence[int], g: Geometry, *, count_padding: bool) -> FloatArray:
    """How many places each window counts: those inside, or also those on the declared padding."""
    total = np.ones(())
    axes = zip(sizes, out, g.kernel, g.stride, g.dilation, g.padding, strict=True)
    for n, m, k, s, d, (before, after) in axes:
        places = s * np.arange(m)[:, None] + d * np.arange(k)[None, :] - before
        low, high = (-before, n + after) if count_padding else (0, n)
        total = total[..., None] * ((places >= low) & (places < high)).sum(axis=1)
    if not (total > 0).all():
        raise CorruptFileError("One of its windows holds nothing but padding.")
    return np.asarray(total, dtype=float)


@aten_op("avg_pool1d", "avg_pool2d", "avg_pool3d")
def aten_average_pool(t: Lowering, node: Node) -> Value:
    """Mean of each window."""
    g = aten_geometry(node, int(node.op[8]))
    return averaged(
        t,
        node.get("self"),
        g,
        ceil_mode=bool(node.get("ceil_mode", False)),
        count_padding=bool(node.get("count_include_pad", True)),
        divisor=node.get("divisor_override"),
    )


@aten_op("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "_adaptive_avg_pool2d")
def aten_adaptive_average_pool(t: Lowering, node: Node) -> Value:
    """Mean of each of a given number of windows."""
    x, axes = node.get("self"), int(node.op.strip("_")[17])
    places, out = adaptive_windows(t, x.shape, node.get("output_size"), axes)
    return weighted(t, x, places, 1.0 / (places >= 0).sum(axis=1), (*x.shape[:-axes], *out))

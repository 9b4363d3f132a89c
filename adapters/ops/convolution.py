"""Convolutions and transposed convolutions with constant kernels."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from adapters.lowering.fitting import of_length, of_rank
from adapters.lowering.layers import Array, Lowering, Tensor, Value
from adapters.lowering.registry import Node, aten_op, fixed, onnx_op
from adapters.ops.arithmetic import total
from adapters.ops.windows import Geometry, onnx_geometry, pairs
from polytope.errors import CorruptFileError, UnsupportedOpError
from polytope.ir import Convolution, LinearMap, Transposed


@onnx_op("Conv", note="kernel constant; groups, dilations, strides, auto_pad; any number of axes")
def conv(t: Lowering, node: Node) -> Value:
    """Convolution."""
    x, kernel = node[0], node.constant(1)
    g = onnx_geometry(node, kernel.shape[2:], x.shape[2:])
    return convolved(t, x, kernel, node.constant_or_none(2), g, int(node.get("group", 1)))


def convolved(t: Lowering, x: Value, kernel: Array, bias: Array | None, g: Geometry, groups: int) -> Value:
    """A convolution of ``[batch, channels, *sizes]``."""
    _check(x, kernel, groups, kernel.shape[1] * groups if kernel.ndim > 1 else -1)
    out = (kernel.shape[0], *g.output_sizes(x.shape[2:]))
    t.spend(prod(out) * x.shape[0])

    def build(batch: tuple[int, ...]) -> LinearMap:
        ones, none = (1,) * len(batch), ((0, 0),) * len(batch)
        weights = np.asarray(kernel, dtype=float).reshape(*kernel.shape[:2], *ones, *kernel.shape[2:])
        shape = (x.shape[1], *batch, *x.shape[2:])
        return Convolution(weights, shape, ones + g.stride, ones + g.dilation, none + g.padding, groups)

    return _over_batch(t, x, build, out, bias)


def _over_batch(t: Lowering, x: Value, build: object, out: tuple[int, ...], bias: Array | None) -> Value:
    """Apply a map of images to each of a batch: a further axis of the image, behind the channels."""
    assert callable(build), "a function of the batch axes"
    n = x.shape[0]
    if n == 1:
        y = t.linear(x, build(()), (1, *out))
    else:
        turned = t.rearrange(x, lambda a: np.swapaxes(a, 0, 1))
        y = t.linear(turned, build((n,)), (out[0], n, *out[1:]))
        y = t.rearrange(y, lambda a: np.swapaxes(a, 0, 1))
    return y if bias is None else total(t, y, np.asarray(bias).reshape(-1, *[1] * (len(out) - 1)))


def _check(x: Value, kernel: Array, groups: int, channels: int) -> None:
    if kernel.ndim < 3 or len(x.shape) != kernel.ndim or groups < 1 or x.shape[1] != channels:
        raise CorruptFileError(
            f"Its input of shape {list(x.shape)} does not fit its kernel of shape {list(kernel.shape)} "
            f"in {groups} groups."
        )


@onnx_op(
    "ConvTranspose",
    note="kernel constant; groups, dilations, strides, output_padding, output_shape, auto_pad",
)
def conv_transpose(t: Lowering, node: Node) -> Value:
    """Transposed convolution."""
    x, kernel = node[0], node.constant(1)
    axes = len(x.shape) - 2
    of_rank(kernel.shape, len(x.shape), len(x.shape))
    of_rank(x.shape, 3)
    stride = tuple(node.get("strides", [1] * axes))
    dilation = tuple(node.get("dilations", [1] * axes))
    extra = tuple(node.get("output_padding", [0] * axes))
    g = Geometry(kernel.shape[2:], stride, dilation, ((0, 0),) * axes)
    padding, extra = _transposed_padding(node, g, x.shape[2:], extra)
    g = Geometry(g.kernel, stride, dilation, padding)
    return deconvolved(t, x, kernel, node.constant_or_none(2), g, extra, int(node.get("group", 1)))


def _transposed_padding(
    node: Node, g: Geometry, sizes: Sequence[int], extra: tuple[int, ...]
) -> tuple[tuple[tuple[int, int], ...], tuple[int, ...]]:
    """Explicit pads, or those that give the output size asked for; and what is missing to it at the end."""
    auto = node.get("auto_pad", b"NOTSET").decode()
    asked = node.get("output_shape")
    of_length(extra, len(sizes), "output_padding")
    if any(e >= max(s, d) for e, s, d in zip(extra, g.stride, g.dilation, strict=True)):
        raise UnsupportedOpError("its output_padding must be smaller than its stride.")
    if asked is None and auto in ("NOTSET", "", "VALID"):
        none = [0] * 2 * len(sizes)
        return pairs(node.get("pads", none) if auto != "VALID" else none, len(sizes)), extra
    target = (
        [n * s for n, s in zip(sizes, g.stride, strict=True)] if asked is None else list(asked)[-len(sizes) :]
    )
    of_length(target, len(sizes), "output_shape")
    padding, missing = [], []
    for n, s, r, e, size in zip(sizes, g.stride, g.reach, extra, target, strict=True):
        both = max(s * (n - 1) + e + r - size, 0)
        missing.append(max(size - s * (n - 1) - r, e))
        padding.append(
            (both // 2, both - both // 2) if auto == "SAME_UPPER" else (both - both // 2, both // 2)
        )
    return tuple(padding), tuple(missing)


def deconvolved(
    t: Lowering, x: Value, kernel: Array, bias: Array | None, g: Geometry, extra: Sequence[int], groups: int
) -> Value:
    """The transpose of a convolution whose output has the shape of x, with ``extra`` zeros behind it."""
    _check(x, kernel, groups, kernel.shape[0])
    axes = zip(x.shape[2:], g.stride, g.reach, g.padding, extra, strict=True)
    sizes = tuple(s * (n - 1) + r - before - after + e for n, s, r, (before, after), e in axes)
    if min(sizes) < 1:
        raise CorruptFileError(f"Its output would have the sizes {sizes}.")
    ends = zip(g.padding, x.shape[2:], g.stride, g.reach, sizes, strict=True)
    padding = tuple((before, s * (n - 1) + r - size - before) for (before, _), n, s, r, size in ends)
    channels = kernel.shape[1] * groups
    t.spend(prod(sizes) * channels * x.shape[0])

    def build(batch: tuple[int, ...]) -> LinearMap:
        ones, none = (1,) * len(batch), ((0, 0),) * len(batch)
        weights = np.asarray(kernel, dtype=float).reshape(*kernel.shape[:2], *ones, *kernel.shape[2:])
        shape = (channels, *batch, *sizes)
        return Transposed(
            Convolution(weights, shape, ones + g.stride, ones + g.dilation, none + padding, groups)
        )

    return _over_batch(t, x, build, (channels, *sizes), bias)


@aten_op("conv1d", "conv2d", "conv3d", "convolution", "_convolution", note="kernel constant")
def aten_convolution(t: Lowering, node: Node) -> Value:
    """Convolution, transposed or not."""
    kernel = fixed(node.get("weight"), "kernel")
    axes = kernel.ndim - 2
    stride, dilation = (_each(node.get(name, 1), axes) for name in ("stride", "dilation"))
    return _unbatched(t, node, kernel, stride, dilation, transposed=bool(node.get("transposed", False)))


@aten_op("conv_transpose1d", "conv_transpose2d", "conv_transpose3d", note="kernel constant")
def aten_conv_transpose(t: Lowering, node: Node) -> Value:
    """Transposed convolution."""
    kernel = fixed(node.get("weight"), "kernel")
    axes = kernel.ndim - 2
    stride, dilation = (_each(node.get(name, 1), axes) for name in ("stride", "dilation"))
    return _unbatched(t, node, kernel, stride, dilation, transposed=True)


def _each(value: int | Sequence[int], axes: int) -> tuple[int, ...]:
    """One entry for each axis."""
    entries = [value] if isinstance(value, int) else list(value)
    return tuple(entries * axes if len(entries) == 1 else entries)


def _aten_padding(node: Node, kernel: Array, dilation: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Numbers, or the words "same" and "valid"."""
    padding, axes = node.get("padding", 0), kernel.ndim - 2
    if padding == "same":
        of_length(dilation, axes, "dilation")
        totals = [d * (k - 1) for k, d in zip(kernel.shape[2:], dilation, strict=True)]
        return tuple((p // 2, p - p // 2) for p in totals)
    return tuple((p, p) for p in _each(0 if padding == "valid" else padding, axes))


def _unbatched(
    t: Lowering,
    node: Node,
    kernel: Array,
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    *,
    transposed: bool,
) -> Value:
    """A convolution in ATen's words; an input without a batch axis gets one for the time being."""
    x, axes = node.get("input"), kernel.ndim - 2
    bias = None if node.get("bias") is None else fixed(node.get("bias"), "bias")
    g = Geometry(kernel.shape[2:], stride, dilation, _aten_padding(node, kernel, dilation))
    groups, bare = int(node.get("groups", 1)), len(x.shape) == axes + 1
    x = t.rearrange(x, lambda a: a[None]) if bare else x
    if transposed:
        y = deconvolved(t, x, kernel, bias, g, _each(node.get("output_padding", 0), axes), groups)
    else:
        y = convolved(t, x, kernel, bias, g, groups)
    return t.rearrange(y, lambda a: a[0]) if bare and isinstance(y, Tensor) else y

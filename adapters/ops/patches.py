"""Convolutions as sums over gathered patches: the form in which networks are written in double precision.

onnxruntime has no convolution in double precision, so ``to_onnx`` writes each as a call of one ONNX
function made of Gather and MatMul. Its node keeps the geometry, and here it becomes a convolution again.
"""

from __future__ import annotations

from math import prod

import numpy as np

from adapters.lowering.layers import Lowering, Value
from adapters.lowering.registry import Node, onnx_op
from polytope.errors import CorruptFileError
from polytope.ir import Convolution, Transposed
from polytope.ir.maps import FloatArray, IntArray


def patches(c: Convolution, *, transposed: bool) -> IntArray:
    """``int[positions, channels of a group * kernel]``: the entries of a group that each output sums.

    The entry behind the last one stands for zero.
    """
    index, inside = np.zeros((1, 1), dtype=np.int64), np.ones((1, 1), dtype=bool)
    axes = zip(
        c.input_shape[1:],
        c.output_shape[1:],
        c.kernel.shape[2:],
        c.stride,
        c.dilation,
        c.padding,
        strict=True,
    )
    for n, m, k, s, d, (before, _) in axes:
        if transposed:
            reach = np.arange(n)[:, None] + before - d * np.arange(k)
            places, ok, size = reach // s, (reach % s == 0) & (reach >= 0) & (reach // s < m), m
        else:
            places, size = s * np.arange(m)[:, None] + d * np.arange(k) - before, n
            ok = (places >= 0) & (places < n)
        rows = len(index) * len(places)
        index = (index[:, None, :, None] * size + places[None, :, None, :]).reshape(rows, -1)
        inside = (inside[:, None, :, None] & ok[None, :, None, :]).reshape(rows, -1)
    source = c.output_shape if transposed else c.input_shape
    channels, pixels = source[0] // c.groups, prod(source[1:])
    spread = index[:, None, :] + pixels * np.arange(channels)[:, None]
    return np.where(inside[:, None, :], spread, channels * pixels).reshape(len(index), -1)


def patch_weights(c: Convolution, *, transposed: bool) -> FloatArray:
    """``[groups, channels of a group * kernel, outputs of a group]``."""
    kernel = c.kernel.reshape(c.groups, c.kernel.shape[0] // c.groups, c.kernel.shape[1], -1)
    order = (0, 1, 3, 2) if transposed else (0, 2, 3, 1)
    turned = kernel.transpose(order)
    return np.ascontiguousarray(turned).reshape(c.groups, -1, turned.shape[-1])


def _kernel(weights: FloatArray, sizes: tuple[int, ...], *, transposed: bool) -> FloatArray:
    """The kernel that :func:`patch_weights` was made of."""
    groups, _, last = weights.shape
    split = weights.reshape(groups, -1, prod(sizes), last)
    kernel = split.transpose((0, 1, 3, 2) if transposed else (0, 3, 1, 2))
    return np.ascontiguousarray(kernel).reshape(-1, kernel.shape[2], *sizes)


@onnx_op("polytope.Convolution", note="as written by to_onnx")
def patch_convolution(t: Lowering, node: Node) -> Value:
    """Convolution in double precision, transposed or not."""
    x, weights = node[0], np.asarray(node.constant(3), dtype=float)
    transposed, sizes = bool(node.get("transposed")), tuple(node.get("kernel_sizes"))
    pads = list(node.get("padding"))
    t.spend(node.constant(2).size)
    c = Convolution(
        kernel=_kernel(weights, sizes, transposed=transposed),
        input_shape=tuple(node.get("input_shape")),
        stride=tuple(node.get("stride")),
        dilation=tuple(node.get("dilation")),
        padding=tuple(zip(pads[::2], pads[1::2], strict=True)),
        groups=int(node.get("groups")),
    )
    t.spend(max(c.shape))
    source = c.output_shape if transposed else c.input_shape
    layout = [-1, c.groups, prod(source) // c.groups]
    same = np.array_equal(node.constant(2), patches(c, transposed=transposed))
    if not same or node.constant(1).tolist() != layout:
        raise CorruptFileError("its index does not belong to its geometry.")
    linear = Transposed(c) if transposed else c
    return t.linear(x, linear, (1, linear.shape[0]))

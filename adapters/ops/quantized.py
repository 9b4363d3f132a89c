"""Whole numbers of a file as the numbers that they stand for."""

from __future__ import annotations

from math import prod

import numpy as np

from adapters.lowering.fitting import common_shape, of_rank
from adapters.lowering.layers import Array, Lowering, Tensor, Value
from adapters.lowering.registry import Node, onnx_op
from adapters.ops.arithmetic import product
from polytope.errors import NotPiecewiseLinearError, UnsupportedOpError


@onnx_op("DequantizeLinear", note="whole numbers constant; no blocks")
def dequantize(t: Lowering, node: Node) -> Value:
    """(x - zero point) times scale, along an axis."""
    if isinstance(node[0], Tensor):
        raise NotPiecewiseLinearError("its whole numbers depend on the input: they jump.")
    if node.get("block_size"):
        raise UnsupportedOpError("its blocks are not supported.")
    x, scale, zero = node.constant(0).astype(float), node[1], node.constant_or_none(2)
    axis = int(node.get("axis", 1)) % max(x.ndim, 1)
    shape = (-1, *[1] * (x.ndim - axis - 1)) if len(scale.shape) == 1 and x.ndim else scale.shape
    of_rank(scale.shape, 0, max(x.ndim, 1))
    shifted = x if zero is None else _shifted(x, zero.astype(float), shape)
    common_shape(x.shape, _full(shape, scale))
    column = scale.reshaped(_full(shape, scale)) if isinstance(scale, Tensor) else scale.reshape(shape)
    return product(t, shifted, column)


def _shifted(x: Array, zero: Array, shape: tuple[int, ...]) -> Array:
    """Constants minus their zero points, along the axis of the scale."""
    column = zero.reshape(shape if zero.ndim == 1 and -1 in shape else zero.shape)
    common_shape(x.shape, column.shape)
    return np.asarray(x - column)


def _full(shape: tuple[int, ...], scale: Value) -> tuple[int, ...]:
    """A shape with its -1 spelt out."""
    return tuple(prod(scale.shape) if n == -1 else n for n in shape)

"""Norms that are piecewise linear: sums and maxima of absolute values."""

from __future__ import annotations

from math import prod

import numpy as np

from adapters.lowering.fitting import axis_places
from adapters.lowering.layers import Lowering, Tensor, Value
from adapters.lowering.reasons import refusal
from adapters.lowering.registry import Node, aten_op, onnx_op
from adapters.ops.averages import averaged, axes_of, summed
from adapters.ops.maximum import greatest
from adapters.ops.pointwise import activated
from adapters.ops.windows import onnx_geometry
from polytope.errors import NotPiecewiseLinearError
from polytope.ir import absolute


@onnx_op("ReduceL1", note="axes constant")
def reduce_l1(t: Lowering, node: Node) -> Value:
    """Sum of absolute values along axes; axes as attribute or (opset 18) input."""
    axes = axes_of(node, len(node[0].shape), since=18)
    sizes = activated(t, node[0], absolute())
    return sizes if axes is None else summed(t, sizes, axes, keep=bool(node.get("keepdims", 1)), mean=False)


@onnx_op("LpPool", note="p = 1")
def lp_pool(t: Lowering, node: Node) -> Value:
    """Sum of absolute values of each window."""
    if int(node.get("p", 2)) != 1:
        raise NotPiecewiseLinearError(f"with p = {node.get('p', 2)} it is not piecewise linear; p = 1 is.")
    g = onnx_geometry(node, tuple(node.get("kernel_shape", ())), node[0].shape[2:])
    sizes, ceil_mode = activated(t, node[0], absolute()), bool(node.get("ceil_mode", 0))
    return averaged(t, sizes, g, ceil_mode=ceil_mode, count_padding=False, divisor=1)


@aten_op("norm", "linalg_vector_norm", note="of the input: order 1 or infinity")
def aten_norm(t: Lowering, node: Node) -> Value:
    """Sum or maximum of absolute values along axes."""
    x, order, dim = node.get("self"), node.get("ord", node.get("p")), node.get("dim")
    order = 2.0 if order is None else float(order)
    axes = axis_places(dim, len(x.shape))
    keep = bool(node.get("keepdim", False))
    if not isinstance(x, Tensor):
        rows = np.moveaxis(np.asarray(x), axes, range(-len(axes), 0))
        flat = rows.reshape(*rows.shape[: -len(axes)], prod(rows.shape[-len(axes) :]))
        found = np.linalg.norm(flat, order, axis=-1)
        return np.expand_dims(found, axes) if keep else np.asarray(found)
    if order not in (1.0, np.inf):
        raise refusal("ATen", node.op)
    sizes = activated(t, x, absolute())
    if order == 1.0:
        return summed(t, sizes, axes, keep=keep, mean=False)
    return greatest(t, sizes, axes, keep=keep)

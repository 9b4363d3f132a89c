"""Largest and smallest of several numbers: Max, Min, max pooling, ReduceMax."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from math import prod
from typing import Any

import numpy as np

from adapters.lowering.conditions import Places
from adapters.lowering.fitting import axis_places, common_shape
from adapters.lowering.layers import Lowering, Tensor, Value
from adapters.lowering.registry import Node, aten_op, onnx_op
from adapters.ops.arithmetic import negative
from adapters.ops.averages import axes_of, kept_shape
from adapters.ops.pointwise import clipped, floored
from adapters.ops.windows import Geometry, adaptive_windows, aten_geometry, members, onnx_geometry
from polytope.errors import UnsupportedOpError

PLACES: Any = Places()
"""The second output of a maximum: where it lies."""


def largest_of(t: Lowering, values: Sequence[Value]) -> Value:
    """Elementwise maximum, broadcast; constants become a floor."""
    constants = [np.asarray(v) for v in values if not isinstance(v, Tensor)]
    tensors = [v for v in values if isinstance(v, Tensor)]
    t.spend(prod(common_shape(*(v.shape for v in values))))
    floor = reduce(np.maximum, constants) if constants else None
    if not tensors:
        assert floor is not None, "a maximum of something"
        return np.asarray(floor)
    result: Value = tensors[0] if len(tensors) == 1 else _largest_tensor(t, tensors)
    assert isinstance(result, Tensor), "one operand at least is a tensor"
    return result if floor is None else floored(t, result, floor)


def _largest_tensor(t: Lowering, tensors: Sequence[Tensor]) -> Tensor:
    shape = common_shape(*(v.shape for v in tensors))
    flat = [t.expand(v, shape).reshaped((prod(shape),)) for v in tensors]
    joined = t.concat(flat, 0)
    assert isinstance(joined, Tensor), "joined tensors are a tensor"
    n = prod(shape)
    return t.largest(joined, np.arange(n)[:, None] + n * np.arange(len(flat)), shape)


def smallest_of(t: Lowering, values: Sequence[Value]) -> Value:
    """Elementwise minimum: minus the maximum of the negatives."""
    if not any(isinstance(v, Tensor) for v in values):
        return np.asarray(reduce(np.minimum, [np.asarray(v) for v in values]))
    return negative(t, largest_of(t, [negative(t, v) for v in values]))


@onnx_op("Max")
def maximum(t: Lowering, node: Node) -> Value:
    """Elementwise maximum of the operands, broadcast."""
    return largest_of(t, [node[i] for i in range(len(node.inputs))])


@onnx_op("Min")
def minimum(t: Lowering, node: Node) -> Value:
    """Elementwise minimum of the operands, broadcast."""
    return smallest_of(t, [node[i] for i in range(len(node.inputs))])


def between(t: Lowering, x: Value, low: Value | None, high: Value | None) -> Value:
    """min(max(x, low), high) with bounds that may be missing, or depend on the input."""
    if any(isinstance(b, Tensor) or (b is not None and b.size > 1) for b in (low, high)):
        above = x if low is None else largest_of(t, [x, low])
        return above if high is None else smallest_of(t, [above, high])
    a, b = (
        d if v is None or not v.size else float(np.ravel(np.asarray(v))[0])
        for v, d in ((low, -np.inf), (high, np.inf))
    )
    return clipped(t, x, a, b)


@onnx_op("Clip")
def clip(t: Lowering, node: Node) -> Value:
    """min(max(x, min), max); bounds as attributes (before opset 11) or inputs."""
    if node.opset < 11:
        return clipped(t, node[0], float(node.get("min", -np.inf)), float(node.get("max", np.inf)))
    return between(t, node[0], node.input(1), node.input(2))


@aten_op("clamp", "clip", "clamp_min", "clamp_max")
def aten_clamp(t: Lowering, node: Node) -> Value:
    """min(max(x, min), max)."""
    x, low, high = (node.get(name) for name in ("self", "min", "max"))
    low, high = (v if v is None or isinstance(v, Tensor) else np.asarray(v) for v in (low, high))
    return between(t, x if isinstance(x, Tensor) else np.asarray(x), low, high)


@aten_op("maximum", "minimum")
def aten_maximum(t: Lowering, node: Node) -> Value:
    """Elementwise maximum or minimum, broadcast."""
    return (largest_of if node.op == "maximum" else smallest_of)(t, [node.get("self"), node.get("other")])


@onnx_op("MaxPool", note="the places of the maxima may not be read; ceil_mode, dilations, auto_pad")
def max_pool(t: Lowering, node: Node) -> tuple[Value, ...]:
    """Largest of each window; padding never wins."""
    kernel = tuple(node.get("kernel_shape", ()))
    g = onnx_geometry(node, kernel, node[0].shape[2:])
    return pooled(t, node[0], g, ceil_mode=bool(node.get("ceil_mode", 0))), PLACES


def pooled(t: Lowering, x: Value, g: Geometry, *, ceil_mode: bool) -> Value:
    """Max pooling of the last axes."""
    axes = len(g.kernel)
    lead, sizes = x.shape[:-axes], x.shape[-axes:]
    out = g.output_sizes(sizes, ceil_mode=ceil_mode)
    groups = members(t, prod(lead), sizes, g, out)
    if isinstance(x, Tensor):
        return t.largest(x, groups, (*lead, *out))
    padded = np.append(np.ravel(x).astype(float), -np.inf)
    return np.asarray(padded[groups].max(axis=1)).reshape(*lead, *out)


@onnx_op("GlobalMaxPool")
def global_max_pool(t: Lowering, node: Node) -> Value:
    """Largest of each channel."""
    return greatest(t, node[0], tuple(range(2, len(node[0].shape))), keep=True)


def greatest(t: Lowering, x: Value, axes: Sequence[int], *, keep: bool) -> Value:
    """Largest along axes."""
    shape = kept_shape(x.shape, axes, keep=keep)
    if not isinstance(x, Tensor):
        return np.asarray(np.max(np.asarray(x), axis=tuple(axes))).reshape(shape)
    rest = [a for a in range(len(x.shape)) if a not in axes]
    places = np.arange(x.size).reshape(x.shape).transpose([*rest, *axes])
    return t.largest(x, places.reshape(prod(shape), -1), shape)


@onnx_op("ReduceMax", "ReduceMin", note="axes constant")
def reduce_max(t: Lowering, node: Node) -> Value:
    """Largest or smallest along axes; axes as attribute or (opset 18) input."""
    axes = axes_of(node, len(node[0].shape), since=18)
    if axes is None:
        return node[0]
    keep = bool(node.get("keepdims", 1))
    if node.op == "ReduceMax":
        return greatest(t, node[0], axes, keep=keep)
    return negative(t, greatest(t, negative(t, node[0]), axes, keep=keep))


@aten_op("amax", "amin")
def aten_amax(t: Lowering, node: Node) -> Value:
    """Largest or smallest along axes."""
    x, keep = node.get("self"), bool(node.get("keepdim", False))
    axes = axis_places(node.get("dim"), len(x.shape))
    if node.op == "amax":
        return greatest(t, x, axes, keep=keep)
    return negative(t, greatest(t, negative(t, x), axes, keep=keep))


@aten_op("max", "min", note="the places of the values may not be read")
def aten_max(t: Lowering, node: Node) -> Value | tuple[Value, ...]:
    """Largest or smallest: of everything, along an axis, or elementwise."""
    x = node.get("self")
    if node.get("other") is not None:
        return (largest_of if node.op == "max" else smallest_of)(t, [x, node.get("other")])
    dim = node.get("dim")
    axes = axis_places(dim, len(x.shape))
    signed: Callable[[Value], Value] = (lambda v: v) if node.op == "max" else (lambda v: negative(t, v))
    out = signed(greatest(t, signed(x), axes, keep=bool(node.get("keepdim", False))))
    return out if dim is None else (out, PLACES)


@aten_op(
    *(f"max_pool{n}d{tail}" for n in (1, 2, 3) for tail in ("", "_with_indices")),
    note="the places of the maxima may not be read",
)
def aten_max_pool(t: Lowering, node: Node) -> Value | tuple[Value, ...]:
    """Largest of each window."""
    g = aten_geometry(node, int(node.op[8]))
    out = pooled(t, node.get("self"), g, ceil_mode=bool(node.get("ceil_mode", False)))
    return (out, PLACES) if node.op.endswith("indices") else out


@aten_op("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d")
def aten_adaptive_max_pool(t: Lowering, node: Node) -> tuple[Value, ...]:
    """Largest of each of a given number of windows."""
    x, axes = node.get("self"), int(node.op[17])
    groups, out = adaptive_windows(t, x.shape, node.get("output_size"), axes)
    if not isinstance(x, Tensor):
        raise UnsupportedOpError("it pools a constant.")
    return t.largest(x, groups, (*x.shape[:-axes], *out)), PLACES

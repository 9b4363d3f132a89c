"""Functions of single numbers: ReLU and its relatives, clips, absolute value."""

from __future__ import annotations

import warnings

import numpy as np

from adapters.lowering.fitting import broadcast, common_shape
from adapters.lowering.layers import Array, Lowering, Tensor, Value
from adapters.lowering.registry import Node, aten_op, fixed, onnx_op
from adapters.ops.arithmetic import product, total
from polytope.errors import NotPiecewiseLinearError, UnsupportedOpError
from polytope.ir import PiecewiseLinear, absolute, leaky_relu, piecewise_linear, prelu, relu
from polytope.ir import clip as clip_between
from polytope.ir.maps import FloatArray

_RELU = relu()


def activated(t: Lowering, x: Value, activation: PiecewiseLinear) -> Value:
    """An activation of a tensor, or of a constant."""
    if isinstance(x, Tensor):
        return t.activate(x, activation)
    flat = np.asarray(x, dtype=float).reshape(-1, 1)
    return activation.values(flat).reshape(x.shape).astype(x.dtype)


@onnx_op("Relu")
def relu_node(t: Lowering, node: Node) -> Value:
    """max(x, 0)."""
    return activated(t, node[0], _RELU)


@onnx_op("LeakyRelu")
def leaky_relu_node(t: Lowering, node: Node) -> Value:
    """Identity where positive, alpha x elsewhere."""
    return activated(t, node[0], leaky_relu(float(node.get("alpha", 0.01))))


@onnx_op("Abs")
def abs_node(t: Lowering, node: Node) -> Value:
    """|x|."""
    return activated(t, node[0], absolute())


@onnx_op("PRelu", note="slope constant")
def prelu_node(t: Lowering, node: Node) -> Value:
    """Identity where positive, slope x elsewhere; one slope for each element, broadcast."""
    slope, rank = node.constant(1), len(node[0].shape)
    if node.opset < 7 and slope.ndim == 1 and slope.size > 1:  # one for each channel
        slope = slope.reshape(-1, *[1] * (rank - 2))
    return sloped(t, node[0], slope)


def sloped(t: Lowering, x: Value, slope: Array) -> Value:
    """PReLU with slopes that broadcast to x."""
    table = broadcast(np.asarray(slope, dtype=float), x.shape) if slope.size > 1 else slope
    return activated(t, x, prelu(np.ravel(table)))


@onnx_op("HardSigmoid")
def hard_sigmoid_node(t: Lowering, node: Node) -> Value:
    """min(max(alpha x + beta, 0), 1)."""
    alpha, beta = float(node.get("alpha", 0.2)), float(node.get("beta", 0.5))
    return _ramp(t, node[0], alpha, beta)


def _ramp(t: Lowering, x: Value, alpha: float, beta: float) -> Value:
    """min(max(alpha x + beta, 0), 1), clipped behind an affine step: pieces that meet exactly."""
    return clipped(t, total(t, product(t, x, np.asarray(alpha)), np.asarray(beta)), 0.0, 1.0)


def clipped(t: Lowering, x: Value, low: float, high: float) -> Value:
    """min(max(x, low), high); with low >= high this is the constant high."""
    if np.isnan([low, high]).any():
        raise UnsupportedOpError("one of its bounds is not a number.")
    if not isinstance(x, Tensor):
        return np.clip(x, low, high).astype(x.dtype)
    limit = float(np.finfo(np.float32).max)
    low, high = -np.inf if low <= -limit else low, np.inf if high >= limit else high
    if low == -np.inf and high == np.inf:
        return x
    if low > high:
        message = f"A clip has its minimum {low:g} above its maximum {high:g}: it is the constant {high:g}."
        warnings.warn(message, stacklevel=2)
    if low >= high:
        return np.full(x.shape, high)
    return t.activate(x, clip_between(low, high))


def floored(t: Lowering, x: Tensor, bound: Array) -> Value:
    """max(x, bound) with one constant bound for each element, broadcast."""
    shape = common_shape(x.shape, bound.shape)
    x = t.expand(x, shape)
    level = broadcast(np.asarray(bound, dtype=float), shape).ravel()
    if np.isnan(level).any() or (level == np.inf).any():
        raise UnsupportedOpError("one of its constants is not a finite number.")
    if (level == -np.inf).all():
        return x
    if (level == level[:1]).all():
        return t.activate(x, clip_between(float(level[0]), np.inf))
    return t.activate(x, _ramps(level))


def _ramps(level: FloatArray) -> PiecewiseLinear:
    """max(z_j, level_j); a level of -inf changes nothing."""
    bounded = np.isfinite(level)
    still = ~bounded
    slopes = np.stack([np.where(still, 1.0, 0.0), np.ones(len(level))], axis=1)
    intercepts = np.stack([np.where(still, 0.0, level), np.zeros(len(level))], axis=1)
    return PiecewiseLinear(np.where(still, np.inf, level)[:, None], slopes, intercepts)


def _x(node: Node) -> Value:
    value = node.get("self") if node.get("self") is not None else node.get("input")
    return value if isinstance(value, Tensor) else np.asarray(value)


@aten_op("relu")
def aten_relu(t: Lowering, node: Node) -> Value:
    """max(x, 0)."""
    return activated(t, _x(node), _RELU)


@aten_op("relu6")
def aten_relu6(t: Lowering, node: Node) -> Value:
    """min(max(x, 0), 6)."""
    return clipped(t, _x(node), 0.0, 6.0)


@aten_op("leaky_relu")
def aten_leaky_relu(t: Lowering, node: Node) -> Value:
    """Identity where positive, slope x elsewhere."""
    return activated(t, _x(node), leaky_relu(float(node.get("negative_slope", 0.01))))


@aten_op("prelu", "_prelu_kernel", note="weight constant")
def aten_prelu(t: Lowering, node: Node) -> Value:
    """Identity where positive, weight x elsewhere; one weight for each channel."""
    x, weight = _x(node), fixed(node.get("weight"), "weight")
    channels = weight.ndim == 1 and weight.size > 1 and len(x.shape) > 2
    return sloped(t, x, weight.reshape(-1, *[1] * (len(x.shape) - 2)) if channels else weight)


@aten_op("rrelu", note="inference")
def aten_rrelu(t: Lowering, node: Node) -> Value:
    """Identity where positive, the mean of the two bounds times x elsewhere."""
    return activated(
        t, _x(node), leaky_relu((float(node.get("lower", 0.125)) + float(node.get("upper", 1 / 3))) / 2)
    )


@aten_op("abs")
def aten_abs(t: Lowering, node: Node) -> Value:
    """|x|."""
    return activated(t, _x(node), absolute())


@aten_op("hardtanh")
def aten_hardtanh(t: Lowering, node: Node) -> Value:
    """min(max(x, min_val), max_val)."""
    return clipped(t, _x(node), float(node.get("min_val", -1)), float(node.get("max_val", 1)))


@aten_op("hardsigmoid")
def aten_hardsigmoid(t: Lowering, node: Node) -> Value:
    """min(max(x / 6 + 1 / 2, 0), 1)."""
    return _ramp(t, _x(node), 1 / 6, 0.5)


@aten_op("threshold", note="only where it does not jump: value = threshold")
def aten_threshold(t: Lowering, node: Node) -> Value:
    """Identity above the threshold, a value elsewhere."""
    level, value = float(node.get("threshold")), float(node.get("value"))
    if level != value:
        raise NotPiecewiseLinearError("it is discontinuous: its value differs from its threshold.")
    return clipped(t, _x(node), level, np.inf)


@onnx_op("Shrink", note="only where it does not jump: bias = lambd")
def shrink(t: Lowering, node: Node) -> Value:
    """Moved towards zero by bias, zero between -lambd and lambd."""
    return _softshrink(t, node[0], float(node.get("lambd", 0.5)), float(node.get("bias", 0.0)))


@aten_op("softshrink")
def aten_softshrink(t: Lowering, node: Node) -> Value:
    """Moved towards zero by lambd, zero between -lambd and lambd."""
    return _softshrink(t, _x(node), float(node.get("lambd", 0.5)), float(node.get("lambd", 0.5)))


def _softshrink(t: Lowering, x: Value, level: float, bias: float) -> Value:
    if level != bias:
        raise NotPiecewiseLinearError("it is discontinuous: its bias differs from its threshold lambd.")
    return activated(t, x, piecewise_linear([-level, level], [1.0, 0.0, 1.0], [level, 0.0, -level]))


@onnx_op("ThresholdedRelu", note="only where it does not jump: alpha = 0")
def thresholded_relu(t: Lowering, node: Node) -> Value:
    """Identity above alpha, zero elsewhere."""
    if float(node.get("alpha", 1.0)) != 0.0:
        raise NotPiecewiseLinearError("it is discontinuous: its output jumps at alpha. Use Relu.")
    return activated(t, node[0], _RELU)

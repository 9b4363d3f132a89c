"""Batch normalisation with stored statistics: an affine map of each channel."""

from __future__ import annotations

import numpy as np

from adapters.lowering.layers import Lowering, Value
from adapters.lowering.registry import Node, aten_op, fixed, onnx_op
from adapters.ops.arithmetic import product, total
from polytope.errors import CorruptFileError, NotPiecewiseLinearError
from polytope.ir.maps import FloatArray

_TRAINING = (
    "it is in training mode and uses the statistics of the batch. Call model.eval() and export it again."
)


def normalized(
    t: Lowering,
    x: Value,
    weight: FloatArray,
    bias: FloatArray,
    mean: FloatArray,
    variance: FloatArray,
    eps: float,
) -> Value:
    """(x - mean) / sqrt(variance + eps) * weight + bias, channel by channel (axis 1)."""
    sizes = {weight.size, bias.size, mean.size, variance.size}
    if len(x.shape) < 2 or sizes != {x.shape[1]}:
        raise CorruptFileError(
            f"Its statistics of sizes {sorted(sizes)} do not fit its input of shape {x.shape}."
        )
    if not (variance + eps > 0).all():
        raise CorruptFileError("Its variances must be positive.")
    factor = weight / np.sqrt(variance + eps)
    shape = (-1, *[1] * (len(x.shape) - 2))
    scaled = product(t, x, factor.reshape(shape))
    return total(t, scaled, (bias - mean * factor).reshape(shape))


@onnx_op("BatchNormalization", note="inference")
def batch_normalization(t: Lowering, node: Node) -> Value:
    """Affine map of each channel from stored statistics."""
    if node.get("training_mode", 0) or (node.opset < 7 and not node.get("is_test", 0) and node.n_outputs > 1):
        raise NotPiecewiseLinearError(_TRAINING)
    weight, bias, mean, variance = (np.ravel(node.constant(i)).astype(float) for i in range(1, 5))
    return normalized(t, node[0], weight, bias, mean, variance, float(node.get("epsilon", 1e-5)))


@aten_op(
    "batch_norm",
    "_native_batch_norm_legit_no_training",
    "native_batch_norm",
    "_batch_norm_no_update",
    note="inference",
)
def aten_batch_norm(t: Lowering, node: Node) -> Value | tuple[Value, ...]:
    """Affine map of each channel from stored statistics."""
    if node.get("training", False) or node.get("running_mean") is None:
        raise NotPiecewiseLinearError(_TRAINING)
    out = _from_stored(t, node)
    return out if node.op == "batch_norm" else (out, np.zeros(0), np.zeros(0))


def _from_stored(t: Lowering, node: Node) -> Value:
    """Normalised by the statistics that the node holds."""
    mean, variance = (np.asarray(fixed(node.get(n), n), dtype=float) for n in ("running_mean", "running_var"))
    weight = np.asarray(fixed(node.get("weight", np.ones_like(mean)), "weight"), dtype=float)
    bias = np.asarray(fixed(node.get("bias", np.zeros_like(mean)), "bias"), dtype=float)
    return normalized(t, node.get("input"), weight, bias, mean, variance, float(node.get("eps", 1e-5)))


@aten_op("instance_norm", note="with running statistics")
def aten_instance_norm(t: Lowering, node: Node) -> Value:
    """Affine map of each channel from stored statistics."""
    if node.get("use_input_stats", True) or node.get("running_mean") is None:
        raise NotPiecewiseLinearError(
            "it divides by the spread of its own input. With track_running_stats=True it is an affine map."
        )
    return _from_stored(t, node)

"""Operators of ``ai.onnx.ml``, of which pipelines of classical learners are made: what is affine of them."""

from __future__ import annotations

import numpy as np

from adapters.lowering.layers import Array, Lowering, Tensor, Value
from adapters.lowering.registry import Node, onnx_op
from adapters.ops.arithmetic import total
from adapters.ops.linear import matmul
from adapters.ops.maximum import PLACES
from polytope.errors import CorruptFileError, NotPiecewiseLinearError

CLASSICAL = "ai.onnx.ml"


def _numbers(node: Node, name: str) -> Array:
    return np.asarray(node.get(name, []), dtype=np.float32).astype(float)


@onnx_op(f"{CLASSICAL}.Scaler")
def scaler(t: Lowering, node: Node) -> Value:
    """Every feature less its offset, times its scale."""
    x, features = node[0], node[0].shape[-1]
    offset, scale = (_numbers(node, name) for name in ("offset", "scale"))
    for values in (offset, scale):
        if len(values) not in (1, features):
            raise CorruptFileError(f"It has {len(values)} numbers for {features} features.")
    moved = total(t, x, -offset)
    return t.scale(moved, scale) if isinstance(moved, Tensor) else moved * scale


@onnx_op(f"{CLASSICAL}.LinearRegressor", note="no post_transform")
def linear_regressor(t: Lowering, node: Node) -> Value:
    """Coefficients times features plus intercepts."""
    return _linear(t, node, int(node.get("targets", 1)))


@onnx_op(f"{CLASSICAL}.LinearClassifier", note="scores only: the labels may not be read; no post_transform")
def linear_classifier(t: Lowering, node: Node) -> tuple[Value, ...]:
    """Coefficients times features plus intercepts, a score for each class."""
    labels = node.get("classlabels_ints") or node.get("classlabels_strings") or ()
    rows = _numbers(node, "coefficients").size // node[0].shape[-1]
    if rows != len(labels):
        raise NotPiecewiseLinearError(f"it has {rows} rows of coefficients for {len(labels)} classes.")
    return PLACES, _linear(t, node, rows)


def _linear(t: Lowering, node: Node, rows: int) -> Value:
    """The linear part of both."""
    kind = node.get("post_transform", b"NONE")
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    if kind != "NONE":
        raise NotPiecewiseLinearError(f"its post_transform {kind} is not piecewise linear.")
    coefficients, features = _numbers(node, "coefficients"), node[0].shape[-1]
    if coefficients.size != rows * features:
        raise CorruptFileError(f"It has {coefficients.size} coefficients for {rows} x {features}.")
    product = matmul(t, node[0], coefficients.reshape(rows, features).T)
    intercepts = _numbers(node, "intercepts")
    if intercepts.size not in (0, rows):
        raise CorruptFileError(f"It has {intercepts.size} intercepts for {rows} outputs.")
    return total(t, product, intercepts) if intercepts.size else product

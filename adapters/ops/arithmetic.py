"""Sums, and products with constants."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import reduce
from math import prod
from typing import Any

import numpy as np

from adapters.lowering.conditions import Condition, selected
from adapters.lowering.fitting import common_shape, folded, of_rank
from adapters.lowering.layers import Array, Lowering, Tensor, Value
from adapters.lowering.registry import Node, aten_op, onnx_op
from polytope.errors import NotPiecewiseLinearError


def total(t: Lowering, a: Value, b: Value) -> Value:
    """The sum, broadcast."""
    if isinstance(a, Tensor):
        return t.add(a, b) if isinstance(b, Tensor) else t.shift(a, b)
    return t.shift(b, a) if isinstance(b, Tensor) else _constant(t, operator.add, a, b)


def negative(t: Lowering, a: Value) -> Value:
    """-a."""
    return t.scale(a, np.asarray(-1.0)) if isinstance(a, Tensor) else folded(np.negative, np.asarray(a))


def difference(t: Lowering, a: Value, b: Value) -> Value:
    """The difference, broadcast."""
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return total(t, a, negative(t, b))
    return _constant(t, operator.sub, a, b)


def product(t: Lowering, a: Any, b: Any) -> Value:
    """The product, broadcast; at most one factor may depend on the input."""
    for mask, other in ((a, b), (b, a)):
        if isinstance(mask, Condition):
            return selected(t, mask, other, np.zeros(()))
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        raise NotPiecewiseLinearError("both of its operands depend on the input: their product is quadratic.")
    if isinstance(a, Tensor):
        return t.scale(a, np.asarray(b))
    return t.scale(b, a) if isinstance(b, Tensor) else _constant(t, operator.mul, a, b)


def quotient(t: Lowering, a: Value, b: Value) -> Value:
    """The quotient, broadcast; the divisor must be constant. Integers divide towards zero."""
    if isinstance(b, Tensor):
        raise NotPiecewiseLinearError("its divisor depends on the input.")
    if isinstance(a, Tensor):
        return t.scale(a, 1.0 / np.asarray(b, dtype=float))
    if a.dtype.kind in "iu" and b.dtype.kind in "iu":
        return _constant(t, lambda p, q: np.trunc(p / q).astype(p.dtype), a, b)
    return _constant(t, operator.truediv, a, b)


def _constant(t: Lowering, function: Callable[[Array, Array], Array], a: Array, b: Array) -> Array:
    """A function of two constants, computed now."""
    t.spend(prod(common_shape(a.shape, b.shape)))
    return folded(function, np.asarray(a), np.asarray(b))


def _pair(node: Node) -> tuple[Value, Value]:
    """The two operands; before opset 7 the second is aligned by an attribute."""
    a, b = node[0], node[1]
    if 0 < node.opset < 7 and node.get("broadcast") and node.get("axis") is not None:
        axis = int(node.get("axis")) % max(len(a.shape), 1)
        of_rank(b.shape, 0, len(a.shape) - axis)
        shape = (*b.shape, *[1] * (len(a.shape) - axis - len(b.shape)))
        b = b.reshaped(shape) if isinstance(b, Tensor) else b.reshape(shape)
    return a, b


@onnx_op("Add")
def add(t: Lowering, node: Node) -> Value:
    """Sum, broadcast."""
    return total(t, *_pair(node))


@onnx_op("Sub")
def subtract(t: Lowering, node: Node) -> Value:
    """Difference, broadcast."""
    return difference(t, *_pair(node))


@onnx_op("Mul", note="one operand constant, or a comparison of the other")
def multiply(t: Lowering, node: Node) -> Value:
    """Elementwise product, broadcast."""
    return product(t, *_pair(node))


@onnx_op("Div", note="divisor constant")
def divide(t: Lowering, node: Node) -> Value:
    """Elementwise quotient, broadcast."""
    return quotient(t, *_pair(node))


@onnx_op("Neg")
def negate(t: Lowering, node: Node) -> Value:
    """-x."""
    return negative(t, node[0])


@onnx_op("Sum")
def sum_of(t: Lowering, node: Node) -> Value:
    """Sum of all operands, broadcast."""
    return _sum(t, node)


def _sum(t: Lowering, node: Node) -> Value:
    return reduce(lambda a, b: total(t, a, b), [node[i] for i in range(len(node.inputs))])


@onnx_op("Mean")
def mean_of(t: Lowering, node: Node) -> Value:
    """Mean of all operands, broadcast."""
    return product(t, _sum(t, node), np.asarray(1.0 / len(node.inputs)))


def _scaled_other(t: Lowering, node: Node) -> Any:
    """ATen's ``alpha * other``."""
    other = node.get("other")
    alpha = node.get("alpha", 1)
    other = other if isinstance(other, Tensor | Condition) else np.asarray(other)
    return other if alpha == 1 else product(t, other, np.asarray(alpha))


def _left(node: Node) -> Any:
    value = node.get("self")
    return value if isinstance(value, Tensor | Condition) else np.asarray(value)


@aten_op("add")
def aten_add(t: Lowering, node: Node) -> Value:
    """Sum of self and alpha times other."""
    return total(t, _left(node), _scaled_other(t, node))


@aten_op("sub")
def aten_sub(t: Lowering, node: Node) -> Value:
    """Difference of self and alpha times other."""
    return difference(t, _left(node), _scaled_other(t, node))


@aten_op("rsub")
def aten_rsub(t: Lowering, node: Node) -> Value:
    """Difference of other and alpha times self."""
    scaled = product(t, _left(node), np.asarray(node.get("alpha", 1)))
    return difference(t, _scaled_other(t, Node("", "", attributes={"other": node.get("other")})), scaled)


@aten_op("mul", note="one operand constant, or a comparison of the other")
def aten_mul(t: Lowering, node: Node) -> Value:
    """Elementwise product."""
    return product(t, _left(node), _scaled_other(t, node))


@aten_op("div", note="divisor constant; no rounding mode of the input")
def aten_div(t: Lowering, node: Node) -> Value:
    """Elementwise quotient."""
    a, b, rounding = _left(node), _scaled_other(t, node), node.get("rounding_mode")
    if rounding is not None and (isinstance(a, Tensor) or isinstance(b, Tensor)):
        raise NotPiecewiseLinearError("it rounds: its output jumps.")
    out = quotient(t, a, b if isinstance(b, Tensor) else np.asarray(b, dtype=float))
    return out if rounding is None else {"floor": np.floor, "trunc": np.trunc}[rounding](np.asarray(out))


@aten_op("neg")
def aten_neg(t: Lowering, node: Node) -> Value:
    """-x."""
    return negative(t, _left(node))

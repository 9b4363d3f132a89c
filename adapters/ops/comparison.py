"""Comparisons, and what they select: piecewise linear where the branches meet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from adapters.lowering.conditions import Condition, selected
from adapters.lowering.layers import Array, Lowering, Tensor, Value
from adapters.lowering.registry import Node, aten_op, onnx_op
from adapters.ops.arithmetic import difference, negative

_CONSTANT: Mapping[str, Callable[..., Array]] = {
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "lt": np.less,
    "le": np.less_equal,
}


def compared(t: Lowering, op: str, a: Value, b: Value) -> Any:
    """A comparison: a constant, or the difference whose sign decides."""
    if not isinstance(a, Tensor) and not isinstance(b, Tensor):
        return np.asarray(_CONSTANT[op](a, b))
    upward = op[0] in "Gg"
    gap = difference(t, a, b) if upward else difference(t, b, a)
    assert isinstance(gap, Tensor), "one side depends on the input"
    return Condition(gap)


@onnx_op(
    "Greater", "GreaterOrEqual", "Less", "LessOrEqual", note="of the input: only to select by Where or Mul"
)
def comparison(t: Lowering, node: Node) -> Value:
    """Comparison of numbers, broadcast."""
    found: Value = compared(t, node.op, node[0], node[1])
    return found


@aten_op("gt", "ge", "lt", "le", note="of the input: only to select by where or mul")
def aten_comparison(t: Lowering, node: Node) -> Value:
    """Comparison of numbers."""
    a, b = (v if isinstance(v, Tensor) else np.asarray(v) for v in (node.get("self"), node.get("other")))
    found: Value = compared(t, node.op, a, b)
    return found


@onnx_op("Not")
def negation(t: Lowering, node: Node) -> Value:
    """The opposite of a comparison."""
    value: Any = node[0]
    if not isinstance(value, Condition):
        return np.logical_not(node.constant(0))
    turned = negative(t, value.difference)
    assert isinstance(turned, Tensor), "the opposite of a tensor is a tensor"
    opposite: Any = Condition(turned)
    kept: Value = opposite
    return kept


@onnx_op("Where", note="only where the branches meet, or the condition is constant")
def where(t: Lowering, node: Node) -> Value:
    """One of two values, by a comparison."""
    return selected(t, node[0], node[1], node[2])


@aten_op("where", note="only where the branches meet, or the condition is constant")
def aten_where(t: Lowering, node: Node) -> Value:
    """One of two values, by a comparison."""
    yes, no = (v if isinstance(v, Tensor) else np.asarray(v) for v in (node.get("self"), node.get("other")))
    return selected(t, node.get("condition"), yes, no)


@aten_op("masked_fill", note="only where the branches meet, or the mask is constant")
def aten_masked_fill(t: Lowering, node: Node) -> Value:
    """A constant where a mask holds, the input elsewhere."""
    return selected(t, node.get("mask"), np.asarray(node.get("value")), node.get("self"))

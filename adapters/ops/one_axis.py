"""Linear maps of one axis, the same for all others: running sums."""

from __future__ import annotations

from math import prod

import numpy as np
from scipy.sparse import csr_array, eye_array, kron

from adapters.lowering.fitting import axis_place
from adapters.lowering.layers import Lowering, Value
from adapters.lowering.registry import Node, aten_op, onnx_op
from polytope.ir import Sparse


def along(t: Lowering, x: Value, axis: int, matrix: csr_array) -> Value:
    """A matrix ``[m, n]`` applied along an axis of n entries, which become m."""
    before, after = prod(x.shape[:axis]), prod(x.shape[axis + 1 :])
    t.spend(matrix.nnz * before * after)
    whole = kron(kron(eye_array(before), matrix), eye_array(after))
    return t.linear(x, Sparse(csr_array(whole)), (*x.shape[:axis], matrix.shape[0], *x.shape[axis + 1 :]))


def running_sum(t: Lowering, x: Value, axis: int, *, exclusive: bool = False, reverse: bool = False) -> Value:
    """Entry i becomes the sum of entries 0 to i, without i itself or from behind on request."""
    n = x.shape[axis]
    t.spend(n * n)
    lower = np.tril(np.ones((n, n)), -1 if exclusive else 0)
    return along(t, x, axis, csr_array(lower[::-1, ::-1] if reverse else lower))


@onnx_op("CumSum", note="axis constant")
def cumulative_sum(t: Lowering, node: Node) -> Value:
    """Running sum along an axis."""
    axis = axis_place(node.integer(1), len(node[0].shape))
    flags = (bool(node.get(name, 0)) for name in ("exclusive", "reverse"))
    return running_sum(t, node[0], axis, exclusive=next(flags), reverse=next(flags))


@aten_op("cumsum")
def aten_cumulative_sum(t: Lowering, node: Node) -> Value:
    """Running sum along an axis."""
    return running_sum(t, node.get("self"), axis_place(int(node.get("dim")), len(node.get("self").shape)))

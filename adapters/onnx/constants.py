"""Smooth and jumping operators of constants: numbers like any others, computed by onnx's own evaluator."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
import onnx
from onnx import helper

from adapters.lowering.layers import Array, Lowering, Value
from adapters.lowering.reasons import JUMPS, SMOOTH

_SLOW = ("LSTM", "GRU", "Attention", "LinearAttention", "NonMaxSuppression")
"""Operators whose work is not in proportion to what they read and write."""


def computed(
    t: Lowering, node: onnx.NodeProto, operands: Sequence[Value | None], opset: int
) -> tuple[Value, ...] | None:
    """The outputs of a node that reads constants only; ``None`` if it reads others, or nothing runs it."""
    known = node.op_type in (*SMOOTH, *JUMPS) and node.op_type not in _SLOW
    if not known or not all(v is None or isinstance(v, np.ndarray) for v in operands):
        return None
    arrays = [np.asarray(v) for v in operands if v is not None]
    width = int(np.ravel(arrays[1])[0]) if node.op_type == "OneHot" else 1
    t.spend(sum(prod(a.shape) for a in arrays) * max(width, 1))
    return _evaluated(node, arrays, opset)


def _evaluated(node: onnx.NodeProto, arrays: Sequence[Array], opset: int) -> tuple[Value, ...] | None:
    """The node in onnx.reference, as a model of its own."""
    from onnx.reference import ReferenceEvaluator

    names = [name for name in node.input if name]
    inputs, outputs = ([onnx.ValueInfoProto(name=n) for n in ns if n] for ns in (names, node.output))
    graph = helper.make_graph([node], "constants", inputs, outputs)
    try:
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
        with np.errstate(all="ignore"):
            found = ReferenceEvaluator(model).run(None, dict(zip(names, arrays, strict=True)))
    except Exception:  # the evaluator raises many unrelated kinds; the node is refused for what it is
        return None
    values = iter(np.asarray(v) for v in found)
    return tuple(next(values) if name else np.zeros(0) for name in node.output)

"""Control flow that a constant decides: only the branch that runs is a part of the network."""

from __future__ import annotations

from adapters.lowering.conditions import Condition
from adapters.lowering.layers import Lowering, Tensor
from adapters.lowering.registry import Node, Outputs, onnx_op
from polytope.errors import UnsupportedOpError


@onnx_op("If", note="condition constant")
def branch(t: Lowering, node: Node) -> Outputs:
    """The branch that a constant condition chooses."""
    if isinstance(node[0], Tensor | Condition):
        raise UnsupportedOpError(
            "its condition depends on the input, which is not supported: export it with the flow unrolled."
        )
    chosen = "then_branch" if node.constant(0).item() else "else_branch"
    found: Outputs = node.attributes[chosen]()
    return found

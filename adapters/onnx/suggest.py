"""What a user can do about a node that cannot be converted: the cut in front of it."""

from __future__ import annotations

from collections.abc import Sequence

import onnx

from adapters.lowering.reasons import JUMPS, SMOOTH, in_the_middle
from adapters.onnx.branches import reads
from adapters.onnx.graph import Graph
from polytope.errors import LoadError, NotPiecewiseLinearError, UnsupportedOpError

_TAIL = {
    *SMOOTH,
    *JUMPS,
    *("Mul", "Add", "Sub", "Div", "Neg", "Cast", "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze"),
    *(
        "Transpose",
        "Concat",
        "Slice",
        "Gather",
        "Expand",
        "Tile",
        "Pad",
        "ReduceSum",
        "ReduceMax",
        "Split",
        "Clip",
    ),
    *("Shape", "Constant", "Greater", "Less", "Where", "ZipMap", "ArrayFeatureExtractor", "LabelEncoder"),
    *("Normalizer", "Binarizer"),
}
"""Operators that may follow the last weight of a network without being a part of it worth analysing."""


def with_suggestion(
    graph: Graph, node: onnx.NodeProto, error: LoadError, symbolic: Sequence[str]
) -> LoadError:
    """The error with a sentence that names the cut, where there is a sensible one."""
    inputs = {i.name for i in graph.inputs}
    fitting = isinstance(error, NotPiecewiseLinearError | UnsupportedOpError)
    if not fitting or not symbolic:
        return error
    readers: dict[str, list[onnx.NodeProto]] = {}
    for other in graph.nodes:
        for name in reads(other):
            readers.setdefault(name, []).append(other)
    behind = _behind(node, readers)
    if inputs & set(symbolic):
        weighty = any(other.op_type not in _TAIL for other in behind)
        advice = f" load(path, from_={node.output[0]!r}) begins behind it." if weighty else ""
        return type(error)(f"{error}{advice}")
    if any(other.op_type not in _TAIL for other in behind):
        return type(error)(f"{error} {in_the_middle(node.op_type)}")
    place = "It is the last node" if not behind else "Only the model's head follows"
    cut = symbolic[0]
    advice = f"{place}: load(path, until={cut!r}) stops before it"
    others = [_cut_for(graph, name, cut, node) for name in graph.outputs]
    every = list(dict.fromkeys(others))
    if len(every) > 1:
        advice += f"; load(path, until={every!r}) keeps every output"
    return type(error)(f"{error} {advice}.")


def _behind(node: onnx.NodeProto, readers: dict[str, list[onnx.NodeProto]]) -> list[onnx.NodeProto]:
    """All nodes that depend on a node."""
    seen: dict[int, onnx.NodeProto] = {}
    waiting = [node]
    while waiting:
        for name in waiting.pop().output:
            for reader in readers.get(name, ()):
                if id(reader) not in seen:
                    seen[id(reader)] = reader
                    waiting.append(reader)
    return list(seen.values())


def _cut_for(graph: Graph, output: str, cut: str, node: onnx.NodeProto) -> str:
    """Where to cut for one output: before its last node if that is smooth too."""
    last = next((n for n in graph.nodes if output in n.output), None)
    if last is None:
        return output
    if last is node:
        return cut
    return last.input[0] if last.op_type in SMOOTH and last.input else output

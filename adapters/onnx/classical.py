"""Pipelines of classical learners: lists of probabilities by name, and probabilities inside an operator.

A ``ZipMap`` only names what it reads, so that it is left out. A classifier that ends in a softmax or sigmoid
becomes its scores, followed by that operator: the model can be cut between the two.
"""

from __future__ import annotations

import onnx
from onnx import helper

from adapters.ops.classical import CLASSICAL

_SMOOTH = {b"SOFTMAX": "Softmax", b"LOGISTIC": "Sigmoid"}


def without_lists(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with arrays instead of lists by name, and with its scores in sight; itself without any."""
    if not any(node.domain == CLASSICAL for node in model.graph.node):
        return model
    found = onnx.ModelProto()
    found.CopyFrom(model)
    graph, instead = found.graph, dict[str, str]()
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if node.domain == CLASSICAL and node.op_type == "ZipMap" and len(node.input) == len(node.output) == 1:
            instead[node.output[0]] = instead.get(node.input[0], node.input[0])
        else:
            nodes += _in_two(node)
    for node in nodes:
        for i, name in enumerate(node.input):
            node.input[i] = instead.get(name, name)
    outputs = [
        onnx.ValueInfoProto(name=instead[o.name]) if o.name in instead else o for o in model.graph.output
    ]
    del graph.node[:], graph.output[:]
    graph.node.extend(nodes)
    graph.output.extend(outputs)
    return found


def _in_two(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """A linear classifier's scores and what it does to them; other nodes as they are."""
    own = onnx.NodeProto()
    own.CopyFrom(node)
    transform = next((a for a in own.attribute if a.name == "post_transform"), None)
    if own.op_type != "LinearClassifier" or transform is None or transform.s not in _SMOOTH:
        return [own]
    op, scores, probabilities = _SMOOTH[transform.s], f"{own.output[1]}_scores", own.output[1]
    transform.s, own.output[1] = b"NONE", scores
    made = helper.make_node(op, [scores], [probabilities])
    if op == "Softmax":
        made.attribute.append(helper.make_attribute("axis", 1))
    return [own, made]

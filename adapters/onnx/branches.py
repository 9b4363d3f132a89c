"""Sub-graphs of ONNX nodes: what they read of the graph around them, and what they hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx


def reads(node: onnx.NodeProto) -> list[str]:
    """The names that a node reads, itself or in its sub-graphs."""
    names = [name for name in node.input if name]
    for body in _bodies(node):
        names += _outer_reads(body)
    return names


def _outer_reads(body: onnx.GraphProto) -> list[str]:
    """The names that a sub-graph reads of what is around it."""
    own = {i.name for i in body.input} | {t.name for t in body.initializer}
    own |= {name for node in body.node for name in node.output}
    wanted = [name for node in body.node for name in reads(node)] + [o.name for o in body.output]
    return [name for name in wanted if name not in own]


def _bodies(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    return [body for a in node.attribute for body in ([a.g] if a.HasField("g") else a.graphs)]


def nested(nodes: Sequence[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """The nodes, and those of their sub-graphs."""
    for node in nodes:
        yield node
        for body in _bodies(node):
            yield from nested(body.node)


def tensors_of(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Initialisers, and tensors among the attributes of nodes, those of sub-graphs too."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
        for body in _bodies(node):
            yield from tensors_of(body)

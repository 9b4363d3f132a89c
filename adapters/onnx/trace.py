"""ONNX nodes into layers: inputs, outputs and cuts, one rule for each node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from math import prod
from typing import Any

import numpy as np
import onnx

from adapters.inputs import InputPart, given_shapes
from adapters.lowering.conditions import output
from adapters.lowering.layers import Lowering, Tensor, Value, located
from adapters.lowering.reasons import JUMPS, SMOOTH
from adapters.lowering.registry import Node, Outputs
from adapters.lowering.tracing import applied
from adapters.onnx.attributes import attributes_of
from adapters.onnx.branches import reads
from adapters.onnx.constants import computed
from adapters.onnx.export import DOMAIN
from adapters.onnx.file import array_of
from adapters.onnx.graph import Graph, ordered, place_of, producers
from adapters.onnx.inputs import declared_part
from adapters.onnx.suggest import with_suggestion
from adapters.ops.classical import CLASSICAL
from polytope.errors import LoadError, NotPiecewiseLinearError, UnsupportedOpError
from polytope.ir import Network

_WEIGHTED = ("Gemm", "MatMul", "Conv", "ConvTranspose", "BatchNormalization", "PRelu", "RNN", "Mul", "Div")
_INFINITE = dict.fromkeys(("Max", "Min", "Clip", "Where", "Pad", "Constant"), "+-")
_INFINITE |= dict.fromkeys((*SMOOTH, *JUMPS), "+-?") | dict.fromkeys(_WEIGHTED, "")
"""Signs of infinities in an operator's constants: bounds, what is refused anyway; others may be masks."""


def input_parts(graph: Graph, input_shape: Any, *, per_sample: bool) -> list[InputPart]:
    """One sample of each input, or all of it."""
    given = given_shapes(input_shape, [i.name for i in graph.inputs])
    return [declared_part(i, given.get(i.name), per_sample=per_sample) for i in graph.inputs]


def trace(
    graph: Graph, input_shape: Any, *, per_sample: bool, spacing: float | None = None
) -> tuple[Network, list[InputPart]]:
    """The network of a graph, and how its flat input is laid out in the model's inputs."""
    parts = input_parts(graph, input_shape, per_sample=per_sample)
    if not parts:
        raise UnsupportedOpError("The model has no input: it is a constant, and no function of anything.")
    t = Lowering(frozen_batch=max(p.frozen for p in parts), spacing=spacing)
    values: dict[str, Value] = dict(
        zip((p.name for p in parts), t.input([p.shape for p in parts]), strict=True)
    )
    outputs = [output(v, n) for n, v in zip(graph.outputs, _computed(t, graph, values), strict=True)]
    return _network(t, graph, parts, outputs), parts


def _computed(t: Lowering, graph: Graph, values: dict[str, Value]) -> list[Value]:
    """The graph's outputs: all nodes in order; what nothing reads any more is let go."""
    read = [reads(node) for node in graph.nodes]
    uses = Counter(chain(*read, graph.outputs))
    last = {name: number for number, names in enumerate(read) for name in names}
    for number, node in enumerate(graph.nodes):
        for name in node.input:
            if name:
                values[name] = _value(graph, values, name, _INFINITE.get(node.op_type, "-"))
        for name, value in zip(node.output, _applied(t, graph, node, values), strict=False):
            if name:
                values[name] = t.settled_if_shared(value, uses[name]) if isinstance(value, Tensor) else value
        for name in set(read[number]):
            if last[name] == number and name not in graph.outputs:
                values.pop(name, None)
    return [_value(graph, values, name, "") for name in graph.outputs]


def _value(graph: Graph, values: Mapping[str, Value], name: str, infinite: str) -> Value:
    """A value by its name: computed already, or stored in the file."""
    if name in values:
        return values[name]
    if name not in graph.initializers:
        raise UnsupportedOpError(f"Tensor {name!r} is an output of its node that is not supported.")
    return array_of(graph.initializers[name], infinite=infinite)


def _branch(t: Lowering, graph: Graph, body: onnx.GraphProto, values: Mapping[str, Value]) -> Outputs:
    """The outputs of a sub-graph, which may read what is around it."""
    own = {tensor.name: tensor for tensor in body.initializer}
    producer, outputs = producers(body.node, set(own)), tuple(o.name for o in body.output)
    nodes = ordered(body.node, producer, outputs)
    inside = {**graph.initializers, **own}
    inner = replace(graph, nodes=nodes, initializers=inside, outputs=outputs, inner=True)
    return tuple(_computed(t, inner, {n: v for n, v in values.items() if n not in own}))


def _network(t: Lowering, graph: Graph, parts: Sequence[InputPart], outputs: Sequence[Value]) -> Network:
    layers = t.finish(outputs)
    several = len(parts) > 1
    return Network(
        input_shape=(sum(prod(p.shape) for p in parts),) if several else parts[0].per_sample_shape,
        layers=layers,
        input_names=tuple(p.name for p in parts),
        output_names=graph.outputs,
        input_parts=tuple((p.name, p.per_sample_shape) for p in parts) if several else (),
    )


def _applied(
    t: Lowering, graph: Graph, node: onnx.NodeProto, values: Mapping[str, Value]
) -> tuple[Value, ...]:
    """The outputs of one node; an error names the node, and the cut in front of it if there is one."""
    try:
        ours = node.domain == DOMAIN and len(graph.model.functions) > 0
        if node.domain not in ("", "ai.onnx", CLASSICAL) and not ours:
            raise UnsupportedOpError(f"{place_of(node)}: {_foreign(node, graph.model)}")
        made = _node(t, graph, node, values)
        try:
            return applied(t, "ONNX", made, place_of(node))
        except (NotPiecewiseLinearError, UnsupportedOpError):
            constants = computed(t, node, made.inputs, graph.opset)
            if constants is None:
                raise
            return constants
    except LoadError as error:
        symbolic = [] if graph.inner else [n for n in reads(node) if _can_end(values.get(n))]
        raise with_suggestion(graph, node, error, symbolic) from error


def _can_end(value: Value | None) -> bool:
    """Whether a value could be an output: it depends on the input, and is finite."""
    return isinstance(value, Tensor) and bool(np.isfinite(value.offset()).all())


def _foreign(node: onnx.NodeProto, model: onnx.ModelProto) -> str:
    """Why an operator of another domain is not read."""
    if any((f.domain, f.name) == (node.domain, node.op_type) for f in model.functions):
        return "it is a function of the model in another operator set than the model's, and stays unread."
    return f"unknown operator domain {node.domain!r}; only ai.onnx and parts of ai.onnx.ml are supported."


def _node(t: Lowering, graph: Graph, node: onnx.NodeProto, values: Mapping[str, Value]) -> Node:
    try:
        attributes = attributes_of(node, graph.opset, _INFINITE.get(node.op_type, "-"))
    except LoadError as error:
        raise located(error, place_of(node)) from error
    if node.op_type == "If":
        attributes |= {a.name: partial(_branch, t, graph, a.g, values) for a in node.attribute}
    return Node(
        op=f"{node.domain}.{node.op_type}" if node.domain in (DOMAIN, CLASSICAL) else node.op_type,
        name=node.name,
        inputs=tuple(values[n] if n else None for n in node.input),
        attributes=attributes,
        opset=graph.opset,
        n_outputs=sum(1 for n in node.output if n),
    )

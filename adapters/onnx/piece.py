"""The piece of an ONNX model that begins at named tensors: these become its inputs."""

from __future__ import annotations

import onnx

from adapters.onnx.branches import reads
from adapters.onnx.graph import ordered, place_of, producers
from adapters.pieces import Piece, refuse_other_ways
from polytope.errors import CorruptFileError

_FLOAT = onnx.TensorProto.FLOAT


def beginning_at(model: onnx.ModelProto, piece: Piece) -> onnx.ModelProto:
    """The model with the tensors at which a piece begins as its inputs, and without what computes them.

    Shapes are the declared or inferred ones; what is unknown stays open.

    Raises:
        CorruptFileError: the model has no tensor of such a name.
        UnsupportedOpError: the outputs also need an input of the model along another way.
    """
    graph, start = model.graph, piece.start
    stored = {tensor.name for tensor in graph.initializer}
    inputs = [info.name for info in graph.input if info.name not in stored]
    producer = producers(graph.node, {*inputs, *stored})
    for name in start:
        if name not in producer and name not in inputs:
            raise CorruptFileError(
                f"There is no tensor {name!r} that the model computes. `polytope info FILE` lists them."
            )
    known = {info.name: info for info in _inferred(model)}
    outputs = list(piece.until or [info.name for info in graph.output])
    inside = {
        name: number for name, number in producer.items() if not set(graph.node[number].output) & {*start}
    }
    nodes = ordered(graph.node, inside, outputs)
    steps = ((place_of(node), reads(node), list(node.output)) for node in nodes)
    refuse_other_ways(steps, start, inputs)
    made = onnx.ModelProto()
    made.CopyFrom(model)
    del made.graph.node[:], made.graph.input[:]
    made.graph.node.extend(nodes)
    made.graph.input.extend(_input(name, known.get(name)) for name in start)
    return made


def _inferred(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """What is known of the model's tensors."""
    try:
        graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    except Exception:  # it raises many unrelated kinds, and a file may be too large for it: nothing is known
        graph = model.graph
    return [*graph.value_info, *graph.input, *graph.output]


def _input(name: str, known: onnx.ValueInfoProto | None) -> onnx.ValueInfoProto:
    """The declaration of an input, as far as it is known."""
    made = onnx.ValueInfoProto(name=name)
    if known is not None and known.type.WhichOneof("value"):
        made.type.CopyFrom(known.type)
    if not made.type.tensor_type.elem_type and made.type.WhichOneof("value") in (None, "tensor_type"):
        made.type.tensor_type.elem_type = _FLOAT  # what it is in nearly every file, and no other is declared
    return made

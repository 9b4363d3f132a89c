"""TFLite files into networks: their operators written as ONNX ones, which the ONNX reader takes."""

from __future__ import annotations

from typing import Any

import onnx
from onnx import helper

from adapters.check import noted
from adapters.onnx.model import network_from_onnx
from adapters.pieces import Piece
from adapters.tflite.file import Graph, Stored, parse
from adapters.tflite.graph import Written
from adapters.tflite.operators import write
from polytope.errors import CorruptFileError, LoadError
from polytope.ir import Network

OPSET = 20
_HOW = "the file's operators were written as ONNX ones for it"


def read_tflite(data: bytes, *, piece: Piece, input_shape: Any) -> Network:
    """The network of a TFLite file.

    Nothing runs the file itself: what its network is compared with are its operators, written as ONNX ones.
    """
    model, quantised = as_onnx(parse(data), dequantised=piece.dequantised)
    found = network_from_onnx(model, piece=piece, input_shape=input_shape, folder=None)
    return noted(found, _HOW, dequantised=quantised)


def as_onnx(graph: Graph, *, dequantised: bool) -> tuple[onnx.ModelProto, bool]:
    """A TFLite graph as an ONNX model, with the names of its tensors, and whether it was quantised.

    Raises:
        NotPiecewiseLinearError: it is quantised, and not ``dequantised``.
        UnsupportedOpError: an operator has no counterpart here.
    """
    if min((*graph.inputs, *graph.outputs), default=-1) < 0:
        raise CorruptFileError("The graph has no inputs, or no outputs.")
    g = Written(graph, dequantised)
    inputs = [_input(g, graph.tensors[i]) for i in graph.inputs]
    for operator in graph.operators:
        try:
            write(g, operator)
        except LoadError as error:
            outputs = [graph.tensors[i].name for i in operator.outputs if i >= 0]
            where = f"Node {outputs[0]!r} (op {operator.name})" if outputs else f"Operator {operator.name}"
            raise type(error)(f"{where}: {error}") from error
    ends = [onnx.ValueInfoProto(name=g.named(graph.tensors[i])) for i in graph.outputs]
    made = helper.make_graph(g.nodes, "tflite", inputs, ends, list(g.constants.values()))
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)]), g.quantised


def _input(g: Written, stored: Stored) -> onnx.ValueInfoProto:
    """The declaration of an input; one of quantised numbers is one of what they stand for."""
    kinds = {"f4": onnx.TensorProto.FLOAT, "f8": onnx.TensorProto.DOUBLE, "f2": onnx.TensorProto.FLOAT16}
    kind = kinds.get(stored.kind, onnx.TensorProto.INT32)
    if stored.scale is not None and kind == onnx.TensorProto.INT32:
        g.refuse_quantised(stored)
        kind = onnx.TensorProto.FLOAT
    return helper.make_tensor_value_info(stored.name, kind, stored.shape)

"""An ONNX model in single precision: for runtimes that lack an operator in the model's own number type."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from adapters.onnx.branches import nested, tensors_of

_OTHERS = (TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)


def in_single_precision(model: bytes) -> bytes:
    """The same model with every floating-point tensor, input and cast in single precision."""
    made = onnx.ModelProto()
    made.ParseFromString(model)
    for info in made.graph.input:
        if info.type.tensor_type.elem_type in _OTHERS:
            info.type.tensor_type.elem_type = TensorProto.FLOAT
    for tensor in tensors_of(made.graph):
        _convert(tensor)
    for node in nested(made.graph.node):
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i in _OTHERS:
                attribute.i = TensorProto.FLOAT
    return bytes(made.SerializeToString())


def _convert(tensor: onnx.TensorProto) -> None:
    """One tensor in single precision, in place."""
    if tensor.data_type in _OTHERS:
        array = numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))

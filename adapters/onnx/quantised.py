"""Quantised ONNX models without their rounding: the same ranges and weights, in floating-point numbers.

``QuantizeLinear`` becomes a clip of :math:`x / s + z` to the range of its whole numbers, and
``DequantizeLinear`` of what was computed becomes :math:`(q - z) s`; that of constants stays.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from adapters.lowering.layers import Array
from adapters.onnx.file import array_of
from polytope.errors import UnsupportedOpError

_RANGES: Mapping[int, tuple[int, int]] = {
    TensorProto.UINT8: (0, 255),
    TensorProto.INT8: (-128, 127),
    TensorProto.UINT16: (0, 65535),
    TensorProto.INT16: (-32768, 32767),
    TensorProto.UINT4: (0, 15),
    TensorProto.INT4: (-8, 7),
}


def rounds(model: onnx.ModelProto) -> bool:
    """Whether a model rounds to whole numbers by scale and zero point."""
    return any(node.op_type == "QuantizeLinear" for node in model.graph.node)


def without_rounding(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with every rounding node as the clip that it is otherwise.

    Raises:
        UnsupportedOpError: scales are computed, or differ along an axis of what is computed.
    """
    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph = made.graph
    known = {tensor.name: tensor for tensor in graph.initializer}
    known |= {n.output[0]: n.attribute[0].t for n in graph.node if n.op_type == "Constant" and n.attribute}
    taken = {name for node in graph.node for name in (*node.input, *node.output)} | set(known)
    nodes: list[onnx.NodeProto] = []
    for number, node in enumerate(graph.node):
        computed = node.op_type == "DequantizeLinear" and node.input[0] not in known
        if node.op_type != "QuantizeLinear" and not computed:
            nodes.append(node)
            continue
        prefix = f"{node.output[0]}:{number}"
        while any(name.startswith(prefix) for name in taken):
            prefix += "'"
        written, constants = _in_numbers(node, known, prefix)
        nodes += written
        graph.initializer.extend(constants)
    del graph.node[:], graph.value_info[:]  # whose types were those of whole numbers
    graph.node.extend(nodes)
    return made


def _in_numbers(
    node: onnx.NodeProto, known: Mapping[str, TensorProto], prefix: str
) -> tuple[list[onnx.NodeProto], list[TensorProto]]:
    """One rounding node, or its inverse, as arithmetic, with the constants that it needs."""
    scale, zero, kind = _one_scale(node, known)
    names = [f"{prefix}:{word}" for word in ("scale", "zero", "low", "high")]
    values = [scale, zero, *map(scale.dtype.type, _RANGES[kind])]
    constants = [numpy_helper.from_array(np.asarray(v), n) for v, n in zip(values, names, strict=True)]
    s, z, low, high = names
    x, out, steps = node.input[0], node.output[0], [f"{prefix}:first", f"{prefix}:second"]
    if node.op_type == "DequantizeLinear":
        return [
            helper.make_node("Sub", [x, z], [steps[0]], name=steps[0]),
            helper.make_node("Mul", [steps[0], s], [out], name=node.name),
        ], constants[:2]
    return [
        helper.make_node("Div", [x, s], [steps[0]], name=steps[0]),
        helper.make_node("Add", [steps[0], z], [steps[1]], name=steps[1]),
        helper.make_node("Clip", [steps[1], low, high], [out], name=node.name),
    ], constants


def _one_scale(node: onnx.NodeProto, known: Mapping[str, TensorProto]) -> tuple[Array, Array, int]:
    """Scale and zero point of a node, in the scale's type, and the kind of its whole numbers."""
    where = f"Node {node.name!r} (op {node.op_type}): "
    given = [known.get(name) for name in node.input[1:]]
    if len(node.input) < 2 or None in given:
        raise UnsupportedOpError(f"{where}its scale or zero point is computed, which is not supported.")
    arrays = [array_of(tensor) for tensor in given if tensor is not None]
    stated = next((a.i for a in node.attribute if a.name == "output_dtype"), 0)
    kind = given[1].data_type if len(given) > 1 and given[1] is not None else stated or TensorProto.UINT8
    if kind not in _RANGES or arrays[0].dtype.kind != "f":
        raise UnsupportedOpError(f"{where}its number types are not supported.")
    if any(a.size != 1 for a in arrays):
        raise UnsupportedOpError(f"{where}scales along an axis of what is computed are not supported.")
    scale = arrays[0].reshape(())
    zero = (arrays[1] if len(arrays) > 1 else np.zeros(1)).astype(scale.dtype).reshape(())
    return scale, zero, kind

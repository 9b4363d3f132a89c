"""The values of an ONNX model, as far as MLP blocks are concerned."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import onnx
from onnx import helper

from adapters.lowering.layers import Array
from adapters.mlp_block import Norm, Step
from adapters.onnx.decomposed import numbers, with_smooth_units
from adapters.onnx.file import array_of
from adapters.onnx.functions import with_rules, without_functions
from adapters.onnx.graph import read_graph
from adapters.written_norms import Operand, written_norm
from polytope.errors import LoadError

_ACTIVATIONS = {
    "Relu": "relu",
    "Gelu": "gelu",
    "Swish": "silu",
    "Mish": "mish",
    "Tanh": "tanh",
    "Sigmoid": "sigmoid",
}
_NORMS = ("LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization")
_SAME = ("Identity", "Dropout")
_FLOATS = tuple(getattr(onnx.TensorProto, name) for name in ("FLOAT", "FLOAT16", "DOUBLE", "BFLOAT16"))
_SMALL_STEPS = {
    "Add": "add",
    "Sub": "sub",
    "Mul": "mul",
    "Div": "div",
    "Pow": "pow",
    "Sqrt": "sqrt",
    "Reciprocal": "reciprocal",
    "ReduceMean": "mean",
}


def flow_of_model(model: onnx.ModelProto) -> dict[str, Step]:
    """All values that the model's outputs need, in order."""
    graph = read_graph(with_rules(without_functions(model)), None)
    constants: dict[str, Array] = {}
    for name, tensor in graph.initializers.items():
        if 1 <= len(tensor.dims) <= 2:
            try:
                constants[name] = array_of(tensor)
            except LoadError:  # what no linear map has
                continue
    flow: dict[str, Step] = {}
    single = numbers(graph.model.graph.initializer, graph.nodes)
    nodes = with_smooth_units(graph.nodes, single)
    for node in nodes:
        flow[node.output[0]] = _step(node, constants, flow)
    known = {name: np.asarray(value) for name, value in (single | constants).items()}
    made = partial(_made, {name: node for node in nodes for name in node.output}, known)
    written = {
        name: written_norm(name, made) for name, step in flow.items() if step.kind in ("other", "product")
    }
    return flow | {name: Step("norm", (norm.start,), norm=norm) for name, norm in written.items() if norm}


def _made(
    makers: Mapping[str, onnx.NodeProto], known: Mapping[str, Array], name: str
) -> tuple[str, tuple[Operand, ...]]:
    """How a value is made of others and constants, as ``written_norm`` asks."""
    node = makers.get(name)
    kind = "" if node is None else _SMALL_STEPS.get(node.op_type, "")
    if node is None or not kind:
        return "", ()
    parts = tuple(_operand(makers, known, read) for read in node.input)
    if kind != "mean":
        return kind, parts
    options = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    axes = np.asarray(options.get("axes", parts[1] if len(parts) > 1 else 0)).tolist()
    return (kind, parts[:1]) if axes == [-1] and options.get("keepdims", 1) == 1 else ("", ())


def _operand(makers: Mapping[str, onnx.NodeProto], known: Mapping[str, Array], name: str) -> Operand:
    """A constant, or the sum of two; of another value the name, through what does not change it."""
    found = _constant(makers, known, name)
    node = makers.get(found) if isinstance(found, str) else None
    if node is None or node.op_type != "Add":
        return found
    parts = [_constant(makers, known, read) for read in node.input]
    values = [part for part in parts if not isinstance(part, str)]
    return values[0] + values[1] if len(values) == 2 else found


def _constant(makers: Mapping[str, onnx.NodeProto], known: Mapping[str, Array], name: str) -> Operand:
    """A constant, or a value's name, through what does not change it."""
    while name in makers and _is_same(makers[name]):
        name = makers[name].input[0]
    return known[name].astype(float) if name in known else name


def _step(node: onnx.NodeProto, constants: Mapping[str, Array], flow: Mapping[str, Step]) -> Step:
    read = tuple(name for name in node.input if name and name not in constants)
    kind = node.op_type
    if len(read) == 1 and kind in ("MatMul", "Gemm", "Add"):
        return _linear(node, constants, flow) or Step("other", read)
    if kind in _ACTIVATIONS:
        tanh = any(a.name == "approximate" and a.s == b"tanh" for a in node.attribute)
        return Step("activation", read, name="gelu_tanh" if tanh else _ACTIVATIONS[kind])
    if kind in _NORMS and len(read) == 1:
        return _norm(node, constants) or Step("other", read)
    if kind == "Mul" and len(read) == 2:
        return Step("product", read)
    return Step("same" if _is_same(node) and len(read) == 1 else "other", read)


def _is_same(node: onnx.NodeProto) -> bool:
    """Whether a node changes no value: not one that cuts fractions off."""
    if node.op_type != "Cast":
        return node.op_type in _SAME
    kind = next((a.i for a in node.attribute if a.name == "to"), onnx.TensorProto.UNDEFINED)
    return kind in _FLOATS


def _norm(node: onnx.NodeProto, constants: Mapping[str, Array]) -> Step | None:
    """A normalisation of the last axis with constant scale and shift."""
    options = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    given = [constants.get(name) for name in node.input[1:] if name]
    if any(a is None or a.ndim != 1 for a in given) or not given or options.get("axis", -1) != -1:
        return None
    scale, *shift = (np.asarray(a, dtype=float) for a in given)
    start, centred = node.input[0], node.op_type == "LayerNormalization"
    norm = Norm(start, centred, scale, shift[0] if shift else np.zeros(len(scale)))
    return Step("norm", (start,), norm=norm)


def _linear(node: onnx.NodeProto, constants: Mapping[str, Array], flow: Mapping[str, Step]) -> Step | None:
    """A product with a constant matrix on the right, or the sum of one and a bias."""
    given = [constants.get(name) for name in node.input]
    if node.op_type == "Add":
        (bias,) = (a for a in given if a is not None)
        front = flow.get(next(n for n, a in zip(node.input, given, strict=True) if a is None))
        if front is None or front.weights is None or bias.shape != front.weights[1].shape:
            return None
        return Step("linear", front.reads, weights=(front.weights[0], front.weights[1] + bias))
    if given[0] is not None or given[1] is None or given[1].ndim != 2:
        return None
    options = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    if options.get("transA") or options.get("alpha", 1.0) != 1 or options.get("beta", 1.0) != 1:
        return None
    matrix = np.asarray(given[1], dtype=float)
    matrix = matrix if options.get("transB") else matrix.T
    bias = given[2] if len(given) > 2 and given[2] is not None else np.zeros(len(matrix))
    return Step(
        "linear", (node.input[0],), weights=(matrix, np.broadcast_to(bias, (len(matrix),)).astype(float))
    )

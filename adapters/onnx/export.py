"""A network as an ONNX model in double precision: one group of nodes for each layer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from adapters.ops.patches import patch_weights, patches
from polytope.errors import UnsupportedOpError
from polytope.ir import (
    Activation,
    Composition,
    Convolution,
    Dense,
    Diagonal,
    Layer,
    LinearMap,
    MaxGroups,
    Network,
    PiecewiseLinear,
    Selection,
    Transposed,
)
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.paths import as_path
from polytope.ir.sweep import outputs

OPSET = 17
DOMAIN = "polytope"
_LARGEST_DENSE = 2**26


class _Writer:
    """The nodes and constants written so far; names are numbers."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.with_convolution = False
        self._count = 0

    def fresh(self) -> str:
        """A new name."""
        self._count += 1
        return f"t{self._count}"

    def constant(self, array: FloatArray | IntArray) -> str:
        """A stored constant."""
        name = self.fresh()
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        """A node with one output."""
        name = self.fresh()
        self.nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name


def to_onnx(network: Network, path: str | os.PathLike[str]) -> None:
    """Write a network as an ONNX file in double precision; loading it again gives the same function.

    Several inputs become one flat input; structure is kept: a convolution stays a Conv node.

    Arguments:
        network: what is written; the file's input is ``[batch, *input_shape]``, its output ``[batch, out]``.
        path: where; a file that is there is overwritten.

    Raises:
        UnsupportedOpError: a map is of no kind that ONNX has, and too large to be written as a matrix.
    """
    as_path(path).write_bytes(onnx_model(network).SerializeToString())


def onnx_model(network: Network) -> onnx.ModelProto:
    """A network as an ONNX model in double precision."""
    w = _Writer()
    shape: list[int | str | None] = ["batch", *network.input_shape]
    name = network.input_names[0] if len(network.input_names) == 1 else "input"
    last = outputs(network, w.node("Flatten", name, axis=1), _Names(w))
    output = "output" if name != "output" else "result"
    w.nodes.append(helper.make_node("Identity", [last], [output]))
    graph = helper.make_graph(
        w.nodes,
        "polytope",
        [helper.make_tensor_value_info(name, TensorProto.DOUBLE, shape)],
        [helper.make_tensor_value_info(output, TensorProto.DOUBLE, ["batch", network.output_dim])],
        w.constants,
    )
    opsets = [helper.make_opsetid("", OPSET)]
    if not w.with_convolution:
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)
    opsets.append(helper.make_opsetid(DOMAIN, 1))
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=[convolution_function()])


@dataclass(frozen=True, eq=False)
class _Names:
    """Values as names in a graph that is being written."""

    writer: _Writer

    def affine(self, number: int, layer: Layer, reads: Sequence[str]) -> str:
        z, w = "", self.writer
        for linear, h in zip(layer.maps, reads, strict=True):
            part = _map(w, linear, h)
            z = part if not z else w.node("Add", z, part)
        return w.node("Add", z, w.constant(layer.bias)) if layer.bias.any() else z

    def activate(self, number: int, layer: Layer, z: str) -> str:
        return _activation(self.writer, layer.phi, z)


def _map(w: _Writer, linear: LinearMap, x: str) -> str:
    """A linear map of ``[batch, in]``."""
    match linear:
        case Composition():
            return _map(w, linear.outer, _map(w, linear.inner, x))
        case Diagonal():
            return w.node("Mul", x, w.constant(linear.factors))
        case Selection():
            return _selection(w, linear, x)
        case Convolution():
            return _convolution(w, linear, x, transposed=False)
        case Transposed(of=Convolution() as inner):
            return _convolution(w, inner, x, transposed=True)
        case Dense():
            return w.node("MatMul", x, w.constant(linear.matrix.T))
    return _full(w, linear, x)


def _full(w: _Writer, linear: LinearMap, x: str) -> str:
    """Any other map by its matrix."""
    if prod(linear.shape) > _LARGEST_DENSE:
        raise UnsupportedOpError(
            f"A sparse map of shape {linear.shape} is too large to be written as a matrix."
        )
    return w.node("MatMul", x, w.constant(linear.to_sparse().toarray().T))


def _selection(w: _Writer, linear: Selection, x: str) -> str:
    """Columns gathered; a column of zeros is appended where the selection pads."""
    index = linear.index
    if len(index) == linear.n_inputs and (index == np.arange(len(index))).all():
        return x
    if (index < 0).any():
        x = w.node("Pad", x, w.constant(np.array([0, 0, 0, 1])))
        index = np.where(index < 0, linear.n_inputs, index)
    return w.node("Gather", x, w.constant(index.astype(np.int64)), axis=1)


def _convolution(w: _Writer, c: Convolution, x: str, *, transposed: bool) -> str:
    """A call of the function below, with the geometry as attributes."""
    source = c.output_shape if transposed else c.input_shape
    layout = np.array([-1, c.groups, prod(source) // c.groups])
    operands = (layout, patches(c, transposed=transposed), patch_weights(c, transposed=transposed))
    values = {
        "input_shape": c.input_shape,
        "kernel_sizes": c.kernel.shape[2:],
        "stride": c.stride,
        "dilation": c.dilation,
        "padding": [p for pair in c.padding for p in pair],
    }
    integers = {"groups": c.groups, "transposed": int(transposed)}
    lists = {name: [int(n) for n in numbers] for name, numbers in values.items()}
    constants = [w.constant(array) for array in operands]
    w.with_convolution = True
    return w.node("Convolution", x, *constants, domain=DOMAIN, **lists, **integers)


def convolution_function() -> onnx.FunctionProto:
    """A convolution of ``[batch, in]`` by Gather and MatMul, which runtimes have in double precision."""
    nodes = [
        helper.make_node("Reshape", ["x", "layout"], ["grouped"]),
        helper.make_node("Constant", [], ["pads"], value_ints=[0, 0, 0, 0, 0, 1]),
        helper.make_node("Pad", ["grouped", "pads"], ["padded"]),
        helper.make_node("Gather", ["padded", "patches"], ["gathered"], axis=2),
        helper.make_node("MatMul", ["gathered", "weights"], ["summed"]),
        helper.make_node("Transpose", ["summed"], ["turned"], perm=[0, 1, 3, 2]),
        helper.make_node("Flatten", ["turned"], ["y"], axis=1),
    ]
    inputs = ["x", "layout", "patches", "weights"]
    names = ["input_shape", "kernel_sizes", "stride", "dilation", "padding", "groups", "transposed"]
    opset = [helper.make_opsetid("", OPSET)]
    return helper.make_function(DOMAIN, "Convolution", inputs, ["y"], nodes, opset, names)


def _activation(w: _Writer, activation: Activation, z: str) -> str:
    if isinstance(activation, MaxGroups):
        return _largest(w, activation, z)
    if isinstance(activation, PiecewiseLinear):
        return _pointwise(w, activation, z)
    raise UnsupportedOpError(f"An activation of kind {type(activation).__name__} cannot be written to ONNX.")


def _pointwise(w: _Writer, f: PiecewiseLinear, z: str) -> str:
    """ReLU and clips as themselves; others as a sum of hinges, an affine part plus c max(z - t, 0) each."""
    tables = (f.breakpoints, f.slopes, f.intercepts)
    if all(len(t) == 1 for t in tables) and _is_clip(f):
        low, high = f.intercepts[0, 0], f.intercepts[0, -1]
        if f.slopes.shape[1] == 2 and f.slopes[0, 0] == 0 and low == 0:
            return w.node("Relu", z)
        bounds = [low if f.slopes[0, 0] == 0 else -np.inf, high if f.slopes[0, -1] == 0 else np.inf]
        return w.node("Clip", z, *(w.constant(np.array(b)) for b in bounds))
    out = w.node("Mul", z, w.constant(f.slopes[:, 0]))
    out = w.node("Add", out, w.constant(f.intercepts[:, 0])) if f.intercepts[:, 0].any() else out
    for k in range(f.breakpoints.shape[1]):
        finite = np.isfinite(f.breakpoints[:, k])
        steps = np.where(finite, f.slopes[:, k + 1] - f.slopes[:, k], 0.0)
        shift = np.where(finite, f.breakpoints[:, k], 0.0)
        hinge = w.node("Relu", w.node("Sub", z, w.constant(shift)) if shift.any() else z)
        out = w.node("Add", out, w.node("Mul", hinge, w.constant(steps)))
    return out


def _is_clip(f: PiecewiseLinear) -> bool:
    """Whether a function is the identity between flat ends."""
    slopes, middle = f.slopes[0], f.slopes[0].tolist().index(1.0) if 1.0 in f.slopes[0] else -1
    flat = np.delete(slopes, middle)
    return middle >= 0 and not flat.any() and f.intercepts[0, middle] == 0.0 and len(slopes) <= 3


def _largest(w: _Writer, groups: MaxGroups, z: str) -> str:
    """Members gathered as ``[batch, groups, size]``, a shorter group by its first member again."""
    members = np.where(groups.members < 0, groups.members[:, :1], groups.members)
    gathered = w.node("Gather", z, w.constant(members.astype(np.int64)), axis=1)
    return w.node("ReduceMax", gathered, axes=[2], keepdims=0)

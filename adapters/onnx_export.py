"""A network as an ONNX model in double precision: one group of nodes for each layer."""

from __future__ import annotations

import os
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

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

_OPSET = 17
_LARGEST_DENSE = 2**26


class _Writer:
    """The nodes and constants written so far; names are numbers."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
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


def write_onnx(network: Network, path: str | os.PathLike[str]) -> None:
    """Write a network; the file's input and output are flat, ``[batch, d]`` and ``[batch, out]``."""
    Path(path).write_bytes(onnx_model(network).SerializeToString())


def onnx_model(network: Network) -> onnx.ModelProto:
    """A network as an ONNX model in double precision."""
    w = _Writer()
    shape: list[int | str | None] = ["batch", *network.input_shape]
    name = network.input_names[0] if len(network.input_names) == 1 else "input"
    values = [w.node("Flatten", name, axis=1)]
    for layer in network.layers:
        values.append(_layer(w, layer, values))
    output = "output" if name != "output" else "result"
    w.nodes.append(helper.make_node("Identity", [values[-1]], [output]))
    graph = helper.make_graph(
        w.nodes,
        "polytope",
        [helper.make_tensor_value_info(name, TensorProto.DOUBLE, shape)],
        [helper.make_tensor_value_info(output, TensorProto.DOUBLE, ["batch", network.output_dim])],
        w.constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=8)


def _layer(w: _Writer, layer: Layer, values: list[str]) -> str:
    """One layer: the sum of its maps and bias, then its activation."""
    z = ""
    for k, linear in zip(layer.inputs, layer.maps, strict=True):
        part = _map(w, linear, values[k])
        z = part if not z else w.node("Add", z, part)
    z = w.node("Add", z, w.constant(layer.bias)) if layer.bias.any() else z
    return z if layer.activation is None else _activation(w, layer.activation, z)


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
            return _convolution(w, linear, x)
        case Transposed(of=Convolution() as inner):
            return _convolution_transpose(w, inner, x)
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


def _image(w: _Writer, x: str, shape: tuple[int, ...]) -> str:
    return w.node("Reshape", x, w.constant(np.array([-1, *shape])))


def _geometry(c: Convolution) -> dict[str, Any]:
    return {"strides": list(c.stride), "dilations": list(c.dilation), "group": c.groups}


def _convolution(w: _Writer, c: Convolution, x: str) -> str:
    image = _image(w, x, c.input_shape)
    widths = [0, 0, *(a for a, _ in c.padding), 0, 0, *(b for _, b in c.padding)]
    image = w.node("Pad", image, w.constant(np.array(widths))) if any(widths) else image
    return w.node("Flatten", w.node("Conv", image, w.constant(c.kernel), **_geometry(c)), axis=1)


def _convolution_transpose(w: _Writer, c: Convolution, y: str) -> str:
    """The transposed map: full output of ConvTranspose, cropped or padded to the image."""
    image = _image(w, y, c.output_shape)
    full = w.node("ConvTranspose", image, w.constant(c.kernel), **_geometry(c))
    after = []
    for n, m, k, s, d, (before, _) in zip(
        c.input_shape[1:],
        c.output_shape[1:],
        c.kernel.shape[2:],
        c.stride,
        c.dilation,
        c.padding,
        strict=True,
    ):
        after.append(n - (s * (m - 1) + d * (k - 1) + 1 - before))
    widths = [0, 0, *(-before for before, _ in c.padding), 0, 0, *after]
    full = w.node("Pad", full, w.constant(np.array(widths))) if any(widths) else full
    return w.node("Flatten", full, axis=1)


def _activation(w: _Writer, activation: Activation, z: str) -> str:
    if isinstance(activation, MaxGroups):
        return _largest(w, activation, z)
    if isinstance(activation, PiecewiseLinear):
        return _bend(w, activation, z)
    raise UnsupportedOpError(f"An activation of kind {type(activation).__name__} cannot be written to ONNX.")


def _bend(w: _Writer, f: PiecewiseLinear, z: str) -> str:
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
        bends = np.isfinite(f.breakpoints[:, k])
        steps = np.where(bends, f.slopes[:, k + 1] - f.slopes[:, k], 0.0)
        shift = np.where(bends, f.breakpoints[:, k], 0.0)
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

"""An ONNX graph in the making: tensors of a TFLite file by number, nodes and constants by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from adapters.lowering.layers import Array
from adapters.tflite.file import Graph, Operator, Stored
from polytope.errors import CorruptFileError, NotPiecewiseLinearError, UnsupportedOpError

QUANTISED = (
    "is quantised: rounding is a step, not a slope, so no piecewise-linear network equals the model. "
    "load(path, dequantised=True) reads the network of the same weights without rounding."
)
_RANGES = {"i1": (-128, 127), "u1": (0, 255), "i2": (-32768, 32767)}


@dataclass(eq=False)
class Written:
    """The nodes that were written so far.

    Arguments:
        graph: of the file.
        dequantised: whether whole numbers are read as what they stand for, and rounding is left out.
    """

    graph: Graph
    dequantised: bool
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, onnx.TensorProto] = field(default_factory=dict)
    quantised: bool = False

    def node(self, op: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        """One node more; the name of what it gives."""
        name = output or f"polytope:{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def constant(self, array: Any) -> str:
        """Numbers of our own."""
        name = f"polytope:constant{len(self.constants)}"
        self.constants[name] = numpy_helper.from_array(np.asarray(array), name)
        return name

    def tensor(self, operator: Operator, place: int) -> Stored:
        """An operand that must be there."""
        number = operator.inputs[place] if place < len(operator.inputs) else -1
        if number < 0:
            raise CorruptFileError(f"Operator {operator.name} needs an operand in place {place}.")
        return self.graph.tensors[number]

    def has(self, operator: Operator, place: int) -> bool:
        """Whether an optional operand is there."""
        return place < len(operator.inputs) and operator.inputs[place] >= 0

    def integers(self, operator: Operator, place: int) -> list[int]:
        """An operand of whole numbers that must be constant."""
        stored = self.tensor(operator, place)
        if stored.data is None or stored.data.dtype.kind not in "iu":
            raise UnsupportedOpError(
                f"Operator {operator.name}: its operand {stored.name!r} is not constant."
            )
        return [int(n) for n in stored.data.ravel()]

    def value(self, operator: Operator, place: int) -> str:
        """The name of an operand."""
        return self.named(self.tensor(operator, place))

    def named(self, stored: Stored) -> str:
        """The name of a tensor; constants become floating-point numbers where they stand for some."""
        if stored.sparse:
            raise UnsupportedOpError(f"Tensor {stored.name!r} is sparse, which is not read.")
        if stored.data is not None and stored.name not in self.constants:
            array = stored.data
            if stored.scale is not None and array.dtype.kind in "iu":
                self.refuse_quantised(stored)
                array = meant(stored)
            self.constants[stored.name] = numpy_helper.from_array(array, stored.name)
        return stored.name

    def refuse_quantised(self, stored: Stored) -> None:
        """Whole numbers that stand for others are read only where that is asked for."""
        self.quantised = True
        if not self.dequantised:
            raise NotPiecewiseLinearError(f"Tensor {stored.name!r} {QUANTISED}")

    def give(self, operator: Operator, value: str, place: int = 0) -> None:
        """A value is what the operator gives; of quantised numbers the range, without rounding."""
        if place >= len(operator.outputs) or operator.outputs[place] < 0:
            raise CorruptFileError(f"Operator {operator.name} has no output in place {place}.")
        self.settle(self.graph.tensors[operator.outputs[place]], value)

    def settle(self, stored: Stored, value: str) -> None:
        """A value by the name of a tensor of the file."""
        if stored.scale is None or stored.kind not in _RANGES:
            self.node("Identity", [value], stored.name)
            return
        self.refuse_quantised(stored)
        if len(stored.scale) != 1 or stored.zero is None:
            raise UnsupportedOpError(f"Tensor {stored.name!r} is quantised along an axis, which is not read.")
        ends = [np.float32(float(stored.scale[0]) * (n - int(stored.zero[0]))) for n in _RANGES[stored.kind]]
        self.node("Clip", [value, *(self.constant(end) for end in ends)], stored.name)


def meant(stored: Stored) -> Array:
    """What whole numbers stand for: scale times (number minus zero point), in single precision."""
    assert stored.data is not None, "a constant"
    assert stored.scale is not None, "one that is quantised"
    assert stored.zero is not None, "scales come with zero points"
    along = [1] * stored.data.ndim
    if len(stored.scale) > 1:
        along[stored.axis] = -1
    shifted = stored.data.astype(np.int64) - stored.zero.reshape(along if along else ())
    found: Array = stored.scale.reshape(along) * shifted.astype(np.float32)
    return found.astype(np.float32)

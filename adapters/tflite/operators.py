"""What TFLite's operators are in ONNX: channels come last in TFLite, and activations belong to operators."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from adapters.tflite.file import Operator
from adapters.tflite.graph import Written, meant
from adapters.tflite.windows import WINDOWED
from polytope.errors import CorruptFileError, NotPiecewiseLinearError, UnsupportedOpError

_PLAIN: Mapping[str, str] = {
    "ABS": "Abs",
    "NEG": "Neg",
    "RELU": "Relu",
    "PRELU": "PRelu",
    "ELU": "Elu",
    "EXP": "Exp",
    "LOG": "Log",
    "SQRT": "Sqrt",
    "RSQRT": "Reciprocal",
    "LOGISTIC": "Sigmoid",
    "TANH": "Tanh",
    "HARD_SWISH": "HardSwish",
    "MAXIMUM": "Max",
    "MINIMUM": "Min",
    "ADD": "Add",
    "SUB": "Sub",
    "MUL": "Mul",
    "DIV": "Div",
    "POW": "Pow",
    "FLOOR": "Floor",
    "ROUND": "Round",
    "SIN": "Sin",
    "COS": "Cos",
    "CEIL": "Ceil",
    "SIGN": "Sign",
}
"""Operators of the same operands in both; those that are no rule's are refused there, for what they are."""

_BOUNDS: Mapping[str, tuple[float, float]] = {
    "RELU6": (0.0, 6.0),
    "RELU_N1_TO_1": (-1.0, 1.0),
    "RELU_0_TO_1": (0.0, 1.0),
}
_FUSED = ("", "RELU", "RELU_N1_TO_1", "RELU6", "TANH")
"""Activations that belong to an operator, by their numbers."""


def write(g: Written, operator: Operator) -> None:
    """Write one operator as nodes.

    Raises:
        UnsupportedOpError: it has no counterpart here.
    """
    if min(operator.outputs, default=-1) < 0:
        raise CorruptFileError("it has no output.")
    if operator.name in _SEVERAL:
        _SEVERAL[operator.name](g, operator)
        return
    if operator.name in _PLAIN:
        value = g.node(_PLAIN[operator.name], [g.value(operator, i) for i in range(len(operator.inputs))])
    elif operator.name in _BOUNDS:
        value = _activated(g, g.value(operator, 0), operator.name)
    elif operator.name in WINDOWED:
        value = WINDOWED[operator.name](g, operator)
    elif operator.name in _OWN:
        value = _OWN[operator.name](g, operator)
    else:
        sparse = operator.name == "DENSIFY"
        why = "sparse weights are not read" if sparse else "this operator of TFLite is not supported"
        raise UnsupportedOpError(f"{why}. Export the model to ONNX.")
    fused = operator.options.get("FusedActivationFunction", 0)
    if not 0 <= fused < len(_FUSED):
        raise NotPiecewiseLinearError(f"the activation of number {fused} that belongs to it is none.")
    g.give(operator, _activated(g, value, _FUSED[fused]))


def _activated(g: Written, value: str, name: str) -> str:
    if name in _BOUNDS:
        return g.node("Clip", [value, *(g.constant(np.float32(end)) for end in _BOUNDS[name])])
    return g.node(_PLAIN[name], [value]) if name else value


def _dense(g: Written, operator: Operator) -> str:
    """Rows times the transposed weights."""
    weights = g.tensor(operator, 1)
    if operator.options["WeightsFormat"] or len(weights.shape) != 2 or None in weights.shape:
        raise UnsupportedOpError("the layout of its weights is not supported.")
    x = g.value(operator, 0)
    if not operator.options["KeepNumDims"]:
        x = g.node("Reshape", [x, g.constant(np.array([-1, weights.shape[1]], dtype=np.int64))])
    found = g.node("MatMul", [x, g.node("Transpose", [g.named(weights)], perm=[1, 0])])
    return g.node("Add", [found, g.value(operator, 2)]) if g.has(operator, 2) else found


def _product(g: Written, operator: Operator) -> str:
    """Of matrices, the last two axes of either turned where that is asked for."""
    factors = []
    for place, turned in enumerate(("AdjX", "AdjY")):
        factor, rank = g.value(operator, place), len(g.tensor(operator, place).shape)
        if operator.options[turned] and rank > 1:
            factor = g.node("Transpose", [factor], perm=[*range(rank - 2), rank - 1, rank - 2])
        factors.append(factor)
    return g.node("MatMul", factors)


def _reduced(op: str) -> Callable[[Written, Operator], str]:
    def write(g: Written, operator: Operator) -> str:
        axes = g.constant(np.array(g.integers(operator, 1), dtype=np.int64))
        return g.node(op, [g.value(operator, 0), axes], keepdims=int(operator.options["KeepDims"]))

    return write


def _reshaped(g: Written, operator: Operator) -> str:
    """To the shape of what the operator gives, where no operand says it."""
    if g.has(operator, 1):
        shape: list[int | None] = [*g.integers(operator, 1)]
    else:
        shape = [-1 if n is None else n for n in g.graph.tensors[operator.outputs[0]].shape]
    return g.node("Reshape", [g.value(operator, 0), g.constant(np.array(shape, dtype=np.int64))])


def _padded(g: Written, operator: Operator) -> str:
    ends = g.integers(operator, 1)
    pads = g.constant(np.array([*ends[::2], *ends[1::2]], dtype=np.int64))
    mode = "constant"
    if operator.name == "MIRROR_PAD":
        if operator.options["Mode"]:
            raise UnsupportedOpError("its symmetric mode is not supported.")
        mode = "reflect"
    more = [g.value(operator, 2)] if g.has(operator, 2) else []
    return g.node("Pad", [g.value(operator, 0), pads, *more], mode=mode)


def _turned(g: Written, operator: Operator) -> str:
    return g.node("Transpose", [g.value(operator, 0)], perm=g.integers(operator, 1))


def _joined(g: Written, operator: Operator) -> str:
    values = [g.value(operator, i) for i in range(len(operator.inputs))]
    return g.node("Concat", values, axis=int(operator.options["Axis"]))


def _packed(g: Written, operator: Operator) -> str:
    """Along a new axis."""
    axis = int(operator.options["Axis"])
    new = g.constant(np.array([axis], dtype=np.int64))
    values = [g.node("Unsqueeze", [g.value(operator, i), new]) for i in range(len(operator.inputs))]
    return g.node("Concat", values, axis=axis)


def _sliced(g: Written, operator: Operator) -> str:
    start, size = g.integers(operator, 1), g.integers(operator, 2)
    end = [2**31 - 1 if n < 0 else a + n for a, n in zip(start, size, strict=False)]
    return _between(g, g.value(operator, 0), start, end, [1] * len(end))


def _strided(g: Written, operator: Operator) -> str:
    options = operator.options
    if options["EllipsisMask"] or options["NewAxisMask"] or options["Offset"]:
        raise UnsupportedOpError("new axes, ellipses and offsets are not supported.")
    start, end, step = (g.integers(operator, i) for i in (1, 2, 3))
    if not len(start) == len(end) == len(step) or 0 in step:
        raise CorruptFileError("its bounds and steps do not fit each other.")
    single = [i for i in range(len(start)) if options["ShrinkAxisMask"] >> i & 1]
    for i, by in enumerate(step):
        if options["BeginMask"] >> i & 1:
            start[i] = 0 if by > 0 else 2**31 - 1
        if options["EndMask"] >> i & 1:
            end[i] = 2**31 - 1 if by > 0 else -(2**31)
        if i in single:
            end[i], step[i] = start[i] + 1 if start[i] != -1 else 2**31 - 1, 1
    found = _between(g, g.value(operator, 0), start, end, step)
    return g.node("Squeeze", [found, g.constant(np.array(single, dtype=np.int64))]) if single else found


def _between(g: Written, value: str, start: list[int], end: list[int], step: list[int]) -> str:
    bounds = (start, end, [*range(len(start))], step)
    return g.node("Slice", [value, *(g.constant(np.array(b, dtype=np.int64)) for b in bounds)])


def _leaky(g: Written, operator: Operator) -> str:
    return g.node("LeakyRelu", [g.value(operator, 0)], alpha=float(operator.options["Alpha"]))


def _gelu(g: Written, operator: Operator) -> str:
    way = "tanh" if operator.options["Approximate"] else "none"
    return g.node("Gelu", [g.value(operator, 0)], approximate=way)


def _softmax(g: Written, operator: Operator) -> str:
    return g.node("Softmax", [g.value(operator, 0)], axis=-1)


def _squeezed(g: Written, operator: Operator) -> str:
    """Axes of length one go, or come: the shape says which."""
    return _reshaped(g, Operator(operator.name, operator.inputs[:1], operator.outputs, {}))


def _rounded(g: Written, operator: Operator) -> str:
    """To the whole numbers of what it gives, if that is asked for."""
    g.refuse_quantised(g.graph.tensors[operator.outputs[0]])
    return g.value(operator, 0)


def _meant(g: Written, operator: Operator) -> str:
    """Constants in fewer bits are what they stand for; computed whole numbers are so already."""
    stored = g.tensor(operator, 0)
    if stored.data is None or stored.sparse:
        return g.value(operator, 0)
    return g.constant(stored.data.astype(np.float32) if stored.scale is None else meant(stored))


def _split(g: Written, operator: Operator) -> None:
    """Equal parts along an axis."""
    [axis], count = g.integers(operator, 0), len(operator.outputs)
    shape = g.tensor(operator, 1).shape
    size = shape[axis] if -len(shape) <= axis < len(shape) else None
    if size is None or not count or size % count or count != operator.options["NumSplits"]:
        raise UnsupportedOpError(
            "an axis that is open, or does not split into equal parts, is not supported."
        )
    x, step = g.value(operator, 1), size // count
    for i in range(count):
        ends = (np.array([n], dtype=np.int64) for n in (i * step, (i + 1) * step, axis))
        g.give(operator, g.node("Slice", [x, *(g.constant(n) for n in ends)]), i)


_SEVERAL: Mapping[str, Callable[[Written, Operator], None]] = {"SPLIT": _split}
_OWN: Mapping[str, Callable[[Written, Operator], str]] = {
    "FULLY_CONNECTED": _dense,
    "BATCH_MATMUL": _product,
    "MEAN": _reduced("ReduceMean"),
    "SUM": _reduced("ReduceSum"),
    "REDUCE_MAX": _reduced("ReduceMax"),
    "REDUCE_MIN": _reduced("ReduceMin"),
    "RESHAPE": _reshaped,
    "SQUEEZE": _squeezed,
    "EXPAND_DIMS": _squeezed,
    "PAD": _padded,
    "PADV2": _padded,
    "MIRROR_PAD": _padded,
    "TRANSPOSE": _turned,
    "CONCATENATION": _joined,
    "PACK": _packed,
    "SLICE": _sliced,
    "STRIDED_SLICE": _strided,
    "LEAKY_RELU": _leaky,
    "GELU": _gelu,
    "SOFTMAX": _softmax,
    "QUANTIZE": _rounded,
    "DEQUANTIZE": _meant,
}

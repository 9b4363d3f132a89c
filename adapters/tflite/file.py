"""A TFLite file's bytes become tensors and operators by name; nothing is run, every length is checked."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from adapters.lowering.layers import Array
from polytope.errors import CorruptFileError, LoadError, UnsupportedOpError

_IDENTIFIER = b"TFL3"
_KINDS = {0: "f4", 1: "f2", 2: "i4", 3: "u1", 4: "i8", 6: "?", 7: "i2", 9: "i1", 10: "f8", 12: "u8", 15: "u4"}
_MOST_AXES = 8
_CONVOLUTION = "Padding StrideW StrideH DilationWFactor DilationHFactor FusedActivationFunction"
_POOL = "Padding StrideW StrideH FilterWidth FilterHeight FusedActivationFunction"
_RESIZE = "AlignCorners HalfPixelCenters"
_OPTIONS: Mapping[str, tuple[str, str]] = {
    "CONV_2D": ("Conv2DOptions", _CONVOLUTION),
    "DEPTHWISE_CONV_2D": ("DepthwiseConv2DOptions", _CONVOLUTION),
    "TRANSPOSE_CONV": ("TransposeConvOptions", "StrideW StrideH FusedActivationFunction"),
    "FULLY_CONNECTED": ("FullyConnectedOptions", "FusedActivationFunction WeightsFormat KeepNumDims"),
    "BATCH_MATMUL": ("BatchMatMulOptions", "AdjX AdjY"),
    "ADD": ("AddOptions", "FusedActivationFunction"),
    "SUB": ("SubOptions", "FusedActivationFunction"),
    "MUL": ("MulOptions", "FusedActivationFunction"),
    "DIV": ("DivOptions", "FusedActivationFunction"),
    "LEAKY_RELU": ("LeakyReluOptions", "Alpha"),
    "GELU": ("GeluOptions", "Approximate"),
    "MAX_POOL_2D": ("Pool2DOptions", _POOL),
    "AVERAGE_POOL_2D": ("Pool2DOptions", _POOL),
    "MEAN": ("ReducerOptions", "KeepDims"),
    "SUM": ("ReducerOptions", "KeepDims"),
    "REDUCE_MAX": ("ReducerOptions", "KeepDims"),
    "REDUCE_MIN": ("ReducerOptions", "KeepDims"),
    "MIRROR_PAD": ("MirrorPadOptions", "Mode"),
    "CONCATENATION": ("ConcatenationOptions", "Axis FusedActivationFunction"),
    "RESIZE_BILINEAR": ("ResizeBilinearOptions", _RESIZE),
    "RESIZE_NEAREST_NEIGHBOR": ("ResizeNearestNeighborOptions", _RESIZE),
    "DEPTH_TO_SPACE": ("DepthToSpaceOptions", "BlockSize"),
    "SPACE_TO_DEPTH": ("SpaceToDepthOptions", "BlockSize"),
    "STRIDED_SLICE": (
        "StridedSliceOptions",
        "BeginMask EndMask EllipsisMask NewAxisMask ShrinkAxisMask Offset",
    ),
    "SPLIT": ("SplitOptions", "NumSplits"),
    "PACK": ("PackOptions", "Axis"),
    "SOFTMAX": ("SoftmaxOptions", "Beta"),
}
"""The table of options of an operator, and the fields of it that are read."""


@dataclass(frozen=True, eq=False)
class Stored:
    """A tensor of the file.

    Arguments:
        name: in the file, made unique.
        shape: an open size is ``None``.
        kind: of its numbers, as numpy says it; empty for others.
        data: its numbers, where they are constant.
        scale, zero, axis: what whole numbers stand for; no scales where they stand for themselves.
        sparse: whether most of its numbers are left out.
    """

    name: str
    shape: tuple[int | None, ...]
    kind: str
    data: Array | None = None
    scale: Array | None = None
    zero: Array | None = None
    axis: int = 0
    sparse: bool = False


@dataclass(frozen=True)
class Operator:
    """One operator: tensors by number, -1 where an optional one is left out; options by their names."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Graph:
    """The main graph of a file."""

    tensors: tuple[Stored, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def parse(data: bytes) -> Graph:
    """The graph in a file's bytes.

    Raises:
        CorruptFileError: this is no TFLite file, or its tables lead outside it.
        LoadError: the package that reads such files is not installed.
    """
    if data[4:8] != _IDENTIFIER:
        raise CorruptFileError("It is no TFLite file: the letters TFL3 are not where they should be.")
    try:
        import tflite
    except ImportError as error:
        raise LoadError("TFLite files need the package tflite: pip install 'polytope-nn[tflite]'.") from error
    try:
        return _graph(tflite, tflite.Model.GetRootAs(data, 0), len(data))
    except (struct.error, IndexError, ValueError, TypeError, OverflowError, AttributeError) as error:
        raise CorruptFileError("It is truncated or corrupt: a table of it leads outside the file.") from error


def _graph(schema: Any, model: Any, size: int) -> Graph:
    if model.SubgraphsLength() < 1:
        raise CorruptFileError("It holds no graph.")
    graph = model.Subgraphs(0)
    names: set[str] = set()
    tensors = tuple(
        _stored(model, graph.Tensors(i), i, names) for i in range(_bounded(graph.TensorsLength(), size))
    )
    codes = [model.OperatorCodes(i) for i in range(_bounded(model.OperatorCodesLength(), size))]
    known = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    operators = tuple(
        _operator(schema, known, codes, graph.Operators(i), len(tensors))
        for i in range(_bounded(graph.OperatorsLength(), size))
    )
    ends = [_places(graph, which, len(tensors)) for which in ("Inputs", "Outputs")]
    return Graph(tensors, operators, *ends)


def _bounded(length: int, size: int) -> int:
    """A number of entries, each of which takes four bytes of the file at least."""
    if not 0 <= length <= size // 4:
        raise CorruptFileError(f"It claims to hold {length:,} entries in {size:,} bytes.")
    return length


def _places(table: Any, which: str, count: int) -> tuple[int, ...]:
    """Numbers of tensors; -1 stands for none."""
    if getattr(table, f"{which}IsNone")():
        return ()
    found = tuple(int(i) for i in getattr(table, f"{which}AsNumpy")())
    if not all(-1 <= i < count for i in found):
        raise CorruptFileError("An operator, or the graph, names a tensor that there is not.")
    return found


def _operator(schema: Any, known: Mapping[int, str], codes: list[Any], operator: Any, count: int) -> Operator:
    code = codes[operator.OpcodeIndex()]
    name = known.get(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()), "of an unknown number")
    if name == "CUSTOM":
        name = f"CUSTOM {(code.CustomCode() or b'').decode(errors='replace')}"
    return Operator(
        name,
        _places(operator, "Inputs", count),
        _places(operator, "Outputs", count),
        _options(schema, name, operator),
    )


def _options(schema: Any, name: str, operator: Any) -> dict[str, Any]:
    """The options that are read of an operator; those of a table that is left out are all zero."""
    if name not in _OPTIONS:
        return {}
    kind, fields = _OPTIONS[name]
    table = operator.BuiltinOptions()
    if table is None:
        return dict.fromkeys(fields.split(), 0)
    if operator.BuiltinOptionsType() != getattr(schema.BuiltinOptions, kind):
        raise CorruptFileError(f"Operator {name} comes with the options of another.")
    options = getattr(schema, kind)()
    options.Init(table.Bytes, table.Pos)
    return {field: getattr(options, field)() for field in fields.split()}


def _stored(model: Any, tensor: Any, number: int, names: set[str]) -> Stored:
    """A tensor with a name of its own."""
    name = (tensor.Name() or b"").decode(errors="replace") or f"tensor_{number}"
    name = name if name not in names else f"{name}#{number}"
    names.add(name)
    shape = tuple(int(n) for n in _vector(tensor.ShapeAsNumpy, tensor.ShapeIsNone))
    signature = tuple(int(n) for n in _vector(tensor.ShapeSignatureAsNumpy, tensor.ShapeSignatureIsNone))
    if len(shape) > _MOST_AXES or min(shape, default=0) < 0:
        raise CorruptFileError(f"Tensor {name!r} has the shape {shape[:12]}.")
    kind = _KINDS.get(tensor.Type(), "")
    data = _numbers(model, tensor, name, shape, kind)
    opened = signature if len(signature) == len(shape) and data is None else shape
    scale, zero, axis = _quantisation(tensor.Quantization(), name, shape)
    return Stored(
        name,
        tuple(None if open_ < 0 else n for n, open_ in zip(shape, opened, strict=True)),
        kind,
        data,
        scale,
        zero,
        axis,
        sparse=tensor.Sparsity() is not None,
    )


def _vector(read: Callable[[], Any], missing: Callable[[], bool]) -> Any:
    """A vector of the file; empty where it is left out."""
    return () if missing() else read()


def _numbers(model: Any, tensor: Any, name: str, shape: tuple[int, ...], kind: str) -> Array | None:
    """What a tensor's buffer holds; buffer 0 is that of all tensors which are computed."""
    buffer = model.Buffers(tensor.Buffer()) if tensor.Buffer() < model.BuffersLength() else None
    if buffer is None:
        raise CorruptFileError(f"Tensor {name!r} names a buffer that there is not.")
    if buffer.Offset() > 1:
        raise UnsupportedOpError(f"Tensor {name!r} is stored behind the model's tables, which is not read.")
    if buffer.DataIsNone() or not buffer.DataLength() or not kind or tensor.Sparsity() is not None:
        return None
    raw = buffer.DataAsNumpy()
    if raw.size != prod(shape) * np.dtype(kind).itemsize:
        raise CorruptFileError(f"Tensor {name!r} of shape {shape} does not fit its {raw.size} bytes.")
    return np.frombuffer(raw.tobytes(), np.dtype(kind).newbyteorder("<")).reshape(shape).astype(kind)


def _quantisation(given: Any, name: str, shape: tuple[int, ...]) -> tuple[Array | None, Array | None, int]:
    """Scales and zero points, one or one for each place along an axis."""
    if given is None or given.ScaleIsNone() or not given.ScaleLength():
        return None, None, 0
    scale, axis = np.array(given.ScaleAsNumpy(), dtype=np.float32), int(given.QuantizedDimension())
    zero = np.array(_vector(given.ZeroPointAsNumpy, given.ZeroPointIsNone), dtype=np.int64)
    zero = zero if zero.size else np.zeros(len(scale), dtype=np.int64)
    along = 0 <= axis < len(shape) and len(scale) == shape[axis]
    if (
        len(zero) != len(scale)
        or not (len(scale) == 1 or along)
        or not (np.isfinite(scale) & (scale > 0)).all()
    ):
        raise CorruptFileError(f"The scales of tensor {name!r} do not fit its shape {shape}.")
    return scale, zero, axis

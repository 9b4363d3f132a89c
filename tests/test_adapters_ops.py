"""Every ONNX operator in every variant: the network equals onnxruntime, which each load checks itself."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from adapters import from_onnx, from_torch, load, supported_ops, supported_ops_markdown
from adapters.check import TOLERANCE
from adapters.lowering.reasons import refusal
from polytope.errors import (
    CorruptFileError,
    LoadError,
    NotPiecewiseLinearError,
    UnsafeFileError,
    UnsupportedOpError,
)
from polytope.ir import Network

RNG = np.random.default_rng(0)
Constants = Mapping[str, np.ndarray]


def floats(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def model_of(
    nodes: Sequence[onnx.NodeProto],
    shape: Sequence[int | str],
    constants: Constants | None = None,
    *,
    opset: int = 17,
    kind: int = TensorProto.FLOAT,
    outputs: Sequence[str] = ("y",),
) -> onnx.ModelProto:
    """A model with input x."""
    graph = helper.make_graph(
        list(nodes),
        "case",
        [helper.make_tensor_value_info("x", kind, list(shape))],
        [onnx.ValueInfoProto(name=o) for o in outputs],
        [numpy_helper.from_array(np.asarray(a), n) for n, a in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def node(op: str, *inputs: str, outputs: Sequence[str] = ("y",), **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, ["x", *inputs], list(outputs), **attributes)


Case = tuple[str, onnx.NodeProto, tuple[int | str, ...], Constants, int]
CASES: list[Case] = []


def case(
    op: str,
    shape: tuple[int | str, ...],
    opset: int = 17,
    constants: Constants | None = None,
    **attributes: Any,
) -> None:
    """One operator on x, with constants as further operands ("" in a name leaves one out)."""
    constants = constants or {}
    names = ["" if n.startswith("_") else n for n in constants]
    kept = {n: a for n, a in constants.items() if not n.startswith("_")}
    label = f"{op}-{opset}-{len(CASES)}"
    CASES.append((label, node(op, *names, **attributes), shape, kept, opset))


def left(op: str, shape: tuple[int | str, ...], opset: int, constant: np.ndarray, **attributes: Any) -> None:
    """One operator with the constant in front of x."""
    made = helper.make_node(op, ["c", "x"], ["y"], **attributes)
    CASES.append((f"{op}-left-{len(CASES)}", made, shape, {"c": constant}, opset))


NONE = np.zeros(0, dtype=np.float32)
IMAGE = (1, 2, 7, 6)

# linear
case("Gemm", (1, 3), constants={"w": floats(3, 4)})
case("Gemm", ("n", 3), 11, {"w": floats(4, 3), "c": floats(4)}, alpha=0.5, beta=2.0, transB=1)
case("Gemm", (1, 3), 13, {"w": floats(4, 3), "c": floats(1, 1)}, transB=1, beta=0.25)
case("Gemm", (3, 1), 9, {"w": floats(3, 4), "c": floats(4)}, transA=1)
left("Gemm", (2, 3), 13, floats(4, 2), alpha=-1.0)
left("Gemm", (3, 2), 13, floats(2, 4), transA=1, transB=1)
RIGHT = [((1, 3), (3, 4)), ((3,), (3, 2)), ((3,), (3,)), ((1, 5, 3), (3, 4)), ((1, 2, 5, 3), (3,))]
RIGHT += [((1, 2, 5, 3), (2, 3, 4)), ((2, 5, 3), (4, 1, 3, 2)), ((1, 60, 20), (20, 30))]
for shape, weight in RIGHT:
    case("MatMul", shape, 13, {"w": floats(*weight)})
for shape, weight in [
    ((3, 1), (4, 3)),
    ((1, 3, 5), (4, 3)),
    ((3,), (4, 3)),
    ((1, 2, 3, 5), (2, 4, 3)),
    ((1, 3, 2), (3,)),
]:
    left("MatMul", shape, 13, floats(*weight))

# arithmetic
for op in ("Add", "Sub", "Mul", "Div"):
    for constant in (floats(1, 3), floats(4, 1), np.float32(2.5), floats(2, 4, 3)):
        case(op, (1, 4, 3), 14, {"c": constant + np.float32(3)})
    if op != "Div":
        left(op, (1, 3), 7, floats(3))
case("Neg", (1, 3), 13)
case("Sum", (1, 3), 13, {"a": floats(3), "b": floats(1, 1)})
case("Mean", (1, 3), 13, {"a": floats(3), "b": floats(2, 3)})
case("Div", (1, 3), 13, {"c": floats(3) + np.float32(4)})

# pointwise
case("Relu", (1, 3), 6)
case("LeakyRelu", (1, 3), 16)
case("LeakyRelu", (1, 3), 6, alpha=0.3)
case("Abs", (1, 3), 13)
for slope in (floats(1), floats(2, 1, 1), floats(2, 7, 6), floats(1, 2, 1, 1)):
    case("PRelu", IMAGE, 9, {"slope": slope})
case("Clip", (1, 3), 6, min=-0.5, max=0.25)
case("Clip", (1, 3), 6, max=0.25)
case("Clip", (1, 3), 11, {"low": np.float32(-0.5), "high": np.float32(0.5)})
case("Clip", (1, 3), 13, {"_": NONE, "high": np.float32(0.5)})
case("Clip", (1, 3), 12, {"low": np.float32(0.1)})
case("Clip", (1, 3), 13)
case("HardSigmoid", (1, 3), 6)
case("HardSigmoid", (1, 3), 6, alpha=0.7, beta=0.1)
case("HardSigmoid", (1, 3), 6, alpha=-0.7, beta=0.1)
case("Shrink", (1, 3), 9, lambd=0.4, bias=0.4)
case("ThresholdedRelu", (1, 3), 10, alpha=0.0)

# maximum
for op in ("Max", "Min"):
    case(op, (1, 3), 13, {"c": floats(3)})
    case(op, (1, 3), 8, {"c": floats(1), "d": floats(4, 3)})
    case(op, (1, 3), 13)
case("Max", (1, 3), 12, {"c": np.array([-np.inf, 0, 1], dtype=np.float32)})
case("MaxPool", IMAGE, 12, kernel_shape=[2, 3])
case("MaxPool", IMAGE, 12, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1)
case("MaxPool", IMAGE, 10, kernel_shape=[2, 2], strides=[3, 2], dilations=[2, 3], pads=[0, 1, 1, 0])
case("MaxPool", IMAGE, 8, kernel_shape=[3, 2], strides=[2, 2], auto_pad="SAME_UPPER")
case("MaxPool", IMAGE, 8, kernel_shape=[3, 2], strides=[2, 2], auto_pad="SAME_LOWER")
case("MaxPool", IMAGE, 8, kernel_shape=[3, 2], auto_pad="VALID")
case("MaxPool", (1, 2, 9), 12, kernel_shape=[4], strides=[3], pads=[2, 1])
case("GlobalMaxPool", (1, 2, 9, 9))
case("ReduceMax", (1, 2, 3, 4), 13, axes=[1, -1])
case("ReduceMax", (1, 2, 3, 4), 13, axes=[2], keepdims=0)
case("ReduceMax", (1, 13, 11), 18, {"axes": ints(1, 2)})
case("ReduceMin", (1, 2, 3, 4), 18, {"axes": ints(-1)}, keepdims=0)
case("ReduceMin", (1, 6), 13)

# sorting and norms
case("TopK", (1, 2, 5), 10, {"k": ints(3)}, outputs=["y", "unread"])
case("TopK", (1, 7, 2), 11, {"k": ints(2)}, outputs=["y", "unread"], axis=1, largest=0)
case("ReduceL1", (1, 2, 3, 4), 13, axes=[1, -1])
case("ReduceL1", (1, 2, 3), 18, {"axes": ints(1)}, keepdims=0)
case("LpPool", IMAGE, 18, kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1], p=1)
case("CumSum", (1, 4, 3), 14, {"axis": np.array(1)})
case("CumSum", (1, 4, 3), 14, {"axis": np.array(-1)}, exclusive=1, reverse=1)

# recurrent
for direction, count in (("forward", 1), ("reverse", 1), ("bidirectional", 2)):
    tables = {"w": floats(count, 4, 3), "r": floats(count, 4, 4), "b": floats(count, 8)}
    words = {"activations": ["Relu"] * count, "direction": direction, "hidden_size": 4}
    case("RNN", (5, 1, 3), 14, tables, outputs=["y", "h"], **words)
tables = {"w": floats(1, 4, 3), "r": floats(1, 4, 4), "_b": NONE, "_l": NONE, "h": floats(1, 1, 4)}
case("RNN", (5, 1, 3), 14, tables, activations=["Relu"], hidden_size=4)

# convolution
KERNEL = floats(4, 2, 3, 2)
case("Conv", IMAGE, 11, {"w": KERNEL, "b": floats(4)})
case("Conv", IMAGE, 1, {"w": KERNEL}, strides=[2, 1], pads=[1, 0, 2, 1], dilations=[1, 2])
case("Conv", IMAGE, 11, {"w": floats(4, 1, 3, 3)}, group=2, auto_pad="SAME_UPPER", strides=[2, 2])
case("Conv", IMAGE, 11, {"w": floats(2, 1, 2, 2)}, group=2, auto_pad="SAME_LOWER", kernel_shape=[2, 2])
case("Conv", IMAGE, 11, {"w": KERNEL}, auto_pad="VALID")
case("Conv", ("n", 2, 9), 11, {"w": floats(3, 2, 4), "b": floats(3)}, strides=[2], pads=[3, 0])
case("Conv", (1, 1, 4, 5, 3), 11, {"w": floats(2, 1, 2, 3, 2)}, pads=[1, 0, 1, 0, 0, 0])
case("Conv", (1, 3, 4, 4), 11, {"w": floats(5, 3, 1, 1)})
case("ConvTranspose", IMAGE, 11, {"w": floats(2, 3, 3, 2), "b": floats(3)})
case(
    "ConvTranspose",
    IMAGE,
    11,
    {"w": floats(2, 3, 3, 3)},
    strides=[2, 3],
    pads=[1, 0, 0, 2],
    output_padding=[1, 0],
)
case("ConvTranspose", IMAGE, 11, {"w": floats(2, 2, 3, 3)}, group=2, dilations=[2, 1], strides=[1, 2])
case("ConvTranspose", IMAGE, 11, {"w": floats(2, 3, 3, 3)}, strides=[2, 2], output_shape=[14, 13])
case(
    "ConvTranspose",
    IMAGE,
    17,
    {"w": floats(2, 3, 3, 3), "b": floats(3)},
    strides=[2, 2],
    output_shape=[16, 14],
)
case("ConvTranspose", IMAGE, 11, {"w": floats(2, 3, 3, 3)}, strides=[2, 2], auto_pad="SAME_UPPER")
case("ConvTranspose", IMAGE, 11, {"w": floats(2, 3, 3, 3)}, strides=[2, 2], auto_pad="SAME_LOWER")
case("ConvTranspose", (1, 2, 5), 11, {"w": floats(2, 3, 4)}, strides=[3], pads=[1, 2])

# normalization
NORM = {"s": floats(2), "b": floats(2), "m": floats(2), "v": np.abs(floats(2)) + np.float32(0.1)}
for opset in (7, 9, 14, 15):
    case("BatchNormalization", IMAGE, opset, NORM)
case("BatchNormalization", ("n", 2), 15, NORM, epsilon=0.8)
case("BatchNormalization", IMAGE, 9, NORM, momentum=0.5)

# averages
for axes, keep in (([1], 1), ([2, 3], 0), ([-1], 1), (None, 1), (None, 0)):
    chosen = {} if axes is None else {"axes": axes}
    inputs = {} if axes is None else {"axes": ints(*axes)}
    case("ReduceMean", (1, 2, 3, 4), 13, keepdims=keep, **chosen)
    case("ReduceMean", (1, 2, 3, 4), 18, inputs, keepdims=keep)
    case("ReduceSum", (1, 2, 3, 4), 11, keepdims=keep, **chosen)
    case("ReduceSum", (1, 2, 3, 4), 13, inputs, keepdims=keep)
case("ReduceSum", (1, 2, 3), 13, noop_with_empty_axes=1)
case("GlobalAveragePool", (1, 2, 5, 3))
for extra in ({}, {"count_include_pad": 1}, {"ceil_mode": 1}, {"ceil_mode": 1, "count_include_pad": 1}):
    case("AveragePool", IMAGE, 11, kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1], **extra)
case("AveragePool", IMAGE, 11, kernel_shape=[3, 2], strides=[2, 2], auto_pad="SAME_UPPER")
case("AveragePool", IMAGE, 19, kernel_shape=[2, 2], dilations=[2, 3], pads=[1, 1, 0, 0])
case("AveragePool", (1, 2, 8), 7, kernel_shape=[3], auto_pad="SAME_LOWER")
case("AveragePool", (1, 1, 15, 14), 11, kernel_shape=[12, 13], pads=[1, 1, 1, 1])

# shape
case("Reshape", (1, 2, 6), 14, {"shape": ints(0, -1, 3)})
case("Reshape", ("n", 2, 6), 5, {"shape": ints(-1, 12)})
case("Flatten", (1, 2, 3, 4), 13, axis=2)
case("Flatten", (1, 2, 3, 4), 11, axis=-1)
case("Flatten", (1, 2, 3), 9, axis=0)
case("Squeeze", (1, 1, 3, 1), 11, axes=[1, 3])
case("Squeeze", (1, 1, 3, 1), 13, {"axes": ints(-1)})
case("Squeeze", (1, 1, 3, 1), 13)
case("Unsqueeze", (1, 3), 11, axes=[0, 3])
case("Unsqueeze", (1, 3), 13, {"axes": ints(-1, 1)})
case("Transpose", (1, 2, 3, 4), 13, perm=[0, 2, 3, 1])
case("Transpose", (1, 2, 3), 13)
case("Concat", (1, 3), 13, {"c": floats(1, 2)}, axis=1)
case("Concat", (1, 3, 2), 11, {"c": floats(1, 1, 2)}, axis=-2)
case("Split", (1, 7), 11, outputs=["y", "z"], axis=1, split=[3, 4])
case("Split", (1, 6, 2), 11, outputs=["y", "z", "w"], axis=1)
case("Split", (1, 7), 13, {"split": ints(3, 4)}, outputs=["y", "z"], axis=-1)
case("Split", (1, 7), 18, outputs=["y", "z"], axis=1, num_outputs=2)
case("Slice", (1, 5, 6), 1, starts=[1, -4], ends=[-1, 1000], axes=[1, 2])
case("Slice", (1, 5, 6), 13, {"s": ints(-1, 0), "e": ints(-100, 5), "a": ints(1, 2), "t": ints(-2, 3)})
case("Slice", (1, 5, 6), 10, {"s": ints(0, 1, 2), "e": ints(1, 4, 2**62)})
case("Slice", (1, 5), 13, {"s": ints(3), "e": ints(-(2**62)), "a": ints(1), "t": ints(-1)})
case("Gather", (1, 5, 3), 13, {"i": np.array([[0, 2], [-1, 1]])}, axis=1)
case("Gather", (1, 5, 3), 11, {"i": np.array(2)}, axis=2)
case("Expand", (1, 3, 1), 13, {"shape": ints(2, 1, 4)})
case("Expand", (1, 3), 8, {"shape": ints(2, 1, 1)})
case("Tile", (1, 3), 13, {"r": ints(1, 3)})
case("Tile", (1, 3, 2), 6, {"r": ints(2, 1, 2)})
case("Pad", (1, 3, 4), 2, pads=[0, 1, 2, 0, 0, 1], value=1.5)
case("Pad", (1, 3, 4), 11, {"p": ints(0, 1, -1, 0, 0, 2), "v": np.float32(-2)})
case("Pad", (1, 3, 4), 13, {"p": ints(0, 2, 1, 0, 0, 2)}, mode="reflect")
case("Pad", (1, 3, 4), 13, {"p": ints(0, 2, 1, 0, 0, 2)}, mode="edge")
case("Pad", (1, 3, 4), 18, {"p": ints(1, 2), "v": np.float32(0), "a": ints(-1)})
case("Pad", (1, 3, 4), 19, {"p": ints(0, 1, 1, 0, 1, 2)}, mode="wrap")
case("DepthToSpace", (1, 8, 2, 3), 13, blocksize=2)
case("DepthToSpace", (1, 8, 2, 3), 11, blocksize=2, mode="CRD")
case("SpaceToDepth", (1, 2, 4, 6), 13, blocksize=2)
case("Identity", (1, 3))
case("Dropout", (1, 3), 7, ratio=0.5)
case("Dropout", (1, 3), 13, {"ratio": np.float32(0.5), "training": np.array(False)})
case("Cast", (1, 3), 13, to=TensorProto.DOUBLE)

# resize
SMALL = (1, 2, 3, 4)
for scales in (np.array([1, 1, 2, 3], dtype=np.float32), np.array([1, 1, 0.6, 1.5], dtype=np.float32)):
    case("Upsample", SMALL, 9, {"s": np.maximum(scales, 1)}, mode="nearest")
    case("Resize", SMALL, 10, {"s": scales}, mode="linear")
    case("Resize", SMALL, 10, {"s": scales}, mode="nearest")
    for mode in ("nearest", "linear", "cubic"):
        for where in ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"):
            case(
                "Resize",
                SMALL,
                13,
                {"_r": NONE, "s": scales},
                mode=mode,
                coordinate_transformation_mode=where,
            )
for rounding in ("round_prefer_ceil", "floor", "ceil"):
    sizes = {"_r": NONE, "_s": NONE, "sizes": ints(1, 2, 5, 7)}
    case("Resize", SMALL, 13, sizes, mode="nearest", nearest_mode=rounding)
    case(
        "Resize",
        SMALL,
        19,
        sizes,
        coordinate_transformation_mode="half_pixel_symmetric",
        nearest_mode=rounding,
    )
ROI = {"roi": np.array([0, 0, 0.2, 0.4, 1, 1, 1.3, 0.7], dtype=np.float32)}
NEW_SIZES = {"_r": NONE, "_s": NONE, "sizes": ints(1, 2, 5, 3)}
case("Resize", SMALL, 13, NEW_SIZES, mode="cubic", exclude_outside=1, cubic_coeff_a=-0.5)
for mode in ("linear", "cubic"):
    case("Resize", SMALL, 18, NEW_SIZES, mode=mode, antialias=1)
for policy in ("not_larger", "not_smaller"):
    sizes = {"_r": NONE, "_s": NONE, "sizes": ints(5, 5)}
    case("Resize", SMALL, 18, sizes, mode="linear", axes=[2, 3], keep_aspect_ratio_policy=policy)
case(
    "Resize",
    SMALL,
    13,
    {
        "roi": np.array([0, 0, 0.2, 0.4, 1, 1, 1.3, 0.7], dtype=np.float32),
        "_s": NONE,
        "sizes": ints(1, 2, 4, 5),
    },
    mode="linear",
    coordinate_transformation_mode="tf_crop_and_resize",
    extrapolation_value=2.0,
)
case("Col2Im", (1, 12, 8), 18, {"image": ints(5, 4), "block": ints(2, 3)}, strides=[1, 2], pads=[0, 1, 0, 1])

# gathering
case("GatherElements", (1, 5, 3), 13, {"i": np.array([[[0, 2], [-1, 1]]])}, axis=1)
case("GatherND", (1, 5, 3), 13, {"i": np.array([[0, 1], [0, -2]])})
case("GatherND", (2, 5, 3), 12, {"i": np.array([[1], [4]])}, batch_dims=1)
case("ScatterElements", (1, 5), 13, {"i": np.array([[1, -1]]), "u": floats(1, 2)}, axis=1)
case("Scatter", (1, 5), 9, {"i": np.array([[1, 3]]), "u": floats(1, 2)}, axis=1)
case("ScatterND", (4, 3), 13, {"i": np.array([[1], [3]]), "u": floats(2, 3)})
case("Compress", (1, 5, 2), 11, {"c": np.array([True, False, True])}, axis=1)
case("Compress", (1, 5), 11, {"c": np.array([True, False, True])})
case("ReverseSequence", (4, 3, 2), 10, {"n": ints(2, 4, 1)}, time_axis=0, batch_axis=1)
case("Trilu", (1, 3, 4), 14, {"k": np.array(1)})
case("Trilu", (1, 3, 4), 14, upper=0)
case(
    "MaxUnpool",
    (1, 1, 2, 2),
    11,
    {"i": np.array([[[[0, 7], [13, 15]]]])},
    kernel_shape=[2, 2],
    strides=[2, 2],
)
case("CenterCropPad", (1, 7, 4), 18, {"shape": ints(4, 7)}, axes=[1, 2])
case("NegativeLogLikelihoodLoss", (3, 5), 13, {"t": ints(1, 0, 4)})
case(
    "NegativeLogLikelihoodLoss",
    (3, 5),
    13,
    {"t": ints(1, 0, 4), "w": floats(5)},
    reduction="sum",
    ignore_index=0,
)
case("NegativeLogLikelihoodLoss", (2, 3, 2), 13, {"t": ints(1, 0, 2, 2).reshape(2, 2)}, reduction="none")

# sums of products
FORMULAS = [("bij,jk->bik", (2, 3, 4), (4, 5)), ("bij,jkl->bikl", (2, 3, 4), (4, 5, 2)), ("i,j", (3,), (4,))]
FORMULAS += [
    ("bii,i->b", (2, 3, 3), (3,)),
    ("bij,bjk->bki", (2, 3, 4), (2, 4, 5)),
    ("ij,kj->ik", (3, 4), (2, 4)),
]
FORMULAS += [
    ("...ij,jk->...ki", (2, 2, 3, 4), (4, 2)),
    ("ab,ab->", (3, 4), (3, 4)),
    ("ab,c->b", (3, 4), (2,)),
]
for formula, shape, weight in FORMULAS:
    case("Einsum", shape, 12, {"w": floats(*weight)}, equation=formula)
case("Einsum", (3, 3, 2), 12, equation="iij")

# sampling
GRID = (1.3 * np.tanh(floats(1, 4, 5, 2))).astype(np.float32)
for mode in ("linear", "nearest", "cubic"):
    for padding in ("zeros", "border", "reflection"):
        for corners in (0, 1):
            words = {"mode": mode, "padding_mode": padding, "align_corners": corners}
            case("GridSample", (1, 2, 6, 7), 20, {"grid": GRID}, **words)
case("GridSample", (1, 2, 3, 4, 5), 20, {"grid": (1.3 * np.tanh(floats(1, 2, 3, 2, 3))).astype(np.float32)})
case(
    "GridSample", (2, 1, 3, 4), 16, {"grid": np.tanh(floats(2, 2, 3, 2)).astype(np.float32)}, mode="bilinear"
)
case("AffineGrid", (1, 2, 3), 20, {"size": ints(1, 1, 4, 5)})
case("AffineGrid", (2, 3, 4), 20, {"size": ints(2, 1, 3, 4, 2)}, align_corners=1)
QUANTIZED = {"i": np.array([[3, -2], [7, 0]], dtype=np.int8), "z": np.array([1, -1], dtype=np.int8)}
dequantized = helper.make_node("DequantizeLinear", ["i", "x", "z"], ["y"], axis=0)
CASES.append(("DequantizeLinear", dequantized, (2,), QUANTIZED, 13))


def oracle(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    """The runtime without optimisations, all outputs flattened behind each other."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return np.concatenate([np.ravel(y) for y in session.run(None, {"x": x})])


def assert_equal_to_oracle(model: onnx.ModelProto, shape: Sequence[int | str], network: Network) -> None:
    full = [1 if isinstance(n, str) else n for n in shape]
    for _ in range(3):
        x = RNG.standard_normal(full).astype(np.float32)
        want = oracle(model, x)
        got = (
            network(x.reshape(-1)) if network.input_dim == x.size else network(x.reshape(len(x), -1)).ravel()
        )
        np.testing.assert_allclose(got, want, atol=TOLERANCE["float32"] * max(1.0, np.abs(want).max()))


@pytest.mark.parametrize(
    ("made", "shape", "constants", "opset"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_an_operator_equals_onnxruntime(
    made: onnx.NodeProto, shape: tuple, constants: Constants, opset: int
) -> None:
    model = model_of([made], shape, constants, opset=opset, outputs=[o for o in made.output if o != "unread"])
    assert_equal_to_oracle(model, shape, from_onnx(model))


def test_every_registered_operator_has_a_case() -> None:
    constant_only = {
        r["op"] for r in supported_ops() if r["table"] == "ONNX" and r["note"].startswith("constant")
    }
    elsewhere = {"Constant", "Shape", "Size", "CastLike", "ConstantOfShape", "polytope.Convolution"}
    elsewhere |= {"If", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Not", "Where", "Range"}
    covered = {c[1].op_type for c in CASES}
    registered = {r["op"] for r in supported_ops() if r["table"] == "ONNX"}
    assert registered - constant_only - elsewhere <= covered


def test_the_published_table_lists_every_rule_with_a_meaning() -> None:
    rows, table = supported_ops(), supported_ops_markdown()
    assert all(r["meaning"] and r["tested"] for r in rows)
    assert len({(r["table"], r["op"]) for r in rows}) == len(rows)
    assert all(f"| {r['table']} | {r['op']} | {r['family']} |" in table for r in rows)


def test_every_restriction_says_why_and_every_refusal_has_a_row() -> None:
    assert not [r["op"] for r in supported_ops() if r["note"] and not r["why"]]
    for op in ("Softmax", "Floor", "Bernoulli", "Loop", "SequenceAt"):
        sentence = str(refusal("ONNX", op))
        assert f"| ONNX | {op} | {sentence} |" in supported_ops_markdown() or op in {
            r["op"] for r in supported_ops()
        }


WHERE: dict[str, Callable[[], list[onnx.NodeProto]]] = {
    "leaky by Where": lambda: [
        node("Greater", "zero", outputs=["c"]),
        node("Mul", "a", outputs=["m"]),
        helper.make_node("Where", ["c", "x", "m"], ["y"]),
    ],
    "relu by a mask": lambda: [
        node("Less", "zero", outputs=["c"]),
        helper.make_node("Not", ["c"], ["n"]),
        helper.make_node("Cast", ["n"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["f", "x"], ["y"]),
    ],
    "clip at a constant": lambda: [
        node("LessOrEqual", "a", outputs=["c"]),
        helper.make_node("Where", ["c", "a", "x"], ["y"]),
    ],
}


@pytest.mark.parametrize("nodes", WHERE.values(), ids=WHERE)
def test_selections_whose_branches_meet(nodes: Callable[[], list[onnx.NodeProto]]) -> None:
    constants = {"zero": np.float32(0), "a": np.array([0.3, -0.2, 0.5], dtype=np.float32)}
    model = model_of(nodes(), (1, 3), constants, opset=16)
    network = from_onnx(model)
    assert_equal_to_oracle(model, (1, 3), network)
    assert network.n_units == 3


def test_selections_whose_branches_do_not_meet_are_refused() -> None:
    nodes = [node("Greater", "zero", outputs=["c"]), helper.make_node("Where", ["c", "x", "one"], ["y"])]
    with pytest.raises(NotPiecewiseLinearError, match="discontinuous"):
        from_onnx(model_of(nodes, (1, 3), {"zero": np.float32(0), "one": np.float32(1)}, opset=16))


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ([node("Mul", "x")], "quadratic"),
        ([node("MatMul", "x")], "quadratic"),
        ([node("Div", "x")], "divisor"),
        ([node("Neg", outputs=["i"]), helper.make_node("Gather", ["c", "i"], ["y"])], "index"),
        ([node("Relu", outputs=["w"]), helper.make_node("Gemm", ["x", "w"], ["y"])], "quadratic"),
        ([node("Cast", to=TensorProto.INT32)], "integers"),
    ],
)
def test_operands_that_depend_on_the_input_are_refused(nodes: list[onnx.NodeProto], words: str) -> None:
    with pytest.raises(NotPiecewiseLinearError, match=words):
        from_onnx(model_of(nodes, (2, 2), {"c": floats(3)}))


GEMM = [node("Gemm", "w")]
RESHAPED = [node("Reshape", "four", outputs=["h"]), helper.make_node("Gemm", ["h", "w"], ["y"])]
FROM_LEFT = [helper.make_node("MatMul", ["m", "x"], ["y"])]
BATCHES = {
    "absent": ((6,), [node("Reshape", "flat")], (6,)),
    "one": ((1, 6), GEMM, (6,)),
    "free": (("batch", 6), GEMM, (6,)),
    "frozen": ((10, 6), GEMM, (6,)),
    "frozen, in a reshape": ((4, 2, 3), RESHAPED, (2, 3)),
    "none, though the first axis looks like one": ((2, 6), FROM_LEFT, (2, 6)),
}


@pytest.mark.parametrize(("shape", "nodes", "per_sample"), BATCHES.values(), ids=BATCHES)
def test_batch_axes(shape: tuple, nodes: list[onnx.NodeProto], per_sample: tuple) -> None:
    constants = {"w": floats(6, 3), "flat": ints(1, -1), "four": ints(4, 6), "m": floats(5, 2)}
    model = model_of(nodes, shape, constants)
    network = from_onnx(model)
    assert network.input_shape == per_sample
    assert_equal_to_oracle(model, shape, network)


def test_a_model_that_mixes_the_samples_of_a_free_batch_is_refused() -> None:
    with pytest.raises(LoadError, match="mixes the samples"):
        from_onnx(model_of([node("ReduceMean", axes=[0])], ("n", 3), opset=13))


def test_open_sizes_are_asked_for_and_given() -> None:
    model = model_of([node("Relu")], ("n", "h", 3))
    with pytest.raises(LoadError, match="input_shape"):
        from_onnx(model)
    assert from_onnx(model, input_shape=(4, 3)).input_shape == (4, 3)
    assert from_onnx(model, input_shape=(1, 4, 3)).input_shape == (4, 3)
    with pytest.raises(ValueError, match="does not fit"):
        from_onnx(model, input_shape=(4, 5))


def test_a_chain_of_shape_operators_folds() -> None:
    nodes = [
        node("Shape", outputs=["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"], axis=0),
        helper.make_node("Unsqueeze", ["n", "axis"], ["nn"]),
        helper.make_node("Concat", ["nn", "minus"], ["target"], axis=0),
        node("Reshape", "target"),
    ]
    constants = {"zero": np.array(0), "axis": ints(0), "minus": ints(-1)}
    network = from_onnx(model_of(nodes, ("n", 2, 3), constants))
    assert (network.n_units, network.output_dim) == (0, 6)


@pytest.mark.parametrize(
    ("kind", "dtype", "name"),
    [(TensorProto.DOUBLE, np.float64, "float64"), (TensorProto.FLOAT16, np.float16, "float16")],
)
@pytest.mark.parametrize("op", ["Gemm", "Conv"])
def test_other_number_types(kind: int, dtype: type, name: str, op: str) -> None:
    shape, weight = ((1, 3), floats(3, 4)) if op == "Gemm" else ((1, 3, 4, 4), floats(2, 3, 2, 2))
    model = model_of(
        [node(op, "w", outputs=["h"]), helper.make_node("Relu", ["h"], ["y"])],
        shape,
        {"w": weight.astype(dtype)},
        kind=kind,
    )
    assert from_onnx(model).dtype == name


def test_several_inputs_and_outputs() -> None:
    nodes = [
        helper.make_node("Concat", ["a", "b"], ["c"], axis=1),
        helper.make_node("Relu", ["c"], ["y"]),
        helper.make_node("Add", ["a", "a"], ["z"]),
    ]
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", k]) for n, k in (("a", 2), ("b", 3))]
    graph = helper.make_graph(nodes, "g", infos, [onnx.ValueInfoProto(name=o) for o in "yz"])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    network = from_onnx(model)
    assert network.input_parts == (("a", (2,)), ("b", (3,)))
    assert (network.output_names, network.output_dim) == (("y", "z"), 7)
    np.testing.assert_array_equal(network([-1.0, 2, 3, -4, 5]), [0, 2, 3, 0, 5, -2, 4])
    only = from_onnx(model, until="z")
    assert (only.output_names, only.output_dim) == (("z",), 2)


def test_external_data_inside_the_folder(tmp_path: Path) -> None:
    model = model_of([node("Gemm", "w")], (1, 3), {"w": floats(3, 4)})
    onnx.save_model(
        model, tmp_path / "m.onnx", save_as_external_data=True, location="m.bin", size_threshold=0
    )
    assert load(tmp_path / "m.onnx").output_dim == 4
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "m.onnx").write_bytes((tmp_path / "m.onnx").read_bytes())
    (tmp_path / "sub" / "m.bin").symlink_to(tmp_path / "m.bin")
    with pytest.raises(LoadError, match="outside"):
        load(tmp_path / "sub" / "m.onnx")


def test_functions_of_a_model_are_unfolded_within_bounds() -> None:
    opset = [helper.make_opsetid("", 17)]
    twice = [helper.make_node("Add", ["a", "a"], ["b"])]
    functions = [helper.make_function("own", "f0", ["a"], ["b"], twice, opset)]
    opset = [*opset, helper.make_opsetid("own", 1)]
    for k in range(1, 40):
        calls = [helper.make_node(f"f{k - 1}", [a], [b], domain="own") for a, b in (("a", "c"), ("c", "b"))]
        functions.append(helper.make_function("own", f"f{k}", ["a"], ["b"], calls, opset))
    for depth, bomb in ((3, False), (39, True)):
        model = model_of([helper.make_node(f"f{depth}", ["x"], ["y"], domain="own")], (1, 2))
        model.opset_import.append(helper.make_opsetid("own", 1))
        model.functions.extend(functions[: depth + 1])
        if bomb:
            with pytest.raises(UnsafeFileError, match="unfold"):
                from_onnx(model)
        else:
            np.testing.assert_array_equal(from_onnx(model)([1.0, -2.0]), [256.0, -512.0])


INFINITE = {"low": np.float32(-np.inf), "mask": np.array([0, -np.inf, 0, -np.inf], dtype=np.float32)}
MASKED = {
    "a pad in front of a pool": [
        node("Pad", "widths", "low", outputs=["p"]),
        helper.make_node("MaxPool", ["p"], ["y"], kernel_shape=[2, 2], strides=[2, 2]),
    ],
    "a mask in front of a maximum": [
        node("Add", "mask", outputs=["m"]),
        helper.make_node("ReduceMax", ["m"], ["y"], axes=[3]),
    ],
    "a selection in front of a maximum": [
        helper.make_node("Where", ["choice", "x", "low"], ["m"]),
        helper.make_node("Neg", ["m"], ["n"]),
        helper.make_node("ReduceMin", ["n"], ["y"], axes=[3]),
    ],
}
CHOICE = {"choice": np.array([True, False, True, True]), "widths": ints(0, 0, 0, 1, 0, 0, 1, 1)}


@pytest.mark.parametrize("nodes", MASKED.values(), ids=MASKED)
def test_what_is_minus_infinity_never_wins_a_maximum(nodes: list[onnx.NodeProto]) -> None:
    model = model_of(nodes, (1, 2, 5, 4), {**INFINITE, **CHOICE})
    network = from_onnx(model)
    assert_equal_to_oracle(model, (1, 2, 5, 4), network)
    assert all(np.isfinite(layer.bias).all() for layer in network.layers)


def test_minus_infinity_elsewhere_is_refused_for_what_it_is() -> None:
    for last in (helper.make_node("Relu", ["m"], ["y"]), helper.make_node("MatMul", ["m", "w"], ["y"])):
        model = model_of([node("Add", "mask", outputs=["m"]), last], (1, 4), {**INFINITE, "w": floats(4, 2)})
        with pytest.raises(NotPiecewiseLinearError, match="infinite number"):
            from_onnx(model)
    with pytest.raises(LoadError, match="diverged"):
        from_onnx(model_of([node("Add", "c")], (1, 2), {"c": np.array([np.inf, 0], dtype=np.float32)}))


def test_the_places_of_a_maximum_may_stay_unread_only() -> None:
    made = node("MaxPool", outputs=["y", "i"], kernel_shape=[2, 2])
    assert_equal_to_oracle(m := model_of([made], IMAGE), IMAGE, from_onnx(m))
    with pytest.raises(NotPiecewiseLinearError, match="places of extreme values"):
        from_onnx(model_of([made], IMAGE, outputs=["y", "i"]))
    cast = helper.make_node("Cast", ["i"], ["f"], to=1)
    with pytest.raises(NotPiecewiseLinearError, match="where extreme values lie"):
        from_onnx(model_of([made, cast], IMAGE, outputs=["f"]))


WEIGHTS = {"v": floats(3, 2), "b": floats(2), "yes": np.array(True)}
INSIDE = numpy_helper.from_array(floats(3, 2), "v2")


def body(nodes: Sequence[onnx.NodeProto], output: str, *weights: onnx.TensorProto) -> onnx.GraphProto:
    """A branch, which reads what is around it."""
    return helper.make_graph(list(nodes), output, [], [onnx.ValueInfoProto(name=output)], list(weights))


DENSE = body(
    [
        node("MatMul", "v2", outputs=["h"]),
        helper.make_node("Add", ["h", "b"], ["z"]),
        helper.make_node("Relu", ["z"], ["r"]),
    ],
    "r",
    INSIDE,
)
SMOOTH = body([node("MatMul", "v", outputs=["h"]), helper.make_node("Tanh", ["h"], ["t"])], "t")
CHOICES = {
    "stored": [helper.make_node("If", ["yes"], ["y"], then_branch=DENSE, else_branch=SMOOTH)],
    "computed": [
        helper.make_node("Not", ["yes"], ["no"]),
        helper.make_node("If", ["no"], ["y"], then_branch=SMOOTH, else_branch=DENSE),
    ],
    "nested": [
        helper.make_node(
            "If",
            ["yes"],
            ["y"],
            then_branch=body(
                [helper.make_node("If", ["yes"], ["q"], then_branch=DENSE, else_branch=SMOOTH)], "q"
            ),
            else_branch=SMOOTH,
        )
    ],
}


@pytest.mark.parametrize("nodes", CHOICES.values(), ids=CHOICES)
def test_a_constant_condition_chooses_a_branch(nodes: list[onnx.NodeProto]) -> None:
    model = model_of(nodes, (1, 3), WEIGHTS)
    network = from_onnx(model)
    assert network.import_note == "compared with onnxruntime"
    assert_equal_to_oracle(model, (1, 3), network)
    assert network.n_units == 2


def test_a_branch_is_refused_for_what_it_is() -> None:
    choice = helper.make_node("If", ["yes"], ["y"], then_branch=SMOOTH, else_branch=DENSE)
    with pytest.raises(NotPiecewiseLinearError, match=r"op If\): node 't' \(op Tanh\)") as refused:
        from_onnx(model_of([choice], (1, 3), WEIGHTS))
    assert "until=" not in str(refused.value)  # names inside a branch cannot be cut at
    moves = [node("ReduceSum", outputs=["s"], keepdims=0), helper.make_node("Greater", ["s", "zero"], ["c"])]
    choice = helper.make_node("If", ["c"], ["y"], then_branch=DENSE, else_branch=SMOOTH)
    with pytest.raises(UnsupportedOpError, match="condition depends on the input"):
        from_onnx(model_of([*moves, choice], (1, 3), {**WEIGHTS, "zero": np.float32(0)}))
    dangling = body([helper.make_node("Relu", ["nowhere"], ["r"])], "r")
    choice = helper.make_node("If", ["yes"], ["y"], then_branch=DENSE, else_branch=dangling)
    with pytest.raises(CorruptFileError, match="'nowhere'"):
        from_onnx(model_of([choice], (1, 3), WEIGHTS))


def test_a_broken_node_behind_a_free_batch_is_not_an_open_size() -> None:
    choice = helper.make_node("If", ["yes"], ["y"])
    with pytest.raises(CorruptFileError, match="else_branch"):
        from_onnx(model_of([choice], ("n", 3), WEIGHTS))


@pytest.mark.parametrize("outputs", [("h", "y"), ("h", "i")])
def test_an_output_that_no_rule_gives_is_named(outputs: tuple[str, str]) -> None:
    nodes = [node("Relu", outputs=outputs), helper.make_node("Add", ["h", outputs[1]], ["z"])]
    with pytest.raises(UnsupportedOpError, match=outputs[1]):
        from_onnx(model_of(nodes, (1, 3), outputs=("z",)))


@pytest.mark.parametrize("fmod", [0, 1])
def test_a_remainder_of_constants_has_the_sign_that_the_file_says(fmod: int) -> None:
    nodes = [
        helper.make_node("Mod", ["a", "b"], ["m"], fmod=fmod),
        helper.make_node("Cast", ["m"], ["f"], to=1),
    ]
    constants = {"a": ints(-5, 5, 7), "b": ints(3, -3, 4)}
    model = model_of([*nodes, node("Add", "f")], (1, 3), constants)
    assert_equal_to_oracle(model, (1, 3), from_onnx(model))


def test_a_remainder_of_the_input_jumps_whatever_it_is_divided_by() -> None:
    model = model_of([node("Mod", "b", fmod=1)], (1, 3), {"b": np.array([2, np.nan, 2], dtype=np.float32)})
    with pytest.raises(NotPiecewiseLinearError, match="discontinuous"):
        from_onnx(model)
    nodes = [helper.make_node("Mod", ["b", "b"], ["m"], fmod=1), node("Add", "m")]
    with pytest.raises(CorruptFileError, match="not finite"):
        from_onnx(model_of(nodes, (1, 3), {"b": np.array([2, np.nan, 2], dtype=np.float32)}))


@pytest.mark.parametrize("made", ["stored", "constant"])
def test_a_cast_to_the_type_of_a_coarser_tensor_may_round(made: str) -> None:
    like = np.zeros(1, dtype=np.float16)
    front = [helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(like))]
    nodes = [node("MatMul", "w", outputs=["h"]), helper.make_node("CastLike", ["h", "c"], ["k"])]
    nodes = [*(front if made == "constant" else []), *nodes, helper.make_node("Cast", ["k"], ["y"], to=1)]
    weights = {"w": floats(3, 40)} | ({"c": like} if made == "stored" else {})
    network = from_onnx(model_of(nodes, (1, 3), weights))
    assert 1e-4 < network.import_error < 1e-2


def test_whole_numbers_cast_like_the_input_divide_as_real_ones() -> None:
    nodes = [
        helper.make_node("CastLike", ["two", "x"], ["a"]),
        helper.make_node("CastLike", ["three", "x"], ["b"]),
        helper.make_node("Div", ["a", "b"], ["c"]),
        node("Mul", "c"),
    ]
    model = model_of(nodes, (1, 3), {"two": ints(2), "three": ints(3)})
    assert_equal_to_oracle(model, (1, 3), from_onnx(model))


@pytest.mark.parametrize("given", [3, (3.0,), "3", np.array([3]), (True,), [(3,), 4]])
def test_what_is_no_shape_is_named(given: Any) -> None:
    with pytest.raises(ValueError, match="input_shape"):
        from_onnx(model_of([node("Relu")], ("n", "m")), input_shape=given)


def test_what_is_no_model_is_named() -> None:
    with pytest.raises(TypeError, match=r"onnx\.ModelProto, not a str; load takes a path"):
        from_onnx("model.onnx")
    with pytest.raises(TypeError, match=r"torch\.nn\.Module, not a function"):
        from_torch(lambda x: x, np.zeros((1, 3)))


def test_a_name_that_is_declared_twice_is_refused() -> None:
    twice = model_of([node("Relu")], (1, 3))
    twice.graph.input.append(twice.graph.input[0])
    with pytest.raises(CorruptFileError, match="'x' is declared 2 times"):
        from_onnx(twice)


def test_a_cast_like_whole_numbers_jumps() -> None:
    with pytest.raises(NotPiecewiseLinearError, match="integers: the output jumps"):
        from_onnx(model_of([node("CastLike", "w")], (1, 3), {"w": ints(1)}))


def test_a_cast_to_a_coarser_number_type_may_round() -> None:
    nodes = [node("Cast", outputs=["h"], to=10), helper.make_node("Cast", ["h"], ["y"], to=1)]
    network = from_onnx(model_of(nodes, (1, 3)))
    np.testing.assert_array_equal(network([0.1, -2.0, 3.0]), [0.1, -2.0, 3.0])
    with pytest.raises(NotPiecewiseLinearError, match="few bits"):
        from_onnx(model_of([node("Cast", outputs=["h"], to=17)], (1, 3), opset=19, outputs=["h"]))


def test_an_operator_without_a_rule_is_read_by_the_definition_that_onnx_gives() -> None:
    """A rotary embedding with constant tables is linear."""
    tables = {"c": floats(1, 4, 2), "s": floats(1, 4, 2)}
    model = model_of([node("RotaryEmbedding", *tables)], (1, 2, 4, 4), tables, opset=23)
    assert "RotaryEmbedding" not in {r["op"] for r in supported_ops()}
    assert_equal_to_oracle(model, (1, 2, 4, 4), from_onnx(model))


OF_CONSTANTS = {
    "softmax": ([helper.make_node("Softmax", ["c"], ["k"])], 17),
    "sigmoid": ([helper.make_node("Sigmoid", ["c"], ["k"])], 17),
    "logarithm": ([helper.make_node("Log", ["a"], ["k"])], 17),
    "norm": ([helper.make_node("ReduceL2", ["c"], ["k"])], 17),
    "layer norm": ([helper.make_node("LayerNormalization", ["c", "a"], ["k"])], 17),
    "rounded": ([helper.make_node("Round", ["c"], ["k"])], 17),
    "quantised": (
        [
            helper.make_node("QuantizeLinear", ["c", "s"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "s"], ["k"]),
        ],
        17,
    ),
    "one hot": (
        [
            helper.make_node("OneHot", ["i", "depth", "s2"], ["o"]),
            helper.make_node("MatMul", ["c", "o"], ["k"]),
        ],
        17,
    ),
    "largest place": (
        [helper.make_node("ArgMax", ["c"], ["i0"], axis=0), helper.make_node("Gather", ["a", "i0"], ["k"])],
        17,
    ),
    "places of the largest": (
        [
            helper.make_node("TopK", ["c", "n"], ["v", "i0"]),
            helper.make_node("Gather", ["a", "i0"], ["k0"]),
            helper.make_node("ReduceSum", ["k0"], ["k"]),
        ],
        17,
    ),
    "power": ([helper.make_node("Pow", ["a", "c"], ["k"])], 17),
}


@pytest.mark.parametrize(("nodes", "opset"), OF_CONSTANTS.values(), ids=OF_CONSTANTS)
def test_a_smooth_or_jumping_operator_of_constants_is_a_constant(
    nodes: list[onnx.NodeProto], opset: int
) -> None:
    constants = {
        "c": np.array([0.7, -1.2, 0.7], dtype=np.float32),
        "a": np.array([1.5, 0.25, 3.0], dtype=np.float32),
        "s": np.float32(0.1),
        "s2": np.array([0.5, 2.0], dtype=np.float32),
        "i": ints(2, 0, 1),
        "depth": np.int64(3),
        "n": ints(2),
    }
    made = model_of([*nodes, node("Mul", "k")], (1, 3), constants, opset=opset)
    network = from_onnx(made)
    assert network.n_units == 0
    assert_equal_to_oracle(made, (1, 3), network)


def test_the_first_power_of_the_input_is_the_input() -> None:
    exponents = np.array([1, 0, 1], dtype=np.float32)
    made = model_of([node("Pow", "p")], (1, 3), {"p": exponents})
    network = from_onnx(made)
    np.testing.assert_array_equal(network([[5.0, 6.0, -7.0]]), [[5.0, 1.0, -7.0]])
    with pytest.raises(NotPiecewiseLinearError, match="not piecewise linear"):
        from_onnx(model_of([node("Pow", "p")], (1, 3), {"p": 2 * exponents}))


def test_what_is_infinite_is_no_place_to_stop() -> None:
    """Advice that would be refused itself is not given."""
    infinite = {"c": np.array([-np.inf, 0.0, 0.0], dtype=np.float32)}
    masked = [node("Max", "c", outputs=["m"]), node("Add", "c", outputs=["h"])]
    made = model_of([*masked, helper.make_node("Relu", ["h"], ["y"])], (1, 3), infinite)
    with pytest.raises(NotPiecewiseLinearError, match="infinite number reaches it") as refused:
        from_onnx(made)
    assert "until" not in str(refused.value)
    with pytest.raises(NotPiecewiseLinearError, match=r"^The outputs: an infinite number"):
        from_onnx(made, until="h")


def test_refusals_name_what_they_refuse() -> None:
    kind, words = TensorProto.COMPLEX64, "a function of complex numbers"
    with pytest.raises(NotPiecewiseLinearError, match=words):
        from_onnx(model_of([node("Identity")], (1, 3), kind=kind))
    with pytest.raises(UnsupportedOpError, match="sizes open: \\? x 2"):
        from_onnx(model_of([node("Relu")], ("batch", "n", 2)))
    with pytest.raises(UnsupportedOpError, match="outputs hold no numbers"):
        from_onnx(model_of([node("Slice", "z", "z", "o")], (1, 3), {"z": ints(0), "o": ints(1)}))
    weights = {"w": floats(1, 2, 2), "r": floats(1, 2, 2)}
    affine = node("RNN", "w", "r", outputs=["y"], hidden_size=2, activations=["Affine"])
    with pytest.raises(UnsupportedOpError, match="its activation Affine has no rule"):
        from_onnx(model_of([affine], (3, 1, 2), weights))
    foreign = helper.make_node("Scaler", ["x"], ["y"], domain="ai.onnx.ml")
    with pytest.raises(UnsupportedOpError, match=r"unknown operator domain 'ai.onnx.ml'"):
        from_onnx(model_of([foreign], (1, 3)))


OLD = {
    "a cast by name": (node("Cast", to="DOUBLE"), (1, 3), lambda x: x),
    "scales of an image": (
        node("Upsample", height_scale=2.0, width_scale=1.0, mode="nearest"),
        (1, 1, 2, 2),
        lambda x: x.repeat(2, axis=2),
    ),
    "joined": (helper.make_node("Concat", ["x", "x"], ["y"]), (1, 3), lambda x: np.concatenate([x, x], 1)),
}


@pytest.mark.parametrize(("made", "shape", "function"), OLD.values(), ids=OLD)
@pytest.mark.filterwarnings("ignore:The conversion was not checked")
def test_operators_of_the_first_set_are_not_broken(
    made: onnx.NodeProto, shape: tuple[int, ...], function: Callable[[np.ndarray], np.ndarray]
) -> None:
    """Their outputs may leave their shapes to be found, as old exporters do."""
    model = model_of([made], shape, opset=1)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, None))
    if made.op_type == "Cast":
        model.graph.output[0].type.tensor_type.elem_type = TensorProto.DOUBLE
    x = floats(*shape).astype(float)
    np.testing.assert_array_equal(from_onnx(model)(x.reshape(1, -1)), function(x).reshape(1, -1))


def test_a_batch_that_does_not_fit_gives_the_reason_of_the_whole_tensor() -> None:
    nodes = [node("Reshape", "flat", outputs=["h"]), helper.make_node("Softmax", ["h"], ["y"])]
    with pytest.raises(NotPiecewiseLinearError, match="not piecewise linear"):
        from_onnx(model_of(nodes, (4, 3), {"flat": ints(2, 6)}))


def test_space_to_depth_orders_channels_as_its_mode_says() -> None:
    """The operator set is newer than onnxruntime; by hand: channel, then row and column in the block."""
    model = model_of([node("SpaceToDepth", blocksize=2, mode="CRD")], (1, 2, 2, 2), opset=28)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = from_onnx(model)
    np.testing.assert_array_equal(network(np.arange(8.0)), np.arange(8.0))

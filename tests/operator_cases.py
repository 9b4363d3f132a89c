"""Operators of ONNX with their inputs and attributes: at least one case for each rule."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

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

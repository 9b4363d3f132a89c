"""TFLite's operators on images, channels last, as ONNX ones, channels first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from adapters.tflite.file import Operator
from adapters.tflite.graph import Written
from polytope.errors import CorruptFileError, UnsupportedOpError

_FIRST, _LAST = [0, 3, 1, 2], [0, 2, 3, 1]
_PADDING = ("SAME_UPPER", "VALID")


def _on_images(g: Written, op: str, value: str, *more: str, **attributes: Any) -> str:
    """An operator on one image, whose channels come first for it and last for others."""
    first = g.node("Transpose", [value], perm=_FIRST)
    return g.node("Transpose", [g.node(op, [first, *more], **attributes)], perm=_LAST)


def _padding(operator: Operator) -> str:
    number = operator.options["Padding"]
    if not 0 <= number < len(_PADDING):
        raise CorruptFileError(f"there is no padding of number {number}.")
    return _PADDING[number]


def _strides(operator: Operator) -> list[int]:
    return [operator.options["StrideH"], operator.options["StrideW"]]


def _convolution(g: Written, operator: Operator) -> str:
    """Kernels [out, height, width, in / groups]; of a depthwise one [1, height, width, out]."""
    options, kernel = operator.options, g.tensor(operator, 1)
    images = g.tensor(operator, 0).shape
    if len(kernel.shape) != 4 or len(images) != 4 or not images[3] or not kernel.shape[3]:
        raise UnsupportedOpError("its operands are no images with known channels and kernels.")
    depthwise = operator.name == "DEPTHWISE_CONV_2D"
    groups = images[3] if depthwise else images[3] // kernel.shape[3]
    turned = g.node("Transpose", [g.named(kernel)], perm=[3, 0, 1, 2] if depthwise else _FIRST)
    bias = [g.value(operator, 2)] if g.has(operator, 2) else []
    return _on_images(
        g,
        "Conv",
        g.value(operator, 0),
        turned,
        *bias,
        group=groups,
        auto_pad=_padding(operator),
        strides=_strides(operator),
        dilations=[options["DilationHFactor"] or 1, options["DilationWFactor"] or 1],
    )


def _transposed(g: Written, operator: Operator) -> str:
    """A convolution's transpose onto images of a given size; kernels [out, height, width, in]."""
    _, *size, _ = g.integers(operator, 0) if len(g.integers(operator, 0)) == 4 else [0]
    kernel, images = g.tensor(operator, 1).shape, g.tensor(operator, 2).shape
    if len(size) != 2 or len(kernel) != 4 or len(images) != 4 or None in (*kernel, *images[1:]):
        raise UnsupportedOpError("its operands are no images of known sizes and kernels.")
    known, widths = [int(n or 0) for n in images[1:3]], [int(n or 0) for n in kernel[1:3]]
    strides = _strides(operator)
    over = [(n - 1) * s + k - m for n, s, k, m in zip(known, strides, widths, size, strict=True)]
    around = [max(n, 0) for n in over]
    turned = g.node("Transpose", [g.value(operator, 1)], perm=[3, 0, 1, 2])
    bias = [g.value(operator, 3)] if g.has(operator, 3) else []
    return _on_images(
        g,
        "ConvTranspose",
        g.value(operator, 2),
        turned,
        *bias,
        strides=strides,
        pads=[*(n // 2 for n in around), *(n - n // 2 for n in around)],
        output_padding=[max(-n, 0) for n in over],
    )


def _pooled(op: str) -> Callable[[Written, Operator], str]:
    def write(g: Written, operator: Operator) -> str:
        size = [operator.options["FilterHeight"], operator.options["FilterWidth"]]
        return _on_images(
            g,
            op,
            g.value(operator, 0),
            kernel_shape=size,
            strides=_strides(operator),
            auto_pad=_padding(operator),
        )

    return write


def _resized(g: Written, operator: Operator) -> str:
    """To a size in pixels, by one of three rules for where pixels lie."""
    images, size = g.tensor(operator, 0).shape, g.integers(operator, 1)
    if len(images) != 4 or images[3] is None or len(size) != 2:
        raise UnsupportedOpError("its operand is no image with known channels.")
    corners, half = operator.options["AlignCorners"], operator.options["HalfPixelCenters"]
    where = "align_corners" if corners else "half_pixel" if half else "asymmetric"
    nearest = operator.name == "RESIZE_NEAREST_NEIGHBOR"
    more = {"nearest_mode": "round_prefer_ceil" if corners or half else "floor"} if nearest else {}
    sizes = g.constant(np.array([1, images[3], *size], dtype=np.int64))
    mode = "nearest" if nearest else "linear"
    value = g.value(operator, 0)
    return _on_images(
        g, "Resize", value, "", "", sizes, mode=mode, coordinate_transformation_mode=where, **more
    )


def _blocks(op: str) -> Callable[[Written, Operator], str]:
    def write(g: Written, operator: Operator) -> str:
        more = {"mode": "DCR"} if op == "DepthToSpace" else {}
        return _on_images(g, op, g.value(operator, 0), blocksize=operator.options["BlockSize"], **more)

    return write


WINDOWED: Mapping[str, Callable[[Written, Operator], str]] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _convolution,
    "TRANSPOSE_CONV": _transposed,
    "MAX_POOL_2D": _pooled("MaxPool"),
    "AVERAGE_POOL_2D": _pooled("AveragePool"),
    "RESIZE_BILINEAR": _resized,
    "RESIZE_NEAREST_NEIGHBOR": _resized,
    "DEPTH_TO_SPACE": _blocks("DepthToSpace"),
    "SPACE_TO_DEPTH": _blocks("SpaceToDepth"),
}

"""Resampling of images: nearest and linear, an affine map along each axis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod

import numpy as np
from scipy.sparse import csr_array, eye_array, kron

from adapters.lowering import Lowering, Value
from adapters.registry import Node, aten_op, onnx_op
from polytope.errors import CorruptFileError, UnsupportedOpError
from polytope.ir import Sparse
from polytope.ir.maps import FloatArray, IntArray

Coordinates = Callable[[FloatArray, int, int, float], FloatArray]
"""Places in the output, input size, output size, scale -> places in the input."""


def _half_pixel(x: FloatArray, n: int, m: int, scale: float) -> FloatArray:
    return (x + 0.5) / scale - 0.5


def _symmetric(x: FloatArray, n: int, m: int, scale: float) -> FloatArray:
    return n / 2 * (1 - m / (n * scale)) + _half_pixel(x, n, m, scale)


_COORDINATES: Mapping[str, Coordinates] = {
    "asymmetric": lambda x, n, m, scale: x / scale,
    "half_pixel": _half_pixel,
    "pytorch_half_pixel": lambda x, n, m, scale: _half_pixel(x, n, m, scale) if m > 1 else 0 * x,
    "align_corners": lambda x, n, m, scale: x * (n - 1) / (m - 1) if m > 1 else 0 * x,
    "half_pixel_symmetric": _symmetric,
}
_ROUNDINGS: Mapping[str, Callable[[FloatArray], FloatArray]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def _single(places: IntArray) -> FloatArray:
    """Places in single precision: runtimes compute nearest neighbours in it, and round as it does."""
    return places.astype(np.float32)


def resampled(
    t: Lowering, x: Value, axis: int, m: int, scale: float, mode: str, coordinates: str, rounding: str
) -> Value:
    """One axis resampled to m entries."""
    n = x.shape[axis]
    if m < 1 or n < 1 or scale <= 0:
        raise CorruptFileError(f"Its output would have {m} entries along axis {axis}.")
    if coordinates not in _COORDINATES or rounding not in _ROUNDINGS or mode not in ("nearest", "linear"):
        raise UnsupportedOpError(f"its mode {mode!r} with coordinates {coordinates!r} has no rule.")
    t.spend(prod(x.shape) // n * m)
    if mode == "nearest":
        places = _COORDINATES[coordinates](_single(np.arange(m)), n, m, float(scale))
        index = np.clip(_ROUNDINGS[rounding](places), 0, n - 1).astype(np.int64)
        return t.rearrange(x, lambda a: np.take(a, index, axis))
    places = _COORDINATES[coordinates](np.arange(m, dtype=float), n, m, scale)
    matrix = _interpolation(np.clip(places, 0, n - 1), n)
    t.spend(4 * (prod(x.shape) // n) * m)
    before, after = prod(x.shape[:axis]), prod(x.shape[axis + 1 :])
    whole = kron(kron(eye_array(before), matrix), eye_array(after))
    return t.linear(x, Sparse(csr_array(whole)), (*x.shape[:axis], m, *x.shape[axis + 1 :]))


def _interpolation(places: FloatArray, n: int) -> csr_array:
    """Each output between its two neighbours, ``[m, n]``."""
    low = np.minimum(np.floor(places).astype(np.int64), max(n - 2, 0))
    share = places - low
    rows: IntArray = np.repeat(np.arange(len(places)), 2)
    columns = np.stack([low, np.minimum(low + 1, n - 1)], axis=1).ravel()
    values = np.stack([1 - share, share], axis=1).ravel()
    return csr_array((values, (rows, columns)), shape=(len(places), n))


@onnx_op("Resize", note="nearest and linear; scales or sizes constant; no cropping, no antialias")
def resize(t: Lowering, node: Node) -> Value:
    """Image in another size."""
    x = node[0]
    if node.get("antialias", 0) or node.get("exclude_outside", 0):
        raise UnsupportedOpError("its antialias or exclude_outside has no rule.")
    if node.get("keep_aspect_ratio_policy", b"stretch") != b"stretch":
        raise UnsupportedOpError("its keep_aspect_ratio_policy must be 'stretch'.")
    axes = [int(a) % len(x.shape) for a in node.get("axes") or range(len(x.shape))]
    scales = node.constant_or_none(1 if node.opset < 11 else 2)
    sizes = node.constant_or_none(3) if node.opset >= 11 else None
    coordinates = node.get("coordinate_transformation_mode", b"half_pixel").decode()
    rounding = node.get("nearest_mode", b"round_prefer_floor").decode()
    if node.opset < 11:
        coordinates, rounding = "asymmetric", "floor"
    return _along(t, node, axes, scales, sizes, coordinates, rounding)


@onnx_op("Upsample", note="nearest and linear; scales constant")
def upsample(t: Lowering, node: Node) -> Value:
    """Image in a larger size."""
    given = node.get("scales") if node.opset < 9 else node.constant(1)
    return _along(t, node, range(len(node[0].shape)), np.asarray(given), None, "asymmetric", "floor")


def _along(
    t: Lowering,
    node: Node,
    axes: Sequence[int],
    scales: FloatArray | None,
    sizes: IntArray | None,
    coordinates: str,
    rounding: str,
) -> Value:
    """Every axis whose size changes, one after the other."""
    x = node[0]
    mode = node.get("mode", b"nearest").decode().replace("bilinear", "linear")
    if sizes is not None and sizes.size:
        factors = [float(m) / x.shape[a] for a, m in zip(axes, np.ravel(sizes), strict=True)]
        lengths = [int(m) for m in np.ravel(sizes)]
    elif scales is not None and scales.size:
        factors = [float(s) for s in np.ravel(scales)]
        lengths = [int(np.floor(x.shape[a] * np.float32(s))) for a, s in zip(axes, factors, strict=True)]
    else:
        raise CorruptFileError("It has neither scales nor sizes.")
    for axis, m, factor in zip(axes, lengths, factors, strict=True):
        if m != x.shape[axis] or factor != 1.0:
            x = resampled(t, x, axis, m, factor, mode, coordinates, rounding)
    return x


@aten_op("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d")
def aten_upsample_nearest(t: Lowering, node: Node) -> Value:
    """Image in another size, nearest."""
    return _aten_resampled(t, node, int(node.op[16]), "nearest", "asymmetric")


@aten_op("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d")
def aten_upsample_linear(t: Lowering, node: Node) -> Value:
    """Image in another size, linear."""
    corners = "align_corners" if node.get("align_corners") else "half_pixel"
    return _aten_resampled(t, node, int(node.op[-2]), "linear", corners)


def _aten_resampled(t: Lowering, node: Node, count: int, mode: str, coordinates: str) -> Value:
    x: Value = node.get("input") if node.get("input") is not None else node.get("self")
    sizes, factors = node.get("output_size"), node.get("scale_factors") or []
    single = [node.get(name) for name in ("scales_d", "scales_h", "scales_w", "scales")]
    factors = factors or [s for s in single if s is not None]
    for place in range(count):
        axis = len(x.shape) - count + place
        n = x.shape[axis]
        m = int(sizes[place]) if sizes else int(np.floor(n * factors[place]))
        scale = float(factors[place]) if len(factors) == count else m / n
        x = resampled(t, x, axis, m, scale, mode, coordinates, "floor")
    return x

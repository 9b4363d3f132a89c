"""Resampling of images: nearest, linear and cubic, an affine map along each axis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, prod

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from adapters.lowering.fitting import axis_place, of_length, of_rank, whole_numbers
from adapters.lowering.layers import Lowering, Value
from adapters.lowering.registry import Node, aten_op, onnx_op
from adapters.ops.arithmetic import total
from adapters.ops.one_axis import along
from polytope.errors import CorruptFileError, UnsupportedOpError
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


_LARGEST_SCALE = 2.0**24


@dataclass(frozen=True)
class Way:
    """How a place between pixels gets its value.

    Arguments:
        mode: "nearest", "linear" or "cubic".
        coordinates, rounding: ONNX's names of coordinate transformations and of nearest modes.
        sharpness: the parameter a of the cubic kernel.
        antialias: whether the kernel is as wide as a pixel of the output where that is wider.
        inside_only: whether places outside of the image have no weight, rather than the value at its edge.
        crop: first and last place of each axis, in shares of its length, for "tf_crop_and_resize".
        beyond: the value of places outside of the image in that case.
    """

    mode: str
    coordinates: str
    rounding: str = "floor"
    sharpness: float = -0.75
    antialias: bool = False
    inside_only: bool = False
    crop: tuple[tuple[float, float], ...] = ()
    beyond: float = 0.0

    def __post_init__(self) -> None:
        known = self.coordinates in _COORDINATES or self.crop
        if not known or self.rounding not in _ROUNDINGS or self.mode not in ("nearest", "linear", "cubic"):
            raise UnsupportedOpError(f"its mode {self.mode!r} with {self.coordinates!r} is not supported.")

    def places(self, x: FloatArray, axis: int, n: int, m: int, scale: float) -> FloatArray:
        """Where in an axis of n entries the entries x of m lie."""
        if not self.crop:
            return _COORDINATES[self.coordinates](x, n, m, scale)
        first, last = self.crop[axis]
        middle = 0.5 * (first + last) * (n - 1) + 0 * x
        return first * (n - 1) + x * (last - first) * (n - 1) / (m - 1) if m > 1 else middle


def triangle_kernel(d: FloatArray) -> FloatArray:
    """Linear interpolation: one in the middle, zero at distance 1."""
    return np.maximum(1.0 - np.abs(d), 0.0)


def cubic_kernel(d: FloatArray, a: float) -> FloatArray:
    """Keys's kernel: cubic pieces on [0, 1] and [1, 2]."""
    d = np.abs(d)
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


def _interpolation(places: FloatArray, n: int, scale: float, way: Way) -> csr_array:
    """Each output as a weighted mean of its neighbours, ``[m, n]``."""
    shrink = min(1.0, scale) if way.antialias else 1.0
    radius = (2.0 if way.mode == "cubic" else 1.0) / shrink
    columns = np.floor(places - radius)[:, None].astype(np.int64) + np.arange(1, ceil(2 * radius) + 2)
    distance = (columns - places[:, None]) * shrink
    weights = cubic_kernel(distance, way.sharpness) if way.mode == "cubic" else triangle_kernel(distance)
    if way.inside_only:
        weights = np.where((columns >= 0) & (columns < n), weights, 0.0)
    weights = weights / weights.sum(axis=1, keepdims=True)
    rows: IntArray = np.repeat(np.arange(len(places)), columns.shape[1])
    columns, weights = np.clip(columns, 0, n - 1).ravel(), weights.ravel()
    matrix = csr_array((weights, (rows, columns)), shape=(len(places), n))
    matrix.eliminate_zeros()
    return matrix


def resampled(t: Lowering, x: Value, axis: int, m: int, scale: float, way: Way) -> Value:
    """One axis resampled to m entries."""
    n = x.shape[axis]
    if m < 1 or n < 1 or scale <= 0:
        raise CorruptFileError(f"Its output would have {m} entries along axis {axis}.")
    t.spend(prod(x.shape) // n * m)
    if way.mode == "nearest":  # runtimes compute nearest neighbours in single precision, and round as it does
        near = way.places(np.arange(m).astype(np.float32), axis, n, m, float(scale))
        matrix = None
    else:
        near = way.places(np.arange(m, dtype=float), axis, n, m, scale)
        matrix = _interpolation(near, n, scale, way)
    outside = ((near < 0) | (near > n - 1)) if way.crop else np.zeros(m, dtype=bool)
    if matrix is None:
        index = np.clip(_ROUNDINGS[way.rounding](near), 0, n - 1).astype(np.int64)
        out = t.rearrange(x, lambda a: np.take(a, index, axis))
    else:
        out = along(t, x, axis, matrix)
    return _filled(t, out, axis, outside, way.beyond) if outside.any() else out


def _filled(t: Lowering, x: Value, axis: int, outside: NDArray[np.bool_], value: float) -> Value:
    """One value at some places of an axis."""
    column = outside.reshape(-1, *[1] * (len(x.shape) - axis - 1))
    kept = t.rearrange(x, lambda a: np.where(column, -1, a))
    return total(t, kept, np.where(column, value, 0.0))


@onnx_op("Resize", note="scales or sizes constant")
def resize(t: Lowering, node: Node) -> Value:
    """Image in another size, nearest, linear or cubic."""
    x = node[0]
    axes = [axis_place(int(a), len(x.shape)) for a in node.get("axes") or range(len(x.shape))]
    scales = node.constant_or_none(1 if node.opset < 11 else 2)
    sizes = node.constant_or_none(3) if node.opset >= 11 else None
    way = Way(
        mode=_mode(node),
        coordinates=_word(node, "coordinate_transformation_mode", "half_pixel", "asymmetric"),
        rounding=_word(node, "nearest_mode", "round_prefer_floor", "floor"),
        sharpness=float(node.get("cubic_coeff_a", -0.75)),
        antialias=bool(node.get("antialias", 0)),
        inside_only=bool(node.get("exclude_outside", 0)),
        crop=_crop(node, axes, len(x.shape)),
        beyond=float(node.get("extrapolation_value", 0.0)),
    )
    policy = node.get("keep_aspect_ratio_policy", b"stretch").decode()
    return _along(t, x, axes, *_factors(x, axes, scales, sizes, policy), way)


def _word(node: Node, attribute: str, default: str, before: str) -> str:
    """An attribute that there is since opset 11."""
    return before if node.opset < 11 else str(node.get(attribute, default.encode()).decode())


def _mode(node: Node) -> str:
    return str(node.get("mode", b"nearest").decode()).replace("bilinear", "linear")


def _crop(node: Node, axes: Sequence[int], rank: int) -> tuple[tuple[float, float], ...]:
    """First and last place of each axis, where the coordinates ask for them."""
    if node.get("coordinate_transformation_mode") != b"tf_crop_and_resize":
        return ()
    given = of_length(np.ravel(node.constant(1)).tolist(), 2 * len(axes), "region")
    chosen = dict(zip(axes, np.reshape(given, (2, -1)).T.tolist(), strict=True))
    return tuple((a, b) for a, b in (chosen.get(axis, (0.0, 1.0)) for axis in range(rank)))


@onnx_op("Upsample", note="scales constant")
def upsample(t: Lowering, node: Node) -> Value:
    """Image in a larger size, nearest or linear."""
    given = node.get("scales") if node.opset < 9 else node.constant(1)
    if given is None:  # as operator set 1 has it, for images
        given = [1.0, 1.0, *(float(node.get(f"{side}_scale", 1.0)) for side in ("height", "width"))]
    axes, way = range(len(node[0].shape)), Way(_mode(node), "asymmetric")
    return _along(t, node[0], axes, *_factors(node[0], axes, np.asarray(given), None, "stretch"), way)


def _factors(
    x: Value, axes: Sequence[int], scales: FloatArray | None, sizes: IntArray | None, policy: str
) -> tuple[list[float], list[int]]:
    """Scale and output size of each axis."""
    if sizes is not None and sizes.size:
        lengths = list(of_length(whole_numbers(sizes, "sizes"), len(axes), "sizes"))
        factors = [m / x.shape[a] for a, m in zip(axes, lengths, strict=True)]
        if policy != "stretch":
            one = min(factors) if policy == "not_larger" else max(factors)
            lengths = [int(np.floor(one * x.shape[a] + 0.5)) for a in axes]
            factors = [one] * len(lengths)
        return factors, lengths
    if scales is None or not scales.size:
        raise CorruptFileError("It has neither scales nor sizes.")
    factors = [float(s) for s in of_length(np.ravel(scales).tolist(), len(axes), "scales")]
    if not all(0 < s < _LARGEST_SCALE for s in factors):
        raise CorruptFileError(f"Its scales {factors} must be positive numbers.")
    return factors, [int(np.floor(x.shape[a] * np.float32(s))) for a, s in zip(axes, factors, strict=True)]


def _along(
    t: Lowering, x: Value, axes: Sequence[int], factors: Sequence[float], lengths: Sequence[int], way: Way
) -> Value:
    """Every axis whose size changes, one after the other."""
    for axis, m, factor in zip(axes, lengths, factors, strict=True):
        whole = not way.crop or way.crop[axis] == (0.0, 1.0)
        if m != x.shape[axis] or factor != 1.0 or not whole:
            x = resampled(t, x, axis, m, factor, way)
    return x


@aten_op("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d")
def aten_upsample_nearest(t: Lowering, node: Node) -> Value:
    """Image in another size, nearest."""
    return _aten_resampled(t, node, int(node.op[16]), Way("nearest", "asymmetric"))


@aten_op("_upsample_nearest_exact1d", "_upsample_nearest_exact2d", "_upsample_nearest_exact3d")
def aten_upsample_nearest_exact(t: Lowering, node: Node) -> Value:
    """Image in another size, nearest to the middle of a pixel."""
    return _aten_resampled(t, node, int(node.op[23]), Way("nearest", "half_pixel", "round_prefer_ceil"))


@aten_op("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d", "_upsample_bilinear2d_aa")
def aten_upsample_linear(t: Lowering, node: Node) -> Value:
    """Image in another size, linear."""
    count = int(node.op.removesuffix("_aa")[-2])
    smooth = node.op.endswith("_aa")
    way = Way("linear", _corners(node), antialias=smooth, inside_only=smooth)
    return _aten_resampled(t, node, count, way)


@aten_op("upsample_bicubic2d", "_upsample_bicubic2d_aa")
def aten_upsample_cubic(t: Lowering, node: Node) -> Value:
    """Image in another size, cubic."""
    smooth = node.op.endswith("_aa")
    sharpness = -0.5 if smooth else -0.75
    way = Way("cubic", _corners(node), "floor", sharpness, antialias=smooth, inside_only=smooth)
    return _aten_resampled(t, node, 2, way)


def _corners(node: Node) -> str:
    return "align_corners" if node.get("align_corners") else "half_pixel"


def _aten_resampled(t: Lowering, node: Node, count: int, way: Way) -> Value:
    x: Value = node.get("input") if node.get("input") is not None else node.get("self")
    sizes, factors = node.get("output_size"), node.get("scale_factors") or []
    single = [node.get(name) for name in ("scales_d", "scales_h", "scales_w", "scales")]
    factors = factors or [s for s in single if s is not None]
    of_rank(x.shape, count)
    of_length(sizes or factors, count, "sizes")
    if not all(0 < s < _LARGEST_SCALE for s in factors):
        raise CorruptFileError(f"Its scales {factors} must be positive numbers.")
    for place in range(count):
        axis = len(x.shape) - count + place
        n = x.shape[axis]
        m = int(sizes[place]) if sizes else int(np.floor(n * factors[place]))
        scale = float(factors[place]) if len(factors) == count else m / n
        if way.coordinates == "align_corners" and way.antialias and m > 1:
            scale = (m - 1) / (n - 1) if n > 1 else 1.0
        x = resampled(t, x, axis, m, scale, way)
    return x

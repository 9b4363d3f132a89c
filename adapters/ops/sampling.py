"""Images read at constant places: each output is a weighted mean of pixels."""

from __future__ import annotations

from itertools import product as combinations
from math import prod

import numpy as np
from scipy.sparse import block_diag, csr_array, eye_array, kron

from adapters.lowering.fitting import of_rank
from adapters.lowering.layers import Lowering, Value
from adapters.lowering.registry import Node, aten_op, fixed, onnx_op
from adapters.ops.linear import matmul, turned
from adapters.ops.resize import cubic_kernel, triangle_kernel
from adapters.ops.shape import in_shape
from polytope.errors import CorruptFileError, UnsupportedOpError
from polytope.ir import Sparse
from polytope.ir.maps import FloatArray, IntArray

_SUPPORT = {"nearest": 1, "linear": 2, "cubic": 4}


def _reflected(x: FloatArray, low: float, high: float) -> FloatArray:
    """Folded back and forth into [low, high]."""
    if high <= low:
        return np.zeros_like(x)
    away = np.abs(x - low) % (2 * (high - low))
    return low + np.minimum(away, 2 * (high - low) - away)


def _inside(x: FloatArray, n: int, padding: str, *, corners: bool) -> FloatArray:
    """Places moved into the image as the padding says."""
    if padding == "reflection":
        x = _reflected(x, 0.0, n - 1.0) if corners else _reflected(x, -0.5, n - 0.5)
    return x if padding == "zeros" else np.clip(x, 0, n - 1)


def _neighbours(
    share: FloatArray, n: int, mode: str, padding: str, *, corners: bool
) -> tuple[IntArray, FloatArray]:
    """Pixels of one axis and their weights, ``[support, points]``; a pixel outside has weight zero."""
    x = (share + 1) / 2 * (n - 1) if corners else ((share + 1) * n - 1) / 2
    x = x if mode == "cubic" else _inside(x, n, padding, corners=corners)
    if mode == "nearest":
        index, weights = np.rint(x)[None], np.ones((1, len(x)))
    else:
        support = _SUPPORT[mode]
        index = np.floor(x) + np.arange(1 - support // 2, 1 + support // 2)[:, None]
        weights = cubic_kernel(index - x, -0.75) if mode == "cubic" else triangle_kernel(index - x)
    index = _inside(index, n, padding, corners=corners) if mode == "cubic" else index
    outside = (index < 0) | (index > n - 1)
    return np.clip(index, 0, n - 1).astype(np.int64), np.where(outside, 0.0, weights)


def _matrix(grid: FloatArray, sizes: tuple[int, ...], mode: str, padding: str, *, corners: bool) -> csr_array:
    """Points ``[points, axes]`` (last axis first) as rows of weights of the pixels."""
    axes = [_neighbours(grid[:, -1 - a], n, mode, padding, corners=corners) for a, n in enumerate(sizes)]
    columns, values = [], []
    for chosen in combinations(range(_SUPPORT[mode]), repeat=len(sizes)):
        parts = [(index[k], weights[k]) for (index, weights), k in zip(axes, chosen, strict=True)]
        columns.append(np.ravel_multi_index([index for index, _ in parts], sizes))
        values.append(np.prod([weights for _, weights in parts], axis=0))
    rows = np.tile(np.arange(len(grid)), len(columns))
    entries = (np.concatenate(values), (rows, np.concatenate(columns)))
    matrix = csr_array(entries, shape=(len(grid), prod(sizes)))
    matrix.eliminate_zeros()
    return matrix


def sampled(t: Lowering, x: Value, grid: object, mode: str, padding: str, *, corners: bool) -> Value:
    """``x[batch, channels, *sizes]`` at ``grid[batch, *out, axes]``, whose entries -1 and 1 are the edges."""
    places = fixed(grid, "grid").astype(float)
    of_rank(x.shape, 3)
    of_rank(places.shape, len(x.shape), len(x.shape))
    places = t.one_sample(places, (1,) * places.ndim) if x.shape[0] == 1 else places
    sizes, (n, channels), out = tuple(x.shape[2:]), x.shape[:2], places.shape[1:-1]
    if places.shape[0] != n or places.shape[-1] != len(sizes):
        raise CorruptFileError(f"Its grid of shape {list(places.shape)} does not fit {list(x.shape)}.")
    if mode not in _SUPPORT or padding not in ("zeros", "border", "reflection"):
        raise UnsupportedOpError(f"its mode {mode!r} with padding {padding!r} is not supported.")
    t.spend(n * channels * prod(out) * _SUPPORT[mode] ** len(sizes))
    parts = [
        kron(eye_array(channels), _matrix(g.reshape(-1, len(sizes)), sizes, mode, padding, corners=corners))
        for g in places
    ]
    whole = csr_array(block_diag(parts)) if n > 1 else csr_array(parts[0])
    return t.linear(x, Sparse(whole), (n, channels, *out))


@onnx_op("GridSample", note="grid constant")
def grid_sample(t: Lowering, node: Node) -> Value:
    """Image read at given places: nearest, linear or cubic."""
    mode = node.get("mode", b"linear").decode()
    mode = {"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode)
    padding = node.get("padding_mode", b"zeros").decode()
    return sampled(t, node[0], node[1], mode, padding, corners=bool(node.get("align_corners", 0)))


@aten_op("grid_sampler", "grid_sampler_2d", "grid_sampler_3d", note="grid constant")
def aten_grid_sampler(t: Lowering, node: Node) -> Value:
    """Image read at given places: nearest, linear or cubic."""
    modes, paddings = ("linear", "nearest", "cubic"), ("zeros", "border", "reflection")
    mode, padding = int(node.get("interpolation_mode", 0)), int(node.get("padding_mode", 0))
    if not (0 <= mode < len(modes) and 0 <= padding < len(paddings)):
        raise UnsupportedOpError(f"its mode {mode} with padding {padding} is not supported.")
    corners = bool(node.get("align_corners"))
    return sampled(t, node.get("input"), node.get("grid"), modes[mode], paddings[padding], corners=corners)


@onnx_op("AffineGrid", note="size constant")
def affine_grid(t: Lowering, node: Node) -> Value:
    """The places that an affine map ``theta[batch, axes, axes + 1]`` makes of a regular grid."""
    sizes = node.integers(1)[2:]
    theta = node[0].shape
    if min(sizes, default=0) < 1 or len(sizes) > 3 or theta[1:] != (len(sizes), len(sizes) + 1):
        raise CorruptFileError(f"Its sizes {sizes} are not positive, or do not fit maps {list(theta)}.")
    t.spend(prod(sizes) * (len(sizes) + 1))
    ends = [1.0 if node.get("align_corners", 0) else 1.0 - 1.0 / n for n in sizes]
    lines = [np.linspace(-end, end, n) for end, n in zip(ends, sizes, strict=True)]
    axes = np.meshgrid(*lines, indexing="ij")
    places = np.stack([*axes[::-1], np.ones(sizes)], axis=-1).reshape(-1, len(sizes) + 1)
    moved = matmul(t, places, turned(t, node[0]))
    return in_shape(moved, (node[0].shape[0], *sizes, len(sizes)))

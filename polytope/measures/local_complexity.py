r"""Local complexity: how many units bend inside a small cross-polytope around each point.

``import polytope`` must not load torch, so the torch side is imported where it is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polytope.ir.maps import FloatArray
from polytope.ir.network import Network

if TYPE_CHECKING:
    from torch import Tensor

    from polytope.batched import BatchedNetwork
    from polytope.batched.activations import RowActivation

_DEFAULT_DIRECTIONS = 25


@dataclass(frozen=True, eq=False)
class LocalComplexity:
    """Counts of units around each point.

    Arguments:
        per_layer: ``int[B, layers]``, one column for each layer that bends.
    """

    per_layer: NDArray[np.int64]

    @property
    def total(self) -> NDArray[np.int64]:
        """The sum over the layers, ``int[B]``."""
        totals: NDArray[np.int64] = self.per_layer.sum(axis=1)
        return totals


def local_complexity(
    network: Network,
    x: ArrayLike,
    radius: float,
    *,
    frames: int | ArrayLike | None = None,
    shared_frame: bool = True,
    method: str = "crossing",
    dtype: str = "float64",
    device: str = "cpu",
    batch_size: int | None = None,
    rng: np.random.Generator | None = None,
) -> LocalComplexity:
    r"""How many units change piece among the vertices :math:`x \pm r v_1, \dots, x \pm r v_P`, by layer.

    With directions :math:`v_1 \dots v_P` and radius r, unit k of layer l is counted at x if it is not on
    one piece at all the 2P vertices :math:`x \pm r v_p`: for a ReLU unit, if its pre-activation takes
    both signs. The vertices span a cross-polytope around x. In the first layer the count is **exact**: a
    piece is a convex set there, so a unit that is on one piece at all vertices is on it on the whole
    cross-polytope. In deeper layers it is a **lower bound** on the number of units that bend inside. The
    layers counted are those that bend (``network.widths``), each unit once; a max group counts if its
    winner changes.

    Arguments:
        network: the network.
        x: points, ``[B, d]`` or ``[B, *input_shape]``. All are counted, also where they fill no batch.
        radius: r, the distance of the vertices from x for directions of length 1.
        frames: the number P <= d of orthonormal directions, drawn uniformly (QR of a Gaussian matrix), or
            the directions themselves, ``[P, d]``, used as they are. ``None`` is ``min(d, 25)`` directions.
        shared_frame: one frame for all points, or a frame of its own for each point.
        method: ``"crossing"``, this count.
        dtype: the type of the arithmetic, ``"float64"``, ``"float32"`` or ``"bfloat16"``.
        device: a torch device name, such as ``"cpu"`` or ``"cuda"``.
        batch_size: points worked on together; ``None`` fits the working set to a CPU's cache. The vertices
            are streamed, so memory does not grow with P beyond the directions themselves.
        rng: draws the frames; ``None`` is ``np.random.default_rng(0)``, the same frames on every call.

    Returns:
        The counts per layer, ``int[B, layers]``, and their sum, ``int[B]``.

    Raises:
        ValueError: for points, radius or directions of a wrong shape or that are not finite, for more
            directions than the input has dimensions, and for unknown options.

    References:
        Humayun, Balestriero, Baraniuk (2024), "Deep Networks Always Grok and Here is Why",
        https://arxiv.org/abs/2402.15555

    Example:
        >>> from polytope.ir import mlp
        >>> net = mlp([([[1.0, 0.0], [0.0, 1.0]], [0.0, -0.5]), ([[1.0, 1.0]], [0.0])])
        >>> local_complexity(net, [[0.0, 0.0], [0.0, 0.6]], radius=0.2, frames=np.eye(2)).total.tolist()
        [1, 2]
    """
    if method != "crossing":
        raise ValueError(f"method must be 'crossing', not {method!r}.")
    points = _points(network, x)
    if not (np.ndim(radius) == 0 and np.isfinite(radius) and radius > 0):
        raise ValueError(f"radius must be a positive finite number, not {radius!r}.")
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}.")
    given = _checked_frames(frames, points.shape[1], shared_frame)

    from polytope.batched import BatchedNetwork  # loads torch

    net = BatchedNetwork(network, dtype, device)
    per_layer = _count(net, points, float(radius), given, shared_frame, batch_size, rng)
    return LocalComplexity(per_layer)


def _count(
    net: BatchedNetwork,
    points: FloatArray,
    radius: float,
    frames: int | FloatArray,
    shared_frame: bool,
    batch_size: int | None,
    rng: np.random.Generator | None,
) -> NDArray[np.int64]:
    """The counts, batch by batch of the points; a frame of its own is drawn for each point in order."""
    rng = rng or np.random.default_rng(0)
    counts = np.zeros((len(points), len(net.network.widths)), dtype=np.int64)
    batch = batch_size or _cached_rows(net)
    offsets: list[Tensor | None] = []
    for start in range(0, len(points), batch):
        rows = points[start : start + batch]
        if start == 0 or not shared_frame:
            n_frames = 1 if shared_frame else len(rows)
            offsets = _offsets(net, radius * _drawn_frames(frames, n_frames, points.shape[1], rng))
        crossed = _crossed(net, net.affine_parts(net.place.numbers(rows)), offsets)
        for column, units in enumerate(crossed):
            counts[start : start + batch, column] = units.sum(dim=1).cpu().numpy()
    return counts


def _points(network: Network, x: ArrayLike) -> FloatArray:
    """Finite points as rows, ``[B, d]``."""
    points = np.asarray(x, dtype=float)
    if points.ndim < 2 or prod(points.shape[1:]) != network.input_dim:
        raise ValueError(f"x: expected points of shape [B, {network.input_dim}], got {points.shape}.")
    if not np.isfinite(points).all():
        row = int(np.argwhere(~np.isfinite(points))[0, 0])
        raise ValueError(f"x: point {row} is not finite; all coordinates must be numbers.")
    return points.reshape(len(points), network.input_dim)


def _checked_frames(frames: int | ArrayLike | None, d: int, shared_frame: bool) -> int | FloatArray:
    """The number of directions to draw, or the directions given."""
    if frames is None:
        return min(d, _DEFAULT_DIRECTIONS)
    if isinstance(frames, int | np.integer):
        if not 1 <= frames <= d:
            raise ValueError(f"frames: {frames} orthonormal directions do not exist in R^{d}; use 1 to {d}.")
        return int(frames)
    directions = np.asarray(frames, dtype=float)
    if directions.ndim != 2 or directions.shape[1] != d or not len(directions):
        raise ValueError(f"frames: expected directions of shape [P, {d}], got {directions.shape}.")
    if not np.isfinite(directions).all():
        raise ValueError("frames: the directions must be finite.")
    if not shared_frame:
        raise ValueError("frames: given directions are shared; with shared_frame=False give their number.")
    return directions


def _drawn_frames(frames: int | FloatArray, n_frames: int, d: int, rng: np.random.Generator) -> FloatArray:
    """The directions given, ``[1, P, d]``, or the next random orthonormal frames, ``[frames, P, d]``."""
    if not isinstance(frames, int):
        return frames[None]
    q, _ = np.linalg.qr(rng.standard_normal((n_frames, d, frames)))
    return np.ascontiguousarray(q.transpose(0, 2, 1))


def _cached_rows(net: BatchedNetwork) -> int:
    """How many rows keep a layer's values within 1 MB, as a CPU core's cache holds; 256 MB elsewhere."""
    budget = 2**20 if net.place.device.type == "cpu" else 2**28
    widest = max(net.network.input_dim, *(len(layer.bias) for layer in net.network.layers))
    return max(1, budget // (net.place.dtype.itemsize * widest))


def _offsets(net: BatchedNetwork, frames: FloatArray) -> list[Tensor | None]:
    """What each vertex adds to every layer's affine part, ``[2P, 1 or B, n]``: first all +, then all -."""
    n_frames, n_directions, d = frames.shape
    parts = net.affine_parts(net.place.numbers(frames.reshape(-1, d)), linear=True)
    images = [None if p is None else p.reshape(n_frames, n_directions, -1).transpose(0, 1) for p in parts]
    return [None if image is None else _both_signs(image) for image in images]


def _both_signs(image: Tensor) -> Tensor:
    """``image`` and ``-image``, one after the other."""
    both = image.new_empty(2 * len(image), *image.shape[1:])
    both[: len(image)], both[len(image) :] = image, -image
    return both


def _crossed(net: BatchedNetwork, centre: list[Tensor | None], offsets: list[Tensor | None]) -> list[Tensor]:
    """For each layer that bends, which units are not on one piece at all vertices, ``bool[B, units]``.

    The vertices go through the network a block at a time, and only what is compared is kept.
    """
    n_points = next(len(part) for part in centre if part is not None)
    n_vertices = next(len(offset) for offset in offsets if offset is not None)
    step = max(1, _cached_rows(net) // n_points)
    seen: dict[int, tuple[Tensor, Tensor]] = {}
    for start in range(0, n_vertices, step):
        parts = [
            None if part is None or offset is None else (part + offset[start : start + step]).flatten(0, 1)
            for part, offset in zip(centre, offsets, strict=True)
        ]
        for column, (bend, z) in enumerate(net.bends(parts)):
            here = _summary(bend, z.reshape(-1, n_points, z.shape[1]))
            seen[column] = _joined(bend, seen[column], here) if column in seen else here
    bends = [layer.activation for layer in net.layers if layer.activation]
    return [_differ(bend, seen[column]) for column, bend in enumerate(bends)]


def _summary(bend: RowActivation, z: Tensor) -> tuple[Tensor, Tensor]:
    """What tells whether units keep their piece over vertices, ``z [vertices, B, n]``.

    Where a unit's piece grows with z, the smallest and the largest z; else the piece at the first vertex
    and whether another one was met.
    """
    if bend.ordered:
        return (z[0], z[0]) if len(z) == 1 else (z.amin(0), z.amax(0))
    pieces = bend.pattern(z.flatten(0, 1)).reshape(*z.shape[:2], -1)
    return pieces[0], (pieces != pieces[0]).any(0)


def _joined(
    bend: RowActivation, one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """The summary of two sets of vertices together."""
    if bend.ordered:
        return one[0].minimum(other[0]), one[1].maximum(other[1])
    return one[0], one[1] | other[1] | (one[0] != other[0])


def _differ(bend: RowActivation, summary: tuple[Tensor, Tensor]) -> Tensor:
    """Which units were met on two pieces, ``bool[B, units]``."""
    if bend.ordered:
        return bend.pattern(summary[0]) != bend.pattern(summary[1])
    return summary[1]

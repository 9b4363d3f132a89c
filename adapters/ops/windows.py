"""Geometry of sliding windows: padding, output sizes, and which elements a window holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, prod

import numpy as np

from adapters.lowering.fitting import of_length, whole_numbers
from adapters.lowering.layers import Lowering
from adapters.lowering.registry import Node
from polytope.errors import CorruptFileError, UnsupportedOpError
from polytope.ir.maps import IntArray


@dataclass(frozen=True)
class Geometry:
    """Kernel, stride, dilation and padding ``(before, after)``, one entry for each spatial axis."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        lengths = {len(self.kernel), len(self.stride), len(self.dilation), len(self.padding)}
        if len(lengths) != 1:
            raise CorruptFileError("Its kernel, strides, dilations and pads have different numbers of axes.")
        if min((*self.kernel, *self.stride, *self.dilation), default=1) < 1:
            raise CorruptFileError("Its kernel, strides and dilations must be positive.")

    @property
    def reach(self) -> tuple[int, ...]:
        """How far a dilated kernel reaches on each axis."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    def output_sizes(self, sizes: Sequence[int], *, ceil_mode: bool = False) -> tuple[int, ...]:
        """Number of windows on each axis; a last partial one counts in ceil mode if it starts inside."""
        out = []
        of_length(sizes, len(self.kernel), "sizes")
        for n, r, s, (before, after) in zip(sizes, self.reach, self.stride, self.padding, strict=True):
            room = n + before + after - r
            steps = ceil(room / s) if ceil_mode else room // s
            if ceil_mode and steps * s >= n + before:
                steps -= 1
            if steps < 0:
                raise CorruptFileError(
                    f"Its window of {r} is larger than the padded input of {n + before + after}."
                )
            out.append(steps + 1)
        return tuple(out)


def onnx_geometry(node: Node, kernel: Sequence[int], sizes: Sequence[int]) -> Geometry:
    """The geometry of an ONNX node: explicit pads, or the auto_pad rule."""
    axes = len(kernel)
    if len(sizes) != axes:
        raise CorruptFileError(f"Its kernel has {axes} axes, its input {len(sizes)}.")
    stride = tuple(node.get("strides", [1] * axes))
    dilation = tuple(node.get("dilations", [1] * axes))
    auto = node.get("auto_pad", b"NOTSET").decode()
    free = Geometry(tuple(kernel), stride, dilation, ((0, 0),) * axes)
    if auto in ("NOTSET", "", "VALID"):
        pads = list(node.get("pads", [0] * 2 * axes)) if auto != "VALID" else [0] * 2 * axes
        return Geometry(free.kernel, stride, dilation, pairs(pads, axes))
    if auto not in ("SAME_UPPER", "SAME_LOWER"):
        raise UnsupportedOpError(f"its auto_pad {auto!r} is none of NOTSET, VALID, SAME_UPPER, SAME_LOWER.")
    totals = [max((-(-n // s) - 1) * s + r - n, 0) for n, s, r in zip(sizes, stride, free.reach, strict=True)]
    halves = [(p // 2, p - p // 2) if auto == "SAME_UPPER" else (p - p // 2, p // 2) for p in totals]
    return Geometry(free.kernel, stride, dilation, tuple(halves))


def pairs(pads: Sequence[int], axes: int) -> tuple[tuple[int, int], ...]:
    """ONNX's list of all begins, then all ends, as pairs."""
    of_length(pads, 2 * axes, "pads")
    return tuple((int(a), int(b)) for a, b in zip(pads[:axes], pads[axes:], strict=True))


def members(t: Lowering, lead: int, sizes: Sequence[int], g: Geometry, out: Sequence[int]) -> IntArray:
    """``int[lead * windows, kernel]``: the elements of each window of ``[lead, *sizes]``, -1 for padding."""
    t.spend(lead * prod(out) * prod(g.kernel))
    index = np.zeros((1, 1), dtype=np.int64)
    inside = np.ones((1, 1), dtype=bool)
    for n, m, k, s, d, (before, _) in zip(sizes, out, g.kernel, g.stride, g.dilation, g.padding, strict=True):
        places = s * np.arange(m)[:, None] + d * np.arange(k)[None, :] - before
        ok = (places >= 0) & (places < n)
        index = (index[:, None, :, None] * n + places[None, :, None, :]).reshape(len(index) * m, -1)
        inside = (inside[:, None, :, None] & ok[None, :, None, :]).reshape(len(inside) * m, -1)
    one = np.where(inside, index, -1)
    shifted = np.where(one[None] >= 0, one[None] + prod(sizes) * np.arange(lead)[:, None, None], -1)
    return shifted.reshape(-1, one.shape[1])


def aten_geometry(node: Node, axes: int) -> Geometry:
    """The geometry of a pooling in ATen's words; the stride defaults to the kernel."""

    def each(value: object, default: Sequence[int]) -> tuple[int, ...]:
        entries = [value] if isinstance(value, int) else list(value or default)  # type: ignore[call-overload]
        return tuple(entries * axes if len(entries) == 1 else entries)

    kernel = each(node.get("kernel_size"), ())
    padding = each(node.get("padding"), [0])
    stride, dilation = each(node.get("stride"), kernel), each(node.get("dilation"), [1])
    return Geometry(kernel, stride, dilation, tuple((p, p) for p in padding))


def adaptive_windows(
    t: Lowering, shape: Sequence[int], out: int | Sequence[int], axes: int
) -> tuple[IntArray, tuple[int, ...]]:
    """Members of the windows [floor(i n / m), ceil((i + 1) n / m)) of each axis, -1 where shorter."""
    listed = whole_numbers(out, "output size")
    out = tuple(listed * axes if len(listed) == 1 else listed)
    sizes, lead = shape[-axes:], prod(shape[:-axes])
    if min(out, default=1) < 1 or len(out) != axes or len(sizes) != axes:
        raise CorruptFileError(f"Its output size {out} does not fit its input of shape {list(shape)}.")
    index = np.zeros((1, 1), dtype=np.int64)
    t.spend(prod(out))
    for n, m in zip(sizes, out, strict=True):
        first, last = np.arange(m) * n // m, -(-(np.arange(m) + 1) * n // m)
        places = first[:, None] + np.arange(int((last - first).max()))
        places = np.where(places < last[:, None], places, -1)
        t.spend(index.size * places.size)
        both = (index[:, None, :, None] >= 0) & (places[None, :, None, :] >= 0)
        joined = np.where(both, index[:, None, :, None] * n + places[None, :, None, :], -1)
        index = joined.reshape(len(index) * m, -1)
    t.spend(index.size * lead)
    shifted = np.where(index[None] >= 0, index[None] + prod(sizes) * np.arange(lead)[:, None, None], -1)
    return shifted.reshape(-1, index.shape[1]), out

"""Operators that move numbers without changing them: reshape, transpose, slice, pad, join, split."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from adapters.lowering.fitting import axis_place, common_shape, of_length, of_rank, whole_numbers, within
from adapters.lowering.layers import Lowering, Tensor, Value
from adapters.lowering.registry import Node, onnx_op
from polytope.errors import CorruptFileError, NotPiecewiseLinearError, UnsupportedOpError


def in_shape(x: Value, shape: Sequence[int]) -> Value:
    """The same numbers in another layout."""
    if prod(shape) != prod(x.shape) or min(shape, default=0) < 0:
        raise CorruptFileError(f"A tensor of shape {list(x.shape)} cannot take the shape {list(shape)}.")
    return x.reshaped(shape) if isinstance(x, Tensor) else x.reshape(tuple(shape))


def integers(node: Node, attribute: str, place: int, *, since: int) -> list[int] | None:
    """A list of integers: an attribute before an opset, a constant input from it on."""
    found = node.get(attribute) if node.opset < since else node.constant_or_none(place)
    return None if found is None else whole_numbers(found, attribute)


@onnx_op("Reshape", note="shape constant")
def reshape(t: Lowering, node: Node) -> Value:
    """The same numbers in a given shape; 0 keeps an axis, -1 is what remains."""
    target = integers(node, "shape", 1, since=5)
    if target is None:
        raise CorruptFileError("Its shape is missing.")
    return filled_in(t, node[0], target, keep_zeros=bool(node.get("allowzero", 0)))


def filled_in(t: Lowering, x: Value, target: Sequence[int], *, keep_zeros: bool = True) -> Value:
    """Reshape with ONNX's and numpy's abbreviations; a frozen batch in front becomes one sample."""
    shape = list(target)
    if not keep_zeros:
        if any(s == 0 and i >= len(x.shape) for i, s in enumerate(shape)):
            raise CorruptFileError(
                f"Its shape {shape} keeps an axis that the input {list(x.shape)} does not have."
            )
        shape = [x.shape[i] if s == 0 else s for i, s in enumerate(shape)]
    size = prod(x.shape)
    if t.frozen_batch > 1 and isinstance(x, Tensor) and shape[:1] == [t.frozen_batch]:
        shape[0] = 1
    if shape.count(-1) == 1:
        known = prod(s for s in shape if s != -1)
        shape[shape.index(-1)] = size // known if known > 0 else 0
    return in_shape(x, shape)


@onnx_op("Flatten")
def flatten(t: Lowering, node: Node) -> Value:
    """Two axes: those in front of ``axis``, and the rest."""
    x, axis = node[0], int(node.get("axis", 1))
    axis = axis + len(x.shape) if axis < 0 else axis
    return in_shape(x, (prod(x.shape[:axis]), prod(x.shape[axis:])))


@onnx_op("Squeeze", note="axes constant")
def squeeze(t: Lowering, node: Node) -> Value:
    """Without the given axes of length one; axes as attribute or (opset 13) input."""
    x, axes = node[0], integers(node, "axes", 1, since=13)
    gone = (
        {a for a, n in enumerate(x.shape) if n == 1}
        if axes is None
        else {axis_place(a, len(x.shape)) for a in axes}
    )
    return in_shape(x, [n for a, n in enumerate(x.shape) if a not in gone])


@onnx_op("Unsqueeze", note="axes constant")
def unsqueeze(t: Lowering, node: Node) -> Value:
    """With further axes of length one; axes as attribute or (opset 13) input."""
    x, axes = node[0], integers(node, "axes", 1, since=13)
    rank = len(x.shape) + len(axes or ())
    places = {axis_place(a, rank) for a in axes or ()}
    rest = iter(x.shape)
    return in_shape(x, [1 if a in places else next(rest, 1) for a in range(rank)])


@onnx_op("Transpose")
def transpose(t: Lowering, node: Node) -> Value:
    """The axes in another order."""
    perm = node.get("perm")
    return permuted(t, node[0], perm or range(len(node[0].shape))[::-1])


def permuted(t: Lowering, x: Value, perm: Sequence[int]) -> Value:
    """The axes in another order; no map is needed where only axes of length one move."""
    if sorted(perm) != list(range(len(x.shape))):
        raise CorruptFileError(f"Its perm {list(perm)} is no order of the {len(x.shape)} axes of its input.")
    moved = [p for p in perm if x.shape[p] != 1]
    if moved == sorted(moved):
        return in_shape(x, [x.shape[p] for p in perm])
    return t.rearrange(x, lambda a: a.transpose(tuple(perm)))


@onnx_op("Concat")
def concat(t: Lowering, node: Node) -> Value:
    """Operands joined along an axis."""
    parts = [node[i] for i in range(len(node.inputs))]
    return t.concat(parts, axis_place(int(node.get("axis", 1)), len(parts[0].shape)))


@onnx_op("Split", note="sizes constant")
def split(t: Lowering, node: Node) -> tuple[Value, ...]:
    """Parts along an axis: given sizes, or equal parts."""
    x = node[0]
    axis = axis_place(int(node.get("axis", 0)), len(x.shape))
    sizes = integers(node, "split", 1, since=13)
    if sizes is None:
        count = int(node.get("num_outputs", node.n_outputs))
        chunk = -(-x.shape[axis] // max(count, 1))
        sizes = [max(0, min(chunk, x.shape[axis] - i * chunk)) for i in range(count)]
    return parted(t, x, sizes, axis)


def parted(t: Lowering, x: Value, sizes: Sequence[int], axis: int) -> tuple[Value, ...]:
    """Consecutive parts of given sizes."""
    if sum(sizes) != x.shape[axis] or min(sizes, default=0) < 0:
        raise CorruptFileError(f"Its parts {list(sizes)} do not add up to the axis of {x.shape[axis]}.")
    ends = np.cumsum(sizes)
    t.spend(prod(x.shape) * max(1, len(sizes) // 16))
    return tuple(ranged(t, x, axis, int(end - n), int(end), 1) for n, end in zip(sizes, ends, strict=True))


def ranged(t: Lowering, x: Value, axis: int, start: int, stop: int, step: int) -> Value:
    """A slice along one axis."""
    cut = (slice(None),) * axis + (slice(start, stop if stop >= 0 or step > 0 else None, step),)
    return t.rearrange(x, lambda a: a[cut])


@onnx_op("Slice", note="bounds constant")
def slice_node(t: Lowering, node: Node) -> Value:
    """Ranges of axes; bounds as attributes or (opset 10) inputs."""
    x = node[0]
    starts, ends = (integers(node, name, place, since=10) for name, place in (("starts", 1), ("ends", 2)))
    axes = integers(node, "axes", 3, since=10)
    steps = integers(node, "steps", 4, since=10) if node.opset >= 10 else None
    if starts is None or ends is None:
        raise CorruptFileError("Its bounds are missing.")
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    for name, entries in (("ends", ends), ("axes", axes), ("steps", steps)):
        of_length(entries, len(starts), name)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        place = axis_place(axis, len(x.shape))
        x = ranged(t, x, place, *_clamped(start, end, step, x.shape[place]))
    return x


def _clamped(start: int, end: int, step: int, n: int) -> tuple[int, int, int]:
    """ONNX's bounds as those of a python range."""
    if step == 0:
        raise CorruptFileError("Its step is zero.")
    start, end = (start + n if start < 0 else start), (end + n if end < 0 else end)
    if step > 0:
        return min(max(start, 0), n), min(max(end, 0), n), step
    return min(max(start, 0), n - 1), min(max(end, -1), n - 1), step


@onnx_op("Gather", note="indices constant")
def gather(t: Lowering, node: Node) -> Value:
    """Entries along an axis."""
    return taken(t, node[0], node.input(1), axis_place(int(node.get("axis", 0)), len(node[0].shape)))


def taken(t: Lowering, x: Value, where: Value | None, axis: int) -> Value:
    """Entries of an axis at constant places."""
    if where is None or isinstance(where, Tensor):
        raise NotPiecewiseLinearError(
            "its index depends on the input: the output jumps where the index changes."
        )
    if not x.shape:
        raise CorruptFileError("Its operand has no axis to take entries of.")
    index = within(np.asarray(where).astype(np.int64), x.shape[axis])
    t.spend(prod(x.shape[:axis]) * index.size * prod(x.shape[axis + 1 :]))
    return t.rearrange(x, lambda a: np.take(a, index, axis))


@onnx_op("Expand", note="shape constant")
def expand(t: Lowering, node: Node) -> Value:
    """Broadcast to a shape."""
    return spread(t, node[0], node.integers(1))


def spread(t: Lowering, x: Value, target: Sequence[int]) -> Value:
    """Broadcast to a shape, two-way; a frozen batch in front stays one sample."""
    sizes = list(target)
    if t.frozen_batch > 1 and isinstance(x, Tensor) and sizes[:1] == [t.frozen_batch]:
        sizes[0] = 1
    if min(sizes, default=0) < 0:
        raise CorruptFileError(f"Its shape {sizes} has a negative entry.")
    shape = common_shape(x.shape, sizes)
    t.spend(prod(shape))
    return t.expand(x, shape) if isinstance(x, Tensor) else np.broadcast_to(x, shape)


@onnx_op("Tile", note="repeats constant")
def tile(t: Lowering, node: Node) -> Value:
    """The tensor repeated along each axis."""
    repeats = node.integers(1)
    return tiled(t, node[0], repeats)


def tiled(t: Lowering, x: Value, repeats: Sequence[int]) -> Value:
    """The tensor repeated along each axis."""
    if min(repeats, default=1) < 0:
        raise CorruptFileError(f"Its repeats {list(repeats)} must not be negative.")
    t.spend(prod(x.shape) * prod(repeats))
    return t.rearrange(x, lambda a: np.tile(a, tuple(repeats)))


@onnx_op("Pad", note="constant, reflect, edge and wrap mode; pads constant")
def pad(t: Lowering, node: Node) -> Value:
    """More entries before and after each axis; pads as attribute or (opset 11) input."""
    x, rank = node[0], len(node[0].shape)
    name = "paddings" if node.opset < 2 else "pads"
    amounts = integers(node, name, 1, since=11)
    if amounts is None:
        raise CorruptFileError("Its pads are missing.")
    fill = node.constant_or_none(2) if node.opset >= 11 else np.asarray(node.get("value", 0.0))
    axes = integers(node, "axes", 3, since=18) if node.opset >= 18 else None
    places = [axis_place(a, rank) for a in axes] if axes is not None else list(range(rank))
    half = len(amounts) // 2
    if half != len(places) or len(amounts) % 2:
        raise CorruptFileError(f"Its {len(amounts)} pads do not fit {len(places)} axes.")
    widths = [(0, 0)] * rank
    for a, before, after in zip(places, amounts[:half], amounts[half:], strict=True):
        widths[a] = (before, after)
    value = 0.0 if fill is None or not fill.size else float(fill.reshape(-1)[0])
    return padded(t, x, widths, node.get("mode", b"constant").decode(), value)


def padded(t: Lowering, x: Value, widths: Sequence[tuple[int, int]], mode: str, value: float) -> Value:
    """Pad, or crop where a width is negative."""
    if mode not in ("constant", "reflect", "edge", "wrap"):
        raise UnsupportedOpError(f"its mode {mode!r} is not supported.")
    crop = tuple(slice(max(0, -a), n - max(0, -b)) for (a, b), n in zip(widths, x.shape, strict=True))
    more = [(max(0, a), max(0, b)) for a, b in widths]
    t.spend(prod(n + a + b for n, (a, b) in zip(x.shape, more, strict=True)))
    if mode != "constant" and not prod(len(range(n)[cut]) for cut, n in zip(crop, x.shape, strict=True)):
        raise CorruptFileError(f"Its operand of shape {list(x.shape)} has nothing to pad by {mode!r}.")
    if mode == "constant":
        return t.rearrange(x, lambda a: np.pad(a[crop], more, constant_values=-1), value)
    return t.rearrange(x, lambda a: np.pad(a[crop], more, mode=mode))  # type: ignore[call-overload]


@onnx_op("DepthToSpace")
def depth_to_space(t: Lowering, node: Node) -> Value:
    """Channels become blocks of pixels, in DCR or CRD order."""
    return blocks_from_channels(t, node[0], int(node.get("blocksize", 1)), node.get("mode", b"DCR"))


def blocks_from_channels(t: Lowering, x: Value, b: int, mode: bytes) -> Value:
    """Channels become blocks of pixels."""
    of_rank(x.shape, 4, 4)
    n, c, h, w = x.shape
    if b < 1 or c % (b * b):
        raise CorruptFileError(f"Its {c} channels do not fill blocks of {b}.")
    if mode == b"CRD":
        return t.rearrange(
            x,
            lambda a: (
                a.reshape(n, c // b**2, b, b, h, w).transpose(0, 1, 4, 2, 5, 3).reshape(n, -1, h * b, w * b)
            ),
        )
    return t.rearrange(
        x,
        lambda a: (
            a.reshape(n, b, b, c // b**2, h, w).transpose(0, 3, 4, 1, 5, 2).reshape(n, -1, h * b, w * b)
        ),
    )


@onnx_op("SpaceToDepth")
def space_to_depth(t: Lowering, node: Node) -> Value:
    """Blocks of pixels become channels."""
    out = channels_from_blocks(t, node[0], b := int(node.get("blocksize", 1)))
    if node.get("mode", b"DCR") != b"CRD":
        return out
    n, c, h, w = out.shape
    return t.rearrange(out, lambda a: a.reshape(n, b * b, -1, h, w).swapaxes(1, 2).reshape(n, c, h, w))


def channels_from_blocks(t: Lowering, x: Value, b: int) -> Value:
    """Blocks of pixels become channels."""
    of_rank(x.shape, 4, 4)
    n, c, h, w = x.shape
    if b < 1 or h % b or w % b:
        raise CorruptFileError(f"Its image of {h} x {w} is not made of blocks of {b}.")
    return t.rearrange(
        x,
        lambda a: (
            a.reshape(n, c, h // b, b, w // b, b)
            .transpose(0, 3, 5, 1, 2, 4)
            .reshape(n, c * b * b, h // b, w // b)
        ),
    )

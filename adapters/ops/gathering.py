"""ONNX operators that take entries to and from constant places: GatherElements, ScatterND, Compress, ..."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from adapters.lowering.fitting import axis_place, of_length, of_rank, whole_numbers, within
from adapters.lowering.layers import Array, Lowering, Tensor, Value
from adapters.lowering.registry import Node, onnx_op
from adapters.ops.arithmetic import product
from adapters.ops.averages import summed
from adapters.ops.shape import in_shape, padded
from polytope.errors import CorruptFileError, NotPiecewiseLinearError, UnsupportedOpError

_MOVES = "its index depends on the input: the output jumps where the index changes."


def _index(node: Node, place: int) -> Array:
    """A constant index."""
    if isinstance(node[place], Tensor):
        raise NotPiecewiseLinearError(_MOVES)
    return node.constant(place).astype(np.int64)


def _along_axis(node: Node) -> tuple[int, Array]:
    """An axis, and an index of its entries for each of the others' entries that it names."""
    shape, index = node[0].shape, _index(node, 1)
    axis = axis_place(int(node.get("axis", 0)), len(shape))
    of_rank(index.shape, max(len(shape), 1), len(shape))
    if any(m > n for a, (m, n) in enumerate(zip(index.shape, shape, strict=True)) if a != axis):
        raise CorruptFileError(f"Its indices {list(index.shape)} are more than its data {list(shape)}.")
    return axis, within(index, shape[axis])


def _of_several_axes(index: Array, shape: tuple[int, ...], batch: int) -> int:
    """How many axes behind those of the batch the last axis of an index names; their entries are checked."""
    of_rank(index.shape, batch + 1)
    of_rank(shape, batch)
    depth = int(index.shape[-1])
    if batch < 0 or index.shape[:batch] != shape[:batch] or not 1 <= depth <= len(shape) - batch:
        raise CorruptFileError(f"Its indices {list(index.shape)} do not fit its data {list(shape)}.")
    for a in range(depth):
        within(index[..., a], shape[batch + a])
    return depth


@onnx_op("GatherElements", note="indices constant")
def gather_elements(t: Lowering, node: Node) -> Value:
    """Entries along an axis, another place for each."""
    axis, index = _along_axis(node)
    t.spend(index.size)
    cut = tuple(slice(None) if a == axis else slice(n) for a, n in enumerate(index.shape))
    return t.rearrange(node[0], lambda a: np.take_along_axis(a[cut], index, axis))


@onnx_op("GatherND", note="indices constant")
def gather_nd(t: Lowering, node: Node) -> Value:
    """Entries or slices at constant places of several axes, for each entry of the batch axes."""
    index, batch = _index(node, 1), int(node.get("batch_dims", 0))
    depth = _of_several_axes(index, tuple(node[0].shape), batch)
    t.spend(prod(index.shape[:-1]) * prod(node[0].shape[batch + depth :]))

    def move(a: Array) -> Array:
        lead = np.indices(index.shape[:batch]).reshape(
            batch, *index.shape[:batch], *[1] * (index.ndim - batch - 1)
        )
        return np.asarray(a[(*lead, *np.moveaxis(index, -1, 0))])

    return t.rearrange(node[0], move)


def _placed(t: Lowering, node: Node, put: Callable[[Array, Array], None]) -> Value:
    """The data with updates in places that ``put`` fills in both."""
    if node.get("reduction", b"none") != b"none":
        raise UnsupportedOpError(f"its reduction {node.get('reduction').decode()!r} is not supported.")
    data, updates = node[0], node[2]
    n = prod(data.shape)
    joined = t.concat([in_shape(v, (prod(v.shape),)) for v in (data, updates)], 0)

    def move(a: Array) -> Array:
        places = a[:n].reshape(data.shape).copy()
        put(places, a[n:].reshape(updates.shape))
        return places

    return t.rearrange(joined, move)


def _refuse_other_updates(node: Node, shape: tuple[int, ...]) -> None:
    if tuple(node[2].shape) != shape:
        raise CorruptFileError(f"Its updates {list(node[2].shape)} are not of the shape {list(shape)}.")


@onnx_op("ScatterElements", "Scatter", note="indices constant; no reduction")
def scatter_elements(t: Lowering, node: Node) -> Value:
    """The data with other entries at constant places along an axis."""
    axis, index = _along_axis(node)
    _refuse_other_updates(node, index.shape)
    rest = [np.arange(n).reshape(-1, *[1] * (index.ndim - a - 1)) for a, n in enumerate(index.shape)]
    where = tuple(index if a == axis else r for a, r in enumerate(rest))
    return _placed(t, node, lambda data, updates: data.__setitem__(where, updates))


@onnx_op("ScatterND", note="indices constant; no reduction")
def scatter_nd(t: Lowering, node: Node) -> Value:
    """The data with other entries or slices at constant places of several axes."""
    index, shape = _index(node, 1), tuple(node[0].shape)
    depth = _of_several_axes(index, shape, 0)
    _refuse_other_updates(node, (*index.shape[:-1], *shape[depth:]))
    where = tuple(np.moveaxis(index, -1, 0))
    return _placed(t, node, lambda data, updates: data.__setitem__(where, updates))


@onnx_op("Compress", note="condition constant")
def compress(t: Lowering, node: Node) -> Value:
    """The entries of an axis, or of everything, for which a constant condition holds."""
    kept, axis, shape = np.flatnonzero(node.constant(1)), node.get("axis"), node[0].shape
    if axis is not None:
        of_rank(shape, 1)
        axis = axis_place(int(axis), len(shape))
    within(kept, prod(shape) if axis is None else shape[axis])
    return t.rearrange(node[0], lambda a: np.take(a, kept, axis))


@onnx_op("ReverseSequence", note="lengths constant")
def reverse_sequence(t: Lowering, node: Node) -> Value:
    """The first entries of each sequence of a batch backwards."""
    shape = node[0].shape
    time, batch = (
        axis_place(int(node.get(n, d)), len(shape)) for n, d in (("time_axis", 0), ("batch_axis", 1))
    )
    of_rank(shape, 2)
    if time == batch:
        raise CorruptFileError(f"Its axes of time and batch are both {time}.")
    lengths = of_length(node.integers(1), shape[batch], "lengths")
    if min(lengths, default=0) < 0 or max(lengths, default=0) > shape[time]:
        raise CorruptFileError(f"Its lengths {list(lengths)} do not lie in 0 to {shape[time]}.")

    def move(a: Array) -> Array:
        rows = np.moveaxis(a, (batch, time), (0, 1)).copy()
        for row, n in zip(rows, lengths, strict=True):
            row[:n] = row[:n][::-1].copy()
        return np.moveaxis(rows, (0, 1), (batch, time))

    return t.rearrange(node[0], move)


@onnx_op("Trilu", note="k constant")
def triangle(t: Lowering, node: Node) -> Value:
    """The upper or lower triangle of a matrix, zeros elsewhere."""
    k, keep = 0 if node.input(1) is None else node.integer(1), np.triu if node.get("upper", 1) else np.tril
    of_rank(node[0].shape, 2)
    far = max(node[0].shape)
    return t.rearrange(node[0], lambda a: keep(a + 1, min(max(k, -far), far)) - 1)


@onnx_op("MaxUnpool", note="indices constant; natural output_shape")
def max_unpool(t: Lowering, node: Node) -> Value:
    """Entries at constant places of a larger image, zeros elsewhere."""
    x, index = node[0], np.ravel(_index(node, 1))
    of_rank(x.shape, 3)
    axes, shape = range(len(x.shape) - 2), node.constant_or_none(2)
    pads = of_length(node.get("pads", [0] * 2 * len(axes)), 2 * len(axes), "pads")
    strides = of_length(node.get("strides", [1] * len(axes)), len(axes), "strides")
    kernel = of_length(node.get("kernel_shape"), len(axes), "kernel_shape")
    natural = [(x.shape[2 + a] - 1) * strides[a] - pads[a] - pads[a + len(axes)] + kernel[a] for a in axes]
    out = (*x.shape[:2], *natural)
    if node[1].shape != x.shape or min(out) < 1:
        raise CorruptFileError(f"Its indices {list(node[1].shape)} do not fit its input {list(x.shape)}.")
    if shape is not None and tuple(whole_numbers(shape, "output_shape")) != out:
        raise UnsupportedOpError("its output_shape is not its natural one, which runtimes read differently.")
    t.spend(prod(out))
    if index.min(initial=0) < 0:
        raise CorruptFileError("Its indices must not be negative.")
    within(index, prod(out))
    places = np.full(out, -1)
    places[np.unravel_index(index, out)] = np.arange(index.size)
    return t.rearrange(x, lambda a: places)


@onnx_op("CenterCropPad", note="shape constant")
def center_crop_pad(t: Lowering, node: Node) -> Value:
    """Cropped or padded to a given size, the same on both sides."""
    x = node[0]
    axes = [axis_place(int(a), len(x.shape)) for a in node.get("axes") or range(len(x.shape))]
    widths = [(0, 0)] * len(x.shape)
    for axis, size in zip(axes, of_length(node.integers(1), len(axes), "shape"), strict=True):
        more = max(size, 0) - x.shape[axis]
        before = more // 2 if more > 0 else -(-more // 2)
        widths[axis] = (before, more - before)
    return padded(t, x, widths, "constant", 0.0)


@onnx_op("NegativeLogLikelihoodLoss", note="target and weight constant")
def negative_log_likelihood(t: Lowering, node: Node) -> Value:
    """Minus the entry of each target class, weighted: itself, summed, or averaged."""
    x, target, weight = node[0], _index(node, 1), node.constant_or_none(2)
    of_rank(x.shape, 2)
    if target.shape != (x.shape[0], *x.shape[2:]) or (weight is not None and weight.shape != x.shape[1:2]):
        raise CorruptFileError(f"Its target {list(target.shape)} or weights do not fit {list(x.shape)}.")
    kept = target != node.get("ignore_index", target.min(initial=0) - 1)
    target = np.where(kept, target, 0)
    if target.size and not 0 <= target.min() <= target.max() < x.shape[1]:
        raise CorruptFileError(f"Its targets reach outside the {x.shape[1]} classes.")
    factor = kept * (1.0 if weight is None else weight[target])
    chosen = t.rearrange(x, lambda a: np.take_along_axis(a, target[:, None], 1)[:, 0])
    losses, how = product(t, chosen, -factor), node.get("reduction", b"mean")
    if how == b"none":
        return losses
    out = summed(t, losses, range(len(losses.shape)), keep=False, mean=False)
    return out if how == b"sum" else product(t, out, np.asarray(1.0 / factor.sum()))

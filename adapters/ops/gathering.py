"""ONNX operators that take entries to and from constant places: GatherElements, ScatterND, Compress, ..."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from adapters.lowering.layers import Array, Lowering, Tensor, Value
from adapters.lowering.registry import Node, onnx_op
from adapters.ops.arithmetic import product
from adapters.ops.averages import summed
from adapters.ops.shape import in_shape, padded, wrapped
from polytope.errors import CorruptFileError, NotPiecewiseLinearError, UnsupportedOpError

_MOVES = "its index depends on the input: the output jumps where the index changes."


def _index(node: Node, place: int) -> Array:
    """A constant index."""
    if isinstance(node[place], Tensor):
        raise NotPiecewiseLinearError(_MOVES)
    return node.constant(place).astype(np.int64)


@onnx_op("GatherElements", note="indices constant")
def gather_elements(t: Lowering, node: Node) -> Value:
    """Entries along an axis, another place for each."""
    axis, index = wrapped(int(node.get("axis", 0)), len(node[0].shape)), _index(node, 1)
    t.spend(index.size)
    cut = tuple(slice(None) if a == axis else slice(n) for a, n in enumerate(index.shape))
    return t.rearrange(node[0], lambda a: np.take_along_axis(a[cut], index, axis))


@onnx_op("GatherND", note="indices constant")
def gather_nd(t: Lowering, node: Node) -> Value:
    """Entries or slices at constant places of several axes, for each entry of the batch axes."""
    index, batch = _index(node, 1), int(node.get("batch_dims", 0))
    t.spend(prod(index.shape[:-1]) * prod(node[0].shape[batch + index.shape[-1] :]))

    def move(a: Array) -> Array:
        lead = np.indices(index.shape[:batch]).reshape(
            batch, *index.shape[:batch], *[1] * (index.ndim - batch - 1)
        )
        return np.asarray(a[(*lead, *np.moveaxis(index, -1, 0))])

    return t.rearrange(node[0], move)


def _placed(t: Lowering, node: Node, put: Callable[[Array, Array], None]) -> Value:
    """The data with updates in places that ``put`` fills in both."""
    if node.get("reduction", b"none") != b"none":
        raise UnsupportedOpError(f"its reduction {node.get('reduction').decode()!r} has no rule.")
    data, updates = node[0], node[2]
    n = prod(data.shape)
    joined = t.concat([in_shape(v, (prod(v.shape),)) for v in (data, updates)], 0)

    def move(a: Array) -> Array:
        places = a[:n].reshape(data.shape).copy()
        put(places, a[n:].reshape(updates.shape))
        return places

    return t.rearrange(joined, move)


@onnx_op("ScatterElements", "Scatter", note="indices constant; no reduction")
def scatter_elements(t: Lowering, node: Node) -> Value:
    """The data with other entries at constant places along an axis."""
    axis, index = wrapped(int(node.get("axis", 0)), len(node[0].shape)), _index(node, 1)
    rest = [np.arange(n).reshape(-1, *[1] * (index.ndim - a - 1)) for a, n in enumerate(index.shape)]
    where = tuple(index if a == axis else r for a, r in enumerate(rest))
    return _placed(t, node, lambda data, updates: data.__setitem__(where, updates))


@onnx_op("ScatterND", note="indices constant; no reduction")
def scatter_nd(t: Lowering, node: Node) -> Value:
    """The data with other entries or slices at constant places of several axes."""
    where = tuple(np.moveaxis(_index(node, 1), -1, 0))
    return _placed(t, node, lambda data, updates: data.__setitem__(where, updates))


@onnx_op("Compress", note="condition constant")
def compress(t: Lowering, node: Node) -> Value:
    """The entries of an axis, or of everything, for which a constant condition holds."""
    kept, axis = np.flatnonzero(node.constant(1)), node.get("axis")
    return t.rearrange(node[0], lambda a: np.take(a, kept, axis))


@onnx_op("ReverseSequence", note="lengths constant")
def reverse_sequence(t: Lowering, node: Node) -> Value:
    """The first entries of each sequence of a batch backwards."""
    time, batch = int(node.get("time_axis", 0)), int(node.get("batch_axis", 1))

    def move(a: Array) -> Array:
        rows = np.moveaxis(a, (batch, time), (0, 1)).copy()
        for row, n in zip(rows, _index(node, 1), strict=True):
            row[:n] = row[:n][::-1].copy()
        return np.moveaxis(rows, (0, 1), (batch, time))

    return t.rearrange(node[0], move)


@onnx_op("Trilu", note="k constant")
def triangle(t: Lowering, node: Node) -> Value:
    """The upper or lower triangle of a matrix, zeros elsewhere."""
    k, keep = node.constant_or_none(1), np.triu if node.get("upper", 1) else np.tril
    return t.rearrange(node[0], lambda a: keep(a + 1, 0 if k is None else int(np.ravel(k)[0])) - 1)


@onnx_op("MaxUnpool", note="indices constant; natural output_shape")
def max_unpool(t: Lowering, node: Node) -> Value:
    """Entries at constant places of a larger image, zeros elsewhere."""
    x, index = node[0], np.ravel(_index(node, 1))
    axes, shape = range(len(x.shape) - 2), node.constant_or_none(2)
    pads, strides = node.get("pads", [0] * 2 * len(axes)), node.get("strides", [1] * len(axes))
    kernel = node.get("kernel_shape")
    natural = [(x.shape[2 + a] - 1) * strides[a] - pads[a] - pads[a + len(axes)] + kernel[a] for a in axes]
    out = (*x.shape[:2], *natural)
    if shape is not None and tuple(shape) != out:
        raise UnsupportedOpError("its output_shape is not its natural one, which runtimes read differently.")
    t.spend(prod(out))
    places = np.full(out, -1)
    places[np.unravel_index(index, out)] = np.arange(index.size)
    return t.rearrange(x, lambda a: places)


@onnx_op("CenterCropPad", note="shape constant")
def center_crop_pad(t: Lowering, node: Node) -> Value:
    """Cropped or padded to a given size, the same on both sides."""
    x = node[0]
    axes = [wrapped(int(a), len(x.shape)) for a in node.get("axes") or range(len(x.shape))]
    widths = [(0, 0)] * len(x.shape)
    for axis, size in zip(axes, np.ravel(node.constant(1)).tolist(), strict=True):
        more = int(size) - x.shape[axis]
        before = more // 2 if more > 0 else -(-more // 2)
        widths[axis] = (before, more - before)
    return padded(t, x, widths, "constant", 0.0)


@onnx_op("NegativeLogLikelihoodLoss", note="target and weight constant")
def negative_log_likelihood(t: Lowering, node: Node) -> Value:
    """Minus the entry of each target class, weighted: itself, summed, or averaged."""
    x, target, weight = node[0], _index(node, 1), node.constant_or_none(2)
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

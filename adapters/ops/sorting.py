"""Sorted values: networks of maxima and minima of two. Where the values came from jumps."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np

from adapters.lowering.fitting import axis_place, of_rank, whole_number
from adapters.lowering.layers import Lowering, Tensor, Value
from adapters.lowering.registry import Node, aten_op, onnx_op
from adapters.ops.arithmetic import difference, negative, total
from adapters.ops.maximum import PLACES
from adapters.ops.shape import in_shape, ranged, taken
from polytope.errors import CorruptFileError, UnsupportedOpError
from polytope.ir.maps import IntArray


def comparators(n: int) -> Iterator[IntArray]:
    """Pairs ``[pairs, 2]`` of each stage of Batcher's odd-even merge sort of n values.

    References:
        K. E. Batcher, Sorting networks and their applications, 1968; D. E. Knuth, TAOCP 3, 5.2.2 M.
    """
    top = 1 << max((n - 1).bit_length() - 1, 0)
    p = top if n > 1 else 0
    while p:
        q, r, d = top, 0, p
        while True:
            low = np.arange(max(n - d, 0))
            low = low[(low & p) == r]
            yield np.stack([low, low + d], axis=1)
            if q == p:
                break
            q, r, d = q // 2, p, q - p
        p //= 2


def _needed(n: int, k: int) -> list[IntArray]:
    """The stages, without the comparators on which the k largest do not depend."""
    wanted = np.arange(n) < k
    kept = []
    for pairs in reversed(list(comparators(n))):
        used = pairs[wanted[pairs].any(axis=1)]
        wanted[used] = True
        kept.append(used)
    return [pairs for pairs in reversed(kept) if len(pairs)]


def descending(t: Lowering, x: Value, axis: int, k: int) -> Value:
    """The k largest along an axis, the largest first."""
    of_rank(x.shape, 1)
    n = x.shape[axis]
    if not 0 <= k <= n:
        raise CorruptFileError(f"It asks for {k} of {n} values.")
    if k == 0:
        return ranged(t, x, axis, 0, 0, 1)
    if not isinstance(x, Tensor):
        return np.take(-np.sort(-np.asarray(x), axis=axis), range(k), axis=axis)
    rows = t.rearrange(x, lambda a: np.moveaxis(a, axis, -1))
    shape, count = rows.shape, prod(rows.shape[:-1])
    flat = in_shape(rows, (prod(shape),))
    for pairs in _needed(n, k):
        t.spend(count * n)
        flat = _exchanged(t, flat, (n * np.arange(count)[:, None, None] + pairs).reshape(-1, 2))
    first = ranged(t, in_shape(flat, shape), len(shape) - 1, 0, k, 1)
    return t.rearrange(first, lambda a: np.moveaxis(a, -1, axis))


def _exchanged(t: Lowering, x: Value, pairs: IntArray) -> Value:
    """The larger of each pair in the first place, and their sum without it in the second."""
    assert isinstance(x, Tensor), "a constant is sorted at once"
    larger = t.largest(x, pairs, (len(pairs),))
    low, high = pairs.T
    place = np.arange(x.size)
    stays = np.where(np.isin(place, low), -1, place)
    other, chosen, rest = (np.full(x.size, -1) for _ in range(3))
    other[high], chosen[low], rest[high] = low, np.arange(len(pairs)), np.arange(len(pairs))
    kept = total(t, t.rearrange(x, lambda a: stays), t.rearrange(x, lambda a: other))
    moved = difference(t, t.rearrange(larger, lambda a: chosen), t.rearrange(larger, lambda a: rest))
    return total(t, kept, moved)


def sorted_values(t: Lowering, x: Value, axis: int, k: int, *, largest: bool) -> Value:
    """The k largest with the largest first, or the k smallest with the smallest first."""
    return descending(t, x, axis, k) if largest else negative(t, descending(t, negative(t, x), axis, k))


@onnx_op("TopK", note="k constant; the places of the values may not be read")
def top_k(t: Lowering, node: Node) -> tuple[Value, ...]:
    """The k largest or smallest values along an axis, in order."""
    k = int(node.get("k")) if node.opset < 10 else node.integer(1)
    axis, largest = axis_place(int(node.get("axis", -1)), len(node[0].shape)), bool(node.get("largest", 1))
    x = _in_order(node, node.get("sorted", 1))
    return sorted_values(t, x, axis, k, largest=largest), _places(x, axis, k, largest=largest)


def _places(x: Value, axis: int, k: int, *, largest: bool) -> Value:
    """Where the k first values lie, the first of equal ones first: of constants only."""
    if isinstance(x, Tensor):
        unread: Value = PLACES
        return unread
    order = np.argsort(-x.astype(float) if largest else x, axis=axis, kind="stable")
    return np.asarray(np.take(order, range(k), axis=axis))


def _in_order(node: Node, is_sorted: bool) -> Value:
    """The operand, if the order of the values is fixed."""
    if not is_sorted:
        raise UnsupportedOpError("it leaves the order of its values open: ask for sorted values.")
    x: Value = node[0] if node.inputs else node.get("self")
    return x


@aten_op("topk", note="the places of the values may not be read")
def aten_top_k(t: Lowering, node: Node) -> tuple[Value, ...]:
    """The k largest or smallest values along an axis, in order."""
    x, largest = _in_order(node, node.get("sorted", True)), bool(node.get("largest", True))
    axis = axis_place(int(node.get("dim", -1)), len(x.shape))
    return sorted_values(t, x, axis, int(node.get("k")), largest=largest), PLACES


@aten_op("sort", "msort", note="the places of the values may not be read")
def aten_sort(t: Lowering, node: Node) -> Value | tuple[Value, ...]:
    """All values along an axis, in order."""
    x = node.get("self")
    axis = 0 if node.op == "msort" else axis_place(int(node.get("dim", -1)), len(x.shape))
    of_rank(x.shape, 1)
    out = sorted_values(t, x, axis, x.shape[axis], largest=bool(node.get("descending", False)))
    return out if node.op == "msort" else (out, PLACES)


@aten_op("kthvalue", "median", note="the place of the value may not be read")
def aten_kth_value(t: Lowering, node: Node) -> Value | tuple[Value, ...]:
    """The k-th smallest value along an axis; the median is the lower of the two in the middle."""
    x, dim = node.get("self"), node.get("dim")
    whole = dim is None and node.op == "median"
    x = in_shape(x, (prod(x.shape),)) if whole else x
    axis = 0 if whole else axis_place(whole_number(-1 if dim is None else dim, "dim"), len(x.shape))
    of_rank(x.shape, 1)
    k = int(node.get("k", (x.shape[axis] + 1) // 2))
    out = taken(t, sorted_values(t, x, axis, k, largest=False), np.asarray([k - 1]), axis)
    kept = bool(node.get("keepdim", False))
    out = out if kept else in_shape(out, [n for a, n in enumerate(out.shape) if a != axis])
    return out if whole else (out, PLACES)

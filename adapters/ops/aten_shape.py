"""ATen operators that move numbers without changing them, and those that make constants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from adapters.lowering.conditions import Condition
from adapters.lowering.fitting import axis_place, of_rank, whole_number
from adapters.lowering.layers import Lowering, Tensor, Value
from adapters.lowering.registry import Node, aten_op
from adapters.ops.shape import (
    blocks_from_channels,
    channels_from_blocks,
    filled_in,
    in_shape,
    padded,
    parted,
    permuted,
    ranged,
    spread,
    taken,
    tiled,
)
from adapters.torch.aten_types import cast, is_whole
from polytope.errors import CorruptFileError, NotPiecewiseLinearError


def operand(node: Node) -> Value:
    """The tensor that an operator acts on, called self or input."""
    value = node.get("self") if node.get("self") is not None else node.get("input")
    return value if isinstance(value, Tensor) else np.asarray(value)


def whole(entries: Sequence[Any]) -> list[int]:
    """Integers, some of which may be constants of one element."""
    return [whole_number(e, "sizes") for e in entries]


@aten_op("view", "reshape", "_unsafe_view", "view_copy", "_reshape_alias")
def aten_reshape(t: Lowering, node: Node) -> Value:
    """The same numbers in another shape."""
    return filled_in(t, operand(node), whole(node.get("size", node.get("shape"))))


@aten_op("flatten")
def aten_flatten(t: Lowering, node: Node) -> Value:
    """Neighbouring axes as one."""
    x = operand(node)
    first, last = (
        axis_place(int(node.get(n, d)), len(x.shape)) for n, d in (("start_dim", 0), ("end_dim", -1))
    )
    return in_shape(x, (*x.shape[:first], prod(x.shape[first : last + 1]), *x.shape[last + 1 :]))


@aten_op("unflatten")
def aten_unflatten(t: Lowering, node: Node) -> Value:
    """One axis as several."""
    x, sizes = operand(node), whole(node.get("sizes"))
    dim = axis_place(int(node.get("dim")), len(x.shape))
    return filled_in(t, x, [*x.shape[:dim], *sizes, *x.shape[dim + 1 :]])


@aten_op("permute", "permute_copy")
def aten_permute(t: Lowering, node: Node) -> Value:
    """The axes in another order."""
    x = operand(node)
    return permuted(t, x, [axis_place(d, len(x.shape)) for d in whole(node.get("dims"))])


@aten_op("transpose", "t", "numpy_T", "mT", "mH", "swapaxes")
def aten_transpose(t: Lowering, node: Node) -> Value:
    """Two axes exchanged."""
    x = operand(node)
    order = list(range(len(x.shape)))
    if node.op in ("t", "numpy_T"):
        return permuted(t, x, order[::-1])
    dims = (-2, -1) if node.op in ("mT", "mH") else (node.get("dim0"), node.get("dim1"))
    a, b = (axis_place(int(d), len(order)) for d in dims)
    order[a], order[b] = order[b], order[a]
    return permuted(t, x, order)


@aten_op("unsqueeze", "unsqueeze_copy")
def aten_unsqueeze(t: Lowering, node: Node) -> Value:
    """With one more axis of length one."""
    x = operand(node)
    dim = axis_place(int(node.get("dim")), len(x.shape) + 1)
    return in_shape(x, (*x.shape[:dim], 1, *x.shape[dim:]))


@aten_op("squeeze", "squeeze_copy")
def aten_squeeze(t: Lowering, node: Node) -> Value:
    """Without axes of length one."""
    x, dim = operand(node), node.get("dim")
    dims = range(len(x.shape)) if dim is None else whole([dim] if isinstance(dim, int) else dim)
    gone = {axis_place(d, len(x.shape)) for d in dims}
    return in_shape(x, [n for a, n in enumerate(x.shape) if n != 1 or a not in gone])


@aten_op("cat", "concat", "concatenate")
def aten_cat(t: Lowering, node: Node) -> Value:
    """Tensors joined along an axis."""
    parts = [v if isinstance(v, Tensor) else np.asarray(v) for v in node.get("tensors")]
    parts = [v for v in parts if prod(v.shape) or len(v.shape) > 1]
    if not parts:
        raise CorruptFileError("It joins nothing.")
    return t.concat(parts, axis_place(int(node.get("dim", 0)), len(parts[0].shape)))


@aten_op("stack")
def aten_stack(t: Lowering, node: Node) -> Value:
    """Tensors joined along a new axis."""
    parts = [v if isinstance(v, Tensor) else np.asarray(v) for v in node.get("tensors")]
    if not parts:
        raise CorruptFileError("It joins nothing.")
    dim = axis_place(int(node.get("dim", 0)), len(parts[0].shape) + 1)
    return t.concat([in_shape(v, (*v.shape[:dim], 1, *v.shape[dim:])) for v in parts], dim)


@aten_op("split", "split_with_sizes", "chunk", "unbind", "split_copy", "unbind_copy")
def aten_split(t: Lowering, node: Node) -> tuple[Value, ...]:
    """Consecutive parts along an axis."""
    x = operand(node)
    dim = axis_place(int(node.get("dim", 0)), len(x.shape))
    n = x.shape[dim]
    given = node.get("split_sizes", node.get("split_size"))
    if node.op.startswith("unbind"):
        rest = [m for a, m in enumerate(x.shape) if a != dim]
        return tuple(in_shape(part, rest) for part in parted(t, x, [1] * n, dim))
    if isinstance(given, list):
        return parted(t, x, whole(given), dim)
    size = int(given) if given is not None else -(-n // int(node.get("chunks")))
    return parted(t, x, [min(size, n - start) for start in range(0, n, size)], dim)


@aten_op("slice", "slice_copy", "narrow")
def aten_slice(t: Lowering, node: Node) -> Value:
    """A range of an axis."""
    x = operand(node)
    dim = axis_place(int(node.get("dim", 0)), len(x.shape))
    of_rank(x.shape, 1)
    start, n = node.get("start", 0), x.shape[dim]
    if int(node.get("step", 1)) < 1:
        raise CorruptFileError("Its step must be positive.")
    end = start + node.get("length") if node.op == "narrow" else node.get("end", n)
    low, high, step = slice(start, end, int(node.get("step", 1))).indices(n)
    return ranged(t, x, dim, low, high, step)


@aten_op("select", "select_copy")
def aten_select(t: Lowering, node: Node) -> Value:
    """One entry of an axis."""
    x = operand(node)
    dim = axis_place(int(node.get("dim")), len(x.shape))
    return taken(t, x, np.asarray(int(node.get("index"))), dim)


@aten_op("index_select", note="index constant")
def aten_index_select(t: Lowering, node: Node) -> Value:
    """Entries of an axis."""
    x = operand(node)
    return taken(t, x, node.get("index"), axis_place(int(node.get("dim")), len(x.shape)))


@aten_op("expand", "broadcast_to", "expand_copy", "expand_as")
def aten_expand(t: Lowering, node: Node) -> Value:
    """Broadcast to a shape."""
    x = operand(node)
    size = list(node.get("other").shape) if node.op == "expand_as" else whole(node.get("size"))
    of_rank(x.shape, 0, len(size))
    padded_shape = (1,) * (len(size) - len(x.shape)) + tuple(x.shape)
    return spread(t, x, [n if s == -1 else s for s, n in zip(size, padded_shape, strict=True)])


@aten_op("copy")
def aten_copy(t: Lowering, node: Node) -> Value:
    """The numbers of src in the shape of self."""
    src = node.get("src")
    return spread(t, src if isinstance(src, Tensor) else np.asarray(src), node.get("self").shape)


@aten_op("repeat", "tile")
def aten_repeat(t: Lowering, node: Node) -> Value:
    """The tensor repeated along each axis."""
    x, repeats = operand(node), whole(node.get("repeats", node.get("dims")))
    more = len(repeats) - len(x.shape)
    x = in_shape(x, (1,) * max(0, more) + tuple(x.shape))
    return tiled(t, x, [1] * max(0, -more) + repeats)


@aten_op("constant_pad_nd", "pad", "reflection_pad1d", "reflection_pad2d", "replication_pad2d")
def aten_pad(t: Lowering, node: Node) -> Value:
    """More entries before and after the last axes."""
    x, amounts = operand(node), whole(node.get("pad", node.get("padding")))
    mode = node.get("mode") or {"refl": "reflect", "repl": "replicate"}.get(node.op[:4], "constant")
    if len(amounts) % 2 or len(amounts) > 2 * len(x.shape):
        raise CorruptFileError(f"Its {len(amounts)} pads do not fit {len(x.shape)} axes.")
    widths = [(0, 0)] * len(x.shape)
    for place in range(len(amounts) // 2):
        widths[-1 - place] = (amounts[2 * place], amounts[2 * place + 1])
    words = {"replicate": "edge", "circular": "wrap"}
    return padded(t, x, widths, words.get(mode, mode), float(node.get("value", 0.0)))


@aten_op("pixel_shuffle", "pixel_unshuffle")
def aten_pixel_shuffle(t: Lowering, node: Node) -> Value:
    """Channels become blocks of pixels, or back."""
    x = operand(node)
    if node.op == "pixel_shuffle":
        factor = int(node.get("upscale_factor"))
        return blocks_from_channels(t, x, factor, b"CRD")
    b = int(node.get("downscale_factor"))
    out = channels_from_blocks(t, x, b)
    n, c, h, w = out.shape
    return t.rearrange(out, lambda a: a.reshape(n, b * b, c // b**2, h, w).swapaxes(1, 2).reshape(n, c, h, w))


@aten_op("clone", "contiguous", "detach", "alias", "alias_copy", "lift_fresh_copy", "lift_fresh")
def aten_identity(t: Lowering, node: Node) -> Value:
    """The input itself."""
    return operand(node)


@aten_op("dropout", "feature_dropout", "alpha_dropout", "native_dropout", note="inference")
def aten_dropout(t: Lowering, node: Node) -> Value | tuple[Value, ...]:
    """The input itself."""
    if node.get("train", False) and float(node.get("p", 0.5)) > 0:
        raise NotPiecewiseLinearError(
            "Dropout is active in inference too: write F.dropout(x, training=self.training), "
            "or call model.eval() before the model is exported."
        )
    return operand(node) if node.op != "native_dropout" else (operand(node), np.zeros(0))


@aten_op("to", "_to_copy", "type_as", "float", "double", note="to a float type")
def aten_to(t: Lowering, node: Node) -> Any:
    """Another number type or device."""
    given, dtype = node.get("self"), _number_type(node)
    if isinstance(given, Condition) or dtype is None:
        return given
    if not isinstance(given, Tensor):
        return cast(given, dtype)
    if is_whole(dtype):
        raise NotPiecewiseLinearError(
            "it casts values that depend on the input to integers: the output jumps."
        )
    return given


def _number_type(node: Node) -> Any:
    """What a cast casts to; ``None`` where it only moves, or casts to what depends on the input."""
    if node.op in ("float", "double"):
        return "float32" if node.op == "float" else "float64"
    like = node.get("other")
    return like.dtype.name if isinstance(like, np.ndarray) else node.get("dtype")


@aten_op("size", "sym_size")
def aten_size(t: Lowering, node: Node) -> Value:
    """The sizes of the axes, as constants."""
    dim, sizes = node.get("dim"), operand(node).shape
    return np.asarray(sizes if dim is None else sizes[int(dim)], dtype=np.int64)


@aten_op("zeros", "ones", "full", "zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full")
def aten_full(t: Lowering, node: Node) -> Value:
    """A tensor filled with one number."""
    like = node.get("self")
    shape = like.shape if node.op.endswith("_like") else tuple(whole(node.get("size")))
    if min(shape, default=0) < 0:
        raise CorruptFileError(f"Its shape {list(shape)} has a negative entry.")
    t.spend(prod(shape))
    value = 0.0 if "zeros" in node.op else 1.0 if "ones" in node.op else float(node.get("fill_value"))
    filled, dtype = np.full(shape, value), node.get("dtype")
    return filled if dtype is None else cast(filled, dtype)


@aten_op("arange", note="constants")
def aten_arange(t: Lowering, node: Node) -> Value:
    """Equally spaced numbers."""
    start, end, step = (node.get(n, d) for n, d in (("start", 0), ("end", 0), ("step", 1)))
    if not step or not np.isfinite([start, end, step]).all():
        raise CorruptFileError("Its step is zero, or an end is not finite.")
    t.spend(int(max(0, (end - start) / step)) + 1)
    return np.arange(start, end, step)


@aten_op("_assert_tensor_metadata", "_assert_async", "sym_constrain_range_for_size")
def aten_assertion(t: Lowering, node: Node) -> Value:
    """Nothing: an assertion of the exporter."""
    return np.zeros(0)


_SCALARS: dict[str, Callable[..., Any]] = {
    "sym_mul": lambda a, b: a * b,
    "sym_add": lambda a, b: a + b,
    "sym_sub": lambda a, b: a - b,
    "sym_floordiv": lambda a, b: a // b,
}


def _size(value: Any) -> Any:
    """A size, as a number or an array of one entry."""
    if not isinstance(value, int | np.ndarray):
        raise CorruptFileError(f"Its operand is a {type(value).__name__}, not a size.")
    return value


@aten_op(*_SCALARS)
def symbolic_arithmetic(t: Lowering, node: Node) -> Value:
    """Arithmetic of sizes."""
    a, b = (whole_number(_size(node.get(n)), "sizes") for n in ("a", "b"))
    if node.op == "sym_floordiv" and b == 0:
        raise CorruptFileError("It divides by zero.")
    return np.asarray(_SCALARS[node.op](a, b))

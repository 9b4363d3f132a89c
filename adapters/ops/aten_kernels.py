"""ATen operators read off PyTorch's own kernels: those that only move numbers, and those of constants."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from adapters.lowering.conditions import Condition
from adapters.lowering.fitting import axis_place, broadcast
from adapters.lowering.layers import Array, Lowering, Tensor, Value
from adapters.lowering.reasons import refusal
from adapters.lowering.registry import Node, aten_op, rule_for
from adapters.ops.aten_shape import operand
from adapters.ops.constants import plain_power
from polytope.errors import CorruptFileError, NotPiecewiseLinearError, UnsupportedOpError

_DATA = ("self", "input", "src", "source", "values", "value")
"""The arguments whose numbers an operator moves; all others say where to."""


@aten_op(
    *("flip", "fliplr", "flipud", "roll", "rot90", "movedim", "moveaxis", "swapdims"),
    *("diagonal", "diagonal_copy", "diag", "diag_embed", "tril", "triu", "channel_shuffle"),
    *("im2col", "unfold", "unfold_copy", "repeat_interleave", "index", "gather", "take", "take_along_dim"),
    *("scatter", "slice_scatter", "select_scatter", "diagonal_scatter", "index_put", "index_copy"),
    note="indices constant; without accumulation",
)
def aten_move(t: Lowering, node: Node) -> Value:
    """The same numbers in other places, or zeros."""
    others = {k: v for k, v in node.attributes.items() if v is not None}
    data = [name for name in _DATA if name in others and not (name == "source" and _says_where(others[name]))]
    if isinstance(others.get("repeats"), np.ndarray):
        others["output_size"] = _repeated(node, others["repeats"], others.get("dim"))
    if any(isinstance(v, Tensor) for k in others if k not in data for v in _entries(others[k])):
        raise NotPiecewiseLinearError(
            "its index depends on the input: the output jumps where the index changes."
        )
    if isinstance(others.get("indices"), list):
        others["indices"] = [i for v in others["indices"] for i in _positions(v)]
    if others.get("reduce") is not None or others.get("accumulate"):
        raise UnsupportedOpError("it adds to what is there, which is not supported.")
    if not data:
        return np.asarray(_run(t, node.op, others))
    parts = [v if isinstance(v, Tensor) else np.asarray(v) for v in (others.pop(name) for name in data)]
    shapes, plain = [v.shape for v in parts], [not isinstance(node.get(n), Tensor | np.ndarray) for n in data]
    joined = t.concat([v.reshaped((v.size,)) if isinstance(v, Tensor) else v.ravel() for v in parts], 0)

    def move(places: np.ndarray) -> np.ndarray:
        ends = np.cumsum([prod(s) for s in shapes])
        pieces = [p.reshape(s) + 1.0 for p, s in zip(np.split(places, ends[:-1]), shapes, strict=True)]
        given = {n: p.item() if one else p for n, p, one in zip(data, pieces, plain, strict=True)}
        return np.asarray(_run(t, node.op, {**given, **others})).astype(np.int64) - 1

    return t.rearrange(joined, move)


def _repeated(node: Node, repeats: Array, dim: int | None) -> int:
    """How many entries there are after repetition: a size, which the kernel has to know beforehand."""
    if node.get("self") is None:
        return int(repeats.sum())
    shape = operand(node).shape
    n = prod(shape) if dim is None else shape[axis_place(dim, len(shape))]
    return int(broadcast(repeats, (n,)).sum())


def _says_where(value: Any) -> bool:
    """Whether an argument is an axis, or several."""
    return isinstance(value, int | list)


def _positions(index: Any) -> list[Any]:
    """An index as it is; a mask as the places where it holds."""
    mask = isinstance(index, np.ndarray) and index.dtype == bool
    return list(np.nonzero(np.atleast_1d(index))) if mask else [index]


def _entries(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


_OF_CONSTANTS = (
    *("exp", "expm1", "log", "log1p", "log2", "log10", "sqrt", "rsqrt", "square", "reciprocal"),
    *("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "sigmoid", "erf", "softplus"),
    *("softmax", "log_softmax", "_softmax", "_log_softmax", "floor", "ceil", "round", "trunc", "sign"),
    *("remainder", "fmod", "floor_divide", "eq", "ne", "isnan", "isinf", "isfinite", "any", "all", "argsort"),
    *("logical_not", "logical_and", "logical_or", "logical_xor", "bitwise_not", "bitwise_and", "bitwise_or"),
    *("prod", "cumprod", "var", "std", "outer", "inverse", "matrix_exp"),
    *("argmax", "argmin", "gelu", "silu", "elu", "selu", "mish", "hardswish", "log_sigmoid", "hardshrink"),
    *("asinh", "acosh", "atanh", "atan2", "erfc", "logaddexp", "bucketize", "linalg_inv"),
    *("linspace", "eye", "scalar_tensor", "tril_indices", "triu_indices", "one_hot", "logsumexp"),
)


def _computed(t: Lowering, node: Node) -> Value | tuple[Value, ...]:
    """Any function of constants."""
    given = [v for value in node.attributes.values() for v in _entries(value)]
    if any(isinstance(v, Tensor | Condition) for v in given):
        raise refusal("ATen", node.op)
    found = _run(t, node.op, {k: v for k, v in node.attributes.items() if v is not None})
    return tuple(found) if isinstance(found, list) else found


aten_op(*_OF_CONSTANTS, note="constants only")(_computed)


@aten_op("_weight_norm", note="constants only")
def weight_norm(t: Lowering, node: Node) -> Value:
    """V g / |v|, with a norm for each entry of one axis, of constants: PyTorch's kernel checks no sizes."""
    if isinstance(node.get("v"), Tensor) or isinstance(node.get("g"), Tensor):
        raise refusal("ATen", node.op)
    v, g = (np.asarray(node.get(n)) for n in ("v", "g"))
    kept = axis_place(int(node.get("dim", 0)), v.ndim)
    norm = np.sqrt((v * v).sum(axis=tuple(a for a in range(v.ndim) if a != kept), keepdims=True))
    return np.asarray(v * (broadcast(g, norm.shape) / norm))


def in_whole_numbers(t: Lowering, node: Node) -> Value | tuple[Value, ...]:
    """An operator that is to give whole numbers: PyTorch's kernel on constants, and else what jumps."""
    rule = rule_for("ATen", node.op)
    given = [v for value in node.attributes.values() for v in _entries(value)]
    if not any(isinstance(v, Tensor | Condition) for v in given):
        return _computed(t, node)
    if node.op.endswith("_like") or node.op.startswith("new_"):
        return rule(t, node)
    raise NotPiecewiseLinearError("it makes whole numbers of values that depend on the input: they jump.")


@aten_op("pow", note="constants, or the constant exponent 1 or 0")
def aten_power(t: Lowering, node: Node) -> Value | tuple[Value, ...]:
    """A power of constants; of the input the first is the input, and the zeroth one."""
    x, y = node.get("self"), node.get("exponent")
    if not isinstance(x, Tensor) or isinstance(y, Tensor | Condition):
        return _computed(t, node)
    return plain_power(t, x, np.asarray(y), refusal("ATen", node.op))


def _run(t: Lowering, op: str, arguments: Mapping[str, Any]) -> Any:
    """PyTorch's kernel on arrays; sizes are found without computing, and counted first."""
    import torch

    def tensors(value: Any, device: str) -> Any:
        if isinstance(value, np.ndarray):
            return torch.as_tensor(np.ascontiguousarray(value).reshape(value.shape)).to(device)
        return [tensors(v, device) for v in value] if isinstance(value, list) else value

    function = getattr(torch.ops.aten, op)
    for device in ("meta", "cpu"):
        if "device" in arguments:
            arguments = {**arguments, "device": device}
        given = {name: tensors(v, device) for name, v in arguments.items()}
        try:
            found = function(**given)
        except Exception as error:  # PyTorch raises many unrelated kinds
            first = str(error).split("\n")[0][:200]
            raise CorruptFileError(f"PyTorch cannot run it: {first}") from error
        several = list(found) if isinstance(found, tuple | list) else [found]
        if device == "meta":
            t.spend(sum(prod(f.shape) for f in several))
    arrays = [f.numpy() for f in several]
    return arrays if isinstance(found, tuple | list) else arrays[0]

"""Operators that make or keep values: constants, shapes, casts, identities, integer arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, prod

import ml_dtypes
import numpy as np

from adapters.lowering.conditions import Condition
from adapters.lowering.fitting import common_shape, folded
from adapters.lowering.layers import Array, Lowering, Tensor, Value
from adapters.lowering.reasons import refusal
from adapters.lowering.registry import Node, onnx_op
from adapters.ops.averages import axes_of
from polytope.errors import CorruptFileError, LoadError, NotPiecewiseLinearError, UnsupportedOpError

FLOATS = {1: np.float32, 10: np.float16, 11: np.float64}
_BFLOAT16 = 16
INTEGERS = {
    2: np.uint8,
    3: np.int8,
    4: np.uint16,
    5: np.int16,
    6: np.int32,
    7: np.int64,
    12: np.uint32,
    13: np.uint64,
}


@onnx_op("Identity", "Dropout", note="inference; Dropout: one output used")
def identity(t: Lowering, node: Node) -> Value | tuple[Value, ...]:
    """The input itself."""
    if (
        node.op == "Dropout"
        and node.opset >= 12
        and (mode := node.constant_or_none(2)) is not None
        and mode.any()
    ):
        raise NotPiecewiseLinearError(
            "Dropout is in training mode (training_mode is set). Export the model after model.eval()."
        )
    return node[0] if node.n_outputs < 2 else (node[0], np.ones(node[0].shape, dtype=bool))


@onnx_op("Cast", note="of the input: to a float type")
def cast(t: Lowering, node: Node) -> Value:
    """Another number type."""
    x, to = node[0], _number_type(node.get("to", 1))
    if isinstance(x, Condition):
        return x
    if isinstance(x, Tensor):
        if to not in (*FLOATS, _BFLOAT16):
            kind = "integers" if to in INTEGERS else "truth values" if to == 9 else "numbers of few bits"
            raise _cast_that_jumps(kind)
        return x
    if to == _BFLOAT16:
        return x.astype(ml_dtypes.bfloat16).astype(np.float32)
    kinds = {**FLOATS, **INTEGERS, 9: np.bool_}
    if to not in kinds:
        raise UnsupportedOpError(f"it casts to number type {to}, which is not supported.")
    return x.astype(kinds[to])


def _number_type(to: int | bytes) -> int:
    """A number type; below operator set 6 its name says it."""
    if not isinstance(to, bytes):
        return int(to)
    import onnx

    return int(onnx.TensorProto.DataType.Value(to.decode()))


def _cast_that_jumps(kind: str) -> NotPiecewiseLinearError:
    return NotPiecewiseLinearError(f"it casts values that depend on the input to {kind}: the output jumps.")


@onnx_op("CastLike", note="of the input: to a float type")
def cast_like(t: Lowering, node: Node) -> Value:
    """The number type of another tensor."""
    x, like = node[0], node[1]
    if isinstance(x, Tensor) and not isinstance(like, Tensor) and like.dtype.kind != "f":
        raise _cast_that_jumps("truth values" if like.dtype.kind == "b" else "integers")
    if isinstance(x, Tensor | Condition):
        return x
    if isinstance(like, Tensor):  # of some floating-point type: whole numbers become such
        return x if x.dtype.kind == "f" else x.astype(float)
    return x.astype(like.dtype)


@onnx_op("Constant")
def constant(t: Lowering, node: Node) -> Value:
    """A tensor from the file."""
    for name in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        if node.get(name) is not None:
            kind = np.float32 if "float" in name else np.int64
            value = node.get(name)
            return value if isinstance(value, np.ndarray) else np.asarray(value, dtype=kind)
    raise UnsupportedOpError("it holds a sparse tensor or text, which are not supported.")


@onnx_op("ConstantOfShape", note="shape constant")
def constant_of_shape(t: Lowering, node: Node) -> Value:
    """A tensor filled with one number."""
    shape = tuple(node.integers(0))
    if min(shape, default=0) < 0:
        raise CorruptFileError(f"Its shape {list(shape)} has a negative entry.")
    t.spend(prod(shape))
    value = node.get("value", np.zeros(1, dtype=np.float32))
    return np.full(shape, np.ravel(value)[0])


@onnx_op("Shape")
def shape(t: Lowering, node: Node) -> Value:
    """The sizes of the axes, as constants."""
    sizes = node[0].shape
    return np.asarray(sizes[slice(node.get("start", 0), node.get("end", None))], dtype=np.int64)


@onnx_op("Size")
def size(t: Lowering, node: Node) -> Value:
    """The number of elements, as a constant."""
    return np.asarray(prod(node[0].shape), dtype=np.int64)


@onnx_op("Range", note="constants")
def number_range(t: Lowering, node: Node) -> Value:
    """Equally spaced numbers."""
    if any(isinstance(node[i], Tensor) for i in range(3)):
        raise NotPiecewiseLinearError("the number of its entries depends on the input.")
    start, limit, step = (np.ravel(node.constant(i))[0] for i in range(3))
    if step == 0:
        raise CorruptFileError("Its step is zero.")
    t.spend(max(0, ceil((float(limit) - float(start)) / float(step))))
    return np.arange(start, limit, step)


@onnx_op("ReduceProd", note="constants only")
def reduce_product(t: Lowering, node: Node) -> Value:
    """Product along axes, of constants."""
    if isinstance(node[0], Tensor):
        raise refusal("ONNX", node.op)
    x = node.constant(0)
    axes = axes_of(node, x.ndim, since=18)
    return x if axes is None else np.asarray(np.prod(x, axis=axes, keepdims=bool(node.get("keepdims", 1))))


@onnx_op("Pow", note="constants, or the constant exponent 1 or 0")
def power(t: Lowering, node: Node) -> Value:
    """A power of constants; of the input the first is the input, and the zeroth one."""
    x, y = node[0], node[1]
    if not isinstance(x, Tensor) and not isinstance(y, Tensor):
        t.spend(prod(common_shape(x.shape, y.shape)))
        return folded(np.power, x, y).astype(x.dtype)
    return plain_power(t, x, y, refusal("ONNX", node.op))


def plain_power(t: Lowering, x: Value, y: Value, refused: LoadError) -> Value:
    """Power of x where all exponents are 1 or 0: linear in x."""
    if not isinstance(x, Tensor) or isinstance(y, Tensor) or not np.isin(y, (0.0, 1.0)).all():
        raise refused
    exponents = np.asarray(y, dtype=float)
    return t.shift(t.scale(x, exponents), 1.0 - exponents)


def _folded(name: str, function: Callable[..., Array]) -> None:
    """Register an operator that is computed where all its operands are constant."""

    def rule(t: Lowering, node: Node) -> Value:
        if any(isinstance(v, Tensor) for v in node.inputs):
            raise refusal("ONNX", name)
        operands = [node.constant(i) for i in range(len(node.inputs))]
        t.spend(prod(common_shape(*(v.shape for v in operands))))
        return folded(function, *operands)

    rule.__module__, rule.__doc__ = __name__, f"{name} of constants."
    onnx_op(name, note="constants only")(rule)


@onnx_op("Mod", note="constants only")
def modulo(t: Lowering, node: Node) -> Value:
    """Remainder of constants, of the sign of the divisor, or with fmod of the dividend."""
    if isinstance(node[0], Tensor) or isinstance(node[1], Tensor):
        raise refusal("ONNX", node.op)
    x, y = node.constant(0), node.constant(1)
    t.spend(prod(common_shape(x.shape, y.shape)))
    return folded(np.fmod if node.get("fmod") else np.mod, x, y)


_FUNCTIONS: dict[str, Callable[..., Array]] = {
    "Equal": np.equal,
    "And": np.logical_and,
    "Or": np.logical_or,
    "Xor": np.logical_xor,
    "Floor": np.floor,
    "Ceil": np.ceil,
    "Sqrt": np.sqrt,
    "Exp": np.exp,
    "Reciprocal": np.reciprocal,
    "Sign": np.sign,
    "IsNaN": np.isnan,
}
for _name, _function in _FUNCTIONS.items():
    _folded(_name, _function)

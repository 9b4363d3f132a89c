"""What one sample of an ONNX input looks like, from its declaration."""

from __future__ import annotations

import onnx

from adapters.inputs import InputPart, completed_part
from polytope.errors import CorruptFileError, NotPiecewiseLinearError, UnsupportedOpError

_FLOATS = (1, 10, 11, 16)
_OPEN = -1
"""What some exporters write for a size that is open."""


def declared_part(info: onnx.ValueInfoProto, given: tuple[int, ...] | None, *, per_sample: bool) -> InputPart:
    """One sample of an ONNX input: the declared shape, completed by the caller's."""
    kind = info.type.WhichOneof("value")
    if kind != "tensor_type":
        raise UnsupportedOpError(f"Input {info.name!r} is not a tensor ({kind or 'no type declared'}).")
    _refuse_kind(info.name, info.type.tensor_type.elem_type)
    if not info.type.tensor_type.HasField("shape"):
        declared: list[int | None] = [None] * (0 if given is None else len(given))
        if given is None:
            raise UnsupportedOpError(
                f"Input {info.name!r} declares no shape. Say it: load(path, input_shape=(1, 28, 28))."
            )
    else:
        dims = info.type.tensor_type.shape.dim
        sizes = [int(d.dim_value) if d.WhichOneof("value") == "dim_value" else None for d in dims]
        declared = [None if n == _OPEN else n for n in sizes]
    if any(n is not None and n < 0 for n in declared):
        raise CorruptFileError(f"Input {info.name!r} has a negative dimension: {declared}.")
    return completed_part(info.name, [n or None for n in declared], given, per_sample=per_sample)


def _refuse_kind(name: str, kind: int) -> None:
    if kind in _FLOATS:
        return
    label = onnx.TensorProto.DataType.Name(kind) if kind in onnx.TensorProto.DataType.values() else str(kind)
    if kind == onnx.TensorProto.UNDEFINED:
        raise CorruptFileError(f"Input {name!r} is of type {label}; a network takes floating-point numbers.")
    few = "numbers of so few bits" if label.startswith("FLOAT") else "whole numbers"
    what = {"STRING": "text"}.get(label, "complex numbers" if label.startswith("COMPLEX") else few)
    raise NotPiecewiseLinearError(
        f"Input {name!r} is of type {label}: a function of {what} has no linear regions. "
        "A network takes floating-point numbers."
    )

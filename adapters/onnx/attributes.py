"""The attributes of an ONNX node as python values, of the types that onnx's own definition of it names."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import onnx

from adapters.onnx.file import array_of
from polytope.errors import CorruptFileError

_Proto = onnx.AttributeProto
_LISTS = (_Proto.INTS, _Proto.FLOATS, _Proto.STRINGS)
_SINGLE = (_Proto.INT, _Proto.FLOAT, _Proto.STRING)


class Definition(NamedTuple):
    """What onnx says of an operator: types of attributes by name, those that must be there, operands."""

    types: dict[str, str]
    required: frozenset[str]
    least_inputs: int


@lru_cache(maxsize=1024)
def definition(op: str, opset: int) -> Definition | None:
    """The definition of a standard operator in a version, or in its first one; ``None`` if there is none."""
    if not onnx.defs.has(op):
        return None
    try:
        schema = onnx.defs.get_schema(op, opset)
    except onnx.defs.SchemaError:  # the operator came later
        schema = onnx.defs.get_schema(op)
    types = {name: str(a.type).rpartition(".")[2] for name, a in schema.attributes.items()}
    required = frozenset(name for name, a in schema.attributes.items() if a.required)
    return Definition(types, required, schema.min_input)


def attributes_of(node: onnx.NodeProto, opset: int, infinite: str) -> dict[str, Any]:
    """The attributes that the operator has in this version; others are left out, as they mean nothing.

    Raises:
        CorruptFileError: one is missing, of another type, or no text; or operands are missing.
    """
    known = definition(node.op_type, opset) if node.domain in ("", "ai.onnx") else None
    found = {a.name: a for a in node.attribute}
    if known:
        missing = sorted(known.required - found.keys())
        if missing:
            raise CorruptFileError(f"Its attribute {missing[0]!r} is missing.")
        if len(node.input) < known.least_inputs:
            raise CorruptFileError(f"It has {len(node.input)} operands; it needs {known.least_inputs}.")
        for name in found.keys() & known.types.keys():
            is_a = _Proto.AttributeType.Name(found[name].type)
            if is_a not in (known.types[name], "UNDEFINED"):
                raise CorruptFileError(f"Its attribute {name!r} is of type {is_a}, not {known.types[name]}.")
        found = {name: a for name, a in found.items() if name in known.types}
    return {name: _value(a, infinite) for name, a in found.items()}


def _value(attribute: onnx.AttributeProto, infinite: str) -> Any:
    """An attribute as a python value; no rule takes graphs or sparse tensors."""
    if attribute.type == _Proto.TENSOR:
        return array_of(attribute.t, infinite=infinite)
    if attribute.type not in (*_LISTS, *_SINGLE):
        return None
    value = onnx.helper.get_attribute_value(attribute)
    texts = [*attribute.strings, attribute.s] if attribute.type in (_Proto.STRING, _Proto.STRINGS) else []
    try:
        for text in texts:
            text.decode()
    except UnicodeDecodeError as error:
        raise CorruptFileError(f"Its attribute {attribute.name!r} is no text.") from error
    return list(value) if attribute.type in _LISTS else value

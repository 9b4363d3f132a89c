"""The arguments of an ATen operator, checked against PyTorch's own declaration of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from adapters.lowering.conditions import Condition, Places
from adapters.lowering.layers import Tensor
from polytope.errors import CorruptFileError

_ONE: Mapping[str, Callable[[Any], bool]] = {
    "Tensor": lambda v: isinstance(v, Tensor | np.ndarray | Condition | Places) or _is_number(v, "iubf"),
    "int": lambda v: _is_number(v, "iub") or _is_named(v),
    "float": lambda v: _is_number(v, "iubf"),
    "number": lambda v: _is_number(v, "iubf"),
    "bool": lambda v: _is_number(v, "iub"),
    "str": lambda v: isinstance(v, str),
}
"""Kinds of single values that rules read; others, such as devices, they do not."""


@lru_cache(maxsize=1024)
def _declared(op: str, overload: str) -> tuple[tuple[str, str, bool, bool], ...] | None:
    """Of each argument: name, type, whether one entry may stand for a list, whether it may be left out."""
    import torch

    schemas = {s.overload_name: s for s in torch._C._jit_get_schemas_for_operator(f"aten::{op}")}
    if not schemas:
        return None
    name = "" if overload == "default" else overload
    if name not in schemas:
        raise CorruptFileError(f"The operator has no overload {overload!r}.")
    return tuple(
        (a.name, str(a.type), getattr(a, "N", None) is not None, a.has_default_value())
        for a in schemas[name].arguments
    )


def checked_arguments(op: str, overload: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments, with tensors that are written as a number as arrays.

    Raises:
        CorruptFileError: which one, and what was expected.
    """
    found = dict(arguments)
    for name, kind, spread, optional in _declared(op, overload) or ():
        value = arguments.get(name)
        if name not in arguments and optional:
            continue
        if not _fits(value, kind) and not (spread and _fits([value], kind.removeprefix("Optional["))):
            given = "missing" if name not in arguments else f"a {type(value).__name__}"
            raise CorruptFileError(f"Its argument {name!r} is {given}; {kind} was expected.")
        if kind in ("Tensor", "Optional[Tensor]") and isinstance(value, int | float):
            found[name] = np.asarray(value)
    return found


def _fits(value: Any, kind: str) -> bool:
    """Whether a value is of a kind: ``int``, ``Optional[List[int]]``, ..."""
    if kind.startswith("Optional["):
        return value is None or _fits(value, kind.removeprefix("Optional[").removesuffix("]"))
    if kind.startswith("List["):
        inner = kind.removeprefix("List[").rstrip("]") + "]" * kind.count("[", 5)
        return isinstance(value, list | tuple) and all(_fits(entry, inner) for entry in value)
    return _ONE[kind](value) if kind in _ONE else True


def _is_named(value: Any) -> bool:
    """Whether a value is a number type or a layout, which the schema takes for numbers."""
    return type(value).__name__ in ("dtype", "layout", "memory_format")


def _is_number(value: Any, kinds: str) -> bool:
    """Whether a value is one finite or infinite number of some kinds; sizes are arrays of one entry."""
    if not isinstance(value, int | float | np.ndarray | np.generic):
        return False
    array = np.asarray(value)
    return array.size == 1 and array.dtype.kind in kinds and not bool(np.isnan(array).any())

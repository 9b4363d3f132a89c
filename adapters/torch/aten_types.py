"""Number types, as programs of ATen operators name or number them."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from polytope.errors import UnsupportedOpError

_NAMES = ("uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")
_NUMBERED = dict(enumerate((*_NAMES, "complex32", "complex64", "complex128", "bool"))) | {15: "bfloat16"}
IN_ARCHIVES = {1: 0, 2: 1, 3: 2, 4: 3, 5: 4, 6: 5, 7: 6, 8: 7, 9: 8, 10: 9, 11: 10, 12: 11, 13: 15}
"""The numbers that .pt2 archives give number types, and those that ATen gives them."""


def type_name(dtype: Any) -> str:
    """The name of a number type: "float32", "int64", ..."""
    return _NUMBERED.get(dtype, "unknown") if isinstance(dtype, int) else str(dtype).removeprefix("torch.")


def number_type(dtype: Any) -> np.dtype[Any]:
    """A number type as numpy has it."""
    name = type_name(dtype)
    if name not in (*_NAMES, "bool", "bfloat16"):
        raise UnsupportedOpError(f"Its number type {name} is not supported.")
    return np.dtype(ml_dtypes.bfloat16) if name == "bfloat16" else np.dtype(name)


def cast(array: Any, dtype: Any) -> np.ndarray[Any, Any]:
    """Constants rounded to a number type; those of bfloat16 are kept in float32."""
    found = np.asarray(array).astype(number_type(dtype))
    return found.astype(np.float32) if type_name(dtype) == "bfloat16" else found


def is_whole(dtype: Any) -> bool:
    """Whether numbers of a type are whole, or truth values."""
    return dtype is not None and type_name(dtype).startswith(("int", "uint", "bool"))

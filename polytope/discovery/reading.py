"""Numbers of a table as float64: what is not exactly such a number is refused, and never rounded."""

from __future__ import annotations

from decimal import Decimal
from numbers import Rational
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from polytope.given import described
from polytope.ir.arrays import floats
from polytope.ir.maps import FloatArray

SKIPPED = 2**53  # from here on float64 skips integers


def read(given: ArrayLike, name: str) -> FloatArray:
    """A copy in float64.

    Arguments:
        given: an array, what converts itself to one, a tensor, or nested lists of numbers.
        name: of the argument, for the message.

    Raises:
        TypeError: something is no real number.
        ValueError: a number is missing or not finite, is no float64 number, or is an integer of 2^53 or more.
    """
    if np.ma.is_masked(given):
        raise ValueError(f"Table: numbers of {name} are masked, that is, missing; leave such rows out.")
    raw = _raw(given)
    if raw.dtype.kind in "OUS":
        found = np.array([_number(v, f"{name}{list(at)}") for at, v in np.ndenumerate(raw)]).reshape(
            raw.shape
        )
    else:
        found = floats(raw).copy()
    _finite(found, name)
    if raw.dtype.kind in "iu" and (np.abs(found) >= SKIPPED).any():
        raise ValueError(f"Table: an integer in {name} reaches 2^53, where float64 skips integers.")
    if raw.dtype.kind == "f" and (found != raw).any():
        raise ValueError(f"Table: {name} holds numbers of {raw.dtype} that are no float64 numbers.")
    return found


def _raw(given: Any) -> np.ndarray[Any, Any]:
    """Arrays and tensors as they are; of lists every number by itself, as numpy would round integers."""
    if hasattr(given, "detach"):
        return floats(given)
    if isinstance(given, np.ndarray) or hasattr(given, "__array__"):
        return np.asarray(given)
    try:
        return np.array(given, dtype=object)
    except ValueError as error:
        raise ValueError("Table: rows of equal length are expected.") from error


def _finite(found: FloatArray, name: str) -> None:
    if not np.isfinite(found).all():
        at = np.argwhere(~np.isfinite(found))[0].tolist()
        raise ValueError(f"Table: {name}{at} is missing or not finite; leave such rows out.")


def _number(value: Any, place: str) -> float:
    """A number of any kind that float64 holds; what is missing is NaN."""
    if value is None:
        return float("nan")
    if isinstance(value, bool | np.bool_ | float | np.floating):
        found = float(value)
    elif isinstance(value, Rational | Decimal):
        try:
            found = float(value)
        except OverflowError as error:
            raise ValueError(f"Table: {place} is beyond the range of float64.") from error
        if isinstance(value, int | np.integer) and abs(int(value)) >= SKIPPED:
            raise ValueError(f"Table: {place} is an integer that reaches 2^53, where float64 skips integers.")
    elif isinstance(value, list | tuple | np.ndarray):
        raise ValueError(f"Table: {place} is not a number but {described(value)}; rows have equal length.")
    else:
        raise TypeError(f"Table: {place} is not a real number but {described(value)}.")
    if found == found and found != value:
        raise ValueError(f"Table: {place} is {value}, which is no float64 number: scale it, or convert it.")
    return found

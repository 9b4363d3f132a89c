"""Numbers that a caller gives: whole or positive ones, or a sentence what is expected."""

from __future__ import annotations

from typing import Any

import numpy as np

from polytope.given import described


def count(given: Any, name: str, least: int) -> int:
    """A whole number, not less than another.

    Raises:
        TypeError: it is no whole number.
        ValueError: it is less.
    """
    if isinstance(given, bool) or not isinstance(given, int | np.integer):
        raise TypeError(f"{name}: a whole number is expected, not {described(given)}.")
    if given < least:
        raise ValueError(f"{name} must be at least {least}, not {given}.")
    return int(given)


def amount(given: Any, name: str) -> float:
    """A positive and finite number.

    Raises:
        TypeError: it is no number.
        ValueError: it is not positive, or not finite.
    """
    if isinstance(given, bool) or not isinstance(given, int | float | np.number):
        raise TypeError(f"{name}: a number is expected, not {described(given)}.")
    if not 0 < given < np.inf:
        raise ValueError(f"{name} must be positive and finite, not {given}.")
    return float(given)

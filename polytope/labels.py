"""Numbers that say how much they are worth: exact, a bound, an estimate, or not computed and why."""

from __future__ import annotations

import math
from typing import Any

Labelled = dict[str, Any]

LARGEST_WRITTEN = 10**300
"""Whole numbers above this are written as their decimal logarithm."""


def exact(value: float, note: str = "") -> Labelled:
    """A number that is proved."""
    return _noted({"label": "exact", "value": value}, note)


def bound(lower: int, upper: int, note: str = "") -> Labelled:
    """A number proved to lie in ``lower .. upper``; exact where they are equal."""
    if lower == upper:
        return exact(lower, note)
    ends: Labelled = {"label": "bound", "lower": lower, "upper": upper}
    if upper > LARGEST_WRITTEN:
        ends |= {"upper": None, "log10_upper": log10(upper)}
    return _noted(ends, note)


def interval(lower: float, upper: float, note: str = "") -> Labelled:
    """A real number proved to lie in ``lower .. upper``; infinite ends are not known."""
    if lower == upper:
        return exact(lower, note)
    return _noted({"label": "bound", "lower": lower, "upper": upper if math.isfinite(upper) else None}, note)


def at_least(lower: float, note: str = "") -> Labelled:
    """A number of which only a lower bound is known."""
    return _noted({"label": "bound", "lower": lower, "upper": None}, note)


def estimate(value: float, note: str = "") -> Labelled:
    """A number that was measured or sampled, and not proved."""
    return _noted({"label": "estimate", "value": value}, note)


def not_computed(reason: str) -> Labelled:
    """A number that is missing, and why."""
    return {"label": "not computed", "reason": reason}


def share(number: Labelled, of: int) -> Labelled:
    """A number of units as a share of all."""
    if not of:
        return not_computed("no unit bends")
    return {
        key: value / of if key in ("value", "lower", "upper") and value is not None else value
        for key, value in number.items()
    }


def log10(n: int) -> float:
    """The decimal logarithm of a whole number of any size."""
    shift = max(n.bit_length() - 60, 0)
    return math.log10(n >> shift) + shift * math.log10(2)


def in_words(number: Labelled) -> str:
    """A labelled number as a reader sees it: ``12,345``, ``at least 3``, ``3 to 9``."""
    if number["label"] == "not computed":
        return "not computed"
    if number["label"] != "bound":
        return _digits(number["value"])
    if "log10_upper" in number:
        return f"{_digits(number['lower'])} to 10^{number['log10_upper']:.0f}"
    if number["upper"] is None:
        return f"at least {_digits(number['lower'])}"
    return f"{_digits(number['lower'])} to {_digits(number['upper'])}"


def _digits(value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}" if abs(value) < 10**12 else f"{value:.2e}"
    return f"{value:.4g}"


def _noted(number: Labelled, note: str) -> Labelled:
    return number | {"note": note} if note else number

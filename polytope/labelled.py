"""A number that says what it is worth, and counts as a plain float wherever one is expected."""

from __future__ import annotations

from fractions import Fraction
from math import inf, nextafter
from typing import Literal

Label = Literal["exact", "lower bound", "upper bound"]


class Labelled(float):
    """A float with a ``label``; shown with it unless it is exact.

    The true number lies between ``lower`` and ``upper``, which are proved. It is labelled exact where they
    are as near to each other as the rounding of the last operations in float64.

    Example:
        >>> Labelled(2.0, "exact", 2.0, 2.0), Labelled(2.0, "lower bound", 2.0)
        (2.0, 2.0 (lower bound))
    """

    label: Label
    lower: float
    upper: float

    def __new__(cls, value: float, label: Label, lower: float = -inf, upper: float = inf) -> Labelled:
        """The number with its label and the ends of its interval."""
        number = super().__new__(cls, value)
        number.label, number.lower, number.upper = label, lower, upper
        return number

    def __getnewargs__(self) -> tuple[float, Label, float, float]:  # type: ignore[override]
        return float(self), self.label, self.lower, self.upper

    def __repr__(self) -> str:
        shown = float.__repr__(self)
        return shown if self.label == "exact" else f"{shown} ({self.label})"


def nearest(value: Fraction) -> tuple[float, float, float]:
    """The nearest float64 number, and the least interval of such numbers that holds the value."""
    try:
        found = float(value)
    except OverflowError:
        largest = nextafter(inf, 0.0)
        return (inf, largest, inf) if value > 0 else (-inf, -inf, -largest)
    off = Fraction(found) - value
    return found, nextafter(found, -inf) if off > 0 else found, nextafter(found, inf) if off < 0 else found


def enclosing(value: Fraction) -> Labelled:
    """A rational number, rounded once: exact; a bound where it is beyond the range of float64.

    Example:
        >>> third = enclosing(Fraction(1, 3))
        >>> third.label, third.lower < Fraction(1, 3) < third.upper
        ('exact', True)
    """
    found, lower, upper = nearest(value)
    if found == inf:
        return Labelled(lower, "lower bound", lower, upper)
    if found == -inf:
        return Labelled(upper, "upper bound", lower, upper)
    return Labelled(found, "exact", lower, upper)

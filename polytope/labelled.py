"""One kind of number: exact, a bound, an estimate, or missing and why; in words, as JSON, and as a float."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import inf, isfinite, nextafter
from math import log10 as log10_of_float
from typing import Any, ClassVar, Literal

Label = Literal["exact", "bound", "estimate", "not computed"]

LARGEST_WRITTEN = 10**300
"""Whole numbers above this are written as their decimal logarithm."""


@dataclass(frozen=True)
class Exact:
    """A number that is proved: whole, or real and rounded once.

    Arguments:
        value: the number.
        note: what it rests on.
    """

    label: ClassVar[Label] = "exact"
    value: float
    note: str = ""


@dataclass(frozen=True)
class Bound:
    """A number that is proved to lie in ``lower .. upper``.

    Arguments:
        lower, upper: the ends; an infinite one is not known.
        note: what they rest on.
    """

    label: ClassVar[Label] = "bound"
    lower: float
    upper: float = inf
    note: str = ""


@dataclass(frozen=True)
class Estimate:
    """A number that was measured or sampled, and not proved.

    Arguments:
        value: the number.
        note: how it was found.
    """

    label: ClassVar[Label] = "estimate"
    value: float
    note: str = ""


@dataclass(frozen=True)
class Missing:
    """A number that was not computed.

    Arguments:
        reason: why.
    """

    label: ClassVar[Label] = "not computed"
    reason: str


Number = Exact | Bound | Estimate | Missing


def interval(lower: float, upper: float, note: str = "") -> Exact | Bound:
    """A number proved to lie in ``lower .. upper``: exact where they are equal."""
    return Exact(lower, note) if lower == upper else Bound(lower, upper, note)


def share(number: Number, of: int) -> Number:
    """A number of units as a share of all."""
    if isinstance(number, Missing):
        return number
    if not of:
        return Missing("no unit has an activation")
    match number:
        case Exact(value, note):
            return Exact(value / of, note)
        case Estimate(value, note):
            return Estimate(value / of, note)
        case Bound(lower, upper, note):
            return Bound(lower / of, upper / of, note)


def said(number: Number) -> str:
    """The note of a number, or why it is missing."""
    return number.reason if isinstance(number, Missing) else number.note


def ends(number: Number) -> tuple[float, float]:
    """What a number lies between; equal where it is one value, everything where it is missing."""
    match number:
        case Exact(value) | Estimate(value):
            return value, value
        case Bound(lower, upper):
            return lower, upper
    return -inf, inf


def log10(n: int) -> float:
    """The decimal logarithm of a whole number of any size."""
    shift = max(n.bit_length() - 60, 0)
    return log10_of_float(n >> shift) + shift * log10_of_float(2)


def in_words(number: Number) -> str:
    """A number as a reader sees it: ``12,345``, ``at least 3``, ``3 to 9``, ``3 to 10^400``.

    Example:
        >>> [in_words(n) for n in (Exact(12345), Bound(3), Bound(3, 9), Missing("no data"))]
        ['12,345', 'at least 3', '3 to 9', 'not computed']
    """
    match number:
        case Exact(value) | Estimate(value):
            return _digits(value)
        case Bound(lower, upper) if upper == inf:
            return f"at least {_digits(lower)}"
        case Bound(lower, int(upper)) if upper > LARGEST_WRITTEN:
            return f"{_digits(lower)} to 10^{log10(upper):.0f}"
        case Bound(lower, upper):
            return f"{_digits(lower)} to {_digits(upper)}"
    return number.label


def plural(number: Number, noun: str) -> str:
    """A number with what it counts: ``1 region``, ``2 regions``, ``1 to 3 regions``."""
    said = in_words(number)
    return f"{said} {noun}" if said == "1" else f"{said} {noun}s"


def _digits(value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}" if abs(value) < 10**12 else f"{value:.2e}"
    return f"{value:.4g}"


def to_json(number: Number) -> dict[str, Any]:
    """A number as an object of JSON; ends that are not known, or too large to write, are null.

    Example:
        >>> to_json(Bound(3, 10**400))
        {'label': 'bound', 'lower': 3, 'upper': None, 'log10_upper': 400.0}
    """
    found: dict[str, Any] = {"label": number.label}
    match number:
        case Missing(reason):
            return found | {"reason": reason}
        case Bound(lower, upper):
            large = isinstance(upper, int) and upper > LARGEST_WRITTEN
            found |= {"lower": lower, "upper": None if large or upper == inf else upper}
            if isinstance(upper, int) and large:
                found |= {"log10_upper": log10(upper)}
        case Exact(value) | Estimate(value):
            found |= {"value": value}
    return found | ({"note": number.note} if number.note else {})


class Labelled(float):
    """A plain float that carries its ``number``, and proved ends ``lower .. upper`` of the true one.

    Where it is exact they are as near to each other as the rounding of the last operations in float64; where
    it is a bound, the float is the end that is meant.

    Example:
        >>> Labelled(2.0, Exact(2.0)), Labelled(2.0, Bound(2.0)), Labelled(2.0, Bound(0.0, 2.0))
        (2.0, 2.0 (lower bound), 2.0 (upper bound))
    """

    number: Exact | Bound
    lower: float
    upper: float

    def __new__(
        cls, value: float, number: Exact | Bound, lower: float | None = None, upper: float | None = None
    ) -> Labelled:
        """The float with its number; the ends are the number's where they are not given."""
        made = super().__new__(cls, value)
        low, high = ends(number)
        made.number = number
        made.lower, made.upper = low if lower is None else lower, high if upper is None else upper
        return made

    def __getnewargs__(self) -> tuple[float, Exact | Bound, float, float]:  # type: ignore[override]
        return float(self), self.number, self.lower, self.upper

    def __repr__(self) -> str:
        shown = float.__repr__(self)
        if isinstance(self.number, Exact):
            return shown
        return f"{shown} ({'lower' if self == self.lower else 'upper'} bound)"

    @property
    def label(self) -> Label:
        """The number's."""
        return self.number.label


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
    if isfinite(found):
        return Labelled(found, Exact(found), lower, upper)
    return Labelled(lower if found > 0 else upper, Bound(lower, upper))

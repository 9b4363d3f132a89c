"""A number that says what it is worth, and counts as a plain float wherever one is expected."""

from __future__ import annotations

from typing import Literal

Label = Literal["exact", "lower bound", "upper bound"]


class Labelled(float):
    """A float with a ``label``; shown with it unless it is exact.

    Exact means up to the rounding of the last operations in float64.

    Example:
        >>> Labelled(2.0, "exact"), Labelled(2.0, "lower bound")
        (2.0, 2.0 (lower bound))
    """

    label: Label

    def __new__(cls, value: float, label: Label) -> Labelled:
        """The number with its label."""
        number = super().__new__(cls, value)
        number.label = label
        return number

    def __getnewargs__(self) -> tuple[float, Label]:  # type: ignore[override]
        return float(self), self.label

    def __repr__(self) -> str:
        shown = float.__repr__(self)
        return shown if self.label == "exact" else f"{shown} ({self.label})"

"""The part of a model that is read: between named values, with or without splines."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Real

from polytope.errors import UnsupportedOpError


@dataclass(frozen=True)
class Piece:
    """What of a model becomes a network.

    Arguments:
        start, until: the values where it begins and where it ends; the model's own by default.
        spacing: of the splines that stand for smooth activations, which are refused without one.
        dequantised: whether rounding to whole numbers is left out, which is refused otherwise.
    """

    start: tuple[str, ...] = ()
    until: tuple[str, ...] = ()
    spacing: float | None = None
    dequantised: bool = False

    @staticmethod
    def between(
        start: str | Sequence[str] | None,
        until: str | Sequence[str] | None,
        smooth: float | None = None,
        dequantised: bool | None = None,
    ) -> Piece:
        """The piece that one name or several on each side say; ``None`` for the model's own end."""
        number = isinstance(smooth, Real) and not isinstance(smooth, bool)
        if smooth is not None and not (number and math.isfinite(smooth) and smooth > 0):
            raise ValueError(f"smooth= must be a positive number, the spacing of splines, not {smooth!r}.")
        if dequantised not in (None, True, False):
            raise ValueError(f"dequantised= must be True or False, not {dequantised!r}.")
        spacing = None if smooth is None else float(smooth)
        return Piece(_names(start, "from_"), _names(until, "until"), spacing, bool(dequantised))

    def __bool__(self) -> bool:
        return bool(self.start or self.until)


def _names(names: str | Iterable[str] | None, argument: str) -> tuple[str, ...]:
    """The names that one or several are; each of those where a piece begins once."""
    if names is None or isinstance(names, str):
        return () if names is None else (names,)
    found = tuple(names) if isinstance(names, Iterable) else (None,)
    if isinstance(names, bytes) or not all(isinstance(name, str) for name in found):
        raise TypeError(f"{argument}= must be the name of a tensor or a list of names, not {names!r}.")
    return tuple(dict.fromkeys(found)) if argument == "from_" else found


def refuse_other_ways(
    steps: Iterable[tuple[str, Sequence[str], Sequence[str]]], start: Sequence[str], inputs: Sequence[str]
) -> None:
    """Refuse a piece that reads the model's inputs around the values at which it begins.

    Arguments:
        steps: what is computed in the piece, in order: place, names read, names written.
        start: where the piece begins.
        inputs: the model's own inputs.

    Raises:
        UnsupportedOpError: a step depends on the inputs, not only on ``start``.
    """
    inside, outside = set(start), set(inputs) - set(start)
    begins, apart = ", ".join(repr(name) for name in start), ""
    for place, read, written in steps:
        around = [name for name in read if name in outside]
        if around and inside & set(read):
            raise UnsupportedOpError(
                f"The piece that begins at {begins} is not closed: {place} also reads {around[0]!r}. "
                "End it earlier, or begin at that as well."
            )
        (outside if around else inside).update(written)
        apart = place if around else apart
    if apart:
        raise UnsupportedOpError(f"{apart} does not depend on {begins}, where the piece begins.")

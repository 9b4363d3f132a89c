"""The part of a model between named values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from polytope.errors import UnsupportedOpError


@dataclass(frozen=True)
class Piece:
    """The part of a model between named values: where it begins and where it ends; all of it by default."""

    start: tuple[str, ...] = ()
    until: tuple[str, ...] = ()

    @staticmethod
    def between(start: str | Sequence[str] | None, until: str | Sequence[str] | None) -> Piece:
        """The piece that one name or several on each side say; ``None`` for the model's own end."""
        return Piece(_names(start), _names(until))

    def __bool__(self) -> bool:
        return bool(self.start or self.until)


def _names(names: str | Sequence[str] | None) -> tuple[str, ...]:
    return () if names is None else (names,) if isinstance(names, str) else tuple(names)


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

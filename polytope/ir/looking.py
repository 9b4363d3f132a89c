"""Long work looks, between its small steps, whether whoever waits for it wants it to end.

Passes through the layers, matrices of convolutions and linear programs call ``look``; ``watched`` says, for a
block of code and for this thread, who is told. What that raises ends the work, wherever it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Look = Callable[[int], object]
"""Told the bytes that the next step takes."""


def unwatched(_: int) -> None:
    """Nobody looks."""


_TOLD: ContextVar[Look] = ContextVar("told", default=unwatched)


def look(wanted: int = 0) -> None:
    """Between two steps: tell who watches.

    Arguments:
        wanted: bytes that the next step takes, where they are many.
    """
    _TOLD.get()(wanted)


@contextmanager
def watched(told: Look = unwatched) -> Iterator[None]:
    """A block whose steps are told to somebody; to nobody by default."""
    before = _TOLD.set(told)
    try:
        yield
    finally:
        _TOLD.reset(before)

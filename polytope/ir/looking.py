"""Long work looks, between its small steps, whether whoever waits for it wants it to end.

Passes through the layers, matrices of convolutions and linear programs call ``look``; ``watched`` says, for a
block of code and for this thread, who is told. Blocks within blocks are told to all: the first of the clocks
holds. What that raises ends the work, wherever it is.
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


def who_watches() -> Look:
    """Who is told in this block."""
    return _TOLD.get()


@contextmanager
def watched(told: Look) -> Iterator[None]:
    """A block whose steps are told to somebody, and to whom the block around it is told."""
    outer = _TOLD.get()

    def both(wanted: int) -> None:
        told(wanted)
        outer(wanted)

    before = _TOLD.set(told if outer is unwatched else both)
    try:
        yield
    finally:
        _TOLD.reset(before)


@contextmanager
def shielded() -> Iterator[Look]:
    """A block that no look ends; it is given whom looks would tell, to ask where it can end."""
    outer = _TOLD.get()
    before = _TOLD.set(unwatched)
    try:
        yield outer
    finally:
        _TOLD.reset(before)

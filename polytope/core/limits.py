"""What a search asks of its limits: how long it may go on, and whether there is memory for the next step."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Literal, Protocol

from polytope.ir.looking import Look, unwatched

Limit = Literal["regions", "seconds", "memory", "interrupt"]
BETWEEN = 0.01  # seconds between two looks at the memory


class BudgetSpent(Exception):  # noqa: N818  # not an error: a search that it stops returns what it has
    """The time or the memory of a search is used up: caught by what searches, which returns what it has."""


class Limits(Protocol):
    """The limits of a search, as ``Budget`` has them."""

    @property
    def left(self) -> float | None:
        """Seconds left; ``None`` where there is no limit."""

    def full(self) -> bool:
        """Whether to stop for want of memory."""

    def first(self, wanted: int = 0) -> None:
        """End what is made before the search, where there is no time or memory for its next step.

        Arguments:
            wanted: bytes that the step takes.
        """


def attendant(
    limits: Limits | None, progress: Callable[[int, int], None] | None, outside: Look = unwatched
) -> Callable[[int], bool] | None:
    """What the core asks now and then: whether to go on, told how many regions there are.

    Arguments:
        limits, progress: of the search.
        outside: who watches the block in which the search runs, and may end it.
    """
    if limits is None and progress is None and outside is unwatched:
        return None
    again = 0.0

    def attend(found: int) -> bool:
        nonlocal again
        if progress:
            progress(found, 1)
        if monotonic() < again:
            return True
        again = monotonic() + BETWEEN
        try:
            outside(0)
        except BudgetSpent:
            return False
        return limits is None or not limits.full()

    return attend

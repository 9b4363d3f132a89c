"""An audit's time: each question may take its share of what is left, and a little however late it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import TypeVar

from polytope.core.limits import BETWEEN
from polytope.engines.budget import LARGE, WRITTEN, BudgetSpent, free_bytes, resident_bytes
from polytope.ir.looking import watched
from polytope.regions.complex import RegionComplex
from polytope.report.cost import Question, estimated_seconds
from polytope.report.sections import LeftOut, Spent

FLOOR = 0.05
"""Of its share of the whole budget, what a question may take however long earlier ones took."""
INTERRUPTED = "interrupted from the keyboard"
TIME, MEMORY = "the time allowed for it was used", "the memory allowed was used"
AGAIN = ", again"
GRACE = 0.1  # seconds more than its share that a question may take, if that is enough

T = TypeVar("T")


@dataclass(eq=False)
class Clock:
    """Shares out a budget, and keeps what was left out and why.

    Arguments:
        budget: seconds for all questions together; infinite for no limit.
        weights: of the questions that will be asked, in their order.
        partial: whether the keyboard only ends the questions, and what was found stays.
        interrupted: whether it did.
        max_memory: bytes that this process may have in use; by default what it has now, and half of what is
            free.
        started: the reading of ``time.monotonic`` from which the time counts; by default now.
    """

    budget: float
    weights: dict[str, float]
    seconds: float = float("inf")
    spent: list[Spent] = field(default_factory=list)
    partial: bool = False
    interrupted: bool = False
    max_memory: int | None = None
    started: float = field(default_factory=monotonic)
    full: bool = False
    _kept: list[tuple[str, LeftOut]] = field(default_factory=list)
    _began: float = field(default_factory=monotonic)
    _question: str = ""
    _again: str = ""
    _memory_due: float = 0.0

    def __post_init__(self) -> None:
        self._total = sum(self.weights.values())
        free = free_bytes() if self.max_memory is None else None
        self._most = self.max_memory if free is None else resident_bytes() + free // 2

    def begin(self, question: str) -> float:
        """The seconds that a question may take: its share of what is left for it and later ones."""
        weight = self.weights.pop(question)
        self._began, self._question, self.full = monotonic(), question, False
        share = self.remaining * weight / (weight + sum(self.weights.values()))
        self.seconds = 0.0 if self.interrupted else max(share, FLOOR * self.budget * weight / self._total)
        allowed = None if self.seconds == float("inf") else round(self.seconds, 3)
        self.spent.append(Spent(question + self._again, allowed, 0.0))
        return self.seconds

    def end(self) -> None:
        """The present question is answered."""
        self.spent[-1] = replace(self.spent[-1], used=round(monotonic() - self._began, 3))

    def again(self, weights: Mapping[str, float]) -> None:
        """Share out what is left among some questions once more."""
        self.weights, self._again = dict(weights), AGAIN

    @property
    def remaining(self) -> float:
        """Seconds left for all questions."""
        return max(self.budget - (monotonic() - self.started), 0.0)

    @property
    def left(self) -> float:
        """Seconds left for the present question."""
        return self.seconds - (monotonic() - self._began)

    @property
    def limit(self) -> float | None:
        """What is left as a limit of a search: positive, ``None`` if there is none."""
        return None if self.seconds == float("inf") else max(self.left, 1e-3)

    def look(self, wanted: int = 0) -> None:
        """End the present question, where its time is used up and a little more, or the memory is.

        Arguments:
            wanted: bytes that the next step takes.
        """
        if self.left - wanted / WRITTEN < -GRACE:
            raise BudgetSpent
        now = monotonic()
        if self._most is None or (wanted < LARGE and now < self._memory_due):
            return
        self._memory_due = now + BETWEEN
        if resident_bytes() + wanted > self._most:
            self.full = True
            raise BudgetSpent

    @property
    def why(self) -> str:
        """Why the present question had to end."""
        if self.interrupted:
            return INTERRUPTED
        return MEMORY if self.full else TIME

    def answered(self, what: str, question: Callable[[], T], otherwise: T) -> T:
        """The answer to a question, or where its time ends before, another one: it is then left out.

        Arguments:
            what: is left out, in words.
        """
        try:
            if not self.interrupted:
                with watched(self.look):
                    return question()
        except BudgetSpent:
            pass
        except KeyboardInterrupt:
            self.interrupt()
        self.refuse(what, self.why)
        return otherwise

    def interrupt(self) -> None:
        """The keyboard ended the present question: no time is left for it and for later ones.

        Raises:
            KeyboardInterrupt: nobody asked for what was found before.
        """
        if not self.partial:
            raise KeyboardInterrupt
        self.interrupted, self.seconds = True, 0.0

    def allows(self, complex: RegionComplex, question: Question, what: str) -> str:
        """The empty string if a question about a complex fits; else why it does not, which is also kept."""
        expected = estimated_seconds(complex, question)
        if expected <= max(self.left, 0.0):
            return ""
        cost = f"it would take about {expected:,.0f} s for {len(complex):,} regions"
        return self.refuse(what, f"{cost}; {max(self.left, 0):.2g} s of the budget are left for it")

    @property
    def left_out(self) -> list[LeftOut]:
        """What was left out so far, and why."""
        return [item for _, item in self._kept]

    def refuse(self, what: str, why: str) -> str:
        """Keep that something was left out, and why."""
        self._kept.append((self._question, LeftOut(what, why)))
        return why

    def left_out_of(self, question: str) -> list[LeftOut]:
        """What one question left out."""
        return [item for asked, item in self._kept if asked == question]

    def replace_left_out(self, question: str, items: list[LeftOut]) -> None:
        """Let these be what one question left out."""
        self._kept = [row for row in self._kept if row[0] != question] + [(question, item) for item in items]

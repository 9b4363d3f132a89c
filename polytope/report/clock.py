"""An audit's time: each question may take its share of what is left, and never much less than planned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import TypeVar

from polytope.engines.budget import WRITTEN, BudgetSpent
from polytope.ir.looking import watched
from polytope.regions.complex import RegionComplex
from polytope.report.cost import Question, estimated_seconds
from polytope.report.sections import LeftOut, Spent

FLOOR = 0.5
"""Of its share of the whole budget, what a question may take however long earlier ones took."""
INTERRUPTED = "interrupted from the keyboard"
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
    """

    budget: float
    weights: dict[str, float]
    seconds: float = float("inf")
    left_out: list[LeftOut] = field(default_factory=list)
    spent: list[Spent] = field(default_factory=list)
    partial: bool = False
    interrupted: bool = False
    _started: float = field(default_factory=monotonic)
    _began: float = field(default_factory=monotonic)
    _total: float = field(init=False)

    def __post_init__(self) -> None:
        self._total = sum(self.weights.values())

    def begin(self, question: str) -> float:
        """The seconds that a question may take: its share of what is left for it and later ones."""
        weight = self.weights.pop(question)
        self._began = monotonic()
        left = max(self.budget - (self._began - self._started), 0.0)
        share = left * weight / (weight + sum(self.weights.values()))
        self.seconds = 0.0 if self.interrupted else max(share, FLOOR * self.budget * weight / self._total)
        allowed = None if self.seconds == float("inf") else round(self.seconds, 3)
        self.spent.append(Spent(question, allowed, 0.0))
        return self.seconds

    def end(self) -> None:
        """The present question is answered."""
        self.spent[-1] = replace(self.spent[-1], used=round(monotonic() - self._began, 3))

    @property
    def left(self) -> float:
        """Seconds left for the present question."""
        return self.seconds - (monotonic() - self._began)

    @property
    def limit(self) -> float | None:
        """What is left as a limit of a search: positive, ``None`` if there is none."""
        return None if self.seconds == float("inf") else max(self.left, 1e-3)

    def look(self, wanted: int = 0) -> None:
        """End the present question, where its time is used up and a little more.

        Arguments:
            wanted: bytes that the next step takes.
        """
        if self.left - wanted / WRITTEN < -GRACE:
            raise BudgetSpent

    def answered(self, what: str, question: Callable[[], T], otherwise: T) -> T:
        """The answer to a question, or where its time ends before, another one: it is then left out.

        Arguments:
            what: is left out, in words.
        """
        why = "the time allowed for it was used"
        try:
            if not self.interrupted:
                with watched(self.look):
                    return question()
        except BudgetSpent:
            pass
        except KeyboardInterrupt:
            self.interrupt()
        self.refuse(what, INTERRUPTED if self.interrupted else why)
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

    def refuse(self, what: str, why: str) -> str:
        """Keep that something was left out, and why."""
        self.left_out.append(LeftOut(what, why))
        return why

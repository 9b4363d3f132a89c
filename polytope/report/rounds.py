"""Questions that time left open are asked again, with what other questions did not use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

from polytope.labelled import Bound, Exact, Missing, Number
from polytope.regions.complex import RegionComplex
from polytope.report.asked import AuditBudget
from polytope.report.clock import AGAIN, Clock
from polytope.report.data_sections import Lipschitz
from polytope.report.distances import tighter
from polytope.report.network_sections import Regions
from polytope.report.questions import WEIGHTS, Answers
from polytope.report.regions import search_facts
from polytope.report.sections import Report
from polytope.report.windows import most_regions

ROUNDS = 3
WORTH = 0.02  # of the budget, the least that is shared out once more
MORE = 1.1  # times what it was allowed before: with less, a question is not begun anew
OF_REGIONS = ("linear regions and pieces", "redundancy", "adjacency", "Lipschitz constants")
"""Questions about the regions of the domain: asked again where there are more of them."""
HALF, NEARLY_ALL = 0.4, 0.9  # of its time: what used less did not end for want of it
GOES_ON = ("properties", "distances")
"""Questions that go on from what they know."""


def asked_again(
    answers: Answers, report: Report, complex: RegionComplex, budget: AuditBudget
) -> tuple[Report, RegionComplex]:
    """The report, and its complex, after further rounds; what is known only grows.

    Arguments:
        answers: of the first round.
        report: what they were.
        complex: the regions found.
        budget: of the search.
    """
    clock = answers.clock
    allowed = {row.question: row.allowed or 0.0 for row in clock.spent}
    for number in range(ROUNDS):
        least = (WORTH if number == 0 else 1 / 3) * clock.budget
        if clock.interrupted or not least < clock.remaining < float("inf"):
            break
        weights = _worth(clock, _open(answers, report, complex), allowed)
        if not weights:
            break
        clock.again(weights)
        report, complex = _round(answers, report, complex, budget, weights)
        allowed |= {row.question.removesuffix(AGAIN): row.allowed or 0.0 for row in clock.spent}
    return report, complex


def _open(answers: Answers, report: Report, complex: RegionComplex) -> set[str]:
    """The questions that ended as an interval, or without an answer, for want of time."""
    clock, near, points = answers.clock, report.distances, report.local_complexity
    slopes, pieces = report.lipschitz, report.regions.pieces
    some = any(w.share < 1 and 4 * len(w.complex) < most_regions(w.complex.network) for w in answers.windows)
    found = {
        "regions": complex.stopped_by == "seconds",
        "windows": some or bool(clock.left_out_of("windows")),
        "linear regions and pieces": complex.complete and isinstance(pieces, Bound | Missing),
        "redundancy": bool(clock.left_out_of("redundancy")) and _used(clock, "redundancy") >= HALF,
        "adjacency": complex.complete and isinstance(report.adjacency.edges, Bound | Missing),
        "Lipschitz constants": _used(clock, "Lipschitz constants") >= NEARLY_ALL
        and any(isinstance(n, Bound | Missing) for n in (slopes.domain, slopes.data_box)),
        "properties": any(row.status == "undecided" for row in report.properties),
        "density": answers.subject.points is not None and bool(clock.left_out_of("density")),
        "local complexity": points is not None and points.points < points.points_given,
        "distances": near is not None and near.exact < sum(not _endless(row.distance) for row in near.points),
    }
    return {name for name, left in found.items() if left}


def _used(clock: Clock, question: str) -> float:
    """The share of its time that a question used when it was asked last."""
    rows = [row for row in clock.spent if row.question in (question, question + AGAIN)]
    return rows[-1].used / rows[-1].allowed if rows and rows[-1].allowed else 1.0


def _endless(distance: Number) -> bool:
    """Whether it is known that there is no other class."""
    return isinstance(distance, Missing)


def _worth(clock: Clock, names: set[str], allowed: dict[str, float]) -> dict[str, float]:
    """The weights of those questions that would get more time than they had, in their order."""
    while names:
        chosen = names | set(OF_REGIONS if "regions" in names else ())
        total = sum(WEIGHTS[name] for name in chosen)
        gain = {
            name: clock.remaining * WEIGHTS[name] / total / max(MORE * allowed.get(name, 0.0), 1e-9)
            for name in names
            if name not in GOES_ON
        }
        least = min(gain, key=lambda name: gain[name], default=None)
        if least is None or gain[least] >= 1:
            return {name: weight for name, weight in WEIGHTS.items() if name in chosen}
        names = names - {least}
    return {}


def _round(
    answers: Answers,
    report: Report,
    complex: RegionComplex,
    budget: AuditBudget,
    weights: dict[str, float],
) -> tuple[Report, RegionComplex]:
    """Some questions once more."""
    if "regions" in weights:
        complex, report = _more_regions(answers, report, complex, budget)
    if "windows" in weights:
        _more_pictures(answers, complex)
    asked: dict[str, tuple[str, Callable[[], Any]]] = {
        "linear regions and pieces": ("regions", lambda: answers.regions(complex)),
        "redundancy": ("redundancy", lambda: answers.redundancy(complex)),
        "adjacency": ("adjacency", lambda: answers.adjacency(complex)),
        "Lipschitz constants": ("lipschitz", lambda: answers.lipschitz(complex)),
        "properties": ("properties", answers.properties),
        "density": ("density", answers.density),
        "local complexity": ("local_complexity", answers.local_complexity),
        "distances": ("distances", answers.distances),
    }
    for name, (section, question) in asked.items():
        if name in weights:
            better = _better(answers.clock, name, getattr(report, section), question)
            report = replace(report, **{section: better})
        if name == "adjacency" and name in weights and isinstance(report.coverage, Missing):
            report = replace(report, coverage=answers.coverage(complex))
    return report, complex


def _better(clock: Clock, name: str, before: Any, question: Callable[[], Any]) -> Any:
    """What is known of a question after it is asked once more; what it left out is that of the answer."""
    known = clock.left_out_of(name)
    clock.replace_left_out(name, [])
    found = question()
    if isinstance(found, Lipschitz | Regions):
        found = _together(before, found)
    if _worthy(found) >= _worthy(before):
        return found
    clock.replace_left_out(name, known)
    return before


def _together(before: Any, found: Any) -> Any:
    """What two answers of slopes, or of counts, say together: their numbers are those of one thing."""
    both = {field.name: (getattr(before, field.name), getattr(found, field.name)) for field in fields(found)}
    return replace(
        found,
        **{
            name: _tighter(old, new) if isinstance(new, Number) and isinstance(old, Number) else new or old
            for name, (old, new) in both.items()
        },
    )


def _tighter(before: Number, found: Number) -> Number:
    if isinstance(found, Missing):
        return before
    if not isinstance(before, Bound) or not isinstance(found, Bound):
        return before if isinstance(before, Exact) else found
    both = tighter(before, found)
    return replace(both, note=found.note) if isinstance(both, Bound | Exact) else both


def _worthy(section: object) -> tuple[int, int]:
    """How much is known: exact numbers, and then those that are there."""
    numbers = list(_numbers(section))
    return sum(isinstance(n, Exact) for n in numbers), sum(not isinstance(n, Missing) for n in numbers)


def _numbers(section: object) -> Iterator[Number]:
    """All labelled numbers in a section."""
    if isinstance(section, Number):
        yield section
    elif isinstance(section, tuple):
        for part in section:
            yield from _numbers(part)
    elif is_dataclass(section):
        for field in fields(section):
            yield from _numbers(getattr(section, field.name))


def _more_regions(
    answers: Answers, report: Report, complex: RegionComplex, budget: AuditBudget
) -> tuple[RegionComplex, Report]:
    """The regions that more time finds, where they are more."""
    clock, sampled = answers.clock, answers.sampled
    known = clock.left_out_of("regions")
    clock.replace_left_out("regions", [])
    found = answers.search(budget, complex)
    if found.complete or (len(found), -found.upper) > (len(complex), -complex.upper):
        return found, replace(report, search=search_facts(found))
    answers.sampled = sampled
    clock.replace_left_out("regions", known)
    return complex, report


def _more_pictures(answers: Answers, complex: RegionComplex) -> None:
    """Pictures that show more of their windows, where time makes them so."""
    clock, before = answers.clock, (answers.windows, answers.pictures)
    known = clock.left_out_of("windows")
    clock.replace_left_out("windows", [])
    answers.windows, answers.pictures = [], ()
    answers.draw(complex)
    if sum(w.share for w in answers.windows) < sum(w.share for w in before[0]) or (
        before[1] and not answers.pictures
    ):
        answers.windows, answers.pictures = before
        clock.replace_left_out("windows", known)

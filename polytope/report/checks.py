"""Checks for pipelines: an expression such as ``dead_units>0.1`` and the metrics that it may name."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from polytope.labelled import Exact, Missing, Number, ends, in_words
from polytope.report.fields import leaves, number_at
from polytope.report.sections import Outcome, Report

OPERATORS = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
EXPRESSION = re.compile(r"\s*([a-z_]+)\s*(>=|<=|>|<)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*")


@dataclass(frozen=True)
class Metric:
    """A number of the report that checks may name, and what it is."""

    meaning: str
    read: Callable[[Report], Number]


def _of_fields() -> Iterator[tuple[str, Metric]]:
    """The metrics that fields of the report are."""
    for leaf in leaves(Report):
        if leaf.about.check:
            yield leaf.about.check, Metric(leaf.about.checked, partial(number_at, leaf=leaf))


def _greatest(*numbers: Number) -> Number:
    """The greatest of those that were measured."""
    known = [number for number in numbers if not isinstance(number, Missing)]
    return max(known, key=ends, default=Missing("the network was not compared with a runtime"))


def _conversion_error(report: Report) -> Number:
    found = report.conversion
    return _greatest(*(kind.largest for kind in found.kinds), found.when_loaded)


def _disagreements(report: Report) -> Number:
    return _greatest(*(kind.other_class for kind in report.conversion.kinds))


def _properties(report: Report, *wanted: str) -> Number:
    if not report.properties:
        return Missing("it needs --vnnlib")
    return Exact(sum(row.status in wanted for row in report.properties))


def _violated(report: Report) -> Number:
    return _properties(report, "violated")


def _undecided(report: Report) -> Number:
    return _properties(report, "undecided", "not checked")


METRICS: Mapping[str, Metric] = dict(_of_fields()) | {
    "conversion_error": Metric("largest difference to the file's runtime", _conversion_error),
    "disagreements": Metric("inputs tried whose class differs in the runtime", _disagreements),
    "violated": Metric("VNN-LIB properties that are violated", _violated),
    "undecided": Metric("VNN-LIB properties without a decision", _undecided),
}
"""Those of the fields, and those that sum up a list."""


@dataclass(frozen=True)
class Check:
    """The audit fails if a metric compares so with a limit.

    Arguments:
        text: as the user wrote it.
        metric: a key of ``METRICS``.
        relation: a key of ``OPERATORS``.
    """

    text: str
    metric: str
    relation: str
    limit: float


def read_check(text: str) -> Check:
    """The check that an expression states.

    Raises:
        ValueError: it is no such expression, or names no metric.
    """
    match = EXPRESSION.fullmatch(text)
    if match is None:
        raise ValueError(f"--fail-on {text!r} is not a check: write a name, > >= < or <=, and a number.")
    name, relation, limit = match.groups()
    if name not in METRICS:
        raise ValueError(f"--fail-on {text!r}: there is no metric {name!r}; there are {', '.join(METRICS)}.")
    return Check(text.strip(), name, relation, float(limit))


def outcome(check: Check, report: Report) -> Outcome:
    """Whether a check passes, fails, or cannot be decided by what was found, which also fails."""
    return judged(check, METRICS[check.metric].read(report))


def judged(check: Check, number: Number) -> Outcome:
    """What becomes of a check whose metric is this number."""
    if isinstance(number, Missing):
        return Outcome(check.text, number, "undecided", f"{check.metric} was not computed: {number.reason}")
    reason = f"{check.metric} is {in_words(number)} ({number.label})"
    compare = OPERATORS[check.relation]
    answers = {bool(compare(end, check.limit)) for end in ends(number)}
    if len(answers) > 1:
        return Outcome(check.text, number, "undecided", reason)
    return Outcome(check.text, number, "fails" if answers == {True} else "passes", reason)

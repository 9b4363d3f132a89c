"""Checks for pipelines: an expression such as ``dead_units>0.1`` and the figures that it may name."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from polytope.labels import Labelled, exact, in_words, not_computed, share

OPERATORS = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
EXPRESSION = re.compile(r"\s*([a-z_]+)\s*(>=|<=|>|<)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*")

Report = dict[str, Any]


def _units(name: str) -> Callable[[Report], Labelled]:
    def read(report: Report) -> Labelled:
        use = report["redundancy"]["domain"]
        if use is None:
            return not_computed("no region was found")
        return share(use["total"][name], use["total"]["units"]["value"])

    return read


def _removable(report: Report) -> Labelled:
    found = report["redundancy"]["simplify"]
    if found["removed"]["label"] == "not computed":
        return dict(found["removed"])
    return share(found["removed"], found["units_before"]["value"])


def _conversion(name: str) -> Callable[[Report], Labelled]:
    def read(report: Report) -> Labelled:
        found = [kind[name] for kind in report["conversion"]["kinds"]]
        found += [report["conversion"]["when_loaded"]] if name == "largest" else []
        known = [number for number in found if number["label"] != "not computed"]
        if not known:
            return not_computed("the network was not compared with a runtime")
        return max(known, key=lambda number: float(number["value"]))

    return read


def _section(*keys: str, missing: str) -> Callable[[Report], Labelled]:
    def read(report: Report) -> Labelled:
        value: Any = report
        for key in keys:
            value = None if value is None else value[key]
        return not_computed(missing) if value is None else dict(value)

    return read


def _accuracy(report: Report) -> Labelled:
    data = report["data"]
    if data is None or data["right"] is None:
        return not_computed("it needs data points with labels")
    return share(data["right"], data["labelled"])


def _properties(*wanted: str) -> Callable[[Report], Labelled]:
    def read(report: Report) -> Labelled:
        if not report["properties"]:
            return not_computed("it needs --vnnlib")
        return exact(sum(row["status"] in wanted for row in report["properties"]))

    return read


@dataclass(frozen=True)
class Figure:
    """A number of the report that checks may name, and what it is."""

    meaning: str
    read: Callable[[Report], Labelled]


DATA = "it needs data points"
FIGURES: Mapping[str, Figure] = {
    "dead_units": Figure("share of units that are constant in the domain, 0 to 1", _units("dead")),
    "always_on": Figure("share of units that are affine in the domain, 0 to 1", _units("always_on")),
    "removable_units": Figure("share of units that simplify removes, 0 to 1", _removable),
    "regions": Figure(
        "activation regions in the domain", _section("regions", "activation", missing="no search was made")
    ),
    "lipschitz": Figure(
        "Lipschitz constant over the domain, 2-norms", _section("lipschitz", "domain", missing="not asked")
    ),
    "data_slope": Figure(
        "largest norm of a Jacobian at a data point", _section("lipschitz", "data", "largest", missing=DATA)
    ),
    "distance": Figure(
        "least distance of a data point to another class", _section("distances", "least", missing=DATA)
    ),
    "local_complexity": Figure(
        "mean local complexity at the data", _section("local_complexity", "total", missing=DATA)
    ),
    "density": Figure(
        "regions per unit of length between data points",
        _section("density", "segments", "density", missing=DATA),
    ),
    "conversion_error": Figure("largest difference to the file's runtime", _conversion("largest")),
    "disagreements": Figure("inputs tried whose class differs in the runtime", _conversion("other_class")),
    "accuracy": Figure("share of data points classified as labelled, 0 to 1", _accuracy),
    "violated": Figure("VNN-LIB properties that are violated", _properties("violated")),
    "undecided": Figure("VNN-LIB properties without a decision", _properties("undecided", "not checked")),
}


@dataclass(frozen=True)
class Check:
    """The audit fails if a figure compares so with a limit.

    Arguments:
        text: as the user wrote it.
        figure: a key of ``FIGURES``.
        relation: a key of ``OPERATORS``.
    """

    text: str
    figure: str
    relation: str
    limit: float


def read_check(text: str) -> Check:
    """The check that an expression states.

    Raises:
        ValueError: it is no such expression, or names no figure.
    """
    match = EXPRESSION.fullmatch(text)
    if match is None:
        raise ValueError(f"--fail-on {text!r} is not a check: write a name, > >= < or <=, and a number.")
    name, relation, limit = match.groups()
    if name not in FIGURES:
        raise ValueError(f"--fail-on {text!r}: there is no figure {name!r}; there are {', '.join(FIGURES)}.")
    return Check(text.strip(), name, relation, float(limit))


def outcome(check: Check, report: Report) -> dict[str, Any]:
    """Whether a check passes, fails, or cannot be decided by what was found, which also fails."""
    number = FIGURES[check.figure].read(report)
    verdict = _decided(number, check)
    result = {True: "fails", False: "passes", None: "undecided"}[verdict]
    said = in_words(number) if number["label"] != "not computed" else number["reason"]
    reason = f"{check.figure} is {said} ({number['label']})"
    if verdict is None and number["label"] == "not computed":
        reason = f"{check.figure} was not computed: {said}"
    return {"check": check.text, "figure": number, "result": result, "reason": reason}


def _decided(number: Labelled, check: Check) -> bool | None:
    """Whether the relation holds; ``None`` if the number is missing or a bound leaves it open."""
    compare = OPERATORS[check.relation]
    if number["label"] == "not computed":
        return None
    if number["label"] != "bound":
        return bool(compare(number["value"], check.limit))
    low = number["lower"]
    high = float("inf") if number["upper"] is None else number["upper"]
    answers = {bool(compare(low, check.limit)), bool(compare(high, check.limit))}
    return answers.pop() if len(answers) == 1 else None

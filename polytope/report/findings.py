"""What an audit found, at a glance: how it stands, and the main numbers with their labels and places."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from polytope.labelled import Missing, Number, in_words
from polytope.report.checks import METRICS
from polytope.report.fields import leaves, value_at
from polytope.report.sections import PropertyFacts, Report

Standing = Literal["failed", "partial", "complete"]
DOMAIN, DATA_BOX = "the domain", "the data's box"
CROSSINGS = ("density", "crossings", "mean")


@dataclass(frozen=True)
class Row:
    """A number of the report: what it is, the number in words, its label, and where it holds."""

    title: str
    value: str
    label: str
    place: str = ""


def standing(report: Report) -> Standing:
    """``"failed"``: a property is violated, or a check fails; ``"partial"``: something asked for is open."""
    status = {row.status for row in report.properties}
    checks = {row.result for row in report.checks}
    if "violated" in status or "fails" in checks:
        return "failed"
    if status - {"holds"} or checks - {"passes"} or not report.search.complete:
        return "partial"
    return "complete"


def glance(report: Report) -> tuple[Row, ...]:
    """The main numbers: properties first, then the fields that have a row."""
    rows = [_of_property(found) for found in report.properties]
    rows.append(_row("conversion error", METRICS["conversion_error"].read(report), "inputs tried"))
    domain = f"the {report.domain.kind}"
    for leaf in leaves(Report):
        number = value_at(report, leaf.path) if leaf.about.row else None
        if number is None:
            continue
        place = leaf.about.place or report.redundancy.simplify.where
        row = _row(leaf.about.row, number, domain if place == DOMAIN else place)
        if leaf.about.check == "accuracy" and report.data:
            row = replace(row, value=f"{row.value} of {report.data.labelled:,}")
        if leaf.path == CROSSINGS:
            row = replace(row, value=row.value + _beside(report))
        rows.append(row)
        if leaf.about.row == "units always on" and report.redundancy.data_box:
            total = report.redundancy.data_box.total
            rows.append(_row("dead units", total.dead, DATA_BOX))
            rows.append(_row("units always on", total.always_on, DATA_BOX))
    return tuple(rows)


def _beside(report: Report) -> str:
    """What is expected of the crossings that were counted; nothing where that is not known."""
    assert report.density is not None, "it has counted crossings"
    assert report.density.crossings is not None, "it has counted crossings"
    expected = report.density.crossings.expected
    known = not isinstance(expected, Missing)
    return f"; expected at initialisation: {in_words(expected)} ({expected.label})" if known else ""


def _of_property(found: PropertyFacts) -> Row:
    return Row(f"property {found.file}", found.status, found.label, "its own input set")


def _row(title: str, number: Number, place: str) -> Row:
    return Row(title, in_words(number), number.label, place)

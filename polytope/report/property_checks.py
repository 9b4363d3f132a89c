"""The report on VNN-LIB properties: violated with a counterexample, proved to hold, or undecided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from polytope.ir.maps import FloatArray
from polytope.properties.decide import PropertyCheck, check_property
from polytope.properties.vnnlib_property import read_property
from polytope.properties.vnnlib_text import property_text
from polytope.report.clock import INTERRUPTED, Clock
from polytope.report.sections import MOST_COORDINATES, PropertyFacts
from polytope.report.subject import Subject

Status = Literal["violated", "holds", "undecided", "not checked"]
NOTHING: Mapping[int, PropertyFacts] = {}


def property_facts(
    subject: Subject, files: Sequence[Path], clock: Clock, known: Mapping[int, PropertyFacts] = NOTHING
) -> tuple[PropertyFacts, ...]:
    """What is known of each property, within its part of the time.

    Arguments:
        known: by number, of properties that are not asked about again.
    """
    rows = []
    for i, file in enumerate(files):
        if i in known:
            rows.append(known[i])
            continue
        if clock.left <= 0:
            why = INTERRUPTED if clock.interrupted else "the time allowed was used before"
            clock.refuse(f"the property {file.name}", why)
            rows.append(_row(file, "undecided", why))
            continue
        waiting = sum(j not in known for j in range(i, len(files)))
        limit = None if clock.limit is None else clock.left / waiting
        rows.append(_checked(subject, file, limit, clock))
    return tuple(rows)


def _checked(subject: Subject, file: Path, limit: float | None, clock: Clock) -> PropertyFacts:
    text = property_text(file)
    try:
        stated = read_property(text)
        found = check_property(subject.network, stated, max_seconds=limit, runtime=subject.runtime)
    except ValueError as error:
        why = " ".join(str(error).split())
        clock.refuse(f"the property {file.name}", why)
        return _row(file, "not checked", why)
    if found.status == "undecided":
        clock.refuse(f"a decision of the property {file.name}", "the time allowed was used")
    return _row(file, found.status, "", found)


def _row(file: Path, status: Status, why: str, found: PropertyCheck | None = None) -> PropertyFacts:
    return PropertyFacts(
        file=file.name,
        status=status,
        label="exact" if status in ("holds", "violated") else "not computed",
        why=why,
        counterexample=None if found is None else _written(found.witness),
        outputs=None if found is None else _written(found.outputs),
        confirmed=None if found is None else found.confirmed,
        regions=0 if found is None else found.regions,
    )


def _written(point: FloatArray | None) -> tuple[float, ...] | None:
    return None if point is None else tuple(point[:MOST_COORDINATES].tolist())

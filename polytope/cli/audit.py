"""``polytope audit``: all questions about one model file."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

import adapters
from polytope.cli import options
from polytope.cli.groups import grouped
from polytope.cli.options import EngineName, Reading, Where, chosen_engine, chosen_scope, in_bytes
from polytope.cli.reading import inside, load, piece_of
from polytope.cli.results import finish, print_json, say
from polytope.cli.started import started
from polytope.cli.terminal import FAILED, INTERRUPTED, audit_table, end, sentences, watching
from polytope.engines.amounts import in_seconds
from polytope.labelled import Bound
from polytope.report.files import text_of
from polytope.report.points import points_from_file

if TYPE_CHECKING:
    from polytope.report.audit import Audit


@dataclass(frozen=True)
class Requiring:
    """What must hold for code 0."""

    fail_on: options.FailOn = None
    accept_intervals: Annotated[
        bool,
        typer.Option(
            "--accept-intervals",
            help="Code 0 also where a budget left intervals, if they decide all that was asked.",
        ),
    ] = False

    def answered(self, done: Audit) -> bool:
        """Whether what was asked for is known: the metrics of checks if there are some, else the count."""
        if done.undecided:
            return False
        if done.regions.complete or self.accept_intervals:
            return True
        asked = [row.metric for row in done.report.checks]
        return bool(asked) and not any(isinstance(metric, Bound) for metric in asked)


@grouped
def audit(
    context: typer.Context,
    model: options.Model,
    where: Where,
    *,
    vnnlib: options.Properties = None,
    data: options.Data = None,
    radius: options.Radius = None,
    names: Annotated[
        str | None,
        typer.Option(
            "--names",
            metavar="NAMES",
            help="Names of the classes, by number: cat,dog; or a file, a line each.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder for report.html and report.json; audit, or audit-MODEL by default."
        ),
    ] = None,
    budget: options.BudgetOption = "60s",
    requiring: Requiring,
    engine: options.EngineOption = EngineName.AUTO,
    max_regions: options.MaxRegions = 100_000,
    max_memory: options.MaxMemory = None,
    reading: Reading,
    as_json: options.AsJson = False,
) -> None:
    """Audit a model file: conversion, units, regions, complexity, slopes, windows, as HTML and JSON.

    Code 1 if a property is violated or a check of --fail-on fails; a check also fails if its metric is
    missing, or is a bound that does not decide it. Code 4 if a property is undecided, or a budget stopped the
    search and no check says which figures matter.
    """
    begun = started(context)
    with sentences(), watching(Console(stderr=True)) as watch:
        from polytope.report.asked import AuditBudget, Data, ModelFile, Requirements
        from polytope.report.audit import audit as run_audit

        properties = vnnlib or []
        required = Requirements(properties, requiring.fail_on or [])
        limits = AuditBudget(
            in_seconds(budget, "--budget"), max_regions, chosen_engine(engine), in_bytes(max_memory)
        )
        network = load(model, reading)
        folder = out or folder_for(model)
        folder.mkdir(parents=True, exist_ok=True)
        points = points_from_file(data, network, where.scale, inside(model, reading)) if data else None
        first = properties[0] if properties and not where.chosen else None
        done = run_audit(
            ModelFile(network, model, adapters.runtime(network), class_names(names), piece_of(reading)),
            chosen_scope(network, where, first, points),
            data=Data(points.x, points.labels, radius) if points else None,
            required=required,
            budget=limits,
            watch=watch,
            partial=True,
            started=begun,
        )
        command = shlex.join(["polytope", *sys.argv[1:]])
        done = replace(done, report=replace(done.report, command=command))
        written = [done.write_html(folder / "report.html"), done.write_json(folder / "report.json")]
    if as_json:
        print_json(done.as_dict())
    else:
        for sentence in done.report.verdict:
            say(sentence)
        Console(soft_wrap=True).print(audit_table(done.report))
        for path in written:
            say(f"written: {path}")
    if done.interrupted:
        end(INTERRUPTED, "Interrupted: the report holds what was found before, and says what is missing.")
    if done.failed:
        end(FAILED, "Failed: " + "; ".join(done.failed) + ".")
    finish(complete=requiring.answered(done) or (engine is EngineName.SAMPLING and not done.undecided))


def class_names(given: str | None) -> list[str]:
    """The names that ``--names`` lists, or the lines of the file that it names."""
    if given is None:
        return []
    if "," not in given and Path(given).is_file():
        return [line.strip() for line in text_of(Path(given)).splitlines() if line.strip()]
    return [name.strip() for name in given.split(",")]


def folder_for(model: Path) -> Path:
    """``audit``; or ``audit-MODEL`` where that holds the report of another model."""
    folder = Path("audit")
    try:
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        earlier = report["model"]["file"]["name"]
    except (OSError, ValueError, KeyError, TypeError):
        return folder
    return folder if earlier == model.name else Path(f"audit-{model.stem}")

"""``polytope audit``: all questions about one model file."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

import adapters
from polytope.cli import options
from polytope.cli.groups import grouped
from polytope.cli.options import EngineName, Reading, Where, chosen_engine, chosen_scope
from polytope.cli.reading import load
from polytope.cli.results import finish, print_json, say
from polytope.cli.terminal import FAILED, audit_table, end, sentences, watching
from polytope.engines.amounts import in_seconds
from polytope.report.files import points_from_npz


@grouped
def audit(
    model: options.Model,
    where: Where,
    *,
    vnnlib: options.Properties = None,
    data: options.Data = None,
    radius: options.Radius = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for report.html and report.json.")] = Path(
        "audit"
    ),
    budget: options.BudgetOption = "60s",
    fail_on: options.FailOn = None,
    engine: options.EngineOption = EngineName.AUTO,
    max_regions: options.MaxRegions = 100_000,
    reading: Reading,
    as_json: options.AsJson = False,
) -> None:
    """Audit a model file: conversion, units, regions, complexity, slopes, windows, as HTML and JSON.

    A check of --fail-on also fails if its metric is missing, or is a bound that does not decide it.
    """
    from polytope.report.asked import AuditBudget, Data, ModelFile, Requirements
    from polytope.report.audit import audit as run_audit

    with sentences(), watching(Console(stderr=True)) as watch:
        properties = vnnlib or []
        required = Requirements(properties, fail_on or [])
        limits = AuditBudget(in_seconds(budget, "--budget"), max_regions, chosen_engine(engine))
        out.mkdir(parents=True, exist_ok=True)
        network = load(model, reading)
        points = points_from_npz(data, network, where.scale) if data else None
        first = properties[0] if properties and not where.chosen else None
        done = run_audit(
            ModelFile(network, model, adapters.runtime(network)),
            chosen_scope(network, where, first, points),
            data=Data(points.x, points.labels, radius) if points else None,
            required=required,
            budget=limits,
            watch=watch,
        )
        command = shlex.join(["polytope", *sys.argv[1:]])
        done = replace(done, report=replace(done.report, command=command))
        written = [done.write_html(out / "report.html"), done.write_json(out / "report.json")]
    if as_json:
        print_json(done.as_dict())
    else:
        for sentence in done.report.verdict:
            say(sentence)
        Console(soft_wrap=True).print(audit_table(done.report))
        for path in written:
            say(f"written: {path}")
    if done.failed:
        end(FAILED, "Failed: " + "; ".join(done.failed) + ".")
    finish(complete=done.regions.complete or engine is EngineName.SAMPLING)

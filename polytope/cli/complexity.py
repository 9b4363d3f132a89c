"""``polytope complexity``: units with a crossing near data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from polytope.cli import options
from polytope.cli.groups import grouped
from polytope.cli.options import Reading
from polytope.cli.reading import inside, load
from polytope.cli.results import finish, import_facts, print_json, say
from polytope.cli.terminal import sentences
from polytope.labelled import in_words
from polytope.report.fields import plain
from polytope.report.points import points_from_file
from polytope.report.task import task_of


@grouped
def complexity(
    model: options.Model,
    data: Annotated[Path, typer.Option("--data", help=options.DATA_HELP)],
    radius: Annotated[float, typer.Option("--radius", help="Radius of the neighbourhoods.")],
    *,
    scale: options.Scale = 1.0,
    max_seconds: options.MaxSeconds = None,
    reading: Reading,
    as_json: options.AsJson = False,
) -> None:
    """Count the units with a crossing near data points, by layer and by class."""
    with sentences():
        from polytope.report.complexity import complexity_facts

        network = load(model, reading)
        points = points_from_file(data, network, scale, inside(model, reading))
        classes = task_of(points.labels, len(points.x), network.output_dim).classes
        with Console(stderr=True).status(f"local complexity of {len(points.x):,} points"):
            facts = complexity_facts(network, points.x, classes, radius, max_seconds)
    if as_json:
        print_json(plain(facts) | import_facts(network))
    else:
        say(f"{facts.points:,} points, radius {radius:g}: mean number of units with a crossing")
        layers = [(f"activation layer {i}", number) for i, number in enumerate(facts.layers, start=1)]
        for title, number in [("all layers", facts.total), *layers]:
            say(f"{title:18} {in_words(number)} ({number.label})")
    finish(complete=facts.points == facts.points_given)

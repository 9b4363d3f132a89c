"""``polytope check``: a VNN-LIB property, decided."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

import adapters
from polytope.cli import options
from polytope.cli.groups import grouped
from polytope.cli.options import Reading
from polytope.cli.reading import load
from polytope.cli.results import finish, import_facts, print_json, say
from polytope.cli.terminal import FAILED, sentences
from polytope.report.files import property_from


@grouped
def check(
    model: options.Model,
    stated: Annotated[Path, typer.Argument(metavar="PROPERTY", help="VNN-LIB file.", show_default=False)],
    *,
    enumerate_all: Annotated[
        bool,
        typer.Option("--enumerate", help="Prove by complete enumeration even if bound propagation suffices."),
    ] = False,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Threads of the search.")] = 1,
    max_seconds: options.MaxSeconds = None,
    reading: Reading,
    as_json: options.AsJson = False,
) -> None:
    """Verify a VNN-LIB property (exit code 1 if violated); counterexamples are replayed in onnxruntime."""
    from polytope.properties.decide import check_property
    from polytope.report.property import property_facts, property_verdict

    with sentences(), Console(stderr=True).status("deciding the property"):
        network = load(model, reading)
        found = check_property(
            network,
            property_from(stated),
            max_seconds=max_seconds,
            workers=workers,
            prove="enumeration" if enumerate_all else "any",
            runtime=adapters.runtime(network),
        )
    if as_json:
        print_json(property_facts(found) | import_facts(network))
    else:
        say(property_verdict(found))
    if found.status == "violated":
        raise typer.Exit(FAILED)
    finish(complete=found.status == "holds")

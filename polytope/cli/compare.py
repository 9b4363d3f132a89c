"""``polytope compare``: two models on a domain, proved equal or within a tolerance, or told apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

import adapters
from polytope.cli import options
from polytope.cli.groups import grouped
from polytope.cli.options import Reading, Where, chosen_scope
from polytope.cli.reading import load
from polytope.cli.results import by_default, finish, print_json, say
from polytope.cli.terminal import FAILED, sentences
from polytope.ir import Network
from polytope.ir.maps import FloatArray
from polytope.report.scope import Scope, box_scope


@grouped
def compare(
    model: options.Model,
    other: Annotated[
        Path, typer.Argument(help="The model to compare it with, of any format.", show_default=False)
    ],
    where: Where,
    *,
    tolerance: Annotated[
        float, typer.Option("--tolerance", min=0.0, help="The largest absolute difference that is allowed.")
    ] = 0.0,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Threads of the search.")] = 1,
    max_seconds: options.MaxSeconds = None,
    reading: Reading,
    as_json: options.AsJson = False,
) -> None:
    """Prove two models equal, or within a tolerance, on a domain; or find where they differ (exit code 1).

    Without a domain it is the box from -1 to 1. Options of reading hold for both models, but for --activation
    and --module, which an ONNX file has no need of; a tensor of --until that one of two ONNX files lacks
    cuts the other one only. Exports of one
    model round its weights differently: give a --tolerance.
    """
    with sentences(), Console(stderr=True).status("comparing the models"):
        from polytope.properties.equivalence import equivalent
        from polytope.report.equivalence import equivalence_facts, equivalence_verdict

        first, second = (
            load(file, _of_file(file, reading, beside)) for file, beside in ((model, other), (other, model))
        )
        for what, one, two in (
            ("inputs", first.input_dim, second.input_dim),
            ("outputs", first.output_dim, second.output_dim),
        ):
            if one != two:
                raise ValueError(
                    f"{model.name} has {one} {what}, {other.name} has {two}: they cannot be compared."
                )
        scope = (
            chosen_scope(first, where, None)
            if where.chosen
            else box_scope(first.input_dim, -1.0, 1.0, chosen_by="default")
        )
        runs = [_in_scope(network, scope) for network in (first, second)]
        found = equivalent(
            scope.restricted(first),
            scope.restricted(second),
            scope.domain,
            tolerance=tolerance,
            max_seconds=max_seconds,
            workers=workers,
            runtimes=None if runs[0] is None or runs[1] is None else (runs[0], runs[1]),
        )
    if as_json:
        place = {"domain": scope.description, "domain_chosen_by": scope.chosen_by}
        print_json(equivalence_facts(found) | place)
    else:
        say(equivalence_verdict(found, scope.description + by_default(scope), max_seconds))
    if found.status == "different":
        raise typer.Exit(FAILED)
    finish(complete=found.status != "undecided")


def _of_file(file: Path, reading: Reading, beside: Path) -> Reading:
    """The options of reading without what an ONNX file has no use for, and cuts of the other file."""
    if file.suffix.lower() != ".onnx":
        return reading
    own = replace(reading, activation=None, module=None)
    if not reading.until or beside.suffix.lower() != ".onnx":
        return own
    here, there = (_tensors(path) for path in (file, beside))
    return replace(own, until=[name for name in reading.until if name in here or name not in there])


def _tensors(file: Path) -> set[str]:
    """The names in an ONNX file that ``--until`` takes."""
    from adapters.onnx.contents import contents

    found = contents(file)
    return {*found.outputs, *(name for name, _ in found.inputs), *(tensor.name for tensor in found.tensors)}


def _in_scope(network: Network, scope: Scope) -> Callable[[FloatArray], FloatArray] | None:
    """The model's own runtime as a function of the domain's coordinates."""
    run, window = adapters.runtime(network), scope.window
    if run is None or window is None:
        return run
    return lambda t: run(window.lift(t))

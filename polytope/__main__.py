"""The command line, and the composition root: the only file that knows models' readers and the engine.

Exit codes: 0 done, 1 a check asked for failed, 2 wrong usage, 3 the file was refused, 4 stopped by a budget.
"""

from __future__ import annotations

import json
import resource
import shlex
import sys
import warnings
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

import adapters
from polytope.bench.command import bench
from polytope.ir import Network
from polytope.regions.enumerate import RegionCount, count_regions, enumerate_regions
from polytope.regions.executors import dask_executor
from polytope.regions.layer_split import LayerSplit
from polytope.report import options
from polytope.report.checks import FIGURES, read_check
from polytope.report.files import points_from_npz, property_from
from polytope.report.labels import LARGEST_WRITTEN, bound, in_words, log10
from polytope.report.options import (
    Colour,
    EngineName,
    Subject,
    chosen_engine,
    chosen_scope,
    in_bytes,
    in_seconds,
)
from polytope.report.scope import Scope
from polytope.report.terminal import FAILED, STOPPED, audit_table, end, safe, sentences, watching
from polytope.verify import verify_certificate

FIGURE_HELP = "; ".join(f"{name}: {figure.meaning}" for name, figure in FIGURES.items()) + "."

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help=(
        "The exact geometry of trained piecewise-linear networks: linear regions and what follows from them. "
        "Begin with: polytope audit MODEL.onnx --data X.npz"
    ),
    epilog="Exit codes: 0 done, 1 check failed, 2 wrong usage, 3 file refused, 4 stopped by a budget.",
)

LOOK, LONG = "Look at a model", "Long runs, and proofs"
MANY, READ = "Compare architectures", "What can be read"


@app.command(rich_help_panel=LOOK, epilog="Figures for --fail-on. " + FIGURE_HELP)
def audit(
    model: options.Model,
    domain: options.BoxFile = None,
    box: options.Box = None,
    vnnlib: options.Properties = None,
    window: options.Window = None,
    window_indices: options.Indices = "0,1,2",
    data: options.Data = None,
    scale: options.Scale = 1.0,
    radius: options.Radius = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for report.html and report.json.")] = Path(
        "audit"
    ),
    budget: options.BudgetOption = "60s",
    fail_on: options.FailOn = None,
    engine: options.EngineOption = EngineName.AUTO,
    max_regions: options.MaxRegions = 100_000,
    until: options.Until = None,
    input_shape: options.InputShape = None,
    as_json: options.AsJson = False,
) -> None:
    """Audit a model file: conversion, units, regions, complexity, slopes, windows, as HTML and JSON.

    A check of --fail-on also fails if its figure is missing, or is a bound that does not decide it.
    """
    from polytope.report.audit import audit as run_audit

    with sentences(), watching(Console(stderr=True)) as watch:
        seconds, checks, properties = in_seconds(budget), fail_on or [], vnnlib or []
        for text in checks:
            read_check(text)
        out.mkdir(parents=True, exist_ok=True)
        network = load(model, until, input_shape)
        points = points_from_npz(data, network, scale) if data else None
        first = properties[0] if properties and not (domain or box or window) else None
        scope = chosen_scope(network, domain, box, first, window, window_indices, scale, points)
        done = run_audit(
            network,
            scope,
            around=points.x if points else None,
            labels=points.labels if points else None,
            radius=radius,
            properties=properties,
            runtime=adapters.runtime(network),
            fail_on=checks,
            engine=chosen_engine(engine),
            max_regions=max_regions,
            max_seconds=seconds,
            file=model,
            command=shlex.join(["polytope", *sys.argv[1:]]),
            progress=watch.regions,
            stage=watch.stage,
        )
        written = [done.write_html(out / "report.html"), done.write_json(out / "report.json")]
    if as_json:
        print_json(done.report)
    else:
        console = Console(soft_wrap=True)
        for sentence in done.report["verdict"]:
            console.print(safe(sentence), highlight=False)
        console.print(audit_table(done.report))
        for path in written:
            console.print(f"written: {safe(str(path))}", highlight=False)
    if done.failed:
        end(FAILED, "Failed: " + "; ".join(done.failed) + ".")
    finish(complete=done.regions.complete or engine is EngineName.SAMPLING)


@app.command(rich_help_panel=LOOK)
def count(
    model: options.Model,
    domain: options.BoxFile = None,
    box: options.Box = None,
    vnnlib: options.Vnnlib = None,
    window: options.Window = None,
    window_indices: options.Indices = "0,1,2",
    scale: options.Scale = 1.0,
    engine: options.EngineOption = EngineName.AUTO,
    max_regions: options.MaxRegions = None,
    max_seconds: options.MaxSeconds = None,
    max_memory: options.MaxMemory = None,
    until: options.Until = None,
    input_shape: options.InputShape = None,
    as_json: options.AsJson = False,
) -> None:
    """Count the activation regions in a domain: exactly, or as an interval if a budget ends the search."""
    with sentences(), watching(Console(stderr=True)) as watch:
        network = load(model, until, input_shape)
        scope = chosen_scope(network, domain, box, vnnlib, window, window_indices, scale, None)
        watch.stage("regions")
        found = count_regions(
            scope.restricted(network),
            scope.domain,
            chosen_engine(engine),
            max_regions=max_regions,
            max_seconds=max_seconds,
            max_memory=in_bytes(max_memory),
            progress=watch.regions,
        )
    if as_json:
        print_json(count_facts(found, scope, network))
    else:
        default = " (chosen by default)" if scope.chosen_by == "default" else ""
        label = "exact" if found.complete else "a bound: the search was not complete"
        number = in_words(bound(found.lower, found.upper))
        text = f"{number} activation regions ({label}) in {scope.description}{default}"
        Console(soft_wrap=True).print(safe(text), highlight=False)
    finish(complete=found.complete or engine is EngineName.SAMPLING)


@app.command(rich_help_panel=LONG)
def regions(
    model: options.Model,
    out: Annotated[Path, typer.Option("--out", help="Folder for the Parquet shards.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the search in the folder.")] = False,
    certificate: Annotated[
        bool, typer.Option("--certificate", help="Write evidence for polytope verify.")
    ] = False,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes.")] = 1,
    scheduler: Annotated[
        str | None, typer.Option("--scheduler", help="Address of a Dask scheduler: tcp://host:8786.")
    ] = None,
    domain: options.BoxFile = None,
    box: options.Box = None,
    vnnlib: options.Vnnlib = None,
    window: options.Window = None,
    window_indices: options.Indices = "0,1,2",
    scale: options.Scale = 1.0,
    max_regions: options.MaxRegions = None,
    max_seconds: options.MaxSeconds = None,
    max_memory: options.MaxMemory = None,
    until: options.Until = None,
    input_shape: options.InputShape = None,
    as_json: options.AsJson = False,
) -> None:
    """Enumerate the activation regions into a folder; a run that was stopped can be resumed."""
    with sentences(f"Stopped by the keyboard: --resume goes on in {out}."), ExitStack() as stack:
        watch = stack.enter_context(watching(Console(stderr=True)))
        network = load(model, until, input_shape)
        scope = chosen_scope(network, domain, box, vnnlib, window, window_indices, scale, None)
        executor = stack.enter_context(dask_executor(scheduler)) if scheduler else None
        watch.stage("regions")
        found = enumerate_regions(
            scope.restricted(network),
            scope.domain,
            LayerSplit(workers=workers),
            max_regions=max_regions,
            max_seconds=max_seconds,
            max_memory=in_bytes(max_memory),
            executor=executor,
            directory=out,
            resume=resume,
            certificate=certificate,
            progress=watch.regions,
        )
    if as_json:
        facts = {
            "regions": found.lower,
            "label": "exact" if found.complete else "lower bound",
            "complete": found.complete,
            "lower": found.lower,
            "upper": None if found.upper > LARGEST_WRITTEN else found.upper,
            "log10_upper": log10(found.upper),
            "directory": str(out),
            "domain": scope.description,
        }
        print_json(facts)
    else:
        number = in_words(bound(found.lower, found.upper))
        label = "exact" if found.complete else "a bound: the search was not complete"
        text = f"{number} activation regions ({label}) in {scope.description}; {found.lower:,} in {out}"
        Console(soft_wrap=True).print(safe(text), highlight=False)
    finish(complete=found.complete)


@app.command(rich_help_panel=LONG)
def verify(
    directory: Annotated[Path, typer.Argument(help="Written by polytope regions --certificate.")],
    as_json: options.AsJson = False,
) -> None:
    """Replay a certificate in rational arithmetic, and say what it proves."""
    with sentences(), watching(Console(stderr=True)) as watch:
        watch.stage("replaying")
        proof = verify_certificate(directory, watch.regions)
    if as_json:
        print_json(asdict(proof))
    else:
        Console(soft_wrap=True).print(safe(str(proof)), highlight=False)
    finish(complete=proof.complete)


@app.command()
def check(
    model: options.Model,
    stated: Annotated[Path, typer.Argument(metavar="PROPERTY", help="VNN-LIB file.", show_default=False)],
    enumerate_all: Annotated[
        bool, typer.Option("--enumerate", help="Prove by all regions even where bounds would do.")
    ] = False,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Threads of the search.")] = 1,
    max_seconds: options.MaxSeconds = None,
    until: options.Until = None,
    input_shape: options.InputShape = None,
    as_json: options.AsJson = False,
) -> None:
    """Decide a VNN-LIB property; code 1 if it is violated. An ONNX model confirms its counterexample."""
    from polytope.measures.properties import check_property
    from polytope.report.property import property_facts, property_verdict

    with sentences(), Console(stderr=True).status("deciding the property"):
        network = load(model, until, input_shape)
        found = check_property(
            network,
            property_from(stated),
            max_seconds=max_seconds,
            workers=workers,
            prove="enumeration" if enumerate_all else "any",
            runtime=adapters.runtime(network),
        )
    if as_json:
        print_json(property_facts(found) | {"import_error": network.import_error})
    else:
        Console(soft_wrap=True).print(safe(property_verdict(found)), highlight=False)
    if found.status == "violated":
        raise typer.Exit(FAILED)
    finish(complete=found.status == "holds")


def count_facts(found: RegionCount, scope: Scope, network: Network) -> dict[str, Any]:
    """What ``polytope count --json`` prints; ``regions`` is the number found."""
    return {
        "regions": found.lower,
        "label": "exact" if found.complete else "lower bound",
        "complete": found.complete,
        "lower": found.lower,
        "upper": None if found.upper > LARGEST_WRITTEN else found.upper,
        "log10_upper": log10(found.upper),
        "engine": found.engine,
        "seconds": round(found.seconds, 6),
        "peak_memory_mb": round(peak_memory_mb(), 1),
        "import_error": network.import_error,
        "domain": scope.description,
        "domain_chosen_by": scope.chosen_by,
        "statistics": {name: float(value) for name, value in found.statistics.items()},
    }


@app.command(rich_help_panel=LOOK)
def complexity(
    model: options.Model,
    data: Annotated[Path, typer.Option("--data", help=".npz with points X, and perhaps classes y.")],
    radius: Annotated[float, typer.Option("--radius", help="Radius of the neighbourhoods.")],
    scale: options.Scale = 1.0,
    max_seconds: options.MaxSeconds = None,
    until: options.Until = None,
    input_shape: options.InputShape = None,
    as_json: options.AsJson = False,
) -> None:
    """Count the units that bend near data points, by layer and by class."""
    from polytope.report.complexity import complexity_facts

    with sentences():
        network = load(model, until, input_shape)
        points = points_from_npz(data, network, scale)
        with Console(stderr=True).status(f"local complexity of {len(points.x):,} points"):
            facts = complexity_facts(network, points.x, points.labels, radius, max_seconds)
    if as_json:
        print_json(facts | {"import_error": network.import_error})
    else:
        console = Console(soft_wrap=True)
        console.print(
            f"{facts['points']:,} points, radius {radius:g}: mean number of units that bend", highlight=False
        )
        for title, number in [
            ("all layers", facts["total"]),
            *((f"bending layer {i}", n) for i, n in enumerate(facts["layers"], start=1)),
        ]:
            console.print(f"{title:18} {in_words(number)} ({number['label']})", highlight=False)
    finish(complete=facts["points"] == facts["points_given"])


@app.command(rich_help_panel=LOOK)
def plot(
    model: options.Model,
    out: Annotated[Path, typer.Option("--out", help="The picture: .svg, .png or .pdf.")] = Path(
        "regions.svg"
    ),
    what: Annotated[Subject, typer.Option("--what", help="What to draw.")] = Subject.REGIONS,
    colour: Annotated[Colour, typer.Option("--color-by", help="What colours regions.")] = Colour.JACOBIAN,
    domain: options.BoxFile = None,
    box: options.Box = None,
    vnnlib: options.Vnnlib = None,
    window: options.Window = None,
    window_indices: options.Indices = "0,1,2",
    scale: options.Scale = 1.0,
    radius: options.Radius = None,
    engine: options.EngineOption = EngineName.AUTO,
    max_regions: options.MaxRegions = 200_000,
    max_seconds: options.MaxSeconds = 60.0,
    until: options.Until = None,
    input_shape: options.InputShape = None,
) -> None:
    """Draw regions in two or three dimensions, decision boundaries, the dual graph, or local complexity."""
    from polytope.report.drawing import draw_complex, draw_complexity
    from polytope.report.picture_files import picture_format, write_picture

    complete = True
    with sentences(), watching(Console(stderr=True)) as watch:
        picture_format(out)
        network = load(model, until, input_shape)
        scope = chosen_scope(network, domain, box, vnnlib, window, window_indices, scale, None)
        watch.stage("regions")
        if what is Subject.COMPLEXITY:
            figure = draw_complexity(network, scope, radius)
        else:
            found = enumerate_regions(
                scope.restricted(network),
                scope.domain,
                chosen_engine(engine),
                max_regions=max_regions,
                max_seconds=max_seconds,
                progress=watch.regions,
            )
            complete = found.complete
            figure = draw_complex(what, found, colour, corners=window is not None)
        write_picture(figure, out)
    Console(soft_wrap=True).print(f"written: {safe(str(out))}, {safe(scope.description)}", highlight=False)
    finish(complete=complete or engine is EngineName.SAMPLING)


app.command(rich_help_panel=MANY)(bench)


@app.command(rich_help_panel=READ)
def ops() -> None:
    """List the operators that model files may use."""
    print(adapters.supported_ops_markdown())


def load(path: Path, until: str | None, input_shape: str | None) -> Network:
    """The network of a model file."""
    shape = shape_of(input_shape)
    console = Console(stderr=True)
    with console.status("reading and checking the model"), warnings.catch_warnings(record=True) as noticed:
        warnings.simplefilter("always", UserWarning)
        network = adapters.load(path, until=until, input_shape=shape)
    for notice in noticed:
        if notice.category is UserWarning:
            console.print(f"Note: {safe(str(notice.message))}", highlight=False)
    return network


def shape_of(input_shape: str | None) -> tuple[int, ...] | None:
    """The numbers of ``--input-shape``."""
    try:
        return None if input_shape is None else tuple(int(n) for n in input_shape.split(","))
    except ValueError as error:
        raise ValueError(f"--input-shape {input_shape!r} must be whole numbers: 1,28,28.") from error


def print_json(value: dict[str, Any]) -> None:
    """One JSON object on stdout."""
    sys.stdout.write(json.dumps(value, indent=1, allow_nan=False) + "\n")


def peak_memory_mb() -> float:
    """The largest resident size of this process so far, in megabytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak / 2**20 if sys.platform == "darwin" else peak / 2**10)


def finish(*, complete: bool) -> None:
    """End with the code that says whether a budget stopped the work."""
    if not complete:
        raise typer.Exit(STOPPED)


def main() -> None:
    """The entry point of the ``polytope`` script."""
    app(prog_name="polytope")


if __name__ == "__main__":
    main()

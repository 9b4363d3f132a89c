"""``polytope regions`` and ``polytope verify``: enumeration into a folder, and the proof of what it found."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from polytope.cli import options
from polytope.cli.groups import grouped
from polytope.cli.options import Reading, Where, chosen_scope, in_bytes
from polytope.cli.reading import load
from polytope.cli.results import by_default, count_facts, count_words, finish, import_facts, print_json, say
from polytope.cli.terminal import sentences, watching
from polytope.engines.layer_split import LayerSplit
from polytope.runs.enumerate import enumerate_regions
from polytope.runs.executors import dask_executor
from polytope.verify import verify_certificate


@grouped
def regions(
    model: options.Model,
    out: Annotated[Path, typer.Option("--out", help="Folder for the Parquet shards.")],
    where: Where,
    *,
    vnnlib: options.Vnnlib = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the search in the folder.")] = False,
    certificate: Annotated[
        bool, typer.Option("--certificate", help="Write evidence for polytope verify.")
    ] = False,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes.")] = 1,
    scheduler: Annotated[
        str | None, typer.Option("--scheduler", help="Address of a Dask scheduler: tcp://host:8786.")
    ] = None,
    max_regions: options.MaxRegions = None,
    max_seconds: options.MaxSeconds = None,
    max_memory: options.MaxMemory = None,
    reading: Reading,
    as_json: options.AsJson = False,
) -> None:
    """Enumerate the activation regions into a folder; a run that was stopped can be resumed."""
    with sentences(f"Interrupted: --resume continues in {out}."), ExitStack() as stack:
        watch = stack.enter_context(watching(Console(stderr=True)))
        network = load(model, reading)
        scope = chosen_scope(network, where, vnnlib)
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
        print_json(
            count_facts(found) | {"directory": str(out), "domain": scope.description} | import_facts(network)
        )
    else:
        say(f"{count_words(found)} in {scope.description}{by_default(scope)}; {found.lower:,} in {out}")
    finish(complete=found.complete)


def verify(
    directory: Annotated[Path, typer.Argument(help="Written by polytope regions --certificate.")],
    as_json: options.AsJson = False,
) -> None:
    """Replay a certificate in rational arithmetic, and say what it proves."""
    with sentences(), watching(Console(stderr=True)) as watch:
        if not directory.is_dir():
            raise ValueError(
                f"There is no folder {str(directory)!r}. Name what polytope regions --out wrote."
            )
        watch.stage("replaying")
        proof = verify_certificate(directory, watch.regions)
    if as_json:
        print_json(asdict(proof))
    else:
        say(str(proof))
    finish(complete=proof.complete)

"""The command ``polytope bench``; the libraries that it needs are loaded when it runs."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from polytope.cli import options
from polytope.cli.terminal import STOPPED, safe, sentences


def _example(asked: bool) -> None:
    if asked:
        typer.echo((files("polytope.studies") / "example.toml").read_text(encoding="utf-8"), nl=False)
        raise typer.Exit


def bench(
    spec: Annotated[Path, typer.Argument(help="TOML file: architectures, data, training, measures.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for the rows and results; bench/NAME by default.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help=".npz with images and labels, where the file asks for one.")
    ] = None,
    max_seconds: Annotated[
        float | None,
        typer.Option(
            "--max-seconds",
            "--budget",
            parser=options.read_time,
            metavar="TIME",
            help="Time limit, 60s, 5m or 1h: no further run begins after it.",
        ),
    ] = None,
    as_json: options.AsJson = False,
    _: Annotated[
        bool,
        typer.Option(
            "--example", callback=_example, is_eager=True, help="Print a TOML file with every key, and exit."
        ),
    ] = False,
) -> None:
    """Count regions and local complexity across architectures, before and after training.

    Every finished run is kept in the folder, and the same command goes on where it was stopped.

    The TOML file names architectures, data, training and measures: --example prints one with all its keys.
    """
    folder = out or Path("bench") / spec.stem
    with sentences(f"Interrupted: the same command continues in {folder}."):
        from polytope.studies.data import read_data
        from polytope.studies.files import write_files
        from polytope.studies.run import run_bench
        from polytope.studies.spec import read_spec

        asked = read_spec(spec)
        images = read_data(asked, data)
        with Console(stderr=True).status("benchmark") as status:
            done = run_bench(
                asked,
                images,
                folder,
                max_seconds=max_seconds,
                tell=lambda i, n, run: status.update(f"run {i + 1} of {n}: {run}"),
            )
        written = write_files(done, folder)
    if as_json:
        typer.echo((folder / "summary.json").read_text(encoding="utf-8"), nl=False)
    else:
        typer.echo(f"{len(done.rows)} of {done.total} runs")
        for path in written:
            Console(soft_wrap=True).print(f"written: {safe(str(path))}", highlight=False)
    if not done.complete:
        raise typer.Exit(STOPPED)

"""The command line: its commands and their order in the help.

Exit codes: 0 done, 1 a check asked for failed, 2 wrong usage, 3 the file was refused, 4 stopped by a budget,
70 a defect of this library.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

import adapters
from polytope.cli.audit import audit
from polytope.cli.bench import bench
from polytope.cli.check import check
from polytope.cli.compare import compare
from polytope.cli.complexity import complexity
from polytope.cli.count import count
from polytope.cli.info import info
from polytope.cli.plot import plot
from polytope.cli.regions import regions, verify
from polytope.cli.started import process_started
from polytope.report.checks import METRICS

METRIC_HELP = "; ".join(f"{name}: {metric.meaning}" for name, metric in METRICS.items()) + "."

LOOK, LONG = "Analysis", "Enumeration and certificates"
MANY, READ = "Compare architectures", "Supported operators"

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    help=(
        "The exact geometry of trained piecewise-linear networks: linear regions and what follows from them. "
        "Begin with: polytope audit MODEL.onnx --data X.npz"
    ),
    epilog="Exit codes: 0 done, 1 check failed, 2 usage, 3 file refused, 4 stopped by a budget, 70 a defect.",
)
app.command(rich_help_panel=LOOK, epilog="Metrics for --fail-on. " + METRIC_HELP)(audit)
app.command(rich_help_panel=LOOK)(info)
app.command(rich_help_panel=LOOK)(count)
app.command(rich_help_panel=LONG)(regions)
app.command(rich_help_panel=LONG)(verify)
app.command(rich_help_panel=LOOK)(check)
app.command(rich_help_panel=LOOK)(compare)
app.command(rich_help_panel=LOOK)(complexity)
app.command(rich_help_panel=LOOK)(plot)
app.command(rich_help_panel=MANY)(bench)


def _version(asked: bool) -> None:
    if asked:
        print(f"polytope {version('polytope-nn')}")
        raise typer.Exit


@app.callback()
def options(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """What comes before a command."""


@app.command(rich_help_panel=READ)
def ops() -> None:
    """List the operators that model files may use."""
    print(adapters.supported_ops_markdown())


def main() -> None:
    """The entry point of the ``polytope`` script."""
    app(prog_name="polytope", obj=process_started())

"""The options that several commands share, and what they choose: a domain and an engine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from math import inf
from pathlib import Path
from typing import Annotated

import typer

from polytope.engines import amounts
from polytope.engines.engine import Engine
from polytope.engines.layer_split import LayerSplit
from polytope.engines.named import as_engine
from polytope.ir import Network
from polytope.report.files import domain_from_json, domain_from_vnnlib
from polytope.report.points import Points, points_from_file
from polytope.report.scope import Scope, box_scope, default_scope, picked, window_scope


class EngineName(StrEnum):
    """The engines of the command line."""

    AUTO = "auto"
    VERTICES = "vertices"
    LP = "lp"
    SAMPLING = "sampling"


class Subject(StrEnum):
    """The pictures of the command line."""

    REGIONS = "regions"
    BOUNDARY = "boundary"
    GRAPH = "graph"
    BOUNDS = "bounds"
    COMPLEXITY = "complexity"


class Colour(StrEnum):
    """The numbers that colour regions."""

    JACOBIAN = "jacobian"
    VOLUME = "volume"


FIRST_THREE = "0,1,2"
DATA_HELP = "Points: .npz with X, and perhaps classes or values y; .npy; or .csv with a column y."
WHERE, SEARCH, READING = "Where to look", "Search and budget", "Reading the model"

Model = Annotated[
    Path,
    typer.Argument(
        help="Model file: .onnx, .tflite, .pt2, .pt, .pth, .safetensors or .npz.", show_default=False
    ),
]
BoxFile = Annotated[
    Path | None,
    typer.Option(
        "--domain", help='JSON: {"low": .., "high": ..} or {"A": .., "b": ..}.', rich_help_panel=WHERE
    ),
]


def _two_ends(value: tuple[str, str] | None) -> tuple[str, str] | None:
    """Refuse an option as the high end: it says that there is one end only."""
    if value and value[1].startswith("--"):
        raise typer.BadParameter(f"two ends are expected, LO HI, and there is one, {value[0]}.")
    return value


Box = Annotated[
    tuple[str, str] | None,
    typer.Option(
        "--box",
        metavar="LO HI",
        callback=_two_ends,
        help="Two numbers, or two lists: -1,0 1,2.",
        rich_help_panel=WHERE,
    ),
]
Vnnlib = Annotated[
    Path | None, typer.Option("--vnnlib", help="The input box of a VNN-LIB property.", rich_help_panel=WHERE)
]
Properties = Annotated[
    list[Path] | None,
    typer.Option(
        "--vnnlib",
        metavar="FILE",
        help="VNN-LIB property to check; the input box of the first is the domain. Repeatable.",
        rich_help_panel=WHERE,
    ),
]
FailOn = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-on",
        metavar="CHECK",
        help="Exit with code 1 if this condition holds, e.g. 'dead_units>0.1' (repeatable; metrics below).",
    ),
]
BudgetOption = Annotated[
    str,
    typer.Option(
        "--budget",
        "--max-seconds",
        help="Time for everything: 60s, 5m, 1h, or none.",
        rich_help_panel=SEARCH,
    ),
]
Window = Annotated[
    Path | None,
    typer.Option(
        "--window", help="File as for --data: the plane through three of its points.", rich_help_panel=WHERE
    ),
]
Indices = Annotated[
    str,
    typer.Option(
        "--window-indices",
        metavar="I,J,K",
        help="0-based indices of the points spanning the slice: three give a plane, four a 3-D slice.",
        rich_help_panel=WHERE,
    ),
]
Data = Annotated[Path | None, typer.Option("--data", help=DATA_HELP)]
Scale = Annotated[
    float,
    typer.Option(
        "--scale", help="Divide input points by this factor (255 for 8-bit images).", rich_help_panel=WHERE
    ),
]
MaxRegions = Annotated[
    int | None,
    typer.Option("--max-regions", min=1, help="Maximum number of regions.", rich_help_panel=SEARCH),
]


def read_time(text: str) -> float | None:
    """A time in seconds; what is wrong in words of the command line."""
    try:
        return amounts.in_seconds(text, "--max-seconds")
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


MaxSeconds = Annotated[
    float | None,
    typer.Option(
        "--max-seconds",
        "--budget",
        parser=read_time,
        metavar="TIME",
        help="Time limit: 90, 60s, 5m, 1h, or none.",
        rich_help_panel=SEARCH,
    ),
]
Until = Annotated[
    list[str] | None,
    typer.Option(
        "--until",
        metavar="TENSOR",
        help="Stop at this tensor of the model. Repeatable.",
        rich_help_panel=READING,
    ),
]
From = Annotated[
    list[str] | None,
    typer.Option(
        "--from",
        metavar="TENSOR",
        help="Begin at this tensor of the model, e.g. behind an embedding. Repeatable.",
        rich_help_panel=READING,
    ),
]
Smooth = Annotated[
    float | None,
    typer.Option(
        "--smooth",
        metavar="SPACING",
        help="Read GELU, SiLU, softplus, Mish, tanh and sigmoid as splines of this spacing: 0.1. All that is "
        "said is said of the splines, with a proved bound on how far the model's outputs are away.",
        rich_help_panel=READING,
    ),
]
Dequantised = Annotated[
    bool,
    typer.Option(
        "--dequantised",
        help="Read a quantised ONNX or TFLite model without its rounding. All that is said is said of the "
        "network of the same weights and ranges in floating-point numbers, not of the model.",
        rich_help_panel=READING,
    ),
]
InputShape = Annotated[
    list[str] | None,
    typer.Option(
        "--input-shape",
        metavar="SIZES",
        help="One input without the batch: 1,28,28. Repeatable, for several inputs.",
        rich_help_panel=READING,
    ),
]
ActivationName = Annotated[
    str | None,
    typer.Option(
        "--activation",
        metavar="NAME",
        help="Between the layers of a file of weights alone: relu, leaky_relu, hardtanh, ...",
        rich_help_panel=READING,
    ),
]
Architecture = Annotated[
    str | None,
    typer.Option(
        "--module",
        metavar="FILE.py:NAME",
        help="Your own code with the PyTorch module that a state dict belongs to; it is run.",
        rich_help_panel=READING,
    ),
]
MaxMemory = Annotated[
    str | None,
    typer.Option(
        "--max-memory", metavar="MB", help="Memory limit: megabytes, or 500MB, 2GB.", rich_help_panel=SEARCH
    ),
]
Workers = Annotated[
    int, typer.Option("--workers", min=1, help="Threads of the search.", rich_help_panel=SEARCH)
]
EngineOption = Annotated[
    EngineName, typer.Option("--engine", help="Enumeration engine.", rich_help_panel=SEARCH)
]
Every = Annotated[bool, typer.Option("--all", help="List all tensors of a large model.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")]
Radius = Annotated[
    float | None, typer.Option("--radius", help="Radius of the neighbourhoods for local complexity.")
]


@dataclass(frozen=True)
class Where:
    """The options that choose a domain; at most one of them, or a window and its box."""

    domain: BoxFile = None
    box: Box = None
    window: Window = None
    window_indices: Indices = FIRST_THREE
    scale: Scale = 1.0

    @property
    def chosen(self) -> bool:
        """Whether one of them does."""
        return bool(self.domain or self.box or self.window)

    def refuse_idle(self, points: bool) -> None:
        """Raise a ``ValueError`` for options that would do nothing.

        Arguments:
            points: whether points are read besides those of ``--window``.
        """
        if not 0 < self.scale < inf:
            raise ValueError(f"--scale must be a positive number, not {self.scale:g}: 255 for 8-bit images.")
        if self.window_indices != FIRST_THREE and not self.window:
            raise ValueError("--window-indices chooses points of a file: name it with --window.")
        if self.scale != 1.0 and not (self.window or points):
            raise ValueError("--scale divides the points of a file: name it with --window or --data.")


@dataclass(frozen=True)
class Reading:
    """The options that say how a model file is read."""

    until: Until = None
    from_: From = None
    smooth: Smooth = None
    dequantised: Dequantised = False
    input_shape: InputShape = None
    activation: ActivationName = None
    module: Architecture = None


def chosen_scope(network: Network, where: Where, vnnlib: Path | None, points: Points | None = None) -> Scope:
    """The one domain that the options ask for, or the default."""
    where.refuse_idle(points is not None)
    domain, box, window = where.domain, where.box, where.window
    if sum(option is not None for option in (domain, box, vnnlib)) > 1 or (window and (domain or vnnlib)):
        raise ValueError(
            "Give one domain only: --domain, --box, --vnnlib, or --window (with or without --box)."
        )
    if domain:
        return domain_from_json(domain, network)
    if vnnlib:
        return domain_from_vnnlib(vnnlib, network)
    if window:
        chosen = numbers("--window-indices", where.window_indices)
        corners = picked(points_from_file(window, network, where.scale).x, [int(i) for i in chosen])
        low, high = (numbers("--box", side) for side in box or ("-1", "2"))
        names = f"points {', '.join(str(int(i)) for i in chosen)} of {window.name}"
        return window_scope(corners, low, high, names=names)
    if box:
        low, high = (numbers("--box", side) for side in box)
        return box_scope(network.input_dim, low, high)
    return default_scope(network, points.x if points else None)


def in_bytes(text: str | None) -> int | None:
    """A limit of memory in bytes: megabytes where no unit is named."""
    bare = text is not None and text.replace(".", "", 1).isdigit()
    return amounts.in_bytes(f"{text}MB" if bare else text, "--max-memory")


def numbers(option: str, text: str) -> list[float]:
    """The numbers of a comma-separated list."""
    try:
        return [float(word) for word in text.split(",")]
    except ValueError as error:
        raise ValueError(f"{option} {text!r} must be a number, or numbers with commas between.") from error


def chosen_engine(name: EngineName, workers: int = 1) -> Engine:
    """The engine that an option names, searching in a number of threads."""
    engine = as_engine(name.value)
    if workers == 1:
        return engine
    if not isinstance(engine, LayerSplit):
        raise ValueError(f"--workers has no meaning for --engine {name.value}.")
    return replace(engine, workers=workers)

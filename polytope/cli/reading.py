"""The model that a command reads."""

from __future__ import annotations

import warnings
from pathlib import Path

from rich.console import Console

import adapters
from polytope.ir import Network
from polytope.report.options import Reading
from polytope.report.terminal import safe


def load(path: Path, reading: Reading) -> Network:
    """The network of a model file; what its reader warns of goes to stderr."""
    shape = shape_of(reading.input_shape)
    console = Console(stderr=True)
    with console.status("reading and checking the model"), warnings.catch_warnings(record=True) as noticed:
        warnings.simplefilter("always", UserWarning)
        network = adapters.load(path, until=reading.until, input_shape=shape)
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

"""The model that a command reads."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

import adapters
from polytope.cli.advice import in_options
from polytope.cli.options import Reading
from polytope.cli.terminal import safe
from polytope.errors import LoadError, is_deliberate
from polytope.ir import Network
from polytope.ir.deviation import splines_of
from polytope.ir.maps import FloatArray


def load(path: Path, reading: Reading) -> Network:
    """The network of a model file; what its reader warns of goes to stderr, in the words of the options."""
    shape, module = shape_of(reading.input_shape), module_of(reading.module)
    until = reading.until or None
    console = Console(stderr=True)
    with console.status("reading and checking the model"), warnings.catch_warnings(record=True) as noticed:
        warnings.simplefilter("always", UserWarning)
        try:
            network = adapters.load(
                path,
                until=until,
                from_=reading.from_ or None,
                smooth=reading.smooth,
                dequantised=reading.dequantised,
                input_shape=shape,
                activation=reading.activation,
                module=module,
            )
        except (LoadError, ValueError, TypeError) as error:
            if not is_deliberate(error):
                raise
            raise type(error)(in_options(str(error))) from error
    if splines_of(network) or network.dequantised:
        console.print(f"Note: {safe(network.import_note)}.", highlight=False, soft_wrap=True)
    for notice in noticed:
        if notice.category is UserWarning:
            console.print(f"Note: {safe(in_options(str(notice.message)))}", highlight=False, soft_wrap=True)
    return network


def piece_of(reading: Reading) -> str:
    """Which part of the model the options ask for, in words; empty for all of it."""
    ends = (("from", reading.from_), ("up to", reading.until))
    return " ".join(f"{word} {', '.join(map(repr, names))}" for word, names in ends if names)


def inside(path: Path, reading: Reading) -> Callable[[NDArray[Any]], FloatArray] | None:
    """What an ONNX model makes of its inputs where ``--from`` lets the network begin; ``None`` without."""
    names = reading.from_
    if not names:
        return None
    if path.suffix.lower() != ".onnx":
        raise ValueError(
            "--data beside --from: only ONNX models are run up to a tensor. Export the model to ONNX."
        )

    def rows(x: NDArray[Any]) -> FloatArray:
        return np.concatenate([adapters.activations(path, x, at=name) for name in names], axis=1)

    return rows


def shape_of(input_shapes: list[str] | None) -> tuple[int, ...] | list[tuple[int, ...]] | None:
    """The numbers of ``--input-shape``; a list of them for several inputs."""
    try:
        shapes = [tuple(int(n) for n in text.split(",")) for text in input_shapes or []]
    except ValueError as error:
        raise ValueError(
            f"--input-shape {' '.join(input_shapes or ())} must be whole numbers: 1,28,28."
        ) from error
    return shapes if len(shapes) > 1 else shapes[0] if shapes else None


def module_of(text: str | None) -> Any:
    """The module that ``--module FILE.py:NAME`` or ``package:NAME`` names; a class or a function makes it."""
    if text is None:
        return None
    where, _, name = text.rpartition(":")
    if not where or not name:
        raise ValueError(f"--module {text!r} lacks a name. Write FILE.py:NAME or package:NAME.")
    try:
        found = getattr(_imported(where), name)
        return found() if inspect.isclass(found) or inspect.isfunction(found) else found
    except Exception as error:  # the user's own code raises whatever it likes
        said = " ".join(str(error).split())
        raise ValueError(
            f"--module {text!r} gives no module ({type(error).__name__}: {said}). "
            "Name your own code: FILE.py:NAME or package:NAME, a module or what makes one without arguments."
        ) from error


def _imported(where: str) -> Any:
    """A file of Python or an importable package, run."""
    if not where.endswith(".py"):
        sys.path.insert(0, "")
        try:
            return importlib.import_module(where)
        finally:
            sys.path.remove("")
    spec = importlib.util.spec_from_file_location(Path(where).stem, where)
    assert spec is not None, "a .py file has a loader"
    assert spec.loader is not None, "a .py file has a loader"
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

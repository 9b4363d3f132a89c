"""Files that say where to look: boxes in JSON, and properties in VNN-LIB."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from polytope.geometry import Polyhedron
from polytope.ir import Network
from polytope.ir.maps import FloatArray
from polytope.properties.vnnlib import read_input_box
from polytope.properties.vnnlib_property import Property, read_property
from polytope.properties.vnnlib_text import property_text
from polytope.report.scope import Scope, box_scope

LARGEST_TEXT = 2**28


def domain_from_json(path: Path, network: Network) -> Scope:
    """A box ``{"low": ..., "high": ...}`` or a polytope ``{"A": [[...]], "b": [...]}``.

    Raises:
        ValueError: the file is not such an object, or does not fit the network.
    """
    text = text_of(path)
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} is not a JSON file: {first_line(error)}") from error
    keys = set(given) if isinstance(given, dict) else set()
    if keys == {"low", "high"}:
        return box_scope(network.input_dim, _numbers(path, given["low"]), _numbers(path, given["high"]))
    if keys == {"A", "b"}:
        scope = Scope.of(Polyhedron(_numbers(path, given["A"]), _numbers(path, given["b"])))
        scope.restricted(network)
        return scope
    raise ValueError(f'{path.name} must hold {{"low": ..., "high": ...}} or {{"A": [[...]], "b": [...]}}.')


def domain_from_vnnlib(path: Path, network: Network) -> Scope:
    """The input box of a VNN-LIB property.

    Raises:
        ValueError: the file holds no such box, or one of another dimension.
    """
    text = property_text(path)
    try:
        box = read_input_box(text)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error
    if len(box.low) != network.input_dim:
        raise ValueError(
            f"{path.name} is about {len(box.low)} inputs, the network has {network.input_dim}. "
            "Use a property that belongs to this network."
        )
    origin = "the input box of" if box.exact else "the smallest box around the input set of"
    return box_scope(network.input_dim, box.low, box.high, why=f", {origin} {path.name}")


def property_from(path: Path) -> Property:
    """A VNN-LIB property.

    Raises:
        ValueError: the file is no such property.
    """
    text = property_text(path)
    try:
        return read_property(text + "\n")  # text, even where it looks like a path
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error


def _numbers(path: Path, values: Any) -> FloatArray:
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path.name} holds something else where numbers were expected.") from error


def regular(path: Path) -> None:
    """Raise a ``ValueError`` where there is no file to read."""
    if path.is_dir():
        raise ValueError(f"{str(path)!r} is a directory; a file was expected. Name the file inside it.")
    if not path.is_file():
        raise ValueError(f"There is no file {str(path)!r} that can be read. Check the path.")


def text_of(path: Path) -> str:
    """The text of a regular file of bearable size.

    Raises:
        ValueError: there is no such file, or it is not text.
    """
    regular(path)
    if path.stat().st_size > LARGEST_TEXT:
        raise ValueError(f"{path.name} is larger than {LARGEST_TEXT:,} bytes, too large to be read.")
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name} is not a text file that can be read.") from error


def first_line(error: BaseException) -> str:
    """What an error says first."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]

"""Files that say where to look and at what: boxes in JSON, properties in VNN-LIB, data points in .npz."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polytope.geometry import Polyhedron
from polytope.ir import Network
from polytope.ir.maps import FloatArray
from polytope.properties.vnnlib import read_input_box
from polytope.properties.vnnlib_property import Property, read_property
from polytope.properties.vnnlib_text import property_text
from polytope.report.scope import Scope, box_scope

LARGEST_TEXT = 2**28
LARGEST_ARRAYS = 2**33
POINT_NAMES = ("X", "x", "images", "inputs", "data")
LABEL_NAMES = ("y", "labels", "targets")


@dataclass(frozen=True, eq=False)
class Points:
    """Data points ``[n, d]`` and, where the file has them, their labels ``int[n]``."""

    x: FloatArray
    labels: NDArray[np.int64] | None


def domain_from_json(path: Path, network: Network) -> Scope:
    """A box ``{"low": ..., "high": ...}`` or a polytope ``{"A": [[...]], "b": [...]}``.

    Raises:
        ValueError: the file is not such an object, or does not fit the network.
    """
    text = text_of(path)
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} is not a JSON file: {_first_line(error)}") from error
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


def points_from_npz(path: Path, network: Network, scale: float = 1.0) -> Points:
    """Data points and labels from an ``.npz`` archive, in the network's input space.

    Arguments:
        path: holds an array ``X`` (or images, inputs, data) and perhaps ``y`` (or labels, targets).
        network: whose input they are.
        scale: every coordinate is divided by it.

    Raises:
        ValueError: the archive cannot be read, or its arrays do not fit the network.
    """
    arrays = read_arrays(path)
    name = next((n for n in POINT_NAMES if n in arrays), None)
    if name is None:
        raise ValueError(
            f"{path.name} holds the arrays {_listed(arrays)}; "
            "one called X (or images, inputs, data) was expected."
        )
    x = arrays[name]
    _check_points(path, name, x, network)
    labels = next((arrays[n] for n in LABEL_NAMES if n in arrays), None)
    if labels is not None and (labels.shape != (len(x),) or labels.dtype.kind not in "iu"):
        labels = None
    rows = x.reshape(len(x), -1).astype(float) / scale
    if not np.isfinite(rows).all():
        bad = int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
        raise ValueError(
            f"{path.name}: point {bad} is not finite. Leave such points out, and let scale be positive."
        )
    return Points(rows, None if labels is None else labels.astype(np.int64))


def _check_points(path: Path, name: str, x: NDArray[Any], network: Network) -> None:
    if x.dtype.kind not in "fiub" or x.ndim < 2 or not len(x):
        raise ValueError(
            f"{path.name}: {name} is {x.dtype}{list(x.shape)}; numbers [points, inputs] were expected."
        )
    size = int(np.prod(x.shape[1:]))
    if size != network.input_dim:
        raise ValueError(
            f"{path.name}: the points in {name} have {size} numbers each, "
            f"the network has {network.input_dim} inputs."
        )
    own = tuple(n for n in x.shape[1:] if n > 1)
    expected = tuple(n for n in network.input_shape if n > 1)
    if own != expected and len(own) > 1 and sorted(own) == sorted(expected):
        raise ValueError(
            f"{path.name}: the points in {name} have shape {x.shape[1:]}, "
            f"the network's input {network.input_shape}. Transpose the array: its axes are in another order."
        )


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an archive; sizes are checked first and objects are never unpickled."""
    _regular(path)
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(entry.file_size for entry in archive.infolist())
        if total > LARGEST_ARRAYS:
            raise ValueError(f"it unpacks to {total:,} bytes; at most {LARGEST_ARRAYS:,} are read")
        with np.load(path, allow_pickle=False) as archive:
            return {
                name: archive[name] for name in archive.files if name in (*POINT_NAMES, *LABEL_NAMES)
            } or dict.fromkeys(archive.files, np.zeros(0))
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, NotImplementedError, MemoryError) as error:
        raise ValueError(
            f"{path.name} is not an .npz archive that can be read: {_first_line(error)}"
        ) from error


def _listed(arrays: dict[str, NDArray[Any]]) -> str:
    return ", ".join(repr(name[:40]) for name in sorted(arrays)[:8]) or "none"


def _numbers(path: Path, values: Any) -> FloatArray:
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path.name} holds something else where numbers were expected.") from error


def _regular(path: Path) -> None:
    if path.is_dir():
        raise ValueError(f"{str(path)!r} is a directory; a file was expected. Name the file inside it.")
    if not path.is_file():
        raise ValueError(f"There is no file {str(path)!r} that can be read. Check the path.")


def text_of(path: Path) -> str:
    """The text of a regular file of bearable size.

    Raises:
        ValueError: there is no such file, or it is not text.
    """
    _regular(path)
    if path.stat().st_size > LARGEST_TEXT:
        raise ValueError(f"{path.name} is larger than {LARGEST_TEXT:,} bytes, too large for a domain.")
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name} is not a text file that can be read.") from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]

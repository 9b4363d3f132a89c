"""Data points and labels from files: archives of arrays (.npz), arrays (.npy), and tables (.csv)."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polytope.ir import Network
from polytope.ir.maps import FloatArray
from polytope.report.files import first_line, regular, text_of

LARGEST_ARRAYS = 2**33
POINT_NAMES = ("X", "x", "images", "inputs", "data")
LABEL_NAMES = ("y", "labels", "targets")
LABEL_COLUMNS = ("y", "label", "labels", "target", "targets", "class")


@dataclass(frozen=True, eq=False)
class Points:
    """Data points ``[n, d]`` and, where the file has them, their classes or values."""

    x: FloatArray
    labels: NDArray[Any] | None


def points_from_file(
    path: Path,
    network: Network,
    scale: float = 1.0,
    within: Callable[[NDArray[Any]], FloatArray] | None = None,
) -> Points:
    """Data points and labels of a file, in the network's input space.

    Arguments:
        path: an ``.npz`` archive with an array ``X`` (or images, inputs, data) and perhaps ``y`` (or labels,
            targets); an ``.npy`` array of points; or a ``.csv`` table, a row for each point, whose labels are
            in a column named y (or label, target, class), or behind the inputs.
        network: whose input they are.
        scale: every coordinate is divided by it.
        within: what the model makes of its inputs where the network begins, if it is a piece of the model.

    Raises:
        ValueError: the file cannot be read, or its arrays do not fit the network.
    """
    if not (0 < scale < float("inf")):
        raise ValueError(
            f"--scale must be a positive number, not {scale:g}: 255 maps 8-bit images to [0, 1]."
        )
    name, x, labels = _read(path, network.input_dim)
    if within is not None:
        x, scale = within(x if scale == 1 else x / scale), 1.0
    _check_points(path, name, x, network)
    if labels is not None and (labels.dtype.kind not in "fiub" or labels.shape[:1] != (len(x),)):
        raise ValueError(
            f"{path.name}: the labels are {labels.dtype}{list(labels.shape)}; "
            f"a number for each of the {len(x)} points was expected. Leave them out, or number the classes."
        )
    rows = x.reshape(len(x), -1).astype(float) / scale
    if not np.isfinite(rows).all():
        bad = int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
        raise ValueError(f"{path.name}: point {bad} is not finite. Leave such points out.")
    return Points(rows, labels)


def _read(path: Path, d: int) -> tuple[str, NDArray[Any], NDArray[Any] | None]:
    """What the points are called in the file, the points, and the labels."""
    kind = path.suffix.lower()
    if kind == ".csv":
        return "the table", *_of_table(path, d)
    if kind == ".npy":
        return "the array", _array(path), None
    arrays = read_arrays(path)
    name = next((n for n in POINT_NAMES if n in arrays), None)
    if name is None:
        raise ValueError(
            f"{path.name} holds the arrays {_listed(arrays)}; "
            "one called X (or images, inputs, data) was expected."
        )
    return name, arrays[name], next((arrays[n] for n in LABEL_NAMES if n in arrays), None)


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
    regular(path)
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(entry.file_size for entry in archive.infolist())
        if total > LARGEST_ARRAYS:
            raise ValueError(f"it unpacks to {total:,} bytes; at most {LARGEST_ARRAYS:,} are read")
        with np.load(path, allow_pickle=False) as archive:
            return {
                name: archive[name] for name in archive.files if name in (*POINT_NAMES, *LABEL_NAMES)
            } or dict.fromkeys(archive.files, np.zeros(0))
    except zipfile.BadZipFile as error:
        raise ValueError(
            f"{path.name} is not an .npz archive, which numpy.savez writes. Points may also be .npy or .csv."
        ) from error
    except (ValueError, EOFError, OSError, NotImplementedError, MemoryError) as error:
        raise ValueError(
            f"{path.name} is not an .npz archive that can be read: {first_line(error)}"
        ) from error


def _array(path: Path) -> NDArray[Any]:
    """The array of an ``.npy`` file; objects are never unpickled."""
    regular(path)
    if path.stat().st_size > LARGEST_ARRAYS:
        raise ValueError(f"{path.name} is larger than {LARGEST_ARRAYS:,} bytes, too large to be read.")
    try:
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            file.seek(0)
            return np.lib.format.read_array(file, allow_pickle=False)
    except (ValueError, EOFError, OSError, MemoryError) as error:
        raise ValueError(
            f"{path.name} is not an .npy array of numbers, which numpy.save writes, or it is damaged."
        ) from error


def _of_table(path: Path, d: int) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """The points and labels of a table with commas, with or without a line of names."""
    rows = [row for row in csv.reader(text_of(path).splitlines()) if any(map(str.strip, row))]
    names: list[str] = []
    if rows and not all(_is_number(word) for word in rows[0]):
        names, rows = [word.strip().lower() for word in rows[0]], rows[1:]
    lengths = {len(row) for row in rows}
    if len(lengths) != 1 or not all(_is_number(word) for row in rows for word in row):
        raise ValueError(
            f"{path.name} is not a table of numbers: every row needs the same number of numbers, with commas "
            "between them; only the first row may hold names."
        )
    table = np.array(rows, dtype=float)
    column = next((i for i, name in enumerate(names) if name in LABEL_COLUMNS), None)
    if column is None and table.shape[1] == d + 1:
        column = d
    if column is None:
        return table, None
    return np.delete(table, column, axis=1), table[:, column]


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _listed(arrays: dict[str, NDArray[Any]]) -> str:
    return ", ".join(repr(name[:40]) for name in sorted(arrays)[:8]) or "none"

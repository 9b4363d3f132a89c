"""What a directory says in JSON, the manifest and each shard's search, checked entry by entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from sys import float_info
from typing import Any

import numpy as np

from polytope.errors import CorruptFileError
from polytope.ir.maps import FloatArray
from polytope.ir.stored_files import LARGEST_JSON, content, parsed

FORMAT = 1
WIDEST = 1 << 31  # of a whole number that is a size, or a step of a branch
HEX = 64  # digits of a sha256
Branch = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Manifest:
    """What is enumerated: network and domain ``A x <= b``, by which engine, and what it took so far."""

    network: str
    A: FloatArray
    b: FloatArray
    input_dim: int
    units: int
    engine: str
    certificate: bool
    seconds: float
    statistics: Mapping[str, float]


@dataclass(frozen=True)
class Search:
    """The branches that a shard took, those that it left, each with a bound, and its number of regions."""

    taken: tuple[Branch, ...]
    open: tuple[tuple[Branch, int], ...]
    regions: int


def read_manifest(file: Path) -> Manifest:
    """A manifest as it stands in its file.

    Raises:
        CorruptFileError: it is none; the message names the entry.
    """
    held = parsed(content(file, LARGEST_JSON), str(file))
    wanted = ("network", "domain", "input_dim", "units", "engine")
    if not (isinstance(held, dict) and {*wanted} <= held.keys() and held.get("format") == FORMAT):
        raise CorruptFileError(f"{file} is not a manifest of a complex, of format {FORMAT}.")
    domain, statistics = held["domain"], held.get("statistics", {})
    width, units = held["input_dim"], held["units"]
    checks = {
        "network": _is_hash(held["network"]),
        "input_dim": _is_whole(width, 1),
        "units": _is_whole(units, 1),
        "engine": isinstance(held["engine"], str)
        and held["engine"].isprintable()
        and len(held["engine"]) < 100,
        "certificate": isinstance(held.get("certificate", False), bool),
        "seconds": _is_number(held.get("seconds", 0.0)),
        "statistics": isinstance(statistics, dict) and all(map(_is_number, statistics.values())),
        "domain": isinstance(domain, dict) and _are_rows(domain.get("A"), domain.get("b"), width),
    }
    for name, good in checks.items():
        if not good:
            raise CorruptFileError(f"{file} is not a manifest of a complex: its {name} is none.")
    A, b = np.array(domain["A"], dtype=float), np.array(domain["b"], dtype=float)
    if not A.any(axis=1).all():
        raise CorruptFileError(f"{file} is not a manifest of a complex: the domain has a row that is zero.")
    seconds, certificate = float(held.get("seconds", 0.0)), held.get("certificate", False)
    return Manifest(held["network"], A, b, width, units, held["engine"], certificate, seconds, statistics)


def read_search(text: bytes | None, what: str) -> Search:
    """What a shard says of the search.

    Raises:
        CorruptFileError: it says nothing, or something else; the message names it.
    """
    held = None if text is None else parsed(text, what)
    if not (isinstance(held, dict) and held.keys() == {"taken", "open", "regions"}):
        raise CorruptFileError(f"{what} does not say which branches it took and left.")
    taken, left, regions = held["taken"], held["open"], held["regions"]
    if not (isinstance(taken, list) and all(map(_is_path, taken))):
        raise CorruptFileError(f"{what} took branches that are none.")
    if not (isinstance(left, list) and all(map(_is_bounded, left)) and _is_whole(regions)):
        raise CorruptFileError(f"{what} left branches that are none, or no whole number of regions.")
    return Search(tuple(map(tuple, taken)), tuple((tuple(path), bound) for path, bound in left), regions)


def read_seal(file: Path) -> tuple[bytes, int, dict[str, str]]:
    """The text of a seal, the regions that it claims, and the hashes of files by their names.

    Raises:
        CorruptFileError: it is none.
    """
    text = content(file, LARGEST_JSON)
    held = parsed(text, str(file))
    whole = isinstance(held, dict) and held.keys() == {"format", "regions", "sha256"}
    if not (whole and _is_whole(held["regions"]) and isinstance(held["sha256"], dict)):
        raise CorruptFileError(f"{file} was changed: it is no seal of a complex.")
    if not all(name.isprintable() and _is_hash(digest) for name, digest in held["sha256"].items()):
        raise CorruptFileError(f"{file} was changed: it holds something that is no hash of a file.")
    return text, held["regions"], held["sha256"]


def _is_whole(value: Any, least: int = 0) -> bool:
    return type(value) is int and least <= value < WIDEST


def _is_number(value: Any) -> bool:
    """Whether a value is a finite number; integers are compared as they are, and never overflow."""
    return type(value) in (int, float) and abs(value) <= float_info.max


def _is_hash(value: Any) -> bool:
    return isinstance(value, str) and len(value) == HEX and {*value} <= {*"0123456789abcdef"}


def _is_path(value: Any) -> bool:
    return isinstance(value, list) and all(type(step) is int and 0 <= step < 2**63 for step in value)


def _is_bounded(value: Any) -> bool:
    """Whether a value is a branch with the most regions in it."""
    pair = isinstance(value, list) and len(value) == 2 and _is_path(value[0])
    return pair and type(value[1]) is int and value[1] >= 0


def _are_rows(A: Any, b: Any, width: int) -> bool:
    """Whether there are rows of so many finite numbers, and as many limits."""
    if not (isinstance(A, list) and isinstance(b, list) and len(A) == len(b) and A):
        return False
    whole = all(isinstance(row, list) and len(row) == width for row in A)
    return whole and all(map(_is_number, b)) and all(_is_number(value) for row in A for value in row)

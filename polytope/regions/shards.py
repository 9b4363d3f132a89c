r"""Shards of a stored complex: Parquet files that tell which branches of the search they did and left open.

A shard has a row for each region:

=================== =================================== ==================================================
column              type                                meaning
=================== =================================== ==================================================
``pattern``         ``fixed_size_binary[units]``        the piece of every unit, one byte each
``interior_point``  ``fixed_size_list<double>[d]``      a point strictly inside
``facet_unit``      ``list<int32>``                     a unit that changes on the facet, or -(row + 1)
``facet_key``       ``list<uint64>``                    equal on the two sides of a facet, 0 on the boundary
``carrier``         ``list<int32>``                     (LP cells) what can carry facets, in place of them
``facet_row``       ``list<uint16>``                    (certificate) which row of the unit's piece it is
``evidence``        ``list<uint16>``                    (certificate) d facets for each row that they imply
=================== =================================== ==================================================

Its metadata under the key ``search`` is JSON: ``taken``, the branches that the shard started from; ``open``,
those that it left, each with the most regions in it; ``regions``, its number of rows. Shards appear under
their names only when they are whole, so what is open can be read off the shards that are there, and nothing
is lost or found twice when a run is killed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path as File
from typing import TYPE_CHECKING, BinaryIO
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from polytope.core.open_cells import Path
from polytope.core.result import SearchResult
from polytope.errors import CorruptFileError, SolverError
from polytope.ir.maps import IntArray
from polytope.ir.stored_files import too_long
from polytope.verify.entries import Search
from polytope.verify.footers import LARGEST_SEARCH, read_footer

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = 1 << 16  # regions in a shard at most
SHARD_BYTES = 1 << 26  # of a shard, about
SHARDS, LOCK = "regions", "writing.lock"  # the folder, and a file that its writer holds


@dataclass(frozen=True, eq=False)
class Evidence:
    """Proofs of cells, one after the other.

    Arguments:
        facet_row: for each facet, which of its owner's rows it is.
        offsets: ``[R + 1]`` into ``implied``.
        implied: for each row that needs evidence, in the order of the exact rows, the places of d facets.
    """

    facet_row: NDArray[np.uint16]
    offsets: IntArray
    implied: NDArray[np.uint16]


@dataclass(frozen=True)
class Frontier:
    """How far a search has come: regions of each shard, bound, and the open branches with their bounds."""

    rows: tuple[int, ...]
    upper: int
    open: tuple[tuple[Path, int], ...]

    @property
    def shards(self) -> int:
        """Number of shards."""
        return len(self.rows)

    @cached_property
    def regions(self) -> int:
        """Number of regions in them."""
        return sum(self.rows)

    @property
    def complete(self) -> bool:
        """Whether nothing is open."""
        return not self.open


def beginning(whole: int) -> Frontier:
    """A search in which the root is open, with so many regions at most."""
    return Frontier((), whole, (((), whole),))


def advanced(before: Frontier, *steps: Search) -> Frontier:
    """How far a search has come with further shards: each took some branches, left others, and found regions.

    Raises:
        KeyError: a branch that one took was not open.
    """
    still, upper, regions, rows = dict(before.open), before.upper, before.regions, [*before.rows]
    total = sum(still.values())
    for step in steps:
        known = {path: still.pop(path) for path in step.taken}
        total -= sum(known.values())
        for path, bound in step.open:
            total -= still.get(path, 0)
            still[path] = min(bound, known.get(path, bound))
            total += still[path]
        regions += step.regions
        rows.append(step.regions)
        upper = min(upper, regions + total)
    return Frontier(tuple(rows), upper, tuple(still.items()))


def row_bytes(units: int, d: int, walls: int, *, certificate: bool) -> int:
    """The bytes of a region in a shard, at most, up to a few for its facets.

    Arguments:
        walls: rows of the domain.
    """
    rows = units + walls
    return units + 8 * d + (2 * d if certificate else 4) * rows


def shard_of(
    found: SearchResult, taken: Sequence[Path], walls: int, evidence: Evidence | None = None
) -> bytes:
    """The shard of what was found from the branches ``taken``, with evidence for it where there is any.

    Arguments:
        walls: rows of the domain.

    Raises:
        SolverError: more branches are left than a shard can name.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    left = [*zip(found.open_cells, found.open_bounds, strict=True)]
    search = json.dumps({"taken": taken, "open": left, "regions": found.n_regions}).encode()
    if too_long(search, LARGEST_SEARCH):
        raise SolverError(
            f"The search left {len(left):,} branches of {sum(len(path) for path, _ in left):,} steps in all, "
            "more than a directory can name. Search a smaller domain."
        )
    table = _table(found, walls, evidence).replace_schema_metadata({"search": search})
    out = pa.BufferOutputStream()
    pq.write_table(table, out, compression="zstd" if evidence else "snappy", use_dictionary=False)
    return bytes(out.getvalue())


@contextmanager
def sole_writer(directory: File) -> Iterator[File]:
    """Be the only process that adds to a directory, made if need be, and remove what a killed one left.

    Yields:
        A mark: a file in the directory, by which workers can tell that they see the same one.

    Raises:
        ValueError: another process is adding to it.
    """
    from filelock import FileLock, Timeout

    (directory / SHARDS).mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(directory / LOCK).acquire(timeout=0)
    except Timeout as error:
        raise ValueError(f"Another process is writing into {directory}: wait until it has ended.") from error
    with lock:
        for leftover in (directory / SHARDS).glob("*.part"):
            leftover.unlink()
        mark = (directory / SHARDS / f"{uuid4().hex}.part").resolve()
        mark.touch()
        try:
            yield mark
        finally:
            mark.unlink(missing_ok=True)


def set_aside(mark: File, shard: bytes) -> File | None:
    """Write a shard beside the mark, to be added later; ``None`` if we do not see the mark or may not."""
    aside = mark.with_stem(uuid4().hex)
    try:
        if not mark.exists():
            return None
        with _named(aside):
            aside.write_bytes(shard)
    except PermissionError:
        return None
    return aside


def add_shard(directory: File, number: int, shard: bytes | File) -> None:
    """Add a shard, as bytes or set aside, to a directory, whole or not at all."""
    if isinstance(shard, File):
        with shard.open("rb") as file:
            os.fsync(file.fileno())
        shard.replace(shard_file(directory, number))
        return
    with whole_file(shard_file(directory, number)) as file:
        file.write(shard)


def frontier_of(directory: File, whole: int, columns: Mapping[str, pa.DataType]) -> Frontier:
    """How far a directory has come, read from the footers of its shards.

    Raises:
        CorruptFileError: a shard is missing, damaged, or not of this run.
    """
    steps: list[Search] = []
    still: set[Path] = {()}
    while (file := shard_file(directory, len(steps))).exists():
        step = read_footer(file, columns)
        if not still.issuperset(step.taken) or len({*step.taken}) < len(step.taken):
            raise CorruptFileError(f"{file} does not follow the shards before it.")
        still.difference_update(step.taken)
        still.update(path for path, _ in step.open)
        steps.append(step)
    if len(list((directory / SHARDS).glob("shard-*.parquet"))) != len(steps):
        raise CorruptFileError(f"{file} is missing, but later shards are there.")
    return advanced(beginning(whole), *steps)


def _table(found: SearchResult, walls: int, evidence: Evidence | None) -> pa.Table:
    """The regions of a shard as columns."""
    import pyarrow as pa

    units, d = found.patterns.shape[1], found.interior_points.shape[1]
    patterns = np.ascontiguousarray(found.patterns)
    columns = {
        "pattern": pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(units), len(patterns), [None, pa.py_buffer(patterns)]
        ),
        "interior_point": pa.FixedSizeListArray.from_arrays(pa.array(found.interior_points.ravel()), d),
    }
    if found.facets is None:
        carriers = found.candidates if found.candidates is not None else _anything(found, walls)
        ends = pa.array(np.cumsum([0, *map(len, carriers)], dtype=np.int32))
        flat = np.concatenate([np.zeros(0, np.int32), *carriers], dtype=np.int32)
        return pa.table(columns | {"carrier": pa.ListArray.from_arrays(ends, pa.array(flat))})
    offsets = pa.array(found.facets.offsets.astype(np.int32))
    columns["facet_unit"] = pa.ListArray.from_arrays(offsets, pa.array(found.facets.unit))
    columns["facet_key"] = pa.ListArray.from_arrays(offsets, pa.array(found.facets.key))
    if evidence is not None:
        columns["facet_row"] = pa.ListArray.from_arrays(offsets, pa.array(evidence.facet_row))
        places = pa.array(evidence.offsets.astype(np.int32))
        columns["evidence"] = pa.ListArray.from_arrays(places, pa.array(evidence.implied))
    return pa.table(columns)


def _anything(found: SearchResult, walls: int) -> list[IntArray]:
    """All units and all rows of the domain, of which any can carry a facet."""
    every = np.concatenate([-1 - np.arange(walls), np.arange(found.patterns.shape[1])])
    return [every] * found.n_regions


def shard_file(directory: File, number: int) -> File:
    """The file of a shard, counted from 0."""
    return directory / SHARDS / f"shard-{number:06d}.parquet"


@contextmanager
def whole_file(file: File) -> Iterator[BinaryIO]:
    """A file that appears under its name only when all of it is on the disk."""
    part = file.with_name(file.name + ".part")
    with _named(part):
        with part.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(file)


@contextmanager
def _named(part: File) -> Iterator[None]:
    """Remove a part of a file if it fails, and name it where the system does not, as when a disk is full."""
    try:
        yield
    except BaseException as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(part)
        raise

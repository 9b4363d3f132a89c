"""The footer of a shard, read before anything of it is unpacked: its columns, sizes, and what it searched."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from polytope.errors import CorruptFileError
from polytope.ir.stored_files import plain_file, unreadable
from polytope.verify.compact import Compact
from polytope.verify.entries import Search, read_search
from polytope.verify.schemas import check_footer

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

LARGEST_SHARD = 1 << 29
"""Bytes of a shard, as it is and unpacked: those that are written stop at an eighth of it."""
MOST_ROWS = 1 << 18
"""Regions of a shard: four times the 65,536 at which a batch ends."""
LARGEST_SEARCH = 1 << 25
"""Bytes of what a shard says of the search: three million steps of branches."""
LARGEST_FOOTER = 3 * LARGEST_SEARCH
"""Bytes of a footer, in which that stands twice, as it is and in base 64, beside the columns."""
MOST_VALUES = 1 << 14
"""Values of a footer: a shard of ours has some hundreds, and each can take a kilobyte once it is read."""
LEVELS = 8
"""Bytes of a value beside its own: where lists begin and end, and four that become two."""


def columns_of(units: int, d: int, *, engine_finds_facets: bool, certificate: bool) -> dict[str, pa.DataType]:
    """The columns of a shard with their types, in order."""
    import pyarrow as pa

    out = {"pattern": pa.binary(units), "interior_point": pa.list_(pa.float64(), d)}
    if not engine_finds_facets:
        return out | {"carrier": pa.list_(pa.int32())}
    out |= {"facet_unit": pa.list_(pa.int32()), "facet_key": pa.list_(pa.uint64())}
    if certificate:
        out |= {"facet_row": pa.list_(pa.uint16()), "evidence": pa.list_(pa.uint16())}
    return out


def read_footer(file: Path, columns: Mapping[str, pa.DataType]) -> Search:
    """What a shard says of the search, if its columns and sizes are those of a shard.

    Raises:
        CorruptFileError: they are not; the message says which.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    plain_file(file, LARGEST_SHARD)
    try:
        _check_itself(file)
        held = pq.read_metadata(file)
        schema = held.schema.to_arrow_schema()
    except (pa.ArrowException, ValueError, IndexError, MemoryError) as error:
        raise CorruptFileError(f"{file} cannot be read: its footer was changed.") from error
    except OSError as error:
        raise _refused(file, error) from error
    if (schema.names, schema.types) != ([*columns], [*columns.values()]):
        raise CorruptFileError(f"{file} has other columns than the shards of this run.")
    if held.num_rows > MOST_ROWS or not _unpacked(held, columns) <= LARGEST_SHARD:
        raise CorruptFileError(f"{file} unpacks to more than a shard can hold ({LARGEST_SHARD:,} bytes).")
    said = (held.metadata or {}).get(b"search")
    if said is not None and len(said) > LARGEST_SEARCH:
        raise CorruptFileError(
            f"{file} says more of the search than the {LARGEST_SEARCH:,} bytes that are read."
        )
    search = read_search(said, str(file))
    if search.regions != held.num_rows:
        raise CorruptFileError(f"{file} claims {search.regions:,} regions, not {held.num_rows:,}.")
    return search


def _check_itself(file: Path) -> None:
    """Refuse a footer of very many values, or one that contradicts itself, before objects are made of it."""
    with file.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(size - 8, 0))
        tail = stream.read(8)
        length = int.from_bytes(tail[:4], "little")
        if not tail.endswith(b"PAR1") or length > min(LARGEST_FOOTER, size - 8):
            raise CorruptFileError(f"{file} cannot be read: it is no shard, or was cut.")
        stream.seek(size - 8 - length)
        check_footer(Compact(stream.read(length), most=MOST_VALUES).struct())


def _unpacked(held: pq.FileMetaData, columns: Mapping[str, pa.DataType]) -> int:
    """The bytes of the pages, unpacked or not, or of the arrays made of them: of whichever are most."""
    sizes: list[int] = [getattr(kind, "value_type", kind).bit_width // 8 for kind in columns.values()]
    pages = arrays = int(held.num_rows) * 8 * len(sizes)  # where each list begins
    for group in map(held.row_group, range(held.num_row_groups)):
        for k, size in enumerate(sizes):
            part = group.column(k)
            pages += max(part.total_uncompressed_size, part.total_compressed_size, 0)
            arrays += max(part.num_values, group.num_rows, 0) * (size + LEVELS)
    return max(pages, arrays)


def _refused(file: Path, error: OSError) -> CorruptFileError:
    """What the system says, or that the file is damaged: pyarrow says both with one kind of error."""
    return (
        unreadable(file, error)
        if error.errno
        else CorruptFileError(f"{file} cannot be read: it was changed.")
    )

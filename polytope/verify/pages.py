"""The heads of a shard's pages, read before a page is unpacked: none may claim more than the footer does.

What reads a page makes room for as many bytes and values as its head says, whatever the footer says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from polytope.errors import CorruptFileError
from polytope.ir.stored_files import unreadable
from polytope.verify.compact import Compact

if TYPE_CHECKING:
    import pyarrow.parquet as pq

LONGEST_HEAD = 1 << 16
"""Bytes of the head of a page: with the statistics of its values, of 4 kB at most."""
FIRST_BYTES = 1 << 9
"""Bytes that hold most heads."""
MOST_PAGES = 1 << 12
"""Pages of a column: each of ours holds a megabyte, or 20,000 rows."""
DATA, DICTIONARY, DATA_2 = 0, 2, 3  # kinds of pages
HEADS = {DATA: 5, DICTIONARY: 7, DATA_2: 8}  # the field with what is said of such a page


class Page(NamedTuple):
    """What the head of a page claims: bytes as they are and once unpacked, and values."""

    kind: int
    stored: int
    unpacked: int
    values: int


def check_pages(file: Path, held: pq.FileMetaData, columns: Sequence[int]) -> None:
    """Refuse a shard in which a page of these columns claims more than the footer.

    Arguments:
        held: the footer.

    Raises:
        CorruptFileError: a page does, or has no head that can be read.
    """
    try:
        with file.open("rb") as stream:
            for group in map(held.row_group, range(held.num_row_groups)):
                for k in columns:
                    _check_chunk(stream, group.column(k), file)
    except OSError as error:
        raise unreadable(file, error) from error
    except (ValueError, IndexError) as error:
        raise CorruptFileError(f"{file} cannot be read: the head of a page was changed.") from error


def _check_chunk(stream: BinaryIO, chunk: pq.ColumnChunkMetaData, file: Path) -> None:
    """The pages of one column in one group of rows."""
    if not chunk.num_values:
        return  # no page is read
    unpacked = 0
    values = {DATA: 0, DICTIONARY: 0}
    for count, page in enumerate(_pages(stream, chunk)):
        unpacked += page.unpacked
        values[DICTIONARY if page.kind == DICTIONARY else DATA] += page.values
        if count >= MOST_PAGES or unpacked > chunk.total_uncompressed_size:
            raise CorruptFileError(
                f"{file}: the pages of a column are more, or larger, than its footer says."
            )
        if max(values.values()) > chunk.num_values:
            raise CorruptFileError(f"{file}: a page claims more values than the footer does.")


def _pages(stream: BinaryIO, chunk: pq.ColumnChunkMetaData) -> Iterator[Page]:
    """The heads of the pages of a column, from first to last."""
    first = chunk.data_page_offset
    if chunk.has_dictionary_page and 0 < chunk.dictionary_page_offset < first:
        first = chunk.dictionary_page_offset
    end = first + chunk.total_compressed_size
    if not 0 <= first <= end:
        raise ValueError("no place")
    while first < end:
        page, begins = _head(stream, first)
        yield page
        first = begins + page.stored
        if first > end:
            raise ValueError("beyond the end")


def _head(stream: BinaryIO, first: int) -> tuple[Page, int]:
    """The head of the page at a place, and where its values begin."""
    stream.seek(first)
    data = stream.read(FIRST_BYTES)
    try:
        read = Compact(data)
        fields = read.struct()
    except IndexError:
        read = Compact(data + stream.read(LONGEST_HEAD - FIRST_BYTES))
        fields = read.struct()
    kind, unpacked, stored = (_size(fields.get(number)) for number in (1, 2, 3))
    if kind not in HEADS:
        raise ValueError("no page of values")
    about = fields.get(HEADS[kind])
    if not isinstance(about, dict):
        raise ValueError("nothing is said of its values")
    return Page(kind, stored, unpacked, _size(about.get(1))), first + read.at


def _size(value: Any) -> int:
    """A number of bytes or values as the reader of pages counts them, in 32 bits."""
    if type(value) is not int or not 0 <= value < 1 << 31:
        raise ValueError("no size")
    return value

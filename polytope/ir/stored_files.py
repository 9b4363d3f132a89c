"""Files of results that may come from a stranger: plain ones of bearable size, JSON, and arrays.

Sizes are read before anything is unpacked, nothing is decompressed, and no object is built from a name in a
file. What a reader takes in memory is a small multiple of the file's own size.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from polytope.errors import CorruptFileError

LARGEST_JSON = 1 << 26
"""Bytes of a JSON text: the domain of a manifest with a box in 1,500 dimensions takes so many."""
MOST_ENTRIES, MOST_GROUPS = 1 << 23, 1 << 20
"""Entries and lists of a JSON text: so many take half a gigabyte once they are Python objects."""
LARGEST_ARCHIVE = 1 << 32
"""Bytes of a file of numbers: its arrays are read into as much memory, and no more."""
LARGEST_INDEX = 1 << 22
"""Bytes of the index of an archive: an entry of ours takes 60, and 65,535 fit without further records."""

Arrays = dict[str, NDArray[Any]]


def plain_file(file: Path, most: int) -> Path:
    """The file itself, if it is a plain one, no link, pipe or device, of so many bytes at most.

    Raises:
        CorruptFileError: it is not.
    """
    try:
        if file.is_symlink() or not file.is_file():
            raise CorruptFileError(f"{file} is missing, or not a plain file.")
        size = file.stat().st_size
    except OSError as error:
        raise unreadable(file, error) from error
    if size > most:
        raise CorruptFileError(f"{file} has {size:,} bytes; at most {most:,} are read.")
    return file


def unreadable(file: Path, error: OSError) -> CorruptFileError:
    """What the system says of a file."""
    return CorruptFileError(f"{file} cannot be read: {error.strerror or 'the system gives no reason'}.")


def content(file: Path, most: int) -> bytes:
    """The bytes of a plain file.

    Raises:
        CorruptFileError: there are more, or the system refuses.
    """
    try:
        return plain_file(file, most).read_bytes()
    except OSError as error:
        raise unreadable(file, error) from error


def parsed(text: bytes, what: str) -> Any:
    """The value of a JSON text in which no key is there twice.

    Arguments:
        what: names the text in messages.

    Raises:
        CorruptFileError: it is too long, too deep, or no JSON.
    """
    if too_long(text):
        raise CorruptFileError(
            f"{what} is too long: at most {MOST_ENTRIES:,} entries and {MOST_GROUPS:,} lists are read."
        )
    try:
        return json.loads(text, object_pairs_hook=_once)
    except RecursionError:
        raise CorruptFileError(f"{what} is nested too deeply.") from None
    except ValueError as error:
        raise CorruptFileError(f"{what} is no JSON that can be read: it was changed or cut.") from error


def too_long(text: bytes, most: int = LARGEST_JSON) -> bool:
    """Whether a JSON text has more than so many bytes, or more entries or lists than are read."""
    groups = text.count(b"[") + text.count(b"{")
    return len(text) > most or text.count(b",") > MOST_ENTRIES or groups > MOST_GROUPS


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """The entries of an object, if no key is there twice: readers would differ on which one counts."""
    held = dict(pairs)
    if len(held) < len(pairs):
        raise ValueError("a key is there twice")
    return held


def arrays_of(file: Path) -> Arrays:
    """The arrays of an archive as ``numpy.savez`` writes it: not compressed, of numbers only.

    Raises:
        CorruptFileError: it is none; the message says what is wrong.
    """
    plain_file(file, LARGEST_ARCHIVE)
    try:
        with file.open("rb") as stream:
            _check_index(stream, file)
            with ZipFile(stream) as archive:
                return _members(archive, file)
    except CorruptFileError:
        raise
    except MemoryError:
        raise CorruptFileError(f"{file} holds more than there is memory for.") from None
    except OSError as error:
        raise unreadable(file, error) from error
    except Exception as error:  # what parses headers raises kinds of its own
        raise CorruptFileError(f"{file} cannot be read: it is no archive of arrays, or was cut.") from error


def _check_index(stream: BinaryIO, file: Path) -> None:
    """Refuse an archive whose index is large, before it is read; ours end with a record of 22 bytes."""
    size = stream.seek(0, 2)
    stream.seek(max(size - 42, 0))
    tail = stream.read(42)
    locator, end = tail[:-22], tail[-22:]
    if not end.startswith(b"PK\x05\x06") or locator.startswith(b"PK\x06\x07"):
        raise CorruptFileError(f"{file} cannot be read: it is no archive of arrays, or was cut.")
    if int.from_bytes(end[12:16], "little") > LARGEST_INDEX:
        raise CorruptFileError(f"{file} lists more than an archive of arrays can hold.")
    stream.seek(0)


def _members(archive: ZipFile, file: Path) -> Arrays:
    """All arrays, once the sizes and the heads of all fit the file."""
    entries = archive.infolist()
    names = [entry.filename.removesuffix(".npy") for entry in entries]
    if len({*names}) < len(names) or any(name == e.filename for name, e in zip(names, entries, strict=True)):
        raise CorruptFileError(f"{file} holds something twice, or something that is no array.")
    if any(entry.compress_type != ZIP_STORED or entry.compress_size != entry.file_size for entry in entries):
        raise CorruptFileError(f"{file} is compressed; archives of networks are not.")
    if sum(entry.file_size for entry in entries) > file.stat().st_size:
        raise CorruptFileError(f"{file} claims more than it holds.")
    for entry in entries:
        _head(archive, entry, file)
    return {name: _array(archive, entry, file) for name, entry in zip(names, entries, strict=True)}


def _head(archive: ZipFile, entry: ZipInfo, file: Path) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Shape, order and type of an array, and where its numbers begin."""
    with archive.open(entry) as stream:
        version = npy.read_magic(stream)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(stream)
        begins = stream.tell()
    whole = all(type(n) is int and n >= 0 for n in shape)
    if dtype.kind not in "fiu" or dtype.itemsize > 8 or not whole:
        raise CorruptFileError(f"{file} holds an array that is not one of numbers.")
    if prod(shape) * dtype.itemsize != entry.file_size - begins:
        raise CorruptFileError(f"{file} holds an array whose shape is not that of its numbers.")
    return shape, bool(fortran), dtype, begins


def _array(archive: ZipFile, entry: ZipInfo, file: Path) -> NDArray[Any]:
    """One array, read piece by piece into the memory that it keeps."""
    shape, fortran, dtype, begins = _head(archive, entry, file)
    flat = np.empty(prod(shape), dtype)
    raw, at = flat.view(np.uint8), 0
    with archive.open(entry) as stream:
        stream.read(begins)
        while chunk := stream.read(1 << 20):
            raw[at : at + len(chunk)] = np.frombuffer(chunk, np.uint8)
            at += len(chunk)
    return flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)

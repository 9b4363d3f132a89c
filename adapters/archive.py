"""Zip archives from strangers: whatever is wrong with one ends in one error."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from polytope.errors import CorruptFileError

DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError)
"""What the standard library raises of an archive that it cannot open, or of an entry that it cannot read."""


@contextmanager
def opened(data: bytes, kind: str) -> Iterator[zipfile.ZipFile]:
    """The archive that the bytes are.

    Arguments:
        kind: what it should be, with its article.

    Raises:
        CorruptFileError: it cannot be opened, or an entry that is read meanwhile is damaged or encrypted.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if any(entry.flag_bits & 1 for entry in archive.infolist()):
                raise CorruptFileError("The archive is encrypted.")
            yield archive
    except DAMAGED as error:
        raise CorruptFileError(f"The archive is truncated or corrupt, or not {kind}.") from error

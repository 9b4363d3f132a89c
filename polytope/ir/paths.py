"""Paths that a caller names."""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path


def as_path(given: str | PathLike[str], name: str = "path") -> Path:
    """A path of the file system.

    Arguments:
        given: text or a path.
        name: of the argument, for the message.

    Raises:
        TypeError: it is neither.
        ValueError: it holds a character that no path can.
    """
    if not isinstance(given, str | PathLike):
        raise TypeError(
            f"{name}: the path of a file or a directory is expected, not a {type(given).__name__}."
        )
    if "\0" in str(fspath(given)):
        raise ValueError(f"{name}: {str(given)[:200]!r} holds a NUL character, which no path can.")
    return Path(given)

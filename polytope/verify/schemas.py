"""Whether a footer of Parquet agrees with itself: what reads it ends the whole process where it does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from polytope.verify.compact import DEEPEST

OPTIONAL, REPEATED = 1, 2  # of a field of the schema
Fields = dict[int, Any]  # of a structure, by their numbers in the format's definition


def check_footer(footer: Fields) -> None:
    """Refuse groups of rows that have other columns than the schema, or columns in other files.

    Raises:
        ValueError: there are some.
    """
    levels = [*_leaves(iter(_structures(footer.get(2))), 0, 0, 0)]
    for group in _structures(footer.get(4)):
        chunks = _structures(group.get(1))
        if len(chunks) != len(levels):
            raise ValueError("other columns")
        for chunk, most in zip(chunks, levels, strict=True):
            _check_chunk(chunk, most)


def _check_chunk(chunk: Fields, most: tuple[int, int]) -> None:
    """Refuse a column in another file, and counts of levels that it does not have."""
    about = chunk.get(3)
    if 1 in chunk or not isinstance(about, dict):
        raise ValueError("no column of this file")
    sizes = about.get(16, {})
    if not isinstance(sizes, dict):
        raise ValueError("no sizes")
    for number, level in zip((2, 3), most, strict=True):
        counts = sizes.get(number, [])
        if not (isinstance(counts, list) and len(counts) in (0, level + 1)):
            raise ValueError("other levels")


def _leaves(rest: Iterator[Fields], repeated: int, defined: int, depth: int) -> Iterator[tuple[int, int]]:
    """The levels of repetition and definition of the columns below the next field of a schema."""
    field = next(rest, None)
    if field is None or depth > DEEPEST:
        raise ValueError("a schema without end")
    kind, children = field.get(3, 0), field.get(5, 0)
    if depth:
        repeated, defined = repeated + (kind == REPEATED), defined + (kind in (OPTIONAL, REPEATED))
    if not (type(children) is int and children >= 0):
        raise ValueError("no number of children")
    if not children:
        yield repeated, defined
    for _ in range(children):
        yield from _leaves(rest, repeated, defined, depth + 1)


def _structures(values: Any) -> list[Fields]:
    """A list of structures."""
    if not (isinstance(values, list) and all(isinstance(value, dict) for value in values)):
        raise ValueError("no list of structures")
    return values

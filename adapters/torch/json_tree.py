"""JSON of unknown origin, read by what is expected at each place of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from polytope.errors import CorruptFileError


@dataclass(frozen=True)
class Tree:
    """A value and where it stands; whatever is not as expected ends in a CorruptFileError that says where."""

    value: Any
    place: str

    def __getitem__(self, key: str) -> Tree:
        """The entry of an object that must be there."""
        found = self.get(key)
        if found is None:
            raise CorruptFileError(f"{self.place} has no entry {key!r}.")
        return found

    def get(self, key: str) -> Tree | None:
        """The entry of an object, ``None`` where there is none, or null."""
        if not isinstance(self.value, dict):
            raise self.not_a("object")
        found = self.value.get(key)
        return None if found is None else Tree(found, f"{self.place}.{key}")

    def __iter__(self) -> Iterator[Tree]:
        if not isinstance(self.value, list):
            raise self.not_a("list")
        return (Tree(entry, f"{self.place}[{i}]") for i, entry in enumerate(self.value))

    def items(self) -> list[tuple[str, Tree]]:
        """Names and entries of an object."""
        if not isinstance(self.value, dict):
            raise self.not_a("object")
        return [(key, Tree(entry, f"{self.place}.{key}")) for key, entry in self.value.items()]

    def only(self) -> tuple[str, Tree]:
        """The one entry of an object, whose name says of what kind it is."""
        entries = self.items()
        if not entries:
            raise self.not_a("object with an entry")
        return entries[0]

    def whole(self) -> int:
        """A whole number."""
        if type(self.value) is not int:
            raise self.not_a("whole number")
        return self.value

    def text(self) -> str:
        """A text."""
        if not isinstance(self.value, str):
            raise self.not_a("text")
        return self.value

    def not_a(self, kind: str) -> CorruptFileError:
        """What to raise for a value of another kind."""
        return CorruptFileError(f"{self.place} is {str(self.value)[:60]!r}, not a {kind}.")


def parsed(data: bytes, name: str) -> Tree:
    """The JSON in some bytes.

    Raises:
        CorruptFileError: they are no JSON, or nest too deeply.
    """
    try:
        return Tree(json.loads(data), name)
    except (ValueError, RecursionError) as error:
        raise CorruptFileError(f"{name} is no JSON ({error}).") from error

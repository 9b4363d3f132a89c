"""Thrift's compact protocol, read and written with the kind of every value: for tests that change shards.

A value is an int, bytes, a list ``[kind, values]``, or a structure, ``[[number, kind, value], ...]``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)


class Read:
    """Values of bytes, one after the other."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data, self.at = data, at

    def take(self, size: int) -> bytes:
        """The next bytes."""
        self.at += size
        return self.data[self.at - size : self.at]

    def unsigned(self) -> int:
        """A number, seven bits a byte."""
        out = shift = 0
        while True:
            byte = self.take(1)[0]
            out |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return out

    def signed(self) -> int:
        """A number whose last bit is its sign."""
        number = self.unsigned()
        return (number >> 1) ^ -(number & 1)

    def value(self, kind: int) -> Any:
        """A value of a kind."""
        if kind in (I16, I32, I64):
            return self.signed()
        if kind == STRUCT:
            return self.struct()
        if kind == LIST:
            head = self.take(1)[0]
            size = self.unsigned() if head >> 4 == 15 else head >> 4
            return [head & 15, [self.value(head & 15) for _ in range(size)]]
        return self.take({BYTE: 1, DOUBLE: 8, TRUE: 1, FALSE: 1}.get(kind) or self.unsigned())

    def struct(self) -> list[list[Any]]:
        """A structure."""
        out: list[list[Any]] = []
        number = 0
        while head := self.take(1)[0]:
            number = number + (head >> 4) if head >> 4 else self.signed()
            kind = head & 15
            out.append([number, kind, b"" if kind in (TRUE, FALSE) else self.value(kind)])
        return out


def unsigned(number: int) -> bytes:
    """The bytes of a number, seven bits each."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out) + bytes([number])


def signed(number: int) -> bytes:
    """The bytes of a number whose last bit is its sign."""
    return unsigned((number << 1 ^ number >> 63) & (1 << 64) - 1)


def written(kind: int, value: Any) -> bytes:
    """The bytes of a value."""
    if kind in (I16, I32, I64):
        return signed(value)
    if kind == STRUCT:
        return b"".join(bytes([k]) + signed(n) + written(k, v) for n, k, v in value) + b"\0"
    if kind == LIST:
        inner, values = value
        return bytes([240 | inner]) + unsigned(len(values)) + b"".join(written(inner, v) for v in values)
    return (unsigned(len(value)) if kind == BINARY else b"") + bytes(value)


def field(struct: list[list[Any]], number: int) -> list[Any]:
    """A field of a structure, to be changed."""
    return next(entry for entry in struct if entry[0] == number)


def numbers(value: Any, kind: int = STRUCT) -> Iterator[list[Any]]:
    """All fields with whole numbers in a structure, to be changed."""
    if kind == STRUCT:
        for entry in value:
            if entry[1] in (I16, I32, I64):
                yield entry
            elif entry[1] in (STRUCT, LIST):
                yield from numbers(entry[2], entry[1])
    elif kind == LIST:
        for inner in value[1]:
            yield from numbers(inner, value[0])

"""Values in Thrift's compact protocol, in which Parquet writes its footers and the heads of its pages."""

from __future__ import annotations

from typing import Any

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)
DEEPEST = 20
"""Structures inside one another: those of Parquet lie five deep."""
LONGEST = 10
"""Bytes of a whole number: seven bits in each."""


class Compact:
    """Values one after the other: structures as dicts by the number of the field, texts by their length.

    Arguments:
        data: bytes of which the first ones are read.
        at: where to begin.
        most: values that are read at most; the work is a small multiple of it.
    """

    def __init__(self, data: bytes, at: int = 0, most: int = 1 << 12) -> None:
        self.data, self.at, self.most = data, at, most
        self.depth = 0

    def struct(self) -> dict[int, Any]:
        """A structure; its fields stand in order, so that none is there twice.

        Raises:
            ValueError: there is none.
            IndexError: the bytes end before it does.
        """
        self._deeper()
        out: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            self._count(1)
            kind, step = head & 15, head >> 4
            after = number + step if step else self._signed()
            if not number < after < 1 << 15:
                raise ValueError("fields out of order")
            number = after
            out[number] = kind == TRUE if kind in (TRUE, FALSE) else self._value(kind)
        self.depth -= 1
        return out

    def _value(self, kind: int) -> Any:
        if kind in (I16, I32, I64):
            return self._signed()
        if kind == STRUCT:
            return self.struct()
        if kind in (LIST, SET):
            return self._list()
        if kind == MAP:
            return self._map()
        sizes = {TRUE: 1, FALSE: 1, BYTE: 1, DOUBLE: 8}
        if kind not in sizes and kind != BINARY:
            raise ValueError("no kind of value")
        return self._skip(self._unsigned() if kind == BINARY else sizes[kind])

    def _list(self) -> list[Any]:
        head = self._byte()
        size = self._unsigned() if head >> 4 == 15 else head >> 4
        return self._several([head & 15] * self._count(size))

    def _map(self) -> list[Any]:
        size = self._unsigned()
        kinds = self._byte() if size else 0
        return self._several([kinds >> 4, kinds & 15] * (self._count(2 * size) // 2))

    def _several(self, kinds: list[int]) -> list[Any]:
        self._deeper()
        out = [self._value(kind) for kind in kinds]
        self.depth -= 1
        return out

    def _skip(self, size: int) -> int:
        self.at += size
        if self.at > len(self.data):
            raise IndexError("cut")
        return size

    def _byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def _unsigned(self) -> int:
        out = 0
        for k in range(LONGEST):
            byte = self._byte()
            out |= (byte & 127) << 7 * k
            if byte < 128:
                return out
        raise ValueError("a number that does not end")

    def _signed(self) -> int:
        number = self._unsigned()
        return (number >> 1) ^ -(number & 1)

    def _count(self, values: int) -> int:
        self.most -= values
        if self.most < 0:
            raise ValueError("more values than are read")
        return values

    def _deeper(self) -> None:
        self.depth += 1
        if self.depth > DEEPEST:
            raise ValueError("nested too deeply")

"""Shards whose footers and heads of pages lie: larger than they are, endless, of other kinds, without end."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tests.mutated_directories import reseal_shards, shard_of
from tests.thrift_compact import I32, STRUCT, Read, field, numbers, unsigned, written

LIES = (-1, 0, 1, 7, 2**16, 2**20, 2**24, 2**28, 2**30, 2**31 - 1, 2**31, 2**40, 2**62, -(2**31))
CODECS = {"snappy": 1, "gzip": 2, "brotli": 4, "zstd": 6}
SIZES = (2**12, 2**20, 2**26, 2**30)
Fields = list[list[Any]]


class Shard:
    """A shard in pieces: the footer, and for each column the heads of its pages with their bytes."""

    def __init__(self, file: Path) -> None:
        self.file, data = file, file.read_bytes()
        length = int.from_bytes(data[-8:-4], "little")
        self.footer = Read(data, len(data) - 8 - length).struct()
        self.columns = [self._pages(data, chunk) for chunk in self.chunks()]

    def groups(self) -> list[Any]:
        """The groups of rows, as a list with its kind."""
        return list(field(self.footer, 4)[2])

    def chunks(self) -> list[Fields]:
        """What the footer says of each column."""
        return [field(chunk, 3)[2] for group in self.groups()[1] for chunk in field(group, 1)[2][1]]

    def _pages(self, data: bytes, chunk: Fields) -> list[list[Any]]:
        offsets = [entry[2] for entry in chunk if entry[0] in (9, 11)]
        at, end, out = min(offsets), min(offsets) + field(chunk, 7)[2], []
        while at < end:
            read = Read(data, at)
            head = read.struct()
            out.append([head, read.take(field(head, 3)[2])])
            at = read.at
        return out

    def place(self) -> bytes:
        """The pages, and in the footer where they are now."""
        out = bytearray(b"PAR1")
        for chunk, pages in zip(self.chunks(), self.columns, strict=True):
            begins, first = len(out), field(chunk, 9)
            chunk[:] = [entry for entry in chunk if entry[0] != 11]
            for head, data in pages:
                if field(head, 1)[2] == 2:
                    chunk.insert(chunk.index(first) + 1, [11, first[1], len(out)])
                out += written(STRUCT, head) + data
            dictionary = pages and field(pages[0][0], 1)[2] == 2
            first[2] = begins + (len(written(STRUCT, pages[0][0]) + pages[0][1]) if dictionary else 0)
            field(chunk, 7)[2] = len(out) - begins
        return bytes(out)

    def save(self, pages: bytes) -> None:
        """The file."""
        footer = written(STRUCT, self.footer)
        self.file.write_bytes(pages + footer + len(footer).to_bytes(4, "little") + b"PAR1")


def some(rng: np.random.Generator, options: Any) -> Any:
    """One of them."""
    options = list(options)
    return options[int(rng.integers(len(options)))]


def pages(run: Path, rng: np.random.Generator) -> None:
    """Heads of pages: other numbers, bombs, values that take no bytes, very many pages."""
    shard = Shard(shard_of(run, rng))
    place = int(rng.integers(len(shard.columns)))
    column, chunk = shard.columns[place], shard.chunks()[place]
    some(rng, [lie, lie, bomb, endless, repeat, retype])(column, chunk, rng)
    shard.save(shard.place())
    reseal_shards(run)


def footers(run: Path, rng: np.random.Generator) -> None:
    """Footers: other numbers, very many groups of rows or columns, columns in the place of others."""
    shard = Shard(shard_of(run, rng))
    data, way = shard.place(), int(rng.integers(5))
    if way == 0:
        groups = shard.groups()[1]
        groups *= int(some(rng, [2, 300, 30_000]))
        field(shard.footer, 3)[2] *= int(some(rng, [1, len(groups)]))
    elif way == 1:
        group = shard.groups()[1][0]
        field(group, 1)[2][1] = field(group, 1)[2][1] * int(some(rng, [2, 300, 30_000]))
    elif way == 2:
        one, other = (some(rng, shard.chunks()) for _ in range(2))
        one[:] = deepcopy(other)
    else:
        for _ in range(int(rng.integers(1, 4))):
            some(rng, numbers(shard.footer))[2] = some(rng, LIES)
    shard.save(data)
    reseal_shards(run)


def lie(column: list[list[Any]], chunk: Fields, rng: np.random.Generator) -> None:
    """Another number in the head of a page, and perhaps as large ones in the footer."""
    head, _ = some(rng, column)
    some(rng, numbers(head))[2] = value = some(rng, LIES)
    if rng.random() < 0.3:
        field(chunk, int(some(rng, [5, 6])))[2] = value


def bomb(column: list[list[Any]], chunk: Fields, rng: np.random.Generator) -> None:
    """A page that unpacks to more than its column."""
    name, size = some(rng, CODECS), int(some(rng, SIZES))
    packed = pa.compress(bytes(size), name, asbytes=True)
    held = some(rng, column)
    held[1] = packed
    field(chunk, 4)[2] = CODECS[name]
    field(held[0], 3)[2] = len(packed)
    field(held[0], 2)[2] = size if rng.random() < 0.7 else field(held[0], 2)[2]
    if rng.random() < 0.4:
        field(chunk, 6)[2] = size


def endless(column: list[list[Any]], chunk: Fields, rng: np.random.Generator) -> None:
    """A page of very many values that take no bytes: one entry of a dictionary, again and again."""
    count = int(some(rng, SIZES)) * int(some(rng, [1, 2])) - 1
    levels, long = bytearray(), unsigned(count << 1)
    for _ in range(int(rng.integers(3))):  # where the lists begin, and what is there
        levels += len(long + b"\1").to_bytes(4, "little") + long + b"\1"
    data = bytes(levels) + b"\0" + long
    one = bytes(8)
    page: Fields = [[1, I32, 0], [2, I32, len(data)], [3, I32, len(data)]]
    page.append([5, STRUCT, [[1, I32, count], [2, I32, 8], [3, I32, 3], [4, I32, 3]]])
    first: Fields = [[1, I32, 2], [2, I32, len(one)], [3, I32, len(one)]]
    first.append([7, STRUCT, [[1, I32, 1], [2, I32, 0]]])
    column[:] = [[first, one], [page, data]]
    field(chunk, 4)[2] = 0
    field(chunk, 2)[2] = [I32, [0, 3, 8]]
    if rng.random() < 0.5:
        field(chunk, 5)[2] = count
    field(chunk, 6)[2] = max(field(chunk, 6)[2], 1000)


def repeat(column: list[list[Any]], chunk: Fields, rng: np.random.Generator) -> None:
    """The same pages again and again, or none."""
    times = int(some(rng, [0, 2, 100, 20_000]))
    column *= times
    if rng.random() < 0.5:
        for number in (5, 6):
            field(chunk, number)[2] *= max(times, 1)


def retype(column: list[list[Any]], chunk: Fields, rng: np.random.Generator) -> None:
    """Another kind of page, of encoding, or of compression."""
    head, _ = some(rng, column)
    kind = int(some(rng, [0, 1, 2, 3, 4, 9]))
    if rng.random() < 0.4:
        field(head, 1)[2] = kind
    elif rng.random() < 0.5:
        field(chunk, 4)[2] = int(some(rng, range(9)))
    else:
        about = next(entry[2] for entry in head if entry[1] == STRUCT)
        some(rng, numbers(about))[2] = int(some(rng, range(11)))

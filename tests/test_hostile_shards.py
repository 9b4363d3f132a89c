"""Shards whose pages and footers claim more than there is: refused before anything of that size is made."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from polytope import load_complex
from polytope.errors import CorruptFileError
from tests.guarded_readers import Reader
from tests.mutated_directories import reseal
from tests.mutated_shards import CODECS, Fields, Shard, endless
from tests.stored_runs import RUNS
from tests.thrift_compact import I32, STRUCT, field

LARGE = 2**31 - 1
Change = Callable[[Shard], object]


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate."""
    folder = tmp_path_factory.mktemp("runs") / "sealed"
    RUNS["sealed"].write(folder)
    return folder


def changed(sealed: Path, tmp_path: Path, change: Change) -> Path:
    """A copy whose second shard was changed, with hashes that fit."""
    run = Path(shutil.copytree(sealed, tmp_path / "run"))
    shard = Shard(run / "regions" / "shard-000001.parquet")
    change(shard)
    shard.save(shard.place())
    reseal(run)
    return run


def page(shard: Shard, column: int) -> tuple[Fields, Fields]:
    """The head of the last page of a column, and what the footer says of the column."""
    return shard.columns[column][-1][0], shard.chunks()[column]


def more_values(shard: Shard) -> None:
    head, _ = page(shard, 2)
    field(field(head, 5)[2], 1)[2] = LARGE


def more_values_in_both(shard: Shard) -> None:
    head, chunk = page(shard, 2)
    field(field(head, 5)[2], 1)[2] = field(chunk, 5)[2] = LARGE


def larger(shard: Shard) -> None:
    field(page(shard, 2)[0], 2)[2] = LARGE


def larger_in_both(shard: Shard) -> None:
    head, chunk = page(shard, 2)
    field(head, 2)[2] = field(chunk, 6)[2] = LARGE


def bomb(shard: Shard) -> None:
    """A gigabyte of zeros."""
    size = 1 << 30
    packed = pa.compress(bytes(size), "zstd", asbytes=True)
    head, chunk = page(shard, 3)
    shard.columns[3][-1][1] = packed
    field(head, 2)[2], field(head, 3)[2], field(chunk, 4)[2] = size, len(packed), CODECS["zstd"]


def values_without_bytes(shard: Shard) -> None:
    chunk = shard.chunks()[2]
    count = field(chunk, 5)[2]
    endless(shard.columns[2], chunk, np.random.default_rng(3))
    field(chunk, 5)[2] = count


def many_pages(shard: Shard) -> None:
    head, chunk = page(shard, 3)
    field(field(head, 5)[2], 1)[2] = 0
    shard.columns[3] *= 10_000
    field(chunk, 6)[2] = 1 << 24


def a_column_of_another(shard: Shard) -> None:
    """What is said of the sizes of one column is not of another: pyarrow would end the process."""
    one, other = (page(shard, column)[1] for column in (0, 2))
    one[:] = [entry for entry in one if entry[0] != 16] + [field(other, 16)]


def a_column_less(shard: Shard) -> None:
    field(shard.groups()[1][0], 1)[2][1].pop()
    shard.columns.pop()


def in_another_file(shard: Shard) -> None:
    field(shard.groups()[1][0], 1)[2][1][1].insert(0, [1, 8, b"/etc/passwd"])


def no_page(shard: Shard) -> None:
    field(page(shard, 1)[0], 1)[2] = 1


def a_page_that_ends_elsewhere(shard: Shard) -> None:
    shard.columns[1].append([[[1, I32, 0], [2, I32, 9], [3, I32, 99], [5, STRUCT, [[1, I32, 0]]]], b"cut"])


CHANGES: dict[Change, str] = {
    more_values: "more values than the footer",
    more_values_in_both: "unpacks to more",
    larger: "larger, than its footer says",
    larger_in_both: "unpacks to more",
    bomb: "larger, than its footer says",
    values_without_bytes: "more values than the footer",
    many_pages: "the pages of a column are more",
    a_column_of_another: "its footer was changed",
    a_column_less: "its footer was changed",
    in_another_file: "its footer was changed",
    no_page: "the head of a page was changed",
    a_page_that_ends_elsewhere: "cannot be read",
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_what_a_shard_claims_is_checked_first(
    sealed: Path, read: Reader, change: Change, tmp_path: Path
) -> None:
    run = changed(sealed, tmp_path, change)
    for verb in ("load", "verify"):
        found = read(verb, run)
        assert found.fault() == ""
        assert found.bytes < 1 << 26
        assert CHANGES[change] in found.message


def test_a_footer_of_very_many_values(sealed: Path, read: Reader, tmp_path: Path) -> None:
    """Each group of rows would take some kilobytes."""
    run = changed(sealed, tmp_path, lambda shard: None)
    shard = Shard(run / "regions" / "shard-000001.parquet")
    data = shard.place()
    field(shard.footer, 4)[2][1] *= 5_000
    shard.save(data)
    reseal(run)
    found = read("load", run)
    assert (found.kind, found.fault()) == ("CorruptFileError", "")
    assert found.bytes < 1 << 26


def test_what_was_not_changed_is_read(sealed: Path, tmp_path: Path) -> None:
    run = changed(sealed, tmp_path, lambda shard: None)
    assert len(load_complex(run).patterns) == 63


def test_what_is_read_later_is_checked_later(sealed: Path, tmp_path: Path) -> None:
    held = load_complex(changed(sealed, tmp_path, larger))
    assert len(held.patterns) == 63
    with pytest.raises(CorruptFileError, match="than its footer says"):
        _ = held.facets

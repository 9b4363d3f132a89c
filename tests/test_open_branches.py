"""Branches that a run left: foreign ones are refused, long ones go in batches that a shard can name."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from polytope import LayerSplit, enumerate_regions, load_complex
from polytope.errors import CorruptFileError, SolverError
from polytope.regions import saving, shards
from polytope.runs import batches
from tests.run_cases import case

CELLS = ("vertices", "lp")


def leave(run: Path, left: object) -> None:
    """Let the last shard of a run leave other branches."""
    shard = sorted(run.rglob("shard-*.parquet"))[-1]
    table = pq.read_table(shard)
    search = json.loads(table.schema.metadata[b"search"]) | {"open": left}
    pq.write_table(table.replace_schema_metadata({"search": json.dumps(search)}), shard)


@pytest.mark.parametrize("cells", CELLS)
@pytest.mark.parametrize("branch", [[5], [2**31 - 1, 2**31], [0] * 50, [1, 2, 3, 4, 5, 6, 7]])
def test_foreign_branches_are_refused(cells: str, branch: list[int], tmp_path: Path) -> None:
    """They are well-formed, so that who loads the directory sees no more than that it is not complete."""
    engine = LayerSplit(cells)
    enumerate_regions(*case(), engine, directory=tmp_path, max_regions=50)
    leave(tmp_path, [[branch, 700]])
    assert not load_complex(tmp_path).complete
    with pytest.raises(CorruptFileError, match="a branch that its shards left is not one of this network"):
        enumerate_regions(*case(), engine, directory=tmp_path, resume=True)


@pytest.mark.parametrize("cells", CELLS)
def test_batches_that_a_shard_can_name(cells: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "STEPS", 12)
    monkeypatch.setattr(batches, "ROWS", 40)
    found = enumerate_regions(*case(), LayerSplit(cells), directory=tmp_path)
    assert (len(found), found.complete) == (676, True)
    for shard in tmp_path.rglob("shard-*.parquet"):
        taken = json.loads(pq.read_metadata(shard).metadata[b"search"])["taken"]
        assert len(taken) == 1 or sum(len(path) + 1 for path in taken) <= 12


def test_what_no_shard_can_name_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader would refuse it, and the run would be lost."""
    part = enumerate_regions(*case(), directory=tmp_path, max_regions=50)
    monkeypatch.setattr(shards, "LARGEST_SEARCH", 200)
    with pytest.raises(SolverError, match="more than a directory can name"):
        enumerate_regions(*case(), directory=tmp_path, resume=True, max_regions=50)
    monkeypatch.undo()
    assert len(load_complex(tmp_path)) == len(part)
    assert len(enumerate_regions(*case(), directory=tmp_path, resume=True)) == 676


@pytest.mark.parametrize("most", [None, 300])
@pytest.mark.parametrize("cells", CELLS)
def test_many_regions_are_saved_in_several_shards(
    cells: str, most: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader takes a bounded number of each."""
    monkeypatch.setattr(saving, "ROWS", 100)
    found = enumerate_regions(*case(), LayerSplit(cells), max_regions=most)
    found.save(tmp_path)
    held = load_complex(tmp_path)
    assert held.found.frontier.rows == tuple(min(100, len(found) - k) for k in range(0, len(found), 100))
    assert (held.patterns == found.patterns).all()
    assert (held.interior_points == found.interior_points).all()
    assert held.complete == found.complete
    assert found.upper <= held.upper
    if found.complete:
        edges = [sorted(map(tuple, each.neighbours.tolist())) for each in (held, found)]
        assert edges[0] == edges[1]
    else:
        done = enumerate_regions(*case(), LayerSplit(cells), directory=tmp_path, resume=True)
        assert (len(done), done.complete) == (676, True)


def test_a_save_that_was_broken_off_does_not_pass_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving, "ROWS", 100)
    enumerate_regions(*case()).save(tmp_path)
    (tmp_path / "regions" / "shard-000000.parquet").unlink()  # which is written last
    with pytest.raises(CorruptFileError, match="later shards are there"):
        load_complex(tmp_path)


def test_shards_of_nobody_are_not_taken_over(tmp_path: Path) -> None:
    """A run begun among the shards of another, whose manifest is lost, would count them as its own."""
    enumerate_regions(*case(), directory=tmp_path)
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(ValueError, match="shards without a manifest"):
        enumerate_regions(*case(), directory=tmp_path)

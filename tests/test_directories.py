"""Complexes in directories: what shards hold, budgets, resuming, and damage that is noticed."""

from __future__ import annotations

import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polytope import (
    LayerSplit,
    Polyhedron,
    Sampling,
    count_regions,
    enumerate_regions,
    load_complex,
)
from polytope.engines.vertex_search import VertexSearch
from polytope.errors import CorruptFileError, IncompleteComplexError
from polytope.ir.archive import fingerprint, from_arrays, to_arrays
from polytope.regions.shards import sole_writer
from polytope.runs import batches
from polytope.runs.batches import Share, run_batch
from tests.networks import NETWORKS, seeded, unit_box_of
from tests.run_cases import CASE, case

LP = LayerSplit(cells="lp")


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards of at most fifty regions."""
    monkeypatch.setattr(batches, "ROWS", 50)


def named(patterns: np.ndarray, pairs: np.ndarray) -> set[frozenset[bytes]]:
    names = [p.tobytes() for p in patterns]
    return {frozenset((names[i], names[j])) for i, j in pairs.tolist()}


@pytest.fixture
def run(tmp_path: Path, small_batches: None) -> Path:
    network, box = case()
    enumerate_regions(network, box, directory=tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", NETWORKS)
def test_an_archive_is_the_network(name: str) -> None:
    network = NETWORKS[name]()
    again = from_arrays(to_arrays(network))
    x = np.random.default_rng(0).standard_normal((20, network.input_dim))
    assert fingerprint(again) == fingerprint(network)
    assert (again(x) == network(x)).all()
    assert (again.pattern(x) == network.pattern(x)).all()


@pytest.mark.usefixtures("small_batches")
def test_shards_hold_the_complex(tmp_path: Path) -> None:
    network, box = case()
    expected = enumerate_regions(network, box)
    stored = enumerate_regions(network, box, directory=tmp_path / "run")
    assert len(list((tmp_path / "run").rglob("shard-*.parquet"))) > 10
    assert stored.complete
    assert (stored.lower, stored.upper, len(stored)) == (len(expected),) * 3
    assert named(stored.patterns, stored.neighbours) == named(expected.patterns, expected.neighbours)
    assert sorted(stored.facets.unit.tolist()) == sorted(expected.facets.unit.tolist())
    assert (stored.locate(stored.interior_points) == np.arange(len(stored))).all()
    assert stored.volumes().sum() == pytest.approx(8.0, rel=1e-9)
    table = pq.read_table(tmp_path / "run" / "regions")
    assert set(table.column_names) == {"pattern", "interior_point", "facet_unit", "facet_key"}
    assert table.num_rows == len(expected)


@pytest.mark.usefixtures("small_batches")
def test_budgets_and_resuming(tmp_path: Path) -> None:
    network, box = case()
    expected = enumerate_regions(network, box)
    uppers, runs = [], 0
    part = enumerate_regions(network, box, directory=tmp_path, max_regions=100)
    while not part.complete:
        assert len(part) == 100 * (runs + 1)
        assert part.lower <= len(expected) <= part.upper
        with pytest.raises(IncompleteComplexError):
            part.require_complete("A volume")
        uppers.append(part.upper)
        runs += 1
        part = enumerate_regions(network, box, directory=tmp_path, max_regions=100, resume=True)
    assert runs == 6
    assert uppers == sorted(uppers, reverse=True)
    assert {p.tobytes() for p in part.patterns} == {p.tobytes() for p in expected.patterns}
    assert len(part) == len(expected)
    again = enumerate_regions(network, box, directory=tmp_path, resume=True)
    assert len(again) == len(expected)


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("name", NETWORKS)
def test_lp_cells_are_stored_and_resumed(name: str, tmp_path: Path) -> None:
    """For every kind of activation: piece by piece the same regions, facets and neighbours as in one."""
    network = NETWORKS[name]()
    box = Polyhedron.box(*unit_box_of(network))
    expected = enumerate_regions(network, box, LP, max_regions=60)
    if not expected.complete:
        pytest.skip("more regions than this test needs")
    part = enumerate_regions(network, box, LP, directory=tmp_path, max_regions=15)
    bounds = [part.upper]
    while not part.complete:
        assert part.lower <= len(expected) <= part.upper
        part = enumerate_regions(network, box, LP, directory=tmp_path, max_regions=15, resume=True)
        bounds.append(part.upper)
    assert bounds == sorted(bounds, reverse=True)
    assert len(part) == len(expected)
    assert named(part.patterns, part.neighbours) == named(expected.patterns, expected.neighbours)
    assert sorted(part.facets.unit.tolist()) == sorted(expected.facets.unit.tolist())
    assert set(pq.read_table(tmp_path / "regions").column_names) == {"pattern", "interior_point", "carrier"}


def test_lp_cells_go_to_executors() -> None:
    """Eight dimensions, in slices of at most fifty regions: counted and enumerated by three threads."""
    network = seeded(0, 8, 8, 4, 1)
    box = Polyhedron.box([-1] * 8, [1] * 8)
    expected = enumerate_regions(network, box)
    assert "simplex" in expected.engine
    with ThreadPoolExecutor(3) as threads:
        found = enumerate_regions(network, box, executor=threads)
        assert count_regions(network, box, executor=threads).lower == len(expected)
        part = count_regions(network, box, executor=threads, max_regions=70)
        assert (part.lower, part.complete, part.engine) == (70, False, expected.engine)
        assert part.upper >= len(expected)
    assert {p.tobytes() for p in found.patterns} == {p.tobytes() for p in expected.patterns}
    assert (found.complete, len(found)) == (True, len(expected))


def test_only_the_same_run_is_resumed(tmp_path: Path) -> None:
    network, box = case()
    with pytest.raises(ValueError, match="no complex"):
        enumerate_regions(network, box, directory=tmp_path, resume=True)
    with pytest.raises(ValueError, match="without a directory"):
        enumerate_regions(network, box, resume=True)
    enumerate_regions(network, box, directory=tmp_path, max_regions=10)
    with pytest.raises(ValueError, match="already"):
        enumerate_regions(network, box, directory=tmp_path)
    with pytest.raises(ValueError, match="another network"):
        enumerate_regions(seeded(1, *CASE[1:]), box, directory=tmp_path, resume=True)
    with pytest.raises(ValueError, match="another domain"):
        enumerate_regions(network, Polyhedron.box([-1] * 3, [2] * 3), directory=tmp_path, resume=True)
    affine = seeded(0, 2, 1)
    with pytest.raises(ValueError, match="is affine"):
        enumerate_regions(affine, Polyhedron.box([0, 0], [1, 1]), directory=tmp_path / "affine")
    with pytest.raises(ValueError, match="begun with layer split, vertex cells"):
        enumerate_regions(network, box, LP, directory=tmp_path, resume=True)
    for engine in (LayerSplit("lp", 1, "highs"), Sampling(10)):
        with pytest.raises(ValueError, match="LayerSplit on a bounded domain"):
            enumerate_regions(network, box, engine, directory=tmp_path / "other")
    with pytest.raises(ValueError, match="vertex cells"):
        enumerate_regions(network, box, LP, directory=tmp_path / "other", certificate=True)


def test_a_lost_neighbour_is_noticed(run: Path) -> None:
    """One facet's key is changed: in a complete complex it then has no neighbour."""
    shard = run / "regions" / "shard-000002.parquet"
    table = pq.read_table(shard)
    keys = table["facet_key"].to_pylist()
    inner = next(i for i, own in enumerate(keys) if own[0])
    keys[inner][0] ^= 2
    place = table.column_names.index("facet_key")
    pq.write_table(
        table.set_column(place, "facet_key", pa.array(keys, pa.list_(pa.uint64()))),
        shard,
        use_dictionary=False,
    )
    assert load_complex(run).complete
    with pytest.raises(CorruptFileError, match="no single neighbour"):
        _ = load_complex(run).neighbours


def test_a_missing_shard_is_noticed(run: Path) -> None:
    (run / "regions" / "shard-000004.parquet").unlink()
    with pytest.raises(CorruptFileError, match="missing"):
        load_complex(run)


def test_a_lost_tail_is_not_complete(run: Path) -> None:
    shards = sorted(run.rglob("shard-*.parquet"))
    shards[-1].unlink()
    part = load_complex(run)
    assert not part.complete
    assert part.upper >= 676
    assert len(enumerate_regions(*case(), directory=run, resume=True)) == 676


def test_shards_out_of_order_are_noticed(run: Path) -> None:
    one, two = run / "regions" / "shard-000001.parquet", run / "regions" / "shard-000006.parquet"
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    with pytest.raises(CorruptFileError, match="does not follow"):
        load_complex(run)


@pytest.mark.parametrize("name", ["manifest.json", "network.npz", "regions/shard-000003.parquet"])
def test_truncated_files_are_noticed(run: Path, name: str) -> None:
    (run / name).write_bytes((run / name).read_bytes()[:-40])
    with pytest.raises(CorruptFileError):
        load_complex(run)


def test_another_network_in_the_directory_is_noticed(run: Path) -> None:
    np.savez(run / "network.npz", **to_arrays(seeded(1, *CASE[1:])))
    with pytest.raises(CorruptFileError, match="not the network"):
        load_complex(run)


def test_leftovers_of_a_write_are_removed(run: Path) -> None:
    (run / "regions" / "shard-000099.parquet.part").write_bytes(b"half")
    assert load_complex(run).complete
    assert list(run.rglob("*.part"))  # whoever reads does not disturb who may be writing
    (run / "download.part").write_bytes(b"not ours")
    assert enumerate_regions(*case(), directory=run, resume=True).complete
    assert [file.name for file in run.rglob("*.part")] == ["download.part"]


def test_one_process_writes_at_a_time(run: Path) -> None:
    (run / "regions" / "shard-000001.parquet").rename(run / "kept")
    for later in (run / "regions").glob("shard-*.parquet"):
        if later.name > "shard-000001":
            later.unlink()
    with sole_writer(run):
        with pytest.raises(ValueError, match="Another process is writing"):
            enumerate_regions(*case(), directory=run, resume=True)
        assert load_complex(run).found.frontier.shards == 1
    assert len(enumerate_regions(*case(), directory=run, resume=True)) == 676


def test_workers_write_shards_where_they_see_the_directory(run: Path) -> None:
    network, box = case()
    problem = pickle.dumps((network, box, VertexSearch()))
    with sole_writer(run) as mark:
        written = run_batch(problem, ((),), Share(50, 10.0), "cells", mark).shard
        assert isinstance(written, Path)
        assert pq.read_metadata(written).num_rows == 50
        sent = run_batch(problem, ((),), Share(50, 10.0), "cells", mark.with_stem("elsewhere")).shard
        assert isinstance(sent, bytes)
        assert sent == written.read_bytes()


def test_a_full_disk_loses_nothing(
    tmp_path: Path, small_batches: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, box = case()
    flush, calls = os.fsync, []

    def failing(file: int) -> None:
        calls.append(1)
        if len(calls) == 6:  # after the network, the manifest and three shards
            raise OSError(28, "No space left on device")
        flush(file)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match="No space"):
        enumerate_regions(network, box, directory=tmp_path)
    assert load_complex(tmp_path).found.frontier.shards == 3
    assert len(enumerate_regions(network, box, directory=tmp_path, resume=True)) == 676


def test_executors_find_the_same() -> None:
    network, box = case()
    expected = {p.tobytes() for p in enumerate_regions(network, box).patterns}
    with ThreadPoolExecutor(2) as threads:
        found = enumerate_regions(network, box, executor=threads)
    assert {p.tobytes() for p in found.patterns} == expected
    assert found.complete


def test_executors_count_the_same() -> None:
    """All regions, and after a budget an interval that holds their number."""
    network, box = case()
    with ThreadPoolExecutor(2) as threads:
        found = count_regions(network, box, executor=threads)
        assert (found.lower, found.upper, found.complete, found.open_cells) == (676, 676, True, ())
        part = count_regions(network, box, executor=threads, max_regions=100)
        assert (part.lower, part.complete) == (100, False)
        assert part.upper >= 676
        assert part.open_cells
        with pytest.raises(ValueError, match="LayerSplit on a bounded domain"):
            count_regions(network, box, Sampling(10), executor=threads)


def test_shards_of_wide_networks_hold_fewer_regions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, box = case()
    monkeypatch.setattr(batches, "SHARD_BYTES", 40 * network.n_units)
    assert len(enumerate_regions(network, box, directory=tmp_path)) == 676
    sizes = [pq.read_metadata(file).num_rows for file in (tmp_path / "regions").glob("*.parquet")]
    assert max(sizes) <= 40

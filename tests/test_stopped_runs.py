"""Runs that are stopped: kills, dead workers, full memory, clusters, the command line."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from polytope import (
    FacetFlip,
    LayerSplit,
    Polyhedron,
    count_regions,
    enumerate_regions,
    load_complex,
)
from polytope.__main__ import app
from polytope.core.vertex_cells import explore
from polytope.engines.engine import Engine
from polytope.errors import IncompleteComplexError
from polytope.runs.executors import Pool
from tests.networks import needs_shared, seeded, unit_box_of
from tests.run_cases import CASE, case, shards

ENGINES = [LayerSplit(cells="vertices"), LayerSplit(cells="lp"), LayerSplit("lp", 1, "highs"), FacetFlip()]


PEAK = """
from pathlib import Path
import polytope as pt
from polytope.engines.budget import resident_bytes
from tests.networks import seeded

network = seeded(0, 4, 32, 32, 1)  # 164,767 regions
box = pt.Polyhedron.box([-1.0] * 4, [1.0] * 4)
pt.count_regions(network, box, max_regions=10)
limit = resident_bytes() + 40 * 2**20
found = pt.enumerate_regions(network, box, max_memory=limit)
peak = 1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
print(len(found), found.complete, found.upper > len(found), (peak - limit) / 2**20)
"""


SCRIPT = """
import sys
from polytope import LayerSplit, Polyhedron, enumerate_regions
from polytope.runs import batches
from tests.networks import file_network, seeded, unit_box_of

if __name__ == "__main__":
    batches.ROWS = {rows}
    network = {network}
    box = Polyhedron.box(*unit_box_of(network))
    directory, resume, workers = sys.argv[1], sys.argv[2] == "resume", int(sys.argv[3])
    enumerate_regions(network, box, LayerSplit(workers=workers), directory=directory, resume=resume)
"""


SMALL = {"network": f"seeded{CASE}", "rows": 50}


LARGE = {"network": "file_network('4-32-32-1')", "rows": 1500}


def start(
    tmp_path: Path, case: dict[str, object] = SMALL, *, resume: bool, workers: int = 1
) -> subprocess.Popen[bytes]:
    script = tmp_path / "search.py"
    script.write_text(SCRIPT.format(**case))
    command = [
        sys.executable,
        str(script),
        str(tmp_path / "run"),
        "resume" if resume else "new",
        str(workers),
    ]
    root = str(Path(__file__).parents[1])
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": root})


def wait_for_shards(directory: Path, number: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None and shards(directory) < number:
        time.sleep(0.002)


def is_alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def stopped_again_and_again(tmp_path: Path, how: signal.Signals, times: int) -> int:
    """The regions after so many processes were stopped soon after another shard; checks that some were."""
    rng = np.random.default_rng(times)
    directory, stopped = tmp_path / "run", 0
    for _ in range(times):
        begun = (directory / "manifest.json").exists()
        process = start(tmp_path, resume=begun)
        wait_for_shards(directory, shards(directory) + 1, process)
        time.sleep(float(rng.uniform(0, 0.02)))
        process.send_signal(how)
        stopped += process.wait(300) == -how
    assert stopped > 0
    if not load_complex(directory).complete:
        assert start(tmp_path, resume=True).wait(300) == 0
    found = load_complex(directory)
    assert found.complete
    assert len(np.unique(found.patterns, axis=0)) == len(found)
    return len(found)


RACE = """
import os, signal, threading, time
from concurrent.futures import BrokenExecutor
from multiprocessing import active_children
from polytope.runs.executors import Pool

if __name__ == "__main__":
    for i in range(4):
        pool = Pool(None, 2)
        pid = pool.submit(os.getpid)[0].result()
        pool.runner._idle_worker_semaphore.acquire(timeout=10)  # the first worker seems busy
        death = threading.Timer(i / 1000, os.kill, (pid, signal.SIGKILL))
        death.start()
        done, runner = pool.submit(os.getpid)  # starts the second worker
        death.join()
        try:
            done.result()
        except BrokenExecutor as error:
            pool.renew(runner, error)
        else:
            pool.renew(runner, OSError())
    deadline = time.monotonic() + 60
    while active_children() and time.monotonic() < deadline:
        time.sleep(0.05)
    print(len(active_children()))
"""


def children(pid: int) -> list[int]:
    """Worker processes of a process (the resource tracker is left alone); none if it has just ended."""
    try:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(c) for c in found if "spawn_main" in Path(f"/proc/{c}/cmdline").read_text()]
    except OSError:
        return []


@pytest.mark.parametrize("engine", ENGINES, ids=repr)
def test_memory_is_a_budget(engine: Engine) -> None:
    """With no memory left every engine stops at once, and with enough none does."""
    network = seeded(0, 2, 8, 6, 1)
    box = Polyhedron.box(*unit_box_of(network))
    regions = len(enumerate_regions(network, box))
    part = enumerate_regions(network, box, engine, max_memory=1)
    assert not part.complete
    assert part.lower < regions <= part.upper
    with pytest.raises(IncompleteComplexError):
        part.require_complete("A volume")
    assert not count_regions(network, box, engine, max_memory=1).complete
    whole = count_regions(network, box, engine, max_memory=2**50)
    assert (whole.lower, whole.complete) == (regions, True)
    with pytest.raises(ValueError, match="max_memory must be positive"):
        enumerate_regions(network, box, engine, max_memory=0)


def test_a_run_out_of_memory_is_resumed(tmp_path: Path) -> None:
    network, box = case()
    part = enumerate_regions(network, box, directory=tmp_path, max_memory=1)
    assert not part.complete
    assert part.found.frontier.open
    assert len(enumerate_regions(network, box, directory=tmp_path, resume=True)) == 676


def test_open_cells_are_where_the_rest_is(tmp_path: Path) -> None:
    """A search from the open cells alone finds exactly the regions that the stopped one did not."""
    network, box = case()
    with ThreadPoolExecutor(2) as threads:
        parts = [
            enumerate_regions(network, box, max_regions=100),
            enumerate_regions(network, box, max_regions=100, directory=tmp_path),
            enumerate_regions(network, box, max_regions=100, executor=threads),
        ]
    for part in parts:
        assert not part.complete
        rest = explore(network, box, keep="cells", start=part.open_cells)
        assert rest.n_regions == 676 - len(part)
        assert not {p.tobytes() for p in part.patterns} & {p.tobytes() for p in rest.patterns}


def test_the_peak_stays_near_the_budget_of_memory() -> None:
    """A fresh process that may take 40 MB more than at its start stops in the middle of the search."""
    root = str(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", PEAK], env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found, complete, partial, over = done.stdout.split()
    assert 1000 < int(found) < 164_767
    assert (complete, partial) == ("False", "True")
    assert float(over) < 20.0  # MB: half of what it may take more


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_stopped_processes_are_resumed(tmp_path: Path, how: signal.Signals) -> None:
    assert stopped_again_and_again(tmp_path, how, 2) == 676


@needs_shared
@pytest.mark.slow
def test_twenty_kills(tmp_path: Path) -> None:
    """Main processes and their workers in turn, at random moments; 4-32-32-1 in shards of 1,500 regions."""
    rng = np.random.default_rng(0)
    directory = tmp_path / "run"
    kills = {"main": 0, "worker": 0}
    while sum(kills.values()) < 20:
        process = start(tmp_path, LARGE, resume=(directory / "manifest.json").exists(), workers=2)
        while process.poll() is None:
            wait_for_shards(directory, shards(directory) + int(rng.integers(0, 4)), process)
            time.sleep(float(rng.exponential(0.2)))
            workers = children(process.pid) if process.poll() is None else []
            if rng.random() < 0.5:
                process.kill()
                kills["main"] += process.wait(300) == -signal.SIGKILL
                deadline = time.monotonic() + 30
                while any(map(is_alive, workers)):
                    assert time.monotonic() < deadline, "workers outlive their main process"
                    time.sleep(0.05)
            elif workers:
                os.kill(int(rng.choice(workers)), signal.SIGKILL)
                kills["worker"] += 1
        part = load_complex(directory) if (directory / "manifest.json").exists() else None
        if part is not None and part.complete:  # begin again, until there were enough kills
            assert len(part) == 85_991
            assert len(np.unique(part.patterns, axis=0)) == len(part)
            shutil.rmtree(directory)
    assert min(kills.values()) > 3
    resume = (directory / "manifest.json").exists()
    assert start(tmp_path, LARGE, resume=resume, workers=2).wait(600) == 0
    found = load_complex(directory)
    assert (len(found), found.complete) == (85_991, True)
    assert len(np.unique(found.patterns, axis=0)) == len(found)


def test_workers_that_die_are_survived(tmp_path: Path) -> None:
    """Every worker is killed twice while the search goes on."""
    process = start(tmp_path, resume=False, workers=2)
    killed = 0
    for there in (1, 4):
        wait_for_shards(tmp_path / "run", there, process)
        for child in children(process.pid):
            os.kill(child, signal.SIGKILL)
            killed += 1
    assert process.wait(300) == 0
    assert killed
    assert len(load_complex(tmp_path / "run")) == 676


def test_a_pool_whose_pipes_are_closed_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where it breaks while it starts a worker."""
    pool = Pool(None, 2)
    broken = pool.runner

    def closed(*_: object) -> None:
        raise OSError("handle is closed")

    monkeypatch.setattr(broken, "submit", closed)
    future, runner = pool.submit(abs, -3)
    assert runner is not broken
    assert future.result(60) == 3
    runner.shutdown()


def test_one_of_many_that_begin_at_once_writes(tmp_path: Path) -> None:
    """In each of ten empty folders eight threads begin: one finds all regions, others are told why not."""
    network, box = case()

    def begin(directory: Path) -> str:
        try:
            return str(len(enumerate_regions(network, box, directory=directory)))
        except ValueError as error:
            return str(error)

    with ThreadPoolExecutor(8) as threads:
        for place in (tmp_path / str(i) for i in range(10)):
            said = sorted(threads.map(begin, [place] * 8))
            assert said[0] == "676"
            assert all("Another process is writing" in s or "holds a complex already" in s for s in said[1:])
            assert len(load_complex(place)) == 676


def test_no_worker_outlives_its_pool(tmp_path: Path) -> None:
    """A worker that starts while another is killed ends with the pool, which is not waited for."""
    script = tmp_path / "race.py"
    script.write_text(RACE)
    root = str(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stdout) == (0, "0\n")


def test_workers_share_the_budget_of_regions(tmp_path: Path) -> None:
    """All of them together find no more than it allows."""
    network, box = case()
    with ThreadPoolExecutor(3) as pool:
        part = enumerate_regions(network, box, directory=tmp_path, executor=pool, max_regions=100)
        assert (len(part), part.complete) == (100, False)
        whole = enumerate_regions(network, box, directory=tmp_path, executor=pool, resume=True)
    assert (len(whole), whole.complete) == (676, True)


def test_a_cluster_finds_the_same() -> None:
    distributed = pytest.importorskip("distributed")
    network, box = case()
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0")
    with cluster, distributed.Client(cluster) as client:
        found = enumerate_regions(network, box, executor=client.get_executor())
    expected = enumerate_regions(network, box)
    assert found.complete
    assert {p.tobytes() for p in found.patterns} == {p.tobytes() for p in expected.patterns}


def test_the_command_line(tmp_path: Path) -> None:
    """Code 4 when a budget stops it, 0 when it is done, 2 for the wrong directory."""
    model = tmp_path / "model.npz"
    network = seeded(*CASE)
    arrays = {}
    for i, layer in enumerate(network.layers):
        arrays |= {f"W{i}": layer.maps[0].rows(np.arange(len(layer.bias))), f"b{i}": layer.bias}
    np.savez(model, **arrays)

    def polytope(*arguments: object) -> Result:
        command = ["regions", str(model), "--box", "-1", "1", *map(str, arguments)]
        return CliRunner().invoke(app, command)

    done = polytope("--out", tmp_path / "run", "--max-regions", 100, "--json")
    assert (done.exit_code, json.loads(done.stdout)["regions"]) == (4, 100)
    assert json.loads(done.stdout)["label"] == "lower bound"
    assert not json.loads(done.stdout)["complete"]
    assert polytope("--out", tmp_path / "small", "--max-memory", 1).exit_code == 4
    assert polytope("--out", tmp_path / "none", "--max-memory", -1).exit_code == 2
    assert polytope("--out", tmp_path / "run").exit_code == 2
    done = polytope("--out", tmp_path / "run", "--resume", "--json")
    assert (done.exit_code, json.loads(done.stdout)["regions"]) == (0, 676)
    refused = polytope("--out", tmp_path / "other", "--scheduler", "tcp://127.0.0.1:1")
    assert refused.exit_code == 2
    assert "No Dask scheduler" in refused.stderr

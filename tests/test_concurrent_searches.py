"""Searches side by side: in threads at once, sixty in turn, in processes begun both ways."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

from polytope import LayerSplit, Polyhedron, enumerate_regions, verify_certificate
from polytope.engines.engine import Engine
from tests.networks import NETWORKS, unit_box_of

ENGINES: dict[str, Engine] = {
    "vertices": LayerSplit("vertices"),
    "threads": LayerSplit("vertices", workers=2),
    "inequalities": LayerSplit("lp"),
    "highs": LayerSplit("lp", solver="highs"),
}
ROOT = Path(__file__).parents[1]


def found(name: str, engine: str) -> frozenset[bytes]:
    """The patterns of a network in the unit box."""
    network = NETWORKS[name]()
    held = enumerate_regions(network, Polyhedron.box(*unit_box_of(network)), ENGINES[engine])
    assert held.complete
    assert len(held.patterns) == len(held)
    return frozenset(pattern.tobytes() for pattern in held.patterns)


@pytest.mark.parametrize("engine", ENGINES)
def test_threads_that_search_at_once_find_the_same(engine: str) -> None:
    """Networks twice, in six threads: nothing is shared between searches but what never changes."""
    names = [*NETWORKS][:: 3 if engine == "highs" else 1] * 2
    with ThreadPoolExecutor(6) as threads:
        together = list(threads.map(lambda name: found(name, engine), names))
    assert together == [found(name, engine) for name in names]


def test_threads_with_all_engines_at_once() -> None:
    work = [(name, engine) for name in ("residual", "convolutional", "grouped") for engine in ENGINES]
    with ThreadPoolExecutor(len(work)) as threads:
        together = list(threads.map(lambda each: found(*each), work))
    assert together == [found(name, "vertices") for name, _ in work]


def test_threads_that_write_at_once(tmp_path: Path) -> None:
    """Each into a directory of its own, with a certificate."""

    def proved(name: str) -> int:
        network = NETWORKS[name]()
        box = Polyhedron.box(*unit_box_of(network))
        enumerate_regions(network, box, directory=tmp_path / name, certificate=True)
        return verify_certificate(tmp_path / name).regions

    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(proved, NETWORKS))
    assert together == [len(found(name, "vertices")) for name in NETWORKS]


def test_two_threads_do_not_write_into_one_directory(tmp_path: Path) -> None:
    """One of them has it, the others are refused; what is there in the end is whole."""
    network = NETWORKS["relu_3-5-4-2"]()
    box = Polyhedron.box(*unit_box_of(network))

    def attempt(_: int) -> str:
        try:
            enumerate_regions(network, box, directory=tmp_path, certificate=True)
        except ValueError as error:
            return str(error)
        return "done"

    with ThreadPoolExecutor(4) as threads:
        said = list(threads.map(attempt, range(4)))
    assert said.count("done") == 1
    refusals = [text for text in said if text != "done"]
    assert all("Another process is writing" in text or "already" in text for text in refusals)
    assert verify_certificate(tmp_path).regions == len(found("relu_3-5-4-2", "vertices"))


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("engine", ["threads", "highs"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_processes_begun_either_way(method: str, engine: str) -> None:
    """Also after this process has searched, with threads, itself."""
    before = found("residual", engine)
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(1, mp_context=context) as processes:
        assert processes.submit(found, "residual", engine).result(120) == before
        assert processes.submit(written, "residual").result(120) == len(before)


def written(name: str) -> int:
    """How many regions a child process proves in a directory that it wrote."""
    from tempfile import TemporaryDirectory

    network = NETWORKS[name]()
    with TemporaryDirectory() as folder:
        enumerate_regions(network, Polyhedron.box(*unit_box_of(network)), directory=folder, certificate=True)
        return verify_certificate(folder).regions


MEMORY = """
import sys, tempfile
from pathlib import Path
from polytope import LayerSplit, Polyhedron, enumerate_regions
from tests.networks import seeded, unit_box_of

def resident():
    [line] = [r for r in Path("/proc/self/status").read_text().splitlines() if r.startswith("VmRSS")]
    return int(line.split()[1]) // 1024

def search(seed):
    network = seeded(seed, 3, 16, 16, 1)
    box, engine = Polyhedron.box(*unit_box_of(network)), LayerSplit({engine!r}, workers={workers})
    if not {stored}:
        held = enumerate_regions(network, box, engine)
        return len(held.patterns), len(held.facets.unit)
    with tempfile.TemporaryDirectory() as folder:
        return len(enumerate_regions(network, box, engine, directory=folder).patterns)

for seed in range(15):
    search(seed)
before = resident()
for seed in range(15, 75):
    search(seed)
print(before, resident())
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize(
    ("engine", "workers", "stored"), [("vertices", 1, False), ("vertices", 2, False), ("vertices", 1, True)]
)
def test_sixty_searches_keep_no_memory(engine: str, workers: int, stored: bool) -> None:
    """A complex of some 700 regions takes 1 MB: were each kept, or its tables, it would be sixty."""
    script = MEMORY.format(engine=engine, workers=workers, stored=stored)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, timeout=280
    )
    before, after = map(int, done.stdout.split())
    assert after - before < 25

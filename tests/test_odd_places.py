"""Directories in odd places, read-only ones, files that vanish under a run, and processes that are paused."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from polytope import enumerate_regions, load_complex, verify_certificate
from polytope.errors import CorruptFileError
from polytope.runs import batches
from tests.run_cases import CASE, case, small_case

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards of at most fifty regions."""
    monkeypatch.setattr(batches, "ROWS", 50)
    monkeypatch.setattr(batches, "CERTIFIED_ROWS", 50)


ODD = [
    "with spaces",
    "ünïcødé 区域",
    'quote\'s "and" %s {x}',
    "-dash",
    "a" * 200,
    "new\nline",
    "dot.parquet.part",
]


@pytest.mark.parametrize("name", ODD)
def test_odd_names(tmp_path: Path, name: str) -> None:
    place = tmp_path / name / "run"
    part = enumerate_regions(*small_case(), directory=place, certificate=True, max_regions=10)
    assert (len(part), part.complete) == (10, False)
    assert len(enumerate_regions(*small_case(), directory=str(place), resume=True)) == 35
    assert load_complex(place).complete
    assert verify_certificate(place).regions == 35


def test_a_linked_folder(tmp_path: Path) -> None:
    """The run goes where the link leads, and goes on through either name."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk", target_is_directory=True)
    enumerate_regions(*small_case(), directory=tmp_path / "link", certificate=True, max_regions=10)
    assert len(load_complex(tmp_path / "disk")) == 10
    with pytest.raises(ValueError, match="already"):
        enumerate_regions(*small_case(), directory=tmp_path / "disk")
    assert len(enumerate_regions(*small_case(), directory=tmp_path / "disk", resume=True)) == 35
    assert verify_certificate(tmp_path / "link").regions == 35


def test_a_relative_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was loaded is read where it was, wherever one has gone since."""
    monkeypatch.chdir(tmp_path)
    enumerate_regions(*case(), directory="run")
    held = load_complex("run")
    monkeypatch.chdir("/")
    assert len(held.patterns) == 676


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_file_is_no_place(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match="file"):
        enumerate_regions(*case(), directory=tmp_path / "file" / below)
    assert (tmp_path / "file").read_text() == "mine"
    with pytest.raises(ValueError, match="holds no complex"):
        load_complex(tmp_path / "file" / below)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no file system here that nobody can write to")
def test_a_place_that_cannot_be_written() -> None:
    with pytest.raises(OSError, match="/proc/self"):
        enumerate_regions(*case(), directory="/proc/self/polytope")


def test_who_reads_writes_nothing(tmp_path: Path) -> None:
    """So that a directory may lie on a disk that is read-only."""
    enumerate_regions(*small_case(), directory=tmp_path, certificate=True)
    before = {file: file.stat().st_mtime_ns for file in (tmp_path, *tmp_path.rglob("*"))}
    for file in before:
        file.chmod(0o555 if file.is_dir() else 0o444)
    held = load_complex(tmp_path)
    assert (len(held.patterns), len(held.neighbours)) == (35, verify_certificate(tmp_path).adjacent)
    assert {file: file.stat().st_mtime_ns for file in (tmp_path, *tmp_path.rglob("*"))} == before
    for file in before:
        file.chmod(0o755 if file.is_dir() else 0o644)


def newest_shard(place: Path) -> None:
    sorted(place.rglob("shard-*.parquet"))[-1].unlink()


VANISHING: dict[str, tuple[Callable[[Path], object], type[Exception], str]] = {
    "shard": (newest_shard, CorruptFileError, "missing"),
    "manifest": (lambda place: (place / "manifest.json").unlink(), ValueError, "holds no complex"),
    "network": (lambda place: (place / "network.npz").unlink(), CorruptFileError, "network.npz is missing"),
    "shards": (lambda place: shutil.rmtree(place / "regions"), OSError, "regions"),
    "all": (shutil.rmtree, OSError, "regions"),
}


@pytest.mark.parametrize("what", VANISHING)
def test_files_that_vanish_under_a_run(tmp_path: Path, what: str) -> None:
    """The run says what is missing, and a directory from which the rest was kept goes on to the end."""
    vanish, kind, said = VANISHING[what]
    place, kept, done = tmp_path / "run", tmp_path / "kept", []

    def look(regions: int, left: int) -> None:
        if len(list(place.rglob("shard-*.parquet"))) == 3 and not done:
            done.append(shutil.copytree(place, kept))
            vanish(place)

    with pytest.raises(kind, match=said):
        enumerate_regions(*case(), directory=place, progress=look)
    assert done
    assert len(enumerate_regions(*case(), directory=kept, resume=True)) == 676
    shutil.rmtree(place, ignore_errors=True)
    assert len(enumerate_regions(*case(), directory=place)) == 676


def test_a_shard_that_vanishes_after_it_was_loaded(tmp_path: Path) -> None:
    enumerate_regions(*case(), directory=tmp_path)
    held = load_complex(tmp_path)
    newest_shard(tmp_path)
    with pytest.raises(CorruptFileError, match="cannot be read"):
        _ = held.patterns
    assert len(enumerate_regions(*case(), directory=tmp_path, resume=True)) == 676


SCRIPT = """
import sys
from polytope import Polyhedron, enumerate_regions
from polytope.runs import batches
from tests.networks import seeded
batches.ROWS = 50
network = seeded(*{case})
enumerate_regions(network, Polyhedron.box([-1] * 3, [1] * 3), directory=sys.argv[1])
"""


def paused(place: Path) -> subprocess.Popen[bytes]:
    """A process that runs into a directory, paused after a shard."""
    command = [sys.executable, "-c", SCRIPT.format(case=CASE), str(place)]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)})
    while process.poll() is None and not list(place.rglob("shard-*.parquet")):
        time.sleep(0.002)
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    return process


def test_a_paused_run_keeps_its_place_and_goes_on(tmp_path: Path) -> None:
    process = paused(tmp_path)
    with pytest.raises(ValueError, match="Another process is writing"):
        enumerate_regions(*case(), directory=tmp_path, resume=True)
    assert len(load_complex(tmp_path)) < 676
    process.send_signal(signal.SIGCONT)
    assert process.wait(300) == 0
    held = load_complex(tmp_path)
    assert (len(held), held.complete) == (676, True)
    assert len(np.unique(held.patterns, axis=0)) == 676


def test_a_paused_run_that_is_killed_is_resumed(tmp_path: Path) -> None:
    process = paused(tmp_path)
    process.kill()
    assert process.wait(300) == -signal.SIGKILL
    assert len(enumerate_regions(*case(), directory=tmp_path, resume=True)) == 676

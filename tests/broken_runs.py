"""Runs into a directory that something happens to: each must end in a sentence, and the directory go on.

An attempt is a function of an empty folder and a generator; it says what went wrong, or nothing. The tests
make some of each, ``benchmarks/robustness.py`` as many as there is time for. Run as a program, this file is
the run: it searches in steps of some regions, and answers with a line of JSON.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from socket import socket
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from polytope import LayerSplit, enumerate_regions, load_complex, verify_certificate
from polytope.errors import PolytopeError, is_deliberate
from polytope.runs.executors import dask_executor
from tests.run_cases import case, shards

ROOT = Path(__file__).parents[1]
STEP = 60  # regions of each step of a run
PATIENCE = 600.0  # seconds by the clock until a run counts as hanging: a busy machine is slow
NOBODY = 65534
Attempt = Callable[[Path, np.random.Generator], str]
Answer = dict[str, Any]


class NotHereError(Exception):
    """This machine cannot make what the attempt needs."""


@cache
def expected() -> frozenset[bytes]:
    """The patterns that every run must find."""
    return frozenset(pattern.tobytes() for pattern in enumerate_regions(*case()).patterns)


def started(place: Path, **options: Any) -> subprocess.Popen[str]:
    """A run in a process of its own.

    Arguments:
        options: ``workers``; ``largest``, the bytes of a file at most; ``nobody``, to run as that user;
            ``jump``, to set the clock again and again; ``scheduler``, the address of a cluster.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "tests.broken_runs", str(place), json.dumps(options)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def answer(process: subprocess.Popen[str]) -> Answer:
    """How a run ended."""
    try:
        out, _ = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return {"kind": "hang", "message": f"no end after {PATIENCE} s"}
    if process.returncode < 0:
        return {"kind": "killed", "message": str(process.returncode)}
    return (
        dict(json.loads(out.splitlines()[-1])) if out else {"kind": "silence", "message": "it says nothing"}
    )


def wrong(said: Answer, *kinds: str) -> str:
    """What is wrong with how a run ended, if these are the kinds of errors that may be."""
    if said["kind"] in ("", *kinds):
        return ""
    return f"{said['kind']}: {said['message'][:200]}"


def lost(place: Path) -> str:
    """What is wrong with a directory once its run has gone on to the end, here; nothing if all is there."""
    begun = (place / "manifest.json").exists()
    found = enumerate_regions(*case(), LayerSplit(), directory=place, resume=begun)
    patterns = [pattern.tobytes() for pattern in found.patterns]
    if not found.complete or len(patterns) != len({*patterns}) or {*patterns} != expected():
        return f"{len(patterns)} regions, {len({*patterns} & expected())} of {len(expected())}"
    if (place / "certificate.json").exists() and verify_certificate(place).regions != len(expected()):
        return "the certificate proves another number"
    return ""


def wait_for(process: subprocess.Popen[str], condition: Callable[[], bool]) -> None:
    """Wait until something is there, or the process has ended."""
    while process.poll() is None and not condition():
        time.sleep(0.001)


def moment(place: Path, process: subprocess.Popen[str], rng: np.random.Generator) -> None:
    """Wait for some shards, and a moment more."""
    there = shards(place) + int(rng.integers(0, 4))
    wait_for(process, lambda: (place / "manifest.json").exists() and shards(place) >= there)
    time.sleep(float(rng.exponential(0.01)))


def killed(folder: Path, rng: np.random.Generator) -> str:
    """A run is killed at some moments, one after the other, and goes on."""
    place = folder / "run"
    for _ in range(int(rng.integers(1, 4))):
        process = started(place, workers=int(rng.integers(1, 3)))
        moment(place, process, rng)
        process.kill()
        process.communicate()
    return lost(place)


def interrupted(folder: Path, rng: np.random.Generator) -> str:
    """Ctrl-C at some moment."""
    process = started(folder / "run", workers=int(rng.integers(1, 3)))
    moment(folder / "run", process, rng)
    process.send_signal(signal.SIGINT)
    return wrong(answer(process), "KeyboardInterrupt") or lost(folder / "run")


def paused(folder: Path, rng: np.random.Generator) -> str:
    """A run is paused, keeps its directory meanwhile, and goes on."""
    place = folder / "run"
    process = started(place, workers=int(rng.integers(1, 3)))
    for _ in range(int(rng.integers(1, 4))):
        moment(place, process, rng)
        process.send_signal(signal.SIGSTOP)
        time.sleep(float(rng.exponential(0.05)))
        process.send_signal(signal.SIGCONT)
    return wrong(answer(process)) or lost(place)


def file_limit(folder: Path, rng: np.random.Generator) -> str:
    """No file may be longer than some bytes."""
    process = started(folder / "run", largest=int(10 ** rng.uniform(2, 5)), workers=int(rng.integers(1, 3)))
    return wrong(answer(process), "OSError") or lost(folder / "run")


def full_disk(folder: Path, rng: np.random.Generator) -> str:
    """A small disk fills up, and is made larger."""
    disk = folder / "disk"
    disk.mkdir()
    size = f"size={int(10 ** rng.uniform(1.0, 2.5))}k"
    with suppress(FileNotFoundError):
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(disk)], capture_output=True)
        if done.returncode == 0:
            try:
                said = answer(started(disk / "run", workers=int(rng.integers(1, 3))))
                subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
                return wrong(said, "OSError") or lost(disk / "run")
            finally:
                subprocess.run(["umount", str(disk)], check=True)
    raise NotHereError("no disk can be mounted")


def read_only(folder: Path, rng: np.random.Generator) -> str:
    """A directory that may not be written, from some moment on."""
    if os.geteuid() != 0:
        raise NotHereError("only root can become somebody else")
    place = folder / "run"
    if rng.random() < 0.7:
        enumerate_regions(*case(), directory=place, max_regions=int(rng.integers(1, 300)))
    said = answer(started(place, nobody=True))
    return ("" if said["kind"] == "PermissionError" else f"not refused: {said}") or lost(place)


def vanishing(folder: Path, rng: np.random.Generator) -> str:
    """A file of a run is deleted; what is there in the end is right, or refused."""
    place = folder / "run"
    process = started(place)
    moment(place, process, rng)
    files = sorted(file for file in place.rglob("*") if rng.random() < 0.9)
    if files:
        gone = files[int(rng.integers(len(files)))]
        with suppress(OSError):
            shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    kinds = ("OSError", "FileNotFoundError", "CorruptFileError", "ValueError", "CertificateError")
    return wrong(answer(process), *kinds) or misread(place)


def misread(place: Path) -> str:
    """Whether a directory is read as what it is not."""
    try:
        held = load_complex(place)
        patterns = {pattern.tobytes() for pattern in held.patterns}
    except PolytopeError:
        return ""
    except ValueError as error:
        return "" if is_deliberate(error) else f"ValueError: {error}"
    if not patterns <= expected() or (held.complete and patterns != expected()):
        return f"{len(patterns)} regions pass for {'all' if held.complete else 'some'}"
    return ""


def clocks(folder: Path, rng: np.random.Generator) -> str:
    """The clock is set back and forth while a run goes on."""
    return wrong(answer(started(folder / "run", jump=int(rng.integers(1, 2**31))))) or lost(folder / "run")


def two_writers(folder: Path, rng: np.random.Generator) -> str:
    """Two runs, each of one process, begin in one empty directory at once."""
    both = [started(folder / "run") for _ in range(2)]
    said = [answer(process) for process in both]
    refused = [each for each in said if each["kind"]]
    if len(refused) == 2 or not all("process is writing" in r["message"] for r in refused):
        return f"they say {said}"
    return lost(folder / "run")


def workers_killed(folder: Path, rng: np.random.Generator) -> str:
    """Workers are killed while they write."""
    place = folder / "run"
    process = started(place, workers=2)
    for _ in range(int(rng.integers(1, 5))):
        wait_for(process, lambda: len([*place.rglob("*.part")]) > 1)
        workers = children(process.pid)
        if workers:
            with suppress(ProcessLookupError):
                os.kill(int(rng.choice(workers)), signal.SIGKILL)
        time.sleep(float(rng.exponential(0.1)))
    return wrong(answer(process), "SolverError") or lost(place)


def children(pid: int) -> list[int]:
    """The worker processes of a process."""
    try:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(c) for c in found if "spawn_main" in Path(f"/proc/{c}/cmdline").read_text()]
    except OSError:
        return []


def spoken(*arguments: str) -> subprocess.Popen[bytes]:
    """A process of a cluster."""
    command = [sys.executable, "-m", *arguments, "--no-dashboard"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def scheduler_dies(folder: Path, rng: np.random.Generator) -> str:
    """A cluster's scheduler is killed, and there again for who resumes."""
    if find_spec("distributed") is None:
        raise NotHereError("Dask is not installed")
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address, place, cluster = f"tcp://127.0.0.1:{port}", folder / "run", []
    begin = ("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port))
    join = ("distributed.cli.dask_worker", address, "--nthreads", "1", "--local-directory", str(folder))
    try:
        cluster += [spoken(*begin), spoken(*join)]
        process = started(place, scheduler=address)
        moment(place, process, rng)
        cluster[0].kill()
        fault = wrong(answer(process), "SolverError")
        cluster += [spoken(*begin), spoken(*join)]
        return fault or wrong(answer(started(place, scheduler=address))) or lost(place)
    finally:
        for process in cluster:
            process.kill()
            process.wait()


ATTEMPTS: dict[str, Attempt] = {
    "killed and resumed": killed,
    "interrupted by Ctrl-C": interrupted,
    "paused and continued": paused,
    "files limited in size": file_limit,
    "disk full": full_disk,
    "read-only": read_only,
    "files deleted under a run": vanishing,
    "clock set back and forth": clocks,
    "two writers at once": two_writers,
    "workers killed while they write": workers_killed,
    "a cluster's scheduler killed": scheduler_dies,
}


def run(place: Path, workers: int, executor: Executor | None) -> int:
    """Search in steps until nothing is open; the regions."""
    engine, begun = LayerSplit(workers=workers), (place / "manifest.json").exists()
    while True:
        found = enumerate_regions(
            *case(), engine, directory=place, resume=begun, executor=executor, max_regions=STEP
        )
        begun = True
        if found.complete:
            return len(found)


def jumping(seed: int) -> Callable[[], float]:
    """A clock that is set ten years back or forth whenever one looks."""
    generator, now = random.Random(seed), time.time
    return lambda: now() + generator.uniform(-3e8, 3e8)


@contextmanager
def cluster_of(address: str) -> Iterator[Executor]:
    """An executor of a cluster, as soon as somebody answers."""
    with ExitStack() as stack:
        while True:
            with suppress(ValueError):
                executor = stack.enter_context(dask_executor(address))
                break
        yield executor


def main() -> None:
    """Run, and say how it ended."""
    place, options = Path(sys.argv[1]), json.loads(sys.argv[2])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    said: Answer = {"kind": "", "message": "", "regions": 0}
    try:
        with TemporaryDirectory() as other:
            enumerate_regions(*case(), directory=other, max_regions=5)  # all modules are loaded
        if "largest" in options:
            resource.setrlimit(resource.RLIMIT_FSIZE, (options["largest"],) * 2)
        if "nobody" in options:
            os.seteuid(NOBODY)
        if "jump" in options:
            time.time = jumping(options["jump"])
        with cluster_of(options["scheduler"]) if "scheduler" in options else nullcontext() as executor:
            said["regions"] = run(place, options.get("workers", 1), executor)
    except BaseException as error:
        said |= {"kind": type(error).__name__, "message": str(error)}
        if isinstance(error, OSError) and error.filename is None:
            said["kind"] = "OSError without a file"
        if isinstance(error, ValueError) and not is_deliberate(error):
            said["kind"] = "ValueError of Python"
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()

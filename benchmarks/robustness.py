"""How often do hostile directories and broken runs end otherwise than in a sentence?

``python benchmarks/robustness.py [--seconds 50] [--long 240] [--seed 0] [--only WORD ...] [--write FOLDER]``
changes real directories of results at random, kind by kind, and reads each with ``load_complex``,
``verify_certificate`` and ``--resume`` in a process whose time and memory are measured; lets random things
happen to runs; and runs the tests of forged certificates, shards that lie, threads and processes, and
odd places. Failed has whoever ends in an error that is not documented or shows one of Python's, takes more
than 5 seconds of its own or 1 GB, accepts what is false, or loses a region. Then a run of some minutes is
watched: its memory must not grow. Findings go to stderr with what makes them again.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.etree import ElementTree

import numpy as np
from harness import environment, in_words, parser, publish, table_of, title

import polytope as pt

ROOT = Path(__file__).parents[1]
Row = dict[str, Any]
TESTS = {
    "forged certificates": "test_forged_certificates.py",
    "shards that lie": "test_hostile_shards.py",
    "proofs without end": "test_endless_proofs.py",
    "threads, fork, spawn, a hundred runs": "test_concurrent_searches.py",
    "odd places, files that vanish": "test_odd_places.py",
    "stopped runs, dead workers, clusters": "test_stopped_runs.py",
    "no network": "test_no_network.py",
}


def within(seconds: float) -> Iterator[int]:
    """Numbers of attempts, one at least, until the time is spent."""
    end, turn = time.monotonic() + seconds, 0
    while turn == 0 or time.monotonic() < end:
        yield turn
        turn += 1


def found(kind: str, seed: int, turn: int, what: str) -> None:
    """Tell of something that went wrong."""
    sys.stderr.write(f"{kind}, seed {seed}, turn {turn}: {what}\n")


def directories(seconds: float, seed: int, wanted: Callable[[str], bool]) -> list[Row]:
    """Changed directories, each read by all who read them."""
    from tests.guarded_readers import Reader
    from tests.mutated_directories import KINDS
    from tests.mutated_shards import footers, pages
    from tests.stored_runs import RUNS

    rows, kinds = [], KINDS | {"pages": pages, "footers": footers}
    with TemporaryDirectory() as home:
        for name, run in RUNS.items():
            run.write(Path(home) / "runs" / name)
        read = Reader()
        for number, (kind, change) in enumerate(kinds.items()):
            if not wanted(kind):
                continue
            row: Row = {"kind": f"directory: {kind}", "tried": 0, "failed": 0, "s": 0.0, "MB": 0.0}
            for turn in within(seconds):
                rng = np.random.default_rng([number, seed, turn])
                _read_all(Path(home), change, rng, read, row, (seed, turn))
            rows.append(row)
        read.close()
    return rows


def _read_all(
    home: Path, change: Any, rng: np.random.Generator, read: Any, row: Row, place: tuple[int, int]
) -> None:
    """One change of one of the runs, and three readers; each has a copy of its own."""
    name = str(rng.choice(sorted(folder.name for folder in (home / "runs").iterdir())))
    (home / "problem.json").write_text(json.dumps({"run": name}))
    shutil.rmtree(home / "changed", ignore_errors=True)
    shutil.copytree(home / "runs" / name, home / "changed")
    change(home / "changed", rng)
    for verb in ("load", "verify", "resume"):
        shutil.rmtree(home / "run", ignore_errors=True)
        shutil.copytree(home / "changed", home / "run", symlinks=True)
        outcome = read(verb, home / "run")
        row["tried"] += 1
        row["s"], row["MB"] = max(row["s"], outcome.seconds), max(row["MB"], outcome.bytes / 2**20)
        if fault := outcome.fault():
            row["failed"] += 1
            found(f"{row['kind']}, {verb} {name}", *place, fault)


def broken_runs(seconds: float, seed: int, wanted: Callable[[str], bool]) -> list[Row]:
    """Runs that something happens to."""
    from tests.broken_runs import ATTEMPTS, NotHereError

    rows = []
    for number, (kind, attempt) in enumerate(ATTEMPTS.items()):
        if not wanted(kind):
            continue
        row: Row = {"kind": f"run: {kind}", "tried": 0, "failed": 0}
        for turn in within(seconds):
            with TemporaryDirectory() as folder:
                try:
                    fault = attempt(Path(folder), np.random.default_rng([number, seed, turn]))
                except NotHereError as error:
                    row["note"] = str(error)
                    break
                except Exception as error:  # of the run that goes on in the end
                    fault = f"{type(error).__name__}: {error}"
            row["tried"] += 1
            row["failed"] += bool(fault)
            if fault:
                found(row["kind"], seed, turn, fault)
        rows.append(row)
    return rows


def tested(wanted: Callable[[str], bool]) -> list[Row]:
    """What the tests of a file try."""
    rows = []
    for kind, file in TESTS.items():
        if not wanted(kind) or not (ROOT / "tests" / file).exists():
            continue
        with TemporaryDirectory() as folder:
            report = Path(folder) / "report.xml"
            command = [sys.executable, "-m", "pytest", "-q", f"tests/{file}", f"--junitxml={report}"]
            subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
            [suite] = ElementTree.parse(report).getroot().iter("testsuite")
        count = {key: int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped")}
        failed = count["failures"] + count["errors"]
        rows.append({"kind": f"tests: {kind}", "tried": count["tests"] - count["skipped"], "failed": failed})
    return rows


def long_run(folder: str, seconds: float) -> None:
    """A run into a directory that says now and then how far it is and what memory it takes."""
    rng, widths, last = np.random.default_rng(0), (6, 64, 64, 1), [0.0]
    layers = [
        (rng.standard_normal((m, n)) / np.sqrt(n), rng.standard_normal(m) / 2) for n, m in pairwise(widths)
    ]
    started = time.monotonic()

    def look(regions: int, left: int) -> None:
        now = time.monotonic() - started
        if now - last[0] >= seconds / 12:
            last[0] = now
            status = Path("/proc/self/status").read_text()
            resident = int(status.split("VmRSS:")[1].split()[0]) / 1024
            row = {"s": round(now), "regions": regions, "open branches": left, "MB": round(resident)}
            print(json.dumps(row), flush=True)

    box = pt.Polyhedron.box([-1.0] * 6, [1.0] * 6)
    pt.enumerate_regions(pt.mlp(layers), box, directory=folder, max_seconds=seconds, progress=look)


def watched(seconds: float) -> list[Row]:
    """What a long run says."""
    with TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--inside", f"{folder}/run", "--long", str(seconds)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def main() -> None:
    """Try everything, in turn; print, and write if asked to."""
    options = parser(__doc__)
    options.add_argument("--seconds", type=float, default=50.0, help="for each kind")
    options.add_argument("--long", type=float, default=240.0, help="seconds of the run that is watched")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--only", nargs="+", default=[], help="words that a kind has")
    options.add_argument("--inside", help="where this process is to be the long run")
    chosen = options.parse_args()
    if chosen.inside:
        long_run(chosen.inside, chosen.long)
        return
    sys.path.insert(0, str(ROOT))  # the tests know how to change a directory

    def wanted(kind: str) -> bool:
        return not chosen.only or any(word in kind for word in chosen.only)

    rows = directories(chosen.seconds, chosen.seed, wanted)
    rows += broken_runs(chosen.seconds, chosen.seed, wanted)
    rows += tested(wanted)
    columns = ("kind", "tried", "failed", "s", "MB", "note")
    where = environment("pyarrow", "distributed")
    about = f"{chosen.seconds:g} s for each kind, seed {chosen.seed}. {chosen.note}"
    page = [title(__doc__), in_words(where, about)]
    page.append(table_of([{c: row.get(c) for c in columns} for row in rows]))
    page.append("s and MB: the most that a reader took, of its own time and beyond what it had loaded.")
    samples = watched(chosen.long) if wanted("memory") else []
    if samples:
        page += ["## Memory of a run into a directory", table_of(samples)]
    record = {"versions": where, "seed": chosen.seed, "rows": rows, "memory": samples, "note": chosen.note}
    publish(__file__, page, record, chosen.write)


if __name__ == "__main__":
    main()

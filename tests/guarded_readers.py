"""Read a directory of results in a process of its own, whose time and memory are measured.

Run as a program, it answers each line of JSON, a verb and a directory, with a line that says how it ended.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS, BYTES = 5.0, 1 << 30  # of a reader, at most
CEILING = 3 << 30  # of address space: beyond it the process is stopped, so that nothing else suffers
PATIENCE = 90.0  # seconds by the clock: a busy machine gives a process less than its own
PYTHON = re.compile(r"\b[A-Za-z]*(Error|Exception|Interrupt)\b|Traceback|<class |object at 0x|\n")
VERBS = ("load", "verify", "resume")


@dataclass(frozen=True)
class Outcome:
    """How a reader ended: the error's kind and sentence, if any, and what it took."""

    kind: str
    message: str
    seconds: float
    bytes: int

    def fault(self) -> str:
        """What is wrong with it, in words; nothing if it is as documented."""
        if self.kind not in ("", "CorruptFileError", "CertificateError", "no complex here"):
            return f"{self.kind}: {self.message[:300]}"
        if self.seconds > SECONDS or self.bytes > BYTES:
            return f"{self.seconds:.1f} s, {self.bytes / 2**20:.0f} MB, {self.kind}: {self.message[:100]}"
        if PYTHON.search(self.message) or len(self.message) > 600 or not self.message.isprintable():
            return f"it says {self.message[:300]!r}"
        return ""


class Reader:
    """The process, begun again after it was stopped."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None

    def __call__(self, verb: str, directory: Path) -> Outcome:
        """Read a directory."""
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.guarded_readers"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([verb, str(directory)]) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()  # the process ends itself when its time is up
        if not line:
            return Outcome("stopped", f"exit {self.process.wait()}", PATIENCE, 0)
        return Outcome(**json.loads(line))

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            assert self.process.stdin is not None
            self.process.stdin.close()
            self.process.wait(PATIENCE)
            assert self.process.stdout is not None
            self.process.stdout.close()


def read(verb: str, directory: str) -> None:
    """What a user does with a directory that he was given."""
    import polytope as pt

    if verb == "verify":
        pt.verify_certificate(directory)
        return
    if verb == "resume":
        problem = json.loads((Path(directory).parent / "problem.json").read_text())
        resumed(directory, problem[Path(directory).name])
        return
    held = pt.load_complex(directory)
    _ = repr(held), held.engine, held.complete, held.open_cells, held.found.statistics
    for name in ("patterns", "interior_points", "candidates", "facets", "neighbours"):
        getattr(held.found, name)
    if len(held):
        _ = held[0], held.network.affine(held.patterns[:50])


def resumed(directory: str, name: str) -> None:
    """Go on with a run of a network that we have."""
    import polytope as pt
    from tests.stored_runs import RUNS

    run = RUNS[name]
    network, domain = run.problem()
    pt.enumerate_regions(
        network, domain, run.engine, directory=directory, resume=True, max_seconds=0.5, max_regions=20
    )


def memory(name: str) -> int:
    """A line of ``/proc/self/status``, in bytes."""
    [line] = [row for row in Path("/proc/self/status").read_text().splitlines() if row.startswith(name)]
    return int(line.split()[1]) * 1024


def outcome(verb: str, directory: str) -> dict[str, Any]:
    """Read a directory, and say how it ended."""
    from polytope.errors import is_deliberate

    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    before, started = memory("VmRSS"), time.process_time()
    kind = message = ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            read(verb, directory)
    except BaseException as error:
        kind, message = type(error).__name__, str(error)
        refused = ("holds no complex", "was begun", "not a directory")
        if type(error) is ValueError and is_deliberate(error) and any(w in message for w in refused):
            kind = "no complex here"
    return {
        "kind": kind,
        "message": message[:2000],
        "seconds": time.process_time() - started,
        "bytes": memory("VmHWM") - before,
    }


def main() -> None:
    """Answer until the input ends."""
    import faulthandler
    import resource

    read_and_ready()
    resource.setrlimit(resource.RLIMIT_AS, (memory("VmSize") + CEILING, resource.RLIM_INFINITY))
    for line in sys.stdin:
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        answer = outcome(*json.loads(line))
        faulthandler.cancel_dump_traceback_later()
        print(json.dumps(answer), flush=True)


def read_and_ready() -> None:
    """Load what readers load, so that it is not counted."""
    import pyarrow.parquet  # noqa: F401

    import polytope as pt
    from tests.stored_runs import RUNS

    for run in RUNS.values():
        network, domain = run.problem()
        pt.enumerate_regions(network, domain, run.engine, max_regions=5)


if __name__ == "__main__":
    main()

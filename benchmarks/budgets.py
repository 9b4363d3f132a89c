"""How much longer than asked does each verb take on hard inputs, and how much memory?

``python benchmarks/budgets.py MODELS [--seconds 2] [--verbs NAME ...] [--files NAME ...] [--renew JSON]
[--write FOLDER]`` calls every verb that takes a time on files of the folder MODELS that are hard for it. Each
call is a process of its own, ended after ``--timeout`` seconds; what it took is measured around the call
alone, reading the file and making the domain not included. The processor time of the call stands beside it:
where other work runs on the same cores (the load is that of the minute before), it says how much of them the
call had. Memory is the peak resident size of the process (of the largest process, where a verb starts some),
and beside it what was resident before the call. ``--renew JSON`` keeps the rows of an earlier table that are
not asked for.

Windows are the plane through three random points of [0, 1]^d, t in [-1, 2]^2. Commands are run as a user runs
them; the time of ``polytope inspect`` on the same file, which reads and checks it, is taken off.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from budget_verbs import MIDDLE, READ, VERBS, Facts, unsafe
from harness import environment, in_words, parser, publish, table_of, title

import adapters
import polytope as pt

COMMANDS: dict[str, tuple[str, ...]] = {
    "polytope count": ("count", "{model}", "--max-seconds", "{seconds}"),
    "polytope regions": ("regions", "{model}", "--max-seconds", "{seconds}", "--out", "{folder}/run"),
    "polytope plot": ("plot", "{model}", "--max-seconds", "{seconds}", "--out", "{folder}/picture.png"),
    "polytope check": ("check", "{model}", "{folder}/property.vnnlib", "--max-seconds", "{seconds}"),
    "polytope compare": ("compare", "{model}", "{model}", "--max-seconds", "{seconds}"),
    "polytope complexity": (
        *("complexity", "{model}", "--data", "{folder}/data.npz", "--radius", "0.1"),
        *("--max-seconds", "{seconds}"),
    ),
    "polytope audit": ("audit", "{model}", "--budget", "{seconds}s", "--out", "{folder}/report"),
}
"""Commands as they are typed."""


def peak_megabytes() -> int:
    """The largest resident size so far of this process or of one that it started and that has ended."""
    own = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
    return round(max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024)


def run(verb: str, file: Path, seconds: float) -> Facts:
    """One call and its figures."""
    if verb in COMMANDS:
        return run_command(COMMANDS[verb], file, seconds)
    make, _ = VERBS[verb]
    network = adapters.load(file, **READ.get(file.name, {}))
    tiny = pt.mlp([([[1.0, 0.0]], [0.1]), ([[1.0]], [0.0])])
    pt.enumerate_regions(tiny, pt.Polyhedron.box([-1.0, -1.0], [1.0, 1.0]))  # loads the compiled code
    call = make(network, seconds)
    before = peak_megabytes()
    start, busy = time.perf_counter(), processor_seconds()
    facts = call()
    taken, busy = time.perf_counter() - start, processor_seconds() - busy
    return {"taken": taken, "busy": busy, "before_mb": before, "peak_mb": peak_megabytes()} | facts


def processor_seconds() -> float:
    """Processor time so far of this process and of those that it started and that have ended."""
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def run_command(words: Sequence[str], file: Path, seconds: float) -> Facts:
    """One command and its figures, less the time of reading the file."""
    more = options_of(file.name)
    start = time.perf_counter()
    polytope("count", str(file), *more, "--max-regions", "1", "--max-seconds", "0.001")
    read = time.perf_counter() - start
    before = peak_megabytes()
    with TemporaryDirectory() as folder:
        if any("{folder}/" in word for word in words if word.endswith(("vnnlib", "npz"))):
            write_questions(Path(folder), file)
        given = [word.format(model=file, seconds=f"{seconds:g}", folder=folder) for word in (*words, *more)]
        start = time.perf_counter()
        said = polytope(*given)
        taken = time.perf_counter() - start
    return {
        "taken": taken - read,
        "before_mb": before,
        "peak_mb": peak_megabytes(),
        "found": said.replace(f"{folder}/", ""),
    }


def write_questions(folder: Path, file: Path) -> None:
    """A property of a model, and points to look around, as files."""
    network = adapters.load(file, **READ.get(file.name, {}))
    (folder / "property.vnnlib").write_text(unsafe(network))
    np.savez(folder / "data.npz", X=np.random.default_rng(0).random((64, *network.input_shape)))


def options_of(name: str) -> list[str]:
    """The options of a command that reads a file as ``READ`` says."""
    given = READ.get(name, {})
    until = given.get("until", [])
    out = [word for tensor in ([until] if isinstance(until, str) else until) for word in ("--until", tensor)]
    if "input_shape" in given:
        out += ["--input-shape", ",".join(map(str, given["input_shape"]))]
    return out


def polytope(*words: str) -> str:
    """The last line that a command says."""
    done = subprocess.run(
        [sys.executable, "-m", "polytope", *words], capture_output=True, text=True, check=False
    )
    return (done.stdout.splitlines() or done.stderr.splitlines() or [""])[-1][:80]


def apart(verb: str, file: Path, seconds: float, timeout: float) -> Facts:
    """The same in a process of its own, which is ended where it takes very long."""
    command = [
        sys.executable,
        __file__,
        str(file.parent),
        "--only",
        verb,
        file.name,
        "--seconds",
        str(seconds),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return {"taken": timeout, "found": "ended from outside"}
    if done.returncode:
        return {"taken": None, "found": (done.stderr.splitlines() or ["no word"])[-1][:120]}
    facts: Facts = json.loads(done.stdout.splitlines()[-1])
    return facts


def row(verb: str, file: str, seconds: float, facts: Facts) -> Facts:
    """A line of the table."""
    taken = facts["taken"]
    asked = 20 * seconds if "MB" in verb else seconds
    allowed = 1.1 * asked + (2.0 if "audit" in verb or "plot" in verb else 1.0)
    return {
        "verb": verb,
        "file": file,
        "asked s": asked,
        "taken s": None if taken is None else round(taken, 2),
        "load": round(facts["load"], 1),
        "processor s": None if facts.get("busy") is None else round(facts["busy"], 2),
        "over": "" if taken is not None and taken <= allowed else "over",
        "before MB": facts.get("before_mb"),
        "peak MB": facts.get("peak_mb"),
        "found": facts.get("found"),
        "stopped by": facts.get("stopped_by"),
        "complete": {True: "yes", False: "no"}.get(facts.get("complete")),  # type: ignore[arg-type]
    }


def renewed(before: list[Facts], rows: list[Facts]) -> list[Facts]:
    """The rows of an earlier table with those that were measured now, in the order of the verbs."""
    known = {(line["verb"], line["file"]): line for line in (*before, *rows)}
    order = [*VERBS, *COMMANDS]
    columns = list(rows[0])
    lines = sorted(known.values(), key=lambda line: order.index(line["verb"]))
    return [{name: line.get(name) for name in columns} for line in lines]


def in_all(rows: list[Facts]) -> str:
    """How many rows are over, and how many of these because they waited for the machine."""
    over = [line for line in rows if line["over"] == "over"]
    known = [line["processor s"] <= line["asked s"] for line in over if line["processor s"] is not None]
    return (
        "Over: more than 10 % and one second (for audits and pictures two) above what was asked. "
        f"{len(over)} of {len(rows)} rows: {sum(known)} that had no more processor time than was asked, "
        f"{len(known) - sum(known)} that had more, and {len(over) - len(known)} "
        "of which it was not measured."
    )


def main() -> None:
    """Run every row in turn; print, and write if asked to."""
    options = parser(__doc__)
    options.add_argument("models", type=Path)
    options.add_argument("--seconds", type=float, default=2.0)
    options.add_argument("--timeout", type=float, default=120.0)
    options.add_argument("--verbs", nargs="+", default=[*VERBS, *COMMANDS])
    options.add_argument("--files", nargs="+")
    options.add_argument("--renew", type=Path, metavar="JSON", help="keep the other rows of this table")
    options.add_argument("--only", nargs=2, metavar=("VERB", "FILE"))
    chosen = options.parse_args()
    if chosen.only:
        verb, file = chosen.only
        print(json.dumps(run(verb, chosen.models / file, chosen.seconds)), flush=True)
        return
    rows: list[Facts] = []
    for verb in chosen.verbs:
        for file in chosen.files or (VERBS[verb][1] if verb in VERBS else MIDDLE[:4]):
            load = os.getloadavg()[0]
            facts = apart(verb, chosen.models / file, chosen.seconds, chosen.timeout) | {"load": load}
            rows.append(row(verb, file, chosen.seconds, facts))
            print(*rows[-1].values(), sep=" | ", file=sys.stderr, flush=True)
    if chosen.renew is not None:
        rows = renewed(json.loads(chosen.renew.read_text())["rows"], rows)
    where = environment("highspy")
    page = [title(__doc__), in_words(where, chosen.note), table_of(rows), in_all(rows)]
    publish(__file__, page, {"versions": where, "note": chosen.note, "rows": rows}, chosen.write)


if __name__ == "__main__":
    main()

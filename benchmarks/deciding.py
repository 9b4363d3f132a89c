"""Are the properties of ACAS Xu decided as published, and in how much CPU time beside nnenum?

``python benchmarks/deciding.py --models FOLDER [--peer PYTHON CHECKOUT] [--instances 36 | --only 3_3:9 ...]``
``[--limit 116] [--runs RUNS.jsonl] [--write benchmarks/results]``

The folder holds the 45 networks ``ACASXU_run2a_1_1_batch_2000.onnx`` ... and ``prop_1.vnnlib`` ... of the
competition VNN-COMP: properties 1 to 4 on all networks, and 5 to 10 on the six that they speak of. The peer
is a checkout of github.com/stanleybak/nnenum and an interpreter that has what it needs (numpy, scipy, onnx,
onnxruntime, skl2onnx, swiglpk, termcolor, threadpoolctl); it runs with one process, as we do with one thread.

Both take turns, instance by instance, each in a process of its own that is stopped a little after the limit.
CPU seconds are user and system time of the process and its children: "all" from its start to its end, "run"
from where all modules are imported. On a busy machine nnenum splits more, for its linear programs have limits
of wall time: compare on a quiet one. Every run is appended to the file of runs as it ends, and what is there
is not run again: a long benchmark may be stopped and started again. The table is made of all of them.

References: Katz et al. (2017), "Reluplex", https://arxiv.org/abs/1702.01135 (the properties). Bak, Tran,
Hobbs, Johnson (2020), "Improved Geometric Path Enumeration for Verifying ReLU Neural Networks" (nnenum).
Müller, Brix, Bak, Liu, Johnson (2022), "The Third International Verification of Neural Networks Competition",
https://arxiv.org/abs/2212.10376 (the verdicts, in which all tools that decided an instance agree).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from harness import environment, in_words, parser, publish, table, title

NETWORKS = [f"{i}_{j}" for i in range(1, 6) for j in range(1, 10)]
SINGLE = {5: "1_1", 6: "1_1", 7: "1_9", 8: "2_9", 9: "3_3", 10: "4_5"}
VIOLATED = {
    2: set(NETWORKS) - {"1_1", "1_7", "1_8", "1_9", "3_3", "4_2"},
    3: {"1_7", "1_8", "1_9"},
    4: {"1_7", "1_8", "1_9"},
    7: {"1_9"},
    8: {"2_9"},
}
GRACE = 20.0  # seconds beyond the limit after which a process is stopped
PEER = """
import json, resource, sys
from nnenum import nnenum
def cpu():
    use = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in use)
before = cpu()
nnenum.main()
with open(sys.argv[4]) as file:
    print(json.dumps({"status": file.read(), "cpu_run": cpu() - before}))
"""
Run = dict[str, Any]


def instances() -> list[tuple[str, int]]:
    """All 186 pairs of a network and a property."""
    return [(net, number) for number in range(1, 5) for net in NETWORKS] + [
        (net, number) for number, net in SINGLE.items()
    ]


def published(net: str, number: int) -> str:
    """What is known of a property on a network."""
    return "violated" if net in VIOLATED.get(number, ()) else "holds"


def cpu_seconds() -> float:
    """Of this process and of its children that have ended."""
    use = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in use)


def ours(model: Path, stated: Path, limit: float) -> Run:
    """One property decided by this package."""
    from adapters import load, runtime
    from polytope import check_property

    before = cpu_seconds()
    network = load(model)
    found = check_property(network, stated, max_seconds=limit, runtime=runtime(network))
    facts = {"status": found.status, "confirmed": found.confirmed, "proof": found.proof}
    return facts | {"regions": found.regions, "cpu_run": cpu_seconds() - before}


def measured(command: Sequence[str], around: dict[str, str], limit: float) -> Run:
    """The last line that a process prints, as JSON, and what it took; one that is late is stopped."""
    start = time.perf_counter()
    with TemporaryDirectory() as folder:
        said, complained = Path(folder) / "stdout", Path(folder) / "stderr"
        with said.open("wb") as out, complained.open("wb") as errors:
            process = subprocess.Popen(command, stdout=out, stderr=errors, env=around, start_new_session=True)
            late = _wait(process, limit + GRACE)
        use = late["use"]
        facts: Run = {"status": "timeout"}
        if not late["stopped"]:
            lines = said.read_text().splitlines()
            if late["code"] or not lines:
                facts = {"status": "error", "message": complained.read_text()[-300:]}
            else:
                facts = json.loads(lines[-1])
    return facts | {
        "seconds": time.perf_counter() - start,
        "cpu_all": use.ru_utime + use.ru_stime,
        "megabytes": use.ru_maxrss / 1024,
    }


def _wait(process: subprocess.Popen[bytes], seconds: float) -> dict[str, Any]:
    """How a process ended, and what it and the children that it waited for used."""
    deadline, stopped = time.perf_counter() + seconds, False
    while True:
        pid, status, use = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return {"code": process.returncode, "use": use, "stopped": stopped}
        if not stopped and time.perf_counter() > deadline:
            os.killpg(process.pid, signal.SIGKILL)
            stopped = True
        time.sleep(0.01)


def run(program: str, net: str, number: int, chosen: argparse.Namespace) -> Run:
    """One instance in a process of its own."""
    model = chosen.models / f"ACASXU_run2a_{net}_batch_2000.onnx"
    stated = chosen.models / f"prop_{number}.vnnlib"
    around = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    if program == "polytope":
        named = ["--models", str(chosen.models), "--limit", str(chosen.limit)]
        command = [sys.executable, __file__, *named, "--single", f"{net}:{number}"]
        found = measured(command, around, chosen.limit)
    else:
        python, checkout = chosen.peer
        around["PYTHONPATH"] = str(Path(checkout) / "src")
        with TemporaryDirectory() as folder:
            given = [str(model), str(stated), str(chosen.limit), str(Path(folder) / "result"), "1"]
            found = measured([python, "-c", PEER, *given], around, chosen.limit)
    return {"program": program, "network": net, "property": number, "limit": chosen.limit} | found


def known(file: Path | None) -> list[Run]:
    """The runs that a file holds; a line that was cut off is none."""
    if file is None or not file.exists():
        return []
    found = []
    for line in file.read_text().splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def all_runs(pairs: Sequence[tuple[str, int]], chosen: argparse.Namespace) -> Iterator[Run]:
    """Every instance by every program in turn, those that the file of runs holds first."""
    programs = ["polytope", "nnenum"] if chosen.peer else ["polytope"]
    wanted = {(program, net, number) for program in programs for net, number in pairs}
    done = [r for r in known(chosen.runs) if r["limit"] == chosen.limit]
    done = [r for r in done if (r["program"], r["network"], r["property"]) in wanted]
    yield from done
    there = {(r["program"], r["network"], r["property"]) for r in done}
    for turn, (net, number) in enumerate(pairs):
        for program in programs[:: -1 if turn % 2 else 1]:
            if (program, net, number) in there:
                continue
            found = run(program, net, number, chosen)
            facts = (
                f"{found['status']} CPU {found['cpu_all']:.2f} s, run {found.get('cpu_run', np.nan):.2f} s"
            )
            sys.stderr.write(f"{turn + 1}/{len(pairs)} {net}:{number} {program} {facts}\n")
            if chosen.runs is not None:
                with chosen.runs.open("a") as file:
                    file.write(json.dumps(found) + "\n")
            yield found


def by_property(runs: Sequence[Run], programs: Sequence[str]) -> str:
    """One row a property and program: how many are right, and the CPU time of all together."""
    rows = []
    numbers = sorted({r["property"] for r in runs})
    for number in [*numbers, None]:
        for program in programs:
            some = [r for r in runs if r["program"] == program and number in (None, r["property"])]
            right = sum(r["status"] == published(r["network"], r["property"]) for r in some)
            undecided = sum(r["status"] not in ("holds", "violated") for r in some)
            cpu = [r["cpu_all"] for r in some]
            inner = [r.get("cpu_run", r["cpu_all"]) for r in some]
            what = "all" if number is None else number
            wrong = len(some) - right - undecided
            rows.append([what, program, len(some), right, undecided, wrong, sum(cpu), sum(inner), max(inner)])
            rows[-1].append(sum(r["seconds"] for r in some))
    head = ["property", "program", "instances", "as published", "undecided", "wrong", "CPU s, all"]
    return table([*head, "CPU s, run", "longest run", "wall s"], rows)


def ratios(runs: Sequence[Run]) -> str:
    """Our CPU time in shares of the peer's, on the instances that both have run."""
    total: dict[tuple[str, str], float] = {}
    of = {(r["program"], r["network"], r["property"]): r for r in runs}
    both = [(n, p) for q, n, p in of if q == "polytope" and ("nnenum", n, p) in of]
    for program in ("polytope", "nnenum"):
        for key in ("cpu_all", "cpu_run"):
            some = [of[program, n, p] for n, p in both]
            total[program, key] = sum(r.get(key, r["cpu_all"]) for r in some)
    share = {key: total["polytope", key] / total["nnenum", key] for key in ("cpu_all", "cpu_run")}
    return (
        f"On the {len(both)} instances that both have run, our CPU time is {share['cpu_all']:.2f} of "
        f"nnenum's from start to end, {share['cpu_run']:.2f} from where modules are imported."
    )


def slowest(runs: Sequence[Run]) -> str:
    """The ten instances that take us longest, beside the peer."""
    of = {(r["program"], r["network"], r["property"]): r for r in runs}
    mine = sorted((r for r in runs if r["program"] == "polytope"), key=lambda r: -r["cpu_all"])[:10]
    rows = []
    for r in mine:
        other = of.get(("nnenum", r["network"], r["property"]), {})
        facts = [r["status"], r.get("proof"), r.get("regions"), r.get("cpu_run")]
        rows.append([f"{r['network']}:{r['property']}", *facts, other.get("status"), other.get("cpu_run")])
    head = ["instance", "status", "proof", "regions", "CPU s, run", "nnenum", "CPU s, run"]
    return table(head, rows)


def disagreements(runs: Sequence[Run]) -> str:
    """Where a verdict is not the published one, and counterexamples that the runtime does not confirm."""
    lines = []
    for r in runs:
        right = published(r["network"], r["property"])
        if r["status"] != right:
            where = f"{r['program']} on {r['network']}:{r['property']}"
            lines.append(f"{where}: {r['status']}, {right} is published. {r.get('message', '')}".strip())
    mine = [r for r in runs if r["program"] == "polytope" and r["status"] == "violated"]
    lines += [
        f"{r['network']}:{r['property']}: onnxruntime does not confirm." for r in mine if not r["confirmed"]
    ]
    confirmed = sum(bool(r["confirmed"]) for r in mine)
    said = f"onnxruntime, in float32, confirms {confirmed} of our {len(mine)} counterexamples."
    return "\n".join([said, *(f"* {line}" for line in lines)])


def chosen_instances(chosen: argparse.Namespace) -> list[tuple[str, int]]:
    """Those named, or so many spread evenly, or all."""
    pairs = instances()
    if chosen.only:
        wanted = {(net, int(number)) for net, _, number in (name.partition(":") for name in chosen.only)}
        if unknown := wanted - set(pairs):
            raise SystemExit(f"There are no instances {sorted(unknown)}.")
        return [pair for pair in pairs if pair in wanted]
    places = np.unique(np.linspace(0, len(pairs) - 1, min(chosen.instances, len(pairs))).round().astype(int))
    return [pairs[i] for i in places.tolist()]


def main() -> None:
    """Run everything in turn; print, and write if asked to."""
    options = parser(__doc__)
    options.add_argument("--models", type=Path, required=True, metavar="FOLDER")
    options.add_argument("--peer", nargs=2, default=[], metavar=("PYTHON", "CHECKOUT"))
    options.add_argument("--instances", type=int, default=len(instances()), help="so many, spread evenly")
    options.add_argument("--only", nargs="+", default=[], metavar="NETWORK:PROPERTY")
    options.add_argument("--limit", type=float, default=116.0, help="seconds for an instance")
    options.add_argument("--runs", type=Path, metavar="FILE", help="appended to, one line of JSON a run")
    options.add_argument("--single", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.single:
        net, _, number = chosen.single.partition(":")
        model = chosen.models / f"ACASXU_run2a_{net}_batch_2000.onnx"
        print(json.dumps(ours(model, chosen.models / f"prop_{number}.vnnlib", chosen.limit)))
        return
    load = os.getloadavg()[0]
    runs = list(all_runs(chosen_instances(chosen), chosen))
    where = environment("onnxruntime", "highspy")
    about = f"Load {load:.1f} at the start. Limit {chosen.limit:g} s an instance. {chosen.note}"
    programs = ["polytope", "nnenum"] if chosen.peer else ["polytope"]
    page = [title(__doc__), in_words(where, about), by_property(runs, programs)]
    page += [ratios(runs)] if chosen.peer else []
    page += ["Where we take longest:", slowest(runs), disagreements(runs)]
    record = {"versions": where, "load": load, "note": chosen.note, "runs": runs}
    publish(__file__, page, record, chosen.write)


if __name__ == "__main__":
    main()

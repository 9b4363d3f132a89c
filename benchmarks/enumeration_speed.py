"""How fast are regions enumerated, next to regioncam and relucent, and how does the time grow?

Every run is a fresh process, in which only the call is timed; the programs alternate.
``python benchmarks/enumeration_speed.py [--repeats 5] [--quick]`` prints the tables and writes them to
``benchmarks/results``. The peers come with the ``bench`` extra; ``--peer PYTHON CHECKOUT`` is an earlier
version of polytope and the interpreter that it runs with, whose first run fills its cache of compiled code.
Networks have torch's default initialisation with seed 0, the domain is the box [-1, 1]^d.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

REFERENCE = "2-256-256-256-1"
# at most: the reference peer's time on REFERENCE divided by these, with cells and for the count only
BARS = {
    "2-256-256-256-1": (30.0, 60.0),
    "2-128-128-128-1": (80.0, 150.0),
    "3-64-64-1": (40.0, 90.0),
    "4-32-32-1": (20.0, 40.0),
    "5-32-32-1": (1.0, 2.0),
}
# of the complexes in the box: any program meets them all
VERTICES = {
    "2-256-256-256-1": 95_925,
    "2-128-128-128-1": 23_655,
    "3-64-64-1": 67_001,
    "4-32-32-1": 108_648,
    "5-32-32-1": 1_565_829,
}
GROWTH = ("4-10-10-1", "4-16-16-1", "4-32-32-1", "4-64-64-1", "4-96-96-1")
SMALL = "2-50-50-1"  # the only network on which relucent ends in reasonable time


def initial(name: str) -> list[np.ndarray]:
    """Weights and biases in turn, as torch initialises them."""
    import torch

    torch.manual_seed(0)
    modules = [torch.nn.Linear(m, n, dtype=torch.float64) for m, n in pairwise(map(int, name.split("-")))]
    return [a.detach().numpy() for m in modules for a in (m.weight, m.bias)]


@cache
def weights(name: str) -> bytes:
    """The weights as a file, made by another process: this one does without torch."""
    command = [sys.executable, __file__, "--run", "weights", "--network", name]
    return subprocess.run(command, capture_output=True, check=True, stdin=subprocess.DEVNULL).stdout


def layers(name: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weights and biases of a benchmark network, as the calling process gives them for its own."""
    given = b"" if sys.stdin.isatty() or name != asked_for() else sys.stdin.buffer.read()
    with np.load(io.BytesIO(given or weights(name))) as arrays:
        return pairs(list(arrays.values()))


def asked_for() -> str:
    """The network that this process was started for."""
    return sys.argv[sys.argv.index("--network") + 1] if "--network" in sys.argv else ""


def pairs(arrays: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Every second array with the one behind it."""
    return list(zip(arrays[::2], arrays[1::2], strict=True))


def run_ours(name: str, keep: bool, workers: int) -> tuple[int, float, float]:
    """Regions, seconds on the clock and on the processors."""
    import polytope as pt

    network = pt.mlp([(W.astype(float), b.astype(float)) for W, b in layers(name)])
    box = pt.Polyhedron.box([-1.0] * network.input_dim, [1.0] * network.input_dim)
    tiny = pt.mlp([(np.eye(network.input_dim), np.zeros(network.input_dim))] * 2)
    engine = pt.LayerSplit(cells="vertices", workers=workers)
    search = pt.enumerate_regions if keep else pt.count_regions
    search(tiny, box, engine)  # an earlier version loads its compiled code
    wall, cpu = time.perf_counter(), time.process_time()
    found = search(network, box, engine)
    if keep:
        assert len(found.neighbours)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    assert found.complete
    return found.lower, wall, cpu


def run_regioncam(name: str) -> tuple[int, float, float]:
    """The same for regioncam: faces with their activations (plane only, float32)."""
    import regioncam

    weights = layers(name)[:-1]
    wall, cpu = time.perf_counter(), time.process_time()
    complex_ = regioncam.Regioncam(size=1)
    for W, b in weights:
        complex_.linear(np.ascontiguousarray(W.T, dtype=np.float32), b.astype(np.float32))
        complex_.relu()
    return complex_.num_faces, time.perf_counter() - wall, time.process_time() - cpu


def run_relucent(name: str) -> tuple[int, float, float]:
    """The same for relucent: a breadth-first search over the whole plane, from which the box is not taken."""
    import relucent
    import torch

    modules: list[torch.nn.Module] = []
    for W, b in layers(name):
        linear = torch.nn.Linear(W.shape[1], W.shape[0], dtype=torch.float64)
        with torch.no_grad():
            linear.weight.copy_(torch.tensor(W))
            linear.bias.copy_(torch.tensor(b))
        modules += [linear, torch.nn.ReLU()]
    wall, cpu = time.perf_counter(), time.process_time()
    complex_ = relucent.Complex(torch.nn.Sequential(*modules[:-1]))
    complex_.bfs()
    return len(complex_), time.perf_counter() - wall, time.process_time() - cpu


def run_limit(name: str) -> tuple[int, float, float]:
    """The bytes of the result; seconds to write so many, and to evaluate every unit at every vertex."""
    found = complex_of(name)
    d, facets = found.network.input_dim, found.facets
    arrays = [
        np.packbits(found.patterns, axis=1),
        found.interior_points,
        facets.offsets,
        facets.unit,
        found.neighbours,
    ]
    size = sum(a.nbytes for a in arrays)
    start = time.perf_counter()
    np.ones(size // 8)
    writing = time.perf_counter() - start
    points, rows = np.ones((VERTICES[name], d)), np.ones((d, found.network.n_units))
    start = time.perf_counter()
    for part in np.array_split(points, 1 + len(points) // 1000):
        part @ rows
    return size, writing, time.perf_counter() - start


def run_unpacking(name: str) -> tuple[int, float, float]:
    """Seconds until the patterns, which are kept eight units to a byte, can be read."""
    found = complex_of(name)
    wall, cpu = time.perf_counter(), time.process_time()
    n = len(found.patterns)
    return n, time.perf_counter() - wall, time.process_time() - cpu


def complex_of(name: str) -> Any:
    """The regions of a benchmark network."""
    import polytope as pt

    network = pt.mlp([(W.astype(float), b.astype(float)) for W, b in layers(name)])
    d = network.input_dim
    return pt.enumerate_regions(network, pt.Polyhedron.box([-1.0] * d, [1.0] * d))


RUNS = {
    "limit": run_limit,
    "unpacking": run_unpacking,
    "cells": lambda name: run_ours(name, True, 1),
    "count": lambda name: run_ours(name, False, 1),
    "cells, 2 workers": lambda name: run_ours(name, True, 2),
    "count, 2 workers": lambda name: run_ours(name, False, 2),
    "regioncam": run_regioncam,
    "relucent": run_relucent,
}


EARLIER = "earlier "  # in front of a program: run by the other version
peer: list[str] = []  # its interpreter and checkout


def take_peer(parser: argparse.ArgumentParser) -> None:
    """The option that names an earlier version."""
    parser.add_argument("--peer", nargs=2, default=[], metavar=("PYTHON", "CHECKOUT"))


def fresh(program: str, name: str, timeout: float = 900.0, script: str = __file__) -> dict[str, float]:
    """One run in a process of its own."""
    python, environment = sys.executable, dict(os.environ)
    if program.startswith(EARLIER):
        python, environment["PYTHONPATH"] = peer
        program = program.removeprefix(EARLIER)
    command = [python, script, "--run", program, "--network", name]
    started = time.perf_counter()
    try:
        done = subprocess.run(
            command,
            input=weights(name) if name.replace("-", "").isdigit() else b"",
            capture_output=True,
            timeout=timeout,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        return {"regions": 0, "seconds": timeout, "cpu": timeout, "megabytes": 0, "process": timeout}
    if done.returncode:
        raise RuntimeError(f"{program} on {name}: {done.stderr[-800:].decode()}")
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result | {"process": time.perf_counter() - started}


def alternate(
    pairs: list[tuple[str, str]], repeats: int, script: str = __file__
) -> dict[str, dict[str, float]]:
    """Medians over runs that take turns."""
    seen: dict[str, list[dict[str, float]]] = {}
    for _ in range(repeats):
        for program, name in pairs:
            seen.setdefault(f"{program} | {name}", []).append(fresh(program, name, script=script))
    return {key: {field: median(r[field] for r in runs) for field in runs[0]} for key, runs in seen.items()}


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, ["---"] * len(header), *rows])


def speed_table(medians: dict[str, dict[str, float]]) -> str:
    """Ours against T, regioncam's median on the reference network; ratios on the clock and in CPU time."""
    T = medians[f"regioncam | {REFERENCE}"]
    rows = []
    for name, bars in BARS.items():
        for program, bar in zip(("cells", "count"), bars, strict=True):
            one, two = medians[f"{program} | {name}"], medians[f"{program}, 2 workers | {name}"]
            rows.append(
                [
                    name,
                    f"{one['regions']:,.0f}",
                    program,
                    f"{one['seconds']:.4f}",
                    f"{two['seconds']:.4f}",
                    f"{one['cpu']:.4f}",
                    f"T / {T['seconds'] / one['seconds']:.1f}",
                    f"T / {T['seconds'] / two['seconds']:.1f}",
                    f"T / {T['cpu'] / one['cpu']:.1f}",
                    f"T / {bar:g}",
                    f"{max(one['megabytes'], two['megabytes']):.0f}",
                ]
            )
    head = [
        "network",
        "regions",
        "what",
        "1 worker s",
        "2 workers s",
        "CPU s",
        "1 worker",
        "2 workers",
        "CPU",
        "bar",
        "MB",
    ]
    note = (
        f"T = {T['seconds']:.2f} s on the clock, {T['cpu']:.2f} s of CPU time, {T['megabytes']:.0f} MB.\n\n"
    )
    return note + table(head, rows)


def peer_table(medians: dict[str, dict[str, float]], names: Iterable[str], programs: tuple[str, ...]) -> str:
    """The earlier version's CPU time against ours on the same rows, one worker."""
    rows, logs = [], []
    for name in names:
        for program in programs:
            before, now = medians[f"{EARLIER}{program} | {name}"], medians[f"{program} | {name}"]
            assert before["regions"] == now["regions"], f"{program} of {name}"
            logs.append(math.log(before["cpu"] / now["cpu"]))
            times = [f"{before['cpu']:.4f}", f"{now['cpu']:.4f}", f"{math.exp(logs[-1]):.2f}"]
            rows.append([name, program, *times, f"{before['megabytes']:.0f}", f"{now['megabytes']:.0f}"])
    head = ["network", "what", "earlier CPU s", "CPU s", "times as fast", "earlier MB", "MB"]
    mean = math.exp(sum(logs) / len(logs))
    return table(head, rows) + f"\n\nOn the geometric mean {mean:.2f} times as fast as the earlier version."


def warm_up(script: str, names: Iterable[str], programs: tuple[str, ...]) -> list[tuple[str, str]]:
    """The earlier version's runs, after one that fills its cache of compiled code; none without one."""
    if not peer:
        return []
    runs = [(EARLIER + program, name) for name in names for program in programs]
    for program in programs:
        fresh(EARLIER + program, next(iter(names)), script=script)
    return runs


def growth_table(medians: dict[str, dict[str, float]]) -> str:
    """CPU time per region against the number of regions, count only."""
    runs = [(name, medians[f"count | {name}"]) for name in GROWTH if f"count | {name}" in medians]
    rows = [
        [name, f"{r['regions']:,.0f}", f"{r['cpu']:.3f}", f"{1e6 * r['cpu'] / r['regions']:.2f}"]
        for name, r in runs
    ]
    return table(["network", "regions", "CPU s", "us per region"], rows)


def limit_table(medians: dict[str, dict[str, float]]) -> str:
    """The least work there is: writing the result once, evaluating every unit once at every vertex."""
    rows = []
    for name in BARS:
        limit, cells, count = (medians[f"{program} | {name}"] for program in ("limit", "cells", "count"))
        writing, arithmetic = limit["seconds"], limit["cpu"]
        unpacking = medians[f"unpacking | {name}"]["seconds"]
        rows.append(
            [
                name,
                f"{limit['regions'] / 1e6:.0f}",
                f"{writing:.4f}",
                f"{arithmetic:.4f}",
                f"{cells['seconds'] / (writing + arithmetic):.0f}",
                f"{count['seconds'] / arithmetic:.0f}",
                f"{unpacking:.4f}",
            ]
        )
    head = ["network", "MB of result", "writing s", "arithmetic s", "cells / limit", "count / limit"]
    head.append("patterns as bytes s")
    return table(head, rows)


def start_table() -> str:
    """The first result of a new process."""
    first = fresh("first", "2-10-5-1")
    return table(["first result s", "CPU s"], [[f"{first['seconds']:.3f}", f"{first['cpu']:.3f}"]])


def first_result() -> tuple[int, float, float]:
    """The first count in this process, loading of the compiled code included."""
    import polytope as pt

    network = pt.mlp([(W.astype(float), b.astype(float)) for W, b in layers("2-10-5-1")])
    wall, cpu = time.perf_counter(), time.process_time()
    count = pt.count_regions(network, pt.Polyhedron.box([-1, -1], [1, 1]), pt.LayerSplit(cells="vertices"))
    return count.lower, time.perf_counter() - wall, time.process_time() - cpu


def versions() -> dict[str, str]:
    """What ran, and where."""
    out = {"python": platform.python_version(), "machine": platform.machine(), "cores": str(os.cpu_count())}
    for package in ("polytope-nn", "numpy", "regioncam", "relucent"):
        try:
            out[package] = version(package)
        except PackageNotFoundError:
            out[package] = "not installed"
    return out


def run_one(program: str, name: str) -> None:
    """The inside of a fresh process: one line of JSON."""
    if program == "weights":
        np.savez(sys.stdout.buffer, *initial(name))
        return
    regions, wall, cpu = first_result() if program == "first" else RUNS[program](name)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps({"regions": regions, "seconds": wall, "cpu": cpu, "megabytes": peak}) + "\n")


def main() -> None:
    """Run everything and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="without the larger networks and relucent")
    parser.add_argument("--run")
    take_peer(parser)
    parser.add_argument("--network", default=REFERENCE)
    options = parser.parse_args()
    if options.run:
        run_one(options.run, options.network)
        return
    ours = ["cells", "count", "cells, 2 workers", "count, 2 workers"]
    peer.extend(options.peer)
    turns = [("regioncam", REFERENCE), *[(program, name) for name in BARS for program in ours]]
    turns += warm_up(__file__, BARS, ("cells", "count"))
    medians = alternate([*turns, ("cells", SMALL)], options.repeats)
    growth: list[str] = list(GROWTH[:3] if options.quick else GROWTH)
    medians |= alternate([("count", name) for name in growth], 1)
    medians |= alternate([(program, name) for program in ("limit", "unpacking") for name in BARS], 1)
    parts = ["# " + str(__doc__).splitlines()[0], speed_table(medians)]
    if not options.quick and find_spec("relucent"):
        other = fresh("relucent", SMALL, timeout=300.0)
        medians[f"relucent | {SMALL}"] = other
        mine = medians[f"cells | {SMALL}"]
        parts.append(
            f"{SMALL}: {mine['seconds']:.4f} s for {mine['regions']:.0f} regions; relucent "
            f"{other['seconds']:.1f} s for {other['regions']:.0f} (in the whole plane; 0 means stopped): "
            f"{other['seconds'] / mine['seconds']:,.0f} times."
        )
    if peer:
        parts.append(peer_table(medians, BARS, ("count", "cells")))
    parts += [limit_table(medians), growth_table(medians), start_table()]
    result: dict[str, Any] = {"versions": versions(), "repeats": options.repeats, "medians": medians}
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    text = "\n\n".join(parts) + "\n"
    (folder / "enumeration_speed.json").write_text(json.dumps(result, indent=1) + "\n")
    (folder / "enumeration_speed.md").write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()

"""How fast are regions enumerated, next to regioncam and relucent, and how does the time grow?

Every run is a fresh process, in which only the call is timed; the programs alternate.
``python benchmarks/enumeration_speed.py [--repeats 5] [--quick] [--write benchmarks/results]``. The peers
come with the ``bench`` extra; ``--peer PYTHON CHECKOUT`` is an earlier version of polytope and the
interpreter that it runs with, whose first run fills its cache of compiled code.
Networks have torch's default initialisation with seed 0, the domain is the box [-1, 1]^d.
"""

from __future__ import annotations

import io
import json
import resource
import subprocess
import sys
import time
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import numpy as np
from harness import (
    Medians,
    alternate,
    environment,
    fresh,
    in_words,
    parser,
    peer,
    peer_table,
    publish,
    table,
    take_turns,
    title,
    warm_up,
)

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


def speed_table(medians: Medians) -> str:
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


def growth_table(medians: Medians) -> str:
    """CPU time per region against the number of regions, count only."""
    runs = [(name, medians[f"count | {name}"]) for name in GROWTH if f"count | {name}" in medians]
    rows = [
        [name, f"{r['regions']:,.0f}", f"{r['cpu']:.3f}", f"{1e6 * r['cpu'] / r['regions']:.2f}"]
        for name, r in runs
    ]
    return table(["network", "regions", "CPU s", "us per region"], rows)


def limit_table(medians: Medians) -> str:
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
    first = fresh(__file__, "first", "2-10-5-1", weights("2-10-5-1"))
    return table(["first result s", "CPU s"], [[f"{first['seconds']:.3f}", f"{first['cpu']:.3f}"]])


def first_result() -> tuple[int, float, float]:
    """The first count in this process, loading of the compiled code included."""
    import polytope as pt

    network = pt.mlp([(W.astype(float), b.astype(float)) for W, b in layers("2-10-5-1")])
    wall, cpu = time.perf_counter(), time.process_time()
    count = pt.count_regions(network, pt.Polyhedron.box([-1, -1], [1, 1]), pt.LayerSplit(cells="vertices"))
    return count.lower, time.perf_counter() - wall, time.process_time() - cpu


def run_one(program: str, name: str) -> None:
    """The inside of a fresh process: one line of JSON."""
    if program == "weights":
        np.savez(sys.stdout.buffer, *initial(name))
        return
    regions, wall, cpu = first_result() if program == "first" else RUNS[program](name)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps({"regions": regions, "seconds": wall, "cpu": cpu, "megabytes": peak}) + "\n")


def main() -> None:
    """Run everything, print the tables, and write them if asked to."""
    options = parser(__doc__)
    take_turns(options, REFERENCE)
    options.add_argument("--quick", action="store_true", help="without the larger networks and relucent")
    chosen = options.parse_args()
    if chosen.run:
        run_one(chosen.run, chosen.network)
        return
    peer.extend(chosen.peer)
    growth = GROWTH[:3] if chosen.quick else GROWTH
    given = {name: weights(name) for name in (*BARS, *growth, SMALL)}
    ours = ["cells", "count", "cells, 2 workers", "count, 2 workers"]
    turns = [("regioncam", REFERENCE), *[(program, name) for name in BARS for program in ours]]
    turns += [*warm_up(__file__, list(BARS), ("cells", "count"), given), ("cells", SMALL)]
    medians = alternate(__file__, turns, chosen.repeats, given)
    medians |= alternate(__file__, [("count", name) for name in growth], 1, given)
    limits = [(program, name) for program in ("limit", "unpacking") for name in BARS]
    medians |= alternate(__file__, limits, 1, given)
    page = [title(__doc__), in_words(environment("regioncam", "relucent"), chosen.note), speed_table(medians)]
    if not chosen.quick and find_spec("relucent"):
        medians[f"relucent | {SMALL}"] = fresh(__file__, "relucent", SMALL, given[SMALL], timeout=300.0)
        page.append(against_relucent(medians))
    if peer:
        page.append(peer_table(medians, BARS, ("count", "cells")))
    page += [limit_table(medians), growth_table(medians), start_table()]
    where = environment("regioncam", "relucent")
    record = {"versions": where, "repeats": chosen.repeats, "note": chosen.note, "medians": medians}
    publish(__file__, page, record, chosen.write)


def against_relucent(medians: Medians) -> str:
    """One small network next to the peer that takes any dimension."""
    mine, other = medians[f"cells | {SMALL}"], medians[f"relucent | {SMALL}"]
    return (
        f"{SMALL}: {mine['seconds']:.4f} s for {mine['regions']:.0f} regions; relucent "
        f"{other['seconds']:.1f} s for {other['regions']:.0f} (in the whole plane; 0 means stopped): "
        f"{other['seconds'] / mine['seconds']:,.0f} times."
    )


if __name__ == "__main__":
    main()

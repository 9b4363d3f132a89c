"""How fast are LP cells in compiled code, next to HiGHS and relucent, and how does the time grow?

Every run is a fresh process with warm compilation caches, in which only the call is timed; the programs
alternate. T is regioncam's CPU time on its reference network in the same run. HiGHS and relucent are stopped
after some time or regions and compared per region. ``python benchmarks/lp_speed.py [--repeats 5]`` prints
the tables and writes them to ``benchmarks/results``. The peers come with the ``bench`` extra. Networks have
torch's default initialisation with seed 0, the domain is the box [-1, 1]^d.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from enumeration_speed import REFERENCE, alternate, fresh, layers, run_regioncam, table, versions

BARS = {"10-12-12-1": 0.6, "8-16-16-1": 2.5, "20-16-1": 1.0}  # at most so many times T
BY_DIMENSION = ("4-12-12-1", "6-12-12-1", "8-12-12-1", "10-12-12-1", "14-12-12-1", "20-12-12-1")
BY_UNITS = ("6-8-8-1", "6-12-12-1", "6-16-16-1", "6-20-20-1", "6-24-24-1")
PEER_REGIONS = 200  # relucent stops after so many
HIGHS_SECONDS = 10.0
DECIDED = {
    "ball": "inscribed ball",
    "points": "known points",
    "bare": "multipliers of the vertex at hand",
    "multipliers": "multipliers of a program",
    "exact": "rational arithmetic",
}


def run_ours(name: str, solver: str, keep: bool) -> dict[str, float]:
    """One search: regions, seconds on the clock and on the processors, and what decided how often."""
    import polytope as pt

    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        weights = pool.submit(layers, name).result()  # torch's memory is not ours
    network = pt.mlp(weights)
    box = pt.Polyhedron.box([-1.0] * network.input_dim, [1.0] * network.input_dim)
    tiny = pt.mlp([(np.eye(network.input_dim), np.zeros(network.input_dim))] * 2)
    engine = pt.LayerSplit(cells="lp", solver=solver)
    search = pt.enumerate_regions if keep else pt.count_regions
    search(tiny, box, engine, max_regions=10)  # loads the compiled code
    wall, cpu = time.perf_counter(), time.process_time()
    found = search(network, box, engine, max_seconds=HIGHS_SECONDS if solver == "highs" else None)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    assert found.complete or solver == "highs"
    return {"regions": found.lower, "seconds": wall, "cpu": cpu, **found.statistics}


def run_relucent(name: str) -> dict[str, float]:
    """The same for relucent: a breadth-first search among the cells that meet the box."""
    import relucent
    import torch

    modules: list[torch.nn.Module] = []
    for W, b in layers(name):
        linear = torch.nn.Linear(W.shape[1], W.shape[0], dtype=torch.float64)
        with torch.no_grad():
            linear.weight.copy_(torch.tensor(W))
            linear.bias.copy_(torch.tensor(b))
        modules += [linear, torch.nn.ReLU()]
    complex_ = relucent.Complex(torch.nn.Sequential(*modules[:-1]))
    wall, cpu = time.perf_counter(), sum(os.times()[:4])  # with its worker process
    complex_.bfs(
        max_polys=PEER_REGIONS, nworkers=1, cube_radius=1.0, cube_mode="intersect", verify=False, verbose=0
    )
    wall, cpu = time.perf_counter() - wall, sum(os.times()[:4]) - cpu
    return {"regions": len(complex_), "seconds": wall, "cpu": cpu}


RUNS = {
    "count": lambda name: run_ours(name, "simplex", False),
    "cells": lambda name: run_ours(name, "simplex", True),
    "highs": lambda name: run_ours(name, "highs", False),
    "relucent": run_relucent,
    "regioncam": lambda name: dict(zip(("regions", "seconds", "cpu"), run_regioncam(name), strict=True)),
}

Medians = dict[str, dict[str, float]]


def per_region(run: dict[str, float]) -> float:
    """Microseconds of CPU time."""
    return 1e6 * run["cpu"] / run["regions"]


def speed_table(medians: Medians) -> str:
    """Ours against T, and per region against the peers."""
    T = medians[f"regioncam | {REFERENCE}"]["cpu"]
    rows = []
    for name, bar in BARS.items():
        highs, peer = medians[f"highs | {name}"], medians[f"relucent | {name}"]
        for program in ("count", "cells"):
            run = medians[f"{program} | {name}"]
            rows.append(
                [
                    name,
                    f"{run['regions']:,.0f}",
                    program,
                    f"{run['seconds']:.3f}",
                    f"{run['cpu']:.3f}",
                    f"{run['cpu'] / T:.3f} T",
                    f"{bar:g} T",
                    f"{per_region(run):.2f}",
                    f"{per_region(highs) / per_region(run):,.0f}",
                    f"{per_region(peer) / per_region(run):,.0f}",
                    f"{run['megabytes']:.0f}",
                ]
            )
    head = ["network", "regions", "what", "s", "CPU s", "of T", "bar", "us a region"]
    head += ["HiGHS / ours", "relucent / ours", "MB"]
    note = (
        f"T = {T:.2f} s of CPU time. HiGHS is stopped after {HIGHS_SECONDS:g} s, relucent after "
        f"{PEER_REGIONS} regions: their columns are ratios of the CPU times per region. MB: of the whole "
        "process.\n\n"
    )
    return note + table(head, rows)


def decided_table(medians: Medians) -> str:
    """What decided the signs of units, a region."""
    rows = []
    for name in BARS:
        run = medians[f"count | {name}"]
        shares = [f"{run[key] / run['regions']:.3f}" for key in ("programs", "pivots", *DECIDED)]
        rows.append([name, *shares])
    return "Per region, count only:\n\n" + table(["network", "programs", "pivots", *DECIDED.values()], rows)


def growth_table(medians: Medians, names: tuple[str, ...]) -> str:
    """Time and programs per region, count only."""
    runs = [(name, medians[f"count | {name}"]) for name in names]
    rows = [
        [
            name,
            f"{run['regions']:,.0f}",
            f"{run['cpu']:.3f}",
            f"{1e6 * run['cpu'] / run['regions']:.2f}",
            f"{run['programs'] / run['regions']:.2f}",
            f"{run['pivots'] / run['regions']:.2f}",
        ]
        for name, run in runs
    ]
    return table(["network", "regions", "CPU s", "us a region", "programs", "pivots"], rows)


def main() -> None:
    """Run everything and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--run")
    parser.add_argument("--network", default=REFERENCE)
    options = parser.parse_args()
    if options.run:
        result = RUNS[options.run](options.network)
        result["megabytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        sys.stdout.write(json.dumps(result) + "\n")
        return
    fresh("cells", "10-12-12-1", script=__file__)  # compiles
    pairs = [("regioncam", REFERENCE), *[(program, name) for name in BARS for program in ("count", "cells")]]
    medians = alternate(pairs, options.repeats, __file__)
    medians |= alternate([(p, name) for name in BARS for p in ("highs", "relucent")], 1, __file__)
    grown = [("count", name) for name in dict.fromkeys(BY_DIMENSION + BY_UNITS) if name not in BARS]
    medians |= alternate(grown, 1, __file__)
    parts = ["# " + str(__doc__).splitlines()[0], speed_table(medians), decided_table(medians)]
    parts += ["By dimension:", growth_table(medians, BY_DIMENSION)]
    parts += ["By units:", growth_table(medians, BY_UNITS)]
    folder = Path(__file__).parent / "results"
    text = "\n\n".join(parts) + "\n"
    record = {"versions": versions(), "repeats": options.repeats, "medians": medians}
    (folder / "lp_speed.json").write_text(json.dumps(record, indent=1) + "\n")
    (folder / "lp_speed.md").write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()

"""How fast are LP cells, next to HiGHS and relucent, and how does the time grow?

Every run is a fresh process, in which only the call is timed; the programs alternate. T is regioncam's CPU
time on its reference network in the same run. HiGHS and relucent are stopped after some time or regions and
compared per region. ``python benchmarks/lp_speed.py [--repeats 5] [--write benchmarks/results]``; ``--only
search | peers | facets | walk`` renews a part. The peers come with the ``bench`` extra; ``--peer PYTHON
CHECKOUT`` is an earlier version. Networks have torch's default initialisation with seed 0, the
domain is the box [-1, 1]^d; walks are in trained networks of ``../shared/models``.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from enumeration_speed import REFERENCE, layers, run_regioncam, weights
from harness import (
    Medians,
    alternate,
    environment,
    parser,
    peer,
    peer_table,
    publish,
    table,
    take_turns,
    title,
    warm_up,
)

BARS = {"10-12-12-1": 0.6, "8-16-16-1": 2.5, "20-16-1": 1.0}  # at most so many times T
BY_DIMENSION = ("4-12-12-1", "6-12-12-1", "8-12-12-1", "10-12-12-1", "14-12-12-1", "20-12-12-1")
BY_UNITS = ("6-8-8-1", "6-12-12-1", "6-16-16-1", "6-20-20-1", "6-24-24-1")
PEER_REGIONS = 200  # relucent stops after so many
HIGHS_SECONDS = 10.0
WITH_FACETS = ("4-12-12-1", "6-12-12-1", "10-12-12-1", "8-16-16-1", "20-16-1")
FACET_REGIONS = 2000  # searches that go on to half-spaces and adjacency stop after so many
WALKED = {"mnist_fc_256x2": "[0, 1]^784", "mnist_cnn_avgpool": "[0, 1]^784"}
WALK_REGIONS, WALK_SECONDS = 1000, 180.0  # a walk stops after either
RESULTS = Path(__file__).parent / "results"
SHARED = Path(__file__).parents[2] / "shared"
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


def run_facets(name: str) -> dict[str, float]:
    """The regions, then their irredundant half-spaces, then adjacency: CPU seconds of each step."""
    import polytope as pt

    network = pt.mlp(layers(name))
    box = pt.Polyhedron.box([-1.0] * network.input_dim, [1.0] * network.input_dim)
    engine = pt.LayerSplit(cells="lp")
    warm = pt.enumerate_regions(pt.mlp(layers("7-3-1")), pt.Polyhedron.box([-1.0] * 7, [1.0] * 7), engine)
    warm.adjacency()  # loads the compiled code
    clock = [time.process_time()]
    found = pt.enumerate_regions(network, box, engine, max_regions=FACET_REGIONS)
    clock.append(time.process_time())
    facets = len(found.facets.unit)
    clock.append(time.process_time())
    edges = found.adjacency().number_of_edges()
    clock.append(time.process_time())
    steps = dict(zip(("cpu", "halfspaces", "adjacency"), np.diff(clock).tolist(), strict=True))
    return {"regions": len(found), "facets": facets, "edges": edges, **steps}


def run_walk(name: str, order: str) -> dict[str, float]:
    """A walk from the first test image in the box of all images."""
    import polytope as pt
    from adapters import load

    network = load(SHARED / "models" / f"{name}.onnx")
    image = np.load(SHARED / "data" / "mnist_10k.npz")["images"][0].ravel() / 255
    box = pt.Polyhedron.box(np.zeros(network.input_dim), np.ones(network.input_dim))
    wall, cpu = time.perf_counter(), time.process_time()
    found = pt.enumerate_regions(
        network, box, pt.FacetFlip(image, order), max_regions=WALK_REGIONS, max_seconds=WALK_SECONDS
    )
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    assert (network.pattern(found.interior_points) == found.patterns).all()
    return {
        "regions": len(found),
        "units": network.n_units,
        "seconds": wall,
        "cpu": cpu,
        **{key: found.statistics.get(key, 0) for key in ("opened", "crossed")},
    }


RUNS = {
    "facets": run_facets,
    "hops": lambda name: run_walk(name, "hops"),
    "distance": lambda name: run_walk(name, "distance"),
    "count": lambda name: run_ours(name, "simplex", False),
    "cells": lambda name: run_ours(name, "simplex", True),
    "highs": lambda name: run_ours(name, "highs", False),
    "relucent": run_relucent,
    "regioncam": lambda name: dict(zip(("regions", "seconds", "cpu"), run_regioncam(name), strict=True)),
}


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


def facets_table(medians: Medians) -> str:
    """What irredundant half-spaces and adjacency cost, a region."""
    rows = []
    for name in WITH_FACETS:
        run = medians[f"facets | {name}"]
        times = np.cumsum([run[step] for step in ("cpu", "halfspaces", "adjacency")]) / run["regions"]
        rows.append(
            [
                name,
                f"{run['regions']:,.0f}",
                f"{run['facets'] / run['regions']:.1f}",
                f"{run['edges']:,.0f}",
                *(f"{1e6 * t:,.1f}" for t in times),
                f"{run['megabytes']:.0f}",
            ]
        )
    head = ["network", "regions", "facets a region", "pairs", "regions only", "with half-spaces"]
    note = (
        "CPU time in microseconds a region, each column with all before it; searches are stopped after "
        f"{FACET_REGIONS:,} regions. Pairs: regions found that share a facet. MB: of the whole process.\n\n"
    )
    return note + table([*head, "with adjacency", "MB"], rows)


def walk_table(medians: Medians) -> str:
    """Walks from a point in hundreds of dimensions."""
    rows = []
    for name, domain in WALKED.items():
        for order in ("hops", "distance"):
            run = medians[f"{order} | {name}"]
            rows.append(
                [
                    name,
                    f"{run['units']:,.0f}",
                    domain,
                    order,
                    f"{run['regions']:,.0f}",
                    f"{run['seconds']:.1f}",
                    f"{run['cpu']:.1f}",
                    f"{run['cpu'] / run['regions']:.3f}",
                    f"{run['opened']:,.0f}",
                    f"{run['megabytes']:.0f}",
                ]
            )
    head = ["model", "units", "domain", "order", "regions", "s", "CPU s", "CPU s a region"]
    note = (
        f"From the first test image, until {WALK_REGIONS:,} regions or {WALK_SECONDS:g} s. Opened: regions "
        "whose rows were computed.\n\n"
    )
    return note + table([*head, "opened", "MB"], rows)


def given() -> dict[str, bytes]:
    """The weights of all networks."""
    names = (REFERENCE, *BARS, *BY_DIMENSION, *BY_UNITS, *WITH_FACETS)
    return {name: weights(name) for name in dict.fromkeys(names)}


def measure_search(repeats: int) -> Medians:
    """The search against the reference and an earlier version, and its growth."""
    known = given()
    turns = [("regioncam", REFERENCE), *[(program, name) for name in BARS for program in ("count", "cells")]]
    turns += warm_up(__file__, list(BARS), ("count", "cells"), known)
    medians = alternate(__file__, turns, repeats, known)
    grown = [("count", name) for name in dict.fromkeys(BY_DIMENSION + BY_UNITS) if name not in BARS]
    return medians | alternate(__file__, grown, 1, known)


def once(programs: tuple[str, ...], names: Iterable[str]) -> Medians:
    """One run of each program on each network."""
    turns = [(program, name) for name in names for program in programs]
    return alternate(__file__, turns, 1, given())


MEASURES = {
    "search": measure_search,
    "peers": lambda _: once(("highs", "relucent"), BARS),
    "facets": lambda _: once(("facets",), WITH_FACETS),
    "walk": lambda _: once(("hops", "distance"), WALKED),
}


def render(medians: Medians) -> list[str]:
    """All tables."""
    parts = [title(__doc__), speed_table(medians), decided_table(medians)]
    if any(key.startswith("earlier ") for key in medians):
        parts.append(peer_table(medians, BARS, ("count", "cells")))
    parts += ["By dimension:", growth_table(medians, BY_DIMENSION)]
    parts += ["By units:", growth_table(medians, BY_UNITS)]
    parts += ["Irredundant half-spaces and adjacency, on request:", facets_table(medians)]
    return [*parts, "The walk from a point, facet by facet:", walk_table(medians)]


def main() -> None:
    """Run everything, or one part, print the tables, and write them if asked to."""
    options = parser(__doc__)
    take_turns(options, REFERENCE)
    options.add_argument("--only", choices=list(MEASURES), help="the other parts stay as they were written")
    chosen = options.parse_args()
    if chosen.run:
        result = RUNS[chosen.run](chosen.network)
        result["megabytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        sys.stdout.write(json.dumps(result) + "\n")
        return
    peer.extend(chosen.peer)
    known = (chosen.write or RESULTS) / "lp_speed.json"
    medians = json.loads(known.read_text())["medians"] if chosen.only else {}
    for part in [chosen.only] if chosen.only else MEASURES:
        medians |= MEASURES[part](chosen.repeats)
    where = environment("regioncam", "relucent", "highspy")
    record = {"versions": where, "repeats": chosen.repeats, "note": chosen.note, "medians": medians}
    publish(__file__, render(medians), record, chosen.write)


if __name__ == "__main__":
    main()

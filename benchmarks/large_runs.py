"""Do exact enumerations of real networks and of a hundred million regions end, and in what time?

``python benchmarks/large_runs.py MODELS DATA [--only NAME] [--write benchmarks/results]`` enumerates the
ACAS Xu networks in the input boxes of properties 1, 3 and 4 (with patterns and adjacency), windows through
three MNIST images in convolutional networks, and counts a network with more than 10^8 regions. MODELS is a
folder with ``acasxu_*.onnx``, ``mnist_*.onnx`` and ``vnnlib/``; DATA an ``.npz`` with ``images``. Each run
is a process of its own. ``--write`` puts what was run into the table that is there.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from harness import again, environment, in_words, parser, publish, table_of, title

import polytope as pt
from adapters import load

ACAS = [(f"acasxu_{net}", prop) for net in ("1_1", "2_9", "3_3") for prop in (1, 3, 4)]
WINDOWS = ("mnist_cnn_avgpool", "mnist_cntk", "mnist_bn_cnn")
HUGE = (4, 192, 192, 1)


def names() -> list[str]:
    """All runs."""
    huge = "-".join(map(str, HUGE))
    return [*(f"{net} property {prop}" for net, prop in ACAS), *(f"{net} window" for net in WINDOWS), huge]


def problem(name: str, models: Path, data: Path) -> tuple[pt.Network, pt.Polyhedron, bool]:
    """Network, domain, and whether regions and adjacency are wanted too."""
    if "property" in name:
        file, _, number = name.split()
        network = load(models / f"{file}.onnx")
        box = pt.read_input_box((models / "vnnlib" / f"acasxu_prop_{number}.vnnlib").read_text())
        low, high = box.low, box.high
        free = np.flatnonzero(high > low)
        network = network.restrict(pt.Slice(np.where(high > low, 0.0, low), np.eye(len(low))[free]))
        return network, pt.Polyhedron.box(low[free], high[free]), True
    if "window" in name:
        with np.load(data) as arrays:
            images = arrays["images"][:3].reshape(3, -1) / 255.0
        network = load(models / f"{name.split()[0]}.onnx").restrict(pt.Slice.through(*images))
        return (
            network,
            pt.Polyhedron(np.array([[-1.0, 0.0], [0.0, -1.0], [1.0, 1.0]]), np.array([0.0, 0.0, 1.0])),
            False,
        )
    import torch

    torch.manual_seed(0)
    layers = [torch.nn.Linear(n, m) for n, m in pairwise(HUGE)]
    network = pt.mlp([(la.weight.detach().numpy(), la.bias.detach().numpy()) for la in layers])
    return network, pt.Polyhedron.box([-1] * 4, [1] * 4), False


def run(name: str, models: Path, data: Path, workers: int, seconds: float) -> dict[str, Any]:
    """One enumeration and its figures."""
    network, domain, keep = problem(name, models, data)
    engine = pt.LayerSplit(workers=workers)
    d = network.input_dim
    tiny = pt.mlp([(np.eye(d), np.zeros(d)), (np.ones((1, d)), [0.0])])
    pt.count_regions(tiny, pt.Polyhedron.box([-1.0] * d, [1.0] * d), engine)  # loads the compiled code
    start, cpu = time.perf_counter(), time.process_time()
    if keep:
        regions = pt.enumerate_regions(network, domain, engine, max_seconds=seconds)
        found, complete = len(regions), regions.complete
        edges: int | None = len(regions.neighbours)
    else:
        count = pt.count_regions(network, domain, engine, max_seconds=seconds)
        found, complete, edges = count.lower, count.complete, None
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    return {
        "run": name,
        "workers": workers,
        "units": network.n_units,
        "dim": d,
        "regions": found,
        "complete": complete,
        "adjacent pairs": edges,
        "wall_s": round(wall, 2),
        "cpu_s": round(cpu, 2),
        "cpu_us_per_region": round(1e6 * cpu / max(found, 1), 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def main() -> None:
    """Run what was asked for, each in a process of its own; new rows take the place of earlier ones."""
    options = parser(__doc__)
    options.add_argument("models", type=Path)
    options.add_argument("data", type=Path)
    options.add_argument("--only", choices=names())
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--seconds", type=float, default=480.0)
    options.add_argument("--run", choices=names(), help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.run:
        row = run(chosen.run, chosen.models, chosen.data, chosen.workers, chosen.seconds)
        print(json.dumps(row), flush=True)
        return
    file = chosen.write / "large_runs.json" if chosen.write else None
    known = {r["run"]: r for r in (json.loads(file.read_text()) if file and file.exists() else [])}
    limits = ("--workers", chosen.workers, "--seconds", chosen.seconds)
    for name in [chosen.only] if chosen.only else names():
        known[name] = again(__file__, chosen.models, chosen.data, "--run", name, *limits)
        rows = [known[name] for name in names() if name in known]
        page = [title(__doc__), in_words(environment(), chosen.note), table_of(rows)]
        publish(__file__, page, rows, chosen.write)


if __name__ == "__main__":
    main()

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
import platform
import resource
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

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
    layers = [torch.nn.Linear(n, m, dtype=torch.float64) for n, m in pairwise(HUGE)]
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
    """Run what was asked for, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", choices=names())
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=480.0)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    if options.only and not options.write:
        row = run(options.only, options.models, options.data, options.workers, options.seconds)
        print(json.dumps(row), flush=True)
        return
    for name in [options.only] if options.only else names():
        again = [sys.executable, __file__, str(options.models), str(options.data), "--only", name]
        again += ["--workers", str(options.workers), "--seconds", str(options.seconds)]
        out = subprocess.run(again, check=True, capture_output=True, text=True).stdout
        row = json.loads(out.splitlines()[-1])
        print(row, flush=True)
        if options.write:
            write(row, options.write)


def write(row: dict[str, Any], folder: Path) -> None:
    """Put a run into the table, in the place of an earlier one."""
    file = folder / "large_runs.json"
    known = {r["run"]: r for r in (json.loads(file.read_text()) if file.exists() else [])} | {row["run"]: row}
    rows = [known[name] for name in names() if name in known]
    file.write_text(json.dumps(rows, indent=1) + "\n")
    table = ["| " + " | ".join(row) + " |", "|" + "---|" * len(row)]
    table += ["| " + " | ".join(str(v) for v in r.values()) + " |" for r in rows]
    text = f"# {str(__doc__).splitlines()[0]}\n\n{platform.machine()}.\n\n" + "\n".join(table) + "\n"
    (folder / "large_runs.md").write_text(text)


if __name__ == "__main__":
    main()

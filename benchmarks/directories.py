"""How much memory and time does streaming to disk take, and how much faster are two workers?

``python benchmarks/directories.py [--repeats 3] [--networks NAME ...] [--write benchmarks/results]``
enumerates networks (torch's default initialisation, seed 0, in [-1, 1]^d) into a directory, with one and
with two workers in turn, in processes of its own and on a local cluster of Dask. Each run is a process of
its own. Memory is the peak resident size of the main process and of its largest worker. On a busy machine
compare the CPU seconds: what two workers need more than one is what sharing the work costs.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from harness import again, environment, in_words, parser, publish, table_of, title

import polytope as pt

KINDS = ("directory, 1 worker", "directory, 2 workers", "Dask, 1 worker", "Dask, 2 workers")


def weights(name: str) -> list[np.ndarray]:
    """Weights and biases in turn, as torch initialises them; in a process of its own, for torch is large."""
    code = (
        "import sys, torch, numpy as np; torch.manual_seed(0); n = list(map(int, sys.argv[1].split('-')));"
        "m = [torch.nn.Linear(a, b, dtype=torch.float64) for a, b in zip(n, n[1:])];"
        "np.savez(sys.argv[2], *[p.detach().numpy() for x in m for p in (x.weight, x.bias)])"
    )
    with TemporaryDirectory() as folder:
        file = Path(folder) / "weights.npz"
        subprocess.run([sys.executable, "-c", code, name, str(file)], check=True)
        with np.load(file) as arrays:
            return list(arrays.values())


def cpu_seconds() -> tuple[float, float]:
    """Of this process, and of its children that have ended."""
    use = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return use[0].ru_utime + use[0].ru_stime, use[1].ru_utime + use[1].ru_stime


def peak_megabytes() -> tuple[int, int]:
    """The largest resident size of this process, and a bound on that of its largest child that has ended."""
    own = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss  # at least ours when it was started
    return round(own / 1024), round(children / 1024)


def run(kind: str, name: str) -> dict[str, Any]:
    """One enumeration and its figures."""
    flat = weights(name)
    network = pt.mlp(list(zip(flat[::2], flat[1::2], strict=True)))
    d, workers = network.input_dim, int(kind.split()[-2])
    box = pt.Polyhedron.box([-1.0] * d, [1.0] * d)
    pt.count_regions(network, box, max_regions=10)  # loads the compiled code
    before = cpu_seconds()
    size, start = 0, time.perf_counter()
    if kind.startswith("directory"):
        with TemporaryDirectory() as folder:
            engine = pt.LayerSplit(workers=workers)
            found = pt.enumerate_regions(network, box, engine, directory=Path(folder) / "run")
            seconds = time.perf_counter() - start
            size = sum(file.stat().st_size for file in Path(folder).rglob("*.parquet"))
    else:
        found, seconds = on_cluster(network, box, workers)
    assert found.complete
    main, children = (b - a for a, b in zip(before, cpu_seconds(), strict=True))
    return {
        "regions": found.lower,
        "seconds": round(seconds, 2),
        "main_cpu_s": round(main, 2),
        "workers_cpu_s": round(children, 2),
        "main_mb": peak_megabytes()[0],
        "worker_mb": 0 if kind == KINDS[0] else peak_megabytes()[1],
        "disk_mb": round(size / 2**20),
    }


def on_cluster(network: pt.Network, box: pt.Polyhedron, workers: int) -> tuple[Any, float]:
    """Enumerate on a local cluster that is warm; seconds."""
    from distributed import Client, LocalCluster

    cluster = LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=":0")
    with cluster, Client(cluster) as client, TemporaryDirectory() as folder:
        executor = client.get_executor()
        pt.count_regions(network, box, executor=executor, max_seconds=2.0)  # all workers load the code
        start = time.perf_counter()
        found = pt.enumerate_regions(network, box, executor=executor, directory=Path(folder) / "run")
        return found, time.perf_counter() - start


def medians(runs: list[dict[str, Any]]) -> dict[str, float]:
    """The median of every figure."""
    return {key: round(median(run[key] for run in runs), 2) for key in runs[0]}


def main() -> None:
    """Run everything in turn; print, and write if asked to."""
    options = parser(__doc__)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--networks", nargs="+", default=["5-32-32-1", "5-44-44-1"])
    options.add_argument("--only", choices=KINDS)
    chosen = options.parse_args()
    if chosen.only:
        print(json.dumps(run(chosen.only, chosen.networks[0])), flush=True)
        return
    seen: dict[str, list[dict[str, Any]]] = {}
    load = os.getloadavg()[0]
    for name in chosen.networks:
        for _ in range(chosen.repeats):
            for kind in KINDS:
                seen.setdefault(f"{name}, {kind}", []).append(
                    again(__file__, "--only", kind, "--networks", name)
                )
    rows = [{"job": job} | medians(runs) for job, runs in seen.items()]
    pairs = list(zip(rows[::2], rows[1::2], strict=True))
    rates = [f"{one['job'].rsplit(',', 1)[0]} {one['seconds'] / two['seconds']:.2f}" for one, two in pairs]
    where = environment("distributed", "pyarrow")
    about = f"Load {load:.1f} at the start. Medians of {chosen.repeats}. {chosen.note}"
    page = [title(__doc__), in_words(where, about), table_of(rows)]
    page.append(f"Rate of two workers against one: {', '.join(rates)}.")
    record = {"versions": where, "load": load, "note": chosen.note, "runs": seen}
    publish(__file__, page, record, chosen.write)


if __name__ == "__main__":
    main()

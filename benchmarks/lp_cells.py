"""How long does enumeration with HiGHS take, and how much of it is HiGHS?

Networks: torch's default initialisation in float64 with seed 0, box [-1, 1]^d; their
counts are known from independent programs.
Run: python benchmarks/lp_cells.py [--write benchmarks/results]
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

import polytope as pt

NETWORKS = {  # widths: regions
    (2, 50, 50, 1): 1_377,
    (2, 100, 100, 1): 5_592,
    (3, 16, 16, 1): 756,
    (3, 32, 32, 1): 6_752,
    (4, 16, 16, 1): 7_387,
    (10, 12, 12, 1): 70_102,
}


def network(widths: tuple[int, ...]) -> pt.Network:
    """The network that ``torch.nn.Linear`` layers have after ``torch.manual_seed(0)``."""
    import torch

    torch.manual_seed(0)
    layers = [torch.nn.Linear(n, m, dtype=torch.float64) for n, m in pairwise(widths)]
    return pt.mlp([(la.weight.detach().numpy(), la.bias.detach().numpy()) for la in layers])


def count(widths: tuple[int, ...], regions: int) -> dict[str, float | str | int]:
    """One enumeration and its figures; fails if the count is wrong."""
    net = network(widths)
    domain = pt.Polyhedron.box([-1] * widths[0], [1] * widths[0])
    start, cpu = time.perf_counter(), time.process_time()
    found = pt.count_regions(net, domain, pt.LayerSplit(cells="lp", solver="highs"))
    assert (found.lower, found.complete) == (regions, True), f"{widths}: {found.lower} instead of {regions}"
    s = found.statistics
    return {
        "network": "-".join(map(str, widths)),
        "regions": regions,
        "wall_s": time.perf_counter() - start,
        "cpu_s": time.process_time() - cpu,
        "highs_s": s["solver_seconds"],
        "programs_per_region": (s["programs"] + s["balls"]) / regions,
        "exact_decisions": s.get("exact", 0),
    }


def main() -> None:
    """Run all networks and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="folder for lp_cells.json and lp_cells.md")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        rows = list(pool.map(count, NETWORKS, NETWORKS.values()))
    lines = [
        "| network | regions | wall, s | of it in HiGHS, s | programs a region | exact decisions |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {r['network']} | {r['regions']:,} | {r['wall_s']:.1f} | {r['highs_s']:.1f} "
        f"| {r['programs_per_region']:.2f} | {r['exact_decisions']:.0f} |"
        for r in rows
    ]
    machine = f"{platform.machine()}, Python {platform.python_version()}, highspy {version('highspy')}"
    table = "\n".join([f"One process for each network. {machine}.", "", *lines])
    print(table)
    if options.write:
        (options.write / "lp_cells.md").write_text(f"# LP cells\n\n{table}\n")
        (options.write / "lp_cells.json").write_text(json.dumps({"machine": machine, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()

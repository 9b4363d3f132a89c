"""How long does enumeration with HiGHS take, and how much of it is HiGHS?

Networks: torch's default initialisation in float64 with seed 0, box [-1, 1]^d; their
counts are known from independent programs.
Run: python benchmarks/lp_cells.py [--write benchmarks/results]
"""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from multiprocessing import get_context

from harness import environment, in_words, parser, publish, table, title

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
    """Run all networks, print the table, and write it if asked to."""
    options = parser(__doc__)
    options.add_argument("--workers", type=int, default=1)
    chosen = options.parse_args()
    with ProcessPoolExecutor(chosen.workers, mp_context=get_context("spawn")) as pool:
        rows = list(pool.map(count, NETWORKS, NETWORKS.values()))
    cells = [
        [
            row["network"],
            f"{row['regions']:,}",
            f"{row['wall_s']:.1f}",
            f"{row['highs_s']:.1f}",
            f"{row['programs_per_region']:.2f}",
            f"{row['exact_decisions']:.0f}",
        ]
        for row in rows
    ]
    head = ["network", "regions", "wall, s", "of it in HiGHS, s", "programs a region", "exact decisions"]
    where = environment("highspy")
    about = f"One process for each network. {chosen.note}"
    page = [title(__doc__), in_words(where, about), table(head, cells)]
    publish(__file__, page, {"machine": where, "rows": rows}, chosen.write)


if __name__ == "__main__":
    main()

"""How much of an enumeration does symmetry save, and is the count the same?

``python benchmarks/symmetry.py [--only NAME] [--write benchmarks/results]`` counts the regions of networks
that C4, D4 and S3 to S5 permute, with and without symmetry. Both searches keep patterns, facets and
neighbours; a count alone is timed too. Times are processor seconds, the least of three runs (of one where a
run takes more than ten seconds), compiled code loaded before. "saved" is the number of all regions divided by
that of regions touched; it cannot exceed the order of the group.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import permutations
from typing import Any

import numpy as np
import torch
from harness import environment, in_words, parser, publish, table_of, title

import polytope as pt
from adapters import from_torch
from polytope import equivariant as eq


@dataclass(frozen=True)
class Row:
    """One network, counted both ways."""

    network: str
    group: str
    order: int
    dim: int
    units: int
    regions: int
    touched: int
    orbits: int
    saved: float
    cpu_full: float
    cpu_count: float
    cpu_symmetric: float
    times_faster: float
    proved: bool


def turned(group: eq.FiniteGroup, blocks: int, depth: int) -> tuple[pt.Network, eq.Representation]:
    """A lifting layer, group convolutions and an invariant output on the plane."""
    rng = np.random.default_rng(blocks + depth)
    rho, n = eq.rotation2d(group), len(group)
    bias = [np.repeat(rng.standard_normal(blocks), n) for _ in range(depth)]
    layers = [
        (np.concatenate([w @ rho.matrices[group.inverse] for w in rng.standard_normal((blocks, 2))]), bias[0])
    ]
    for b in bias[1:]:
        kernel = rng.standard_normal((blocks, blocks, n))[:, :, group.table[group.inverse]] / np.sqrt(
            blocks * n
        )
        layers.append((kernel.transpose(0, 2, 1, 3).reshape(blocks * n, blocks * n), b))
    layers.append((np.ones((1, blocks * n)), np.zeros(1)))
    return pt.mlp(layers), rho


def set_network(n: int, *widths: int) -> tuple[pt.Network, eq.Representation]:
    """Deep Sets of n numbers."""
    torch.manual_seed(n)
    model = eq.DeepSets(1, widths, 1).double()
    rho = eq.permutation(eq.symmetric(n), list(permutations(range(n))))
    return from_torch(model, torch.zeros(1, n, 1, dtype=torch.float64)), rho


NETWORKS: dict[str, Callable[[], tuple[pt.Network, eq.Representation]]] = {
    "C4, 16-16": lambda: turned(eq.cyclic(4), 4, 2),
    "C4, 64-64": lambda: turned(eq.cyclic(4), 16, 2),
    "C4, 128-128": lambda: turned(eq.cyclic(4), 32, 2),
    "D4, 16-16": lambda: turned(eq.dihedral(4), 2, 2),
    "D4, 64-64": lambda: turned(eq.dihedral(4), 8, 2),
    "D4, 128-128": lambda: turned(eq.dihedral(4), 16, 2),
    "S3, sets 3 x (4, 4)": lambda: set_network(3, 4, 4),
    "S3, sets 3 x (8, 8)": lambda: set_network(3, 8, 8),
    "S4, sets 4 x (2, 2)": lambda: set_network(4, 2, 2),
    "S4, sets 4 x (4)": lambda: set_network(4, 4),
    "S4, sets 4 x (4, 3)": lambda: set_network(4, 4, 3),
    "S5, sets 5 x (2)": lambda: set_network(5, 2),
    "S5, sets 5 x (3)": lambda: set_network(5, 3),
}


def timed(run: Callable[[], Any]) -> tuple[Any, float]:
    """The result, and the least processor time."""
    seconds = []
    while len(seconds) < 3 and sum(seconds) < 10:
        start = time.process_time()
        found = run()
        seconds.append(time.process_time() - start)
    return found, min(seconds)


def measure(name: str) -> Row:
    """Both ways on one network."""
    net, rho = NETWORKS[name]()
    d = net.input_dim
    box = pt.Polyhedron.box([-2.0] * d, [2.0] * d)
    pt.count_regions(pt.mlp([(np.eye(d), np.zeros(d)), (np.ones((1, d)), [0.0])]), box)  # loads compiled code

    def symmetric() -> eq.SymmetricComplex:
        found = eq.enumerate_up_to_symmetry(net, rho, box)
        _ = found.n_regions
        return found

    part, cpu_symmetric = timed(symmetric)
    count, cpu_count = timed(lambda: pt.count_regions(net, box))
    full, cpu_full = timed(lambda: pt.enumerate_regions(net, box))
    assert part.complete
    assert part.n_regions == len(full) == count.upper, (name, part.n_regions, len(full), count.upper)
    return Row(
        name,
        rho.group.name,
        len(rho),
        d,
        net.n_units,
        part.n_regions,
        len(part.part),
        len(part.orbits),
        round(part.n_regions / len(part.part), 2),
        round(cpu_full, 3),
        round(cpu_count, 3),
        round(cpu_symmetric, 3),
        round(cpu_full / cpu_symmetric, 1),
        part.exact,
    )


def main() -> None:
    """Measure, print, write."""
    options = parser(__doc__)
    options.add_argument("--only", choices=NETWORKS)
    chosen = options.parse_args()
    torch.set_num_threads(1)
    rows = [asdict(measure(name)) for name in ([chosen.only] if chosen.only else NETWORKS)]
    about = " ".join(str(__doc__).split()).split("with and without symmetry. ")[1]
    where = environment("torch")
    page = [title(__doc__), about, in_words(where, chosen.note), table_of(rows)]
    publish(__file__, page, {"environment": where, "rows": rows}, None if chosen.only else chosen.write)


if __name__ == "__main__":
    main()

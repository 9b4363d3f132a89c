"""How far are the crossing count and the gradient form from the exact count?

    python benchmarks/local_complexity_error.py --write benchmarks/results

50 networks (ten of each of five architectures, He-initialised, biases of a tenth) and as many radii, four
points each. *Exact* is the number of units with a crossing in the cross-polytope, by enumerating its regions.
The crossing count looks at its vertices only, along the axes and their opposites. The gradient form is a
density of the crossings' volume: it is compared with the exact volume of the crossings over the volume of the
neighbourhood, noise and radius being matched by s = r / sqrt(d). Enumeration is the reference, so the
dimension is small.
"""

import time
from itertools import pairwise
from math import factorial
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from harness import environment, in_words, parser, publish, table, title

import polytope as pt

ARCHITECTURES = ((2, 16, 16, 1), (2, 12, 12, 12, 1), (3, 10, 10, 1), (3, 8, 8, 8, 1), (4, 8, 8, 1))
RADII = (0.03, 0.1, 0.3, 0.6, 1.0)
POINTS = 4


def network(widths: tuple[int, ...], seed: int) -> pt.Network:
    """He-initialised weights, and biases of a tenth."""
    rng = np.random.default_rng(seed)
    return pt.mlp(
        [(rng.normal(size=(m, n)) * np.sqrt(2 / n), rng.normal(size=m) / 10) for n, m in pairwise(widths)]
    )


def measure(widths: tuple[int, ...], seed: int, radius: float) -> dict[str, Any]:
    """The three numbers of one network, means over the points, and the crossing count's share by layer."""
    net, d = network(widths, seed), widths[0]
    x = np.random.default_rng(1000 + seed).uniform(-1, 1, size=(POINTS, d))
    start = time.process_time()
    exact = pt.exact_local_complexity(net, x, radius, max_seconds=60)
    exact_seconds = time.process_time() - start
    assert exact.complete.all(), "every neighbourhood is small enough to enumerate"
    start = time.process_time()
    crossing = pt.local_complexity(net, x, radius, frames=np.eye(d))
    crossing_seconds = time.process_time() - start
    assert (crossing.per_layer <= exact.units_lower).all(), "the crossing count is a lower bound"
    sampled = pt.local_complexity(net, x, radius / d**0.5, method="gradient")
    volume = (2 * radius) ** d / factorial(d)
    return {
        "widths": list(widths),
        "seed": seed,
        "radius": radius,
        "exact_units": exact.units_lower.sum(axis=1).tolist(),
        "crossing": crossing.total.tolist(),
        "exact_by_layer": exact.units_lower.sum(axis=0).tolist(),
        "crossing_by_layer": crossing.per_layer.sum(axis=0).tolist(),
        "exact_regions": exact.regions_lower.tolist(),
        "exact_density": (exact.crossing_volume / volume).tolist(),
        "gradient": sampled.total.tolist(),
        "seconds": {"exact": exact_seconds, "crossing": crossing_seconds},
    }


def together(rows: list[dict[str, Any]], name: str) -> Any:
    """One quantity of all networks, as an array."""
    return np.concatenate([row[name] for row in rows])


def by_radius(rows: list[dict[str, Any]]) -> str:
    """By radius: means, shares found, and correlations over points, as a Markdown table."""
    rows_of_table = []
    for radius in RADII:
        some = [row for row in rows if row["radius"] == radius]
        exact, crossing = together(some, "exact_units"), together(some, "crossing")
        density, gradient = together(some, "exact_density"), together(some, "gradient")
        behind = [sum(sum(row[f"{kind}_by_layer"][1:]) for row in some) for kind in ("crossing", "exact")]
        rows_of_table.append(
            [
                radius,
                f"{exact.mean():.2f}",
                f"{crossing.mean():.2f}",
                f"{crossing.sum() / exact.sum():.1%}",
                f"{behind[0] / max(1, behind[1]):.1%}",
                f"{np.corrcoef(exact, crossing)[0, 1]:.3f}",
                f"{density.mean():.2f}",
                f"{gradient.mean():.2f}",
                f"{np.corrcoef(density, gradient)[0, 1]:.3f}",
            ]
        )
    head = ["radius", "exact units", "crossing count", "share found", "behind the first layer", "correlation"]
    return table([*head, "exact density", "gradient form", "correlation"], rows_of_table)


def picture(rows: list[dict[str, Any]], path: Path) -> None:
    """Exact against approximate, one colour for each radius."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.5), layout="constrained")
    for radius in RADII:
        some = [row for row in rows if row["radius"] == radius]
        left.scatter(together(some, "exact_units"), together(some, "crossing"), s=9, label=f"r = {radius}")
        right.scatter(together(some, "exact_density"), together(some, "gradient"), s=9)
    for axes, what, guess in (
        (left, "exact units", "crossing count"),
        (right, "exact density", "gradient form"),
    ):
        axes.axline((0, 0), slope=1, color="grey", linewidth=0.8)
        axes.set_xlabel(what)
        axes.set_ylabel(guess)
    left.legend()
    figure.savefig(path)


def main() -> None:
    """Measure, print, and write."""
    options = parser(__doc__)
    options.add_argument("--networks", type=int, default=50)
    chosen = options.parse_args()
    rows = [
        measure(ARCHITECTURES[k % len(ARCHITECTURES)], k, RADII[k // len(ARCHITECTURES) % len(RADII)])
        for k in range(chosen.networks)
    ]
    shapes = ", ".join("-".join(map(str, widths)) for widths in ARCHITECTURES)
    about = (
        f"{len(rows)} networks ({shapes}), {POINTS} points each. "
        "The crossing count never exceeds the exact one (asserted). [Plot](local_complexity_error.svg)"
    )
    where = environment("torch")
    page = [title(__doc__), in_words(where, chosen.note), by_radius(rows), about]
    publish(__file__, page, {"conditions": where, "networks": rows}, chosen.write)
    if chosen.write:
        picture(rows, chosen.write / "local_complexity_error.svg")


if __name__ == "__main__":
    main()

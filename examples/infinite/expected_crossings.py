"""Crossings that are to be expected at initialisation, beside exact counts of drawn networks.

    python examples/infinite/expected_crossings.py [--draws 40] [--out expected_crossings.svg]

Counts of the engine are exact for each network, their means estimates with standard errors; the formula of
Kac and Rice is of infinite width.
"""

from pathlib import Path

import numpy as np
import torch
from dense import Figures, dense, pyplot, show

import polytope as pt
from polytope import infinite

SEGMENT = pt.Polyhedron.box([0.0], [1.0])
SQUARE = pt.Polyhedron.box([-1.0, -1.0], [1.0, 1.0])
WIDTH = 128
NETS = ((2, 2, 0.1), (3, 2, 0.3), (10, 2, 0.3), (64, 1, 0.1), (5, 3, 0.3))  # inputs, hidden layers, bias_std


def measure(draws: int = 40) -> Figures:
    """Five kinds of networks on segments, and one in a square."""
    rng, rows = np.random.default_rng(0), []
    for d, depth, bias in NETS:
        a, b = rng.standard_normal((2, d))
        net = infinite.mlp(d, depth, bias_std=bias, width=WIDTH)
        module, window = dense(d, *[WIDTH] * depth, 1), pt.Slice.through(a, b)
        counts = []
        for _ in range(draws):
            count = pt.count_regions(_network(module, bias, rng).restrict(window), SEGMENT)
            assert count.complete
            counts.append(count.upper - 1)
        expected = infinite.expected_crossings(net, a, b).total.value
        rows.append((f"{d}-{f'{WIDTH}-' * depth}1", expected, counts))
    rows.append(_plane(rng, max(draws * 3 // 4, 2)))
    figures: Figures = {}
    for name, expected, found in rows:
        figures[f"{name}: expected / exact"] = f"{expected:.1f} / {np.mean(found):.1f} +- {_error(found):.1f}"
    away = [abs(float(np.mean(found)) - expected) / _error(found) for _, expected, found in rows]
    figures["largest distance on segments, in standard errors"] = max(away[:-1])
    figures["distance in the plane, in standard errors"] = away[-1]
    return {"figures": figures, "rows": rows}


def _network(module: torch.nn.Sequential, bias: float, rng: np.random.Generator) -> pt.Network:
    """A drawn network in canonical form."""
    drawn = infinite.draw(module, rng, weight_std=2**0.5, bias_std=bias)
    layers = [layer for layer in drawn if isinstance(layer, torch.nn.Linear)]
    return pt.mlp([(layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in layers])


def _error(values: list[float]) -> float:
    """The standard error of the mean."""
    return max(float(np.std(values, ddof=1)) / len(values) ** 0.5, 1e-300)


def _plane(rng: np.random.Generator, draws: int) -> tuple[str, float, list[float]]:
    """Lengths of crossings in a square, by the outlines of all regions."""
    net = infinite.mlp(2, 2, bias_std=0.3, width=32)
    expected = infinite.expected_crossing_length(net, [0.0, 0.0], np.eye(2), (-1, -1), (1, 1)).total.value
    lengths = []
    for _ in range(draws):
        regions = pt.enumerate_regions(_network(dense(2, 32, 32, 1), 0.3, rng), SQUARE)
        around = sum(map(_perimeter, regions.polygons()))
        lengths.append((around - 8.0) / 2)  # a crossing is on two regions, the square's sides on one
    return "2-32-32-1, length in a square", expected, lengths


def _perimeter(corners: np.ndarray) -> float:
    """Of a polygon, its corners in order."""
    return float(np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1).sum())


def plot(result: Figures, path: Path) -> None:
    """Counts of the networks, their means, and what was expected."""
    plt = pyplot()
    figure, axes = plt.subplots(figsize=(8, 4))
    for place, (_, expected, counts) in enumerate(result["rows"]):
        axes.scatter(
            place + np.linspace(-0.2, 0.2, len(counts)),
            counts,
            s=6,
            color="0.6",
            label=None if place else "exact, one network",
        )
        axes.errorbar(
            place,
            np.mean(counts),
            _error(counts),
            marker="o",
            capsize=4,
            color="C0",
            label=None if place else "their mean, standard error",
        )
        axes.plot(
            [place - 0.3, place + 0.3],
            [expected] * 2,
            color="C3",
            label=None if place else "expected (Kac-Rice)",
        )
    axes.set_xticks(
        range(len(result["rows"])), [name.replace(", ", ",\n") for name, *_ in result["rows"]], fontsize=8
    )
    axes.set(ylabel="crossings, or their length", ylim=(0, None), title="crossings at initialisation")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)


if __name__ == "__main__":
    show(__doc__, measure, plot, options=["draws"])

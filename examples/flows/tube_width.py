"""Data in tubes around a circle: across it a flow's inverse metric falls with the square of the width.

    python examples/flows/tube_width.py [--full] [--out tube_width.svg]

A Real NVP is fitted to points of the unit circle with uniform noise of width delta, for four deltas. The
eigenvalues of ``J J^T`` at points of the circle, averaged over them, against delta: slope 2 across the circle
and 0 along it is what theory says for delta to 0. Measured values.
"""

import argparse
from pathlib import Path

import numpy as np

from polytope import flows

DELTAS = (0.4, 0.2, 0.1, 0.05)


def circle(t: np.ndarray) -> np.ndarray:
    """Points of the unit circle, ``[n]`` to ``[n, 2]``."""
    return np.stack([np.cos(t), np.sin(t)], axis=1)


def train(delta: float, full: bool, share: float) -> flows.Flow:
    """A Real NVP for a tube, started with the same weights for every width."""
    rng = np.random.default_rng(0)
    width, steps = (64, 3000) if full else (32, 900)

    def sample(rng: np.random.Generator, n: int) -> np.ndarray:
        return circle(rng.uniform(-np.pi, np.pi, n)) + delta * (rng.random((n, 2)) - 0.5)

    flow = flows.realnvp(2, couplings=6, hidden=(width, width), rng=rng).float()
    flows.fit(flow, sample, steps=int(share * steps), batch_size=300, learning_rate=5e-3, rng=rng)
    return flow.double()


def measure(full: bool = False, share: float = 1.0) -> dict:
    """Slopes, and the mean eigenvalues; ``share`` of the steps, to try the script."""
    x = circle(np.linspace(-np.pi, np.pi, 400, endpoint=False))
    slopes, means = flows.normal_eigenvalue_scaling(lambda delta: train(delta, full, share), DELTAS, x, 1)
    figures = {"slope along the circle": float(slopes[0]), "slope across the circle": float(slopes[1])}
    return {"figures": figures, "means": means}


def plot(result: dict, path: Path) -> None:
    """Eigenvalues against widths."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5, 4))
    for column, name in enumerate(("along the circle", "across the circle")):
        axes.loglog(DELTAS, result["means"][:, column], "o-", label=name)
    axes.loglog(DELTAS, np.array(DELTAS) ** 2 / 12, "k:", label="$\\delta^2 / 12$")
    axes.set_xlabel("width $\\delta$ of the tube")
    axes.set_ylabel("mean eigenvalue of $J J^T$")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    result = measure(options.full)
    for name, value in result["figures"].items():
        print(f"{name}: {value:.3f}")
    if options.out:
        plot(result, options.out)


if __name__ == "__main__":
    main()

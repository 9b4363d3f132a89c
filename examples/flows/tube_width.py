"""Data in tubes around a circle: across it a flow's inverse metric falls with the square of the width.

    python examples/flows/tube_width.py [--full] [--seed 1] [--out tube_width.svg]

A Real NVP of 12 couplings is fitted to points of the unit circle with uniform noise of width delta, for four
deltas; each narrower tube goes on from the flow of the wider one. (A coupling scales a coordinate by at most
e, so six are too few for the narrow ones.) The eigenvalues of ``J J^T`` at points of the circle, averaged
over them, against delta: slope 2 across the circle and 0 along it is what theory says for delta to 0.
Measured values.
"""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import numpy as np
from experiment import pyplot, show

from polytope import flows

DELTAS = (0.4, 0.2, 0.1, 0.05)


def circle(t: np.ndarray) -> np.ndarray:
    """Points of the unit circle, ``[n]`` to ``[n, 2]``."""
    return np.stack([np.cos(t), np.sin(t)], axis=1)


def tubes(full: bool, share: float, seed: int) -> Callable[[float], flows.Flow]:
    """A Real NVP for every width, trained on from that of the width before: ask from wide to narrow."""
    rng = np.random.default_rng(seed)
    width, steps, further = (64, 3000, 2000) if full else (32, 1000, 700)
    flow = flows.realnvp(2, couplings=12, hidden=(width, width), rng=rng)
    widths: list[float] = []

    def fitted(delta: float) -> flows.Flow:
        def sample(rng: np.random.Generator, n: int) -> np.ndarray:
            return circle(rng.uniform(-np.pi, np.pi, n)) + delta * (rng.random((n, 2)) - 0.5)

        chosen = further if widths else steps
        widths.append(delta)
        flows.fit(
            flow.float(), sample, steps=int(share * chosen), batch_size=300, learning_rate=5e-3, rng=rng
        )
        return deepcopy(flow).double()

    return fitted


def measure(full: bool = False, share: float = 1.0, seed: int = 0) -> dict:
    """Slopes, and the mean eigenvalues; ``share`` of the steps, to try the script."""
    x = circle(np.linspace(-np.pi, np.pi, 400, endpoint=False))
    slopes, means = flows.normal_eigenvalue_scaling(tubes(full, share, seed), DELTAS, x, 1)
    figures = {"slope along the circle": float(slopes[0]), "slope across the circle": float(slopes[1])}
    return {"figures": figures, "means": means}


def plot(result: dict, path: Path) -> None:
    """Eigenvalues against widths."""
    plt = pyplot()
    figure, axes = plt.subplots(figsize=(5, 4))
    for column, name in enumerate(("along the circle", "across the circle")):
        axes.loglog(DELTAS, result["means"][:, column], "o-", label=name)
    axes.loglog(DELTAS, np.array(DELTAS) ** 2 / 12, "k:", label="$\\delta^2 / 12$")
    axes.set_xticks(DELTAS, labels=[f"{delta:g}" for delta in DELTAS])
    axes.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
    axes.set_xlabel("width $\\delta$ of the tube")
    axes.set_ylabel("mean eigenvalue of $J J^T$")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)


if __name__ == "__main__":
    show(__doc__, measure, plot, options=["full", "seed"])

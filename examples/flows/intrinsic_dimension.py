"""Intrinsic dimensions of known manifolds, of digits, and of MNIST where its images are given: a table.

    python examples/flows/intrinsic_dimension.py [--full] [--mnist IMAGES.npz]

Two estimators look at nearest neighbours, two at the Jacobian's singular values of flows fitted with noise.
All are estimates; for the digits and MNIST nobody knows the answer, and none is claimed.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from experiment import show
from sklearn.datasets import load_digits

from polytope import flows

Sampler = Callable[[np.random.Generator, int], np.ndarray]
WIDTHS = (0.2, 0.1, 0.05)  # of uniform noise


def helix(rng: np.random.Generator, n: int) -> np.ndarray:
    """One turn and a bit around a cylinder."""
    t = rng.uniform(-4, 4, n)
    return np.stack([np.cos(t), np.sin(t), t / 2], axis=1)


def swiss_roll(rng: np.random.Generator, n: int) -> np.ndarray:
    """One turn and a half of a rolled-up sheet."""
    t = 1.5 * np.pi * (1 + 1.2 * rng.random(n))
    return np.stack([t * np.cos(t) / 5, 4 * rng.random(n) - 2, t * np.sin(t) / 5], axis=1)


def sphere(k: int) -> Sampler:
    """The unit sphere in R^(k + 1)."""

    def sample(rng: np.random.Generator, n: int) -> np.ndarray:
        x = rng.standard_normal((n, k + 1))
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    return sample


MANIFOLDS: dict[str, tuple[Sampler, int]] = {
    "helix": (helix, 1),
    "swiss roll": (swiss_roll, 2),
    "1-sphere": (sphere(1), 1),
    "2-sphere": (sphere(2), 2),
    "3-sphere": (sphere(3), 3),
}


def fitted(sample: Sampler, width: float, full: bool, share: float) -> flows.Flow:
    """A Real NVP fitted to points with noise."""
    rng = np.random.default_rng(0)
    dim = sample(rng, 1).shape[1]
    hidden, steps = (64, 2000) if full else (32, 700)
    flow = flows.realnvp(dim, couplings=6, hidden=(hidden, hidden), normalised=True, rng=rng).float()

    def noisy(rng: np.random.Generator, n: int) -> np.ndarray:
        return sample(rng, n) + width * (rng.random((n, dim)) - 0.5)

    flows.fit(flow, noisy, steps=int(share * steps), batch_size=300, learning_rate=5e-3, rng=rng)
    return flow.double()


def by_neighbours(points: np.ndarray) -> dict[str, float]:
    """Both estimators that need no flow."""
    return {method: flows.intrinsic_dimension(points, method).value for method in ("mle", "two_nn")}


def measure(full: bool = False, share: float = 1.0, mnist: Path | None = None) -> dict:
    """One row for each data set; ``noise_slope`` only in full; ``share`` of the steps, to try the script."""
    rows: dict[str, dict[str, float]] = {}
    for name, (sample, dimension) in MANIFOLDS.items():
        points = sample(np.random.default_rng(1), 4000)
        at = points[:300]
        row = {"known": float(dimension), **by_neighbours(points)}
        widths = WIDTHS if full else WIDTHS[-1:]
        models = {width: fitted(sample, width, full, share) for width in widths}
        row["jacobian_gap"] = flows.intrinsic_dimension(at, "jacobian_gap", flows=models[WIDTHS[-1]]).value
        if full:
            row["noise_slope"] = flows.intrinsic_dimension(at, "noise_slope", flows=models).value
        rows[name] = row
    rows["digits, 1797 x 64"] = by_neighbours(load_digits().data)
    if mnist:
        with np.load(mnist) as arrays:
            images = arrays["images"].reshape(len(arrays["images"]), -1)[:3000].astype(float)
        rows["MNIST, 3000 x 784"] = by_neighbours(images)
    errors = [
        sorted(abs(value - row["known"]) for method, value in row.items() if method != "known")[:3]
        for row in rows.values()
        if "known" in row
    ]
    figures = {"largest of the three least errors": max(error[-1] for error in errors)}
    return {"figures": figures, "rows": rows}


def table(rows: dict[str, dict[str, float]]) -> str:
    """Rows as Markdown."""
    columns = ["known", "mle", "two_nn", "jacobian_gap", "noise_slope"]
    lines = ["| data | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    for name, row in rows.items():
        cells = [f"{row[column]:.2f}" if column in row else "" for column in columns]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    show(__doc__, measure, table=table, options=["full", "mnist"])

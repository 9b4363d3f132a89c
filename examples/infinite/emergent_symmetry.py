"""Ensembles of networks without symmetry are symmetric, if they are trained on all images of their data.

    python examples/infinite/emergent_symmetry.py [--draws 1024] [--out emergent_symmetry.svg]

Points of the plane and their quarter turns; the targets do not turn. The infinite ensemble is invariant at
all times and at random inputs; means of M trained networks of width 64 as M^-1/2. The figures of the infinite
ensemble are formulas in float64, those of trained networks estimates.
"""

from pathlib import Path

import numpy as np
import torch
from dense import Figures, pyplot, show

from polytope import equivariant as eq
from polytope import infinite

TIMES = (0.1, 1.0, 10.0, np.inf)
WIDTH, STD, BIAS = 64, 2**0.5, 0.3


def measure(draws: int = 1024) -> Figures:
    """Orbit spreads of infinite ensembles, with and without images, and of means of trained networks."""
    infinite_ones, finite = _infinite(), _finite(draws)
    figures: Figures = {
        "orbit spread of the mean, all orbits, all times": max(infinite_ones["mean"]),
        "orbit spread of the variance, all orbits, all times": max(infinite_ones["variance"]),
        "least orbit spread of the mean, no augmentation": min(infinite_ones["none"]),
        "the same at t = 0.1, 1, 10, infinity": [round(v, 3) for v in infinite_ones["none"]],
        "trained networks": finite["sizes"],
        "orbit spread of their means": [round(v, 4) for v in finite["spread"]],
        "slope of the orbit spread": finite["slope"],
        "slope of the orbit spread, off -0.5": abs(finite["slope"] + 0.5),
    }
    return {"figures": figures, "finite": finite}


def _infinite() -> dict[str, list[float]]:
    """A dense network on 8 x 8 images and their quarter turns, at random inputs."""
    rng, n = np.random.default_rng(0), 8
    rho, net = eq.image_grid(eq.cyclic(4), n, n), infinite.mlp(n * n, 2, bias_std=BIAS)
    x, y, z = rng.standard_normal((30, n * n)), rng.standard_normal(30), rng.standard_normal((10, n * n))
    turned = infinite.orbit(z, rho)
    spreads: dict[str, list[float]] = {"mean": [], "variance": [], "none": []}
    for points, targets in ((infinite.orbit(x, rho), np.tile(y, 4)), (x, y)):
        parts = [infinite.kernel(net, *p) for p in ((points,), (turned, points), (turned,))]
        for t in TIMES:
            found = infinite.ensemble(*parts, targets, t)
            mean, variance = (
                float(np.ptp(v.reshape(4, -1), axis=0).max())
                for v in (found.mean, found.covariance.diagonal())
            )
            spreads["none" if points is x else "mean"].append(mean)
            if points is not x:
                spreads["variance"].append(variance)
    return spreads


def _finite(draws: int) -> dict:
    """Means of trained networks of two hidden layers, and their root mean square spread over orbits."""
    rng, rho = np.random.default_rng(0), eq.rotation2d(eq.cyclic(4))
    points = rng.standard_normal((4, 2))
    x = torch.tensor(infinite.orbit(points, rho))
    y = torch.tensor(np.tile(np.linalg.norm(points, axis=1) - 1.0, 4))
    z = torch.tensor(infinite.orbit(rng.standard_normal((10, 2)), rho))
    weights = [
        torch.tensor(rng.standard_normal((draws, *shape)), requires_grad=True)
        for shape in ((WIDTH, 2), (WIDTH,), (WIDTH, WIDTH), (WIDTH,), (1, WIDTH), (1,))
    ]
    for _ in range(200):
        loss = ((_outputs(weights, x) - y) ** 2).sum() / 2
        for w, gradient in zip(weights, torch.autograd.grad(loss, weights), strict=True):
            w.data -= 0.01 * gradient
    with torch.no_grad():
        f = _outputs(weights, z).reshape(draws, 4, -1)
    sizes = [4**k for k in range(5) if 4**k <= draws]
    spread = [
        float(f[: draws // m * m].reshape(-1, m, *f.shape[1:]).mean(1).std(1).square().mean().sqrt())
        for m in sizes
    ]
    slope = float(np.polyfit(np.log(sizes), np.log(spread), 1)[0]) if len(sizes) > 1 else float("nan")
    return {"sizes": sizes, "spread": spread, "slope": slope}


def _outputs(weights: list[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """All networks at once, ``[M, N]``; standard normal weights times their deviations."""
    h = x.expand(len(weights[0]), -1, -1)
    for layer in range(3):
        W, b = weights[2 * layer : 2 * layer + 2]
        h = h @ (W * (STD / W.shape[2] ** 0.5)).transpose(1, 2) + BIAS * b[:, None]
        h = torch.relu(h) if layer < 2 else h
    return h[..., 0]


def plot(result: Figures, path: Path) -> None:
    """The spread of means of M trained networks."""
    plt = pyplot()
    sizes, spread = result["finite"]["sizes"], result["finite"]["spread"]
    figure, axes = plt.subplots(figsize=(6, 4))
    axes.loglog(sizes, spread, marker="o", label="means of M trained networks, width 64")
    axes.loglog(sizes, spread[0] * np.array(sizes) ** -0.5, color="0.7", linestyle="--", label="slope -1/2")
    axes.set(xlabel="networks in the ensemble, M", ylabel="spread over quarter turns")
    axes.set_title("trained on all quarter turns of the data")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)


if __name__ == "__main__":
    show(__doc__, measure, plot, options=["draws"])

r"""A flow that samples a scalar field on a 4 x 4 lattice from its action alone: phi^4 and the free field.

    python examples/flows/lattice.py [--out lattice.png]

The density is exp(-S), :math:`S(\phi) = \sum_x (\frac12 \sum_\mu (\phi_{x+\mu} - \phi_x)^2 +
\frac{m^2}2 \phi_x^2 + \lambda \phi_x^4)` on a torus. A Real NVP of checkerboard couplings is trained by the
reverse divergence, without a single sample of the density. Importance weights say what its samples are
worth, and give the partition function; that of the free field (lambda = 0) is known, and linear layers fit
it. Estimates.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from experiment import pyplot, show

from polytope import flows

SIDE, MASS, COUPLING = 4, 0.5, 1.0
SITES = SIDE * SIDE


def action(coupling: float, mass: float) -> Callable[[torch.Tensor], torch.Tensor]:
    """The logarithm of the density of fields ``[B, SITES]``: minus the action."""

    def log_density(phi: torch.Tensor) -> torch.Tensor:
        field = phi.reshape(-1, SIDE, SIDE)
        steps = sum(((field.roll(-1, axis) - field) ** 2).sum((1, 2)) for axis in (1, 2)) / 2
        return -(steps + (mass / 2 * field**2 + coupling * field**4).sum((1, 2)))

    return log_density


def free_log_partition(mass: float) -> float:
    """The logarithm of the integral of exp(-S) without the fourth power, by Fourier modes."""
    wave = 2 - 2 * np.cos(2 * np.pi * np.arange(SIDE) / SIDE)
    modes = wave[:, None] + wave[None, :] + mass
    return float(SITES / 2 * np.log(2 * np.pi) - np.log(modes).sum() / 2)


def checkerboard(couplings: int, hidden: int) -> flows.Flow:
    """Affine couplings that move every other site, given its neighbours, and the others in turn."""
    odd = (np.indices((SIDE, SIDE)).sum(axis=0) % 2).astype(bool).ravel()
    torch.manual_seed(0)
    layers = [
        flows.AffineCoupling(
            mask, conditioner(hidden, torch.nn.Tanh()), conditioner(hidden, torch.nn.Identity())
        )
        for mask in (odd, ~odd) * (couplings // 2)
    ]
    return flows.Flow([*layers, flows.ActNorm(SITES)])


def conditioner(hidden: int, end: torch.nn.Module) -> torch.nn.Module:
    """From one colour of the board to the other; zero at first."""
    last = torch.nn.Linear(hidden, SITES // 2)
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)
    return torch.nn.Sequential(torch.nn.Linear(SITES // 2, hidden), torch.nn.ReLU(), last, end).double()


def measure(full: bool = False, share: float = 1.0) -> dict:
    """Both fields; ``share`` of the steps, to try the script; ``full`` takes four times as many."""
    share = 4 * share if full else share
    rng = np.random.default_rng(1)
    free = flows.Flow([flows.LULinear(SITES), flows.ActNorm(SITES)])
    flows.fit_to_density(free, action(0.0, 1.0), steps=max(1, int(share * 1500)), learning_rate=1e-2, rng=rng)
    gaussian = flows.effective_sample_size(free, action(0.0, 1.0), rng=rng)
    flow, target = checkerboard(8, 48), action(COUPLING, MASS)
    before = flows.effective_sample_size(flow, target, rng=rng)
    told = flows.fit_to_density(
        flow, target, steps=max(1, int(share * 1200)), batch_size=256, learning_rate=3e-3, rng=rng
    )
    after = flows.effective_sample_size(flow, target, 20_000, rng=rng)
    x = flow.sample(20_000, rng)
    with torch.no_grad():
        weights = (target(x) - flow.log_prob(x)).exp().numpy()
    fields = x.numpy()
    weights /= weights.sum()
    figures = {
        "free field: share of effective samples": gaussian.share,
        "free field: log partition function, off the known one": abs(
            gaussian.log_partition - free_log_partition(1.0)
        ),
        "phi^4: share of effective samples before": before.share,
        "phi^4: share of effective samples": after.share,
        "phi^4: log partition function": after.log_partition,
        "phi^4: mean of phi^2 by weights": float(weights @ (fields**2).mean(axis=1)),
        "phi^4: mean of phi by weights": float(weights @ fields.mean(axis=1)),
    }
    return {"figures": figures, "losses": told.losses, "fields": fields}


def plot(result: dict, path: Path) -> None:
    """The divergence while training, and three of the fields."""
    plt = pyplot()
    figure, axes = plt.subplots(1, 4, figsize=(11, 2.8))
    gap = result["losses"] + result["figures"]["phi^4: log partition function"]
    axes[0].semilogy(np.maximum(gap, 1e-2), linewidth=0.7)
    axes[0].set(xlabel="step", ylabel="KL(q || p), nats")
    largest = np.abs(result["fields"][:3]).max()
    for ax, field in zip(axes[1:], result["fields"], strict=False):
        ax.imshow(field.reshape(SIDE, SIDE), cmap="RdBu", vmin=-largest, vmax=largest)
        ax.set_axis_off()
    figure.tight_layout()
    figure.savefig(path)


if __name__ == "__main__":
    show(__doc__, measure, plot)

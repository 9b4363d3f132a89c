"""Flows of every kind, and what tests ask of them."""

from collections.abc import Callable

import numpy as np
import torch

from polytope import flows

PIECEWISE_LINEAR: dict[str, Callable[[], flows.Flow]] = {
    "nice_2": lambda: flows.nice(2, couplings=3, hidden=(6,)),
    "nice_3_splines": lambda: flows.nice(3, couplings=2, hidden=(5, 4), linear=True, knots=3),
    "nice_laplace": lambda: flows.nice(2, couplings=2, hidden=(4,), activation="leaky_relu", base="laplace"),
    "glow_additive": lambda: flows.glow((1, 4, 4), additive=True, levels=2, steps=2, hidden=3),
    "multiscale_additive": lambda: flows.multiscale_realnvp((1, 4, 4), couplings=2, hidden=3, additive=True),
}


SMOOTH: dict[str, Callable[[], flows.Flow]] = {
    "realnvp_3": lambda: flows.realnvp(3, couplings=4, hidden=(8,), normalised=True),
    "glow": lambda: flows.glow((1, 4, 4), levels=1, steps=2, hidden=3),
    "multiscale": lambda: flows.multiscale_realnvp((1, 4, 4), couplings=2, hidden=3),
}


FLOWS = PIECEWISE_LINEAR | SMOOTH


def disturbed(flow: flows.Flow, seed: int = 0, size: float = 0.2) -> flows.Flow:
    """The flow with weights far from their start."""
    rng = np.random.default_rng(seed)
    for values in flow.parameters():
        values.data += size * torch.tensor(rng.standard_normal(tuple(values.shape)))
    return flow


def points(n: int, dim: int, seed: int = 1) -> torch.Tensor:
    return torch.tensor(np.random.default_rng(seed).standard_normal((n, dim)))


def autograd_jacobians(flow: flows.Flow, z: torch.Tensor) -> torch.Tensor:
    jacobian = torch.autograd.functional.jacobian
    return torch.stack([jacobian(lambda t: flow.forward(t[None])[0][0], row) for row in z])

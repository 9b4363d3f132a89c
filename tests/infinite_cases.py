"""Modules for kernels of infinite width, and draws of their weights."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from polytope import equivariant as eq
from polytope import infinite

WIDTH = 8


class Residual(nn.Module):
    """``h + W relu(h)`` between dense layers."""

    def __init__(self, inputs: int = 6, width: int = WIDTH) -> None:
        super().__init__()
        self.first, self.inner = nn.Linear(inputs, width), nn.Linear(width, width)
        self.last = nn.Linear(width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[B, inputs]`` to ``[B, 1]``."""
        h = self.first(x)
        return self.last(torch.relu(h + self.inner(nn.functional.relu(h))))


class SkipOfReLU(nn.Module):
    """Sums of two values with means, as in networks that add all hidden layers."""

    def __init__(self, inputs: int = 6, width: int = WIDTH) -> None:
        super().__init__()
        self.first, self.inner = nn.Linear(inputs, width), nn.Linear(width, width)
        self.last = nn.Linear(width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[B, inputs]`` to ``[B, 1]``."""
        h = torch.relu(self.first(x))
        return self.last(h + torch.relu(self.inner(h)))


def dense(*widths: int, between: Callable[[], nn.Module] = nn.ReLU) -> nn.Sequential:
    """A fully connected network."""
    layers: list[nn.Module] = []
    for m, n in pairwise(widths):
        layers += [nn.Linear(m, n), between()]
    return nn.Sequential(*layers[:-1])


def convolutional(head: str, width: int = WIDTH, **options: object) -> nn.Sequential:
    """Two convolutions of 5 x 5 images of two channels, behind them a mean or a flat readout."""
    first, second = (nn.Conv2d(n, width, 3, **options) for n in (2, width))
    side = 5 if options else 1
    end: list[nn.Module] = [nn.Flatten(), nn.Linear(width * side**2, 1)]
    if head == "gap":
        end = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 1)]
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), *end)


def package_layers(width: int = WIDTH) -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
    """Networks of the layers of ``equivariant``, with the shape of an input."""
    group = eq.cyclic(4)
    bundle = eq.TangentBundle(*octahedron())
    return {
        "group": (
            nn.Sequential(
                eq.LiftingConv2d(group, 1, width, 3),
                nn.ReLU(),
                eq.GroupConv2d(group, width, width, 3),
                nn.ReLU(),
                eq.GroupPool(group, "sum"),
                nn.AdaptiveAvgPool2d(1),
                nn.Flatten(),
                nn.Linear(width, 1),
            ),
            (1, 6, 6),
        ),
        "sphere": (
            nn.Sequential(
                eq.S2Conv(1, width, 2, 2),
                nn.ReLU(),
                eq.SO3Conv(width, width, 2, 2),
                nn.ReLU(),
                eq.SO3Integrate(2),
                nn.Linear(width, 1),
            ),
            (1, 4, 4),
        ),
        "sets": (eq.DeepSets(3, (width, width), 1), (4, 3)),
        "gauge": (
            nn.Sequential(
                eq.GaugeConv(bundle, 1, width, 0, 1),
                eq.RegularNonlinearity(1, 5),
                eq.GaugeConv(bundle, width, 1, 1, 0),
            ),
            (bundle.n_vertices, 1, 1),
        ),
    }


def octahedron() -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces."""
    vertices = np.concatenate([np.eye(3), -np.eye(3)])
    faces = [(0, 1, 2), (1, 3, 2), (3, 4, 2), (4, 0, 2), (1, 0, 5), (3, 1, 5), (4, 3, 5), (0, 4, 5)]
    return vertices, np.array(faces)


def sampled(make: Callable[[], nn.Module], x: np.ndarray, draws: int) -> tuple[np.ndarray, np.ndarray]:
    """Means of products of outputs over draws, and their standard errors, ``[N, N]``."""
    products = []
    points = torch.tensor(x)
    module, rng = make(), np.random.default_rng(0)
    for _ in range(draws):
        with torch.no_grad():
            f = infinite.draw(module, rng)(points).reshape(len(x), -1).numpy()
        products.append(f @ f.T / f.shape[1])
    return np.mean(products, axis=0), np.std(products, axis=0, ddof=1) / draws**0.5

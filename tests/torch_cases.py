"""Modules of PyTorch for tests, and how networks are compared with them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from polytope.ir import Network

CIFAR = Path(__file__).parents[1] / "benchmarks" / "cifar_modules.py"


def assert_same(network: Network, module: nn.Module, shape: tuple[int, ...]) -> None:
    x = torch.randn(5, *shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = module.eval()(x).flatten(1).numpy()
    np.testing.assert_allclose(network(x.flatten(1).numpy()), expected, atol=1e-5)  # single precision


class Typed(nn.Module):
    """A function with constants of its own."""

    def __init__(self, function: Callable) -> None:
        super().__init__()
        self.function = function
        self.register_buffer("c", torch.tensor([1.7, -2.3, 0.333, 4.9]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        return self.function(x, self.c)

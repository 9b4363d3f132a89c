"""The grids on the sphere of e3nn in real arithmetic: the same sums without complex Fourier transforms."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn


@contextmanager
def real_grids(module: nn.Module) -> Iterator[None]:
    """A block in which e3nn's grids multiply by the harmonics of the circle, of which they have a matrix."""
    found: list[Any] = [
        part
        for part in module.modules()
        if type(part).__name__ in _WAYS and type(part).__module__.startswith("e3nn.")
    ]
    for part in found:
        part.forward = MethodType(_WAYS[type(part).__name__], part)
    try:
        yield
    finally:
        for part in found:
            del part.forward


def _to_grid(grid: Any, x: Tensor) -> Tensor:
    """Coefficients ``[..., (l + 1)^2]`` to values ``[..., beta, alpha]``."""
    return torch.einsum("am,...bm->...ba", grid.sha, torch.einsum("mbi,...i->...bm", grid.shb, x))


def _from_grid(grid: Any, x: Tensor) -> Tensor:
    """Values ``[..., beta, alpha]`` to coefficients ``[..., (l + 1)^2]``."""
    return torch.einsum("mbi,...bm->...i", grid.shb, torch.einsum("am,...ba->...bm", grid.sha, x))


_WAYS = {"ToS2Grid": _to_grid, "FromS2Grid": _from_grid}

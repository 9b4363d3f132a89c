r"""Base distributions with independent coordinates: standard normal, Laplace, uniform on [0, 1]^D."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log, pi
from typing import Literal

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from polytope.ir.maps import FloatArray

BaseName = Literal["normal", "laplace", "uniform"]


@dataclass(frozen=True, eq=False)
class Base:
    """A density ``q(z) = prod_i q(z_i)``.

    Arguments:
        name: which one.
        log_density: the sum over coordinates, ``[B, D]`` to ``[B]``.
        cdf, survival: of one coordinate, for arrays.
        draw: ``(rng, shape)`` to samples.
    """

    name: BaseName
    log_density: Callable[[Tensor], Tensor]
    cdf: Callable[[FloatArray], FloatArray]
    survival: Callable[[FloatArray], FloatArray]
    draw: Callable[[np.random.Generator, tuple[int, int]], FloatArray]

    def box_mass(self, low: FloatArray, high: FloatArray) -> float:
        """The mass of a box, up to rounding: a product of differences of the distribution function."""
        left = self.cdf(high) - self.cdf(low)
        right = self.survival(low) - self.survival(high)
        return float(np.prod(np.where(low > 0, right, left)))


def _normal(z: Tensor) -> Tensor:
    return -0.5 * (z**2).sum(dim=1) - 0.5 * z.shape[1] * log(2 * pi)


def _laplace(z: Tensor) -> Tensor:
    return -z.abs().sum(dim=1) - z.shape[1] * log(2)


def _uniform(z: Tensor) -> Tensor:
    inside = ((z >= 0) & (z <= 1)).all(dim=1)
    return torch.where(inside, 0.0, -torch.inf).to(z.dtype)


BASES: dict[str, Base] = {
    "normal": Base(
        "normal", _normal, stats.norm.cdf, stats.norm.sf, lambda rng, size: rng.standard_normal(size)
    ),
    "laplace": Base(
        "laplace", _laplace, stats.laplace.cdf, stats.laplace.sf, lambda rng, size: rng.laplace(size=size)
    ),
    "uniform": Base(
        "uniform", _uniform, stats.uniform.cdf, stats.uniform.sf, lambda rng, size: rng.random(size)
    ),
}

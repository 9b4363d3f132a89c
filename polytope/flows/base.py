r"""Base distributions: standard normal, Laplace, uniform on [0, 1]^D, and those of other libraries' flows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, log, pi
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy import stats
from torch import Tensor

from polytope.ir.maps import FloatArray

BaseName = Literal["normal", "laplace", "uniform"]


@dataclass(frozen=True, eq=False)
class Base:
    """A density on R^D.

    Arguments:
        name: which one.
        log_density: ``[B, D]`` to ``[B]``.
        box_mass: of a box, from its ends ``[D]``, up to rounding.
        draw: ``(rng, shape)`` to samples.
    """

    name: str
    log_density: Callable[[Tensor], Tensor]
    box_mass: Callable[[FloatArray, FloatArray], float]
    draw: Callable[[np.random.Generator, tuple[int, int]], FloatArray]


def _normal(z: Tensor) -> Tensor:
    return -0.5 * (z**2).sum(dim=1) - 0.5 * z.shape[1] * log(2 * pi)


def _laplace(z: Tensor) -> Tensor:
    return -z.abs().sum(dim=1) - z.shape[1] * log(2)


def _uniform(z: Tensor) -> Tensor:
    inside = ((z >= 0) & (z <= 1)).all(dim=1)
    return torch.where(inside, 0.0, -torch.inf).to(z.dtype)


def _shares(law: stats.rv_continuous, low: FloatArray, high: FloatArray) -> FloatArray:
    """The mass between two ends in each coordinate: on the right from the survival function."""
    left, right = law.cdf(high) - law.cdf(low), law.sf(low) - law.sf(high)
    return np.asarray(np.where(low > 0, right, left), dtype=float)


def _box_mass(law: stats.rv_continuous) -> Callable[[FloatArray, FloatArray], float]:
    """Of independent coordinates: a product of differences of the distribution function."""
    return lambda low, high: float(np.prod(_shares(law, low, high)))


BASES: dict[str, Base] = {
    "normal": Base("normal", _normal, _box_mass(stats.norm), lambda rng, size: rng.standard_normal(size)),
    "laplace": Base("laplace", _laplace, _box_mass(stats.laplace), lambda rng, size: rng.laplace(size=size)),
    "uniform": Base("uniform", _uniform, _box_mass(stats.uniform), lambda rng, size: rng.random(size)),
}


def normal_mixture(mean: ArrayLike, deviation: ArrayLike, weight: ArrayLike) -> Base:
    """A mixture of normal distributions with independent coordinates.

    Arguments:
        mean, deviation: ``[M, D]``, of the parts.
        weight: ``[M]``, positive, adding up to 1.
    """
    loc, scale, share = (np.asarray(part, dtype=float) for part in (mean, deviation, weight))
    centre, log_scale, log_share = (torch.as_tensor(part) for part in (loc, np.log(scale), np.log(share)))

    def log_density(z: Tensor) -> Tensor:
        away = (z[:, None] - centre.to(z)) * (-log_scale.to(z)).exp()
        each = -0.5 * (away**2).sum(2) - log_scale.to(z).sum(1) - 0.5 * z.shape[1] * log(2 * pi)
        return torch.logsumexp(each + log_share.to(z), dim=1)

    def box_mass(low: FloatArray, high: FloatArray) -> float:
        parts = [_shares(stats.norm, (low - m) / s, (high - m) / s) for m, s in zip(loc, scale, strict=True)]
        return float(share @ np.prod(parts, axis=1))

    def draw(rng: np.random.Generator, size: tuple[int, int]) -> FloatArray:
        part = rng.choice(len(share), size[0], p=share)
        return np.asarray(loc[part] + scale[part] * rng.standard_normal(size), dtype=float)

    return Base("mixture of normals", log_density, box_mass, draw)


def uniform_and_normal(uniform: ArrayLike, scale: ArrayLike) -> Base:
    """Independent coordinates, some uniform around 0 and the others normal.

    Arguments:
        uniform: ``bool[D]``, which are uniform.
        scale: ``[D]``, widths of those, deviations of the others.
    """
    flat, wide = np.asarray(uniform, dtype=bool), np.asarray(scale, dtype=float)
    where, size = torch.as_tensor(flat), torch.as_tensor(wide)

    def log_density(z: Tensor) -> Tensor:
        u = z / size.to(z)
        level = torch.where(u.abs() <= 0.5, 0.0, -torch.inf).to(z)
        bell = -0.5 * u**2 - 0.5 * log(2 * pi)
        return (torch.where(where, level, bell) - size.to(z).log()).sum(dim=1)

    def box_mass(low: FloatArray, high: FloatArray) -> float:
        a, b = low / wide, high / wide
        level = np.clip(b, -0.5, 0.5) - np.clip(a, -0.5, 0.5)
        return float(np.prod(np.where(flat, level, _shares(stats.norm, a, b))))

    def draw(rng: np.random.Generator, size: tuple[int, int]) -> FloatArray:
        return np.asarray(wide * np.where(flat, rng.random(size) - 0.5, rng.standard_normal(size)))

    return Base("uniform and normal", log_density, box_mass, draw)


def two_moons() -> Base:
    r"""Two arcs of a ring of radius 2, :math:`q(z) = e^{-(|z| - 2)^2 / 0.08} m(z_1) / Z` in the plane.

    m is the sum of the bells :math:`e^{-(z_1 \mp 2)^2 / 0.18}`. Z is an integral by Gauss-Legendre, to
    rounding; outside of the square of half side 4 there is less than 1e-20 of the mass.
    """

    def unnormalised(z: Tensor) -> Tensor:
        radius: Tensor = torch.linalg.vector_norm(z, dim=1)
        a = z[:, 0].abs()
        return -0.5 * (((radius - 2) / 0.2) ** 2 + ((a - 2) / 0.3) ** 2) + torch.log1p(
            torch.exp(-4 * a / 0.09)
        )

    total = log(_integral(unnormalised, np.full(2, -4.0), np.full(2, 4.0)))

    def box_mass(low: FloatArray, high: FloatArray) -> float:
        return _integral(lambda z: unnormalised(z) - total, np.clip(low, -4, 4), np.clip(high, -4, 4))

    def draw(rng: np.random.Generator, size: tuple[int, int]) -> FloatArray:
        found = np.zeros((0, 2))
        while (
            len(found) < size[0]
        ):  # the first coordinate from the bells, the second one accepted by the ring
            z = rng.choice([-2.0, 2.0], (4 * size[0], 1)) + 0.3 * rng.standard_normal((4 * size[0], 1))
            z = np.concatenate([z, rng.uniform(-4, 4, z.shape)], axis=1)
            ring = np.exp(-0.5 * ((np.linalg.norm(z, axis=1) - 2) / 0.2) ** 2)
            found = np.concatenate([found, z[rng.random(len(z)) < ring]])
        return found[: size[0]]

    return Base("two moons", lambda z: unnormalised(z) - total, box_mass, draw)


def _integral(
    log_density: Callable[[Tensor], Tensor], low: FloatArray, high: FloatArray, panel: float = 0.2
) -> float:
    """Of a smooth density over a box of the plane, by 12 Gauss-Legendre nodes in each panel and direction."""
    node, weight = np.polynomial.legendre.leggauss(12)
    lines = []
    for a, b in zip(low, high, strict=True):
        n = max(1, ceil((b - a) / panel))
        middle, half = a + (b - a) * (np.arange(n) + 0.5) / n, (b - a) / (2 * n)
        lines.append(((middle[:, None] + half * node).ravel(), np.tile(half * weight, n)))
    (x, u), (y, v) = lines
    grid = torch.as_tensor(np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2))
    return float(u @ log_density(grid).exp().numpy().reshape(len(x), len(y)) @ v)

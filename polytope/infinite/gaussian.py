r"""Moments of two standard normals with correlation rho, by Owen's T function, in float64 on any device.

.. math:: T(h, a) = \frac{1}{2 \pi} \int_0^a \frac{e^{-h^2 (1 + x^2) / 2}}{1 + x^2} \, dx .

References: Owen (1956), "Tables for computing bivariate normal probabilities"
"""

from __future__ import annotations

from functools import cache
from math import pi, sqrt

import numpy as np
import torch
from scipy.special import owens_t as scipy_owens_t
from torch import Tensor
from torch.special import ndtr

NODES = 28  # Gauss-Legendre on [0, a], a <= 1: with 24 and more the sum no longer changes
LEAST_GAP = 1e-300  # in front of a division by sqrt(1 - rho^2)


@cache
def _rule() -> tuple[list[float], list[float]]:
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    return ((nodes + 1) / 2).tolist(), (weights / 2).tolist()


def density(x: Tensor) -> Tensor:
    """The standard normal density."""
    return torch.exp(-x * x / 2) / sqrt(2 * pi)


def _within(h: Tensor, a: Tensor) -> Tensor:
    """Owen's T for 0 <= a <= 1, by quadrature."""
    half, total = -h * h / 2, torch.zeros_like(h * a)
    for node, weight in zip(*_rule(), strict=True):
        square = 1 + (a * node) ** 2
        total += weight * torch.exp(half * square) / square
    return a * total / (2 * pi)


def owens_t(h: Tensor, a: Tensor) -> Tensor:
    """Owen's T function, also for infinite a: scipy's on the CPU, quadrature on other devices.

    Arguments:
        h, a: tensors of shapes that fit together.
    """
    if h.device.type != "cpu":
        return by_quadrature(h, a)
    return torch.as_tensor(scipy_owens_t(h.numpy(), a.numpy()))


def by_quadrature(h: Tensor, a: Tensor) -> Tensor:
    """Owen's T function on any device; the part beyond a = 1 by its reflection.

    Arguments:
        h, a: tensors of shapes that fit together.
    """
    shape = torch.broadcast_shapes(h.shape, a.shape)  # type: ignore[no-untyped-call]
    h, a = h.expand(shape), a.expand(shape)
    size, first = a.abs(), h.abs()
    far = size > 1
    turned = first * torch.where(far, size, 1.0)  # h a, the first argument of the reflection
    turned = torch.where(torch.isnan(turned), 0.0, turned)  # 0 times infinity
    near = _within(torch.where(far, turned, first), torch.where(far, 1 / size, size))
    one, other = ndtr(-first), ndtr(-turned)  # upper tails: no cancellation for large h
    beyond = (one + other) / 2 - one * other - near
    beyond = torch.where(first == 0, torch.atan(size) / (2 * pi), beyond)
    return torch.where(far, beyond, near) * torch.sign(a)


def both_above(h: Tensor, k: Tensor, rho: Tensor) -> Tensor:
    """The probability that X > h and Y > k.

    Arguments:
        h, k: thresholds.
        rho: the correlation of X and Y, -1 .. 1.
    """
    shape = torch.broadcast_shapes(h.shape, k.shape, rho.shape)  # type: ignore[no-untyped-call]
    h, k, rho = h.expand(shape), k.expand(shape), rho.expand(shape)
    gap = _gap(rho)
    sides = torch.sign(h) * torch.sign(k)  # the product itself may underflow
    apart = torch.where((sides < 0) | ((sides == 0) & (h + k > 0)), 0.5, 0.0)
    below = (ndtr(-h) + ndtr(-k)) / 2 - _share(h, k, rho, gap) - _share(k, h, rho, gap)
    found: Tensor = (below - apart).clamp(min=0.0)
    return found


def _share(h: Tensor, k: Tensor, rho: Tensor, gap: Tensor) -> Tensor:
    """Owen's T of h and the slope (k - rho h) / (h sqrt(1 - rho^2)), with its limits where h is 0."""
    at_zero = torch.where(k == 0, (1 - rho) / gap, -torch.sign(k) * torch.inf)
    slope = torch.where(h == 0, at_zero, (k / torch.where(h == 0, 1.0, h) - rho) / gap)
    return owens_t(h, slope)


def _gap(rho: Tensor) -> Tensor:
    return ((1 - rho) * (1 + rho)).clamp(min=LEAST_GAP).sqrt()


def ramps(h: Tensor, k: Tensor, rho: Tensor) -> tuple[Tensor, Tensor]:
    r"""The mean of :math:`(X - h)_+ (Y - k)_+`, and the probability that X > h and Y > k.

    Arguments:
        h, k, rho: as of ``both_above``.
    """
    gap = _gap(rho)
    above = both_above(h, k, rho)
    at_h, at_k = density(h) * ndtr((rho * h - k) / gap), density(k) * ndtr((rho * k - h) / gap)
    joint = torch.exp(-((h - rho * k) ** 2) / (2 * gap**2) - k * k / 2) / (2 * pi)  # density times gap
    first, second = at_h + rho * at_k, at_k + rho * at_h
    product = rho * (above + h * at_h + k * at_k) + gap * joint
    return product - h * second - k * first + h * k * above, above

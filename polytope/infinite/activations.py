r"""Piecewise-linear activations, and their moments under Gaussian pre-activations.

.. math:: \phi(u) = c_0 + c_1 u + \sum_j d_j (u - t_j)_+ .

With one breakpoint at 0 the means are in closed form (arc-cosine kernels), otherwise by Owen's T.

References: Cho, Saul (2009), "Kernel methods for deep learning"; Lee et al. (2018), "Deep neural networks as
Gaussian processes", https://arxiv.org/abs/1711.00165
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import pi, sqrt

import numpy as np
import torch
from torch import Tensor
from torch.special import ndtr

from polytope.infinite.gaussian import density, ramps
from polytope.infinite.given import numbers

LEAST_STD = 1e-150
"""A smaller standard deviation counts as this one: its square is still a float64 number."""


@dataclass(frozen=True)
class Bend:
    """An activation: continuous, piecewise linear, the same for all units.

    Arguments:
        breakpoints: ascending.
        slopes: one more than breakpoints.
        at_zero: the value at 0.

    Raises:
        ValueError: numbers of breakpoints and slopes do not fit, are not finite, or do not ascend.

    Example:
        >>> Bend((0.0,), (0.0, 1.0)) == relu()
        True
    """

    breakpoints: tuple[float, ...]
    slopes: tuple[float, ...]
    at_zero: float = 0.0

    def __post_init__(self) -> None:
        try:
            t, s = (tuple(float(v) for v in values) for values in (self.breakpoints, self.slopes))
            object.__setattr__(self, "at_zero", float(self.at_zero))
        except (TypeError, ValueError) as error:
            raise TypeError("Bend: lists of numbers are expected for breakpoints and slopes.") from error
        object.__setattr__(self, "breakpoints", t)
        object.__setattr__(self, "slopes", s)
        if len(s) != len(t) + 1:
            raise ValueError(f"Bend: {len(t)} breakpoints need {len(t) + 1} slopes, not {len(s)}.")
        if not np.isfinite([*t, *s, self.at_zero]).all():
            raise ValueError("Bend: breakpoints, slopes and the value at 0 must be finite numbers.")
        if (np.diff(t) <= 0).any():
            raise ValueError(f"Bend: the breakpoints {t} do not ascend.")

    @property
    def hinges(self) -> list[tuple[float, float]]:
        """Breakpoints t_j with what the slope grows by, d_j."""
        growth = np.diff(self.slopes).tolist()
        return [(t, d) for t, d in zip(self.breakpoints, growth, strict=True) if d]

    @cached_property
    def offset(self) -> float:
        """c_0: the first piece at 0."""
        return self.at_zero - sum(d * max(-t, 0.0) for t, d in self.hinges)

    @property
    def bends_at_zero(self) -> bool:
        """Whether there is no breakpoint but 0: the means are then in closed form."""
        return all(t == 0 for t, _ in self.hinges)

    @property
    def parts(self) -> tuple[float, float]:
        """The p and q of c_0 + p u + q |u|, where there is no breakpoint but 0."""
        half = sum(d for _, d in self.hinges) / 2
        return self.slopes[0] + half, half

    def mean(self, variance: Tensor) -> Tensor:
        """The mean of phi(u).

        Arguments:
            variance: of u, ``[...]``.

        Returns:
            ``[...]``.
        """
        std = variance.clamp(min=0.0).sqrt().clamp(min=LEAST_STD)
        return self.offset + sum((d * _ramp(std, t) for t, d in self.hinges), torch.zeros_like(std))

    def products(
        self, covariance: Tensor, first: Tensor, second: Tensor, rho: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The means of phi(u) phi(v) and of phi'(u) phi'(v).

        Arguments:
            covariance: of u and v, ``[...]``.
            first, second: their standard deviations, of shapes that fit ``[...]``.
            rho: their correlation, ``[...]``, exactly 1 where they are one variable.

        Returns:
            Both, ``[...]``.
        """
        if self.bends_at_zero:
            return self._closed(covariance, first, second, rho)
        a, b = first.clamp(min=LEAST_STD), second.clamp(min=LEAST_STD)
        up_a, up_b = ([ndtr(-t / s) for t, _ in self.hinges] for s in (a, b))  # P(u > t)
        ramp_a, ramp_b = ([_ramp(s, t) for t, _ in self.hinges] for s in (a, b))
        c0, c1 = self.offset, self.slopes[0]
        value = c0 * c0 + c1 * c1 * covariance
        slope = torch.full_like(covariance, c1 * c1)
        for i, (t, d) in enumerate(self.hinges):
            value = value + d * (c0 * (ramp_a[i] + ramp_b[i]) + c1 * covariance * (up_a[i] + up_b[i]))
            slope = slope + c1 * d * (up_a[i] + up_b[i])
            for t2, d2 in self.hinges:
                ramp, above = ramps(t / a, t2 / b, rho)
                value, slope = value + d * d2 * a * b * ramp, slope + d * d2 * above
        return value, slope

    def _closed(
        self, covariance: Tensor, first: Tensor, second: Tensor, rho: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The same of c_0 + p u + q |u|."""
        (p, q), c0 = self.parts, self.offset
        if q == 0:
            return c0 * c0 + p * p * covariance, torch.full_like(covariance, p * p)
        angle, share = torch.asin(rho), 2 / pi * q * q
        bend = torch.addcmul(((1 - rho) * (1 + rho)).sqrt_(), rho, angle).mul_(first * second).mul_(share)
        value = bend.add_(covariance, alpha=p * p)
        if c0:
            value = value + c0 * (c0 + q * sqrt(2 / pi) * (first + second))
        return value, angle.mul_(share).add_(p * p)


def _ramp(std: Tensor, t: float) -> Tensor:
    """The mean of (u - t)_+."""
    found: Tensor = std * density(t / std) - t * ndtr(-t / std)
    return found


def relu() -> Bend:
    """``max(u, 0)``."""
    return leaky_relu(0.0)


def leaky_relu(slope: float) -> Bend:
    """``u`` where positive, ``slope * u`` elsewhere.

    Arguments:
        slope: on the negative side.
    """
    return Bend((0.0,), (slope, 1.0))


def absolute() -> Bend:
    """``|u|``."""
    return leaky_relu(-1.0)


def hard_tanh(low: float = -1.0, high: float = 1.0) -> Bend:
    """``min(max(u, low), high)``.

    Arguments:
        low, high: where it bends.
    """
    return Bend((low, high), (0.0, 1.0, 0.0), min(max(0.0, low), high))


def piecewise(breakpoints: Sequence[float], slopes: Sequence[float], at_zero: float = 0.0) -> Bend:
    """Any continuous piecewise-linear function.

    Arguments:
        breakpoints: ascending.
        slopes: one more.
        at_zero: the value at 0.
    """
    t, s = numbers(breakpoints, "breakpoints"), numbers(slopes, "slopes")
    return Bend(tuple(t.ravel().tolist()), tuple(s.ravel().tolist()), at_zero)

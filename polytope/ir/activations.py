"""The activations by the field's names; what they are made of says what each is."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike

from polytope.ir.group_pieces import MaxGroups
from polytope.ir.pieces import Activation, Enclosure, PatternArray, PieceCell, PieceMaps, SlopeRanges
from polytope.ir.unit_pieces import PiecewiseLinear

__all__ = [
    "Activation",
    "Enclosure",
    "MaxGroups",
    "PatternArray",
    "PieceCell",
    "PieceMaps",
    "PiecewiseLinear",
    "SlopeRanges",
    "absolute",
    "clip",
    "hard_sigmoid",
    "hard_tanh",
    "leaky_relu",
    "max_groups",
    "piecewise_linear",
    "prelu",
    "relu",
]


def relu() -> PiecewiseLinear:
    """``max(z, 0)``: pieces off (0) and on (1)."""
    return leaky_relu(0.0)


def leaky_relu(slope: float) -> PiecewiseLinear:
    """``z`` where positive, ``slope * z`` elsewhere."""
    return prelu([slope])


def absolute() -> PiecewiseLinear:
    """``|z|``: pieces negative (0) and positive (1)."""
    return leaky_relu(-1.0)


def prelu(slopes: ArrayLike) -> PiecewiseLinear:
    """``z`` where positive, ``slopes[j] * z`` elsewhere; a unit of slope 1 has no breakpoint."""
    below = np.atleast_1d(np.asarray(slopes, dtype=float)).ravel()
    thresholds = np.where(below == 1.0, np.inf, 0.0)
    pieces = np.stack([below, np.ones_like(below)], axis=1)
    return PiecewiseLinear(thresholds[:, None], pieces, np.zeros((1, 2)).repeat(len(below), axis=0))


def hard_tanh(low: float = -1.0, high: float = 1.0) -> PiecewiseLinear:
    """``min(max(z, low), high)`` with finite bounds: pieces low (0), linear (1), high (2)."""
    return clip(low, high)


def clip(low: float, high: float) -> PiecewiseLinear:
    """``min(max(z, low), high)``; an infinite bound has no breakpoint and no piece."""
    if not low < high:
        raise ValueError(f"clip: the lower bound {low} must be below the upper bound {high}.")
    below = [low] if np.isfinite(low) else []
    above = [high] if np.isfinite(high) else []
    slopes = [0.0] * len(below) + [1.0] + [0.0] * len(above)
    return piecewise_linear(below + above, slopes, [*below, 0.0, *above])


def hard_sigmoid(alpha: float = 0.2, beta: float = 0.5) -> PiecewiseLinear:
    r"""``min(max(alpha * z + beta, 0), 1)`` for positive alpha, as nearly as pieces that meet exactly can be.

    Pieces meet if the breakpoints :math:`t_1, t_2` and the slope a make :math:`a t_1` and
    :math:`a (t_2 - t_1)` float64 numbers, the negative intercept and the upper value. So slope and
    breakpoints share 53 bits. Of the ways to share them the one that changes the function least is taken:
    by nothing for a power of two, by 1e-15 for the usual ones (0.2 and 1/6, with 0.5), by 1e-8 for others.
    ``clip(0, 1)`` behind ``alpha * z + beta`` changes nothing.
    """
    if not (alpha > 0 and np.isfinite([alpha, beta]).all()):
        raise ValueError(f"hard_sigmoid: alpha must be positive and finite, not {alpha}.")
    slope, middle = Fraction(alpha), Fraction(beta)
    ways = [_ramp(slope, middle, bits) for bits in range(1, 54)]
    a, t1, t2 = min(ways, key=lambda way: _ramp_change(slope, middle, *way))
    low, high = float(-a * t1), float(a * (t2 - t1))
    return piecewise_linear([float(t1), float(t2)], [0.0, float(a), 0.0], [0.0, low, high])


def _ramp(alpha: Fraction, beta: Fraction, bits: int) -> tuple[Fraction, Fraction, Fraction]:
    """Slope and breakpoints with so many bits, and with those that a product of 53 leaves for the others."""
    ends = (-beta / alpha, (1 - beta) / alpha)
    far = max(abs(ends[0]), abs(ends[1]), ends[1] - ends[0])
    t1, t2 = (_rounded(end, far, 53 - bits) for end in ends)
    return _rounded(alpha, alpha, bits), t1, t2


def _rounded(x: Fraction, size: Fraction, bits: int) -> Fraction:
    """The number x to so many bits, counted from the first one of ``size``."""
    unit = Fraction(2) ** (math.frexp(size)[1] - bits)
    return round(x / unit) * unit


def _ramp_change(alpha: Fraction, beta: Fraction, a: Fraction, t1: Fraction, t2: Fraction) -> Fraction:
    """The largest difference to ``min(max(alpha z + beta, 0), 1)``: at a breakpoint, or at the upper end."""

    def change(z: Fraction) -> Fraction:
        return abs(a * (min(max(z, t1), t2) - t1) - min(max(alpha * z + beta, Fraction(0)), Fraction(1)))

    return max(map(change, (t1, t2, -beta / alpha, (1 - beta) / alpha)))


def piecewise_linear(breakpoints: ArrayLike, slopes: ArrayLike, intercepts: ArrayLike) -> PiecewiseLinear:
    """One function for all units, from k breakpoints and k + 1 slopes and intercepts."""
    t, s, c = (np.asarray(a, dtype=float).reshape(1, -1) for a in (breakpoints, slopes, intercepts))
    return PiecewiseLinear(t, s, c)


def max_groups(members: ArrayLike) -> MaxGroups:
    """The largest of each group; ``members`` is ``int[groups, size]``, filled with -1."""
    return MaxGroups(np.asarray(members, dtype=np.int64))

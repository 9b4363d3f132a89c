r"""Interval arithmetic through the layers of a network, rounded outward.

Values lie within ``radius`` of ``middle``. A product with a matrix of n columns is off by at most
:math:`\gamma_n |A| |m|`, :math:`\gamma_n \approx n 2^{-53}`, in whatever order its terms are added; where
terms underflow, by less than :math:`n 2^{-1022}` more. Every radius has room for eight times that, so that
the rounding of the radii themselves is covered. What overflows is bounded by infinities, never by NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from polytope.ir import Layer, Network
from polytope.ir.maps import FloatArray, LinearMap
from polytope.ir.sweep import sweep

LOST = 2.0**-1022  # more than what one product or sum can lose by underflow

Tighten = Callable[[int, FloatArray], FloatArray]  # a layer's number and its bounds [2, n] to better ones


def preactivation_bounds(
    network: Network, box: FloatArray, tighten: Tighten = lambda _, z: z
) -> Iterator[FloatArray]:
    """Low and high of every layer's pre-activations over a box ``[2, d]``, each ``[2, n]``; certified."""
    return (z for _, _, z, _ in sweep(network, box, Intervals(tighten)))


@dataclass(frozen=True)
class Intervals:
    """Low and high of values, ``[2, n]``.

    Arguments:
        tighten: what else is known of a layer's pre-activations.
    """

    tighten: Tighten = lambda _, z: z

    def affine(self, number: int, layer: Layer, reads: Sequence[FloatArray]) -> FloatArray:
        """The bounds of one layer's pre-activations from those of the values it reads."""
        return self.tighten(number, _preactivation(layer, reads))

    def activate(self, number: int, layer: Layer, z: FloatArray) -> FloatArray:
        """The ranges of the activation's values."""
        return np.stack(layer.phi.value_ranges(*z))


def _preactivation(layer: Layer, reads: Sequence[FloatArray]) -> FloatArray:
    """``[2, n]``: the bounds of one layer's pre-activations from those of the values it reads."""
    middle, radius = layer.bias[:, None], np.zeros((len(layer.bias), 1))
    size = np.abs(middle)
    with np.errstate(all="ignore"):
        for linear, absolute, h in zip(layer.maps, layer.absolute_maps, reads, strict=True):
            at, around = moved(linear, absolute, *middle_radius(h[:, :, None]))
            middle, radius, size = middle + at, radius + around, size + np.abs(at)
        radius = radius + room(len(layer.inputs)) * (radius + size)
        return ends(middle, radius)[:, :, 0]


def moved(
    linear: LinearMap, absolute: LinearMap, middle: FloatArray, radius: FloatArray, *, transpose: bool = False
) -> tuple[FloatArray, FloatArray]:
    """A linear map, or its transpose, of intervals ``[n, B]``: one factor of a composition after another.

    Arguments:
        absolute: the map with absolute entries.
        middle, radius: columns of the middles and radii.
    """
    factors = list(zip(linear.chain(), absolute.chain(), strict=True))
    for factor, size in factors if transpose else reversed(factors):
        n = factor.shape[0 if transpose else 1]
        both = np.concatenate([np.abs(middle), radius], axis=1)
        if transpose:
            middle, both = factor.apply_transpose(middle), size.apply_transpose(both)
        else:
            middle, both = factor.apply(middle), size.apply(both)
        terms, around = np.split(both, 2, axis=1)
        radius = around + room(n) * (terms + around) + (8 + n) * LOST
    return middle, radius


def room(n: int) -> float:
    """Eight times the relative error of a sum of n products, and some more for what is done with it."""
    return 2.0**-50 * (8 + n)


def middle_radius(ends: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Middles and radii of intervals ``[2, ...]``."""
    low, high = ends
    middle = np.where(np.isfinite(low) & np.isfinite(high), low / 2 + high / 2, 0.0)
    return middle, np.maximum(high - middle, middle - low) * (1 + 2.0**-50)


def ends(middle: FloatArray, radius: FloatArray) -> FloatArray:
    """Low and high, ``[2, ...]``; infinite where anything overflowed."""
    low, high = np.nextafter(middle - radius, -np.inf), np.nextafter(middle + radius, np.inf)
    return unbounded_where_unknown(low, high)


def unbounded_where_unknown(low: FloatArray, high: FloatArray) -> FloatArray:
    """``[2, ...]``: infinities where an end is NaN, or is an infinity on the wrong side."""
    least = np.where(np.isnan(low) | (low == np.inf), -np.inf, low)
    return np.stack([least, np.where(np.isnan(high) | (high == -np.inf), np.inf, high)])

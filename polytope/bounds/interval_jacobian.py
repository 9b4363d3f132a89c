r"""Interval Jacobians: bounds of every :math:`\partial f_i / \partial x_j` over a box, by one backward pass.

Slopes that pre-activations cannot reach in the box are left out; the rest are multiplied as intervals, with
room for the rounding of every product and sum, underflow included.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from polytope.bounds.intervals import LOST, ends, middle_radius, moved, room
from polytope.bounds.linear_bounds import linear_bounds
from polytope.ir import Layer, Network
from polytope.ir.activations import SlopeRanges
from polytope.ir.looking import look
from polytope.ir.maps import FloatArray
from polytope.ir.sweep import outputs_to_input

TABLES = 8  # of combinations of a layer's values that are held together
Ends = tuple[FloatArray, FloatArray]


def slope_ranges(network: Network, box: FloatArray) -> tuple[SlopeRanges | None, ...]:
    """The slopes that units of each layer can have over a box ``[2, d]``; ``None`` for an affine layer."""
    return tuple(
        None if layer.activation is None else layer.activation.slope_ranges(*z)
        for layer, z in zip(network.layers, linear_bounds(network, box), strict=True)
    )


def interval_jacobian(network: Network, ranges: tuple[SlopeRanges | None, ...]) -> FloatArray:
    """The largest absolute value that each entry of the Jacobian can have, ``[out, d]``.

    Arguments:
        network: the network.
        ranges: what ``slope_ranges`` says of the domain.
    """
    low, high = jacobian_ends(network, Combinations(ranges))
    greatest: FloatArray = np.maximum(np.abs(low), np.abs(high))
    return greatest


def jacobian_ends(network: Network, combinations: Combinations) -> FloatArray:
    """Low and high of every entry of the Jacobian, ``[2, out, d]``.

    Arguments:
        network: the network.
        combinations: how combinations of values go through its layers.
    """
    widest = max(network.input_dim, *(max(len(layer.bias), layer.width) for layer in network.layers))
    look(TABLES * 8 * network.output_dim * widest)
    every = np.eye(network.output_dim)
    with np.errstate(all="ignore"):
        found = outputs_to_input(network, (every, every), combinations)
    return np.stack(found).transpose(0, 2, 1)


@dataclass(frozen=True, eq=False)
class Combinations:
    """Low and high of combinations of values, ``[width, m]`` each, with the slopes that units can have."""

    ranges: tuple[SlopeRanges | None, ...]

    def affine(self, number: int, layer: Layer, weights: Ends) -> Iterator[Ends]:
        """Through the maps of a layer, to each value that it reads."""
        middle, radius = middle_radius(np.stack(weights))
        reached = (middle != 0).any(axis=0) | (radius != 0).any(axis=0)
        for linear, absolute in zip(layer.maps, layer.absolute_maps, strict=True):
            found = moved(linear, absolute, middle, radius, transpose=True)
            low, high = np.where(reached, ends(*found), 0.0)
            yield low, high

    def activate(self, number: int, layer: Layer, weights: Ends) -> Ends:
        """Through an activation, by the slopes that its units can have."""
        slopes = self.ranges[number - 1]
        assert slopes is not None, "a layer with an activation has slopes"
        return _times_slopes(*weights, slopes, len(layer.bias))

    def plus(self, k: int, a: Ends, b: Ends) -> Ends:
        """The sum, rounded outward."""
        low, high = a[0] + b[0], a[1] + b[1]
        return _outward(low, high, np.maximum(np.abs(low), np.abs(high)))


def _times_slopes(low: FloatArray, high: FloatArray, slopes: SlopeRanges, n: int) -> Ends:
    """Combinations ``[units, m]`` of a layer's outputs as combinations of its n pre-activations."""
    products = [end * s[:, :, None] for end in (low, high) for s in (slopes.least, slopes.greatest)]
    least, greatest = np.minimum.reduce(products), np.maximum.reduce(products)
    sloped = ((slopes.least != 0) | (slopes.greatest != 0))[:, :, None]
    lost = np.where(sloped & ((low != 0) | (high != 0)), LOST, 0.0)
    size = np.maximum(np.abs(least), np.abs(greatest))
    if slopes.own:
        return _outward(least[0], greatest[0], size[0], lost[0])
    out = np.zeros((4, n, low.shape[1]))
    for total, terms in zip(out, (least, greatest, size, lost), strict=True):
        np.add.at(total, slopes.source, terms)
    return _outward(out[0], out[1], out[2], out[3], slopes.source.size)


def _outward(
    low: FloatArray, high: FloatArray, size: FloatArray, lost: FloatArray | float = 0.0, readers: int = 1
) -> Ends:
    """Ends that are sums of so many numbers, which together have a size, with room for their rounding."""
    off = room(readers) * size + lost
    return low - off, high + off

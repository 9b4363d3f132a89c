r"""Interval Jacobians: bounds of every :math:`\partial f_i / \partial x_j` over a box, by one backward pass.

Slopes that pre-activations cannot reach in the box are left out; the rest are multiplied as intervals, with
room for the rounding of every product and sum.
"""

from __future__ import annotations

import numpy as np

from polytope.ir import Network
from polytope.ir.activations import SlopeRanges
from polytope.ir.maps import FloatArray
from polytope.measures.linear_bounds import linear_bounds

Ends = tuple[FloatArray, FloatArray]


def slope_ranges(network: Network, box: FloatArray) -> tuple[SlopeRanges | None, ...]:
    """The slopes that the units of each layer can have over a box ``[2, d]``; ``None`` for no bends."""
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
    low = high = np.eye(network.output_dim)
    waiting: dict[int, Ends] = {}
    number = len(network.layers)
    while number:
        layer, slopes = network.layers[number - 1], ranges[number - 1]
        if slopes is not None:
            low, high = _times_slopes(low, high, slopes, len(layer.bias))
        middle, radius = (low + high) / 2, (high - low) / 2
        for k, linear in zip(layer.inputs, layer.maps, strict=True):
            absolute = linear.absolute()
            at, around = linear.apply_transpose(middle), absolute.apply_transpose(radius)
            size = absolute.apply_transpose(np.abs(middle)) + around
            around = around + 2.0**-50 * (8 + linear.shape[0]) * size
            ends = at - around, at + around
            waiting[k] = (waiting[k][0] + ends[0], waiting[k][1] + ends[1]) if k in waiting else ends
        number = max(waiting)
        low, high = waiting.pop(number)
    return np.maximum(np.abs(low), np.abs(high)).T * (1 + 2.0**-45)


def _times_slopes(low: FloatArray, high: FloatArray, slopes: SlopeRanges, n: int) -> Ends:
    """Combinations ``[units, m]`` of a layer's outputs as combinations of its n pre-activations."""
    ends = [end * s[:, :, None] for end in (low, high) for s in (slopes.least, slopes.greatest)]
    least, greatest = np.minimum.reduce(ends), np.maximum.reduce(ends)
    if slopes.own:
        return least[0], greatest[0]
    out = np.zeros((2, n, low.shape[1]))
    np.add.at(out[0], slopes.source, least)
    np.add.at(out[1], slopes.source, greatest)
    return out[0], out[1]

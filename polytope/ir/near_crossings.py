"""Pairs of close points between which a unit changes its piece: one sweep with values and slopes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from polytope.ir.layers import Layer
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.network import Network
from polytope.ir.pieces import Activation, PatternArray
from polytope.ir.sweep import outputs

_LARGEST_BLOCK = 2**21


def straddling(network: Network, start: FloatArray, end: FloatArray, rounds: int = 16) -> FloatArray:
    r"""Points on both sides of the first crossing met on each segment, ``[2 B, d]``.

    Up to the first crossing a network is affine: on the segment, :math:`z_l(s) = z_l(0) + s z_l'`. So one
    sweep gives every pre-activation with its slope, and where its unit leaves its piece.

    Arguments:
        start, end: ``[B, d]``; where no unit changes in between, both points are near the end.
        rounds: the two points are 2^-rounds of their segment apart.
    """
    step = 2.0**-rounds * (end - start)
    widest = max(1, *(max(layer.width, len(layer.bias)) for layer in network.layers))
    size = max(1, _LARGEST_BLOCK // widest)
    blocks = range(0, len(start), size)
    counts = [_steps_to_crossing(network, start[i : i + size], step[i : i + size], 2**rounds) for i in blocks]
    count = np.concatenate([*counts, np.zeros(0, dtype=np.int64)])[:, None]
    return np.concatenate([start + (count - 1) * step, start + count * step])


def _steps_to_crossing(network: Network, start: FloatArray, step: FloatArray, most: int) -> IntArray:
    """How many steps it takes from each point ``[B, d]`` until a unit is on another piece, at most."""
    steps = _Steps(np.full(len(start), most))
    outputs(network, np.concatenate([start, step]).T, steps)
    return steps.count


@dataclass(eq=False)
class _Steps:
    """Values at the starts, and how much they rise in one step, ``[units, 2 B]``; the least counts so far."""

    count: IntArray

    def affine(self, number: int, layer: Layer, reads: Sequence[FloatArray]) -> FloatArray:
        columns = reads[0].shape[1]
        z = np.zeros((len(layer.bias), columns))
        for linear, h in zip(layer.maps, reads, strict=True):
            z += linear.apply(h)
        z[:, : columns // 2] += layer.bias[:, None]
        return z

    def activate(self, number: int, layer: Layer, z: FloatArray) -> FloatArray:
        level, rise = np.split(z, 2, axis=1)
        on = layer.phi.pattern(level)
        self.count = _earlier(layer.phi, level, rise, on, self.count)
        return _behind(layer.phi, level, rise, on)


def _behind(activation: Activation, level: FloatArray, rise: FloatArray, on: PatternArray) -> FloatArray:
    """Values and their slopes behind an activation, on the pieces of the starts."""
    pieces = activation.affine(on)
    source = rise if pieces.own else np.take_along_axis(rise, pieces.source, axis=0)
    return np.concatenate([activation.values(level), pieces.slope * source], axis=1)


def _earlier(
    activation: Activation, level: FloatArray, rise: FloatArray, on: PatternArray, count: IntArray
) -> IntArray:
    """The count of each column, or the least with which one of these units is on another piece."""
    other = activation.pattern(level + count * rise) != on
    columns, units = np.flatnonzero(other.any(axis=0)), np.flatnonzero(other.any(axis=1))
    if not len(columns):
        return count
    some, held = activation.restricted(units)
    level, rise = (a[np.ix_(held, columns)] for a in (level, rise))
    pattern = on[np.ix_(units, columns)]
    low, high = np.zeros(len(columns), dtype=count.dtype), count[columns]
    while (high - low > 1).any():
        middle = (low + high) // 2
        left = (some.pattern(level + middle * rise) != pattern).any(axis=0)
        low, high = np.where(left, low, middle), np.where(left, middle, high)
    found = count.copy()
    found[columns] = high
    return found

r"""How far a network of splines can be from the smooth model that it stands for, on all inputs.

With :math:`|\phi - s| \le e` and :math:`|\phi'| \le L`, values that are at most :math:`\delta` apart before
an activation are at most :math:`L \delta + e` apart behind it, and at most :math:`\sum_k |A_k| \delta_k`
behind affine maps. Every number is rounded up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from polytope.ir.layers import Layer
from polytope.ir.maps import FloatArray
from polytope.ir.network import Network
from polytope.ir.sweep import sweep
from polytope.ir.unit_pieces import PiecewiseLinear, Spline

_LOST = 2.0**-1022  # more than what one product can lose by underflow


def splines_of(network: Network) -> tuple[Spline, ...]:
    """What the activations stand for that stand for smooth ones, each once."""
    found = [getattr(layer.activation, "spline", None) for layer in network.layers]
    return tuple(dict.fromkeys(spline for spline in found if spline is not None))


def spline_deviation(network: Network) -> FloatArray:
    r"""Bounds of :math:`\sup_x |f_i(x) - g_i(x)|`, f the smooth model whose splines make the network g.

    Arguments:
        network: as ``load(path, smooth=...)`` gives it.

    Returns:
        ``[out]``, one bound for each output, proved on all inputs; zeros for a network without splines.

    Example:
        >>> import torch
        >>> from adapters import from_torch
        >>> module = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.GELU(), torch.nn.Linear(8, 1))
        >>> network = from_torch(module, torch.zeros(1, 2), smooth=0.1)
        >>> bool(spline_deviation(network)[0] < 0.01)
        True
    """
    if not isinstance(network, Network):
        raise TypeError(
            f"spline_deviation takes a Network, not {type(network).__name__}: load(path, smooth=0.1)."
        )
    return layer_deviations(network)[-1][1]


def layer_deviations(network: Network) -> list[tuple[FloatArray, FloatArray]]:
    """The bounds of every layer's pre-activations and outputs."""
    start = np.zeros(network.input_dim)
    return [(z, h) for _, _, z, h in sweep(network, start, _Deviations())]


@dataclass(frozen=True)
class _Deviations:
    """Bounds of differences, ``[width]``."""

    def affine(self, number: int, layer: Layer, reads: Sequence[FloatArray]) -> FloatArray:
        """Through absolute maps."""
        total = np.zeros(len(layer.bias))
        for absolute, delta in zip(layer.absolute_maps, reads, strict=True):
            column = delta[:, None]
            for factor in reversed(absolute.chain()) if delta.any() else ():
                column = _up(factor.apply(column), factor.shape[1])
            total = total + (column[:, 0] if delta.any() else 0.0)
        return _up(total, len(reads)) if total.any() else total

    def activate(self, number: int, layer: Layer, z: FloatArray) -> FloatArray:
        """By the steepest slopes, and what a spline is off."""
        spline = layer.phi.spline if isinstance(layer.phi, PiecewiseLinear) else None
        if spline is not None:
            return _up(spline.steepest * z + spline.error, 1)
        everywhere = np.full(len(layer.bias), np.inf)
        slopes = layer.phi.slope_ranges(-everywhere, everywhere)
        steepest = np.maximum(np.abs(slopes.least), np.abs(slopes.greatest))
        most = (steepest * z[slopes.source]).max(axis=0)
        return _up(most, 1) if z.any() else most


def _up(x: FloatArray, n: int) -> FloatArray:
    """Above the rounding of a sum of n products of numbers that are not negative."""
    return x * (1 + 2.0**-50 * (8 + n)) + (8 + n) * _LOST

"""The signs of a network's outputs at a float64 point: by proved bounds, else in rational arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from polytope.bounds.output_bounds import bounds_at
from polytope.exact.network import ExactNetwork
from polytope.exact.values import values_at
from polytope.ir import Network
from polytope.ir.maps import FloatArray, IntArray


def signs_at(network: Network, x: FloatArray) -> IntArray:
    """-1, 0 or 1 for each output at a point ``[d]``, ``int[out]``.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([(np.ones((4, 1)), np.zeros(4)), ([[0.3, 0.1, -0.5, 0.1]], [0.0])])
        >>> net([1.0])[0] > 0, signs_at(net, np.array([1.0])).tolist()
        (np.True_, [0])
    """
    low, high = bounds_at(network, x)
    signs: IntArray = (low > 0).astype(np.int64) - (high < 0)
    if (signs == 0).any():
        values = values_at(ExactNetwork(network), [Fraction(v) for v in x.tolist()])
        signs = np.array([(v > 0) - (v < 0) for v in values], dtype=np.int64)
    return signs

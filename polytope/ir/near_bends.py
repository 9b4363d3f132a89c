"""Pairs of close points between which a unit changes its piece, found by halving segments."""

from __future__ import annotations

import numpy as np

from polytope.ir.maps import FloatArray
from polytope.ir.network import Network


def straddling(network: Network, start: FloatArray, end: FloatArray, rounds: int = 16) -> FloatArray:
    """Points on both sides of the first bend met on each segment, ``[2 B, d]``.

    Arguments:
        start, end: ``[B, d]``; where nothing bends in between, both points are near the end.
        rounds: how often a segment is halved: the two points are 2^-rounds of it apart.
    """
    low, high = start.copy(), end.copy()
    for _ in range(rounds):
        middle = (low + high) / 2
        same = (network.pattern(middle) == network.pattern(low)).all(axis=1)[:, None]
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return np.concatenate([low, high])

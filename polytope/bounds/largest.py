r"""The largest of some outputs as a network whose units each bend at values of their own pre-activation.

Two outputs at a time, by :math:`\max(a, b) = b + \max(a - b, 0)`, which is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.sparse import csr_array

from polytope.ir.activations import PiecewiseLinear, relu
from polytope.ir.layers import Layer
from polytope.ir.maps import IntArray, Selection, Sparse
from polytope.ir.network import Network


def largest_of(network: Network, groups: Sequence[Sequence[int]]) -> Network:
    """The largest output of each group behind a network, whose units come first.

    Arguments:
        network: the network.
        groups: numbers of outputs, at least one each.
    """
    layers, value, width = list(network.layers), len(network.layers), network.output_dim
    left = [list(group) for group in groups]
    while True:
        pairs = [(a, b) for group in left for a, b in zip(group[::2], group[1::2], strict=False)]
        if pairs:
            a, b = np.array(pairs).T
            layers.append(Layer((value,), (_differences(a, b, width),), np.zeros(len(pairs)), relu()))
        index: list[int] = []
        over: list[int] = []
        following: list[list[int]] = []
        place = 0
        for group in left:
            ends = [group[i + 1] if i + 1 < len(group) else group[i] for i in range(0, len(group), 2)]
            following.append(list(range(len(index), len(index) + len(ends))))
            index += ends
            paired = len(group) // 2
            over += [*range(place, place + paired), *[-1] * (len(ends) - paired)]
            place += paired
        inputs = (value, len(layers)) if pairs else (value,)
        maps = [Selection(np.array(index), width)]
        if pairs:
            maps.append(Selection(np.array(over), len(pairs)))
        layers.append(Layer(inputs, tuple(maps), np.zeros(len(index))))
        if not pairs:
            return replace(network, layers=tuple(layers), output_names=("largest",))
        value, width, left = len(layers), len(index), following


def _differences(a: IntArray, b: IntArray, width: int) -> Sparse:
    """Row k takes value b[k] from value a[k]."""
    rows = np.arange(len(a))
    entries = np.concatenate([np.ones(len(a)), -np.ones(len(a))])
    at = np.concatenate([rows, rows]), np.concatenate([a, b])
    return Sparse(csr_array((entries, at), shape=(len(a), width)))


def suits_branching(network: Network) -> bool:
    """Whether branch and bound knows all kinds of units: those with breakpoints of their own."""
    kinds = (layer.activation for layer in network.layers)
    return all(kind is None or isinstance(kind, PiecewiseLinear) for kind in kinds)

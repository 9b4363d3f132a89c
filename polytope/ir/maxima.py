r"""Maxima of groups as trees of ReLUs, and activations behind maxima instead of in front of them.

Two at a time, :math:`\max(a, b) = a + \max(b - a, 0)`: the same function in rational arithmetic.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_array

from polytope.ir.activations import MaxGroups, PatternArray, PiecewiseLinear, relu
from polytope.ir.algebra import identity
from polytope.ir.layers import Layer
from polytope.ir.maps import IntArray, Selection, Sparse
from polytope.ir.network import Network

Rounds = tuple[IntArray, ...]
"""Of one layer's groups, round by round, the units that decide the pairs of what is left,
``int[groups, pairs]``: on where the second of a pair is the larger; -1 where there is no second."""


@dataclass(frozen=True, eq=False)
class Unrolled:
    """A network whose units all have breakpoints of their own, in place of one with maxima.

    Arguments:
        network: the same function.
        given: the network with maxima.
        rounds: for every layer of the given one the units of ``network`` that find its maxima, or ``None``.
        first: for every layer of the given one where its units start in a pattern of ``network``.
    """

    network: Network
    given: Network
    rounds: tuple[Rounds | None, ...]
    first: tuple[int, ...]

    def pattern(self, pattern: PatternArray) -> PatternArray:
        """The pattern of the given network, whose closed cell holds that of a pattern of ``network``.

        Units that decide among losers are not read.

        Arguments:
            pattern: ``int8[..., units]`` of ``network``.
        """
        parts = [pattern[..., :0]]
        for layer, rounds, first in zip(self.given.layers, self.rounds, self.first, strict=True):
            if rounds is not None:
                parts.append(_winners(rounds, layer.width, pattern))
            elif layer.activation is not None:
                parts.append(pattern[..., first : first + layer.width])
        return np.concatenate(parts, axis=-1)


def _winners(rounds: Rounds, groups: int, pattern: PatternArray) -> PatternArray:
    """The place of the largest of each group, ``int8[..., groups]``."""
    size = 1 << len(rounds)
    place = np.broadcast_to(np.arange(size, dtype=np.int8), (*pattern.shape[:-1], groups, size))
    for units in rounds:
        second = (units >= 0) & (pattern[..., np.maximum(units, 0)] > 0)
        place = np.where(second, place[..., 1::2], place[..., 0::2])
    winners: PatternArray = place[..., 0]
    return winners


def unrolled(network: Network) -> Unrolled:
    """A network with ReLUs in place of the maxima of groups; of equal members the first one wins.

    Arguments:
        network: the network.

    Returns:
        It, and how patterns belong together.
    """
    layers: list[Layer] = []
    number, rounds, first = [0], list[Rounds | None](), list[int]()
    units = 0
    for layer in network.layers:
        moved = replace(layer, inputs=tuple(number[k] for k in layer.inputs))
        first.append(units)
        if isinstance(layer.activation, MaxGroups):
            layers.append(replace(moved, activation=None))
            rounds.append(_append_rounds(layers, layer.activation.members, units))
            units += sum(int((part >= 0).sum()) for part in rounds[-1] or ())
        else:
            layers.append(moved)
            rounds.append(None)
            units += layer.width if layer.activation else 0
        number.append(len(layers))
    return Unrolled(replace(network, layers=tuple(layers)), network, tuple(rounds), tuple(first))


def _append_rounds(layers: list[Layer], members: IntArray, units: int) -> Rounds:
    """Append layers whose last one computes the maxima of groups of the last value, round by round.

    Arguments:
        members: ``int[groups, size]``, filled with -1.
        units: the number of units so far.
    """
    longest = int((members >= 0).sum(axis=1).max())
    left = np.full((len(members), 1 << (longest - 1).bit_length()), -1)
    left[:, :longest] = members[:, :longest]
    rounds = []
    while left.shape[1] > 1:
        a, b = left[:, 0::2], left[:, 1::2]
        value, width = len(layers), layers[-1].width
        there, paired = a >= 0, b >= 0
        count = int(paired.sum())
        unit = _numbered(paired)
        maps = [Selection(a[there], width)]
        if count:
            layers.append(
                Layer((value,), (_differences(b[paired], a[paired], width),), np.zeros(count), relu())
            )
            maps.append(Selection(unit[there], count))
        inputs = (value, value + 1)[: len(maps)]
        layers.append(Layer(inputs, tuple(maps), np.zeros(len(maps[0].index))))
        rounds.append(np.where(paired, unit + units, -1))
        left, units = _numbered(there), units + count
    if not rounds:
        layers.append(Layer((len(layers),), (Selection(left[:, 0], layers[-1].width),), np.zeros(len(left))))
    return tuple(rounds)


def _numbered(mask: np.ndarray) -> IntArray:
    """Numbers in order where a mask holds, else -1."""
    numbers: IntArray = np.where(mask, np.cumsum(mask).reshape(mask.shape) - 1, -1)
    return numbers


def _differences(b: IntArray, a: IntArray, width: int) -> Sparse:
    """Row k takes value a[k] from value b[k]."""
    rows = np.arange(len(a))
    entries = np.concatenate([np.ones(len(b)), -np.ones(len(a))])
    at = np.concatenate([rows, rows]), np.concatenate([b, a])
    return Sparse(csr_array((entries, at), shape=(len(a), width)))


def maxima_first(network: Network) -> Network:
    r"""The same function with activations behind the maxima of groups that are taken of them.

    Where :math:`\phi` nowhere falls, :math:`\max_i \phi(z_i) = \phi(\max_i z_i)`: a unit for each group
    instead of one for each member, as in a convolution, ReLU and max pooling.

    Arguments:
        network: the network; layers stay as they are where others read what is in front of a maximum.

    Returns:
        A network of other units.
    """
    readers = Counter(k for layer in network.layers for k in layer.inputs)
    pooled = {
        layer.inputs[0]: number
        for number, layer in enumerate(network.layers, start=1)
        if _takes_maxima(layer) and readers[layer.inputs[0]] == 1 and _rises(network, layer.inputs[0])
    }
    layers: list[Layer] = []
    number = [0]
    later = {there: here for here, there in pooled.items()}
    for k, layer in enumerate(network.layers, start=1):
        moved = replace(layer, inputs=tuple(number[i] for i in layer.inputs))
        layers.append(replace(moved, activation=None) if k in pooled else moved)
        if k in later:
            n = layer.width
            phi = network.layers[later[k] - 1].activation
            layers.append(Layer((len(layers),), (identity(n),), np.zeros(n), phi))
        number.append(len(layers))
    return replace(network, layers=tuple(layers)) if pooled else network


def _takes_maxima(layer: Layer) -> bool:
    """Whether a layer takes maxima of entries of one value."""
    first = layer.maps[0]
    return (
        isinstance(layer.activation, MaxGroups)
        and len(layer.maps) == 1
        and isinstance(first, Selection)
        and bool((first.index >= 0).all())
        and not layer.bias.any()
    )


def _rises(network: Network, number: int) -> bool:
    """Whether a value is one function of all pre-activations of its layer, that nowhere falls."""
    phi = network.layers[number - 1].activation if number else None
    if not isinstance(phi, PiecewiseLinear) or len(phi.slopes) > 1:
        return False
    return bool((phi.slopes >= 0).all()) and phi.jump() is None

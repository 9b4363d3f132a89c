"""The largest of some outputs, as a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from polytope.ir import Layer, Network, Selection, max_groups

MOST = 127  # members of a group


def largest_of(network: Network, groups: Sequence[Sequence[int]]) -> Network:
    """The largest output of each group behind a network, whose units come first.

    Arguments:
        network: the network.
        groups: numbers of outputs, at least one each; the last units are the places of the largest ones.
    """
    width = max(map(len, groups))
    if width > MOST:
        parts = [[group[i : i + MOST] for i in range(0, len(group), MOST)] for group in groups]
        ends = np.cumsum([0, *map(len, parts)]).tolist()
        some = largest_of(network, [part for group in parts for part in group])
        return largest_of(some, [list(range(i, j)) for i, j in pairwise(ends)])
    members = np.array([[*group, *[-1] * (width - len(group))] for group in groups])
    n = network.output_dim
    last = Layer((len(network.layers),), (Selection(np.arange(n), n),), np.zeros(n), max_groups(members))
    return replace(network, layers=(*network.layers, last), output_names=("largest",))

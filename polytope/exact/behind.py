r"""What lies behind a facet, exactly: the pattern on the other side, next to the facet's relative interior.

Only units with a boundary on the facet's hyperplane can change, and those that lie on a boundary all over the
region. Layer after layer, each takes the piece that its pre-activation leads into: from its level on the
hyperplane, as an affine function there, by its slope across it on the far side.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from polytope.exact.dyadic import Dyadic, IntegerVector
from polytope.exact.network import ExactNetwork
from polytope.ir.activations import PatternArray
from polytope.ir.maps import IntArray

TOGETHER = 64  # dimensions up to which all pre-activations of a layer come by one forward pass


def pattern_behind(
    exact: ExactNetwork, pattern: PatternArray, facet: Sequence[int], units: Iterable[int]
) -> PatternArray:
    """The pattern ``int8[units]`` behind a facet of a region.

    Arguments:
        pattern: the region's.
        facet: ``d + 1`` integers, ``facet[:d] . x + facet[d] <= 0`` in the region.
        units: all units with a row that is a positive multiple of the facet's, or with a row that is zero.
    """
    network, out = exact.network, pattern.copy()
    pivot = next(t for t, c in enumerate(facet) if c)
    size, sign = abs(facet[pivot]), 1 if facet[pivot] > 0 else -1
    row: IntegerVector = np.array(facet, dtype=object)
    which = np.unique(np.fromiter(units, dtype=np.int64))
    for number, layer in enumerate(network.layers, start=1):
        start, stop = network.unit_offsets[number - 1], network.unit_offsets[number]
        mine = which[(which >= start) & (which < stop)]
        if layer.activation is None or not len(mine):
            continue
        activation, read = layer.activation.restricted(mine - start)
        z = _preactivations(exact, number, read, out)
        rise = z.integers[:, pivot] * sign
        level = z.integers * size - rise[:, None] * row
        for place, unit in enumerate(mine.tolist()):
            out[unit] = activation.beyond(place, int(pattern[unit]), level, rise, size << z.exponent)
    return out


def _preactivations(exact: ExactNetwork, number: int, which: IntArray, pattern: PatternArray) -> Dyadic:
    """Some pre-activations of a layer as affine functions of x, ``[k, d + 1]``."""
    if exact.network.input_dim <= TOGETHER:
        z = exact.preactivations(number, pattern)
        return Dyadic(z.integers[which], z.exponent)
    rows = [exact.function(number, [q], [1.0], 0.0, pattern) for q in which.tolist()]
    exponent = max(row.exponent for row in rows)
    return Dyadic(np.stack([row.integers << (exponent - row.exponent) for row in rows]), exponent)

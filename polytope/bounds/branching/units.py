"""Units that stay on one piece all over a box, proved by branch and bound layer by layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from polytope.bounds.branching.search import Branching
from polytope.bounds.output_bounds import bounds_over_box
from polytope.ir.activations import PatternArray, PiecewiseLinear
from polytope.ir.layers import Layer
from polytope.ir.maps import FloatArray, IntArray, Sparse
from polytope.ir.network import Network

MOST_NODES = 4_000  # of a layer, split without an end in sight

BoolArray = NDArray[np.bool_]


def fixed_pieces(
    network: Network, box: FloatArray, pattern: PatternArray, units: IntArray, spent: Callable[[], bool]
) -> tuple[BoolArray, FloatArray]:
    """Which of some units are proved to be on one piece, and inputs that may show others on a second one.

    Arguments:
        network: of units that each have breakpoints of their own.
        box: ``[2, d]``, finite.
        pattern: ``int8[units]``, the pieces that are to be proved.
        units: the units, in order.
        spent: whether to stop; what is not proved by then is not.

    Returns:
        ``(proved [k], inputs [n, d])``
    """
    proved, points = [np.zeros(0, dtype=bool)], [np.zeros((0, network.input_dim))]
    for number, first in enumerate(network.unit_offsets[:-1], start=1):
        mine = units[(first <= units) & (units < network.unit_offsets[number])]
        if len(mine):
            front, owner = _conditions(network, number, mine - first, pattern[mine])
            open_rows, seen = _settle(front, box, spent)
            proved.append(~np.isin(np.arange(len(mine)), owner[open_rows]))
            points.append(seen)
    return np.concatenate(proved), np.concatenate(points)


def _conditions(
    network: Network, number: int, which: IntArray, pieces: PatternArray
) -> tuple[Network, IntArray]:
    """Outputs that are positive where some units of a layer are inside of a piece, and whose they are."""
    layer = network.layers[number - 1]
    phi = layer.phi
    assert isinstance(phi, PiecewiseLinear), "units with breakpoints of their own"
    t = np.broadcast_to(phi.breakpoints, (layer.width, phi.breakpoints.shape[1]))
    ends = np.concatenate([np.full((layer.width, 1), -np.inf), t, np.full((layer.width, 1), np.inf)], axis=1)
    below, above = ends[which, pieces], ends[which, pieces.astype(int) + 1]
    owner = np.concatenate([np.flatnonzero(np.isfinite(below)), np.flatnonzero(np.isfinite(above))])
    level = np.concatenate([below[np.isfinite(below)], above[np.isfinite(above)]])
    sign = np.repeat([1.0, -1.0], [int(np.isfinite(below).sum()), int(np.isfinite(above).sum())])
    rows = csr_array((sign, (np.arange(len(owner)), which[owner])), shape=(len(owner), layer.width))
    layers = (*network.layers[: number - 1], replace(layer, activation=None))
    last = Layer((number,), (Sparse(rows),), -sign * level)
    return replace(network, layers=(*layers, last), output_names=("inside",)), owner


def _settle(front: Network, box: FloatArray, spent: Callable[[], bool]) -> tuple[IntArray, FloatArray]:
    """Outputs that are not proved to be positive, and inputs at which some are not."""
    middle = box[0] / 2 + box[1] / 2
    if not front.n_units:  # affine: the least values stand at corners
        left = np.flatnonzero(~(bounds_over_box(front, box)[0] > 0))
        slopes, _ = front.affine(front.pattern(middle))
        return left, np.where(slopes[left] > 0, box[0], box[1])
    radius = float(np.maximum(box[1] - middle, middle - box[0]).max()) * (1 + 2.0**-40)
    search = Branching(front, middle, box, np.inf, radius, spent, whole=True)
    not_proved: set[int] = set()
    points = [np.zeros((0, len(middle)))]
    while len(search.nodes) and search.settled + len(search.nodes) < MOST_NODES and not spent():
        regions, found = search.step(np.inf)
        not_proved |= {output for _, output, _ in regions}
        if len(found):
            points.append(found)
            not_proved |= set(np.flatnonzero((front(found) <= 0).any(axis=0)).tolist())
        lost = torch.tensor(sorted(not_proved), dtype=torch.int64)
        search.nodes = search.nodes.take(~torch.isin(search.nodes.output, lost))
    not_proved |= set(search.nodes.output.tolist())
    return np.array(sorted(not_proved), dtype=np.int64), np.concatenate(points)

"""Units that stay on one piece all over a box, proved by branch and bound layer by layer."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from polytope.bounds.branching.search import Branching
from polytope.bounds.output_bounds import bounds_over_box
from polytope.core.limits import BudgetSpent
from polytope.ir.activations import PatternArray
from polytope.ir.backward import pull_back
from polytope.ir.boundaries import boundaries
from polytope.ir.layers import Layer
from polytope.ir.looking import look
from polytope.ir.maps import FloatArray, IntArray, Sparse
from polytope.ir.maxima import maxima_first
from polytope.ir.network import Network

LOOKS = 4096  # units between two looks
MOST_NODES = 4_000  # of a layer, split without an end in sight
MOST_NUMBERS = 1 << 25  # in the nodes of units that are looked at together

BoolArray = NDArray[np.bool_]


def fixed_pieces(
    network: Network, box: FloatArray, pattern: PatternArray, units: IntArray, spent: Callable[[], bool]
) -> tuple[BoolArray, FloatArray]:
    """Which of some units are proved to be on one piece, and inputs that may show others on a second one.

    Arguments:
        network: a network without jumps.
        box: ``[2, d]``, finite.
        pattern: ``int8[units]``, the pieces that are to be proved.
        units: the units, in order.
        spent: whether to stop; what is not proved by then, or when a look ends the work, is not.

    Returns:
        ``(proved [k], inputs [n, d])``
    """
    proved, points = [np.zeros(0, dtype=bool)], [np.zeros((0, network.input_dim))]
    for number, first in enumerate(network.unit_offsets[:-1], start=1):
        mine = units[(first <= units) & (units < network.unit_offsets[number])]
        if len(mine):
            surely = np.zeros(len(mine), dtype=bool)
            with suppress(BudgetSpent):
                front, owner = _conditions(network, number, mine - first, pattern[mine])
                rows, seen = _settle(front, box, spent)
                surely = ~np.isin(np.arange(len(mine)), np.delete(owner, rows))
                points.append(seen)
            proved.append(surely)
    return np.concatenate(proved), np.concatenate(points)


def _conditions(
    network: Network, number: int, which: IntArray, pieces: PatternArray
) -> tuple[Network, IntArray]:
    """Outputs that are positive where some units of a layer are inside of a piece, and whose they are."""
    layer, table = network.layers[number - 1], boundaries(network)[number - 1]
    rows = []
    for k, (unit, piece) in enumerate(zip(which.tolist(), pieces.tolist(), strict=True)):
        if k % LOOKS == 0:
            look()
        rows += [(k, boundary, sign) for boundary, sign, _ in table.pieces[unit][piece]]
    owner, boundary = np.array([row[:2] for row in rows], dtype=np.int64).reshape(-1, 2).T
    sign = np.array([row[2] for row in rows])
    entries = (-sign[:, None] * table.coefficients[boundary]).ravel()
    at = np.repeat(np.arange(len(rows)), 2), table.index[boundary].ravel()
    matrix = csr_array((entries, at), shape=(len(rows), len(layer.bias)))
    layers = (*network.layers[: number - 1], replace(layer, activation=None))
    last = Layer((number,), (Sparse(matrix),), sign * table.offset[boundary])
    return maxima_first(replace(network, layers=(*layers, last), output_names=("inside",))), owner


def _settle(front: Network, box: FloatArray, spent: Callable[[], bool]) -> tuple[IntArray, FloatArray]:
    """Outputs that are proved to be positive, and inputs at which some are not."""
    middle = box[0] / 2 + box[1] / 2
    if not front.n_units:  # affine: the least values stand at corners
        above = bounds_over_box(front, box)[0] > 0
        some = np.flatnonzero(~above)[: max(1, MOST_NUMBERS // (front.output_dim + len(middle)))]
        slopes = _slopes(front, some, middle)
        return np.flatnonzero(above), np.where(slopes > 0, box[0], box[1])
    radius = float(np.maximum(box[1] - middle, middle - box[0]).max()) * (1 + 2.0**-40)
    together = max(1, MOST_NUMBERS // (front.n_units + len(middle)))
    proved, points = [np.zeros(0, dtype=np.int64)], [np.zeros((0, len(middle)))]
    every, share = np.arange(front.output_dim), MOST_NODES / front.output_dim
    search = Branching(front, middle, box, np.inf, radius, spent, whole=True, outputs=every[:0])
    with suppress(BudgetSpent):
        for outputs in (every[i : i + together] for i in range(0, len(every), together)):
            if spent():
                break
            search.turn_to(outputs)
            proved.append(_split_up(search, outputs, max(1.0, share) * len(outputs), points))
    return np.concatenate(proved), np.concatenate(points)


def _split_up(search: Branching, outputs: IntArray, most: float, points: list[FloatArray]) -> IntArray:
    """Which of the outputs that a search has just begun with are proved to be positive.

    Arguments:
        most: nodes, settled and open.
        points: to which inputs are added at which some output may not be positive.
    """
    not_proved, before = set[int](), search.settled
    while len(search.nodes) and search.settled - before + len(search.nodes) < most and not search.spent():
        open_nodes = search.nodes
        try:
            regions, found = search.step(np.inf)
        except BudgetSpent:  # in the middle of a step
            search.nodes = open_nodes
            break
        not_proved |= {output for _, output, _ in regions}
        if len(found):
            points.append(found)
            not_proved |= set(np.flatnonzero((search.network(found) <= 0).any(axis=0)).tolist())
        lost = torch.tensor(sorted(not_proved), dtype=torch.int64)
        search.nodes = search.nodes.take(~torch.isin(search.nodes.output, lost))
    not_proved |= set(search.nodes.output.tolist())
    return outputs[~np.isin(outputs, sorted(not_proved))]


def _slopes(front: Network, outputs: IntArray, x: FloatArray) -> FloatArray:
    """The gradients of some outputs at a point, ``[k, d]``."""
    if not len(outputs):
        return np.zeros((0, front.input_dim))
    weights = np.zeros((front.output_dim, 1, len(outputs)))
    weights[outputs, 0, np.arange(len(outputs))] = 1.0
    slopes, _ = pull_back(front, len(front.layers), weights, front.pattern(x))
    return slopes.reshape(len(outputs), -1)

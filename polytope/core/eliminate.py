r"""Dense elimination of the units that are fixed on a cell of a reduced network.

With U the undecided and F the fixed units, :math:`W'_{UU} = W_{UU} + X D W_{FU}` where D holds the slopes of
the fixed units, and the paths from U to F, :math:`X = W_{UF} + X D W_{FF}`, are found layer by layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from polytope.core.flat_network import ROUND, FlatNetwork
from polytope.ir.maps import FloatArray, IntArray

LOST = 1e-150  # more than sums of squares, and products of weights, can lose by underflow


def eliminate(
    net: FlatNetwork,
    cell: Mapping[str, Any],
    weights: FloatArray,
    errors: FloatArray,
    norms: FloatArray,
    units: IntArray,
) -> tuple[FloatArray, FloatArray]:
    """The weights ``[units, units]`` between undecided units on the present cell, and error bounds.

    Errors are bounded by the inequality of Cauchy and Schwarz: two vectors for each layer, no matrix.

    Arguments:
        cell: as the core hands it over (see ``reduced_network``).
        norms: ``layer_norms`` of the weights and errors.
    """
    fixed, slope = _passing(net, cell, units)
    n, m = len(fixed), len(units)
    columns = np.concatenate([fixed, units])
    W, X = weights[np.ix_(fixed, columns)], weights[np.ix_(units, columns)]
    round_off = (n + 2 * len(net.pre_off) + 16) * ROUND
    B = errors[np.ix_(units, columns)] + round_off * np.abs(X) + LOST
    left, right = np.zeros((m, 0)), np.zeros((0, n + m))
    at = np.searchsorted(fixed, net.unit_off)
    before = np.searchsorted(units, net.unit_off)
    for q in range(len(net.unit_off) - 1):
        f0, f1, m0 = int(at[q]), int(at[q + 1]), int(before[q])
        if f0 == f1 or not m0:
            continue
        S = X[:m0, f0:f1] * slope[f0:f1]
        X[:m0, f1:] += S @ W[f0:f1, f1:]
        wrong = (B[:m0, f0:f1] + left[:m0] @ right[:, f0:f1]) * np.abs(slope[f0:f1]) + 2 * ROUND * np.abs(S)
        size = norm(S, 1)
        both = np.zeros((m, 2))
        both[:m0, 1] = size + norm(wrong, 1)
        both[:m0, 0] = both[:m0, 1] - size + round_off * size
        left, right = np.hstack([left, both]), np.vstack([right, norms[2 * q : 2 * q + 2, columns]])
    return np.ascontiguousarray(X[:, n:]), (B[:, n:] + left @ right[:, n:]) * 1.001


def _passing(net: FlatNetwork, cell: Mapping[str, Any], units: IntArray) -> tuple[IntArray, FloatArray]:
    """The fixed units of later layers that are not constant, and their slopes."""
    slope = net.slope[net.tab + cell["pieces"]]
    fixed = slope != 0.0
    fixed[: int(net.unit_off[cell["layer"] + 1])] = False
    fixed[units] = False
    places = np.flatnonzero(fixed)
    return places, slope[places]


def layer_norms(weights: FloatArray, errors: FloatArray, unit_off: IntArray) -> FloatArray:
    """Norms of the columns of weights, and of errors, within each layer in turn, ``[2 layers, units]``."""
    parts = [slice(int(a), int(b)) for a, b in pairwise(unit_off)]
    return np.array([norm(matrix[part], 0) for part in parts for matrix in (weights, errors)])


def norm(matrix: FloatArray, axis: int) -> FloatArray:
    """Euclidean norms of rows or columns, rounded up."""
    squares = np.einsum("ij,ij->j" if axis == 0 else "ij,ij->i", matrix, matrix)
    norms: FloatArray = np.sqrt(squares) * 1.001 + LOST
    return norms

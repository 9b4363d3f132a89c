r"""Units for coordinates in which the numbers of a polyhedron are of ordinary size: powers of two, so exact.

The logarithms of the entries of ``[A | b]`` are balanced by row and by column, alternately: where columns
have unlike units (a time in seconds, an age, a share) or the whole is small or large, coordinates
:math:`t_j = x_j / s_j` are of size 1. Nothing is rounded by the change, and nothing is decided by it.
"""

from __future__ import annotations

import numpy as np

from polytope.ir.looking import look
from polytope.ir.maps import FloatArray
from polytope.ir.matrix import Matrix, dense, lengths, times_powers

ORDINARY = 10  # powers of two within which sizes are left as they are
ROUNDS = 6  # of rows and columns, alternately


def column_scales(A: FloatArray, b: FloatArray) -> FloatArray:
    """A power of two for each coordinate, ``[d]``; all 1 where numbers are of ordinary size."""
    table = np.abs(np.concatenate([A, b[:, None]], axis=1))
    used = table > 0
    logs = np.log2(np.where(used, table, 1.0))
    down, across = used.sum(axis=0), used.sum(axis=1)
    columns = np.zeros(table.shape[1])
    for _ in range(ROUNDS):
        rows = -(logs + columns * used).sum(axis=1) / np.maximum(across, 1)
        columns = -(logs + rows[:, None] * used).sum(axis=0) / np.maximum(down, 1)
    columns -= columns[-1] if down[-1] else np.median(columns[:-1])
    powers = np.clip(np.round(columns[:-1]), -1000, 1000)
    return np.ldexp(1.0, powers.astype(int)) if (np.abs(powers) > ORDINARY).any() else np.ones(A.shape[1])


def unit_rows(A: Matrix, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Rows ``[m, d + 1]`` of unit length, ``r[:d] . x + r[d] <= 0``, and the factors that made them so."""
    size = np.frexp(lengths(A, np.inf))[1]
    part = times_powers(A, -size)
    length = lengths(part)
    last = np.ldexp(-b, -size) / length
    factors: FloatArray = np.ldexp(np.ones(len(b)) / length, -size)
    if not isinstance(part, np.ndarray):
        look(2 * 8 * len(b) * A.shape[1])
        part = dense(part)
    return np.concatenate([part / length[:, None], last[:, None]], axis=1), factors

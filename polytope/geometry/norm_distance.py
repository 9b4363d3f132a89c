r"""The point nearest to a given one by the 1-norm or the max norm, where a row vanishes and others hold.

A linear program over few of the rows, to which those that its solution breaks are added. By weak duality,
multipliers :math:`\lambda` of the rows prove :math:`\|s\| \ge \lambda^T r_0 + \min_s (\|s\| + g^T s)`
over the box, with :math:`r_0` the rows' values at the given point and :math:`g = R^T \lambda`.
"""

from __future__ import annotations

import numpy as np

from polytope.geometry.lp import NormProgram
from polytope.geometry.projection import Nearest, nearest_on_row
from polytope.ir.maps import FloatArray
from polytope.ir.matrix import Matrix, dense_rows, lengths, product

DUAL = {1.0: np.inf, 2.0: 2.0, np.inf: 1.0}  # exponent of a norm -> of its dual


def nearest_where_zero(
    A: Matrix,
    c: FloatArray,
    i: int,
    p: FloatArray,
    low: FloatArray,
    high: FloatArray,
    *,
    norm: float = 2.0,
    stop: float = np.inf,
    rounds: int = 60,
) -> Nearest:
    """The point nearest to p with ``A y + c <= 0`` and row i zero, in a box; an infinite bound if none is.

    Arguments:
        A, c: ``[m, d]`` and ``[m]``, rows of unit Euclidean length.
        i: the row that is tight.
        p: ``[d]``.
        low, high: ``[d]``, infinite where nothing bounds.
        norm: 1, 2 or infinity.
        stop: give up as soon as the distance is proved to be larger.
        rounds: give up after so many sets of rows.

    Raises:
        SolverError: HiGHS ends without an answer.
    """
    if norm == 2:
        return nearest_on_row(A, c, i, p, low, high, stop=stop, rounds=rounds)
    at = product(A, p) + c
    unit = float(abs(at[i]) / lengths(dense_rows(A, np.array([i])), DUAL[norm])[0]) or 1.0
    at /= unit
    ends = (low - p) / unit, (high - p) / unit
    program = NormProgram(*ends, norm)
    active = np.concatenate([dense_rows(A, np.array([i])), at[i : i + 1, None]], axis=1)
    known = [i]
    program.add(active, tight=True)
    tolerance = 1e-9 * (1.0 + float(np.abs(p).max()) / unit * 2.0**-20)
    bound = 0.0
    for _ in range(rounds):
        found = program.solve()
        if found is None:
            return Nearest(np.inf, None)
        step, multipliers = found
        bound = max(bound, unit * proved_length(active, multipliers, *ends, norm))
        if bound > stop:
            return Nearest(bound, None)
        value = product(A, step) + at
        value[known] = -1.0
        worst = np.argsort(-value, kind="stable")[:16]
        worst = worst[value[worst] > tolerance]
        if not len(worst):
            return Nearest(bound, p + unit * step)
        more = np.concatenate([dense_rows(A, worst), at[worst, None]], axis=1)
        program.add(more)
        active, known = np.concatenate([active, more]), known + worst.tolist()
    return Nearest(bound, None)


def proved_length(
    rows: FloatArray, multipliers: FloatArray, low: FloatArray, high: FloatArray, norm: float
) -> float:
    """What multipliers prove of the length of every step s in a box with the first row zero, the rest <= 0.

    Arguments:
        rows: ``[k, d + 1]``.
        multipliers: ``[k]``; negative ones of inequalities count as 0.
        low, high: ``[d]``, the box.
        norm: 1 or infinity.
    """
    held = np.append(multipliers[:1], np.maximum(multipliers[1:], 0.0))
    g = rows[:, :-1].T @ held
    open_end = np.where(g > 0, low == -np.inf, high == np.inf)
    pull = np.abs(g[open_end])
    most = float((pull.max(initial=0.0) if norm == 1 else pull.sum()) * (1 + 2.0**-40))
    if most > 1:  # by rounding
        held, g = held / most, g / most
    constant = float(rows[:, -1] @ held)
    room = np.where(g > 0, -low, high)  # how far s can go against g; negative: it must go along
    if norm == 1:
        least = np.maximum(np.maximum(low, -high), 0.0)  # |s| is at least this
        best = np.where(least == 0, 0.0, np.inf)
        for end in (low, high):
            at = np.where(np.isfinite(end), end, 0.0)
            best = np.minimum(best, np.where(np.isfinite(end), np.abs(at) + g * at, np.inf))
        return constant + float(best.sum())
    first = float(np.maximum(np.maximum(low, -high), 0.0).max(initial=0.0))
    size = np.abs(g)
    at = np.append(np.unique(room[np.isfinite(room) & (room > first)]), first)
    order = np.argsort(room)
    caps, weights = room[order], size[order]
    finite = np.where(np.isfinite(caps), caps, 0.0)
    below = np.concatenate([[0.0], np.cumsum(weights * finite)])
    above = np.concatenate([[0.0], np.cumsum(weights)])
    k = np.searchsorted(caps, at, side="right")
    return constant + float((at - below[k] - at * (above[-1] - above[k])).min())

r"""The shortest step by the norm 1, 2 or infinity to where a row vanishes and others hold, in a box.

By the norms 1 and infinity a linear program over few of the rows, to which those that its solution breaks
are added. By weak duality, multipliers :math:`\lambda` of the rows prove :math:`\|s\| \ge \lambda^T r_0 +
\min_s (\|s\| + g^T s)` over the box, with :math:`r_0` the rows' values where steps begin and :math:`g = R^T
\lambda`. What rounding may have changed in the rows and in the sums is taken off.
"""

from __future__ import annotations

from collections.abc import Callable
from math import frexp, ldexp

import numpy as np

from polytope.geometry.lp import NormProgram
from polytope.geometry.projection import ROOM, Errors, Nearest, exact_rows, nearest_on_row
from polytope.ir.forward import U
from polytope.ir.looking import look
from polytope.ir.maps import FloatArray
from polytope.ir.matrix import Matrix, dense_rows, lengths, product

TOLERANCE = 1e-9  # of proposals, on rows of unit length and steps of size 1: no proof rests on it
DUAL = {1.0: np.inf, 2.0: 2.0, np.inf: 1.0}  # exponent of a norm -> of its dual


def dual_factor(norm: float, d: int) -> float:
    """The greatest length in the dual norm of a vector of Euclidean length 1."""
    return float(np.sqrt(d)) if norm == np.inf else 1.0


def nearest_where_zero(
    A: Matrix,
    c: FloatArray,
    i: int,
    low: FloatArray,
    high: FloatArray,
    *,
    norm: float = 2.0,
    stop: float = np.inf,
    rounds: int = 60,
    errors: Errors | None = None,
) -> Nearest:
    """The shortest step s with ``A s + c <= 0`` and row i zero, in a box; a large bound where none is found.

    Arguments:
        A, c: ``[m, d]`` and ``[m]``, rows of unit Euclidean length.
        i: the row that is tight.
        low, high: ``[d]``, infinite where nothing bounds.
        norm: 1, 2 or infinity.
        stop: give up as soon as the length is proved to be larger.
        rounds: give up after so many sets of rows.
        errors: of the rows; none where they are not given. The box is taken as it is.

    Raises:
        SolverError: HiGHS ends without an answer.
    """
    errors = errors or exact_rows(len(c))
    away = abs(float(c[i])) / (1.0 if norm == 2 else float(lengths(A[[i]], DUAL[norm])[0]))
    unit = ldexp(1.0, min(max(frexp(away)[1], -900), 900)) if away else 1.0  # so nothing is rounded
    scaled = Errors(errors.at / unit, errors.tilt)
    parts = A, c / unit, i, low / unit, high / unit
    find = nearest_on_row if norm == 2 else _by_programs(norm)
    near = find(*parts, stop=stop / unit, rounds=rounds, errors=scaled)
    return Nearest(unit * near.bound, None if near.point is None else unit * near.point, near.tight)


def _by_programs(norm: float) -> Callable[..., Nearest]:
    """How to find the shortest step by the norm 1 or infinity."""

    def find(
        A: Matrix,
        c: FloatArray,
        i: int,
        low: FloatArray,
        high: FloatArray,
        *,
        stop: float,
        rounds: int,
        errors: Errors,
    ) -> Nearest:
        program = NormProgram(low, high, norm)
        active = np.concatenate([dense_rows(A, np.array([i])), c[i : i + 1, None]], axis=1)
        known = np.array([i])
        program.add(active, tight=True)
        bound = 0.0
        for _ in range(rounds):
            look()
            found = program.solve()
            own = errors.some(known)
            multipliers = found[1] if found else _stretched(active, program.contradiction(), low, high, own)
            bound = max(bound, proved_length(active, multipliers, low, high, norm, own))
            if found is None or bound > stop:
                return Nearest(bound, None, known[multipliers != 0])
            value = product(A, found[0]) + c
            value[known] = -1.0
            worst = np.argsort(-value, kind="stable")[:16]
            worst = worst[value[worst] > TOLERANCE]
            if not len(worst):
                return Nearest(bound, found[0], known[multipliers != 0])
            more = np.concatenate([dense_rows(A, worst), c[worst, None]], axis=1)
            program.add(more)
            active, known = np.concatenate([active, more]), np.append(known, worst)
        return Nearest(bound, None, known[multipliers != 0])

    return find


def _stretched(
    rows: FloatArray, multipliers: FloatArray, low: FloatArray, high: FloatArray, errors: Errors
) -> FloatArray:
    """Multipliers of rows that contradict each other, times what makes them prove the most."""
    g, d = rows[:, :-1].T @ multipliers, rows.shape[1] - 1
    pull = float(np.abs(g[np.where(g > 0, low == -np.inf, high == np.inf)]).sum())
    doubt = 8 * float(np.sqrt(d) * np.abs(multipliers) @ (errors.tilt + (len(rows) + 4) * U))
    return multipliers / (max(pull, doubt) or 1.0)


def proved_length(
    rows: FloatArray,
    multipliers: FloatArray,
    low: FloatArray,
    high: FloatArray,
    norm: float,
    errors: Errors | None = None,
) -> float:
    """What multipliers prove of the length of every step s in a box with the first row zero, the rest <= 0.

    Arguments:
        rows: ``[k, d + 1]``.
        multipliers: ``[k]``; negative ones of inequalities count as 0.
        low, high: ``[d]``, the box.
        norm: 1 or infinity.
        errors: of the rows, whose gradients are then of unit length; none where they are not given.
    """
    k, d = len(rows), rows.shape[1] - 1
    held = np.append(multipliers[:1], np.maximum(multipliers[1:], 0.0))
    g = rows[:, :-1].T @ held
    open_end = np.where(g > 0, low == -np.inf, high == np.inf)
    pull = np.abs(g[open_end])
    most = float((pull.max(initial=0.0) if norm == 1 else pull.sum()) * (1 + (d + 4) * U))
    if most > 1:  # by rounding, or because the rows contradict each other
        held, g = held / (most * (1 + 2 * U)), g / (most * (1 + 2 * U))
    length, rounded = (_least_sum if norm == 1 else _least_greatest)(g, low, high)
    value = float(rows[:, -1] @ held) + length
    errors = errors or exact_rows(k)
    size = np.abs(held)
    lost = float(size @ (errors.at + (k + 4) * U * np.abs(rows[:, -1]))) + rounded
    reach = lengths(rows[:, :-1]) * ((k + 4) * U)
    tilt = dual_factor(norm, d) * float(size @ (errors.tilt + reach))
    sure = value - ROOM * (lost + tilt * max(value, 0.0))
    return sure if 0 < sure < np.inf else 0.0


def _least_sum(g: FloatArray, low: FloatArray, high: FloatArray) -> tuple[float, float]:
    """The least ``|s| + g . s`` in a box by the 1-norm, and a bound on its rounding error."""
    least = np.maximum(np.maximum(low, -high), 0.0)  # |s| is at least this
    best = np.where(least == 0, 0.0, np.inf)
    sizes = np.zeros(len(g))
    for end in (low, high):
        at = np.where(np.isfinite(end), end, 0.0)
        best = np.minimum(best, np.where(np.isfinite(end), np.abs(at) + g * at, np.inf))
        sizes = np.maximum(sizes, np.abs(at) * (1 + np.abs(g)))
    doubtful = (best < 0) | (least > 0) | (np.abs(g) > 1 - 8 * U)
    rounded = 4 * U * float(sizes[doubtful].sum()) + len(g) * U * float(np.abs(best).sum())
    return float(best.sum()), rounded


def _least_greatest(g: FloatArray, low: FloatArray, high: FloatArray) -> tuple[float, float]:
    """The least ``|s| + g . s`` in a box by the max norm, and a bound on its rounding error."""
    room = np.where(g > 0, -low, high)  # how far s can go against g; negative: it must go along
    first = float(np.maximum(np.maximum(low, -high), 0.0).max(initial=0.0))
    size = np.abs(g)
    at = np.append(np.unique(room[np.isfinite(room) & (room > first)]), first)
    order = np.argsort(room)
    caps, weights = room[order], size[order]
    finite = np.where(np.isfinite(caps), caps, 0.0)
    below = np.concatenate([[0.0], np.cumsum(weights * finite)])
    above = np.concatenate([[0.0], np.cumsum(weights)])
    k = np.searchsorted(caps, at, side="right")
    values = at - below[k] - at * (above[-1] - above[k])
    sizes = float((weights * np.abs(finite)).sum()) + float(at.max()) * (1 + 3 * above[-1])
    return float(values.min()), (len(g) + 8) * U * sizes


def steepest(slope: FloatArray, norm: float) -> FloatArray:
    """The shortest step along which an affine function of this slope grows by 1."""
    if norm == 2:
        return slope / float(slope @ slope)
    if norm == np.inf:
        return np.sign(slope) / float(np.abs(slope).sum())
    step = np.zeros_like(slope)
    k = int(np.abs(slope).argmax())
    step[k] = 1 / slope[k]
    return step

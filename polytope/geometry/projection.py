r"""The point of a polyhedron's facet nearest to a given point: an active-set method on the dual.

For :math:`\min \tfrac12 |y - p|^2` over :math:`R y + c \le 0,\ l \le y \le u` with row i tight,
multipliers :math:`\lambda` give :math:`y = \mathrm{clip}(p - R^T \lambda)`; any (not negative but for
row i) prove a lower bound on the distance. Few rows are ever active, so this is cheap in any dimension.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.matrix import Matrix, dense_rows, product


@dataclass(frozen=True, eq=False)
class Nearest:
    """A proved lower bound on the distance, and the nearest point where it was found."""

    bound: float
    point: FloatArray | None


def nearest_on_row(
    A: Matrix,
    c: FloatArray,
    i: int,
    p: FloatArray,
    low: FloatArray,
    high: FloatArray,
    *,
    stop: float = np.inf,
    rounds: int = 60,
) -> Nearest:
    """The point nearest to p with ``A y + c <= 0`` and row i zero, in a box.

    Arguments:
        A, c: ``[m, d]`` and ``[m]``, rows of unit length.
        i: the row that is tight.
        p: ``[d]``.
        low, high: ``[d]``, infinite where nothing bounds.
        stop: give up as soon as the distance is proved to be larger.
        rounds: give up after so many sets of active rows.
    """
    tolerance = 1e-11 * (1.0 + np.abs(c) + float(np.abs(p).max()))
    active, multipliers = np.array([i]), np.zeros(1)
    bound = 0.0
    for _ in range(rounds):
        active, multipliers, y = _tight(A, c, active, multipliers, p, low, high, tolerance)
        value = product(A, y) + c
        if multipliers[1:].min(initial=0.0) >= 0:
            square = float((y - p) @ (y - p)) + 2 * float(multipliers @ value[active])
            bound = max(bound, square**0.5) if square > 0 else bound
            if bound > stop:
                return Nearest(bound, None)
        if abs(value[i]) > tolerance[i]:
            return Nearest(bound, None)
        value[active] = -1.0
        if (value <= tolerance).all():
            return Nearest(float(np.linalg.norm(y - p)), y)
        if len(active) == len(p):
            break  # a vertex: the rows contradict each other, or rounding decides
        active, multipliers = np.append(active, (value - tolerance).argmax()), np.append(multipliers, 0.0)
    return Nearest(bound, None)


def _tight(
    A: Matrix,
    c: FloatArray,
    active: IntArray,
    multipliers: FloatArray,
    p: FloatArray,
    low: FloatArray,
    high: FloatArray,
    tolerance: FloatArray,
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Multipliers that make the active rows tight (Newton's method); negative ones leave, not the first."""
    while True:
        R = dense_rows(A, active)
        least, stuck = np.inf, 0
        for _ in range(20):
            raw = p - R.T @ multipliers
            y = np.clip(raw, low, high)
            miss = R @ y + c[active]
            off = float((np.abs(miss) / tolerance[active]).max())
            stuck = 0 if off < least / 2 else stuck + 1
            least = min(least, off)
            if off <= 1 / 8 or stuck > 3:
                break
            free = R * ((raw >= low) & (raw <= high))
            gram = free @ R.T
            gram.flat[:: len(gram) + 1] += 1e-13 * (1.0 + np.trace(gram))
            multipliers = multipliers + np.linalg.solve(gram, miss)
        if multipliers[1:].min(initial=0.0) >= 0:
            return active, multipliers, y
        stays = np.append(True, multipliers[1:] >= 0)
        active, multipliers = active[stays], multipliers[stays]


def nearest_surely(rows: FloatArray, i: int, p: FloatArray) -> FloatArray | None:
    """The same by non-negative least squares over all rows (Lawson and Hanson): slower, never stuck.

    ``None`` where no point satisfies the rows.
    """
    G = -np.concatenate([rows[:, :-1], -rows[i : i + 1, :-1]])
    h = rows[:, :-1] @ p + rows[:, -1]
    scale = float(np.abs(h).max()) or 1.0
    h = np.append(h, -h[i]) / scale
    E = np.concatenate([G.T, h[None]])
    f = np.append(np.zeros(len(p)), 1.0)
    u, _ = nnls(E, f, maxiter=30 * len(h))
    rest = E @ u - f
    if abs(rest[-1]) < 1e-12:
        return None
    y: FloatArray = p - scale * rest[:-1] / rest[-1]
    return y

r"""The point of a polyhedron's facet nearest to a given point: an active-set method on the dual.

With the given point as the origin, for :math:`\min \tfrac12 |y|^2` over :math:`R y + c \le 0,\ l \le y \le u`
with row i tight, multipliers :math:`\lambda` give :math:`y = \mathrm{clip}(-g)`, :math:`g = R^T \lambda`. Any
(not negative but for row i) prove a lower bound: :math:`\tfrac12 |y|^2 \ge \lambda^T c + \min_y (\tfrac12
|y|^2 + g^T y)` over the box. Few rows are ever active, so this is cheap in any dimension.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from polytope.ir.forward import U
from polytope.ir.looking import look
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.matrix import Matrix, dense_rows, product

ROOM = 1 + 2.0**-20  # for the rounding of the bounds themselves
NO_ROWS: IntArray = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Nearest:
    """A lower bound on the distance, with all that rounding may do, and about the nearest point where found.

    Arguments:
        bound: proved for rows within the errors that were given.
        point: ``[d]``; nothing is proved of it.
        tight: numbers of rows that are likely tight there, or that contradict each other.
    """

    bound: float
    point: FloatArray | None
    tight: IntArray = field(default_factory=lambda: NO_ROWS)


@dataclass(frozen=True, eq=False)
class Errors:
    """What true rows may differ by from those given.

    Arguments:
        at: ``[m]``, bounds on the errors of their values at the point that distances are measured from.
        tilt: ``[m]``, bounds on the lengths of the errors of their gradients.
    """

    at: FloatArray
    tilt: FloatArray

    def some(self, which: IntArray) -> Errors:
        """Those of some rows."""
        return Errors(self.at[which], self.tilt[which])


def exact_rows(m: int) -> Errors:
    """No errors, of m rows."""
    return Errors(np.zeros(m), np.zeros(m))


def nearest_on_row(
    A: Matrix,
    c: FloatArray,
    i: int,
    low: FloatArray,
    high: FloatArray,
    *,
    stop: float = np.inf,
    rounds: int = 60,
    errors: Errors | None = None,
) -> Nearest:
    """The point nearest to the origin with ``A y + c <= 0`` and row i zero, in a box.

    Arguments:
        A, c: ``[m, d]`` and ``[m]``, rows of unit length.
        i: the row that is tight.
        low, high: ``[d]``, infinite where nothing bounds.
        stop: give up as soon as the distance is proved to be larger.
        rounds: give up after so many sets of active rows.
        errors: of the rows; none where they are not given. The box is taken as it is.
    """
    errors = errors or exact_rows(len(c))

    def proved(active: IntArray, multipliers: FloatArray) -> float:
        rows = dense_rows(A, active), c[active]
        return proved_length(*rows, multipliers, low, high, errors.some(active))

    tolerance = 1e-11 * (1.0 + np.abs(c))
    active, multipliers = np.array([i]), np.zeros(1)
    bound, seen = 0.0, 0.0
    for _ in range(rounds):
        look()
        active, multipliers, y = _tight(A, c, active, multipliers, low, high, tolerance)
        value = product(A, y) + c
        if multipliers[1:].min(initial=0.0) >= 0:
            square = float(y @ y) + 2 * float(multipliers @ value[active])
            if square > seen:
                seen, best = square, (active, multipliers)
            if seen > stop * stop:
                bound = max(bound, proved(*best))
                if bound > stop:
                    return Nearest(bound, None, active)
        if abs(value[i]) > tolerance[i]:
            break
        value[active] = -1.0
        if (value <= tolerance).all():
            return Nearest(max(bound, proved(active, multipliers)), y, active)
        if len(active) == len(low):
            break  # a vertex: the rows contradict each other, or rounding decides
        active, multipliers = np.append(active, (value - tolerance).argmax()), np.append(multipliers, 0.0)
    return Nearest(max(bound, proved(*best)) if seen else bound, None, active)


def proved_length(
    R: FloatArray,
    at: FloatArray,
    multipliers: FloatArray,
    low: FloatArray,
    high: FloatArray,
    errors: Errors,
) -> float:
    """What multipliers prove of the length of every step s in a box with ``R s + at <= 0``, the first zero.

    Arguments:
        R, at: ``[k, d]`` and ``[k]``, the rows and their values where the step begins.
        multipliers: ``[k]``; negative ones of inequalities count as 0.
        low, high: ``[d]``, the box.
        errors: of the rows.
    """
    held = np.append(multipliers[:1], np.maximum(multipliers[1:], 0.0))
    size, terms = np.abs(held), len(held) + 4
    with np.errstate(all="ignore"):
        g = R.T @ held
        s = np.clip(-g, low, high)
        squares, products = s * s / 2, g * s
        half = float(held @ at) + float((squares + products).sum())
        lost = float(size @ (errors.at + terms * U * np.abs(at)))
        lost += (len(s) + 8) * U * float((squares + np.abs(products)).sum())
        tilt = float(size @ (errors.tilt + terms * U))
        length = np.sqrt(2 * half) if half > 0 else 0.0
        sure = half - (lost + tilt * length) * ROOM - 4 * U * half
        found = float(min(length, np.sqrt(2 * sure) * (1 - 4 * U))) if sure > 0 else 0.0
    return found if np.isfinite(found) else 0.0


def _tight(
    A: Matrix,
    c: FloatArray,
    active: IntArray,
    multipliers: FloatArray,
    low: FloatArray,
    high: FloatArray,
    tolerance: FloatArray,
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Multipliers that make the active rows tight (Newton's method); negative ones leave, not the first."""
    while True:
        R = dense_rows(A, active)
        least, stuck = np.inf, 0
        for _ in range(20):
            raw = -(R.T @ multipliers)
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


def nearest_surely(A: FloatArray, at: FloatArray, i: int, errors: Errors) -> Nearest:
    """The shortest step s with ``A s + at <= 0`` and row i zero, by non-negative least squares over all rows.

    Slower, never stuck (Lawson and Hanson). Where the rows contradict each other the bound is large.

    Arguments:
        A, at: ``[m, d]``, of unit length, and ``[m]``.
        errors: of the rows.
    """
    from scipy.optimize import nnls  # loads all of scipy's optimisation, and is rarely needed

    G = -np.concatenate([A, -A[i : i + 1]])
    scale = float(np.abs(at).max()) or 1.0
    h = np.append(at, -at[i]) / scale
    E = np.concatenate([G.T, h[None]])
    f = np.append(np.zeros(A.shape[1]), 1.0)
    try:
        u, _ = nnls(E, f, maxiter=30 * len(h))
    except RuntimeError:  # too many rounds
        return Nearest(0.0, None)
    held = u[:-1].copy()
    held[i] -= u[-1]
    bound = _proved_by_ratio(A, at, held, errors)
    rest = E @ u - f
    tight = np.flatnonzero(held)
    if abs(rest[-1]) < 1e-12:
        return Nearest(bound, None, tight)
    return Nearest(bound, -scale * rest[:-1] / rest[-1], tight)


def _proved_by_ratio(A: FloatArray, at: FloatArray, held: FloatArray, errors: Errors) -> float:
    """What multipliers of all rows prove of a length, at any scale: their constant over their gradient."""
    size, terms = np.abs(held), len(held) + 4
    with np.errstate(all="ignore"):
        constant = float(held @ at) - float(size @ (errors.at + terms * U * np.abs(at))) * ROOM
        gradient = float(np.linalg.norm(held @ A)) + float(size @ (errors.tilt + terms * U))
        found = constant / (gradient * ROOM) if constant > 0 else 0.0
    return found if np.isfinite(found) else 0.0

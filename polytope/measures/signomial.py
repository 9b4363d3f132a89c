r"""Tropical signomials :math:`F(x) = \max_i \langle a_i, x \rangle + b_i`: sums, maxima, essential monomials.

Numbers are Python fractions in object arrays (exact) or float64. A monomial is essential where it alone is
the greatest somewhere: a vertex of the upper hull of the lifted Newton polytope :math:`\{(a_i, b_i)\}`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.spatial import ConvexHull, QhullError

from polytope.exact.program import positive_point
from polytope.ir.maps import FloatArray, IntArray

Numbers = NDArray[Any]  # float64, or object arrays of Fraction
UNSURE = 1e-6  # linear programs in floats are believed beyond this, relative to the size of the numbers
DIRECTIONS = 2048
MOST_LIFTED = 5  # exponents of more dimensions are not given to Qhull


@dataclass(frozen=True, eq=False)
class Signomial:
    r"""The convex function :math:`F(x) = \max_i \langle a_i, x \rangle + b_i`.

    Arguments:
        exponents: a, ``[m, d]``: fractions in an object array, or float64.
        coefficients: b, ``[m]``, of the same kind.
    """

    exponents: Numbers
    coefficients: Numbers

    def __len__(self) -> int:
        return len(self.coefficients)

    @property
    def exact(self) -> bool:
        """Whether the numbers are fractions."""
        return self.coefficients.dtype == object

    def __call__(self, x: Any) -> Numbers:
        """Values at points ``[B, d]``; exact where both the numbers and the points are fractions."""
        points = np.asarray(x)
        if self.exact and points.dtype != object:
            return Signomial(self.exponents.astype(float), self.coefficients.astype(float))(points)
        values: Numbers = (points @ self.exponents.T + self.coefficients).max(axis=1)
        return values

    def times(self, factor: Any) -> Signomial:
        """``factor * F`` for a factor that is not negative."""
        return Signomial(self.exponents * factor, self.coefficients * factor)


def affine(a: Numbers, b: Any) -> Signomial:
    """One monomial."""
    return Signomial(a[None], np.array([b], dtype=a.dtype))


def added(first: Signomial, second: Signomial) -> Signomial:
    """``F + G``: all sums of two monomials, the Minkowski sum of the lifted Newton polytopes."""
    d = first.exponents.shape[1]
    a = (first.exponents[:, None, :] + second.exponents[None, :, :]).reshape(-1, d)
    b = (first.coefficients[:, None] + second.coefficients[None, :]).ravel()
    return Signomial(a, b)


def greatest(parts: Sequence[Signomial]) -> Signomial:
    """The maximum: all monomials together."""
    return Signomial(
        np.concatenate([part.exponents for part in parts]),
        np.concatenate([part.coefficients for part in parts]),
    )


def essential(F: Signomial) -> IntArray:
    """The numbers of the monomials that are alone the greatest somewhere, ascending; exact for fractions.

    Monomials that win at random points are essential without ado, and those far below Qhull's upper hull are
    not; for each other one a linear program asks whether it lies below a convex combination of the rest. What
    floats leave open is decided in rationals; with float64 numbers it counts as below.
    """
    kept = _largest_of_equal_exponents(F)
    a, b = F.exponents[kept].astype(float), F.coefficients[kept].astype(float)
    size = max(float(np.ptp(a, axis=0).max(initial=0.0)), float(np.ptp(b)), np.finfo(float).tiny)
    known = _winners(a, b, size)
    alive = ~_far_below(a, b, size) | known
    for i in range(len(kept)):
        if known[i] or not alive[i]:
            continue
        others = np.flatnonzero(alive & (np.arange(len(kept)) != i))
        below = _below(a, b, i, np.flatnonzero(known), size)  # few, and often enough
        if not below:
            below = _below(a, b, i, others, size)
        if below is None:
            below = not _wins_exactly(F, kept[i], kept[others]) if F.exact else True
        alive[i] = not below
    return kept[alive]


def pruned(F: Signomial) -> Signomial:
    """The same function by its essential monomials alone."""
    kept = essential(F)
    return Signomial(F.exponents[kept], F.coefficients[kept])


def _largest_of_equal_exponents(F: Signomial) -> IntArray:
    best: dict[tuple[Any, ...], int] = {}
    for i, a in enumerate(F.exponents.tolist()):
        j = best.setdefault(tuple(a), i)
        if F.coefficients[i] > F.coefficients[j]:
            best[tuple(a)] = i
    return np.array(sorted(best.values()), dtype=np.int64)


def _winners(a: FloatArray, b: FloatArray, size: float) -> NDArray[np.bool_]:
    """Monomials that win clearly at some of many random points, of all magnitudes."""
    known = np.zeros(len(b), dtype=bool)
    if len(b) == 1:
        known[:] = True
        return known
    rng = np.random.default_rng(0)
    spread = (float(np.ptp(b)) or 1.0) / (float(np.ptp(a, axis=0).max(initial=0.0)) or 1.0)
    lengths = spread * 10.0 ** rng.uniform(-3, 3, size=(DIRECTIONS, 1))
    x = rng.standard_normal((DIRECTIONS, a.shape[1])) * lengths
    values = x @ a.T + b
    top = np.partition(values, -2, axis=1)[:, -2:]
    clear = top[:, 1] - top[:, 0] > 1e-9 * (np.abs(values).max(axis=1) + size)
    known[values.argmax(axis=1)[clear]] = True
    return known


def _far_below(a: FloatArray, b: FloatArray, size: float) -> NDArray[np.bool_]:
    """Monomials below the upper facets that Qhull finds by far more than its rounding; none if it fails."""
    lifted = np.concatenate([a, b[:, None]], axis=1) / size
    d = a.shape[1]
    if d > MOST_LIFTED or len(b) < d + 3:
        return np.zeros(len(b), dtype=bool)
    try:
        facets = ConvexHull(lifted).equations
    except QhullError:
        return np.zeros(len(b), dtype=bool)
    upper = facets[facets[:, d] > -1e-9]  # vertical ones too: what is near them is left open
    return np.asarray((lifted @ upper[:, :-1].T + upper[:, -1] < -UNSURE).all(axis=1))


def _below(a: FloatArray, b: FloatArray, i: int, others: IntArray, size: float) -> bool | None:
    """Whether a monomial lies below the hull of others; ``None`` within rounding of it."""
    if not len(others):
        return False
    equalities = np.concatenate([(a[others] - a[i]).T / size, np.ones((1, len(others)))])
    target = np.append(np.zeros(a.shape[1]), 1.0)
    costs = (b[i] - b[others]) / size
    found = linprog(costs, A_eq=equalities, b_eq=target, bounds=(0, None), method="highs")
    if found.status == 2:  # outside the others' Newton polytope, unless only by rounding
        return None if _near_hull(equalities, target) else False
    if found.x is None:
        return None
    lead = float(costs @ found.x)
    return None if abs(lead) <= UNSURE else lead < 0


def _near_hull(equalities: FloatArray, target: FloatArray) -> bool:
    """Whether the equalities can be met but for a small error."""
    m, n = equalities.shape
    costs = np.append(np.zeros(n), np.ones(2 * m))
    table = np.concatenate([equalities, np.eye(m), -np.eye(m)], axis=1)
    found = linprog(costs, A_eq=table, b_eq=target, bounds=(0, None), method="highs")
    return found.fun is None or bool(found.fun <= UNSURE)


def _wins_exactly(F: Signomial, i: int, others: IntArray) -> bool:
    """Whether a monomial is somewhere greater than all others, in rational arithmetic."""
    d = F.exponents.shape[1]
    rows = [
        whole_numbers(
            [*(F.exponents[j] - F.exponents[i]), Fraction(1), F.coefficients[j] - F.coefficients[i]]
        )
        for j in others.tolist()
    ]
    cap = [0] * d + [1, -1]  # the lead t is at most 1
    return positive_point([*rows, cap], [0] * d + [1, 0]) is not None


def whole_numbers(row: Sequence[Any]) -> list[int]:
    """A positive multiple in whole numbers."""
    common = lcm(*(Fraction(v).denominator for v in row))
    return [int(v * common) for v in row]


def newton_polytope(F: Signomial) -> FloatArray:
    """The vertices of the convex hull of the exponents, ``[v, d]`` in float64, of any dimension."""
    return hull_vertices(F.exponents.astype(float))


def upper_hull(F: Signomial) -> FloatArray:
    """The vertices ``(a, b)`` of the upper hull of the lifted Newton polytope, ``[v, d + 1]`` in float64."""
    some = pruned(F)
    return np.concatenate([some.exponents, some.coefficients[:, None]], axis=1).astype(float)


def hull_vertices(points: FloatArray) -> FloatArray:
    """The vertices of a hull of points ``[n, d]``, which may lie in a subspace."""
    points = np.unique(points, axis=0)
    center = points.mean(axis=0)
    _, lengths, axes = np.linalg.svd(points - center, full_matrices=False)
    rank = int((lengths > 1e-10 * max(float(lengths.max(initial=0.0)), np.abs(points).max() * 1e-3)).sum())
    if rank == 0 or len(points) <= rank + 1:
        return points if rank else points[:1]
    inner = (points - center) @ axes[:rank].T
    if rank == 1:
        ends = [int(inner[:, 0].argmin()), int(inner[:, 0].argmax())]
        return points[ends]
    return points[np.sort(ConvexHull(inner).vertices)]


def zonotope(generators: FloatArray) -> FloatArray:
    r"""The vertices ``[v, d]`` of :math:`\sum_j [0, 1] w_j`, generators ``w [n, d]``.

    It is the Newton polytope of :math:`\sum_j \max(\langle w_j, x \rangle + b_j, 0)`; for generic generators
    it has as many vertices as the central arrangement has cells, :math:`2 \sum_{i<d} \binom{n-1}{i}`
    (Zaslavsky).

    Example:
        >>> len(zonotope(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])))
        6
    """
    w = np.atleast_2d(np.asarray(generators, dtype=float))
    points = np.zeros((1, w.shape[1]))
    for generator in w:
        points = hull_vertices(np.concatenate([points, points + generator]))
    return points

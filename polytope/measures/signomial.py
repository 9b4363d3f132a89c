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
from scipy.spatial import ConvexHull, QhullError

from polytope.exact.implied import solve
from polytope.exact.program import positive_point
from polytope.geometry.inside import LEAST, ROUNDING, SLIGHTLY
from polytope.geometry.programs import INFEASIBLE, combination
from polytope.ir.maps import FloatArray, IntArray

Numbers = NDArray[Any]  # float64, or object arrays of Fraction
UNSURE = 1e-6  # within this, relative to their size, float64 monomials count as covered: estimates
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
        """Values at points; exact where both the numbers and the points are fractions.

        Arguments:
            x: points, ``[B, d]``: float64, or an object array of fractions.

        Returns:
            ``[B]``.
        """
        points = np.asarray(x)
        if self.exact and points.dtype != object:
            return Signomial(self.exponents.astype(float), self.coefficients.astype(float))(points)
        values: Numbers = (points @ self.exponents.T + self.coefficients).max(axis=1)
        return values

    def times(self, factor: Any) -> Signomial:
        """``factor * F``: every monomial times the factor.

        Arguments:
            factor: a number, at least 0; a fraction where the signomial is exact.
        """
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
    """The numbers of the monomials that are alone the greatest somewhere, ascending: exact for fractions.

    A monomial is essential where it wins at a point by more than the rounding of its value there, and is not
    where a convex combination of others covers it in rational arithmetic. Floats propose points and
    combinations; what they do not settle is a program in rationals. Of float64 numbers the answer is an
    estimate: what floats leave open counts as covered.
    """
    kept = _largest_of_equal_exponents(F)
    return kept[_alive(F, kept) if F.exact else _alive_in_floats(F, kept)]


def pruned(F: Signomial) -> Signomial:
    """The same function by its essential monomials alone."""
    kept = essential(F)
    return Signomial(F.exponents[kept], F.coefficients[kept])


def in_fractions(F: Signomial) -> Signomial:
    """The same function in fractions."""
    if F.exact:
        return F
    a, b = (
        np.array([Fraction(v) for v in t.ravel().tolist()], object) for t in (F.exponents, F.coefficients)
    )
    return Signomial(a.reshape(F.exponents.shape), b)


def _alive(F: Signomial, kept: IntArray) -> NDArray[np.bool_]:
    """Which monomials of distinct exponents are essential, proved."""
    alive = np.ones(len(kept), dtype=bool)
    try:
        a = (F.exponents[kept] - F.exponents[kept[0]]).astype(float)
        b = (F.coefficients[kept] - F.coefficients[kept[0]]).astype(float)
    except OverflowError:
        known, upper = np.zeros(len(kept), dtype=bool), None
    else:
        known, upper = _winners(a, b), _upper_simplices(a, b)
    for i in np.flatnonzero(~known).tolist():
        alive[i] = False
        if upper is not None:
            simplex = _simplex_above(a, i, *upper)
            if simplex is not None and alive[simplex].all() and _covered(F, kept[i], kept[simplex]):
                continue
            some = _covering(a, b, i, np.flatnonzero(alive))
            if some is not None and _covered(F, kept[i], kept[some]):
                continue
        alive[i] = _wins_exactly(F, kept[i], kept[alive])
    return alive


def _alive_in_floats(F: Signomial, kept: IntArray) -> NDArray[np.bool_]:
    """The same for float64 numbers, whose sums were rounded: an estimate."""
    a, b = F.exponents[kept], F.coefficients[kept]
    size = max(float(np.ptp(a, axis=0).max(initial=0.0)), float(np.ptp(b)), np.finfo(float).tiny)
    known = _winners(a, b)
    alive = np.ones(len(kept), dtype=bool)
    for i in np.flatnonzero(~known).tolist():
        alive[i] = False
        alive[i] = not _below(a, b, i, np.flatnonzero(alive), size)
    return alive


def _largest_of_equal_exponents(F: Signomial) -> IntArray:
    best: dict[tuple[Any, ...], int] = {}
    for i, a in enumerate(F.exponents.tolist()):
        j = best.setdefault(tuple(a), i)
        if F.coefficients[i] > F.coefficients[j]:
            best[tuple(a)] = i
    return np.array(sorted(best.values()), dtype=np.int64)


def _winners(a: FloatArray, b: FloatArray) -> NDArray[np.bool_]:
    """Monomials that win at one of many random points of all magnitudes, by more than any rounding there.

    The numbers are those of the monomials up to ``2^-53`` of each; values have d + 2 terms.
    """
    known = np.zeros(len(b), dtype=bool)
    if len(b) == 1:
        known[:] = True
        return known
    rng, every = np.random.default_rng(0), np.arange(DIRECTIONS)
    lengths = 10.0 ** rng.uniform(-3, 3, size=(DIRECTIONS, 1))
    x = rng.standard_normal((DIRECTIONS, a.shape[1])) * lengths
    with np.errstate(all="ignore"):
        x *= (float(np.ptp(b)) or 1.0) / (float(np.ptp(a, axis=0).max(initial=0.0)) or 1.0)
        values = x @ a.T + b
        error = SLIGHTLY * ROUNDING * (a.shape[1] + 4) * (np.abs(x) @ np.abs(a).T + np.abs(b)) + LEAST
        low, high = values - error, values + error
        first = low.argmax(axis=1)
        lead, high[every, first] = low[every, first], -np.inf
        clear = np.isfinite(error).all(axis=1) & (lead > high.max(axis=1))
    known[first[clear]] = True
    return known


def _upper_simplices(a: FloatArray, b: FloatArray) -> tuple[IntArray, FloatArray]:
    """The simplices of the upper hull, by Qhull, and for each what gives barycentric coordinates."""
    d = a.shape[1]
    if d > MOST_LIFTED or len(b) < d + 3:
        return np.zeros((0, d + 1), dtype=np.int64), np.zeros((0, d + 1, d + 1))
    lifted = np.concatenate([a, b[:, None]], axis=1)
    try:
        with np.errstate(all="ignore"):
            hull = ConvexHull(lifted / _widths(lifted))
    except (QhullError, ValueError):
        return np.zeros((0, d + 1), dtype=np.int64), np.zeros((0, d + 1, d + 1))
    simplices = hull.simplices[hull.equations[:, d] > 0].astype(np.int64)
    corners = np.concatenate([a[simplices], np.ones((*simplices.shape, 1))], axis=2).swapaxes(1, 2)
    with np.errstate(all="ignore"):
        size = np.abs(np.linalg.det(corners))
    sound = np.isfinite(size) & (size > 0)
    return simplices[sound], np.linalg.inv(corners[sound])


def _widths(points: FloatArray) -> FloatArray:
    """How far points ``[n, d]`` are apart in each coordinate; 1 where they are not."""
    width = np.ptp(points, axis=0)
    out: FloatArray = np.where(width > 0, width, 1.0)
    return out


def _simplex_above(a: FloatArray, i: int, simplices: IntArray, inverses: FloatArray) -> IntArray | None:
    """The simplex that best holds an exponent, without the corners that do nothing there; a proposal."""
    if not len(simplices):
        return None
    with np.errstate(all="ignore"):
        shares = inverses @ np.append(a[i], 1.0)
    best = int(np.nan_to_num(shares, nan=-np.inf).min(axis=1).argmax())
    some: IntArray = simplices[best][shares[best] > 1e-12]
    return some if len(some) and i not in some else None


def _covering(a: FloatArray, b: FloatArray, i: int, others: IntArray) -> IntArray | None:
    """Monomials whose convex combination is highest above an exponent, by a float program; a proposal."""
    if not len(others):
        return None
    with np.errstate(all="ignore"):
        size = float(np.ptp(b)) or 1.0
        equalities = np.concatenate([((a[others] - a[i]) / _widths(a)).T, np.ones((1, len(others)))])
        costs = (b[i] - b[others]) / size
    if not (np.isfinite(equalities).all() and np.isfinite(costs).all()):
        return None
    target = np.append(np.zeros(a.shape[1]), 1.0)
    found = combination(costs, equalities, target)
    return None if found.x is None else others[np.asarray(found.x) > 0]


def _covered(F: Signomial, i: int, others: IntArray) -> bool:
    """Whether the convex combination of others that has a monomial's exponent is not below it, exactly."""
    columns = [F.exponents[j] - F.exponents[i] for j in others.tolist()]
    rows = [whole_numbers([*entries, Fraction(0)]) for entries in zip(*columns, strict=True)]
    found = solve([*rows, [1] * len(others) + [-1]])
    if found is None or min(found[0]) < 0:
        return False
    rises = [F.coefficients[j] - F.coefficients[i] for j in others.tolist()]
    return bool(sum(share * rise for share, rise in zip(found[0], rises, strict=True)) >= 0)


def _below(a: FloatArray, b: FloatArray, i: int, others: IntArray, size: float) -> bool:
    """Whether a monomial lies below the hull of others, or within rounding of it: an estimate."""
    if not len(others):
        return False
    equalities = np.concatenate([(a[others] - a[i]).T / size, np.ones((1, len(others)))])
    target = np.append(np.zeros(a.shape[1]), 1.0)
    costs = (b[i] - b[others]) / size
    found = combination(costs, equalities, target)
    if found.status == INFEASIBLE:  # outside the others' Newton polytope, unless only by rounding
        return _near_hull(equalities, target)
    return found.x is None or bool(costs @ found.x <= UNSURE)


def _near_hull(equalities: FloatArray, target: FloatArray) -> bool:
    """Whether the equalities can be met but for a small error."""
    m, n = equalities.shape
    costs = np.append(np.zeros(n), np.ones(2 * m))
    table = np.concatenate([equalities, np.eye(m), -np.eye(m)], axis=1)
    found = combination(costs, table, target)
    return found.value is None or bool(found.value <= UNSURE)


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
    """The vertices of the convex hull of the exponents, of any dimension.

    **Exact**: the exponents that win somewhere in ``max <a, x>``, rounded once.

    Arguments:
        F: the signomial.

    Returns:
        ``[v, d]``, in lexicographic order.
    """
    given = in_fractions(F)
    level = Signomial(given.exponents, np.full(len(F), Fraction(0), dtype=object))
    corners: FloatArray = np.unique(pruned(level).exponents.astype(float), axis=0)
    return corners


def upper_hull(F: Signomial) -> FloatArray:
    """The vertices ``(a, b)`` of the upper hull of the lifted Newton polytope.

    **Exact** for fractions, and rounded once; of float64 numbers an **estimate**.

    Arguments:
        F: the signomial.

    Returns:
        ``[v, d + 1]``: exponent and coefficient of each monomial that is alone the greatest somewhere.
    """
    some = pruned(F)
    return np.concatenate([some.exponents, some.coefficients[:, None]], axis=1).astype(float)


def hull_vertices(points: FloatArray) -> FloatArray:
    """The vertices of a hull of points ``[n, d]``, which may lie in a subspace: an estimate."""
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
    r"""The vertices of :math:`\sum_j [0, 1] w_j`, the sum of segments.

    It is the Newton polytope of :math:`\sum_j \max(\langle w_j, x \rangle + b_j, 0)`; for generic generators
    it has as many vertices as the central arrangement has cells, :math:`2 \sum_{i<d} \binom{n-1}{i}`
    (Zaslavsky). An **estimate**: sums of generators and hulls in float64.

    Arguments:
        generators: w, ``[n, d]``.

    Returns:
        ``[v, d]``.

    Example:
        >>> len(zonotope(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])))
        6
    """
    w = np.atleast_2d(np.asarray(generators, dtype=float))
    points = np.zeros((1, w.shape[1]))
    for generator in w:
        points = hull_vertices(np.concatenate([points, points + generator]))
    return points

r"""Where points lie in :math:`\{A x \le b\}`, proved: by slacks and their rounding errors, else in integers.

The slack :math:`b_i - a_i \cdot x` of a row with n terms, summed in any order, is computed up to
:math:`(n + 2)\,2^{-53} (|b_i| + |a_i| \cdot |x|)`, and :math:`(n + 1)\,2^{-1074}` where products underflow.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from polytope.exact.dyadic import dyadic, primitive
from polytope.ir.maps import FloatArray
from polytope.ir.matrix import Matrix, absolute, entries_of_rows, lengths, product, times_powers

ROUNDING = 2.0**-53
LARGEST = Fraction(np.finfo(float).max)
SLIGHTLY = (
    1 + 2.0**-36
)  # covers the rounding errors of bounds themselves: sums of up to 2^16 numbers of one sign
LEAST = 2.0**-1060  # more than products lose by underflow, together


def slacks(A: Matrix, b: FloatArray, points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """``b - A x`` at points ``[B, d]``, and bounds on the errors of these numbers, both ``[B, m]``."""
    terms = entries_of_rows(A) + 2
    with np.errstate(over="ignore", invalid="ignore"):
        value = b - product(A, points.T).T
        size = np.abs(b) + product(absolute(A), np.abs(points.T)).T
        return value, SLIGHTLY * ROUNDING * terms * size + LEAST


def contained(A: Matrix, b: FloatArray, points: FloatArray, *, strictly: bool) -> NDArray[np.bool_]:
    """Which points ``[B, d]``, read as rationals, satisfy every row: ``A x <= b``, or ``A x < b``."""
    value, error = slacks(A, b, points)
    faces = np.flatnonzero((entries_of_rows(A) == 1) & (lengths(A, np.inf) == 1))
    error[:, faces] = 0.0  # one difference of floats, which has the right sign
    inside = np.asarray(np.isfinite(points).all(axis=1) & ~(value < -error).any(axis=1))
    if strictly:
        inside &= ~(value[:, faces] == 0).any(axis=1)
    doubtful = ~((value > error) | (value < -error))
    doubtful[:, faces] = False
    for k in np.flatnonzero(inside & doubtful.any(axis=1)).tolist():
        least = min(_exact_slack(A, b, i, points[k])[0] for i in np.flatnonzero(doubtful[k]).tolist())
        inside[k] = least > 0 if strictly else least >= 0
    return inside


def exact_slack(a: FloatArray, limit: float, x: FloatArray) -> tuple[int, int]:
    """Integers p, q with ``limit - a . x = p / 2^q``, of finite numbers."""
    at = np.flatnonzero(a)
    row, point, constant = dyadic(a[at]), dyadic(x[at]), dyadic([limit])
    total = sum(map(int.__mul__, row.integers.tolist(), point.integers.tolist()))
    exponent = row.exponent + point.exponent
    return (constant.integers[0] << exponent) - (total << constant.exponent), exponent + constant.exponent


def _exact_slack(A: Matrix, b: FloatArray, i: int, x: FloatArray) -> tuple[int, int]:
    """The same of row i of a matrix."""
    if isinstance(A, np.ndarray):
        return exact_slack(A[i], float(b[i]), x)
    span = slice(A.indptr[i], A.indptr[i + 1])
    return exact_slack(A.data[span], float(b[i]), x[A.indices[span]])


def accurate_slacks(A: Matrix, b: FloatArray, x: FloatArray) -> FloatArray:
    """``b - A x`` at one point, ``[m]``, each number up to 2^-20 of itself or better."""
    values, errors = slacks(A, b, x[None])
    value: FloatArray = values[0]
    for i in np.flatnonzero(~(errors[0] <= 2.0**-20 * np.abs(value))).tolist():
        p, q = _exact_slack(A, b, i, x)
        value[i] = p / (1 << q)
    return value


def radius_around(A: Matrix, b: FloatArray, x: FloatArray) -> float:
    """The radius of a ball around a point that is proved to lie in ``A x <= b``; 0 if the point does not."""
    if not np.isfinite(x).all():
        return 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        [value], [error] = slacks(A, b, x[None])
        room = value - error
    for i in np.flatnonzero(~((room > value / 2) | (value < -error))).tolist():
        p, q = _exact_slack(A, b, i, x)
        room[i] = min(max(Fraction(p, 1 << q), -LARGEST), LARGEST)
    if not (room > 0).all():
        return 0.0
    size = np.frexp(lengths(A, np.inf))[1]
    length = lengths(times_powers(A, -size)) * SLIGHTLY
    with np.errstate(over="ignore"):
        return float(np.ldexp(room / length, -size).min(initial=np.inf))


def integer_rows(A: FloatArray, b: FloatArray) -> list[tuple[int, ...]]:
    """``d + 1`` integers without a common factor for each row, ``row[:d] . x + row[d] <= 0``."""
    rows = []
    for a, limit in zip(A, b.tolist(), strict=True):
        row, at = [0] * (len(a) + 1), np.flatnonzero(a)
        for j, value in zip([*at.tolist(), len(a)], dyadic([*a[at], -limit]).integers.tolist(), strict=True):
            row[j] = value
        rows.append(primitive(row))
    return rows

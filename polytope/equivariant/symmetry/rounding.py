"""Products of sparse matrices in float64, and whether they are free of rounding."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from scipy.sparse import csr_array

from polytope.ir.looking import look
from polytope.ir.maps import FloatArray

MOST_TERMS = 1_000_000  # products of rationals that a proof may take; some seconds


def product(A: csr_array, B: csr_array) -> tuple[csr_array, bool]:
    """``A @ B`` without its zeros, columns in order, and whether every entry is proved to be exact.

    Products with powers of two that are alone in their sum are exact; others are compared with rational
    arithmetic, where that takes at most a million products.
    """
    C = csr_array(A @ B)
    C.sum_duplicates()
    C.eliminate_zeros()
    C.sort_indices()
    terms = csr_array(_support(A) @ _support(B))
    single = terms.data.max(initial=0) <= 1 and (powers_of_two(A.data) or powers_of_two(B.data))
    return C, bool(single or (terms.data.sum() <= MOST_TERMS and _is_product(A, B, C)))


def powers_of_two(values: FloatArray) -> bool:
    """Whether all numbers are powers of two up to sign, or 0: products with them are exact."""
    mantissas, _ = np.frexp(values)
    return bool(np.isin(np.abs(mantissas), (0.0, 0.5)).all())


def is_sum(A: csr_array, B: csr_array, C: csr_array) -> bool:
    """Whether ``A + B = C``, exactly."""
    for i in range(C.shape[0]):
        left = dict(_row(C, i))
        for matrix in (A, B):
            for j, value in _row(matrix, i):
                left[j] = left.get(j, Fraction(0)) - value
        if any(left.values()):
            return False
    return True


def is_multiple(row: FloatArray, scale: float, other: FloatArray) -> bool:
    """Whether ``row = scale * other``, exactly."""
    if powers_of_two(np.array([scale])):
        return bool((row == scale * other).all())
    factor = Fraction(scale)
    pairs = zip(row.tolist(), other.tolist(), strict=True)
    return all(Fraction(a) == factor * Fraction(b) for a, b in pairs if a or b)


def _support(A: csr_array) -> csr_array:
    """Ones in the places of the entries."""
    return csr_array((np.ones(A.nnz, dtype=np.int64), A.indices, A.indptr), shape=A.shape)


def _is_product(A: csr_array, B: csr_array, C: csr_array) -> bool:
    """Whether C = A B in rational arithmetic."""
    for i in range(A.shape[0]):
        look()
        sums: dict[int, Fraction] = {}
        for k, a in _row(A, i):
            for j, b in _row(B, k):
                sums[j] = sums.get(j, Fraction(0)) + a * b
        if {j: value for j, value in sums.items() if value} != dict(_row(C, i)):
            return False
    return True


def _row(A: csr_array, i: int) -> list[tuple[int, Fraction]]:
    """The entries of a row, as rationals."""
    span = slice(int(A.indptr[i]), int(A.indptr[i + 1]))
    entries = zip(A.indices[span].tolist(), A.data[span].tolist(), strict=True)
    return [(j, Fraction(value)) for j, value in entries if value]

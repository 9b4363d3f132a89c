"""Matrices that are dense or sparse, whichever takes less memory, and what is asked of both alike."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_array, issparse, vstack

from polytope.ir.looking import look
from polytope.ir.maps import FloatArray, IntArray

Matrix = FloatArray | csr_array
DENSE = 0.25  # share of entries from which a matrix is kept dense
AT_ONCE = 1 << 24  # products of entries between two looks
SMALL = 2.0**-480  # lengths below are not told apart


def compact(A: Matrix) -> Matrix:
    """The same matrix, dense where more than a quarter of its entries are not zero, else sparse."""
    if isinstance(A, np.ndarray):
        return A if np.count_nonzero(A) > DENSE * A.size else csr_array(A)
    return A.toarray() if A.nnz > DENSE * A.shape[0] * A.shape[1] else A


def sparse(A: Matrix) -> csr_array:
    """The same matrix without its zeros."""
    return csr_array(A) if isinstance(A, np.ndarray) else A


def dense(A: Matrix) -> FloatArray:
    """The same matrix as a table."""
    return A if isinstance(A, np.ndarray) else A.toarray()


def product(A: Matrix, X: FloatArray) -> FloatArray:
    """``A @ X`` for a vector or columns."""
    out: FloatArray = np.asarray(A @ X)
    return out


def transposed_product(A: Matrix, X: FloatArray) -> FloatArray:
    """``A.T @ X`` for a vector or columns."""
    out: FloatArray = np.asarray(A.T @ X)
    return out


def matrix_product(A: Matrix, B: Matrix) -> Matrix:
    """``A @ B``; of sparse matrices in parts of rows, between which it looks whether to end."""
    if isinstance(A, np.ndarray) or isinstance(B, np.ndarray):
        look()
        return compact(A @ B)
    work = np.concatenate([[0], np.cumsum(np.diff(B.indptr)[A.indices])])[A.indptr]
    ends = np.unique(np.searchsorted(work, np.arange(AT_ONCE, int(work[-1]), AT_ONCE)))
    parts = []
    for first, last in pairwise([0, *ends.tolist(), A.shape[0]]):
        look()
        parts.append(A[first:last] @ B)
    return compact(vstack(parts, format="csr") if len(parts) > 1 else parts[0])


def ones(A: Matrix) -> Matrix:
    """Ones where a matrix is not zero."""
    if isinstance(A, np.ndarray):
        out: FloatArray = (A != 0).astype(float)
        return out
    return csr_array(((A.data != 0).astype(float), A.indices, A.indptr), shape=A.shape)


def absolute(A: Matrix) -> Matrix:
    """The absolute values of all entries."""
    if isinstance(A, np.ndarray):
        return np.abs(A)
    return csr_array((np.abs(A.data), A.indices, A.indptr), shape=A.shape)


def squares(A: Matrix) -> Matrix:
    """The squares of all entries."""
    if isinstance(A, np.ndarray):
        return A**2
    return csr_array((A.data**2, A.indices, A.indptr), shape=A.shape)


def dense_rows(A: Matrix, which: IntArray) -> FloatArray:
    """Rows of a matrix as a dense array."""
    some = A[which]
    return some if isinstance(some, np.ndarray) else some.toarray()


def scaled(A: Matrix, factors: FloatArray) -> Matrix:
    """Each row times its factor."""
    if isinstance(A, np.ndarray):
        return A * factors[:, None]
    entries = A.data * np.repeat(factors, np.diff(A.indptr))
    return csr_array((entries, A.indices, A.indptr), shape=A.shape)


def times_powers(A: Matrix, powers: IntArray) -> Matrix:
    """Each row times a power of two."""
    if isinstance(A, np.ndarray):
        out: FloatArray = np.ldexp(A, powers[:, None])
        return out
    entries = np.ldexp(A.data, np.repeat(powers, np.diff(A.indptr)))
    return csr_array((entries, A.indices, A.indptr), shape=A.shape)


def lengths(A: Matrix, norm: float = 2.0) -> FloatArray:
    """The length of every row, by the 1-, 2- or max norm."""
    if isinstance(A, np.ndarray):
        return np.asarray(np.linalg.norm(A, norm, axis=1), dtype=float)
    from scipy.sparse.linalg import norm as sparse_norm  # loads all of scipy's linear algebra

    return np.asarray(sparse_norm(A, norm, axis=1), dtype=float)


def row_norms(A: Matrix) -> FloatArray:
    """The Euclidean length of every row up to a relative 2^-20; more where squares underflow."""
    with np.errstate(over="ignore", under="ignore"):
        if isinstance(A, np.ndarray):
            out: FloatArray = np.sqrt(np.einsum("ij,ij->i", A, A))
        else:
            row = np.repeat(np.arange(A.shape[0]), np.diff(A.indptr))
            out = np.sqrt(np.bincount(row, A.data**2, minlength=A.shape[0]))
    small = np.flatnonzero(out < SMALL)
    if len(small):
        rows = np.nonzero(A[small])[0] if isinstance(A, np.ndarray) else A[small].nonzero()[0]
        out[small] = np.where(np.bincount(rows, minlength=len(small)) > 0, SMALL, 0.0)
    return out


def longest_row(A: Matrix) -> int:
    """The number of entries of the row that has most of them."""
    return int(entries_of_rows(A).max(initial=0))


def entries_of_rows(A: Matrix) -> IntArray:
    """How many entries of every row are not zero."""
    return np.count_nonzero(A, axis=1) if isinstance(A, np.ndarray) else np.diff(A.indptr).astype(np.int64)


def nbytes(A: Matrix) -> int:
    """The memory of the entries."""
    return int(A.nbytes if isinstance(A, np.ndarray) else A.data.nbytes + A.indices.nbytes)


def stacked(parts: Sequence[Matrix]) -> Matrix:
    """Matrices of one kind, or of both, one above the other; sparse if any is."""
    if any(issparse(part) for part in parts):
        return csr_array(vstack([sparse(part) for part in parts], format="csr"))
    return np.concatenate([np.asarray(part) for part in parts])


def single_entries(A: Matrix) -> tuple[IntArray, IntArray, FloatArray]:
    """The rows with one entry that is not zero: their numbers, the columns, and the entries."""
    if isinstance(A, np.ndarray):
        rows = np.flatnonzero(np.count_nonzero(A, axis=1) == 1)
        columns = (A[rows] != 0).argmax(axis=1)
        return rows, columns, A[rows, columns]
    rows = np.flatnonzero(np.diff(A.indptr) == 1)
    at = A.indptr[rows]
    return rows, A.indices[at].astype(np.int64), A.data[at]

r"""Operator norms :math:`\|A\|_{p \to q} = \max_{\|x\|_p \le 1} \|A x\|_q` of many matrices.

p and q are 1, 2 or inf. The greatest column norm for p = 1, the greatest dual norm of a row for q = inf, the
greatest singular value for p = q = 2. The other three are NP-hard: a maximum over the signs of a vector.

References: Tropp (2004), "Topics in Sparse Approximation", section 4.3; Rohn (2000), "Computing the norm
:math:`\|A\|_{\infty,1}` is NP-hard", https://doi.org/10.1080/03081080008818644
"""

from __future__ import annotations

import numpy as np

from polytope.geometry.norms import as_norm
from polytope.ir.maps import FloatArray

MOST_SIGNS = 16  # signs of so many coordinates are tried: 2^15 products a matrix
ENTRIES = 1 << 22  # numbers in one array of a batch
UNIT = 2.0**-52  # twice the unit roundoff: bounds have room for their own rounding


def dual(p: float) -> float:
    """The q with 1/p + 1/q = 1."""
    return {1.0: np.inf, 2.0: 2.0, np.inf: 1.0}[p]


def operator_norms(matrices: FloatArray, p: float = 2, q: float = 2) -> FloatArray:
    r"""The norms :math:`\|A\|_{p \to q}` of matrices ``[R, m, n]``, as ``[R]``.

    Raises:
        ValueError: another p or q than 1, 2 and inf, or an NP-hard norm with more than 16 signs.

    Example:
        >>> A = np.array([[[3.0, 0.0], [4.0, 1.0]]])
        >>> [operator_norms(A, p, q).item() for p, q in ((1, 1), (1, 2), (np.inf, np.inf), (np.inf, 1))]
        [7.0, 5.0, 5.0, 8.0]
    """
    p, q = as_norm(p, "p"), as_norm(q, "q")
    m, n = matrices.shape[1:]
    if not matrices.size:
        return np.zeros(len(matrices))
    if p == 1 or n == 1:
        return np.asarray(_vector_norms(matrices.swapaxes(1, 2), q).max(axis=1))
    if q == np.inf or m == 1:
        return np.asarray(_vector_norms(matrices, dual(p)).max(axis=1))
    if p == q == 2:
        return _spectral(matrices)
    if p == np.inf and (q == 2 or n <= m):
        return _over_signs(matrices, q)
    return _over_signs(matrices.swapaxes(1, 2), dual(p))  # the norm of the transpose from q* to p*


def upper_norms(matrices: FloatArray, errors: FloatArray, p: float = 2, q: float = 2) -> FloatArray:
    """Proved upper bounds ``[R]`` on the norms of all matrices within ``errors`` of given ones, [R, m, n].

    Arguments, errors: as of ``operator_norms``.
    """
    m, n = matrices.shape[1:]
    spectral = p == q == 2 and min(m, n) > 1
    values = _upper_spectral(matrices) if spectral else operator_norms(matrices, p, q)
    return np.asarray((values + _size(_with_rounding(matrices, errors), p, q)) * (1 + UNIT))


def lower_norm(matrix: FloatArray, error: FloatArray, p: float = 2, q: float = 2) -> float:
    """A proved lower bound on the norms of all matrices within ``error`` of a given one, [m, n]."""
    value = float(operator_norms(matrix[None], p, q)[0])
    if p == q == 2 and min(matrix.shape) > 1:
        v = np.linalg.svd(matrix, full_matrices=False)[2][0]
        value = float(_vector_norms((matrix @ v)[None], 2)[0]) / float(np.linalg.norm(v))
    value = min(
        value, np.finfo(float).max
    )  # a sum that overflowed is at least that large, up to its rounding
    return max(value - float(_size(_with_rounding(matrix, error)[None], p, q)[0]), 0.0)


def _with_rounding(matrices: FloatArray, errors: FloatArray) -> FloatArray:
    """The errors, and what a norm of float64 numbers can be off by as one more error of its entries."""
    return errors + UNIT * (sum(matrices.shape[-2:]) + 16) * np.abs(matrices)


def _size(errors: FloatArray, p: float, q: float) -> FloatArray:
    """Upper bounds ``[R]`` on the norms of all matrices whose absolute entries are at most these."""
    m, n = errors.shape[1:]
    if not errors.size:
        return np.zeros(len(errors))
    known = np.isfinite(errors).all(axis=(1, 2))
    errors = np.where(np.isfinite(errors), errors, 0.0)
    if p == 1 or n == 1:
        size = _vector_norms(errors.swapaxes(1, 2), q).max(axis=1)
    elif q == np.inf or m == 1:
        size = _vector_norms(errors, dual(p)).max(axis=1)
    elif p == np.inf:  # the image of the unit box lies below that of its corner (1, ..., 1)
        size = _vector_norms(errors.sum(axis=2), q)
    elif q == 1:
        size = _vector_norms(errors.sum(axis=1), 2)
    else:
        size = _vector_norms(errors.reshape(len(errors), -1), 2)
    return np.where(known, size * (1 + UNIT * (m * n + 16)), np.inf)


def _upper_spectral(matrices: FloatArray) -> FloatArray:
    """Upper bounds on greatest singular values, but for an error of a few units in each entry.

    If a Cholesky factorisation of S = t I - A A^T runs to its end in float64, the greatest eigenvalue of
    A A^T is at most t plus what S and its factors are off by: Rump (2006), "Verification of positive
    definiteness", https://doi.org/10.1007/s10543-006-0056-1
    """
    if matrices.shape[1] > matrices.shape[2]:
        matrices = matrices.swapaxes(1, 2)
    k, n = matrices.shape[1:]
    size = np.abs(matrices).max(axis=(1, 2))
    scaled = matrices / np.where(size > 0, size, 1.0)[:, None, None]
    gram = scaled @ scaled.swapaxes(1, 2)
    trace = np.trace(gram, axis1=1, axis2=2)
    most = np.linalg.eigvalsh(gram)[:, -1] * (1 + 2.0**-44) + UNIT * (k + n + 16) * trace
    try:
        np.linalg.cholesky(most[:, None, None] * np.eye(k) - gram)
    except np.linalg.LinAlgError:
        most = trace
    off = UNIT * ((n + 16) * trace + (k + 16) * k * most)
    return np.asarray(size * np.sqrt(most + off) * (1 + UNIT))


def _vector_norms(rows: FloatArray, p: float) -> FloatArray:
    """Norms along the last axis, safe from overflow."""
    if p != 2:
        return np.asarray(np.linalg.norm(rows, p, axis=-1))
    size = np.abs(rows).max(axis=-1, keepdims=True)
    scaled = rows / np.where(size > 0, size, 1.0)
    return np.asarray(size[..., 0] * np.linalg.norm(scaled, axis=-1))


def _spectral(matrices: FloatArray) -> FloatArray:
    """Greatest singular values, from the smaller Gram matrix: the greatest is as accurate as the products."""
    if matrices.shape[1] > matrices.shape[2]:
        matrices = matrices.swapaxes(1, 2)
    size = np.abs(matrices).max(axis=(1, 2))
    scaled = matrices / np.where(size > 0, size, 1.0)[:, None, None]
    greatest = np.linalg.eigvalsh(scaled @ scaled.swapaxes(1, 2))[:, -1]
    return np.asarray(size * np.sqrt(np.maximum(greatest, 0.0)))


def _over_signs(matrices: FloatArray, q: float) -> FloatArray:
    """The greatest q-norm of ``A s`` over the vectors s of signs."""
    n = matrices.shape[2]
    if n > MOST_SIGNS:
        raise ValueError(
            f"This operator norm of {matrices.shape[1]} x {n} matrices is NP-hard; signs of at most "
            f"{MOST_SIGNS} coordinates are tried. p = 1, q = inf and p = q = 2 have no limit."
        )
    numbers = np.arange(2 ** (n - 1))
    signs = 1.0 - 2.0 * (numbers >> np.arange(n)[:, None] & 1)
    step = max(1, ENTRIES // (matrices.shape[1] * len(numbers)))
    best = [
        _vector_norms((matrices[i : i + step] @ signs).swapaxes(1, 2), q).max(axis=1)
        for i in range(0, len(matrices), step)
    ]
    return np.concatenate(best)

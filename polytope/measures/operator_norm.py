r"""Operator norms :math:`\|A\|_{p \to q} = \max_{\|x\|_p \le 1} \|A x\|_q` of many matrices.

p and q are 1, 2 or inf. The greatest column norm for p = 1, the greatest dual norm of a row for q = inf, the
greatest singular value for p = q = 2. The other three are NP-hard: a maximum over the signs of a vector.

References: Tropp (2004), "Topics in Sparse Approximation", section 4.3; Rohn (2000), "Computing the norm
:math:`\|A\|_{\infty,1}` is NP-hard", https://doi.org/10.1080/03081080008818644
"""

from __future__ import annotations

import numpy as np

from polytope.ir.maps import FloatArray

MOST_SIGNS = 16  # signs of so many coordinates are tried: 2^15 products a matrix
ENTRIES = 1 << 22  # numbers in one array of a batch


def checked_norm(name: str, value: float) -> float:
    """One of the norms 1, 2 and inf.

    Raises:
        ValueError: for any other.
    """
    if value not in (1, 2, np.inf):
        raise ValueError(f"{name} = {value!r} is not implemented: the norms are 1, 2 and inf.")
    return float(value)


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
    p, q = checked_norm("p", p), checked_norm("q", q)
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

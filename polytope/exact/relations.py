r"""Integer relations between columns: a basis of the lattice :math:`\{c \in \mathbf Z^m : M c = 0\}`.

The kernel of M is that of :math:`M^T M`, which is small. In the lattice of the rows :math:`(e_i, K g_i)`, for
the rows g of that matrix and K large enough, the shortest vectors are those whose second part is 0 (Pohst).
"""

from __future__ import annotations

import flint

from polytope.exact.dyadic import IntegerVector


def relations(table: IntegerVector) -> list[tuple[int, ...]]:
    """A reduced basis of the integer vectors that a table of integers ``[n, m]`` maps to 0.

    Each has a positive number where its first that is not 0 stands.

    Example:
        >>> import numpy as np
        >>> relations(np.array([[1, 2, 3], [2, 4, 7]], dtype=object))
        [(2, -1, 0)]
    """
    n, m = table.shape
    M = flint.fmpz_mat(n, m, [int(v) for v in table.ravel().tolist()])
    gram = M.transpose() * M
    count = m - gram.rank()
    if not count:
        return []
    entries = [[int(gram[i, j]) for j in range(m)] for i in range(m)]
    factor = 1 << m
    while True:
        rows = [[int(i == j) for j in range(m)] + [factor * v for v in entries[i]] for i in range(m)]
        reduced = flint.fmpz_mat(rows).lll()
        first = [[int(reduced[i, j]) for j in range(2 * m)] for i in range(count)]
        if not any(v for row in first for v in row[m:]):
            return [_positive(row[:m]) for row in first]
        factor <<= 16


def _positive(row: list[int]) -> tuple[int, ...]:
    """The row or its negative."""
    return tuple(row) if next(v for v in row if v) > 0 else tuple(-v for v in row)

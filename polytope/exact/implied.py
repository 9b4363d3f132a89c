r"""Rows that others imply, in integers: :math:`r = \sum_i \lambda_i f_i - c`, :math:`\lambda, c \ge 0`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import flint

Row = Sequence[int]


@dataclass(frozen=True)
class Basis:
    """d rows ``f . x + f_0 <= 0`` with independent gradients F, and ``inverse = determinant * F^-1``.

    Arguments:
        inverse: the columns of the scaled inverse, one for each row.
        determinant: positive.
        constants: f_0 of each row.
    """

    inverse: tuple[tuple[int, ...], ...]
    determinant: int
    constants: tuple[int, ...]

    def implies(self, row: Row) -> bool:
        """Whether every point that satisfies the d rows satisfies ``row``, by nonnegative multipliers."""
        total = -row[-1] * self.determinant
        for column, constant in zip(self.inverse, self.constants, strict=True):
            multiplier = sum(map(int.__mul__, row, column))
            if multiplier < 0:
                return False
            total += multiplier * constant
        return total >= 0


def basis(rows: Sequence[Row]) -> Basis | None:
    """The basis that d rows of d + 1 integers make; ``None`` if they are dependent. No fractions arise.

    Example:
        >>> both = basis([(1, 0, -1), (0, 1, -1)])  # x <= 1, y <= 1
        >>> both.implies((1, 1, -2)), both.implies((1, 1, -1))
        (True, False)
    """
    d = len(rows)
    reduced = _reduced([[*row[:d], *(int(i == j) for j in range(d))] for i, row in enumerate(rows)], d)
    if reduced is None:
        return None
    table, determinant = reduced
    columns = tuple(tuple(table[i][d + j] for i in range(d)) for j in range(d))
    return Basis(columns, determinant, tuple(row[d] for row in rows))


def solve(rows: Sequence[Row]) -> tuple[list[int], int] | None:
    """The point where all rows of d + 1 integers vanish: numerators, and their common positive denominator.

    ``None`` if there is no such point, or more than one.

    Example:
        >>> solve([(2, 0, -1), (0, 3, -1), (2, 3, -2)])  # x = 1/2, y = 1/3
        ([3, 2], 6)
    """
    d = len(rows[0]) - 1
    reduced = _reduced(rows, d)
    if reduced is None or any(any(row) for row in reduced[0][d:]):
        return None
    return [-row[d] for row in reduced[0][:d]], reduced[1]


def _reduced(table: Sequence[Row], d: int) -> tuple[list[list[int]], int] | None:
    """Gauss-Jordan elimination in the first d columns without fractions: ``determinant`` times the identity.

    The determinant is positive; ``None`` if the columns are dependent.
    """
    m, n = len(table), len(table[0])
    entries = [value for row in table for value in row]
    reduced, pivot, rank = flint.fmpz_mat(m, n, entries).rref()
    if rank < d or any(reduced[i, i] != pivot for i in range(d)):
        return None
    sign = 1 if pivot > 0 else -1
    return [[sign * int(value) for value in row] for row in reduced.table()], sign * int(pivot)

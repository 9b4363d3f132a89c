r"""Rows that others imply, in integers: :math:`r = \sum_i \lambda_i f_i - c`, :math:`\lambda, c \ge 0`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
    table = [[*row[:d], *(int(i == j) for j in range(d))] for i, row in enumerate(rows)]
    before = 1
    for k in range(d):
        at = next((i for i in range(k, d) if table[i][k]), None)
        if at is None:
            return None
        table[k], table[at] = table[at], table[k]
        pivot, top = table[k][k], table[k]
        for i in range(d):
            if i != k:
                c = table[i][k]
                table[i] = [(pivot * x - c * y) // before for x, y in zip(table[i], top, strict=True)]
        before = pivot
    sign = 1 if before > 0 else -1
    columns = tuple(tuple(sign * table[i][d + j] for i in range(d)) for j in range(d))
    return Basis(columns, sign * before, tuple(row[d] for row in rows))

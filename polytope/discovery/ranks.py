"""What columns say about each other: integer relations, constants, equal rows, and a target among them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gcd

import numpy as np

from polytope.discovery.fits import about, up_to_rounding
from polytope.discovery.laws import Law
from polytope.discovery.sums import in_words
from polytope.exact.dyadic import IntegerVector, dyadic
from polytope.exact.relations import relations
from polytope.ir.maps import FloatArray


@dataclass(frozen=True)
class Relation:
    """A relation ``sum_i coefficients[i] * names[i] + constant = 0`` that holds on all rows; **exact**.

    Arguments:
        names: columns, the last possibly the target.
        coefficients: integers without a common divisor.
        constant: an integer.

    Example:
        >>> print(Relation(("V", "E"), (3, -1), -6))
        3 V - E - 6 = 0
    """

    names: tuple[str, ...]
    coefficients: tuple[int, ...]
    constant: int

    def __str__(self) -> str:
        return f"{in_words(self.coefficients, self.names, self.constant)} = 0"


@dataclass(frozen=True, eq=False)
class Rank:
    """The rank of the columns with a constant, and why it is not full where it is not.

    Arguments:
        names: of the columns.
        rows: how many there are.
        singular_values: ``[d + 1]``, an **estimate** in float64: of the columns and the constant, each scaled
            to length 1.
        relations: a basis of all integer relations of the columns and the constant; **exact**.
        rounded: columns that are affine functions of others on all rows up to the rounding of float64, in
            words with rounded coefficients; none of integers alone, whose relations are exact.
        constant: columns with one value.
        duplicates: rows whose columns are those of an earlier row.
        contradictions: of these, rows with another target than the first such row: no function of the columns
            gives both.
        leaks: relations of the target with a single column, which is a copy of it in other units; **exact**.
        copies: the same up to the rounding of float64 only, in words with rounded coefficients.
        law: the target as an affine function of several columns, if it is one on all rows; **exact**; where
            relations hold, one of many. This is no leak but a law, which needs no network; none is told where
            rows are so few that every target has one.
    """

    names: tuple[str, ...]
    rows: int
    singular_values: FloatArray
    relations: tuple[Relation, ...]
    rounded: tuple[str, ...]
    constant: tuple[str, ...]
    duplicates: int
    contradictions: int
    leaks: tuple[Relation, ...]
    copies: tuple[str, ...]
    law: Law | None

    @property
    def value(self) -> int:
        """The rank, of d + 1 at most; **exact**."""
        return len(self.names) + 1 - len(self.relations)

    @property
    def full(self) -> bool:
        """Whether no relation holds, also up to rounding, and no single column gives away the target."""
        return not self.said

    @property
    def said(self) -> tuple[str, ...]:
        """Why it is not full, in words."""
        return (
            *(f"{r}, on all rows" for r in self.relations),
            *(f"{r}, on all rows up to the rounding of float64" for r in self.rounded),
            *(f"the target is among the columns: {r}" for r in self.leaks),
            *(f"the target is among the columns: {r}, up to the rounding of float64" for r in self.copies),
        )

    def __str__(self) -> str:
        d = len(self.names)
        columns = "1 column" if d == 1 else f"{d} columns"
        lines = [f"Rank {self.value} of {d + 1} ({columns} and a constant), on {self.rows:,} rows."]
        lines += [f"  {line}" for line in self.said]
        if self.law is not None:
            lines.append(f"  an affine law of the target: {self.law}, on all rows")
        if self.constant:
            lines.append(f"  constant: {', '.join(self.constant)}")
        if self.duplicates:
            lines.append(
                f"  rows that repeat the columns of an earlier one: {self.duplicates:,}; "
                f"with another target: {self.contradictions:,}"
            )
        return "\n".join(lines)


def rank_of(X: FloatArray, y: FloatArray, names: Sequence[str], target: str) -> Rank:
    """The rank report of a table."""
    one = np.ones((len(X), 1))
    whole = np.concatenate([X, one], axis=1)
    length = np.linalg.norm(whole, axis=0)
    scaled: FloatArray = whole / np.where(length > 0, length, 1.0)
    values: FloatArray = np.linalg.svd(scaled, compute_uv=False).astype(float)
    first: dict[bytes, float] = {}
    rows = [(row.tobytes(), value) for row, value in zip(X + 0.0, y.tolist(), strict=True)]
    for row, value in rows:
        first.setdefault(row, value)
    repeated = sum(count - 1 for count in Counter(row for row, _ in rows).values())
    found = _relations(X, tuple(names))
    leaks, copies = _leaks(X, y, names, target)
    laws: list[Law] = []
    if not leaks and len(X) - repeated > len(names) + 1 - len(found):
        every = _relations(np.column_stack([X, y]), (*names, target))
        laws = [_solved(r) for r in every if r.names[-1:] == (target,)]
    return Rank(
        tuple(names),
        len(X),
        values,
        tuple(found),
        _rounded(X, names),
        tuple(name for name, column in zip(names, X.T, strict=True) if (column == column[0]).all()),
        repeated,
        sum(first[row] != value for row, value in rows),
        tuple(leaks),
        tuple(copies),
        laws[0] if laws else None,
    )


def _leaks(
    X: FloatArray, y: FloatArray, names: Sequence[str], target: str
) -> tuple[list[Relation], list[str]]:
    """What single columns say of the target: exactly, and up to rounding."""
    exact, copies = [], []
    for name, column in zip(names, X.T, strict=True):
        found = [r for r in _relations(np.stack([column, y], axis=1), (name, target)) if len(r.names) == 2]
        exact += found
        near = None if found else up_to_rounding(column[:, None], y)
        if near is not None and near[0]:
            copies.append(about(near, [name], target))
    return exact, copies


def _solved(relation: Relation) -> Law:
    """A relation as a law of its last name."""
    *columns, target = relation.names
    slopes = (Fraction(-c, relation.coefficients[-1]) for c in relation.coefficients[:-1])
    constant = Fraction(-relation.constant, relation.coefficients[-1])
    return Law(tuple(columns), target, (tuple(slopes),), (constant,), ((0,),))


def _rounded(X: FloatArray, names: Sequence[str]) -> tuple[str, ...]:
    """Columns that earlier ones say up to rounding, and not exactly."""
    kept: list[int] = []
    said = []
    for j, name in enumerate(names):
        near = up_to_rounding(X[:, kept], X[:, j])
        if near is None:
            kept.append(j)
        elif not _relations(X[:, [*kept, j]], tuple(names[k] for k in (*kept, j))):
            said.append(about(near, [names[k] for k in kept], name))
    return tuple(said)


def _relations(columns: FloatArray, names: tuple[str, ...]) -> list[Relation]:
    """The integer relations of columns and a constant."""
    parts = [dyadic(column) for column in columns.T]
    table: IntegerVector = np.stack([*(p.integers for p in parts), np.full(len(columns), 1, dtype=object)], 1)
    powers = [p.exponent for p in parts] + [0]
    found = []
    for row in relations(table):
        numbers = [c << e for c, e in zip(row, powers, strict=True)]
        divisor = gcd(*numbers)
        numbers = [c // divisor for c in numbers]
        kept = [k for k, c in enumerate(numbers[:-1]) if c]
        found.append(Relation(tuple(names[k] for k in kept), tuple(numbers[k] for k in kept), numbers[-1]))
    return found

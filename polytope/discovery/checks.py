"""A law in fractions on all rows of a table: where it holds, and the counterexamples."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

import numpy as np

from polytope.discovery.laws import Law
from polytope.discovery.tables import Table
from polytope.exact.dyadic import IntegerVector, dyadic
from polytope.given import described
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.oneline import one_line


@dataclass(frozen=True, eq=False)
class Check:
    """On which rows a law holds; **exact**: in integers, without a tolerance.

    Arguments:
        law: in words.
        holds: the number of rows on which it does.
        of: the number of rows.
        counterexamples: ``[of - holds]``, the numbers of the other rows.
        step: what the law's values were rounded to multiples of; ``None`` where they were not.
        rest: what was added to these multiples: less than the step.
    """

    law: str
    holds: int
    of: int
    counterexamples: IntArray
    step: int | None
    rest: int = 0

    __repr__ = one_line

    @property
    def refuted(self) -> bool:
        """Whether there is a counterexample."""
        return self.holds < self.of

    @property
    def _steps(self) -> str:
        """The numbers that values were rounded to."""
        if self.step == 1:
            return "integers"
        return f"multiples of {self.step}{f' plus {self.rest}' if self.rest else ''}"

    def __str__(self) -> str:
        rounded = "" if self.step is None else f", rounded to {self._steps},"
        if not self.refuted:
            return f"{self.law}{rounded} holds on all {self.of:,} rows: a conjecture, not a proof."
        rows = ", ".join(map(str, self.counterexamples[:5].tolist()))
        more = ", ..." if len(self.counterexamples) > 5 else ""
        which = f"rows {rows}{more}" if len(self.counterexamples) > 1 else f"row {rows}"
        return (
            f"Refuted: {self.law}{rounded} holds on {self.holds:,} of {self.of:,} rows, and not on {which}."
        )


def check(law: Law, table: Table, *, rounded: bool = False) -> Check:
    """Whether a law holds on every row of a table, in integers or fractions.

    Arguments:
        law: its columns are found in the table by their names.
        table: the rows.
        rounded: round the law's values to the numbers that the target takes steps of: the greatest common
            divisor of its differences. Halves go up.

    Raises:
        TypeError: it is no law, or no table.
        ValueError: the table lacks a column of the law or has another target, or rounding is asked and the
            target is not integer.

    Example:
        >>> table = Table([[0, 0], [1, 2], [2, 1], [3, 5]], [0, 3, 3, 9], ["a", "b"])
        >>> from polytope.discovery.laws import affine_law
        >>> print(check(affine_law({"a": 1, "b": 1}), table))
        Refuted: y = a + b holds on 3 of 4 rows, and not on row 3.
    """
    if not isinstance(law, Law) or not isinstance(table, Table):
        raise TypeError(
            f"check: a Law and a Table are expected, not {described(law)} and {described(table)}. The law of "
            "findings is their .law, None where there is no candidate."
        )
    if law.target != table.target:
        raise ValueError(
            f"check: the law is about {law.target}, and the target of the table is {table.target}."
        )
    found, scale = law.values(table.X[:, table.places(law.names)])
    step, rest, target = None, 0, dyadic(table.y)
    if rounded:
        step, first = step_of(table.y, table.target)
        units = scale * step  # round (value - first) / step, halves up
        found = (2 * (found - first * scale) + units) // (2 * units) * step + first
        scale, rest = 1, first % step
    right = np.asarray(found << target.exponent == target.integers * scale, dtype=bool)
    return Check(str(law), int(right.sum()), len(right), np.flatnonzero(~right), step, rest)


def step_of(y: FloatArray, name: str) -> tuple[int, int]:
    """The greatest common divisor of the differences of integers, and one of them.

    Raises:
        ValueError: a number is no integer.
    """
    if (y != np.round(y)).any():
        row = int(np.flatnonzero(y != np.round(y))[0])
        raise ValueError(f"Rounding is for targets that are integers; {name} is {y[row]:g} on row {row}.")
    values: IntegerVector = dyadic(y).integers
    first = int(values[0])
    return gcd(*(int(v) - first for v in values.tolist())), first

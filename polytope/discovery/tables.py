"""A table of invariants: columns with names, a target, and where it is asked about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from polytope.discovery.ranks import Rank, rank_of
from polytope.discovery.reading import read
from polytope.errors import EmptyDomainError, UnboundedDomainError
from polytope.geometry.polyhedron import Polyhedron
from polytope.given import DomainLike, as_domain, described
from polytope.ir.maps import FloatArray

LARGEST = 1e150
"""Numbers beyond it have squares beyond float64."""


@dataclass(frozen=True, eq=False, init=False)
class Table:
    """Rows of invariants and a number that may depend on them; numbers are float64, read as they are.

    Arguments:
        X: ``[n, d]``, the invariants of n objects.
        y: ``[n]``, the target.
        names: of the d columns.
        domain: a bounded polyhedron with all rows, where suprema are asked; ``None`` is the box around them.
        target: the name of y.

    Raises:
        TypeError: X or y holds what is no number, or the names are no list.
        ValueError: shapes or names do not fit; a number is missing, not finite, no float64 number, or too
            large or small to be squared; there are fewer rows than columns and a constant; y is constant; or
            a row lies outside the domain.
        UnboundedDomainError: the domain is unbounded.

    Example:
        >>> table = Table([[0, 0], [1, 2], [2, 1], [3, 5]], [0, 3, 3, 8], ["a", "b"])
        >>> print(table.rank)
        Rank 3 of 3 (2 columns and a constant), on 4 rows.
          an affine law of the target: y = a + b, on all rows
    """

    X: FloatArray
    y: FloatArray
    names: tuple[str, ...]
    domain: Polyhedron | None
    target: str

    def __init__(
        self,
        X: ArrayLike,
        y: ArrayLike,
        names: Sequence[str],
        domain: DomainLike | None = None,
        *,
        target: str = "y",
    ) -> None:
        table, values = read(X, "X"), read(y, "y")
        if table.ndim != 2 or values.shape != table.shape[:1] or not table.shape[1]:
            raise ValueError(
                f"Table: X is [n, d], of one column at least, and y [n]; not {list(table.shape)} and "
                f"{list(values.shape)}."
            )
        told, target = _named(names, table.shape[1], target)
        if len(values) < table.shape[1] + 1:
            raise ValueError(
                f"Table: {len(values)} rows say nothing about {table.shape[1]} columns and a constant: more "
                "rows than columns are needed."
            )
        if (values == values[0]).all():
            raise ValueError(f"Table: {target} is {values[0]:g} on all rows; there is nothing to explain.")
        for name, column in zip((*told, target), (*table.T, values), strict=True):
            _squared(name, column)
        for part in (table, values):
            part.setflags(write=False)
        for name, value in (("X", table), ("y", values), ("names", told), ("target", target)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "domain", None if domain is None else _around(domain, table))

    def __repr__(self) -> str:
        return f"Table({len(self.y):,} rows, {self.target} of {', '.join(self.names)})"

    @cached_property
    def rank(self) -> Rank:
        """What the columns say about each other, to be read before anything is fitted to them."""
        return rank_of(self.X, self.y, self.names, self.target)

    @cached_property
    def where(self) -> Polyhedron:
        """The domain, or the box around the rows.

        Raises:
            EmptyDomainError: there is no domain, and a column is constant.
        """
        if self.domain is not None:
            return self.domain
        low, high = self.X.min(axis=0), self.X.max(axis=0)
        if (low == high).any():
            flat = ", ".join(name for name, flat in zip(self.names, low == high, strict=True) if flat)
            raise EmptyDomainError(
                f"Table: the box around the rows has no interior, as these columns are constant: {flat}. "
                "Leave them out, or give the table a domain."
            )
        return Polyhedron.box(low, high)

    def only(self, names: Sequence[str]) -> Table:
        """The table of some columns, in the box around their rows.

        Arguments:
            names: of these columns.

        Raises:
            TypeError: it is no list of names.
            ValueError: there is no such column, or none is asked for.
        """
        return Table(self.X[:, self.places(names)], self.y, names, target=self.target)

    def places(self, names: Sequence[str]) -> list[int]:
        """The numbers of some columns.

        Arguments:
            names: of these columns.

        Raises:
            TypeError: it is no list of names.
            ValueError: there is no such column, or none is asked for.
        """
        if isinstance(names, str) or not isinstance(names, Iterable):
            raise TypeError(
                f"Names of columns are expected, such as {[self.names[0]]}, not {described(names)}."
            )
        names = list(names)
        unknown = [name for name in names if name not in self.names]
        if not names or unknown:
            raise ValueError(f"Columns are {', '.join(self.names)}; not {unknown}.")
        return [self.names.index(name) for name in names]


def _named(names: Sequence[str], count: int, target: str) -> tuple[tuple[str, ...], str]:
    """The names of the columns and of the target, all different."""
    if isinstance(names, str | set | frozenset) or not isinstance(names, Iterable):
        raise TypeError(f"Table: names of {count} columns are expected in a list, not {described(names)}.")
    told = [str(name) for name in (*names, target)]
    if len(told) != count + 1 or len(set(told)) != len(told) or not all(name.strip() for name in told):
        raise ValueError(f"Table: {count} columns and the target {target!r} need as many different names.")
    return tuple(told[:-1]), told[-1]


def _squared(name: str, column: FloatArray) -> None:
    """Refuse numbers whose squares, or those of their differences, float64 does not hold."""
    size, spread = float(np.abs(column).max()), float(column.max() / 2 - column.min() / 2)
    if size > LARGEST or 0 < spread < 1 / LARGEST:
        raise ValueError(
            f"Table: {name} has numbers of size {size:.3g}, half of whose range is {spread:.3g}: their "
            "squares are beyond float64. Write them in other units."
        )


def _around(domain: DomainLike, points: FloatArray) -> Polyhedron:
    """The domain, which holds all rows."""
    given = as_domain(domain, points.shape[1])
    if not given.is_bounded:
        raise UnboundedDomainError("Table: the domain is unbounded; suprema need a bounded one.")
    outside = np.flatnonzero(~given.contains(points))
    if len(outside):
        raise ValueError(f"Table: {len(outside)} of the rows lie outside the domain, row {outside[0]} first.")
    return given

"""A table of invariants: columns with names, a target, and where it is asked about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from polytope.discovery.ranks import Rank, rank_of
from polytope.errors import UnboundedDomainError
from polytope.geometry.polyhedron import Polyhedron
from polytope.given import DomainLike, as_domain
from polytope.ir.arrays import floats
from polytope.ir.maps import FloatArray


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
        ValueError: shapes or names do not fit, a number is missing or not finite or no float64, there are
            fewer rows than columns and a constant, y is constant, or a row lies outside the domain.
        UnboundedDomainError: the domain is unbounded.

    Example:
        >>> table = Table([[0, 0], [1, 2], [2, 1], [3, 5]], [0, 3, 3, 8], ["a", "b"])
        >>> print(table.rank)
        Rank 3 of 3 (2 columns and a constant), on 4 rows.
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
        table, values = _numbers(X, "X"), _numbers(y, "y")
        if table.ndim != 2 or values.shape != table.shape[:1]:
            raise ValueError(f"Table: X {table.shape} and y {values.shape} must be [n, d] and [n].")
        told = tuple(str(name) for name in names)
        if isinstance(names, str) or len(told) != table.shape[1] or len({*told, target}) != len(told) + 1:
            raise ValueError(
                f"Table: {table.shape[1]} columns and the target {target!r} need as many different names."
            )
        if len(values) < table.shape[1] + 1:
            raise ValueError(
                f"Table: {len(values)} rows say nothing about {table.shape[1]} columns and a constant: more "
                "rows than columns are needed."
            )
        if (values == values[0]).all():
            raise ValueError(f"Table: {target} is {values[0]:g} on all rows; there is nothing to explain.")
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
        """The domain, or the box around the rows."""
        low, high = self.X.min(axis=0), self.X.max(axis=0)
        return Polyhedron.box(low, high) if self.domain is None else self.domain

    def only(self, names: Sequence[str]) -> Table:
        """The table of some columns, in the box around their rows.

        Arguments:
            names: of these columns.

        Raises:
            ValueError: there is no such column, or none is asked for.
        """
        return Table(self.X[:, self.places(names)], self.y, names, target=self.target)

    def places(self, names: Sequence[str]) -> list[int]:
        """The numbers of some columns.

        Arguments:
            names: of these columns.

        Raises:
            ValueError: there is no such column, or none is asked for.
        """
        unknown = [name for name in names if name not in self.names]
        if isinstance(names, str) or not names or unknown:
            raise ValueError(f"Columns are {', '.join(self.names)}; not {unknown or names!r}.")
        return [self.names.index(name) for name in names]


def _numbers(given: ArrayLike, name: str) -> FloatArray:
    """Finite float64 numbers; integers only where they are float64 numbers."""
    found = floats(given).copy()
    if not np.isfinite(found).all():
        at = np.argwhere(~np.isfinite(found))[0].tolist()
        raise ValueError(f"Table: {name}{at} is missing or not finite; leave such rows out.")
    if (np.abs(found) >= 2.0**53).any() and np.asarray(given).dtype.kind in "iuO":
        raise ValueError(f"Table: an integer in {name} reaches 2^53, where float64 skips integers.")
    return found


def _around(domain: DomainLike, points: FloatArray) -> Polyhedron:
    """The domain, which holds all rows."""
    given = as_domain(domain, points.shape[1])
    if not given.is_bounded:
        raise UnboundedDomainError("Table: the domain is unbounded; suprema need a bounded one.")
    outside = np.flatnonzero(~given.contains(points))
    if len(outside):
        raise ValueError(f"Table: {len(outside)} rows lie outside the domain, row {outside[0]} first.")
    return given

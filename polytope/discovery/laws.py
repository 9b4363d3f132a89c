r"""Laws with rational coefficients: the largest of the smallest of affine functions, and their values.

Every continuous piecewise-affine function with pieces :math:`l_i` is
:math:`\max_i \min_{j \in S_i} l_j`, where :math:`S_i` are the pieces that are nowhere below :math:`l_i` on
the cell where :math:`l_i` holds (Tarela, Martinez 1999). Cells are known by rows of data alone, so that such
a law is a conjecture, to be checked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import lcm
from numbers import Rational

import numpy as np

from polytope.discovery.sums import in_words
from polytope.exact.dyadic import IntegerVector, dyadic
from polytope.given import described
from polytope.ir import Dense, Layer, Network, max_groups, mlp
from polytope.ir.maps import FloatArray


@dataclass(frozen=True)
class Law:
    """``target = max over groups of min over a group's pieces``; a single piece is an affine law.

    Arguments:
        names: columns that the law reads.
        target: what it is about.
        slopes: of each piece, one rational a column.
        constants: of each piece.
        groups: numbers of pieces.

    Raises:
        TypeError: a slope or a constant is no integer and no Fraction.
        ValueError: a piece lacks a slope or a constant, or a group is empty or names a piece that is none.

    Example:
        >>> law = affine_law({"V": -1, "E": 1}, 2, target="F")
        >>> print(law)
        F = -V + E + 2
    """

    names: tuple[str, ...]
    target: str
    slopes: tuple[tuple[Fraction, ...], ...]
    constants: tuple[Fraction, ...]
    groups: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        numbers = [*self.constants, *(v for row in self.slopes for v in row)]
        if not all(isinstance(v, Rational) for v in numbers):
            raise TypeError("Law: slopes and constants are integers or fractions, such as Fraction(1, 2).")
        if not self.names or {len(row) for row in self.slopes} != {len(self.names)}:
            raise ValueError("Law: each piece has a slope for each column, and there is a column.")
        members = [i for group in self.groups for i in group]
        if len(self.constants) != len(self.slopes) or not set(members) <= set(range(len(self.slopes))):
            raise ValueError("Law: each piece has a constant, and groups hold numbers of pieces.")
        if not self.groups or not all(self.groups):
            raise ValueError("Law: there is a group, and each holds a piece.")
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "groups", tuple(map(tuple, self.groups)))
        object.__setattr__(self, "slopes", tuple(tuple(map(_fraction, row)) for row in self.slopes))
        object.__setattr__(self, "constants", tuple(map(_fraction, self.constants)))

    def __str__(self) -> str:
        groups = [_joined("min", [self.piece(i) for i in group]) for group in self.groups]
        return f"{self.target} = {_joined('max', groups)}"

    def piece(self, i: int) -> str:
        """A piece in words.

        Arguments:
            i: its number.
        """
        return in_words(self.slopes[i], self.names, self.constants[i])

    def values(self, X: FloatArray) -> tuple[IntegerVector, int]:
        """Integers ``[n]`` and what to divide them by: the law at points, **exact**.

        Arguments:
            X: ``[n, columns of the law]``.
        """
        pieces, scale = self.pieces_at(X)
        smallest = [np.minimum.reduce(pieces[:, list(group)], axis=1) for group in self.groups]
        found: IntegerVector = np.maximum.reduce(np.stack(smallest, axis=1), axis=1)
        return found, scale

    def pieces_at(self, X: FloatArray) -> tuple[IntegerVector, int]:
        """Integers ``[n, pieces]`` and what to divide them by: all pieces at points, **exact**.

        Arguments:
            X: ``[n, columns of the law]``.
        """
        points = dyadic(X)
        scale, whole = self._integers
        constants = np.array([row[-1] << points.exponent for row in whole], dtype=object)
        slopes = np.array([row[:-1] for row in whole], dtype=object).reshape(len(whole), len(self.names))
        found: IntegerVector = points.integers @ slopes.T + constants
        return found, scale << points.exponent

    @cached_property
    def _integers(self) -> tuple[int, list[list[int]]]:
        """A common denominator, and the numerators of each piece, the constant last."""
        rows = [[*slopes, c] for slopes, c in zip(self.slopes, self.constants, strict=True)]
        scale = lcm(*(v.denominator for row in rows for v in row))
        return scale, [[int(v * scale) for v in row] for row in rows]

    def network(self) -> tuple[Network, list[list[Fraction]]]:
        """A network of the law, its coefficients rounded, and what rounding took from each piece's."""
        rows = [[*slopes, c] for slopes, c in zip(self.slopes, self.constants, strict=True)]
        near = np.array([[float(v) for v in row] for row in rows])
        lost = [
            [v - Fraction(w) for v, w in zip(row, floats, strict=True)]
            for row, floats in zip(rows, near.tolist(), strict=True)
        ]
        if self.groups == ((0,),):
            return mlp([(near[:1, :-1], near[:1, -1])]), lost
        widest = max(map(len, self.groups))
        members = [[*group, *[-1] * (widest - len(group))] for group in self.groups]
        count = len(self.groups)
        layers = (
            Layer((0,), (Dense(-near[:, :-1]),), -near[:, -1], max_groups(members)),
            Layer((1,), (Dense(-np.eye(count)),), np.zeros(count), max_groups([list(range(count))])),
            Layer((2,), (Dense(np.eye(1)),), np.zeros(1)),
        )
        return Network((len(self.names),), layers), lost


def affine_law(coefficients: Mapping[str, Rational], constant: Rational = 0, *, target: str = "y") -> Law:  # type: ignore[assignment]
    """The law ``target = sum of coefficients times columns + constant``, of integers or fractions.

    Arguments:
        coefficients: by the names of columns.
        constant: what is added.
        target: the name of what the law is about.

    Raises:
        TypeError: coefficients have no names, or one is no integer and no Fraction.
        ValueError: there is no column.

    Example:
        >>> print(affine_law({"slope": Fraction(-1, 2)}, target="signature"))
        signature = -1/2 slope
    """
    if not isinstance(coefficients, Mapping):
        raise TypeError(
            f"affine_law: coefficients by the names of columns are expected, such as {{'a': 2}}, not "
            f"{described(coefficients)}."
        )
    numbers = [*coefficients.values(), constant]
    if not all(isinstance(v, Rational) for v in numbers):
        raise TypeError("affine_law: coefficients are integers or fractions, such as Fraction(1, 2).")
    if not coefficients:
        raise ValueError("affine_law: a law of no column is a constant; name a column.")
    names = tuple(map(str, coefficients))
    return Law(names, target, (tuple(map(_fraction, numbers[:-1])),), (_fraction(constant),), ((0,),))


def lattice_law(
    names: Sequence[str],
    target: str,
    slopes: Sequence[Sequence[Fraction]],
    constants: Sequence[Fraction],
    X: FloatArray,
    y: FloatArray,
) -> Law:
    """The law of pieces whose cells are the rows that each alone is nearest to, of those that it needs."""
    single = tuple((i,) for i in range(len(constants)))
    every = Law(tuple(names), target, tuple(map(tuple, slopes)), tuple(constants), single)
    pieces, scale = every.pieces_at(X)
    values = dyadic(y)
    off = np.abs((pieces << values.exponent) - (values.integers * scale)[:, None])
    nearest = off == off.min(axis=1)[:, None]
    first, alone = np.argmax(nearest, axis=1), nearest.sum(axis=1) == 1
    owner = np.where(alone, first, -1) if alone.any() else first  # of several it may be any
    sets = {}
    for i in range(len(constants)):
        own = pieces[owner == i]
        if len(own):
            sets[i] = frozenset(np.flatnonzero((own >= own[:, [i]]).all(axis=0)).tolist())
    least = [s for s in dict.fromkeys(sets.values()) if not any(other < s for other in sets.values())]
    used = sorted(set().union(*least), key=lambda i: (every.slopes[i], every.constants[i]), reverse=True)
    place = {i: k for k, i in enumerate(used)}
    return Law(
        every.names,
        target,
        tuple(every.slopes[i] for i in used),
        tuple(every.constants[i] for i in used),
        tuple(sorted(tuple(sorted(place[i] for i in s)) for s in least)),
    )


def _fraction(value: Rational) -> Fraction:
    """The same of Python's integers, whatever integers of numpy it is made of."""
    return Fraction(int(value.numerator), int(value.denominator))


def _joined(word: str, parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{word}({', '.join(parts)})"

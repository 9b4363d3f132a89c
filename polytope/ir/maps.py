r"""Linear maps of layers, kept in the structure they came in: a convolution stays a convolution.

Every kind acts on *columns*: an array ``X`` of shape ``[in, B]`` holds B vectors, and
``apply(X)`` has shape ``[out, B]``. Nothing here expands a structured map to a dense matrix unless
``rows`` or ``to_sparse`` is asked for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Entrywise = Callable[[FloatArray], FloatArray]
NO_EXPONENT = -(1 << 20)  # of a row without entries
FARTHEST = 1020  # exponents within which numbers are normal, and products of two powers of two exact


class InexactScaleError(ArithmeticError):
    """A power of two is too large or too small for a number that it multiplies."""


def exponents(values: FloatArray) -> IntArray:
    """The exponents of the powers of two at or below the absolute values; ``NO_EXPONENT`` of zeros."""
    out: IntArray = np.where(values == 0, NO_EXPONENT, np.frexp(values)[1].astype(np.int64) - 1)
    return out


def times_power(values: FloatArray, power: IntArray) -> FloatArray:
    """``values * 2**power``, exactly.

    Raises:
        InexactScaleError: a product is no float64 number.
    """
    power = np.clip(power, -4 * FARTHEST, 4 * FARTHEST).astype(np.int32)
    with np.errstate(over="ignore", under="ignore"):
        out: FloatArray = np.ldexp(values, power)
        back = np.ldexp(out, -power)
    if not np.array_equal(back, np.broadcast_to(values, back.shape)):
        raise InexactScaleError("a scaled number over- or underflows")
    return out


class LinearMap(ABC):
    """A linear map from R^in to R^out; ``shape`` is ``(out, in)``."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """The sizes ``(out, in)``."""

    @abstractmethod
    def apply(self, columns: FloatArray) -> FloatArray:
        """``[in, B]`` to ``[out, B]``: the map applied to every column."""

    @abstractmethod
    def apply_transpose(self, columns: FloatArray) -> FloatArray:
        """``[out, B]`` to ``[in, B]``: the transposed map applied to every column."""

    @abstractmethod
    def to_sparse(self) -> csr_array:
        """The matrix of the map, ``[out, in]``, sparse."""

    @abstractmethod
    def entrywise(self, change: Entrywise) -> LinearMap:
        """The map with its numbers changed one by one, zeros to zeros; of a composition those of both."""

    def absolute(self) -> LinearMap:
        """The map with every entry replaced by its absolute value (by a bound on it for a composition)."""
        return self.entrywise(np.abs)

    def chain(self) -> tuple[LinearMap, ...]:
        """Maps whose product, outermost first, is this one, and whose matrices hold its own numbers."""
        return (self,)

    @property
    def scales_freely(self) -> bool:
        """Whether ``scaled`` keeps the structure for any rows and columns."""
        return False

    def row_exponents(self, columns: IntArray) -> IntArray:
        """The exponent of each row's largest entry, or more, where column j is times ``2**columns[j]``."""
        matrix = self.to_sparse()
        out = np.full(self.shape[0], NO_EXPONENT)
        row = np.repeat(np.arange(self.shape[0]), np.diff(matrix.indptr))
        np.maximum.at(out, row, exponents(matrix.data) + columns[matrix.indices])
        return out

    def scaled(self, rows: IntArray, columns: IntArray) -> LinearMap:
        """The map with row i times ``2**rows[i]`` and column j times ``2**columns[j]``, in its structure.

        Raises:
            InexactScaleError: that would round a number.
        """
        if not (rows.any() or columns.any()):
            return self
        matrix = self.to_sparse()
        power = np.repeat(rows, np.diff(matrix.indptr)) + columns[matrix.indices]
        times_power(matrix.data, power)
        inner = Composition(self, powers(columns)) if columns.any() else self
        return Composition(powers(rows), inner) if rows.any() else inner

    def rows(self, units: IntArray) -> FloatArray:
        """The dense rows of the matrix for the given outputs, ``[len(units), in]``."""
        chosen = np.zeros((self.shape[0], len(units)))
        chosen[units, np.arange(len(units))] = 1.0
        return self.apply_transpose(chosen).T


@dataclass(frozen=True, eq=False)
class Dense(LinearMap):
    """A matrix, ``[out, in]``."""

    matrix: FloatArray

    @property
    def shape(self) -> tuple[int, int]:
        """The sizes ``(out, in)``."""
        return (self.matrix.shape[0], self.matrix.shape[1])

    def apply(self, columns: FloatArray) -> FloatArray:
        """``matrix @ columns``."""
        return self.matrix @ columns

    def apply_transpose(self, columns: FloatArray) -> FloatArray:
        """``matrix.T @ columns``."""
        return self.matrix.T @ columns

    def entrywise(self, change: Entrywise) -> Dense:
        """Changed entries."""
        return Dense(change(self.matrix))

    def to_sparse(self) -> csr_array:
        """The matrix without its zeros; scipy's own way takes some eight times as long."""
        ends = np.cumsum([0, *np.count_nonzero(given := self.matrix != 0, axis=1)])
        columns = np.broadcast_to(np.arange(self.shape[1]), self.shape)[given]
        return csr_array((self.matrix[given], columns, ends), shape=self.shape)

    def rows(self, units: IntArray) -> FloatArray:
        """Rows of the matrix."""
        return self.matrix[units]

    @property
    def scales_freely(self) -> bool:
        """Always."""
        return True

    def row_exponents(self, columns: IntArray) -> IntArray:
        """Those of the largest entries."""
        if not columns.any():
            return exponents(np.abs(self.matrix).max(axis=1, initial=0.0))
        out: IntArray = (exponents(self.matrix) + columns).max(axis=1, initial=NO_EXPONENT)
        return out

    def scaled(self, rows: IntArray, columns: IntArray) -> Dense:
        """Scaled entries."""
        if not (rows.any() or columns.any()):
            return self
        return Dense(times_power(self.matrix, rows[:, None] + columns))


@dataclass(frozen=True, eq=False)
class Sparse(LinearMap):
    """A sparse matrix, ``[out, in]``."""

    matrix: csr_array

    @property
    def shape(self) -> tuple[int, int]:
        """The sizes ``(out, in)``."""
        return (self.matrix.shape[0], self.matrix.shape[1])

    def apply(self, columns: FloatArray) -> FloatArray:
        """``matrix @ columns``."""
        return np.asarray(self.matrix @ columns)

    def apply_transpose(self, columns: FloatArray) -> FloatArray:
        """``matrix.T @ columns``."""
        return np.asarray(self.matrix.T @ columns)

    def entrywise(self, change: Entrywise) -> Sparse:
        """Changed entries."""
        m = self.matrix
        return Sparse(csr_array((change(m.data), m.indices, m.indptr), shape=m.shape))

    def to_sparse(self) -> csr_array:
        """The matrix itself."""
        return self.matrix

    @property
    def scales_freely(self) -> bool:
        """Always."""
        return True

    def scaled(self, rows: IntArray, columns: IntArray) -> Sparse:
        """Scaled entries."""
        if not (rows.any() or columns.any()):
            return self
        power = np.repeat(rows, np.diff(self.matrix.indptr)) + columns[self.matrix.indices]
        data = times_power(self.matrix.data, power)
        return Sparse(csr_array((data, self.matrix.indices, self.matrix.indptr), shape=self.shape))


@dataclass(frozen=True, eq=False)
class Diagonal(LinearMap):
    """Multiplication of each coordinate by its own factor, ``factors[n]``."""

    factors: FloatArray

    @property
    def shape(self) -> tuple[int, int]:
        """The sizes ``(n, n)``."""
        return (len(self.factors), len(self.factors))

    def apply(self, columns: FloatArray) -> FloatArray:
        """``factors * columns``, row by row."""
        return self.factors[:, None] * columns

    def apply_transpose(self, columns: FloatArray) -> FloatArray:
        """The same: a diagonal matrix is symmetric."""
        return self.apply(columns)

    def entrywise(self, change: Entrywise) -> Diagonal:
        """Changed factors."""
        return Diagonal(change(self.factors))

    def to_sparse(self) -> csr_array:
        """The diagonal matrix."""
        index = np.arange(len(self.factors))
        return csr_array((self.factors, (index, index)), shape=self.shape)

    @property
    def scales_freely(self) -> bool:
        """Always."""
        return True

    def row_exponents(self, columns: IntArray) -> IntArray:
        """Those of the factors."""
        return exponents(self.factors) + columns

    def scaled(self, rows: IntArray, columns: IntArray) -> Diagonal:
        """Scaled factors."""
        return Diagonal(times_power(self.factors, rows + columns)) if (rows + columns).any() else self


def powers(exponent: IntArray) -> Diagonal:
    """Multiplication of each coordinate by a power of two of its own."""
    return Diagonal(times_power(np.ones(len(exponent)), exponent))


@dataclass(frozen=True, eq=False)
class Selection(LinearMap):
    """Output i is input ``index[i]``, or zero where ``index[i]`` is -1: reorder, crop, pad, repeat."""

    index: IntArray
    n_inputs: int

    def __post_init__(self) -> None:
        if len(self.index) and not (self.index.min() >= -1 and self.index.max() < self.n_inputs):
            raise ValueError(f"Selection.index must lie in -1..{self.n_inputs - 1}.")

    @property
    def shape(self) -> tuple[int, int]:
        """The sizes ``(out, in)``."""
        return (len(self.index), self.n_inputs)

    @cached_property
    def _kept(self) -> NDArray[np.bool_]:
        return self.index >= 0

    def apply(self, columns: FloatArray) -> FloatArray:
        """Rows of ``columns``, zeros where the index is -1."""
        if self._kept.all():
            return columns[self.index]
        out = np.zeros((len(self.index), columns.shape[1]))
        out[self._kept] = columns[self.index[self._kept]]
        return out

    def apply_transpose(self, columns: FloatArray) -> FloatArray:
        """Each output's value added to the input it was taken from."""
        out = np.zeros((self.n_inputs, columns.shape[1]))
        np.add.at(out, self.index[self._kept], columns[self._kept])
        return out

    def entrywise(self, change: Entrywise) -> LinearMap:
        """The map itself where 1 stays 1."""
        [one] = change(np.ones(1))
        return self if one == 1 else Composition(Diagonal(np.full(len(self.index), one)), self)

    def to_sparse(self) -> csr_array:
        """One 1 in each row that is not zero."""
        rows = np.flatnonzero(self._kept)
        return csr_array((np.ones(len(rows)), (rows, self.index[rows])), shape=self.shape)

    def row_exponents(self, columns: IntArray) -> IntArray:
        """Those of the columns that are taken."""
        return np.where(self._kept, columns[self.index], NO_EXPONENT)

    def scaled(self, rows: IntArray, columns: IntArray) -> LinearMap:
        """Factors behind the selection, where they are not 1."""
        power = np.where(self._kept, rows + columns[self.index], 0)
        return Composition(powers(power), self) if power.any() else self


@dataclass(frozen=True, eq=False)
class Transposed(LinearMap):
    """The transpose of another map: a transposed convolution is ``Transposed(Convolution(...))``."""

    of: LinearMap

    @property
    def shape(self) -> tuple[int, int]:
        """The sizes ``(out, in)``."""
        out, n = self.of.shape
        return (n, out)

    def apply(self, columns: FloatArray) -> FloatArray:
        """The inner map's ``apply_transpose``."""
        return self.of.apply_transpose(columns)

    def apply_transpose(self, columns: FloatArray) -> FloatArray:
        """The inner map's ``apply``."""
        return self.of.apply(columns)

    def chain(self) -> tuple[LinearMap, ...]:
        """The transposes of the inner map's factors, the other way round."""
        return tuple(Transposed(factor) for factor in reversed(self.of.chain()))

    def entrywise(self, change: Entrywise) -> Transposed:
        """The transpose of the changed map."""
        return Transposed(self.of.entrywise(change))

    def to_sparse(self) -> csr_array:
        """The transposed matrix."""
        return csr_array(self.of.to_sparse().T)

    def row_exponents(self, columns: IntArray) -> IntArray:
        """The largest of all, for each row."""
        inner = self.of.row_exponents(np.zeros(self.shape[0], dtype=np.int64))
        most = int(inner.max(initial=NO_EXPONENT) + columns.max(initial=0))
        return np.full(self.shape[0], most)

    def scaled(self, rows: IntArray, columns: IntArray) -> LinearMap:
        """The transpose of the scaled inner map."""
        return Transposed(self.of.scaled(columns, rows)) if rows.any() or columns.any() else self


@dataclass(frozen=True, eq=False)
class Composition(LinearMap):
    """``outer`` after ``inner``, kept as two factors where their product would be larger."""

    outer: LinearMap
    inner: LinearMap

    def __post_init__(self) -> None:
        if self.outer.shape[1] != self.inner.shape[0]:
            raise ValueError(f"Composition: {self.outer.shape} does not fit behind {self.inner.shape}.")

    @property
    def shape(self) -> tuple[int, int]:
        """The sizes ``(out, in)``."""
        return (self.outer.shape[0], self.inner.shape[1])

    def apply(self, columns: FloatArray) -> FloatArray:
        """``outer(inner(columns))``."""
        return self.outer.apply(self.inner.apply(columns))

    def apply_transpose(self, columns: FloatArray) -> FloatArray:
        """``inner^T(outer^T(columns))``."""
        return self.inner.apply_transpose(self.outer.apply_transpose(columns))

    def chain(self) -> tuple[LinearMap, ...]:
        """Those of the outer map, then those of the inner one: their product would be rounded."""
        return self.outer.chain() + self.inner.chain()

    def entrywise(self, change: Entrywise) -> Composition:
        """The composition of the changed maps; of absolute ones it bounds the absolute product."""
        return Composition(self.outer.entrywise(change), self.inner.entrywise(change))

    def to_sparse(self) -> csr_array:
        """The product of the two matrices."""
        return csr_array(self.outer.to_sparse() @ self.inner.to_sparse())

    def row_exponents(self, columns: IntArray) -> IntArray:
        """Those of the outer map's rows behind the inner one's: bounds on the terms of the product."""
        return self.outer.row_exponents(self.inner.row_exponents(columns))

    def scaled(self, rows: IntArray, columns: IntArray) -> LinearMap:
        """Rows of the outer map and columns of the inner one."""
        if not (rows.any() or columns.any()):
            return self
        between = np.zeros(self.inner.shape[0], dtype=np.int64)
        return Composition(self.outer.scaled(rows, between), self.inner.scaled(between, columns))

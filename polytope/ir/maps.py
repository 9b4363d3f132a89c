r"""Linear maps of layers, kept in the structure they came in: a convolution stays a convolution.

Every kind acts on *columns*: an array ``X`` of shape ``[in, B]`` holds B vectors, and
``apply(X)`` has shape ``[out, B]``. Nothing here expands a structured map to a dense matrix unless
``rows`` or ``to_sparse`` is asked for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


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
    def absolute(self) -> LinearMap:
        """The map with every entry replaced by its absolute value (by a bound on it for a composition)."""

    def chain(self) -> tuple[LinearMap, ...]:
        """Maps whose product, outermost first, is this one, and whose matrices hold its own numbers."""
        return (self,)

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

    def absolute(self) -> Dense:
        """Absolute entries."""
        return Dense(np.abs(self.matrix))

    def to_sparse(self) -> csr_array:
        """The matrix without its zeros."""
        return csr_array(self.matrix)

    def rows(self, units: IntArray) -> FloatArray:
        """Rows of the matrix."""
        return self.matrix[units]


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

    def absolute(self) -> Sparse:
        """Absolute entries."""
        return Sparse(csr_array(abs(self.matrix)))

    def to_sparse(self) -> csr_array:
        """The matrix itself."""
        return self.matrix


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

    def absolute(self) -> Diagonal:
        """Absolute factors."""
        return Diagonal(np.abs(self.factors))

    def to_sparse(self) -> csr_array:
        """The diagonal matrix."""
        index = np.arange(len(self.factors))
        return csr_array((self.factors, (index, index)), shape=self.shape)


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

    def absolute(self) -> Selection:
        """The map itself: its entries are 0 and 1."""
        return self

    def to_sparse(self) -> csr_array:
        """One 1 in each row that is not zero."""
        rows = np.flatnonzero(self._kept)
        return csr_array((np.ones(len(rows)), (rows, self.index[rows])), shape=self.shape)


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

    def absolute(self) -> Transposed:
        """The transpose of the absolute map."""
        return Transposed(self.of.absolute())

    def to_sparse(self) -> csr_array:
        """The transposed matrix."""
        return csr_array(self.of.to_sparse().T)


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

    def absolute(self) -> Composition:
        """The composition of the absolute maps, which bounds the absolute product."""
        return Composition(self.outer.absolute(), self.inner.absolute())

    def to_sparse(self) -> csr_array:
        """The product of the two matrices."""
        return csr_array(self.outer.to_sparse() @ self.inner.to_sparse())

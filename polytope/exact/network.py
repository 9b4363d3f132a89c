r"""Exact affine maps of a network on a cell: pre-activations and outputs as functions of the input.

:math:`z_l = \sum_k A_{l,k} h_k + b_l` in dyadic numbers: all units of a layer by one forward pass, remembered
for each pattern of the layers in front, or a few combinations of units by one backward pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import flint
import numpy as np
from scipy.sparse import csr_array

from polytope.exact.dyadic import Dyadic, IntegerVector, add, dyadic, times, zeros
from polytope.ir.activations import PatternArray
from polytope.ir.layers import Layer
from polytope.ir.looking import look
from polytope.ir.maps import LinearMap
from polytope.ir.network import Network
from polytope.ir.sweep import outputs_to_input, to_input

CACHE = 4000  # maps of layers that are kept
DENSE = 0.25  # share of entries from which a matrix is multiplied as a dense one
ENTRY_BYTES = 48  # of an entry as a Python integer


class _Matrix(NamedTuple):
    """A factor of a linear map: its entries by row, and as a dense matrix where it is one."""

    sparse: csr_array
    entries: Dyadic
    dense: flint.fmpz_mat | None


class ExactNetwork:
    """Exact affine maps of a network; its matrices are converted once, when first needed."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._matrices: dict[int, list[_Matrix]] = {}
        self._preactivations: dict[tuple[int, bytes], Dyadic] = {}
        self._values: dict[tuple[int, bytes], Dyadic] = {}

    def row(
        self,
        number: int,
        units: Sequence[int],
        coefficients: Sequence[float],
        offset: float,
        pattern: PatternArray,
    ) -> IntegerVector:
        """A positive multiple of ``sum_i coefficients[i] * z[units[i]] - offset`` as an affine function of x.

        By one backward pass: for few rows of a large network.

        Arguments:
            number: the layer of the pre-activations z, from 1.
            units, coefficients: a combination of z.
            offset: subtracted from it.
            pattern: ``int8[units]``; only earlier layers are read.

        Returns:
            ``d + 1`` Python integers: the coefficients of x, then the constant.
        """
        return self.function(number, units, coefficients, offset, pattern).integers

    def function(
        self,
        number: int,
        units: Sequence[int],
        coefficients: Sequence[float],
        offset: float,
        pattern: PatternArray,
    ) -> Dyadic:
        """What ``row`` is a multiple of, ``[d + 1]``."""
        scaled = dyadic(coefficients)
        weights = Dyadic(zeros(len(self.network.layers[number - 1].bias)).integers, scaled.exponent)
        for unit, c in zip(units, scaled.integers.tolist(), strict=True):
            weights.integers[unit] += c
        row, constant = self._pull_back(number, weights, pattern)
        return _joined(row, add(constant, dyadic([-offset])))

    def preactivations(self, number: int, pattern: PatternArray) -> Dyadic:
        """``[n, d + 1]``: z of a layer as affine functions of x; only earlier layers' pieces are read."""
        key = number, pattern[: self.network.unit_offsets[number - 1]].tobytes()
        known = self._preactivations.get(key)
        if known is None:
            layer = self.network.layers[number - 1]
            known = _constants(layer.bias, self.network.input_dim)
            for k, linear in zip(layer.inputs, layer.maps, strict=True):
                known = add(known, self.apply(linear, self._value(k, pattern)))
            _keep(self._preactivations, key, known)
        return known

    def output(self, weights: Sequence[float], pattern: PatternArray) -> Dyadic:
        """A combination of the outputs as an affine function of x, ``[d + 1]``, by one backward pass."""
        domain = _Combination(self, pattern, zeros(1))
        row = outputs_to_input(self.network, dyadic(weights), domain)
        return _joined(row, domain.constant)

    def outputs(self, pattern: PatternArray) -> Dyadic:
        """``[out, d + 1]``: the network's outputs as affine functions of x on the cell of a pattern."""
        return self._value(len(self.network.layers), pattern)

    def _value(self, number: int, pattern: PatternArray) -> Dyadic:
        """``[width, d + 1]``: the outputs of a layer (0 is the input) as functions of x."""
        if number == 0:
            return dyadic(np.eye(self.network.input_dim, self.network.input_dim + 1))
        key = number, pattern[: self.network.unit_offsets[number]].tobytes()
        known = self._values.get(key)
        if known is None:
            z, layer = self.preactivations(number, pattern), self.network.layers[number - 1]
            known = z if layer.activation is None else _activated(layer, z, self._pieces(number, pattern))
            _keep(self._values, key, known)
        return known

    def _pieces(self, number: int, pattern: PatternArray) -> PatternArray:
        return self.network.layer_pattern(number, pattern)

    def _pull_back(self, number: int, weights: Dyadic, pattern: PatternArray) -> tuple[Dyadic, Dyadic]:
        """The exact twin of ``polytope.ir.backward.pull_back`` for one combination."""
        domain = _Combination(self, pattern, zeros(1))
        return to_input(self.network, number, weights, domain), domain.constant

    def apply(self, linear: LinearMap, h: Dyadic) -> Dyadic:
        """A linear map of one of the layers, applied to columns ``[in, B]``."""
        for matrix in reversed(self._factors(linear)):
            h = _product(matrix, h)
        return h

    def apply_transpose(self, linear: LinearMap, weights: Dyadic) -> Dyadic:
        """The transpose of a linear map of one of the layers, applied to a vector."""
        for matrix in self._factors(linear):
            weights = _transposed_product(matrix, weights)
        return weights

    def _factors(self, linear: LinearMap) -> list[_Matrix]:
        if id(linear) not in self._matrices:
            self._matrices[id(linear)] = [_matrix(factor) for factor in linear.chain()]
        return self._matrices[id(linear)]


@dataclass(eq=False)
class _Combination:
    """One combination of values, and the sum of the constants that it leaves behind."""

    exact: ExactNetwork
    pattern: PatternArray
    constant: Dyadic

    def affine(self, number: int, layer: Layer, weights: Dyadic) -> Iterator[Dyadic]:
        self.constant = add(self.constant, _sum(times(dyadic(layer.bias), weights)))
        return (self.exact.apply_transpose(linear, weights) for linear in layer.maps)

    def activate(self, number: int, layer: Layer, weights: Dyadic) -> Dyadic:
        pieces = self.exact.network.layer_pattern(number, self.pattern)
        weights, extra = _through(layer, weights, pieces)
        self.constant = add(self.constant, extra)
        return weights

    def plus(self, k: int, a: Dyadic, b: Dyadic) -> Dyadic:
        return add(a, b)


def _matrix(linear: LinearMap) -> _Matrix:
    matrix = linear.to_sparse()
    matrix.sum_duplicates()
    look(ENTRY_BYTES * matrix.nnz)
    entries = dyadic(matrix.data)
    dense = None
    if matrix.nnz > DENSE * matrix.shape[0] * matrix.shape[1]:
        table = np.full(matrix.shape, 0, dtype=object)
        table[_row_numbers(matrix), matrix.indices] = entries.integers
        dense = flint.fmpz_mat(matrix.shape[0], matrix.shape[1], table.ravel().tolist())
    return _Matrix(matrix, entries, dense)


def _row_numbers(matrix: csr_array) -> IntegerVector:
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))


def _product(matrix: _Matrix, h: Dyadic) -> Dyadic:
    """The matrix times ``[n, d + 1]`` numbers."""
    out = zeros(matrix.sparse.shape[0], h.integers.shape[1]).integers
    if matrix.dense is not None:
        n, m = h.integers.shape
        both = matrix.dense * flint.fmpz_mat(n, m, h.integers.ravel().tolist())
        out.ravel()[:] = [int(v) for v in both.entries()]
    else:
        used = (h.integers != 0).any(axis=1)[matrix.sparse.indices]
        terms = matrix.entries.integers[used, None] * h.integers[matrix.sparse.indices[used]]
        np.add.at(out, _row_numbers(matrix.sparse)[used], terms)
    return Dyadic(out, h.exponent + matrix.entries.exponent)


def _transposed_product(matrix: _Matrix, weights: Dyadic) -> Dyadic:
    """The transposed matrix times a vector."""
    out = zeros(matrix.sparse.shape[1]).integers
    for unit in np.flatnonzero(weights.integers != 0):
        look()
        part = slice(matrix.sparse.indptr[unit], matrix.sparse.indptr[unit + 1])
        out[matrix.sparse.indices[part]] += weights.integers[unit] * matrix.entries.integers[part]
    return Dyadic(out, weights.exponent + matrix.entries.exponent)


def _constants(bias: IntegerVector, d: int) -> Dyadic:
    """Constant functions of x, ``[n, d + 1]``."""
    out, values = zeros(len(bias), d + 1).integers, dyadic(bias)
    out[:, -1] = values.integers
    return Dyadic(out, values.exponent)


def _activated(layer: Layer, z: Dyadic, pattern: PatternArray) -> Dyadic:
    """The outputs of a layer on its pieces, from its pre-activations."""
    pieces = layer.phi.affine(pattern)
    slope = dyadic(pieces.slope)
    sloped = Dyadic(z.integers[pieces.source] * slope.integers[:, None], z.exponent + slope.exponent)
    return add(sloped, _constants(pieces.intercept, z.integers.shape[1] - 1))


def _through(layer: Layer, weights: Dyadic, pattern: PatternArray) -> tuple[Dyadic, Dyadic]:
    """Combinations of a layer's outputs as combinations of its pre-activations, and a constant."""
    pieces = layer.phi.affine(pattern)
    sloped = times(dyadic(pieces.slope), weights)
    out = zeros(len(layer.bias)).integers
    for unit in np.flatnonzero(sloped.integers != 0):
        out[pieces.source[unit]] += sloped.integers[unit]
    return Dyadic(out, sloped.exponent), _sum(times(dyadic(pieces.intercept), weights))


def _sum(a: Dyadic) -> Dyadic:
    return Dyadic(np.array([sum(a.integers.tolist())], dtype=object), a.exponent)


def _joined(row: Dyadic, constant: Dyadic) -> Dyadic:
    """Row and constant over one exponent."""
    exponent = max(row.exponent, constant.exponent)
    scaled = [
        row.integers * (1 << (exponent - row.exponent)),
        constant.integers * (1 << (exponent - constant.exponent)),
    ]
    return Dyadic(np.concatenate(scaled), exponent)


def _keep(known: dict[tuple[int, bytes], Dyadic], key: tuple[int, bytes], value: Dyadic) -> None:
    if len(known) >= CACHE:
        known.clear()
    known[key] = value

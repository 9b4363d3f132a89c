r"""Exact affine maps of a network: a float64 is a dyadic rational :math:`m 2^{-e}`.

A vector is a numpy object array of Python integers with one common exponent. Sums and products stay
integers, without the greatest common divisors that make rationals slow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from polytope.ir.activations import PatternArray
from polytope.ir.maps import Composition, FloatArray, LinearMap, Transposed
from polytope.ir.network import Layer, Network

IntegerVector = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Dyadic:
    """The numbers ``integers * 2**-exponent``, exactly."""

    integers: IntegerVector
    exponent: int


def dyadic(values: FloatArray) -> Dyadic:
    """A float64 array, exactly: each value is an integer over a common power of two."""
    flat = [float(v).as_integer_ratio() for v in values.ravel()]
    exponent = max((q.bit_length() - 1 for _, q in flat), default=0)
    out = np.empty(len(flat), dtype=object)
    out[:] = [p << (exponent - (q.bit_length() - 1)) for p, q in flat]
    return Dyadic(out.reshape(values.shape), exponent)


def _add(a: Dyadic, b: Dyadic) -> Dyadic:
    exponent = max(a.exponent, b.exponent)
    return Dyadic(
        a.integers * (1 << (exponent - a.exponent)) + b.integers * (1 << (exponent - b.exponent)), exponent
    )


def _times(a: Dyadic, b: Dyadic) -> Dyadic:
    return Dyadic(a.integers * b.integers, a.exponent + b.exponent)


def _sum(a: Dyadic) -> Dyadic:
    return Dyadic(np.array([sum(a.integers.tolist())], dtype=object), a.exponent)


def _zeros(n: int) -> Dyadic:
    return Dyadic(np.array([0] * n, dtype=object), 0)


class ExactNetwork:
    """Exact rows of a network's pre-activations on a cell; matrices are converted once, when first needed."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._matrices: dict[int, tuple[csr_array, Dyadic]] = {}

    def row(
        self,
        number: int,
        units: Sequence[int],
        coefficients: Sequence[float],
        offset: float,
        pattern: PatternArray,
    ) -> IntegerVector:
        """A positive multiple of ``sum_i coefficients[i] * z[units[i]] - offset`` as an affine function of x.

        Arguments:
            number: the layer of the pre-activations z, from 1.
            units, coefficients: a combination of z.
            offset: subtracted from it.
            pattern: ``int8[units]``; only earlier layers are read.

        Returns:
            ``d + 1`` Python integers: the coefficients of x, then the constant.
        """
        weights = _zeros(len(self.network.layers[number - 1].bias))
        scaled = dyadic(np.asarray(coefficients, dtype=float))
        weights = Dyadic(weights.integers, scaled.exponent)
        for unit, c in zip(units, scaled.integers.tolist(), strict=True):
            weights.integers[unit] += c
        row, constant = self._pull_back(number, weights, pattern)
        constant = _add(constant, dyadic(np.array([-offset])))
        return _joined(row, constant)

    def _pull_back(self, number: int, weights: Dyadic, pattern: PatternArray) -> tuple[Dyadic, Dyadic]:
        """The exact twin of ``Network.pull_back`` for one combination."""
        constant = _zeros(1)
        waiting: dict[int, Dyadic] = {}
        while True:
            layer = self.network.layers[number - 1]
            constant = _add(constant, _sum(_times(dyadic(layer.bias), weights)))
            for k, linear in zip(layer.inputs, layer.maps, strict=True):
                pulled = self._apply_transpose(linear, weights)
                waiting[k] = _add(waiting[k], pulled) if k in waiting else pulled
            number = max(waiting)
            if number == 0:
                return waiting[0], constant
            layer = self.network.layers[number - 1]
            weights = waiting.pop(number)
            if layer.activation is not None:
                weights, extra = _through(layer, weights, self.network.layer_pattern(number, pattern))
                constant = _add(constant, extra)

    def _apply_transpose(self, linear: LinearMap, weights: Dyadic) -> Dyadic:
        if isinstance(linear, Transposed) and isinstance(linear.of, Composition):
            linear = Composition(Transposed(linear.of.inner), Transposed(linear.of.outer))
        if isinstance(linear, Composition):
            return self._apply_transpose(linear.inner, self._apply_transpose(linear.outer, weights))
        matrix, entries = self._matrix(linear)
        out = _zeros(linear.shape[1]).integers
        for unit in np.flatnonzero(weights.integers != 0):
            part = slice(matrix.indptr[unit], matrix.indptr[unit + 1])
            out[matrix.indices[part]] += weights.integers[unit] * entries.integers[part]
        return Dyadic(out, weights.exponent + entries.exponent)

    def _matrix(self, linear: LinearMap) -> tuple[csr_array, Dyadic]:
        if id(linear) not in self._matrices:
            matrix = linear.to_sparse()
            matrix.sum_duplicates()
            self._matrices[id(linear)] = (matrix, dyadic(np.asarray(matrix.data, dtype=float)))
        return self._matrices[id(linear)]


def _through(layer: Layer, weights: Dyadic, pattern: PatternArray) -> tuple[Dyadic, Dyadic]:
    """Combinations of a layer's outputs as combinations of its pre-activations, and a constant."""
    assert layer.activation is not None
    pieces = layer.activation.affine(pattern)
    sloped = _times(dyadic(pieces.slope), weights)
    out = _zeros(len(layer.bias)).integers
    for unit in np.flatnonzero(sloped.integers != 0):
        out[pieces.source[unit]] += sloped.integers[unit]
    return Dyadic(out, sloped.exponent), _sum(_times(dyadic(pieces.intercept), weights))


def _joined(row: Dyadic, constant: Dyadic) -> IntegerVector:
    """Row and constant over one exponent, the power of two dropped."""
    exponent = max(row.exponent, constant.exponent)
    scaled = [
        row.integers * (1 << (exponent - row.exponent)),
        constant.integers * (1 << (exponent - constant.exponent)),
    ]
    return np.concatenate(scaled)

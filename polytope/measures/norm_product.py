r"""Lipschitz constants of networks from above: products of norms of the layers, summed over paths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from polytope.bounds.intervals import room
from polytope.ir import Layer, LinearMap, Network
from polytope.ir.activations import SlopeRanges
from polytope.ir.maps import FloatArray
from polytope.ir.sweep import sweep
from polytope.measures.operator_norm import operator_norms

LARGEST_DENSE = 1 << 21  # entries of a map whose singular values are computed
LARGEST_SPECTRAL = 2048  # rows, or columns, of a matrix whose singular values are computed


def norm_bound(matrix: FloatArray, p: float, q: float) -> float:
    """An upper bound on the p -> q norm of every matrix ``B`` with ``|B| <= matrix``; tight for most p, q."""
    exponent = int(np.frexp(matrix.max(initial=0.0))[1])
    matrix = np.ldexp(matrix, -exponent)  # entries up to 1: squares neither overflow nor, where large, vanish
    if not np.isfinite(matrix).all():
        return np.inf
    if p == np.inf and q != np.inf:  # |B| maps the unit box below its values at the corner (1, ..., 1)
        value = float(np.linalg.norm(matrix.sum(axis=1), q))
    elif q == 1 and p == 2:
        value = float(np.linalg.norm(matrix.sum(axis=0)))
    elif p == q == 2 and min(matrix.shape) > LARGEST_SPECTRAL:  # the Schur test
        value = float(np.sqrt(matrix.sum(axis=0).max() * matrix.sum(axis=1).max()))
    else:
        value = float(operator_norms(matrix[None], p, q)[0])
    with np.errstate(over="ignore"):
        return float(np.nextafter(np.ldexp(_room(value), exponent), np.inf)) if value else 0.0


def _room(value: float) -> float:
    """The value with room for the rounding of a norm."""
    return value * (1 + 2.0**-36)


def norm_product(
    network: Network, ranges: tuple[SlopeRanges | None, ...], p: float, middle: float, q: float
) -> float:
    """Products of the layers' norms, summed over paths: p at the input, q at the output."""
    constant = 1.0
    norms = [p, *(middle for _ in network.layers[1:]), q]
    for _, _, _, constant in sweep(network, 1.0, _Constants(norms, ranges)):
        if not _is_ordinary([constant]):
            return np.inf
    return _room(constant)


@dataclass(frozen=True)
class _Constants:
    """Lipschitz constants of values: sums over paths of products of norms.

    Arguments:
        norms: of the values h_0, h_1, ...
        ranges: the slopes that units can have.
    """

    norms: Sequence[float]
    ranges: tuple[SlopeRanges | None, ...]

    def affine(self, number: int, layer: Layer, reads: Sequence[float]) -> float:
        out, (factors, _) = self.norms[number], self._factors(number, layer)
        total = 0.0
        parts = zip(layer.inputs, layer.maps, layer.absolute_maps, reads, strict=True)
        for k, linear, absolute, constant in parts:
            norm = _map_norm(linear, absolute, factors, self.norms[k], out) if constant else 0.0
            total += constant * norm if norm else 0.0
        return total

    def activate(self, number: int, layer: Layer, z: float) -> float:
        _, factor = self._factors(number, layer)
        return z * factor if factor else 0.0

    def _factors(self, number: int, layer: Layer) -> tuple[FloatArray | None, float]:
        """What a layer's slopes multiply its rows by, and what its outputs."""
        slopes = self.ranges[number - 1]
        return (None, 1.0) if slopes is None else _row_factors(slopes, len(layer.bias), self.norms[number])


def _is_ordinary(numbers: ArrayLike) -> bool:
    """Whether products of four such numbers neither overflow nor underflow, so that ``_room`` suffices."""
    sizes = np.abs(numbers)
    return bool(((sizes == 0) | ((sizes > 2.0**-200) & (sizes < 2.0**200))).all())


def _row_factors(slopes: SlopeRanges, n: int, norm: float) -> tuple[FloatArray | None, float]:
    """Greatest absolute slopes of a layer: a factor of each pre-activation, or one for the whole layer."""
    size = np.maximum(np.abs(slopes.least), np.abs(slopes.greatest))
    if slopes.own:
        return size[0], 1.0
    readers = np.bincount(slopes.source[size > 0], minlength=n).max(initial=0)
    return None, float(size.max(initial=0.0) * {1.0: readers, 2.0: np.sqrt(readers), np.inf: 1.0}[norm])


def _map_norm(
    linear: LinearMap, absolute: LinearMap, factors: FloatArray | None, p: float, q: float
) -> float:
    """An upper bound on the norm of a map whose rows are multiplied by factors; infinite where unknown."""
    chain = linear.chain()
    numbers = [factor.to_sparse().data for factor in chain] + ([] if factors is None else [factors])
    if not all(_is_ordinary(part) for part in numbers):
        return np.inf
    scale = 1.0 if factors is None else factors[:, None]
    norm = _matrix_norm(csr_array(linear.to_sparse() * scale), p, q)
    if len(chain) > 1:  # its matrix is a rounded product
        share = sum(room(factor.shape[1]) for factor in chain)
        norm += share * _matrix_norm(csr_array(absolute.to_sparse() * scale), p, q)
    return norm


def _matrix_norm(matrix: csr_array, p: float, q: float) -> float:
    """An upper bound on the norm of a matrix."""
    m, n = matrix.shape
    if m * n <= LARGEST_DENSE:
        dense = matrix.toarray()
        if (p, q) in ((np.inf, 1), (np.inf, 2), (2, 1)):
            spectral = float(operator_norms(dense[None], 2, 2)[0])
            longer = (np.sqrt(n) if p == np.inf else 1.0) * (np.sqrt(m) if q == 1 else 1.0)
            return _room(min(norm_bound(np.abs(dense), p, q), spectral * longer))
        return _room(float(operator_norms(dense[None], p, q)[0]))
    size = abs(matrix)
    columns, rows = np.asarray(size.sum(axis=0)).ravel(), np.asarray(size.sum(axis=1)).ravel()
    if p == np.inf:
        return _room(float(np.linalg.norm(rows, q)))
    if q == 1:
        return _room(float(np.linalg.norm(columns, 2 if p == 2 else np.inf)))
    squares = size.power(2)
    if p == 1:
        each = np.sqrt(np.asarray(squares.sum(axis=0)).ravel()) if q == 2 else size.max(axis=0).toarray()
        return _room(float(each.max(initial=0.0)))
    if q == np.inf:
        return _room(float(np.sqrt(np.asarray(squares.sum(axis=1)).ravel()).max(initial=0.0)))
    return _room(float(np.sqrt(columns.max(initial=0.0) * rows.max(initial=0.0))))

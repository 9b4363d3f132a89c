r"""Forward passes: all pre-activations of a cell as affine functions of the input, with bounds on errors.

:math:`z_l = \sum_k A_{l,k} h_k + b_l` as a matrix J and a constant c; sparse as long as each unit sees a
small part of the input, as behind convolutions. Row i of a product of n terms is rounded by at most
:math:`n u \sum_k |A_{ik}| |J_k|` (u = 2^-53, in any order of the sum), entry by entry, so in length too;
what was rounded before comes in by :math:`\sum_k |A_{ik}| \epsilon_k`. So the bounds cost a product with a
vector.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, eye_array

from polytope.ir.activations import PatternArray
from polytope.ir.layers import Layer
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.matrix import Matrix, compact, matrix_product, product, row_norms, scaled, sparse
from polytope.ir.network import Network
from polytope.ir.sweep import sweep

U = 2.0**-53 * (1 + 2.0**-10)  # of one operation, with room for the rounding of the bounds themselves
UNDERFLOW = 2.0**-1000  # more than what underflow can amount to in a sum of products


@dataclass(frozen=True, eq=False)
class AffineMap:
    """``J x + c``: J ``[n, d]``, dense or sparse, c ``[n]``, and bounds ``[n]`` on what rounding changed.

    Arguments:
        length: the lengths of the rows of J, or more.
        tilt: bounds on the lengths of the errors of the rows of J.
        shift: bounds on the errors of c.
    """

    J: Matrix
    c: FloatArray
    length: FloatArray
    tilt: FloatArray
    shift: FloatArray


def preactivation_maps(
    network: Network, pattern: PatternArray, *, outputs: bool = False
) -> Iterator[tuple[int, AffineMap]]:
    """The number of every hidden layer, with z as a function of x on the cell; ``(0, outputs)`` if asked.

    Arguments:
        pattern: ``int8[units]``.
    """
    numbers = [n for n, layer in enumerate(network.layers, start=1) if layer.activation]
    last = len(network.layers) if outputs else max(numbers, default=0)
    domain = _Functions(network, pattern, 0 if outputs else last)
    for number, layer, z, h in sweep(network, _identity(network.input_dim), domain, last=last):
        if layer.activation is not None:
            yield number, z
        if outputs and number == last:
            yield 0, h


@dataclass(frozen=True, eq=False)
class _Functions:
    """Affine functions of the input on the cell of a pattern; nothing reads layer ``unread``."""

    network: Network
    pattern: PatternArray
    unread: int

    def affine(self, number: int, layer: Layer, reads: Sequence[AffineMap]) -> AffineMap:
        return _of_input(layer) if layer.copies_input else _preactivation(layer, reads)

    def activate(self, number: int, layer: Layer, z: AffineMap) -> AffineMap:
        if number == self.unread:
            return z
        return _activated(layer, z, self.network.layer_pattern(number, self.pattern))


@lru_cache(maxsize=4)
def _identity(d: int) -> AffineMap:
    none = np.zeros(d)
    return AffineMap(csr_array(eye_array(d)), none, np.ones(d), none, none)


@lru_cache(maxsize=16)
def _of_input(layer: Layer) -> AffineMap:
    """The pre-activations of a layer that reads the input alone: nothing is rounded."""
    J, none = layer.matrices[0], np.zeros(len(layer.bias))
    return AffineMap(J, layer.bias, row_norms(J), none, none)


def _preactivation(layer: Layer, reads: Sequence[AffineMap]) -> AffineMap:
    total: Matrix | None = None
    constant, errors = layer.bias, np.zeros((len(layer.bias), 2))
    rounding = U * (layer.terms + len(layer.inputs))
    parts = zip(layer.inputs, layer.matrices, layer.absolute_maps, reads, strict=True)
    for k, matrix, absolute, h in parts:
        term = matrix_product(matrix, h.J) if k else matrix
        total = term if total is None else compact(total + term)
        constant = constant + product(matrix, h.c)
        made = np.stack([h.tilt + rounding * h.length, h.shift + rounding * np.abs(h.c)], axis=1)
        errors += absolute.apply(made)
    assert total is not None, "a layer reads at least one value"
    rounded = _touched(layer, reads) if layer.has_tiny_numbers else errors != 0
    errors[:, 1] += (U * len(layer.inputs)) * np.abs(constant)
    tilt, shift = np.where(
        rounded, errors + UNDERFLOW, 0.0
    ).T  # where nothing is added up, nothing is rounded
    return AffineMap(total, constant, row_norms(total), tilt, shift)


def _touched(layer: Layer, reads: Sequence[AffineMap]) -> NDArray[np.bool_]:
    """Where a gradient, and where a constant, is made of anything, ``[n, 2]``."""
    count = np.zeros((len(layer.bias), 2))
    for places, h in zip(layer.places, reads, strict=True):
        live = np.stack([(h.length != 0) | (h.tilt != 0), (h.c != 0) | (h.shift != 0)], axis=1)
        count += product(places, live.astype(float))
    return count > 0


def _activated(layer: Layer, z: AffineMap, pattern: PatternArray) -> AffineMap:
    """The layer's outputs on its pieces; factors of 0 and 1 round nothing."""
    pieces = layer.phi.affine(pattern)
    source, slope = pieces.source, pieces.slope
    z = AffineMap(z.J[source], z.c[source], z.length[source], z.tilt[source], z.shift[source])
    J, c, steep = scaled(z.J, slope), slope * z.c, np.abs(slope)
    length, tilt, shift = steep * z.length, steep * z.tilt, steep * z.shift
    rough = (steep != 0) & (steep != 1)
    if rough.any():
        tilt += np.where(rough & ((length != 0) | (tilt != 0)), U * length + UNDERFLOW, 0.0)
        shift += np.where(rough & ((z.c != 0) | (shift != 0)), U * np.abs(c) + UNDERFLOW, 0.0)
    if pieces.intercept.any():
        moved = (pieces.intercept != 0) & ((c != 0) | (shift != 0))
        c = c + pieces.intercept
        shift += np.where(moved, U * np.abs(c), 0.0)
    return AffineMap(J, c, length, tilt, shift)


def combined(z: AffineMap, index: IntArray, factors: FloatArray, offset: FloatArray) -> AffineMap:
    """``factors[:, 0] * z[index[:, 0]] + factors[:, 1] * z[index[:, 1]] - offset``, row by row."""
    rows = _times(z, index[:, 0], factors[:, 0])
    two = np.flatnonzero(factors[:, 1])
    if len(two):
        rows = _sum(rows, two, _times(z, index[two, 1], factors[two, 1]))
    if offset.any():
        c = rows.c - offset
        shift = rows.shift + np.where(offset != 0, U * np.abs(c), 0.0)
        rows = AffineMap(rows.J, c, rows.length, rows.tilt, shift)
    return rows


def _times(z: AffineMap, which: IntArray, factors: FloatArray) -> AffineMap:
    """Some rows times factors."""
    size, c = np.abs(factors), factors * z.c[which]
    length = size * z.length[which]
    tilt, shift = size * z.tilt[which] + U * length, size * z.shift[which] + U * np.abs(c)
    return AffineMap(scaled(z.J[which], factors), c, length, tilt, shift)


def _sum(a: AffineMap, places: IntArray, b: AffineMap) -> AffineMap:
    """A with the rows of b added to some of its rows."""
    n, k = len(a.c), len(b.c)
    added = b.J if k == n else csr_array((np.ones(k), (places, np.arange(k))), shape=(n, k)) @ sparse(b.J)
    total: Any = a.J + added
    c, tilt, shift = a.c.copy(), a.tilt.copy(), a.shift.copy()
    c[places] += b.c
    tilt[places] += b.tilt + U * (a.length[places] + b.length)
    shift[places] += b.shift + U * np.abs(c[places])
    J = compact(total)
    return AffineMap(J, c, row_norms(J), tilt, shift)

r"""By how much the class of a point leads the others: a network of margins, and their rows on a region.

Margin j is :math:`m_j = f_c - f_j`, of one output :math:`\pm f`. On a region it is affine; a row whose
error bound is poor, relative to the row itself, is computed exactly and rounded once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from polytope.bounds.signs import signs_at
from polytope.exact.network import ExactNetwork
from polytope.exact.program import Row
from polytope.ir import Dense, Layer, Network
from polytope.ir.activations import PatternArray
from polytope.ir.algebra import of_matrix
from polytope.ir.bounded import bounded_maps
from polytope.ir.forward import U
from polytope.ir.maps import FloatArray, IntArray, LinearMap
from polytope.regions.region_rows import LARGEST, POOR, rounded

LEAST = 2.0**-400  # gradients that are shorter are asked for exactly


@dataclass(frozen=True, eq=False)
class MarginRows:
    """The margins on a region that are not constant there, as rows ``A x + c`` of unit length.

    Arguments:
        number: ``[k]``, which margins.
        A, c: ``[k, d]`` and ``[k]``: positive multiples of what they are exactly, rounded.
        tilt, shift: ``[k]``, bounds on the lengths of the errors of the rows of A, and on the errors of c.
    """

    number: IntArray
    A: FloatArray
    c: FloatArray
    tilt: FloatArray
    shift: FloatArray

    def at(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The rows' values at a point, and bounds on the errors of these, ``[k]``."""
        length, terms = float(np.linalg.norm(x)), len(x) + 4
        error = (self.tilt + terms * U) * length + self.shift + terms * U * np.abs(self.c)
        return self.A @ x + self.c, error * (1 + 2.0**-20)


def margin_network(network: Network, label: int) -> Network:
    """What the output of a class leads the others by; of one output itself, or for label 0 its negative."""
    n = network.output_dim
    if n == 1:
        return network.then(_rows(Dense(np.full((1, 1), 2.0 * label - 1))))
    k = np.arange(n - 1)
    places = np.tile(k, 2), np.concatenate([np.full(n - 1, label), k + (k >= label)])
    return network.then(_rows(of_matrix(csr_array((np.repeat([1.0, -1.0], n - 1), places), (n - 1, n)))))


def _rows(linear: LinearMap) -> Network:
    """A linear map as a network."""
    m, n = linear.shape
    return Network((n,), (Layer((0,), (linear,), np.zeros(m)),))


def class_of(network: Network, x: FloatArray) -> tuple[int, bool]:
    """The class of a point, and whether another one does as well: by exact values where floats cannot tell.

    It is the largest output; of one output, 1 where it is positive.
    """
    values = network(x[None])[0]
    if len(values) == 1:
        sign = int(signs_at(network, x)[0])
        return int(sign > 0), sign == 0
    label = int(values.argmax())
    signs = signs_at(margin_network(network, label), x)
    while (signs < 0).any():  # rounding hid a larger one
        j = int(np.flatnonzero(signs < 0)[0])
        label = j + (j >= label)
        signs = signs_at(margin_network(network, label), x)
    return label, bool((signs == 0).any())


def margin_rows(margins: Network, exact: ExactNetwork, pattern: PatternArray, x: FloatArray) -> MarginRows:
    """The rows of all margins on a region that are not constant there.

    Arguments:
        margins, exact: the network of margins.
        pattern: the region's.
        x: where they will be asked about: what size of constants matters there.
    """
    found = bounded_maps(margins, pattern[None])
    J, c, J_error, shift = found.J[0], found.c[0], found.J_error[0], found.c_error[0]
    with np.errstate(all="ignore"):
        length, tilt = np.linalg.norm(J, axis=1), np.linalg.norm(J_error, axis=1)
        known = (tilt <= POOR * length) & (length > LEAST) & (length < LARGEST) & (np.abs(c) < LARGEST)
        known &= shift <= POOR * np.maximum(np.abs(c), length * float(np.linalg.norm(x)))
        scale = np.where(known, 1 / length, 0.0)
        A, c, tilt, shift = J * scale[:, None], c * scale, tilt * scale, shift * scale
    tilt, shift = tilt * (1 + 2.0**-20) + 8 * U, shift * (1 + 2.0**-20) + 8 * U * np.abs(c)
    real = known | (np.abs(J).max(axis=1) > 0) | (J_error.max(axis=1) > 0)
    for j in np.flatnonzero(~known & real).tolist():
        row = exact_margin(exact, pattern, j)
        real[j] = any(row[:-1])
        if real[j]:
            *A[j], c[j] = rounded(row)
            tilt[j], shift[j] = 8 * U, 8 * U * abs(c[j]) if abs(c[j]) < LARGEST else np.inf
    kept = np.flatnonzero(real)
    return MarginRows(kept, A[kept], c[kept], tilt[kept], shift[kept])


def exact_margin(exact: ExactNetwork, pattern: PatternArray, j: int) -> Row:
    """``d + 1`` integers, a positive multiple of margin j on a region."""
    weights = np.zeros(exact.network.output_dim)
    weights[j] = 1.0
    row: list[int] = exact.output(weights.tolist(), pattern).integers.tolist()
    return row

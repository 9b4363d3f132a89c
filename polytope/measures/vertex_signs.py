"""The sign of a network's output at the vertices of its cells: by proved bounds, or exactly."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from polytope.errors import GeometryError
from polytope.exact.dyadic import Dyadic
from polytope.exact.network import ExactNetwork
from polytope.ir.bounded import UNIT, bounded_maps
from polytope.ir.maps import FloatArray, IntArray
from polytope.regions.exact_vertices import ExactVertices
from polytope.regions.faces import APART

UNDERFLOW = 2.0**-1060  # more than what the products of a row and a point can lose


def vertex_signs(exact: ExactVertices, label: IntArray, weights: FloatArray, level: float) -> IntArray:
    """The sign of ``weights @ f - level`` at all points that are vertices, ``int[V]``: -1, 0 or 1.

    Arguments:
        exact: cells with their vertices.
        label: ``int``, for each vertex of each cell the number of its point.
        weights: ``[out]``, a combination of outputs.
        level: subtracted from it.

    Raises:
        GeometryError: the error bound of a vertex leaves open which of several points it is, and they differ.
    """
    value, error = _values(exact, weights, level)
    first = np.zeros(int(label.max(initial=-1)) + 1, dtype=np.int64)
    first[label[::-1]] = np.arange(len(label))[::-1]
    signs = np.full(len(first), 2)
    for sign, seen in ((1, value > error), (-1, value < -error), (0, (value == 0) & (error == 0))):
        signs[label[seen]] = sign
    rows = _Rows(exact, weights, level)
    for k in np.flatnonzero(signs == 2).tolist():
        signs[k] = rows.sign_at(int(first[k]))
    return signs


def _values(exact: ExactVertices, weights: FloatArray, level: float) -> tuple[FloatArray, FloatArray]:
    """The values at the vertices of all cells, and bounds on how far they are off."""
    found = exact.found
    maps = bounded_maps(exact.network, found.patterns)
    size = np.abs(weights)
    count = UNIT * (len(weights) + found.vertices.points.shape[1] + 8)
    cell = np.repeat(np.arange(found.n_regions), np.diff(found.vertices.offsets))
    J, c = (np.einsum("o,ro...->r...", weights, part)[cell] for part in (maps.J, maps.c))
    J_size, c_size = (np.einsum("o,ro...->r...", size, np.abs(part))[cell] for part in (maps.J, maps.c))
    J_error, c_error = (np.einsum("o,ro...->r...", size, part)[cell] for part in (maps.J_error, maps.c_error))
    x, off = np.abs(found.vertices.points), found.vertices.errors
    value = (J * found.vertices.points).sum(axis=1) + c - level
    with np.errstate(invalid="ignore"):
        error = (J_error * (x + off) + J_size * off).sum(axis=1) + c_error
        error += count * ((J_size * x).sum(axis=1) + c_size + abs(level))
    error[J_size.any(axis=1)] += UNDERFLOW
    return value, np.where(np.isnan(error), np.inf, error)


class _Rows:
    """Signs in exact arithmetic; the affine function of a cell is computed once."""

    def __init__(self, exact: ExactVertices, weights: FloatArray, level: float) -> None:
        self.exact, self.weights, self.level = exact, weights, Fraction(level)
        self.network = ExactNetwork(exact.network)
        self._known: dict[int, Dyadic] = {}

    def sign_at(self, vertex: int) -> int:
        """The sign at a vertex of a cell, by its place among all."""
        cell = self.exact.cell_of(vertex)
        if cell not in self._known:
            self._known[cell] = self.network.output(self.weights.tolist(), self.exact.found.patterns[cell])
        row = self._known[cell]
        *slope, constant = row.integers.tolist()
        above = constant - self.level * (1 << row.exponent)
        if not any(slope):
            return _sign(above)
        signs = {
            _sign(sum(map(Fraction.__mul__, map(Fraction, slope), x), above))
            for x in self.exact.points(vertex)
        }
        if len(signs) > 1:
            raise GeometryError(APART)
        return signs.pop()


def _sign(value: Fraction) -> int:
    return (value > 0) - (value < 0)

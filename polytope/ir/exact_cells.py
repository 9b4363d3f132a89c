r"""Every row of a cell in integers, by one exact affine map :math:`x \mapsto z_l` for each layer.

The rows of a pattern are those of the domain and, for each unit, those of its piece. Layers are mapped
forward once for each pattern of the layers in front.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import gcd
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from polytope.ir.activations import PatternArray
from polytope.ir.dyadic import Dyadic, IntegerVector, dyadic
from polytope.ir.maps import Composition, FloatArray, LinearMap, Transposed
from polytope.ir.network import Network

CACHE = 4000  # maps of layers that are kept
DENSE = 0.25  # share of entries from which a matrix is multiplied as a dense one


class ExactRow(NamedTuple):
    """``row[:d] . x + row[d] <= 0`` in integers without a common factor.

    Arguments:
        owner: place of the unit in a pattern, or -(row + 1) for a row of the domain.
        strict: whether the row excludes zero.
        row: d coefficients and the constant.
    """

    owner: int
    strict: bool
    row: tuple[int, ...]


class _LayerMap:
    """The pre-activations of a layer as functions of x on a cell, and the rows of pieces computed so far."""

    def __init__(self, z: Dyadic) -> None:
        self.z = z
        self.rows: dict[tuple[int, int], list[ExactRow]] = {}


class ExactCells:
    """The exact rows of any cell of a network in a domain ``A x <= b``."""

    def __init__(self, network: Network, A: FloatArray, b: FloatArray) -> None:
        self.network = network
        self.bending = [n for n, layer in enumerate(network.layers, start=1) if layer.activation]
        both = np.concatenate([A, -b[:, None]], axis=1)
        self._n_pieces = [
            layer.activation.n_pieces(unit)
            for layer in network.layers
            if layer.activation
            for unit in range(layer.width)
        ]
        self.domain = [ExactRow(-k - 1, False, primitive(dyadic(row).integers)) for k, row in enumerate(both)]
        self._layers: dict[tuple[int, bytes], _LayerMap] = {}
        self._values: dict[tuple[int, bytes], Dyadic] = {}
        self._matrices: dict[int, tuple[csr_array, Dyadic, IntegerVector | None]] = {}
        self._pieces: dict[tuple[int, int, int], list[tuple[int, int, int, int, int, bool]]] = {}

    def has_pieces(self, pattern: PatternArray) -> bool:
        """Whether every unit has the piece that a pattern names."""
        return all(0 <= p < n for p, n in zip(pattern.tolist(), self._n_pieces, strict=True))

    def rows(self, pattern: PatternArray) -> list[ExactRow]:
        """All rows of the cell of a pattern: the domain's, then those of each unit's piece."""
        out = list(self.domain)
        for number in self.bending:
            out += self._layer_rows(number, pattern)
        return out

    def preactivations(self, number: int, pattern: PatternArray) -> Dyadic:
        """``[n, d + 1]``: z of a layer as affine functions of x; only earlier layers' pieces are read."""
        return self._layer(number, pattern).z

    def _layer_rows(self, number: int, pattern: PatternArray) -> Iterator[ExactRow]:
        layer, offset = self._layer(number, pattern), self.network.unit_offsets[number - 1]
        for unit, piece in enumerate(self.network.layer_pattern(number, pattern).tolist()):
            if (unit, piece) not in layer.rows:
                layer.rows[unit, piece] = self._piece_rows(number, unit, piece, offset, layer.z)
            yield from layer.rows[unit, piece]

    def _piece_rows(self, number: int, unit: int, piece: int, offset: int, z: Dyadic) -> list[ExactRow]:
        rows = []
        for i, j, u, v, g, strict in self._piece(number, unit, piece):
            row = z.integers[i] * u if v == 0 else z.integers[i] * u + z.integers[j] * v
            row = row.tolist()
            row[-1] -= g << z.exponent
            rows.append(ExactRow(offset + unit, strict, primitive(row)))
        return rows

    def _piece(self, number: int, unit: int, piece: int) -> list[tuple[int, int, int, int, int, bool]]:
        """The rows of a piece in integers: members, coefficients, offset, strictness."""
        key = number, unit, piece
        if key not in self._pieces:
            activation = self.network.layers[number - 1].activation
            assert activation is not None, "only layers that bend have pieces"
            cell = activation.cell(unit, piece)
            rows = []
            for (i, j), uv, g, strict in zip(
                cell.index.tolist(), cell.coefficients, cell.offset, cell.strict.tolist(), strict=True
            ):
                u, v, c = dyadic(np.append(uv, g)).integers.tolist()
                rows.append((i, j, u, v, c, strict))
            self._pieces[key] = rows  # whole: threads share it
        return self._pieces[key]

    def _layer(self, number: int, pattern: PatternArray) -> _LayerMap:
        key = number, pattern[: self.network.unit_offsets[number - 1]].tobytes()
        known = self._layers.get(key)
        if known is None:
            if len(self._layers) >= CACHE:
                self._layers.clear()
            layer = self.network.layers[number - 1]
            d = self.network.input_dim
            constants = np.concatenate([np.zeros((len(layer.bias), d)), layer.bias[:, None]], axis=1)
            z = dyadic(constants)
            for k, linear in zip(layer.inputs, layer.maps, strict=True):
                z = _add(z, self._apply(linear, self._value(k, pattern)))
            self._layers[key] = known = _LayerMap(z)
        return known

    def _value(self, number: int, pattern: PatternArray) -> Dyadic:
        """``[width, d + 1]``: the outputs of a layer (0 is the input) as functions of x."""
        if number == 0:
            return dyadic(np.eye(self.network.input_dim, self.network.input_dim + 1))
        key = number, pattern[: self.network.unit_offsets[number]].tobytes()
        known = self._values.get(key)
        if known is None:
            if len(self._values) >= CACHE:
                self._values.clear()
            z, layer = self.preactivations(number, pattern), self.network.layers[number - 1]
            if layer.activation is not None:
                pieces = layer.activation.affine(self.network.layer_pattern(number, pattern))
                slope, intercept = dyadic(pieces.slope), dyadic(pieces.intercept)
                bent = z.integers[pieces.source] * slope.integers[:, None]
                power = z.exponent + slope.exponent
                constant = bent * 0
                constant[:, -1] = intercept.integers
                z = _add(Dyadic(bent, power), Dyadic(constant, intercept.exponent))
            self._values[key] = known = z
        return known

    def _apply(self, linear: LinearMap, h: Dyadic) -> Dyadic:
        if isinstance(linear, Transposed) and isinstance(linear.of, Composition):
            linear = Composition(Transposed(linear.of.inner), Transposed(linear.of.outer))
        if isinstance(linear, Composition):
            return self._apply(linear.outer, self._apply(linear.inner, h))
        matrix, entries, dense = self._matrix(linear)
        alive = (h.integers != 0).any(axis=1)
        if dense is not None:
            out = dense[:, alive] @ h.integers[alive]
            if not alive.any():
                out = np.zeros((linear.shape[0], h.integers.shape[1]), dtype=object)
        else:
            out = np.full((linear.shape[0], h.integers.shape[1]), 0, dtype=object)
            used = alive[matrix.indices]
            rows = np.repeat(np.arange(linear.shape[0]), np.diff(matrix.indptr))[used]
            np.add.at(out, rows, entries.integers[used, None] * h.integers[matrix.indices[used]])
        return Dyadic(out, h.exponent + entries.exponent)

    def _matrix(self, linear: LinearMap) -> tuple[csr_array, Dyadic, IntegerVector | None]:
        if id(linear) not in self._matrices:
            matrix = linear.to_sparse()
            matrix.sum_duplicates()
            entries = dyadic(np.asarray(matrix.data, dtype=float))
            dense: NDArray[np.object_] | None = None
            if matrix.nnz > DENSE * matrix.shape[0] * matrix.shape[1]:
                dense = np.full(matrix.shape, 0, dtype=object)
                rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
                dense[rows, matrix.indices] = entries.integers
            self._matrices[id(linear)] = matrix, entries, dense
        return self._matrices[id(linear)]


def strictly_inside(rows: list[ExactRow], point: FloatArray) -> bool:
    """Whether a float64 point, read as rationals, satisfies every row strictly, or a zero row that may be."""
    x = dyadic(point)
    at = [*x.integers.tolist(), 1 << x.exponent]
    for row in rows:
        value = sum(map(int.__mul__, row.row, at))
        if value > 0 or (value == 0 and (row.strict or any(row.row))):
            return False
    return True


def primitive(row: IntegerVector | list[int]) -> tuple[int, ...]:
    """A row divided by the greatest common divisor of its numbers: equal for positive multiples."""
    numbers = row if isinstance(row, list) else row.tolist()
    divisor = gcd(*numbers)
    return tuple(c // divisor for c in numbers) if divisor > 1 else tuple(numbers)


def _add(a: Dyadic, b: Dyadic) -> Dyadic:
    exponent = max(a.exponent, b.exponent)
    return Dyadic(
        a.integers * (1 << (exponent - a.exponent)) + b.integers * (1 << (exponent - b.exponent)), exponent
    )

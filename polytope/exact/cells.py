r"""Every row of a cell in integers: those of the domain, and for each unit those of its piece."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

import numpy as np

from polytope.exact.dyadic import Dyadic, dyadic, primitive
from polytope.exact.network import CACHE, ExactNetwork
from polytope.ir.activations import PatternArray
from polytope.ir.maps import FloatArray
from polytope.ir.matrix import Matrix, dense
from polytope.ir.network import Network


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


_Piece = list[tuple[int, int, int, int, int, bool]]  # rows of a piece: members, coefficients, offset, strict


class ExactCells:
    """The exact rows of any cell of a network in a domain ``A x <= b``."""

    def __init__(self, network: Network, A: Matrix, b: FloatArray) -> None:
        self.network, self.exact = network, ExactNetwork(network)
        self.hidden = [n for n, layer in enumerate(network.layers, start=1) if layer.activation]
        self._faces = A, b
        self._n_pieces = [
            layer.activation.n_pieces(unit)
            for layer in network.layers
            if layer.activation
            for unit in range(layer.width)
        ]
        self._rows: dict[tuple[int, bytes], dict[tuple[int, int], list[ExactRow]]] = {}
        self._pieces: dict[tuple[int, int, int], _Piece] = {}

    @cached_property
    def domain(self) -> list[ExactRow]:
        """The rows of the domain."""
        both = np.concatenate([dense(self._faces[0]), -self._faces[1][:, None]], axis=1)
        return [ExactRow(-k - 1, False, primitive(dyadic(row).integers)) for k, row in enumerate(both)]

    def has_pieces(self, pattern: PatternArray) -> bool:
        """Whether every unit has the piece that a pattern names."""
        return all(0 <= p < n for p, n in zip(pattern.tolist(), self._n_pieces, strict=True))

    def rows(self, pattern: PatternArray) -> list[ExactRow]:
        """All rows of the cell of a pattern: the domain's, then those of each unit's piece."""
        out = list(self.domain)
        for number in self.hidden:
            out += self._layer_rows(number, pattern)
        return out

    def preactivations(self, number: int, pattern: PatternArray) -> Dyadic:
        """``[n, d + 1]``: z of a layer as affine functions of x; only earlier layers' pieces are read."""
        return self.exact.preactivations(number, pattern)

    def _layer_rows(self, number: int, pattern: PatternArray) -> Iterator[ExactRow]:
        offset = self.network.unit_offsets[number - 1]
        key = number, pattern[:offset].tobytes()
        if len(self._rows) >= CACHE:
            self._rows.clear()
        known, z = self._rows.setdefault(key, {}), self.preactivations(number, pattern)
        for unit, piece in enumerate(self.network.layer_pattern(number, pattern).tolist()):
            if (unit, piece) not in known:
                known[unit, piece] = self._piece_rows(number, unit, piece, offset, z)
            yield from known[unit, piece]

    def _piece_rows(self, number: int, unit: int, piece: int, offset: int, z: Dyadic) -> list[ExactRow]:
        rows = []
        for i, j, u, v, g, strict in self._piece(number, unit, piece):
            row = z.integers[i] * u if v == 0 else z.integers[i] * u + z.integers[j] * v
            row = row.tolist()
            row[-1] -= g << z.exponent
            rows.append(ExactRow(offset + unit, strict, primitive(row)))
        return rows

    def _piece(self, number: int, unit: int, piece: int) -> _Piece:
        key = number, unit, piece
        if key not in self._pieces:
            activation = self.network.layers[number - 1].activation
            assert activation is not None, "only layers with an activation have pieces"
            cell = activation.cell(unit, piece)
            rows = []
            for (i, j), uv, g, strict in zip(
                cell.index.tolist(), cell.coefficients, cell.offset, cell.strict.tolist(), strict=True
            ):
                u, v, c = dyadic(np.append(uv, g)).integers.tolist()
                rows.append((i, j, u, v, c, strict))
            self._pieces[key] = rows  # whole: threads share it
        return self._pieces[key]


def strictly_inside(rows: list[ExactRow], point: FloatArray) -> bool:
    """Whether a float64 point, read as rationals, satisfies every row strictly, or a zero row that may be."""
    x = dyadic(point)
    at = [*x.integers.tolist(), 1 << x.exponent]
    for row in rows:
        value = sum(map(int.__mul__, row.row, at))
        if value > 0 or (value == 0 and (row.strict or any(row.row))):
            return False
    return True

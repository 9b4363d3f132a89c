"""Rows of cells in exact arithmetic, from where they came: a boundary of a layer, or a row of the domain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from polytope.exact.dyadic import IntegerVector, dyadic
from polytope.exact.network import ExactNetwork
from polytope.ir.activations import PatternArray
from polytope.ir.boundaries import LayerBoundaries
from polytope.ir.maps import FloatArray
from polytope.ir.matrix import Matrix, dense_rows
from polytope.ir.network import Network


@dataclass(frozen=True, eq=False)
class Cut:
    """Where a row comes from: ``sign`` times a boundary of a layer, or a row of the domain (layer 0)."""

    number: int
    boundary: int
    sign: float


class ExactRows:
    """Exact integer rows by origin and pattern, remembered while they are in use."""

    def __init__(
        self,
        network: Network,
        A: Matrix,
        b: FloatArray,
        boundaries: Sequence[LayerBoundaries],
    ) -> None:
        self.exact = ExactNetwork(network)
        self._domain = A, b
        self._boundaries = boundaries
        self._faces: dict[int, IntegerVector] = {}
        self._known: dict[tuple[int, int, float, bytes], IntegerVector] = {}

    def __call__(self, origin: Cut, pattern: PatternArray) -> IntegerVector:
        """``d + 1`` integers, a positive multiple of the row."""
        if origin.number == 0:
            if origin.boundary not in self._faces:
                A, b = self._domain
                row = np.append(dense_rows(A, np.array([origin.boundary]))[0], -b[origin.boundary])
                self._faces[origin.boundary] = dyadic(row).integers
            return self._faces[origin.boundary]
        before = self.exact.network.unit_offsets[origin.number - 1]
        key = (origin.number, origin.boundary, origin.sign, pattern[:before].tobytes())
        if key not in self._known:
            if len(self._known) > 20_000:
                self._known.clear()
            table = self._boundaries[origin.number - 1]
            k = origin.boundary
            self._known[key] = self.exact.row(
                origin.number,
                table.index[k].tolist(),
                (origin.sign * table.coefficients[k]).tolist(),
                origin.sign * float(table.offset[k]),
                pattern,
            )
        return self._known[key]

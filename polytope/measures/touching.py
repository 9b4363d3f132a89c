"""Whether a closed cell holds a point where conditions are met: rational linear programs."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from polytope.exact.network import ExactNetwork
from polytope.exact.program import maximise
from polytope.exact.rows import ExactRows
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Network
from polytope.ir.activations import PatternArray
from polytope.ir.boundaries import boundaries
from polytope.ir.maps import FloatArray, IntArray
from polytope.regions.region_rows import region_rows


class Touching:
    """Exact answers about the cells of a network whose outputs are conditions, met where at most 0.

    Arguments:
        conditions: its last layer bends nothing.
        domain: what the cells are part of.
    """

    def __init__(self, conditions: Network, domain: Polyhedron) -> None:
        self._network, self._domain = conditions, domain
        self._tables = boundaries(conditions)
        self._rows = ExactRows(conditions, domain.A, domain.b, self._tables)
        self._exact = ExactNetwork(conditions)

    def point(
        self, pattern: PatternArray, conditions: IntArray, strict: NDArray[np.bool_]
    ) -> FloatArray | Literal["none", "unknown"]:
        """A point of a closed cell where the conditions are met, rounded to float64; or that there is none.

        Unknown is a point at which a strict condition is 0.
        """
        described = region_rows(self._network, self._domain, self._tables, pattern)
        rows = [self._rows(cut, pattern).tolist() for cut in described.cuts]
        last = len(self._network.layers)
        values = [self._exact.row(last, [i], [1.0], 0.0, pattern).tolist() for i in conditions.tolist()]
        best = maximise([*rows, *values[1:]], [-v for v in values[0]])
        if best is None or (best.value is not None and best.value < 0):
            return "none"
        at = [row[-1] + sum(a * x for a, x in zip(row, best.point, strict=False)) for row in values]
        if any(value >= 0 for value, above in zip(at, strict.tolist(), strict=True) if above):
            return "unknown"
        return np.array([float(x) for x in best.point])

"""Whether a closed cell holds a point where conditions are met: rational linear programs."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from polytope.exact.cells import ExactCells
from polytope.exact.program import maximise
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Network
from polytope.ir.activations import PatternArray
from polytope.ir.maps import IntArray


class Touching:
    """Exact answers about the cells of a network whose outputs are conditions, met where at most 0.

    Arguments:
        conditions: its last layer is affine.
        domain: what the cells are part of.
    """

    def __init__(self, conditions: Network, domain: Polyhedron) -> None:
        self._cells = ExactCells(conditions, domain.rows, domain.b)

    def point(
        self, pattern: PatternArray, conditions: IntArray, strict: NDArray[np.bool_]
    ) -> tuple[Fraction, ...] | None:
        """A point of a closed cell where the conditions are met, below 0 if strict; ``None`` if none is.

        The least slack of all conditions is made as large as can be: where it is negative no point meets
        them, where it is positive one does. Where it is 0, that of the strict conditions alone decides.
        """
        rows = [[*row.row[:-1], 0, row.row[-1]] for row in self._cells.rows(pattern)]
        functions = self._cells.exact.outputs(pattern).integers[conditions].tolist()
        slack = [0] * (len(functions[0]) - 1) + [1, 0]
        deep = [[*f[:-1], 1, f[-1]] for f in functions]
        best = maximise([*rows, *deep], slack)
        if best is None or (best.value is not None and best.value < 0):
            return None
        if strict.any() and best.value == 0:
            some = [[*f[:-1], int(above), f[-1]] for f, above in zip(functions, strict.tolist(), strict=True)]
            best = maximise([*rows, *some], slack)
            if best is None or (best.value is not None and best.value <= 0):
                return None
        return best.point[:-1]

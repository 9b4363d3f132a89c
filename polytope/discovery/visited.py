"""The regions that rows visit: their affine maps and rows in exact arithmetic, and suprema on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import lcm

import numpy as np
from numpy.typing import NDArray

from polytope.exact.dyadic import dyadic
from polytope.exact.program import maximise
from polytope.exact.rows import Cut, ExactRows
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Network
from polytope.ir.activations import PatternArray
from polytope.ir.boundaries import boundaries
from polytope.ir.maps import FloatArray, IntArray
from polytope.labelled import nearest

Affine = tuple[Fraction, ...]  # d slopes, and the constant


@dataclass(frozen=True, eq=False)
class Visited:
    """The regions of a network that rows visit, as its evaluation in float64 says.

    Arguments:
        network: one output.
        domain: a bounded polyhedron.
        X: ``[n, d]``, the rows.
        patterns: ``int8[regions, units]``.
        region: ``int[n]``, the region of each row.
    """

    network: Network
    domain: Polyhedron
    X: FloatArray
    patterns: PatternArray
    region: IntArray

    @classmethod
    def of(cls, network: Network, X: FloatArray, domain: Polyhedron) -> Visited:
        """The regions of the rows of a table."""
        patterns, region = np.unique(network.pattern(X), axis=0, return_inverse=True)
        return cls(network, domain, X, patterns, region.reshape(-1))

    @cached_property
    def maps(self) -> list[Affine]:
        """The network's affine map on each region, **exact**."""
        exact = self._rows.exact
        out = []
        for pattern in self.patterns:
            found = exact.outputs(pattern)
            out.append(tuple(Fraction(v, 1 << found.exponent) for v in found.integers[0].tolist()))
        return out

    @cached_property
    def slopes(self) -> FloatArray:
        """``[regions, d]``, the slopes rounded once."""
        return np.array([[nearest(v)[0] for v in found[:-1]] for found in self.maps])

    @cached_property
    def _rows(self) -> ExactRows:
        return ExactRows(self.network, self.domain.rows, self.domain.b, boundaries(self.network))

    @cached_property
    def solid(self) -> NDArray[np.bool_]:
        """``[regions]``, whether a pattern holds on a set with interior; that of breakpoints may not."""
        return np.array([self._is_solid(k) for k in range(len(self.patterns))], dtype=bool)

    @property
    def solids(self) -> list[int]:
        """The numbers of the regions with interior."""
        return np.flatnonzero(self.solid).tolist()

    def _is_solid(self, k: int) -> bool:
        """Whether a row lies strictly inside, exactly; else a rational program decides."""
        own = np.array(self._own_rows(k), dtype=object)
        if not len(own):
            return True
        for x in self.X[self.region == k]:
            point = dyadic(x)
            if (own[:, :-1] @ point.integers + (own[:, -1] << point.exponent) < 0).all():
                return True
        d = self.domain.dim
        rows = [[*row[:-1], 1, row[-1]] for row in self._region(k)]
        best = maximise([*rows, [0] * d + [1, -1]], [0] * d + [1, 0])  # a distance from all of them
        return best is not None and best.value is not None and best.value > 0

    def supremum(self, law: Affine, regions: Sequence[int]) -> Fraction | None:
        """The largest ``|network - law|`` on regions cut to the domain, **exact**; ``None`` of no region."""
        most = None
        for k in regions:
            rows = self._region(k)
            off = [v - w for v, w in zip(self.maps[k], law, strict=True)]
            scale = lcm(*(v.denominator for v in off))
            whole = [int(v * scale) for v in off]
            for sign in (1, -1):
                best = maximise(rows, [sign * v for v in whole])
                if best is None:  # only rounding led a row here
                    break
                assert best.value is not None, "the domain is bounded"
                most = max(most or Fraction(0), best.value / scale)
        return most

    def _region(self, k: int) -> list[list[int]]:
        """The rows of a region in the domain, in integers."""
        pattern, known = self.patterns[k], self._rows
        rows = [known(Cut(0, i, 1.0), pattern).tolist() for i in range(len(self.domain.b))]
        return rows + self._own_rows(k)

    def _own_rows(self, k: int) -> list[list[int]]:
        """The rows of a region's units, in integers, without those that are constant."""
        pattern, known = self.patterns[k], self._rows
        rows = []
        for table in boundaries(self.network):
            for i in table.rows_on(self.network.layer_pattern(table.number, pattern)).tolist():
                cut = Cut(table.number, int(table.row_boundary[i]), float(table.row_sign[i]))
                row = known(cut, pattern).tolist()
                if any(row[:-1]):
                    rows.append(row)
        return rows

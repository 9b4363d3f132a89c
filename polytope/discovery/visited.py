"""The regions that rows visit: their affine maps and rows in exact arithmetic, and suprema on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import lcm

import numpy as np

from polytope.exact.program import maximise
from polytope.exact.rows import Cut, ExactRows
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Network
from polytope.ir.activations import PatternArray
from polytope.ir.boundaries import boundaries
from polytope.ir.maps import FloatArray, IntArray

Affine = tuple[Fraction, ...]  # d slopes, and the constant


@dataclass(frozen=True, eq=False)
class Visited:
    """The regions of a network that rows visit, as its evaluation in float64 says.

    Arguments:
        network: one output.
        domain: a bounded polyhedron.
        patterns: ``int8[regions, units]``.
        region: ``int[n]``, the region of each row.
    """

    network: Network
    domain: Polyhedron
    patterns: PatternArray
    region: IntArray

    @classmethod
    def of(cls, network: Network, X: FloatArray, domain: Polyhedron) -> Visited:
        """The regions of the rows of a table."""
        patterns, region = np.unique(network.pattern(X), axis=0, return_inverse=True)
        return cls(network, domain, patterns, region.reshape(-1))

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
        return np.array([[float(v) for v in found[:-1]] for found in self.maps])

    @cached_property
    def _rows(self) -> ExactRows:
        return ExactRows(self.network, self.domain.rows, self.domain.b, boundaries(self.network))

    def supremum(self, law: Affine, regions: Sequence[int]) -> Fraction:
        """The largest ``|network - law|`` on regions cut to the domain, **exact**; 0 of no region."""
        most = Fraction(0)
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
                most = max(most, best.value / scale)
        return most

    def _region(self, k: int) -> list[list[int]]:
        """The rows of a region in the domain, in integers."""
        pattern, known = self.patterns[k], self._rows
        rows = [known(Cut(0, i, 1.0), pattern).tolist() for i in range(len(self.domain.b))]
        for table in boundaries(self.network):
            for i in table.rows_on(self.network.layer_pattern(table.number, pattern)).tolist():
                cut = Cut(table.number, int(table.row_boundary[i]), float(table.row_sign[i]))
                row = known(cut, pattern).tolist()
                if any(row[:-1]):
                    rows.append(row)
        return rows

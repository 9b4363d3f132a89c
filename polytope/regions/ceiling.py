r"""Certified bounds on how many regions an unexplored cell can hold.

A layer with m boundary hyperplanes cuts a cell of dimension d into at most
:math:`\sum_{i \le d} \binom{m}{i}` parts (Zaslavsky 1975), on every part the next layer does the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb, prod

from polytope.regions.boundaries import LayerBoundaries


def arrangement_bound(hyperplanes: int, dim: int) -> int:
    """The most cells that so many hyperplanes can make in R^dim."""
    return sum(comb(hyperplanes, i) for i in range(min(hyperplanes, dim) + 1))


def layers_bound(tables: Sequence[LayerBoundaries], first: int, dim: int) -> int:
    """The most regions inside one cell that the layers from number ``first`` on can make."""
    sizes = [len(table.unit) for table in tables[first - 1 :]]
    return prod(arrangement_bound(m, dim) for m in sizes)

"""What a search found, as arrays: patterns, points, facets, vertices, and what it left open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from polytope.core.open_cells import Path
from polytope.core.packed import PackedPatterns
from polytope.ir.activations import PatternArray
from polytope.ir.maps import FloatArray, IntArray

Keep = Literal["count", "cells", "vertices"]
"""What a search is to keep: nothing; patterns, points and facets as far as it has them; vertices too."""

ROOT: tuple[Path, ...] = ((),)  # where a search starts that goes on with nothing


@dataclass(frozen=True, eq=False)
class Facets:
    """Irredundant facets of all regions, in the order of the regions.

    Arguments:
        offsets: ``int[R + 1]``; region i has the facets ``offsets[i] .. offsets[i + 1] - 1``.
        unit: ``int[F]``, a unit whose boundary carries the facet, or ``-(row + 1)`` for a row of the domain.
        points: ``[F, d]``, a point in the relative interior of each facet, where known.
        origin: ``int[F]``, which of all rows (see ``RegionRows``) each lies on, where known.
        behind: ``int[F]``, the region behind each facet, -1 where none was found, where known.
        key: ``uint64[F]``, equal on the two sides of a facet, 0 on the domain's boundary, where known.
    """

    offsets: IntArray
    unit: NDArray[np.signedinteger]
    points: FloatArray | None = None
    origin: IntArray | None = None
    behind: IntArray | None = None
    key: NDArray[np.uint64] | None = None


@dataclass(frozen=True, eq=False)
class SearchResult:
    """What every engine returns.

    Arguments:
        engine: what found it, as reports call it.
        n_regions: regions found, each once.
        open_bound: certified bound on the regions not found; 0 where the search is complete.
        kept_patterns: the patterns, as they were found: eight units to a byte, where all have two pieces.
        interior_points: ``[R, d]``, strictly inside; empty where only a count was asked.
        candidates: per region, units (or ``-(row + 1)``) that include all carriers of its facets, if known.
        facets: exact facets, where the engine has them anyway.
        neighbours: ``int[E, 2]``, the pairs of regions that share a facet, where the engine knows them.
        statistics: how many signs each test decided, programs solved, seconds in the solver.
        open_cells, open_bounds: branches of the search that are still to do, where the engine names them, and
            the most regions in each.
    """

    engine: str
    n_regions: int
    open_bound: int
    kept_patterns: PatternArray | PackedPatterns
    interior_points: FloatArray
    candidates: Sequence[IntArray] | None = None
    facets: Facets | None = None
    neighbours: IntArray | None = None
    statistics: Mapping[str, float] = field(default_factory=dict)
    open_cells: tuple[Path, ...] = ()
    open_bounds: tuple[int, ...] = ()

    @cached_property
    def patterns(self) -> PatternArray:
        """``int8[R, units]``, one region each."""
        kept = self.kept_patterns
        return kept.unpacked() if isinstance(kept, PackedPatterns) else kept

    @property
    def complete(self) -> bool:
        """Whether nothing can be missing."""
        return self.open_bound == 0

    @property
    def upper(self) -> int:
        """Certified bound on the number of regions in the domain."""
        return self.n_regions + self.open_bound


def added(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    """The statistics of two parts of a search together: the least of what is smallest, else sums."""
    least = {name: min(one[name], other[name]) for name in one.keys() & other if name.startswith("smallest")}
    sums = {name: one.get(name, 0) + other.get(name, 0) for name in one.keys() | other}
    return dict(sorted((sums | least).items()))

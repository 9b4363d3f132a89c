"""What a complex is made of, wherever it is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from polytope.core.open_cells import Path
from polytope.core.packed import PackedPatterns
from polytope.core.result import Facets, SearchResult
from polytope.ir.activations import PatternArray
from polytope.ir.maps import FloatArray, IntArray


class Found(Protocol):
    """What a complex is made of: a ``SearchResult`` in memory, or one in a directory."""

    @property
    def engine(self) -> str:
        """What found the regions."""

    @property
    def n_regions(self) -> int:
        """Regions found."""

    @property
    def upper(self) -> int:
        """Certified bound on the number of regions in the domain."""

    @property
    def patterns(self) -> PatternArray:
        """``int8[R, units]``, one region each."""

    @property
    def kept_patterns(self) -> PatternArray | PackedPatterns:
        """The same as they are kept, perhaps eight units to a byte."""

    @property
    def interior_points(self) -> FloatArray:
        """``[R, d]``, strictly inside."""

    @property
    def candidates(self) -> Sequence[IntArray] | None:
        """Per region the units and domain rows that can carry its facets, where known."""

    @property
    def facets(self) -> Facets | None:
        """Facets, where the search found them."""

    @property
    def neighbours(self) -> IntArray | None:
        """``int[E, 2]``, pairs of regions that share a facet, where the search knew them."""

    @property
    def open_cells(self) -> tuple[Path, ...]:
        """Branches of the search that are still to do."""

    @property
    def open_bounds(self) -> tuple[int, ...]:
        """The most regions in each of them."""

    @property
    def statistics(self) -> Mapping[str, float]:
        """How many signs each test decided."""


def in_memory(found: Found) -> SearchResult:
    """The same with everything read."""
    if isinstance(found, SearchResult):
        return found
    return SearchResult(
        engine=found.engine,
        n_regions=found.n_regions,
        open_bound=found.upper - found.n_regions,
        kept_patterns=found.patterns,
        interior_points=found.interior_points,
        candidates=found.candidates,
        facets=found.facets,
        neighbours=found.neighbours,
        statistics=found.statistics,
        open_cells=found.open_cells,
        open_bounds=found.open_bounds,
    )

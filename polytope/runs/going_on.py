"""A search in memory that a budget stopped, taken further from the cells that it left open."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polytope.core.packed import PackedPatterns
from polytope.core.result import Facets, SearchResult, added
from polytope.core.vertex_cells import neighbours_by_key
from polytope.engines.budget import Budget, Progress
from polytope.engines.engine import Divisible
from polytope.engines.layer_split import LayerSplit
from polytope.engines.named import EngineLike, as_engine
from polytope.engines.searching import searched
from polytope.ir.activations import PatternArray
from polytope.ir.maps import IntArray
from polytope.regions.complex import RegionComplex
from polytope.regions.found import Found
from polytope.runs.enumerate import enumerate_regions


def gone_on(
    complex: RegionComplex,
    engine: EngineLike | None = None,
    *,
    max_regions: int | None = None,
    max_seconds: float | None = None,
    max_memory: int | None = None,
    progress: Progress | None = None,
) -> RegionComplex:
    """What was found, and what its open cells hold; anew, where it names none, or another engine is wanted.

    Arguments:
        complex: found in memory, not complete.
        engine, max_seconds, max_memory, progress: as for ``enumerate_regions``.
        max_regions: of all, those that were found among them.
    """
    network, domain, before = complex.network, complex.domain, complex.found
    chosen = as_engine(engine)
    if isinstance(chosen, LayerSplit):
        chosen = chosen.choose(network, domain)
    if not before.open_cells or not isinstance(chosen, Divisible) or chosen.name != before.engine:
        return enumerate_regions(
            network,
            domain,
            engine,
            max_regions=max_regions,
            max_seconds=max_seconds,
            max_memory=max_memory,
            progress=progress,
        )
    more = None if max_regions is None else max(max_regions - len(complex), 1)
    budget = Budget(more, max_seconds, max_memory)

    def tell(found: int, opened: int) -> None:
        if progress is not None:
            progress(len(complex) + found, opened)

    found = searched(
        chosen, network, domain, start=before.open_cells, budget=budget, keep="cells", progress=tell
    )
    both = joined(before, found)
    why = None if both.complete else budget.reason(found.n_regions)
    return RegionComplex(network, domain, both, complex.seconds + budget.seconds, why)


def joined(before: Found, after: SearchResult) -> SearchResult:
    """What two parts of one search found, the second from all cells that the first left open."""
    facets, n = _facets(before.facets, after.facets), before.n_regions + after.n_regions
    left = min(after.open_bound, before.upper - n)  # bounds of many small cells may be more than that of all
    return SearchResult(
        engine=after.engine,
        n_regions=n,
        open_bound=left,
        kept_patterns=_patterns(before.kept_patterns, after.kept_patterns),
        interior_points=np.concatenate([before.interior_points, after.interior_points]),
        candidates=_candidates(before.candidates, after.candidates),
        facets=facets,
        neighbours=None if facets is None else _neighbours(facets, complete=left == 0),
        statistics=added(before.statistics, after.statistics),
        open_cells=after.open_cells if left else (),
        open_bounds=after.open_bounds if left else (),
    )


def _patterns(
    before: PatternArray | PackedPatterns, after: PatternArray | PackedPatterns
) -> PatternArray | PackedPatterns:
    if isinstance(before, PackedPatterns) and isinstance(after, PackedPatterns):
        return PackedPatterns(np.concatenate([before.bits, after.bits]), before.units)
    rows = [part.unpacked() if isinstance(part, PackedPatterns) else part for part in (before, after)]
    return np.concatenate(rows)


def _facets(before: Facets | None, after: Facets | None) -> Facets | None:
    """The facets one behind the other, with the keys by which both sides of one meet."""
    if before is None or after is None or before.key is None or after.key is None:
        return None
    return Facets(
        offsets=np.concatenate([before.offsets, before.offsets[-1] + after.offsets[1:]]),
        unit=np.concatenate([before.unit, after.unit]),
        key=np.concatenate([before.key, after.key]),
    )


def _neighbours(facets: Facets, *, complete: bool) -> IntArray:
    assert facets.key is not None, "they were joined with their keys"
    return neighbours_by_key(facets.key, facets.offsets, complete=complete)


def _candidates(
    before: Sequence[IntArray] | None, after: Sequence[IntArray] | None
) -> Sequence[IntArray] | None:
    if before is None or after is None:
        return None
    return [*before, *after]

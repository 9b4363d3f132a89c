"""What a question about a complex would cost, measured on a few of its regions first."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import numpy as np

from polytope.core.result import Facets, SearchResult
from polytope.ir.maps import IntArray
from polytope.regions.complex import RegionComplex

RUN, RUNS = 8, 3
"""A question is tried on runs of neighbouring regions at a few places."""

Question = Callable[[RegionComplex], object]


def estimated_seconds(complex: RegionComplex, question: Question) -> float:
    """About how long a question whose cost grows with the regions takes on a complex."""
    n = RUN * RUNS
    if len(complex) <= n:
        return 0.0
    question(some_regions(complex, np.arange(2)))  # compiles and caches what is shared
    starts = np.linspace(0, len(complex) - RUN, RUNS).astype(np.int64)
    which = np.unique(starts[:, None] + np.arange(RUN))
    part = some_regions(complex, which)
    start = perf_counter()
    question(part)
    return (perf_counter() - start) * len(complex) / len(which)


def some_regions(complex: RegionComplex, which: IntArray) -> RegionComplex:
    """The complex of some of the regions, by ascending numbers; not complete."""
    found, n = complex.found, len(which)
    candidates, facets, pairs = found.candidates, found.facets, found.neighbours
    some = SearchResult(
        engine=found.engine,
        n_regions=n,
        open_bound=found.upper + 1 - n,
        kept_patterns=found.kept_patterns[which],
        interior_points=found.interior_points[which],
        candidates=None if candidates is None else tuple(candidates[i] for i in which.tolist()),
        facets=None if facets is None else _facets_of(facets, which),
        neighbours=None if pairs is None else _pairs_of(pairs, which),
    )
    return RegionComplex(complex.network, complex.domain, some)


def _facets_of(facets: Facets, which: IntArray) -> Facets:
    spans = [np.arange(facets.offsets[i], facets.offsets[i + 1]) for i in which.tolist()]
    rows = np.concatenate([np.zeros(0, dtype=np.int64), *spans])
    offsets = np.cumsum([0, *(len(span) for span in spans)])
    points, key = (None if of is None else of[rows] for of in (facets.points, facets.key))
    return Facets(offsets, facets.unit[rows], points, key=key)


def _pairs_of(pairs: IntArray, which: IntArray) -> IntArray:
    kept = pairs[np.isin(pairs, which).all(axis=1)]
    return np.searchsorted(which, kept)

"""What a question about a complex would cost, measured on a few of its regions first."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import numpy as np

from polytope.ir.maps import IntArray
from polytope.regions.complex import RegionComplex
from polytope.regions.found import Facets

FEW = 24
"""Regions that a question is tried on."""

Question = Callable[[RegionComplex], object]


def estimated_seconds(complex: RegionComplex, question: Question) -> float:
    """About how long a question whose cost grows with the regions takes on a complex."""
    if len(complex) <= FEW:
        return 0.0
    question(some_regions(complex, np.arange(2)))  # compiles and caches what is shared
    which = np.linspace(0, len(complex) - 1, FEW).astype(np.int64)
    part = some_regions(complex, which)
    start = perf_counter()
    question(part)
    return (perf_counter() - start) * len(complex) / FEW


def some_regions(complex: RegionComplex, which: IntArray) -> RegionComplex:
    """The complex of some of the regions, not complete."""
    candidates, facets = complex.candidates, complex.known_facets
    return RegionComplex(
        complex.network,
        complex.domain,
        complex.patterns[which],
        complex.interior_points[which],
        upper=complex.upper + 1,
        engine=complex.engine,
        candidates=None if candidates is None else tuple(candidates[i] for i in which.tolist()),
        known_facets=None if facets is None else _facets_of(facets, which),
    )


def _facets_of(facets: Facets, which: IntArray) -> Facets:
    spans = [np.arange(facets.offsets[i], facets.offsets[i + 1]) for i in which.tolist()]
    rows = np.concatenate([np.zeros(0, dtype=np.int64), *spans])
    offsets = np.cumsum([0, *(len(span) for span in spans)])
    return Facets(offsets, facets.unit[rows], facets.points[rows])

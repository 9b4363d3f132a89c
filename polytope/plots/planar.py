"""The outlines of plane regions, as many as time allows, and their areas."""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from polytope.core.limits import BudgetSpent
from polytope.core.result import SearchResult
from polytope.ir.looking import look
from polytope.ir.maps import FloatArray
from polytope.regions.complex import RegionComplex
from polytope.regions.outlines import one_outline
from polytope.regions.outlines import outlines as outlines
from polytope.regions.vertices_again import has_vertices

TOGETHER = 64  # regions that are outlined between two additions to a picture


def outlines_in_time(complex: RegionComplex) -> list[FloatArray]:
    """The outlines of all regions that were found, or of the first, until a look ends the work.

    Arguments:
        complex: regions of a bounded plane domain.
    """
    drawn: list[FloatArray] = []
    with suppress(BudgetSpent):
        if has_vertices(complex.found):
            look()
            return outlines(complex)
        while len(drawn) < len(complex):
            look()
            some = slice(len(drawn), len(drawn) + min(len(drawn) + 1, TOGETHER))
            if complex.found.facets is None:
                drawn += outlines(some_regions(complex, some))
            else:
                drawn += [one_outline(complex, i) for i in range(len(complex))[some]]
    return drawn


def jacobian_norms_in_time(complex: RegionComplex) -> FloatArray:
    """The Frobenius norm of every region's Jacobian, ``[R]``; NaN from where a look ended the work.

    Arguments:
        complex: its regions.
    """
    norms, done = np.full(len(complex), np.nan), 0
    with suppress(BudgetSpent):
        while done < len(norms):
            look()
            some = slice(done, done + min(done + 1, TOGETHER))
            J, _ = complex.network.affine(complex.patterns[some])
            norms[some] = np.linalg.norm(J, axis=(1, 2))
            done = some.stop
    return norms


def some_regions(complex: RegionComplex, which: slice) -> RegionComplex:
    """Some regions of a complex, as a partial one.

    Arguments:
        which: their numbers.
    """
    found, patterns = complex.found, complex.found.kept_patterns[which]
    part = SearchResult(
        engine=found.engine,
        n_regions=len(complex.interior_points[which]),
        open_bound=max(complex.upper - len(complex.interior_points[which]), 1),
        kept_patterns=patterns,
        interior_points=complex.interior_points[which],
        candidates=None if found.candidates is None else found.candidates[which],
        statistics=found.statistics,
    )
    return RegionComplex(complex.network, complex.domain, part, complex.seconds, complex.stopped_by)


def area(outline: FloatArray) -> float:
    """The area inside an outline, by the shoelace formula around its first corner."""
    x, y = (outline - outline[0]).T
    return float((x[:-1] @ y[1:] - y[:-1] @ x[1:]) / 2)

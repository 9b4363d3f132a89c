"""The facets of the regions of a complex, and what lies behind each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polytope.core.result import Facets
from polytope.errors import SolverError
from polytope.exact.rows import ExactRows
from polytope.geometry.equilibrate import equilibrated
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Network
from polytope.ir.activations import PatternArray
from polytope.ir.boundaries import boundaries
from polytope.ir.maps import FloatArray, IntArray
from polytope.regions.adjacency import pattern_across
from polytope.regions.facet_search import FacetSearch
from polytope.regions.region_rows import region_rows


def facets_of(
    network: Network,
    domain: Polyhedron,
    patterns: PatternArray,
    interior_points: FloatArray,
    candidates: Sequence[IntArray] | None,
    numbers: dict[bytes, int],
) -> Facets:
    """The irredundant facets of every region, with a point inside each, and the regions behind them.

    Arguments:
        patterns, interior_points: ``int8[R, units]``, ``[R, d]``.
        candidates: per region the units and domain rows that can carry facets; all, where ``None``.
        numbers: from the patterns of regions, as bytes, to their numbers.

    Raises:
        SolverError: in so many dimensions, it is not decided whether some row carries a facet.
    """
    inner = equilibrated(network, domain)
    tables = boundaries(inner.network)
    exact = ExactRows(inner.network, inner.domain.rows, inner.domain.b, tables)
    units, origins, behind, counts = [], [], [], [0]
    points: list[FloatArray] = []
    for number, (pattern, x0) in enumerate(zip(patterns, interior_points / inner.scale, strict=True)):
        described = region_rows(inner.network, inner.domain, tables, pattern, exact)
        carriers = None if candidates is None else candidates[number]
        search = FacetSearch(described, x0, pattern, exact, carriers)
        found = search.all()
        if search.undecided:
            raise SolverError(
                f"Whether {len(search.undecided)} rows of region {number} carry facets is not decided in "
                f"{domain.dim} dimensions."
            )
        rows = list(found)
        units.append(described.unit[rows])
        origins.append(described.origin[rows])
        points += found.values()
        behind += [
            numbers.get(pattern_across(described, search.equal_to(i), pattern, exact).tobytes(), -1)
            if described.origin[i] >= 0
            else -1
            for i in rows
        ]
        counts.append(len(rows))
    none = np.zeros(0, dtype=np.int64)
    return Facets(
        np.cumsum(counts),
        np.concatenate([none, *units]),
        np.array(points).reshape(-1, domain.dim) * inner.scale,
        np.concatenate([none, *origins]),
        np.array(behind, dtype=np.int64),
    )

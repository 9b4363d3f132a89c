"""A complex that is in memory, as a directory."""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from pathlib import Path as File

from polytope.core.result import ROOT, Facets, SearchResult
from polytope.core.vertex_cells import VERTEX_CELLS
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir.network import Network
from polytope.regions.found import Found, in_memory
from polytope.regions.manifest import create, refuse_unstorable
from polytope.regions.shards import ROWS, SHARD_BYTES, add_shard, row_bytes, shard_of, sole_writer


def save(directory: File, network: Network, domain: Polyhedron, found: Found, seconds: float) -> None:
    """Write what was found in shards, the first one with the branches that it left.

    The first one is written last: until it is there, the others follow nothing and cannot be read.

    Raises:
        ValueError: there is a complex already, or the network is affine.
    """
    refuse_unstorable(network, certificate=False)
    result = in_memory(found)
    if result.engine != VERTEX_CELLS:  # whose facets alone have keys
        result = replace(result, facets=None)
    if not result.complete and not result.open_cells:  # an engine that does not name them: anywhere
        result = replace(result, open_cells=ROOT, open_bounds=(result.open_bound,))
    with sole_writer(directory):
        create(directory, network, domain, found.engine, seconds=seconds, statistics=found.statistics)
        each = row_bytes(network.n_units, domain.dim, len(domain.b), certificate=False)
        rows = max(min(ROWS, SHARD_BYTES // each), 1)
        for number in reversed(range(max(ceil(result.n_regions / rows), 1))):
            part = _part(result, number * rows, (number + 1) * rows)
            add_shard(directory, number, shard_of(part, () if number else ROOT, len(domain.b)))


def _part(found: SearchResult, first: int, last: int) -> SearchResult:
    """Some of the regions; what was left stands with the first ones."""
    last = min(last, found.n_regions)
    facets, candidates = found.facets, found.candidates
    if facets is not None:
        ends = facets.offsets[first : last + 1]
        own = slice(int(ends[0]), int(ends[-1]))
        keys = None if facets.key is None else facets.key[own]
        facets = Facets(ends - ends[0], facets.unit[own], key=keys)
    return replace(
        found,
        n_regions=last - first,
        kept_patterns=found.patterns[first:last],
        interior_points=found.interior_points[first:last],
        candidates=None if candidates is None else [candidates[i] for i in range(first, last)],
        facets=facets,
        neighbours=None,
        open_cells=() if first else found.open_cells,
        open_bounds=() if first else found.open_bounds,
    )

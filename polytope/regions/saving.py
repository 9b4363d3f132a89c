"""A complex that is in memory, as a directory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path as File

from polytope.core.result import ROOT
from polytope.core.vertex_cells import VERTEX_CELLS
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir.network import Network
from polytope.regions.found import Found, in_memory
from polytope.regions.manifest import create, refuse_unstorable
from polytope.regions.shards import add_shard, shard_of, sole_writer


def save(directory: File, network: Network, domain: Polyhedron, found: Found, seconds: float) -> None:
    """Write what was found as one shard, with the branches that it left.

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
        add_shard(directory, 0, shard_of(result, ROOT, len(domain.b)))

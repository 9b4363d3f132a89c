"""The result of a search that finds regions one by one and keeps them in a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from polytope.core.ceiling import Ceiling
from polytope.core.result import Keep, SearchResult
from polytope.ir import Network
from polytope.ir.activations import PatternArray
from polytope.ir.maps import FloatArray


def listed(
    network: Network,
    regions: Sequence[tuple[PatternArray, FloatArray]],
    *,
    engine: str,
    keep: Keep,
    done: bool = False,
    statistics: Mapping[str, float],
) -> SearchResult:
    """The result; what was not found is bounded by what the network can have at most.

    Arguments:
        regions: of each the pattern, ``int8[units]``, and a point strictly inside, ``[d]``.
        engine, statistics: as of ``SearchResult``.
        keep: of "count", neither patterns nor points.
        done: whether these are all the regions.
    """
    count, kept = len(regions), regions if keep != "count" else ()
    d = network.input_dim
    return SearchResult(
        engine=engine,
        n_regions=count,
        open_bound=0 if done else max(Ceiling(network, d).whole - count, 1),
        kept_patterns=np.array([p for p, _ in kept], dtype=np.int8).reshape(len(kept), network.n_units),
        interior_points=np.array([x for _, x in kept]).reshape(len(kept), d),
        statistics=statistics,
    )

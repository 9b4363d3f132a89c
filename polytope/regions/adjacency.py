r"""Which regions touch: the pattern across each facet, and the graph of regions.

Nothing is read off floats: across a facet only those units change that have a row on its hyperplane, and
those that lie on a boundary all over the region. A unit that is alone there goes to the piece beyond its row;
what several do follows exactly (see ``polytope.exact.behind``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

from polytope.exact.behind import pattern_behind
from polytope.exact.rows import ExactRows
from polytope.ir.activations import PatternArray
from polytope.ir.maps import IntArray
from polytope.regions.region_rows import RegionRows

if TYPE_CHECKING:
    import networkx as nx

CHUNK = 2048  # pairs whose patterns are compared at once


def pattern_across(
    described: RegionRows, rows: Sequence[int], pattern: PatternArray, exact: ExactRows
) -> PatternArray:
    """The pattern behind the facet of a region, ``int8[units]``.

    Arguments:
        described: the region's rows.
        rows: all rows with the hyperplane of the facet, none of them of the domain.
        pattern: the region's.
    """
    i = rows[0]
    piece, unit = int(described.behind[i]), int(described.unit[i])
    if len(rows) == 1 and piece >= 0 and not len(described.ties):
        far = pattern.copy()
        far[unit] = piece
        return far
    units = [*described.unit[list(rows)].tolist(), *described.ties.tolist()]
    return pattern_behind(exact.exact, pattern, exact(described.cut(i), pattern).tolist(), units)


def matched_pairs(near: IntArray, far: IntArray) -> IntArray:
    """The pairs of regions that share a facet, ``int[E, 2]``, each once and in order.

    Arguments:
        near, far: for each facet the region it belongs to, ``int[F]``, and the one across it, or -1.
    """
    pairs = np.sort(np.stack([near, far], axis=1)[far >= 0], axis=1)
    return np.unique(pairs, axis=0)


def region_graph(patterns: PatternArray, pairs: IntArray) -> nx.Graph[int]:
    """The graph of regions from the pairs ``int[E, 2]`` that share a facet.

    Returns:
        Nodes ``0 .. R - 1``; edge attribute ``units``, those whose piece differs.
    """
    import networkx as nx  # which takes longer to load than most searches

    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from(range(len(patterns)))
    # writing there takes two thirds of the time of ``add_edges_from``
    around: dict[int, dict[int, dict[str, tuple[int, ...]]]] = vars(graph)["_adj"]
    for i, j, units in _edges(patterns, pairs):
        around[i][j] = around[j][i] = {"units": units}
    return graph


def _edges(patterns: PatternArray, pairs: IntArray) -> Iterator[tuple[int, int, tuple[int, ...]]]:
    """The pairs with the units that change."""
    alone = [(unit,) for unit in range(patterns.shape[1])]
    for start in range(0, len(pairs), CHUNK):
        some = pairs[start : start + CHUNK]
        row, unit = np.nonzero(patterns[some[:, 0]] != patterns[some[:, 1]])
        near, far, units = some[:, 0].tolist(), some[:, 1].tolist(), unit.tolist()
        if np.array_equal(row, np.arange(len(some))):
            yield from zip(near, far, map(alone.__getitem__, units), strict=True)
            continue
        ends = np.searchsorted(row, np.arange(len(some) + 1)).tolist()
        for k, (i, j) in enumerate(zip(near, far, strict=True)):
            yield i, j, tuple(units[ends[k] : ends[k + 1]])


def region_matrix(n: int, pairs: IntArray) -> csr_array:
    """The symmetric adjacency matrix ``[n, n]`` of n regions from the pairs that share a facet."""
    near, far = np.concatenate([pairs, pairs[:, ::-1]]).T
    return csr_array((np.ones(len(near)), (near, far)), shape=(n, n))

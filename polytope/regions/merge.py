"""Regions that compute one affine map, joined across facets: linear regions."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array

from polytope.ir.maps import IntArray


def joined_across(maps: IntArray, pairs: IntArray) -> IntArray:
    """Labels of connected components of regions with the same map, ``int[R]``, across pairs ``int[E, 2]``."""
    from scipy.sparse.csgraph import connected_components  # loads all of scipy's linear algebra

    n, same = len(maps), pairs[maps[pairs[:, 0]] == maps[pairs[:, 1]]]
    graph = coo_array((np.ones(len(same)), (same[:, 0], same[:, 1])), shape=(n, n))
    _, labels = connected_components(graph, directed=False)
    return np.asarray(labels, dtype=np.int64)

"""The connected components of a graph that is given by its edges."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array

from polytope.ir.maps import IntArray


def connected_components(pairs: IntArray, n: int) -> tuple[int, IntArray]:
    """The number of components of a graph of n nodes, and a label ``int[n]`` of each node's, from 0.

    Arguments:
        pairs: the nodes at the ends of each edge, ``int[E, 2]``.
        n: the number of nodes.
    """
    from scipy.sparse import csgraph  # slow to load

    links = coo_array((np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    count, label = csgraph.connected_components(links, directed=False)
    return int(count), label.astype(np.int64)

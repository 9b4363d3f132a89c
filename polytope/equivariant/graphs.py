r"""Convolutions on a graph, which commute with its automorphisms.

:math:`y_i = A x_i + B \sum_j a_{ij} x_j + b` for a matrix :math:`a` of the graph's edges, such as its
adjacency matrix or a normalised one. A permutation :math:`\pi` of the vertices with
:math:`a_{\pi(i) \pi(j)} = a_{ij}` permutes the outputs as it does the inputs: equal numbers are multiplied
alike, so this is exact.

References: Kipf, Welling (2017), "Semi-Supervised Classification with Graph Convolutional Networks",
https://arxiv.org/abs/1609.02907; Morris et al. (2019), "Weisfeiler and Leman Go Neural",
https://arxiv.org/abs/1810.02244
"""

from __future__ import annotations

from itertools import islice

import networkx as nx
import numpy as np
import torch
from networkx.algorithms.isomorphism import DiGraphMatcher
from numpy.typing import ArrayLike
from torch import Tensor

from polytope.equivariant.groups.representations import Representation, permutation
from polytope.equivariant.groups.tables import from_permutations
from polytope.equivariant.layers import SetLinear
from polytope.equivariant.spherical.harmonics import check_bandlimit
from polytope.given import described
from polytope.ir.arrays import floats
from polytope.ir.maps import FloatArray

MOST = 1000  # automorphisms: the table of a group has so many numbers squared


class GraphConv(SetLinear):
    r"""Vectors at the vertices of a graph, :math:`y_i = A x_i + B \sum_j a_{ij} x_j + b`.

    ``[B, n, in]`` to ``[B, n, out]``. With ones outside the diagonal it is ``SetLinear``.

    Arguments:
        edges: ``[n, n]``, what vertex i takes of vertex j: an adjacency matrix, or weights.
        in_features: coordinates at a vertex.
        out_features: coordinates of its image.

    Raises:
        ValueError: the edges are no square matrix of finite numbers, or a number is less than 1.

    Example:
        >>> path = [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
        >>> GraphConv(path, 2, 5)(torch.zeros(1, 3, 2)).shape
        torch.Size([1, 3, 5])
    """

    edges: Tensor

    def __init__(self, edges: ArrayLike, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        self.register_buffer("edges", torch.from_numpy(_square(edges, "GraphConv")))

    def matrix(self, n: int) -> Tensor:
        """The linear map of all vertices, ``[n out, n in]``."""
        if n != len(self.edges):
            raise ValueError(f"GraphConv: the graph has {len(self.edges)} vertices, the values {n}.")
        one = torch.eye(len(self.edges), dtype=self.own.dtype, device=self.own.device)
        return torch.kron(one, self.own) + torch.kron(self.edges.to(one), self.others)


def graph_automorphisms(edges: ArrayLike, features: int = 1) -> Representation:
    """The permutations of vertices that leave every entry of a graph's matrix as it is, and how they act.

    Arguments:
        edges: ``[n, n]``, as of ``GraphConv``.
        features: coordinates at a vertex; vertices move, their coordinates stay.

    Returns:
        The representation of the group on flat values, ``R^(n features)``.

    Raises:
        TypeError: the edges are no numbers.
        ValueError: no square matrix of finite numbers, features less than 1, or more than 1,000
            automorphisms.

    Example:
        >>> len(graph_automorphisms([[0, 1, 0], [1, 0, 1], [0, 1, 0]]).group)
        2
    """
    a, features = _square(edges, "graph_automorphisms"), check_bandlimit(features, "features")
    n = len(a)
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from((i, {"own": a[i, i]}) for i in range(n))
    graph.add_edges_from((i, j, {"weight": a[i, j]}) for i, j in np.argwhere(a != 0).tolist() if i != j)
    same = DiGraphMatcher(
        graph, graph, lambda u, v: u["own"] == v["own"], lambda e, f: e["weight"] == f["weight"]
    )
    found = [[image[i] for i in range(n)] for image in islice(same.isomorphisms_iter(), MOST + 1)]
    if len(found) > MOST:
        raise ValueError(f"graph_automorphisms: the graph has more than {MOST:,} automorphisms.")
    group = from_permutations(sorted(found), "automorphisms")
    vertices = np.array(sorted(found), dtype=np.int64)
    places = (vertices[:, :, None] * features + np.arange(features)).reshape(len(found), n * features)
    return permutation(group, places)


def _square(edges: ArrayLike, name: str) -> FloatArray:
    try:
        a = floats(edges)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{name}: edges must be a square matrix of numbers, not {described(edges)}."
        ) from error
    if a.ndim != 2 or a.shape[0] != a.shape[1] or not len(a) or not np.isfinite(a).all():
        raise ValueError(
            f"{name}: edges must be a square matrix of finite numbers, [n, n]; given is {a.shape}."
        )
    return a

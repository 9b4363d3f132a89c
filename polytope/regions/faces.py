r"""Faces of every dimension of a complex of vertex cells, with :math:`\sum_k (-1)^k f_k = 1`.

A face is named by what is constant on it: the pieces of the units that do not vanish there, the units that
do, and the rows of the domain that hold it. All cells around a face give it the same name.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from polytope.errors import GeometryError, IncompleteComplexError
from polytope.regions.vertex_cell import VertexCells


def face_counts(found: VertexCells, *, seed: int = 0) -> tuple[int, ...]:
    r"""The numbers of faces of dimension 0 to d, vertices first.

    Arguments:
        found: a complete search with ``keep="vertices"``, in which exactly d facets of a cell meet at each of
            its vertices, and every unit has at most one bend.
        seed: of the random words by which faces are compared; two names agree by chance with probability
            :math:`2^{-64}`.

    Raises:
        IncompleteComplexError: the search was stopped.
        GeometryError: the complex is degenerate: the numbers do not satisfy Euler's relation.

    Example:
        >>> import numpy as np, polytope as pt
        >>> from polytope.regions.vertex_cell import explore
        >>> net = pt.mlp([([[1.0, 1.0], [1.0, -2.0]], [0.1, 0.0]), ([[1.0, 1.0]], [0.0])])
        >>> A, b = np.vstack([np.eye(2), -np.eye(2)]), np.ones(4)
        >>> face_counts(explore(net, A, b, keep="vertices"))
        (9, 12, 4)
    """
    if not found.complete:
        raise IncompleteComplexError(
            "Faces can only be counted in a complete complex: search without a limit."
        )
    d = found.interior_points.shape[1]
    facets = _facets_at_vertices(found, d)
    cell = np.repeat(np.arange(found.n_regions), np.diff(found.vertex_offsets))
    names, changes = _random_names(found, seed)
    counts = [found.n_regions]
    for codimension in range(1, d + 1):
        keys = [
            names[cell] + changes[facets[:, chosen]].sum(axis=1, dtype=np.uint64)
            for chosen in map(list, combinations(range(d), codimension))
        ]
        counts.append(len(np.unique(np.concatenate(keys))))
    numbers = tuple(counts[::-1])
    if sum((-1) ** k * n for k, n in enumerate(numbers)) != 1:
        raise GeometryError(
            f"The numbers of faces {numbers} break Euler's relation: the complex is degenerate."
        )
    return numbers


def _facets_at_vertices(found: VertexCells, d: int) -> NDArray[np.int64]:
    """The places of the d facets that meet at each vertex, ``[V, d]``."""
    words = found.incidences.view(np.uint64)
    bits = (words[:, :, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    vertex, ordinal = np.nonzero(bits.reshape(len(words), -1))
    if len(vertex) != d * len(words) or (np.bincount(vertex, minlength=len(words)) != d).any():
        raise GeometryError(f"More than {d} facets of a cell meet at a vertex: the complex is degenerate.")
    start = np.repeat(found.facet_offsets[:-1], np.diff(found.vertex_offsets))
    return (start[vertex] + ordinal).reshape(-1, d)


def _random_names(found: VertexCells, seed: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """A word for every cell, and for every facet what going onto it changes in the word."""
    rng = np.random.default_rng(seed)
    units = found.patterns.shape[1]
    pieces = int(found.patterns.max(initial=0)) + 1
    words: NDArray[np.uint64] = np.array(rng.integers(2**64, size=(units, pieces), dtype=np.uint64))
    bent: NDArray[np.uint64] = np.array(rng.integers(2**64, size=units, dtype=np.uint64))
    last = min(int(found.facet_units.min(initial=0)), 0)
    rows: NDArray[np.uint64] = np.array(rng.integers(2**64, size=1 - last, dtype=np.uint64))
    names = np.zeros(found.n_regions, dtype=np.uint64)
    for u in range(units):
        names += words[u, found.patterns[:, u]]
    cell = np.repeat(np.arange(found.n_regions), np.diff(found.facet_offsets))
    unit = found.facet_units.astype(np.int64)
    inner = np.flatnonzero(unit >= 0)
    changes: NDArray[np.uint64] = np.take(rows, np.where(unit < 0, -unit, 0))
    changes[inner] = bent[unit[inner]] - words[unit[inner], found.patterns[cell[inner], unit[inner]]]
    for facet, more in found.facet_more.tolist():
        changes[facet] += bent[more] - words[more, found.patterns[cell[facet], more]]
    return names, changes

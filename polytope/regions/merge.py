"""Regions that compute one affine map: joined across facets (linear regions) or anywhere (pieces)."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from polytope.ir import Network
from polytope.ir.activations import PatternArray
from polytope.ir.maps import FloatArray, IntArray


def affine_maps(network: Network, patterns: PatternArray) -> FloatArray:
    """The affine maps of all patterns, flat: ``[R, out * (d + 1)]``, rows ``(J, c)`` of each output."""
    J, c = network.affine(patterns)
    return np.concatenate([J, c[:, :, None]], axis=2).reshape(len(patterns), -1)


def joined_across(maps: FloatArray, pairs: IntArray, tolerance: float) -> IntArray:
    """Labels of connected components of regions whose maps agree across the pairs ``int[E, 2]``."""
    return _components(len(maps), pairs[_agree(maps, pairs, tolerance)])


def distinct(maps: FloatArray, tolerance: float) -> int:
    """The number of different maps, up to ``tolerance`` times the largest entry of each."""
    if not len(maps):
        return 0
    maps = np.unique(maps, axis=0)
    size = np.abs(maps).max(axis=1)
    direction = np.random.default_rng(0).standard_normal(maps.shape[1])
    # equal maps have equal sizes, so equal shadows after scaling: only neighbours in this order can agree
    shadow = maps @ direction / np.where(size > 0, size, 1.0)
    width = 2 * tolerance * float(np.abs(direction).sum())
    order = np.argsort(shadow)
    pairs = []
    for step in range(1, len(maps)):
        near = np.flatnonzero(shadow[order[step:]] - shadow[order[:-step]] <= width)
        if not len(near):
            break
        pairs.append(np.stack([order[near], order[near + step]], axis=1))
    close = np.concatenate([np.zeros((0, 2), np.int64), *pairs])
    labels = _components(len(maps), close[_agree(maps, close, tolerance)])
    return int(labels.max()) + 1


def _agree(maps: FloatArray, pairs: IntArray, tolerance: float) -> IntArray:
    """The pairs whose maps differ by no more than the tolerance allows."""
    a, b = maps[pairs[:, 0]], maps[pairs[:, 1]]
    size = np.maximum(np.abs(a).max(axis=1, initial=0.0), np.abs(b).max(axis=1, initial=0.0))
    return np.flatnonzero(np.abs(a - b).max(axis=1, initial=0.0) <= tolerance * size)


def _components(n: int, pairs: IntArray) -> IntArray:
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    _, labels = connected_components(graph, directed=False)
    return np.asarray(labels, dtype=np.int64)

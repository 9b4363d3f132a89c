"""Which region of a list holds a point: by floats where their bounds tell all units, else exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from polytope.exact.network import ExactNetwork
from polytope.exact.values import pattern_at
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Network
from polytope.ir.activations import PatternArray
from polytope.ir.boundaries import LayerBoundaries
from polytope.ir.maps import FloatArray, IntArray
from polytope.regions.columns import Columns, boundary_values, walk
from polytope.regions.start import patterns_around

CHUNK = 4096  # points in one forward pass
AROUND = 16  # regions around a point on boundaries that are looked up


def locate(
    network: Network,
    domain: Polyhedron,
    tables: Sequence[LayerBoundaries],
    exact: ExactNetwork,
    numbers: Mapping[bytes, int],
    points: FloatArray,
) -> IntArray:
    """The numbers of the regions that hold points ``[B, d]``; -1 outside the domain and the regions.

    On a boundary it is the region that owns the tie, or if none does, one of those around the point.
    """
    out = np.full(len(points), -1, dtype=np.int64)
    for start in range(0, len(points), CHUNK):
        some = points[start : start + CHUNK]
        inside = domain.contains(some)
        patterns, told = told_patterns(network, tables, some)
        for k in np.flatnonzero(inside).tolist():
            if told[k]:
                out[start + k] = numbers.get(patterns[k].tobytes(), -1)
            else:
                out[start + k] = _exactly(domain, exact, numbers, some[k])
    return out


def told_patterns(
    network: Network, tables: Sequence[LayerBoundaries], points: FloatArray
) -> tuple[PatternArray, NDArray[np.bool_]]:
    """Patterns ``int8[B, units]`` at points, and at which of them every unit is proved to be on its piece."""
    told = np.ones(len(points), dtype=bool)
    patterns = np.zeros((network.n_units, len(points)), dtype=np.int8)

    def read(number: int, z: Columns) -> PatternArray:
        activation = network.layers[number - 1].activation
        assert activation is not None, "only layers with activations have pieces"
        pieces = activation.pattern(z.value)
        patterns[network.unit_offsets[number - 1] : network.unit_offsets[number]] = pieces
        value, error = boundary_values(tables[number - 1], z)
        np.logical_and(told, ((np.abs(value) > error) | ((value == 0) & (error == 0))).all(axis=0), out=told)
        return pieces

    walk(network, Columns.at(points), read)
    return np.ascontiguousarray(patterns.T), told


def _exactly(domain: Polyhedron, exact: ExactNetwork, numbers: Mapping[bytes, int], x: FloatArray) -> int:
    """The region that holds a point of the domain that floats do not tell from a boundary."""
    found = numbers.get(pattern_at(exact, list(map(Fraction, x.tolist()))).tobytes(), -1)
    if found >= 0:
        return found
    for _, pattern in zip(range(AROUND), patterns_around(domain, exact, x), strict=False):
        found = numbers.get(pattern.tobytes(), -1)
        if found >= 0:
            return found
    return -1

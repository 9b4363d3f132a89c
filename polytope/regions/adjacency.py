r"""Which regions touch: the pattern across each facet, and the graph of regions.

Next to a point inside a facet nothing changes but the units that vanish there. Across it, each of those
takes the piece that the direction of travel leads into, layer after layer; a unit that stays at zero keeps
the piece that owns the tie.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from polytope.exact.facets import ExactFacet
from polytope.exact.rows import Cut, ExactRows
from polytope.ir import Network
from polytope.ir.activations import PatternArray
from polytope.ir.boundaries import LayerBoundaries
from polytope.ir.maps import FloatArray, IntArray
from polytope.regions.columns import Columns, walk

CHUNK = 2048  # facets in one forward pass


def patterns_across(
    network: Network,
    tables: Sequence[LayerBoundaries],
    patterns: PatternArray,
    points: FloatArray,
    normals: FloatArray,
    sizes: FloatArray,
) -> PatternArray:
    """The patterns on the far side of facets.

    Arguments:
        patterns: ``int8[F, units]``, on the near side.
        points: ``[F, d]``, inside the facets.
        normals: ``[F, d]``, from the near to the far side.
        sizes: ``[F]``, the size of the numbers that the points were computed from.
    """
    parts = []
    for i in range(0, len(points), CHUNK):
        some = slice(i, i + CHUNK)
        parts.append(_across(network, tables, patterns[some], points[some], normals[some], sizes[some]))
    return np.concatenate([np.zeros((0, network.n_units), np.int8), *parts])


def _across(
    network: Network,
    tables: Sequence[LayerBoundaries],
    patterns: PatternArray,
    points: FloatArray,
    normals: FloatArray,
    sizes: FloatArray,
) -> PatternArray:
    """One chunk of facets."""
    far = patterns.copy()

    def turn(number: int, z: Columns) -> PatternArray:
        span = slice(network.unit_offsets[number - 1], network.unit_offsets[number])
        far[:, span] = _turned(tables[number - 1], far[:, span], z)
        return far[:, span].T

    walk(network, points, normals, sizes, turn)
    return far


def pattern_across_exactly(
    network: Network,
    tables: Sequence[LayerBoundaries],
    rows: ExactRows,
    pattern: PatternArray,
    facet: ExactFacet,
) -> PatternArray:
    """The pattern, ``int8[units]``, on the far side of a facet that float64 cannot resolve."""
    far = pattern.copy()
    point = np.array([float(v) for v in facet.point])
    normal = np.array([float(Fraction(v, max(map(abs, facet.row)))) for v in facet.row[:-1]])

    def turn(number: int, z: Columns) -> PatternArray:
        table, start = tables[number - 1], network.unit_offsets[number - 1]
        near = np.abs(table.values(z.value)[:, 0]) <= 2.0**-38 * table.sizes(z.size)[:, 0]
        at, speed = table.values(z.value)[:, 0], np.zeros(len(near))
        for boundary in np.flatnonzero(near).tolist():
            row = rows(Cut(number, boundary, 1.0), far).tolist()
            at[boundary] = _sign(
                sum((a * x for a, x in zip(row, facet.point, strict=False)), Fraction(row[-1]))
            )
            speed[boundary] = _sign(sum(a * n for a, n in zip(row[:-1], facet.row, strict=False)))
        for unit in np.unique(table.unit[near]).tolist():
            far[start + unit] = _piece_ahead(table, unit, at, at == 0, speed, speed == 0)
        return far[start : network.unit_offsets[number], None]

    size = np.array([np.abs(point).max(initial=0.0)])
    walk(network, point[None], normal[None], size, turn)
    return far


def _sign(value: Fraction | int) -> float:
    return float((value > 0) - (value < 0))


def _turned(table: LayerBoundaries, pieces: PatternArray, z: Columns) -> PatternArray:
    """The pieces of one layer on the far side; only units with a vanishing boundary can change."""
    pieces = pieces.copy()
    at = table.values(z.value)
    speed = table.values(z.speed, constant=False)
    vanishing = np.abs(at) <= 2.0**-38 * table.sizes(z.size)
    still = np.abs(speed) <= 2.0**-38 * table.sizes(np.abs(z.speed), constant=False)
    for column in np.flatnonzero(vanishing.any(axis=0)).tolist():
        for unit in np.unique(table.unit[vanishing[:, column]]).tolist():
            pieces[column, unit] = _piece_ahead(
                table, unit, at[:, column], vanishing[:, column], speed[:, column], still[:, column]
            )
    return pieces


def _piece_ahead(
    table: LayerBoundaries,
    unit: int,
    at: FloatArray,
    vanishing: NDArray[np.bool_],
    speed: FloatArray,
    still: NDArray[np.bool_],
) -> int:
    """The piece that a unit is on just after leaving the point."""
    for piece, rows in enumerate(table.pieces[unit]):
        for boundary, sign, strict in rows:
            if not vanishing[boundary]:
                holds = sign * at[boundary] < 0
            elif still[boundary]:
                holds = not strict
            else:
                holds = sign * speed[boundary] < 0
            if not holds:
                break
        else:
            return piece
    raise AssertionError("the pieces of a unit cover every direction")


def matched_pairs(patterns: PatternArray, near: IntArray, far: PatternArray) -> IntArray:
    """The pairs of regions that share a facet, ``int[E, 2]``, each once and in order.

    Arguments:
        patterns: ``int8[R, units]``.
        near, far: for each facet the region it belongs to, ``int[F]``, and the pattern across it.
    """
    number = {pattern.tobytes(): i for i, pattern in enumerate(patterns)}
    other = np.array([number.get(pattern.tobytes(), -1) for pattern in far], dtype=np.int64)
    pairs = np.sort(np.stack([near, other], axis=1)[other >= 0], axis=1)
    return np.unique(pairs, axis=0)


def region_graph(patterns: PatternArray, pairs: IntArray) -> nx.Graph[int]:
    """The graph of regions from the pairs ``int[E, 2]`` that share a facet.

    Returns:
        Nodes ``0 .. R - 1``; edge attribute ``units``, those whose piece differs.
    """
    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from(range(len(patterns)))
    for start in range(0, len(pairs), CHUNK):
        some = pairs[start : start + CHUNK]
        row, unit = np.nonzero(patterns[some[:, 0]] != patterns[some[:, 1]])
        ends = np.searchsorted(row, np.arange(len(some) + 1)).tolist()
        units = unit.tolist()
        graph.add_edges_from(
            (i, j, {"units": tuple(units[ends[k] : ends[k + 1]])}) for k, (i, j) in enumerate(some.tolist())
        )
    return graph

"""Interior points that floats do not prove to lie strictly inside: checked, and replaced, in rationals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polytope.core.packed import PackedPatterns
from polytope.exact.cells import ExactCells, ExactRow, strictly_inside
from polytope.exact.float_points import float_point
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Network
from polytope.ir.activations import PatternArray
from polytope.ir.maps import FloatArray, IntArray


def proved_inside(
    network: Network,
    domain: Polyhedron,
    patterns: PatternArray | PackedPatterns,
    points: FloatArray,
    owners: Sequence[IntArray],
) -> FloatArray:
    """Points strictly inside cells, the given ones where they are; too thin cells keep one next to them.

    Arguments:
        patterns, points: ``int8[n, units]`` and ``[n, d]``.
        owners: of all rows that carry facets of each cell; its other rows are implied by these.
    """
    if not len(points):
        return points
    exact = ExactCells(network, domain.rows, domain.b)
    unpacked = patterns.unpacked() if isinstance(patterns, PackedPatterns) else patterns
    out = []
    for pattern, point, carriers in zip(unpacked, points, owners, strict=True):
        rows = exact.rows(pattern)
        if not strictly_inside(rows, point):
            some = set(carriers.tolist())
            deep = point_inside([row for row in rows if row.owner in some])
            point = point if deep is None else deep
        out.append(point)
    return np.array(out)


def point_inside(rows: list[ExactRow]) -> FloatArray | None:
    """A float64 point as deep inside a cell as can be, or next to one; ``None`` if it has no interior."""
    distinct = list(dict.fromkeys(row.row for row in rows if any(row.row[:-1])))
    if not distinct or any(row.row[-1] >= 1 - row.strict for row in rows if not any(row.row[:-1])):
        return None
    found = float_point(distinct)
    return None if found is None else found[0]

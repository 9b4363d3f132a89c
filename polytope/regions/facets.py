r"""Irredundant facets of regions: rays from the interior point first, a linear program for each other row.

In the coordinates :math:`y = (x - x_0) / \rho`, with :math:`\rho` the distance from the interior point to
the nearest row, every region contains the unit ball, so one tolerance suits regions of every size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from polytope.geometry.lp import WarmProgram
from polytope.geometry.polyhedron import UNBOUNDED, Polyhedron
from polytope.geometry.rational_lp import maximise
from polytope.ir import Network
from polytope.ir.activations import PatternArray
from polytope.ir.maps import FloatArray, IntArray
from polytope.regions.boundaries import LayerBoundaries
from polytope.regions.found import Facets
from polytope.regions.lp_cell import Cut, ExactRows


@dataclass(frozen=True, eq=False)
class RegionRows:
    """Rows ``[m, d + 1]`` of unit length that describe a region, and where each comes from.

    ``unit[i]`` is the unit whose boundary row i is, or ``-(row + 1)`` for a row of the domain.
    """

    rows: FloatArray
    unit: IntArray
    cuts: tuple[Cut, ...]


def region_rows(
    network: Network,
    domain: Polyhedron,
    tables: Sequence[LayerBoundaries],
    pattern: PatternArray,
    carriers: IntArray | None = None,
) -> RegionRows:
    """The rows of a region: of the domain, and of the pieces that its units (or ``carriers``) are on."""
    if carriers is None:
        kept = np.arange(len(domain.A))
        carriers = np.concatenate([-1 - kept, np.arange(network.n_units)])
    faces = np.sort(-1 - carriers[carriers < 0])
    rows = [domain.unit_rows[faces]]
    units: list[int] = (-1 - faces).tolist()
    cuts = [Cut(0, int(i), 1.0) for i in faces]
    for table in tables:
        first, last = network.unit_offsets[table.number - 1], network.unit_offsets[table.number]
        here = carriers[(carriers >= first) & (carriers < last)]
        wanted = [
            (unit, boundary, sign)
            for unit in here.tolist()
            for boundary, sign, _ in table.pieces[unit - first][pattern[unit]]
        ]
        if wanted:
            rows.append(_rows_of_layer(network, table, pattern, wanted))
            units += [unit for unit, _, _ in wanted]
            cuts += [Cut(table.number, boundary, sign) for _, boundary, sign in wanted]
    stacked = np.concatenate(rows)
    length = np.linalg.norm(stacked[:, :-1], axis=1)
    real = length > 2.0**-44 * np.abs(stacked).max(initial=0.0)
    return RegionRows(
        stacked[real] / length[real, None],
        np.array(units, dtype=np.int64)[real],
        tuple(cut for cut, keep in zip(cuts, real, strict=True) if keep),
    )


def _rows_of_layer(
    network: Network,
    table: LayerBoundaries,
    pattern: PatternArray,
    wanted: Sequence[tuple[int, int, float]],
) -> FloatArray:
    """Boundary functions of one layer, with their signs, pulled back to the input."""
    boundary = np.array([b for _, b, _ in wanted])
    sign = np.array([s for _, _, s in wanted])
    weights = np.zeros((len(network.layers[table.number - 1].bias), len(wanted)))
    columns = np.arange(len(wanted))
    for term in range(2):
        np.add.at(weights, (table.index[boundary, term], columns), sign * table.coefficients[boundary, term])
    J, c = network.pull_back(table.number, weights, pattern)
    return np.concatenate([J, (c - sign * table.offset[boundary])[:, None]], axis=1)


def facets_of(
    network: Network,
    domain: Polyhedron,
    tables: Sequence[LayerBoundaries],
    patterns: PatternArray,
    interior_points: FloatArray,
    candidates: Sequence[IntArray] | None,
) -> Facets:
    """The irredundant facets of every region, with a point inside each.

    Arguments:
        patterns, interior_points: ``int8[R, units]``, ``[R, d]``.
        candidates: per region the units and domain rows that can carry facets; all, where ``None``.
    """
    exact = ExactRows(network, domain, tables)
    programs = (WarmProgram(domain.dim, 1e3), WarmProgram(domain.dim, UNBOUNDED))
    units, points, counts = [], [], [0]
    for number, (pattern, x0) in enumerate(zip(patterns, interior_points, strict=True)):
        carriers = None if candidates is None else candidates[number]
        described = region_rows(network, domain, tables, pattern, carriers)
        which, where = _irredundant(described, x0, pattern, exact, programs)
        units.append(described.unit[which])
        points.append(where)
        counts.append(len(which))
    return Facets(
        np.cumsum(counts),
        np.concatenate([np.zeros(0, np.int64), *units]),
        np.concatenate([np.zeros((0, domain.dim)), *points]),
    )


def _irredundant(
    described: RegionRows,
    x0: FloatArray,
    pattern: PatternArray,
    exact: ExactRows,
    programs: Sequence[WarmProgram],
) -> tuple[IntArray, FloatArray]:
    """The numbers of the rows that carry facets, and a point in the relative interior of each facet."""
    rows = described.rows
    if not len(rows):
        return np.zeros(0, np.int64), np.zeros((0, len(x0)))
    slack = np.maximum(-(rows[:, :-1] @ x0 + rows[:, -1]), np.finfo(float).tiny)
    rho = float(slack.min())
    local = np.concatenate([rows[:, :-1], -(slack / rho)[:, None]], axis=1)
    first = _first_of_equal(local)
    found = _shoot(local, first)
    for i in first.tolist():
        if i not in found:
            y = _facet_point(local, i, first, described.cuts, pattern, exact, programs)
            if y is not None:
                found[i] = y
    which = np.array(sorted(found), dtype=np.int64)
    return which, x0 + rho * np.array([found[i] for i in which.tolist()]).reshape(-1, len(x0))


def _first_of_equal(local: FloatArray) -> IntArray:
    """The first row of each set of rows with one hyperplane (rows of the domain come before units)."""
    kept: list[int] = []
    for i, row in enumerate(local):
        size = 2.0**-40 * (1.0 + abs(row[-1]))
        if not kept or (np.abs(local[kept] - row).max(axis=1) > size).all():
            kept.append(i)
    return np.array(kept, dtype=np.int64)


def _shoot(local: FloatArray, rows: IntArray) -> dict[int, FloatArray]:
    """Rows that rays along all normals meet first, alone, with the points where they meet them."""
    normals = local[rows, :-1]
    reach = np.full((len(rows), len(rows)), np.inf)  # [ray, row]
    speed = normals @ normals.T
    ahead = speed > 1e-9
    reach[ahead] = np.broadcast_to(-local[rows, -1], reach.shape)[ahead] / speed[ahead]
    order = np.argsort(reach, axis=1)[:, :2]
    nearest = reach[np.arange(len(rows)), order[:, 0]]
    alone = np.isfinite(nearest)
    if len(rows) > 1:
        alone &= reach[np.arange(len(rows)), order[:, 1]] > nearest * (1 + 1e-6)
    return {int(rows[order[ray, 0]]): nearest[ray] * normals[ray] for ray in np.flatnonzero(alone).tolist()}


def _facet_point(
    local: FloatArray,
    i: int,
    others: IntArray,
    cuts: Sequence[Cut],
    pattern: PatternArray,
    exact: ExactRows,
    programs: Sequence[WarmProgram],
) -> FloatArray | None:
    """A point of facet i, or ``None`` where the other rows imply row i."""
    rest = others[others != i]
    cap = np.append(local[i, :-1], 2 * local[i, -1])
    for program in programs:  # near points first: they are the accurate ones
        best = program.maximise([*local[rest], cap], local[i])
        if best.bounded or best.value > 1e-6:
            break
    y, value = best.point, best.value
    if abs(value) <= 1e-6 or (value < 0 and not best.bounded):
        objective = exact(cuts[i], pattern).tolist()
        optimum = maximise([exact(cuts[j], pattern).tolist() for j in rest], objective)
        if optimum.value <= 0:
            return None
        value = max(value, 1e-12)
    if value <= 0:
        return None
    height = -float(local[i, -1])
    return y * (height / (height + value))

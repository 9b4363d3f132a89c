r"""Irredundant facets of regions: rays from the interior point first, a linear program for each other row.

In the coordinates :math:`y = (x - x_0) / \rho`, with :math:`\rho` the distance from the interior point to
the nearest row, every region contains the unit ball, so one tolerance suits regions of every size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from polytope.geometry.lp import WarmProgram
from polytope.geometry.polyhedron import UNBOUNDED, Polyhedron
from polytope.ir import Network
from polytope.ir.activations import PatternArray
from polytope.ir.maps import FloatArray, IntArray
from polytope.regions.boundaries import LayerBoundaries
from polytope.regions.exact_rows import Cut, ExactRows
from polytope.regions.found import ExactFacet, Facets
from polytope.regions.small_facets import exact_facet, exact_facets, same_hyperplane


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
    units, points, counts, small = [], [], [0], {}
    for number, (pattern, x0) in enumerate(zip(patterns, interior_points, strict=True)):
        carriers = None if candidates is None else candidates[number]
        described = region_rows(network, domain, tables, pattern, carriers)
        found = _irredundant(described, x0, pattern, exact, programs)
        units.append(described.unit[list(found)])
        for k, (_, facet) in enumerate(found.values()):
            if facet is not None:
                small[sum(counts) + k] = facet
        points += [point for point, _ in found.values()]
        counts.append(len(found))
    return Facets(
        np.cumsum(counts),
        np.concatenate([np.zeros(0, np.int64), *units]),
        np.array(points).reshape(-1, domain.dim),
        small,
    )


def exactly(
    described: RegionRows,
    unit: int,
    near: FloatArray,
    x0: FloatArray,
    pattern: PatternArray,
    exact: ExactRows,
) -> ExactFacet | None:
    """The facet of a region on a unit's boundary next to a point, in rationals."""
    off = np.abs(described.rows[:, :-1] @ near + described.rows[:, -1])
    i = int(np.where(described.unit == unit, off, np.inf).argmin())
    rows = [exact(cut, pattern).tolist() for cut in described.cuts]
    others = [row for row in rows if not same_hyperplane(row, rows[i])]
    return exact_facet([*others, rows[i]], x0)


FacetPoint = tuple[FloatArray, ExactFacet | None]


def _irredundant(
    described: RegionRows,
    x0: FloatArray,
    pattern: PatternArray,
    exact: ExactRows,
    programs: Sequence[WarmProgram],
) -> dict[int, FacetPoint]:
    """The numbers of the rows that carry facets, and a point in the relative interior of each facet."""
    rows = described.rows
    if not len(rows):
        return {}
    slack = -(rows[:, :-1] @ x0 + rows[:, -1])
    rho = float(slack.min())
    if rho <= 2.0**-40 * float(np.abs(rows[:, -1]).max() + np.abs(x0).max()):
        return exact_facets([exact(cut, pattern).tolist() for cut in described.cuts])
    local = np.concatenate([rows[:, :-1], -(slack / rho)[:, None]], axis=1)
    first = _first_of_equal(local, lambda i: exact(described.cuts[i], pattern).tolist())
    found: dict[int, FacetPoint] = {i: (x0 + rho * y, None) for i, y in _shoot(local, first).items()}
    from polytope.regions.kernels_facets import FACET, UNCLEAR, decided  # numba only when it is needed

    open_rows = [i for i in first.tolist() if i not in found]
    states, beyond = decided(local[first], np.flatnonzero(np.isin(first, open_rows)))
    for i, state, y in zip(open_rows, states.tolist(), beyond, strict=True):
        if state == FACET:
            found[i] = (x0 + rho * _on_row(local[i], y), None)
        elif state == UNCLEAR:
            rest = first[first != i]
            y = _facet_point(local, i, rest, programs)
            if y is None:
                facet = exact_facet([exact(described.cuts[j], pattern).tolist() for j in [*rest, i]], x0)
                if facet is not None:
                    found[i] = (np.array([float(v) for v in facet.point]), facet)
            elif len(y):
                found[i] = (x0 + rho * y, None)
    return dict(sorted(found.items()))


def _first_of_equal(local: FloatArray, exact: Callable[[int], list[int]]) -> IntArray:
    """The first row of each set of rows with one hyperplane (rows of the domain come before units).

    Rows that rounding cannot tell apart are compared exactly.
    """
    gaps = np.abs(local[:, None] - local[None]).max(axis=2)
    if (np.triu(gaps, 1) + np.tri(len(local)) > 2.0**-40 * (1.0 + np.abs(local[:, -1]))).all():
        return np.arange(len(local))
    kept: list[int] = []
    for i, row in enumerate(local):
        size = 2.0**-40 * (1.0 + abs(row[-1]))
        near = [k for k in kept if np.abs(local[k] - row).max() <= size]
        if not any(same_hyperplane(exact(k), exact(i)) for k in near):
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
    local: FloatArray, i: int, rest: IntArray, programs: Sequence[WarmProgram]
) -> FloatArray | None:
    """A point of facet i; empty where the other rows imply row i; ``None`` where the margin is too small."""
    cap = np.append(local[i, :-1], 2 * local[i, -1])
    for program in programs:  # near points first: they are the accurate ones
        best = program.maximise([*local[rest], cap], local[i])
        if best.bounded or best.value > 1e-6:
            break
    if best.value > 1e-6:
        return _on_row(local[i], best.point)
    return np.zeros(0) if best.value < -1e-6 and best.bounded else None


def _on_row(row: FloatArray, beyond: FloatArray) -> FloatArray:
    """Where the way from the origin to a point beyond a row crosses it."""
    height = -float(row[-1])
    point: FloatArray = beyond * (height / float(row[:-1] @ beyond))
    return point

r"""Proved bounds on the greatest absolute output of a network over a bounded domain.

It is attained at a vertex of a region. In few dimensions the maps of all regions are evaluated at their
vertices, with bounds on all errors, and in rationals where these are wide; in many, multipliers of linear
programs prove what they cannot exceed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from polytope.bounds.output_bounds import bounds_at
from polytope.bounds.output_range import output_bounds
from polytope.core.result import ROOT
from polytope.core.vertex_cells import VertexCells, explore
from polytope.engines.budget import Budget
from polytope.engines.sampling import random_points
from polytope.exact.cells import ExactCells
from polytope.exact.equal_maps import vanish
from polytope.exact.facets import value_at
from polytope.exact.polytope import exact_corners
from polytope.geometry.inside import LEAST, ROUNDING, SLIGHTLY
from polytope.geometry.lp import WarmProgram
from polytope.geometry.polyhedron import UNBOUNDED, Polyhedron
from polytope.ir import Network
from polytope.ir.boundaries import boundaries
from polytope.ir.bounded import bounded_maps
from polytope.ir.maps import FloatArray
from polytope.labelled import nearest
from polytope.regions.complex import RegionComplex
from polytope.regions.region_rows import RegionRows, region_rows
from polytope.runs.enumerate import enumerate_regions

MOST_DIMENSIONS = 8  # beyond, cells have too many vertices
MOST_EXACT = 1000  # cells that are looked at in rationals
SAMPLES = 1000
NARROW = 1e-6  # widths of proved intervals, relative to the supremum, within which it counts as found


@dataclass(frozen=True, eq=False)
class Supremum:
    """Proved bounds on the supremum of one defect, and where the lower one is attained, but for rounding."""

    lower: float
    upper: float
    witness: FloatArray
    regions: int
    proved: bool = False


def supremum(
    error: Network,
    domain: Polyhedron,
    box: FloatArray,
    max_regions: int | None,
    budget: Budget,
    room: float,
) -> Supremum:
    """The greatest absolute output of a network over a bounded domain.

    Arguments:
        budget: of time, for all elements.
        room: by how much bounds may be apart.
    """
    if domain.dim <= MOST_DIMENSIONS:
        return _over_vertices(error, domain, max_regions, budget, room)
    complex = enumerate_regions(error, domain, max_regions=max_regions, max_seconds=budget.rest)
    if complex.complete and vanish(error, complex.patterns):
        return Supremum(0.0, 0.0, domain.inscribed_ball[0], regions=len(complex), proved=True)
    return _over_programs(complex, box, budget)


def _over_vertices(
    error: Network, domain: Polyhedron, max_regions: int | None, budget: Budget, room: float
) -> Supremum:
    """The greatest value of the regions' affine maps at their vertices, all errors counted."""
    lower, upper, witness, regions = 0.0, 0.0, domain.inscribed_ball[0], 0
    zero, exact, left = True, ExactCells(error, domain.rows, domain.b), MOST_EXACT
    most = np.inf if max_regions is None else max_regions
    for cells in _slices(error, domain, most, budget):
        values, errors = _at_vertices(error, cells)
        regions += cells.n_regions
        zero = zero and bool((values <= errors).all()) and vanish(error, cells.patterns)
        if len(values) and (values - errors).max() > lower:
            best = int((values - errors).argmax())
            lower, witness = float((values - errors)[best]), cells.vertices.points[best]
        top = (
            np.maximum.reduceat(values + errors, cells.vertices.offsets[:-1]) if len(values) else np.zeros(0)
        )
        for i in np.argsort(-top).tolist():
            if zero or top[i] <= lower * (1 + NARROW) + room or not left:
                break
            top[i], least, at = _exactly_at_vertices(exact, cells, i)
            left -= 1
            if least > lower:
                lower, witness = least, at
        upper = max(upper, float(top.max(initial=0.0)))
        if cells.open_cells and (budget.late() or budget.full() or regions >= most):
            return _bounded(error, domain, lower, witness, regions)
    if zero:
        return Supremum(0.0, 0.0, witness, regions=regions, proved=True)
    return Supremum(lower, upper, witness, regions=regions)


def _exactly_at_vertices(exact: ExactCells, cells: VertexCells, i: int) -> tuple[float, float, FloatArray]:
    """The greatest absolute output on one cell, in rationals: rounded up, rounded down, and where it is."""
    owners = cells.owners(np.arange(cells.facets.offsets[i], cells.facets.offsets[i + 1]))
    rows = [row.row for row in exact.rows(cells.patterns[i]) if row.owner in owners and any(row.row[:-1])]
    outputs = exact.exact.outputs(cells.patterns[i])
    most, at = max(
        (abs(value_at(f, corner.point)), corner.point)
        for corner in exact_corners(rows)
        for f in outputs.integers.tolist()
    )
    _, low, high = nearest(most / (1 << outputs.exponent))
    return high, low, np.array([float(v) for v in at])


def _at_vertices(error: Network, cells: VertexCells) -> tuple[FloatArray, FloatArray]:
    """The greatest absolute output at every vertex of every cell, and bounds on the errors, both ``[V]``."""
    maps = bounded_maps(error, cells.patterns)
    cell = np.repeat(np.arange(cells.n_regions), np.diff(cells.vertices.offsets))
    x, off = cells.vertices.points, cells.vertices.errors
    values = np.einsum("voi,vi->vo", maps.J[cell], x) + maps.c[cell]
    size = np.einsum("voi,vi->vo", np.abs(maps.J)[cell], np.abs(x)) + np.abs(maps.c[cell])
    room = np.einsum("voi,vi->vo", np.abs(maps.J)[cell], off) + maps.c_error[cell]
    room += np.einsum("voi,vi->vo", maps.J_error[cell], np.abs(x) + off)
    room = SLIGHTLY * (room + ROUNDING * (x.shape[1] + 2) * size) + LEAST
    return np.abs(values).max(axis=1), room.max(axis=1)


def _slices(error: Network, domain: Polyhedron, most: float, budget: Budget) -> Iterator[VertexCells]:
    """All cells with their vertices, some at a time: cells of many dimensions have many vertices."""
    start = ROOT
    some = int(min(1 << (16 - domain.dim), most))
    while start:
        cells = explore(error, domain, keep="vertices", max_regions=some, limits=budget, start=start)
        yield cells
        start = cells.open_cells


def _over_programs(complex: RegionComplex, box: FloatArray, budget: Budget) -> Supremum:
    """The same by linear programs, regions with the greatest bound first."""
    error, domain = complex.network, complex.domain
    maps = bounded_maps(error, complex.patterns)
    most = np.abs(box).max(axis=0)
    middle, radius = box.mean(axis=0), np.ptp(box, axis=0) / 2
    off = SLIGHTLY * (maps.J_error @ most + maps.c_error)
    off += 2.0**-50 * (len(most) + 8) * (np.abs(maps.J) @ most + np.abs(maps.c)) + LEAST
    bound = (np.abs(maps.J @ middle + maps.c) + np.abs(maps.J) @ radius + off).max(axis=1)
    program, tables = WarmProgram(domain.dim, UNBOUNDED), boundaries(error)
    best, upper, witness = 0.0, 0.0, domain.inscribed_ball[0]
    for number in np.argsort(-bound, kind="stable").tolist():
        if bound[number] <= best or budget.late():
            upper = max(upper, float(bound[number]))
            break
        rows = region_rows(error, domain, tables, complex.patterns[number])
        for sign, output in ((s, i) for s in (1.0, -1.0) for i in range(error.output_dim)):
            value, limit, point = _maximum(program, rows, sign * maps.J[number, output], most)
            value, limit = (v + sign * float(maps.c[number, output]) for v in (value, limit))
            upper = max(upper, limit + float(off[number, output]))
            if value > best:
                best, witness = value, point
    if not complex.complete or budget.late():
        return _bounded(error, domain, 0.0, witness, len(complex))
    inside = _inside(domain, witness)
    return Supremum(_least_at(error, inside), max(upper, best), inside, regions=len(complex))


def _maximum(
    program: WarmProgram, rows: RegionRows, slope: FloatArray, most: FloatArray
) -> tuple[float, float, FloatArray]:
    """The maximum of ``slope . x`` over a region: by a float program, proved by its multipliers, and where.

    Any multipliers y >= 0 prove ``slope . x <= -y . c + |slope - y A| . |x|``, and what rows are off by.

    Arguments:
        most: ``[d]``, the largest absolute coordinates.
    """
    A, c = rows.rows()[:, :-1], rows.c
    scale, length = float(np.abs(c).max(initial=0.0)) or 1.0, float(np.linalg.norm(slope))
    if not length:
        return 0.0, 0.0, np.zeros(len(most))
    best = program.maximise(
        list(np.concatenate([A, c[:, None] / scale], axis=1)), np.append(slope / length, 0.0)
    )
    far, terms = float(np.linalg.norm(most)), SLIGHTLY * ROUNDING * (len(c) + len(most) + 4)
    limits = []
    for y in (np.maximum(best.multipliers, 0.0) * length, np.maximum(-best.multipliers, 0.0) * length):
        rest = np.abs(slope - y @ A) + terms * (np.abs(slope) + y @ np.abs(A))
        off = y @ (rows.tilt * far + rows.shift) + terms * (y @ np.abs(c))
        limits.append(float(-y @ c + SLIGHTLY * (off + rest @ most)))
    return best.value * length * scale, min(limits), best.point * scale


def _inside(domain: Polyhedron, x: FloatArray) -> FloatArray:
    """A point of the domain next to one that may lie outside by rounding."""
    center = domain.inscribed_ball[0]
    steps = [x, *(x + 2.0**-k * (center - x) for k in (46, 40, 30)), center]
    return next(point for point in steps if domain.contains(point[None])[0])


def _least_at(error: Network, x: FloatArray) -> float:
    """The greatest absolute output at a point, or less: proved by intervals."""
    low, high = bounds_at(error, x)
    return float(np.maximum(np.maximum(low, -high), 0.0).max())


def _bounded(error: Network, domain: Polyhedron, lower: float, witness: FloatArray, regions: int) -> Supremum:
    """Certified bounds on the outputs, and the best of some random points."""
    low, high = output_bounds(error, domain)
    best = lower
    for points in random_points(domain, SAMPLES, np.random.default_rng(0)):
        values = np.abs(error(points)).max(axis=1)
        if values.max() > best:
            best, witness = float(values.max()), points[values.argmax()]
    upper = max(float(np.abs(low).max()), float(np.abs(high).max()))
    return Supremum(lower, upper, witness, regions=regions)

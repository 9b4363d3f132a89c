r"""Proved bounds on the greatest absolute output of a network over a bounded domain.

It is attained at a vertex of a region. In few dimensions the maps of all regions are evaluated at their
vertices, with bounds on all errors, and in rationals where these are wide; in many, branch and bound over the
pieces of units proves what they cannot exceed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from polytope.bounds.least_values import LeastValues, both_signs
from polytope.bounds.output_range import output_bounds
from polytope.core.result import ROOT
from polytope.core.vertex_cells import VertexCells, explore
from polytope.engines.budget import Budget, BudgetSpent
from polytope.engines.sampling import random_points
from polytope.exact.cells import ExactCells
from polytope.exact.equal_maps import vanish
from polytope.exact.facets import value_at
from polytope.exact.polytope import exact_corners
from polytope.geometry.inside import LEAST, ROUNDING, SLIGHTLY
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Network
from polytope.ir.bounded import bounded_maps
from polytope.ir.looking import watched
from polytope.ir.maps import FloatArray
from polytope.labelled import nearest
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
    max_regions: int | None,
    budget: Budget,
    room: float,
    known: float,
) -> Supremum:
    """The greatest absolute output of a network over a bounded domain.

    Arguments:
        error: the network.
        domain: the domain.
        max_regions: how many regions may be looked at, ``None`` for no limit.
        budget: of time, for all elements.
        room: by how much bounds may be apart.
        known: a bound that is proved already.
    """
    center = domain.inscribed_ball[0]
    if not known:
        return Supremum(0.0, 0.0, center, regions=0, proved=True)
    most = np.inf if max_regions is None else float(max_regions)
    if domain.dim <= MOST_DIMENSIONS:
        few = MOST_EXACT if known <= room else most  # all that is left to find is whether it is 0
        found = _over_vertices(error, domain, min(most, few), budget, room)
    elif known <= room:
        found = Supremum(0.0, known, center, regions=0)
    else:
        found = _in_many_dimensions(error, domain, most, budget, room)
    return replace(found, upper=min(found.upper, known))


def _in_many_dimensions(
    error: Network, domain: Polyhedron, most: float, budget: Budget, room: float
) -> Supremum:
    """By all regions where they are few and the output is 0 on all; else by branch and bound."""
    center, part = domain.inscribed_ball[0], None if budget.rest is None else budget.rest / 4
    complex = enumerate_regions(error, domain, max_regions=int(min(most, MOST_EXACT)), max_seconds=part)
    zero = False
    with suppress(BudgetSpent), watched(budget.look):
        zero = complex.complete and vanish(error, complex.patterns)
    if zero:
        return Supremum(0.0, 0.0, center, regions=len(complex), proved=True)
    if budget.late() or any(la.activation and la.activation.jump() for la in error.layers):
        return _bounded(error, domain, 0.0, center, len(complex))
    found = _by_branching(error, domain, most, budget, max(room, NARROW * _sampled(error, domain)[0]))
    if not np.isfinite(found.upper):  # its time ended before its first bounds
        found = _bounded(error, domain, found.lower, found.witness, found.regions)
    return replace(found, regions=found.regions + len(complex))


def _over_vertices(error: Network, domain: Polyhedron, most: float, budget: Budget, room: float) -> Supremum:
    """The greatest value of the regions' affine maps at their vertices, all errors counted."""
    lower, upper, witness, regions = 0.0, 0.0, domain.inscribed_ball[0], 0
    zero, exact, left = True, ExactCells(error, domain.rows, domain.b), MOST_EXACT
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


def _by_branching(error: Network, domain: Polyhedron, most: float, budget: Budget, gap: float) -> Supremum:
    """The greatest output of either sign by branch and bound over the pieces of units."""
    from polytope.bounds.branching.minima import Minima  # loads torch, which takes seconds

    def spent() -> bool:
        return budget.spent(0) or search.cells >= most

    known = LeastValues(both_signs(error), domain)
    known.begin(budget.first)
    search = Minima(known, gap, spent)
    with suppress(BudgetSpent), watched(budget.look):
        search.run()
    best = int(known.value.argmin())
    lower = max(0.0, float(-known.value[best]))
    witness = known.at[best] if lower else domain.inscribed_ball[0]
    return Supremum(lower, max(lower, float((-search.low).max())), witness, search.settled)


def _bounded(error: Network, domain: Polyhedron, lower: float, witness: FloatArray, regions: int) -> Supremum:
    """Certified bounds on the outputs, and the best of some random points."""
    low, high = output_bounds(error, domain)
    value, point = _sampled(error, domain)
    upper = max(float(np.abs(low).max()), float(np.abs(high).max()))
    return Supremum(lower, upper, point if value > lower else witness, regions=regions)


def _sampled(error: Network, domain: Polyhedron) -> tuple[float, FloatArray]:
    """The greatest absolute output at some random points, evaluated in float64, and where it is."""
    best, witness = 0.0, domain.inscribed_ball[0]
    for points in random_points(domain, SAMPLES, np.random.default_rng(0)):
        values = np.abs(error(points)).max(axis=1)
        if values.max() > best:
            best, witness = float(values.max()), points[values.argmax()]
    return best, witness

r"""Cells by their vertices: the native exhaustive search in dimensions 1 to 12, as one function.

``explore`` cuts the domain layer by layer (``polytope/core``). What it finds is exact for the given float64
network: signs that rounding cannot prove are decided exactly (see ``exact``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from polytope import _core
from polytope.core.bounding_box import bounding_box
from polytope.core.exact_signs import ExactSigns
from polytope.core.flat_network import FlatNetwork, flatten
from polytope.core.interior_points import proved_inside
from polytope.core.limits import BudgetSpent, Limits, attendant
from polytope.core.open_cells import Bounds, ForeignBranchError, Open, Path, open_cells
from polytope.core.packed import patterns_of
from polytope.core.reduced_network import Reducer
from polytope.core.result import ROOT, Facets, SearchResult
from polytope.errors import InternalError
from polytope.geometry.equilibrate import equilibrated
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir.continuity import refuse_infinite, refuse_jumps
from polytope.ir.looking import look, shielded, unwatched, watched
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.network import Network
from polytope.ir.products import unfolded

VERTEX_CELLS = "layer split, vertex cells"  # as reports call the engine
KEEP = {"count": 0, "cells": 1, "points": 3, "vertices": 7}
MOST_REGIONS = 2**62
MOST_DIMENSIONS = 6  # beyond, cells have so many vertices that linear programs are faster


def suits_vertices(domain: Polyhedron) -> bool:
    """Whether cells are best kept by their vertices: few dimensions, and a bounded domain."""
    return domain.dim <= MOST_DIMENSIONS and domain.is_bounded


@dataclass(frozen=True, eq=False, kw_only=True)
class CellFacets(Facets):
    """Facets of vertex cells.

    Arguments:
        key: as for ``Facets``.
        more: ``int[M, 2]``, further units that vanish on facets, as (facet, unit).
    """

    key: NDArray[np.uint64]
    more: IntArray


@dataclass(frozen=True, eq=False)
class Vertices:
    """Vertices of cells, one cell after the other.

    Arguments:
        offsets: ``int[R + 1]``; points: ``[V, d]``.
        errors: ``[V, d]``, proved bounds on how far the coordinates are off.
        incidences: ``int64[V, words]``, bit sets over the cell's facets; in the plane empty.
    """

    offsets: IntArray
    points: FloatArray
    errors: FloatArray
    incidences: IntArray


@dataclass(frozen=True, eq=False, kw_only=True)
class VertexCells(SearchResult):
    """What ``explore`` found; interior points are means of the vertices, or other points strictly inside.

    Arguments:
        facets: their unit is one whose breakpoint carries the facet, or -(row + 1) for a row of the domain.
        vertices: where they were asked for, else none.
    """

    facets: CellFacets
    vertices: Vertices

    def owners(self, facets: IntArray) -> set[int]:
        """The units, and domain rows as -(row + 1), that vanish on facets, given by their places."""
        more = self.facets.more[np.isin(self.facets.more[:, 0], facets), 1]
        return {*self.facets.unit[facets].tolist(), *more.tolist()}

    def pairs(self, *, places: bool = False, workers: int = 1) -> IntArray:
        """The pairs of cells that share a facet, ``[E, 2]``, smaller first; or the facet's two places."""
        keys, offsets = self.facets.key, self.facets.offsets
        return neighbours_by_key(keys, offsets, complete=self.complete, places=places, workers=workers)


def neighbours_by_key(
    keys: NDArray[np.uint64],
    offsets: IntArray,
    *,
    complete: bool,
    places: bool = False,
    workers: int = 1,
) -> IntArray:
    """The pairs of cells (or of places) that have a facet's key in common, ``[E, 2]``, smaller first.

    Arguments:
        keys: of all facets; 0 on the domain's boundary.
        offsets: ``[R + 1]``, where each cell's facets begin.
        complete: whether these are all cells, so that each facet has two sides.
    """
    pairs, odd = matched(keys, offsets, places=places, workers=workers)
    if complete and odd:
        raise InternalError(f"{odd} facets have no single neighbour: this is a defect of the search.")
    return pairs


def matched(
    keys: NDArray[np.uint64], offsets: IntArray, *, places: bool = False, workers: int = 1
) -> tuple[IntArray, int]:
    """The same, and how many keys are not in one pair: none, if all cells are there."""
    begin = np.ascontiguousarray(offsets, dtype=np.int64)
    pairs, odd = _core.match(np.ascontiguousarray(keys), begin, places, workers)
    return pairs, odd


def explore(
    network: Network,
    domain: Polyhedron,
    *,
    keep: str = "count",
    max_regions: int | None = None,
    limits: Limits | None = None,
    progress: Callable[[int, int], None] | None = None,
    workers: int = 1,
    start: Sequence[Path] = ROOT,
    cases: Sequence[Sequence[int]] = (),
) -> VertexCells:
    r"""All cells of a network in a bounded polytope of dimension 1 to 12.

    Arguments:
        network: its input dimension is the domain's.
        domain: more than a box is cut out of its bounding box exactly.
        keep: "count" nothing, "cells" patterns and facets, "points" facet points too, "vertices" everything.
        max_regions: stop soon after so many cells.
        limits: of time and memory; asked now and then.
        progress: called now and then with (cells found, branches open).
        workers: threads; the search runs without the interpreter's lock.
        start: ``open_cells`` of an earlier, stopped search with the same network and domain.
        cases: rows of the network's last layer, which has an activation. Where there are any, cells on which
            some row of every case is positive throughout may be left out: regions that meet a case are
            found.

    Raises:
        EmptyDomainError: the domain has no interior.
        UnboundedDomainError: the domain is unbounded.
        ValueError: a unit of the network jumps, a weight is not finite, or ``start`` is not of this search.
    """
    if keep not in KEEP:
        raise ValueError(f"keep must be one of {', '.join(KEEP)}, not {keep!r}.")
    if not 1 <= domain.dim <= 12 or network.input_dim != domain.dim:
        raise ValueError(
            f"Vertex cells take 1 to 12 dimensions, the network's: not {domain.dim} for {network.input_dim}."
        )
    try:
        with watched(limits.first if limits else unwatched):
            inner, even, scale = _even(network, domain)
            problem = vertex_problem(inner, even, 1)
    except BudgetSpent:
        return _nothing(network, domain, start)
    paths = list(start)
    if progress:
        progress(0, len(paths))
    words = 1
    while True:
        left = limits.left if limits else None
        limit, most = np.inf if left is None else left, max_regions or MOST_REGIONS
        with shielded() as outside:  # ``attend`` ends it, and what it has found is kept
            attend = attendant(limits, progress, outside)
            raw = search(inner, problem, KEEP[keep], paths, most, limit, workers, attend, cases)
        if raw["lost"]:
            raise ForeignBranchError
        if not raw["crowded"]:
            found = _collected(raw, inner, even, problem.net, open_cells(raw, Bounds(inner)))
            return _unscaled(found, scale)
        words *= 2
        problem = vertex_problem(inner, even, words)


def _nothing(network: Network, domain: Polyhedron, start: Sequence[Path]) -> VertexCells:
    """No cell: the limits ended what has to be made before the search, and all is open."""
    d, none = domain.dim, np.zeros(0, dtype=np.int64)
    left = open_cells(
        {"done": [], "untouched": [(path, -1, 0) for path in start], "regions": 0}, Bounds(network)
    )
    return VertexCells(
        engine=VERTEX_CELLS,
        n_regions=0,
        open_bound=left.bound,
        kept_patterns=np.zeros((0, network.n_units), dtype=np.int8),
        interior_points=np.zeros((0, d)),
        facets=CellFacets(
            offsets=_offsets(none.astype(np.int32)),
            unit=none,
            points=np.zeros((0, d)),
            key=none.astype(np.uint64),
            more=none.reshape(0, 2),
        ),
        vertices=Vertices(
            _offsets(none.astype(np.int32)), np.zeros((0, d)), np.zeros((0, d)), none.reshape(0, 1)
        ),
        open_cells=left.cells,
        open_bounds=left.bounds,
    )


@lru_cache(maxsize=1)
def _even(network: Network, domain: Polyhedron) -> tuple[Network, Polyhedron, FloatArray]:
    """The network without products of maps and the domain, in units in which both are of ordinary size."""
    look()
    refuse_infinite(network)
    refuse_jumps(network)
    even = equilibrated(network, domain)
    look()
    return unfolded(even.network), even.domain, even.scale


class Problem(NamedTuple):
    """The flat network on a domain, and the first cell: a box that contains the domain.

    Arguments:
        net: what the search reads.
        planes: ``[(d + 1) n]``, coordinates of the box's corners, then bounds on their errors.
        incidence: the edges of a rectangle, or for each corner the bits of its slots, then the slots' facets.
        facets, rows: of the box, ``int[2 d, 7]`` (unit, pieces below and above, names) and ``[2 d, d + 4]``
            (row, error, breakpoint, and the most that its value in the box can be off).
    """

    net: FlatNetwork
    planes: FloatArray
    incidence: IntArray
    facets: IntArray
    rows: FloatArray


def search(
    network: Network,
    problem: Problem,
    keep: int,
    paths: Sequence[Path],
    most: int,
    seconds: float,
    workers: int,
    attend: Callable[[int], bool] | None,
    cases: Sequence[Sequence[int]] = (),
) -> dict[str, Any]:
    """One call of the core."""
    exact = ExactSigns(network, problem.net)
    reducer = Reducer(problem.net, exact, time.monotonic() + seconds)
    return _core.explore(
        *problem,
        keep=keep,
        paths=paths,
        most=most,
        seconds=seconds,
        workers=workers,
        cases=[list(rows) for rows in cases],
        exact=exact.value,
        reduce=reducer.count,
        attend=attend,
    )


@lru_cache(maxsize=1)  # a worker is asked for one part of a search after the other
def _kept(network: Network, domain: Polyhedron, words: int) -> list[Problem]:
    """A place for one problem; empty until it is made."""
    return []


def vertex_problem(network: Network, domain: Polyhedron, words: int) -> Problem:
    """A domain's flat network and first cell; ``words`` of 64 bits make a vertex's set of facets."""
    kept = _kept(network, domain, words)
    if not kept:
        look()
        kept.append(_made(network, domain, words))
    return kept[0]


def _made(network: Network, domain: Polyhedron, words: int) -> Problem:
    d, A, b = domain.dim, domain.A, domain.b
    low, high, owner = bounding_box(domain)
    rows = [np.concatenate([a, [-c]]) for a, c in zip(A, b, strict=True)]
    first: list[tuple[int, int]] = []  # (row in rows, its number), for x_t >= low, x_t <= high in turn
    for t in range(d):
        for side in range(2):
            if owner[t, side] >= 0:
                first.append((int(owner[t, side]), int(owner[t, side])))
                continue
            row = np.zeros(d + 1)
            row[t], row[d] = (-1.0, low[t]) if side == 0 else (1.0, -high[t])
            first.append((len(rows), 2**30))
            rows.append(row)
    used = {number for _, number in first}
    cutting = [(i, i) for i in range(len(A)) if i not in used]
    xmax = np.maximum(np.abs(low), np.abs(high))
    net = flatten(network, np.array(rows).reshape(-1, d + 1), cutting, xmax, words)
    return Problem(net, *_box_cell(np.array(rows), first, low, high, words))


def _box_cell(
    rows: FloatArray, first: list[tuple[int, int]], low: FloatArray, high: FloatArray, words: int
) -> tuple[FloatArray, IntArray, IntArray, FloatArray]:
    """The box as planes of vertices, their facets, and where these come from."""
    d = len(low)
    rec_i = np.zeros((2 * d, 7), dtype=np.int64)
    rec_f = np.zeros((2 * d, d + 4))
    for f, (row, number) in enumerate(first):
        rec_i[f] = [-number - 1, 0, 0, -2, -2, row, -2]
        rec_f[f, : d + 1] = rows[row]
        size = np.abs(rows[row, :d]) @ np.maximum(np.abs(low), np.abs(high)) + abs(rows[row, d])
        rec_f[f, d + 3] = (d + 5) * 2.0**-53 * size + 2.0**-1000
    if d == 2:
        x = [low[0], high[0], high[0], low[0]]
        y = [low[1], low[1], high[1], high[1]]
        coordinates = np.array([x, y])
        incidence = np.array([2, 1, 3, 0], dtype=np.int64)
    else:
        corner = np.arange(2**d)
        sides = np.array([(corner >> t) & 1 for t in range(d)])
        coordinates = np.where(sides == 1, high[:, None], low[:, None])
        bits = np.zeros((words, 2**d), dtype=np.int64)
        for t in range(d):
            bits[0] |= np.int64(1) << (2 * t + sides[t])
        slots = np.full(64 * words, -1, dtype=np.int64)
        slots[: 2 * d] = np.arange(2 * d)
        incidence = np.concatenate([bits.ravel(), slots])
    errors = np.full((1, coordinates.shape[1]), 2.0**-52 * max(np.abs(coordinates).max(), 1e-300))
    return np.concatenate([coordinates, errors]).ravel(), incidence, rec_i, rec_f


def _unscaled(found: VertexCells, scale: FloatArray) -> VertexCells:
    """All points in the given coordinates."""
    if (scale == 1).all():
        return found
    facets, vertices = found.facets, found.vertices
    return replace(
        found,
        interior_points=found.interior_points * scale,
        facets=replace(facets, points=None if facets.points is None else facets.points * scale),
        vertices=replace(vertices, points=vertices.points * scale, errors=vertices.errors * scale),
    )


def _collected(
    raw: dict[str, Any], network: Network, domain: Polyhedron, net: FlatNetwork, left: Open
) -> VertexCells:
    """The arrays that the core returned, by name, with every point proved to be inside."""
    d, words, units, _, _, _, packed = net.par[[0, 2, 3, 4, 5, 6, 7]].tolist()
    patterns, points = patterns_of(raw["patterns"], units, packed=bool(packed)), raw["points"]
    doubtful = np.flatnonzero(raw["doubtful"])
    some = patterns_of(raw["patterns"][doubtful], units, packed=bool(packed))
    offsets = _offsets(raw["n_facets"])
    owners = [raw["facet_units"][offsets[i] : offsets[i + 1]] for i in doubtful]
    points[doubtful] = proved_inside(network, domain, some, points[doubtful], owners)
    corners = raw.get("vertices", np.zeros((0, d + 1)))
    left_out = {"cells_left_out": raw["left_out"]} if raw["left_out"] else {}
    return VertexCells(
        engine=VERTEX_CELLS,
        n_regions=raw["regions"],
        open_bound=left.bound,
        kept_patterns=patterns,
        interior_points=points,
        facets=CellFacets(
            offsets=offsets,
            unit=raw["facet_units"],
            points=raw.get("facet_points"),
            key=raw["facet_keys"],
            more=raw["facet_more"],
        ),
        vertices=Vertices(
            offsets=_offsets(raw.get("n_vertices", np.zeros(0, np.int32))),
            points=np.ascontiguousarray(corners[:, :d]),
            errors=np.broadcast_to(corners[:, d:], (len(corners), d)),
            incidences=raw.get("incidences", np.zeros((0, words), np.uint64)).view(np.int64),
        ),
        statistics={"exact_signs": raw["exact"], "smallest_margin": raw["margin"]} | left_out,
        open_cells=left.cells,
        open_bounds=left.bounds,
    )


def _offsets(counts: NDArray[np.int32]) -> IntArray:
    """Where each of several runs begins, and the end of the last."""
    out = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=out[1:])
    return out

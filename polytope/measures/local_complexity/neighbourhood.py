r"""Exact local complexity: units, regions and the volume of crossings in a neighbourhood of each point."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polytope.core.vertex_cells import explore, suits_vertices
from polytope.engines.amounts import Seconds
from polytope.engines.budget import Budget, BudgetSpent
from polytope.engines.named import EngineLike
from polytope.errors import GeometryError
from polytope.geometry.polyhedron import Polyhedron
from polytope.given import NetworkLike, as_network
from polytope.ir import mlp
from polytope.ir.looking import look, watched
from polytope.ir.maps import FloatArray
from polytope.ir.oneline import one_line
from polytope.measures.local_complexity.inputs import checked_frames, checked_points, checked_radius
from polytope.measures.units import unit_use
from polytope.regions.cell_volumes import facet_volumes, float_volumes
from polytope.regions.complex import RegionComplex
from polytope.runs.enumerate import enumerate_regions

Shape = Literal["cross-polytope", "box"]

MOST = 2**63 - 1  # that int64 holds


@dataclass(frozen=True, eq=False)
class ExactComplexity:
    """The crossings in the neighbourhood of each point; intervals where a budget stopped the search.

    Arguments:
        units_lower, units_upper: ``int[B, layers]``, units with a crossing inside, by hidden layer.
        regions_lower, regions_upper: ``int[B]``, activation regions; 2^63 - 1 stands for more, too.
        crossing_volume: ``[B]``, the volume of the crossings inside, of one dimension less than the
            neighbourhood: an **estimate** in float64; of those that were found where not complete.
        complete: ``bool[B]``, whether the numbers of units and regions of a point are exact.
    """

    units_lower: NDArray[np.int64]
    units_upper: NDArray[np.int64]
    regions_lower: NDArray[np.int64]
    regions_upper: NDArray[np.int64]
    crossing_volume: FloatArray
    complete: NDArray[np.bool_]

    __repr__ = one_line


def exact_local_complexity(
    network: NetworkLike,
    x: ArrayLike,
    radius: float,
    *,
    frames: ArrayLike | None = None,
    shape: Shape = "cross-polytope",
    engine: EngineLike | None = None,
    max_regions: int | None = None,
    max_seconds: Seconds | None = None,
) -> ExactComplexity:
    r"""Units, regions and crossings in the neighbourhoods of points, by enumerating the regions there.

    The neighbourhood of x is the cross-polytope :math:`\mathrm{conv}\{x \pm r v_p\}` whose vertices the
    crossing count looks at, or the box :math:`\{x + \sum_p t_p v_p : |t_p| \le r\}`. With fewer directions
    than dimensions it lies in the window through x that they span, and volumes are measured there. Points and
    directions are taken as they are: nothing is rounded when the network is put on the window.

    Arguments:
        network: the network.
        x: points, ``[B, d]``.
        radius: r.
        frames: orthonormal directions, ``[P, d]``; ``None`` is the coordinate axes.
        shape: ``"cross-polytope"`` (at most 16 directions) or ``"box"``.
        engine: as in ``enumerate_regions``.
        max_regions, max_seconds: budgets for each point; the result is then an interval.

    Raises:
        ValueError: for wrong points, radius, shape or directions that are not orthonormal.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0, 0.0], [0.0, 1.0]], [0.0, -0.5]), ([[1.0, 1.0]], [0.0])])
        >>> found = exact_local_complexity(net, [[0.0, 0.0], [0.0, 0.5]], 0.25)
        >>> found.regions_lower.tolist(), found.units_lower.tolist(), found.crossing_volume.tolist()
        ([2, 4], [[1], [2]], [0.5, 1.0])
    """
    network = as_network(network)
    points = checked_points(network, x)
    checked_radius(radius)
    if shape not in ("cross-polytope", "box"):
        raise ValueError(f"shape must be 'cross-polytope' or 'box', not {shape!r}.")
    d = points.shape[1]
    directions = checked_frames(np.eye(d) if frames is None else frames, d, shared_frame=True)
    if (
        isinstance(directions, int)
        or np.abs(directions @ directions.T - np.eye(len(directions))).max() > 1e-9
    ):
        raise ValueError(
            "frames: the neighbourhood is measured along orthonormal directions; orthonormalise them."
        )
    ends = np.full(len(directions), float(radius))
    domain = (
        Polyhedron.box(-ends, ends)
        if shape == "box"
        else Polyhedron.cross_polytope(np.zeros(len(ends)), float(radius))
    )
    found = []
    for point in points:
        budget, inside = Budget(max_regions, max_seconds), mlp([(directions.T, point)]).then(network)
        complex = enumerate_regions(inside, domain, engine, max_regions=max_regions, max_seconds=max_seconds)
        found.append(_around(complex, budget))
    layers = len(network.widths)
    units = np.array([(low, high) for low, high, _, _ in found], dtype=np.int64).reshape(-1, 2, layers)
    regions = np.array([(low, min(high, MOST)) for _, _, (low, high), _ in found], np.int64).reshape(-1, 2)
    volumes = np.array([volume for *_, volume in found], dtype=float)
    complete = regions[:, 0] == regions[:, 1]
    return ExactComplexity(units[:, 0], units[:, 1], regions[:, 0], regions[:, 1], volumes, complete)


def _around(complex: RegionComplex, budget: Budget) -> tuple[list[int], list[int], tuple[int, int], float]:
    """Least and greatest numbers of units by layer, of regions, and the volume of the crossings."""
    widths = complex.network.widths
    if not len(complex):
        return [0] * len(widths), list(widths), (complex.lower, complex.upper), 0.0
    varying = (complex.patterns != complex.patterns[0]).any(axis=0)
    fixed, ends, volume = np.zeros_like(varying), np.cumsum((0, *widths)), 0.0
    with suppress(BudgetSpent), watched(budget.first):
        fixed = unit_use(complex).fixed
    with suppress(BudgetSpent), watched(budget.first):
        volume = crossing_volume(complex)
    low = [int(varying[a:b].sum()) for a, b in pairwise(ends)]
    high = [int((~fixed[a:b]).sum()) for a, b in pairwise(ends)]
    return low, high, (complex.lower, complex.upper), volume


def crossing_volume(complex: RegionComplex) -> float:
    """The (d-1)-volume of the crossings inside the bounded domain of a complex, up to rounding.

    A crossing is a facet that two regions share; where several units change on it, it is measured once. In
    one dimension this is the number of points at which some unit changes its piece. Of a partial complex only
    the facets of the regions found are measured: those towards regions that are missing count half, and those
    thinner than rounding not at all.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0, 1.0]], [0.0]), ([[1.0]], [0.0])])
        >>> round(crossing_volume(pt.enumerate_regions(net, pt.Polyhedron.box([-1, -1], [1, 1]))), 12)
        2.828427124746
    """
    if complex.complete and suits_vertices(complex.domain):
        found = explore(complex.network, complex.domain, keep="vertices")
        return float(facet_volumes(found, found.facets.unit >= 0).sum()) / 2
    facets, both_sides = complex.facets, 0.0
    for number in range(len(complex)):
        span = slice(int(facets.offsets[number]), int(facets.offsets[number + 1]))
        inner = np.flatnonzero(facets.unit[span] >= 0)
        if not len(inner):
            continue
        try:
            look()
            A, b = complex[number].halfspaces
            points = complex.facet_points(number)
        except BudgetSpent:
            break
        both_sides += sum(_facet_volume(A, b, int(row), points[row]) for row in inner)
    return both_sides / 2


def _facet_volume(A: FloatArray, b: FloatArray, row: int, inside: FloatArray) -> float:
    """The volume of the facet of ``{A x <= b}`` on one row (of unit length), around a point inside it.

    In coordinates of the facet it is a cell of an affine network, in a domain of one dimension less.
    """
    d = A.shape[1]
    if d == 1:
        return 1.0
    _, _, vt = np.linalg.svd(A[row : row + 1])
    others = np.arange(len(A)) != row
    sides = A[others] @ vt[1:].T
    slack = b[others] - A[others] @ inside
    try:
        found = explore(mlp([(np.zeros((1, d - 1)), [0.0])]), Polyhedron(sides, slack), keep="vertices")
    except GeometryError:
        return 0.0  # thinner than what its rows are rounded by: empty, or open at an end
    return float(float_volumes(found)[0].sum())

r"""Level sets of an output, and the boundary between two classes, from the network: without all its regions.

Rows that vanish on the set become units behind the network. Cells on which bounds show that the set is not
met are not entered; the set is made of the facets between the cells that are found on its two sides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polytope.core.vertex_cells import VertexCells, explore, neighbours_by_key
from polytope.engines.amounts import Seconds
from polytope.engines.budget import Budget
from polytope.errors import GeometryError
from polytope.geometry.polyhedron import Polyhedron
from polytope.given import DomainLike, NetworkLike, as_problem
from polytope.ir import Network
from polytope.ir.activations import PatternArray
from polytope.ir.maps import FloatArray
from polytope.ir.oneline import one_line
from polytope.measures.decision_boundary import facet_vertices
from polytope.measures.preimages import with_conditions
from polytope.regions.cell_volumes import facet_volumes

Sides = Callable[[PatternArray], tuple[NDArray[np.bool_], NDArray[np.bool_]]]


@dataclass(frozen=True, eq=False)
class LevelSet:
    """A hypersurface in the input space, facet by facet.

    Arguments:
        patterns: ``int8[F, units]``, of the region that each facet lies in; between two regions the one where
            the output is at most the level, or where the first class wins.
        areas: ``[F]``, (d-1)-volumes of the facets: lengths for d = 2, numbers of points for d = 1. An
            **estimate**: in float64 from the vertices.
        points: the vertices of each facet, ``[v, d]``, in float64 up to errors that the search bounds.
        complete: whether these are all facets of the set in the domain.
        left_out: cells that were not entered, since the set does not meet them.
    """

    patterns: PatternArray
    areas: FloatArray
    points: tuple[FloatArray, ...]
    complete: bool
    left_out: int

    __repr__ = one_line

    @property
    def area(self) -> float:
        """The (d-1)-volume of all facets."""
        return float(self.areas.sum())

    def __len__(self) -> int:
        return len(self.areas)


def level_set(
    network: NetworkLike,
    domain: DomainLike,
    level: float = 0.0,
    *,
    output: int = 0,
    max_regions: int | None = None,
    max_seconds: Seconds | None = None,
) -> LevelSet:
    r"""Where an output passes a level: the boundary of :math:`\{x \in D : f_i(x) > c\}` inside the domain D.

    Which facets there are is **exact**. Parts at which the output only touches the level, and does not pass
    it, are left out; so is what lies on the domain's boundary.

    Arguments:
        network: the network.
        domain: D, bounded, of one to six dimensions.
        level: c.
        output: i, from 0.
        max_regions: budget, in regions that are looked at.
        max_seconds: budget.

    Raises:
        GeometryError: the output is the level all over a region: the set is not a hypersurface there.
        ValueError: the domain does not fit the network or has more dimensions, there is no such output, or
            the level is not finite.
        EmptyDomainError: the domain has no interior.
        UnboundedDomainError: the domain is unbounded.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1, 0], [-1, 0], [0, 1], [0, -1]], [0] * 4), ([[1] * 4], [0])])  # |x| + |y|
        >>> found = level_set(net, pt.Polyhedron.box([-2, -2], [2, 2]), 1.0)
        >>> len(found), round(found.area / 2**0.5, 12)
        (4, 4.0)
    """
    network, domain = as_problem(network, domain)
    if not 0 <= output < network.output_dim:
        raise ValueError(f"level_set: there is no output {output}; the network has {network.output_dim}.")
    if not np.isfinite(level):
        raise ValueError(f"level_set: the level must be a finite number, not {level}.")
    row = np.eye(network.output_dim)[[output]]
    behind = with_conditions(network, np.concatenate([row, -row]), np.array([level, -level]))

    def sides(conditions: PatternArray) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        above = conditions[:, 0] == 1
        if (~above & (conditions[:, 1] == 0)).any():
            raise GeometryError(f"level_set: output {output} is {level} all over a region.")
        return ~above, above

    return _between(network, behind, domain, sides, Budget(max_regions, max_seconds))


def class_boundary(
    network: NetworkLike,
    domain: DomainLike,
    first: int,
    second: int,
    *,
    max_regions: int | None = None,
    max_seconds: Seconds | None = None,
) -> LevelSet:
    r"""Where the class changes from one to another: :math:`f_i = f_j \ge f_k` for all k, inside the domain.

    The class is the place of the largest output. ``decision_boundary`` gives the boundaries of all pairs of
    classes from a complete complex; this one needs none. Which facets there are is **exact**.

    Arguments:
        network: a network of two or more outputs.
        domain: bounded, of one to six dimensions.
        first, second: i and j, from 0.
        max_regions: budget, in regions that are looked at.
        max_seconds: budget.

    Raises:
        GeometryError: both win all over a region: the set is not a hypersurface there.
        ValueError: the domain does not fit the network or has more dimensions, or these are not two classes.
        EmptyDomainError: the domain has no interior.
        UnboundedDomainError: the domain is unbounded.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0, 0.0], [-1.0, 1.0], [-1.0, -1.0]], [0.0] * 3)])
        >>> square = pt.Polyhedron.box([-1, -1], [1, 1])
        >>> round(class_boundary(net, square, 1, 2).area, 12)  # from (-1, 0) to where all three meet
        1.0
    """
    network, domain = as_problem(network, domain)
    n = network.output_dim
    if not (0 <= first < n and 0 <= second < n and first != second):
        raise ValueError(f"class_boundary: two different classes of {n} were expected.")
    eye = np.eye(n)
    others = [k for k in range(n) if k not in (first, second)]
    rows = [eye[first] - eye[second], eye[second] - eye[first]]
    rows += [eye[k] - eye[i] for i in (first, second) for k in others]
    behind = with_conditions(network, np.array(rows), np.zeros(len(rows)))

    def sides(conditions: PatternArray) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        behind_first = (conditions[:, 2 : 2 + len(others)] == 0).all(axis=1)
        behind_second = (conditions[:, 2 + len(others) :] == 0).all(axis=1)
        ahead, after = conditions[:, 0] == 1, conditions[:, 1] == 1
        if (~ahead & ~after & behind_first).any():
            raise GeometryError(f"class_boundary: classes {first} and {second} tie all over a region.")
        return ahead & behind_first, after & behind_second

    return _between(network, behind, domain, sides, Budget(max_regions, max_seconds))


def _between(network: Network, behind: Network, domain: Polyhedron, sides: Sides, budget: Budget) -> LevelSet:
    """The facets between cells on one side and cells on the other, in the search for both."""
    if domain.dim > 6:
        raise ValueError(f"Level sets are found in up to six dimensions; this domain has {domain.dim}.")
    found = explore(
        behind,
        domain,
        keep="vertices",
        max_regions=budget.max_regions,
        limits=budget,
        cases=[list(range(behind.layers[-1].width))],
    )
    one, other = sides(found.patterns[:, network.n_units :])
    places, cells = _facets_between(found, one, other)
    wanted = np.zeros(len(found.facets.unit), dtype=bool)
    wanted[places] = True
    areas = facet_volumes(found, wanted)[places]
    left_out = int(found.statistics.get("cells_left_out", 0))
    patterns = found.patterns[cells, : network.n_units]
    return LevelSet(patterns, areas, facet_vertices(found, places), not found.open_bound, left_out)


def _facets_between(
    found: VertexCells, one: NDArray[np.bool_], other: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The facets of cells on one side that have a cell of the other side behind them, and those cells."""
    facets = found.facets
    pairs = neighbours_by_key(facets.key, facets.offsets, complete=False, places=True)
    cell = np.repeat(np.arange(found.n_regions), np.diff(facets.offsets))
    both = np.concatenate([pairs, pairs[:, ::-1]])
    both = both[one[cell[both[:, 0]]] & other[cell[both[:, 1]]]]
    places = np.sort(both[:, 0])
    return places, cell[places]

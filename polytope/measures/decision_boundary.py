r"""The decision boundary of a classifier inside every region, as facets with their (d-1)-volumes.

The class is one more unit: the place of the largest output, or the sign of the only one. The boundary is made
of the facets between cells that differ in it, which the search decides exactly like all others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polytope.core.limits import BudgetSpent
from polytope.core.vertex_cells import VertexCells, explore
from polytope.errors import GeometryError, UnboundedDomainError
from polytope.exact.network import ExactNetwork
from polytope.ir import Dense, Layer, Network, max_groups, relu
from polytope.ir.bounded import bounded_maps
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.oneline import one_line
from polytope.regions.asked import require_regions
from polytope.regions.cell_volumes import facet_volumes
from polytope.regions.complex import RegionComplex
from polytope.regions.faces import corners


@dataclass(frozen=True, eq=False)
class DecisionBoundary:
    """Where the class of a network changes in a domain.

    Arguments:
        regions: ``int[F]``, the region that each facet lies in (one of the two, where it lies between two).
        classes: ``int[F, 2]``, the two classes that meet there, smaller first; for a scalar output 0 stands
            for negative and 1 for positive.
        areas: ``[F]``, (d-1)-volumes of the facets: lengths for d = 2, numbers of points for d = 1. An
            **estimate**: in float64 from the vertices.
        points: the vertices of each facet, ``[v, d]``, in float64 up to errors that the search bounds.
        everywhere: the one class of the whole domain where there is no facet, else None. **Exact**.
    """

    regions: IntArray
    classes: IntArray
    areas: FloatArray
    points: tuple[FloatArray, ...]
    everywhere: int | None = None

    __repr__ = one_line

    @property
    def area(self) -> float:
        """The (d-1)-volume of the whole boundary."""
        return float(self.areas.sum())

    def __len__(self) -> int:
        return len(self.areas)


def decision_boundary(complex: RegionComplex) -> DecisionBoundary:
    r"""The facets :math:`\{x \in R : f_i(x) = f_j(x) \ge f_k(x)\ \forall k\}` of the decision boundary.

    The class of x is the largest output; of a scalar output it is the sign. Parts at which classes only
    touch, and do not change, are left out; so is what lies on the domain's boundary. Which facets there are
    is exact. Where there are none, ``everywhere`` names the class of the whole domain. An output that is no
    class, as of a regression, has a ``level_set`` instead.

    Arguments:
        complex: a complete complex in a bounded domain of up to twelve dimensions.

    Raises:
        IncompleteComplexError: the complex is partial.
        UnboundedDomainError: the domain is unbounded, and areas may be infinite.
        GeometryError: two classes tie all over a region: the boundary is not a hypersurface there.
        ValueError: there are more dimensions, or more than 127 classes.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1, 0], [-1, 0], [0, 1], [0, -1]], [0] * 4), ([[1] * 4], [-1])])  # |x| + |y| - 1
        >>> found = decision_boundary(pt.enumerate_regions(net, pt.Polyhedron.box([-2, -2], [2, 2])))
        >>> len(found), round(found.area / 2**0.5, 12)
        (4, 4.0)
    """
    require_regions(complex, "decision_boundary")
    complex.require_complete("decision_boundary")
    if not complex.domain.is_bounded:
        raise UnboundedDomainError("decision_boundary: areas in an unbounded domain may be infinite.")
    found = explore(classified(complex.network), complex.domain, keep="vertices")
    if found.open_cells:  # whoever watches ended it
        raise BudgetSpent
    number = {pattern.tobytes(): i for i, pattern in enumerate(complex.patterns)}
    region = np.array([number[pattern[:-1].tobytes()] for pattern in found.patterns], dtype=np.int64)
    winner = found.patterns[:, -1].astype(np.int64)
    _refuse_ties(complex.network, found, region, winner)
    places, cells = _changes(found, winner)
    classes, regions = np.sort(winner[cells], axis=1), region[cells[:, 0]]
    order = np.lexsort((classes[:, 1], classes[:, 0], regions))
    wanted = np.zeros(len(found.facets.unit), dtype=bool)
    wanted[places] = True
    areas = facet_volumes(found, wanted)
    return DecisionBoundary(
        regions[order],
        classes[order],
        areas[places[order]],
        facet_vertices(found, places[order]),
        None if len(order) else int(winner[0]),
    )


def classified(network: Network) -> Network:
    """The network with one more unit, the last: 1 where a scalar output is positive, else the winner."""
    k = network.output_dim
    comparison = relu() if k == 1 else max_groups(np.arange(k)[None])
    return network.then(Network((k,), (Layer((0,), (Dense(np.eye(k)),), np.zeros(k), comparison),)))


def _changes(found: VertexCells, winner: IntArray) -> tuple[IntArray, IntArray]:
    """The facets across which the class changes, by place: of the smaller class; the cells on both sides."""
    shared = found.pairs(places=True)
    cell = np.repeat(np.arange(found.n_regions), np.diff(found.facets.offsets))
    shared = shared[winner[cell[shared[:, 0]]] != winner[cell[shared[:, 1]]]]
    swapped = winner[cell[shared[:, 0]]] > winner[cell[shared[:, 1]]]
    shared[swapped] = shared[swapped][:, ::-1]
    return shared[:, 0], cell[shared]


def facet_vertices(found: VertexCells, places: IntArray) -> tuple[FloatArray, ...]:
    """The vertices ``[v, d]`` of facets."""
    place, vertex = corners(found)
    first, last = (np.searchsorted(place, places, side) for side in ("left", "right"))
    return tuple(
        found.vertices.points[vertex[a:b]] for a, b in zip(first.tolist(), last.tolist(), strict=True)
    )


def _refuse_ties(network: Network, found: VertexCells, region: IntArray, winner: IntArray) -> None:
    """Raise an error where two classes tie all over a cell: by bounds on the maps, or exactly."""
    maps = bounded_maps(network, found.patterns[:, :-1])
    rows = np.concatenate([maps.J, maps.c[:, :, None]], axis=2)
    errors = np.concatenate([maps.J_error, maps.c_error[:, :, None]], axis=2)
    if network.output_dim == 1:  # against the constant 0
        rows, errors = (np.concatenate([part, np.zeros_like(part)], axis=1) for part in (rows, errors))
        winner = np.zeros_like(winner)
    cell = np.arange(len(winner))
    gap = np.abs(rows - rows[cell, winner][:, None])
    room = (errors + errors[cell, winner][:, None]) * (1 + 2.0**-50)
    close = (gap <= room + 2.0**-52 * gap).all(axis=2)
    close[cell, winner] = False
    exact = ExactNetwork(network)
    for i, k in np.argwhere(close).tolist():
        difference = np.zeros(rows.shape[1])
        difference[[winner[i], k]] = 1.0, -1.0
        row = exact.output(difference[: network.output_dim].tolist(), found.patterns[i, :-1])
        if not row.integers.any():
            pair = sorted((int(winner[i]), k))
            raise GeometryError(
                f"decision_boundary: classes {pair[0]} and {pair[1]} tie all over region {region[i]}."
            )

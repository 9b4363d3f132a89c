r"""The decision boundary of a classifier inside every region, as facets with their (d-1)-volumes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError

from polytope.errors import GeometryError, UnboundedDomainError
from polytope.ir.maps import FloatArray, IntArray
from polytope.regions.complex import RegionComplex
from polytope.regions.vertex_search import cell_vertices


@dataclass(frozen=True, eq=False)
class DecisionBoundary:
    """Where the class of a network changes in a domain.

    Arguments:
        regions: ``int[F]``, the region that each facet lies in (one of the two, where it lies between two).
        classes: ``int[F, 2]``, the two classes that meet there, smaller first; for a scalar output 0 stands
            for negative and 1 for positive.
        areas: ``[F]``, (d-1)-volumes of the facets: lengths for d = 2, numbers of points for d = 1. Exact up
            to rounding.
        points: the vertices of each facet, ``[v, d]``.
    """

    regions: IntArray
    classes: IntArray
    areas: FloatArray
    points: tuple[FloatArray, ...]

    @property
    def area(self) -> float:
        """The (d-1)-volume of the whole boundary."""
        return float(self.areas.sum())

    def __len__(self) -> int:
        return len(self.areas)


@dataclass(frozen=True, eq=False)
class _Piece:
    """A part of the boundary in one region, or on its side: there the region is in the class ``inside``."""

    region: int
    classes: tuple[int, int]
    area: float
    points: FloatArray
    inside: int = -1


def decision_boundary(complex: RegionComplex) -> DecisionBoundary:
    r"""The facets :math:`\{x \in R : f_i(x) = f_j(x) \ge f_k(x)\ \forall k\}` of the decision boundary.

    The class of x is the largest output; of a scalar output it is the sign. Parts at which classes only
    touch, and do not change, are left out; so is what lies on the domain's boundary.

    Arguments:
        complex: a complete complex in a bounded domain.

    Raises:
        IncompleteComplexError: the complex is partial.
        UnboundedDomainError: the domain is unbounded, and areas may be infinite.
        GeometryError: two classes tie all over a region: the boundary is not a hypersurface there.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1, 0], [-1, 0], [0, 1], [0, -1]], [0] * 4), ([[1] * 4], [-1])])  # |x| + |y| - 1
        >>> found = decision_boundary(pt.enumerate_regions(net, pt.Polyhedron.box([-2, -2], [2, 2])))
        >>> len(found), round(found.area / 2**0.5, 12)
        (4, 4.0)
    """
    complex.require_complete("decision_boundary")
    if not complex.domain.is_bounded:
        raise UnboundedDomainError("decision_boundary: areas in an unbounded domain may be infinite.")
    pieces: list[_Piece] = []
    sides: list[_Piece] = []
    for region, corners in enumerate(cell_vertices(complex)):
        for piece in _pieces(complex, region, corners):
            (pieces if piece.inside < 0 else sides).append(piece)
    pieces += _two_sided(complex, sides)
    pieces.sort(key=lambda piece: (piece.region, piece.classes))
    return DecisionBoundary(
        np.array([piece.region for piece in pieces], dtype=np.int64),
        np.array([piece.classes for piece in pieces], dtype=np.int64).reshape(-1, 2),
        np.array([piece.area for piece in pieces], dtype=float),
        tuple(piece.points for piece in pieces),
    )


def _pieces(complex: RegionComplex, region: int, corners: FloatArray) -> Iterator[_Piece]:
    """The parts of the boundary in a region with these vertices."""
    J, c = complex.network.affine(complex.patterns[region])
    if len(J) == 1:
        J, c = np.concatenate([np.zeros_like(J), J]), np.append(0.0, c)
    values = corners @ J.T + c
    rounding = 2.0**-40 * (np.abs(corners) @ np.abs(J).T + np.abs(c)).max()
    possible = [i for i in range(len(J)) if not (values > values[:, [i]] + rounding).all(axis=0).any()]
    if len(possible) < 2:
        return
    d = complex.domain.dim
    for i, j in combinations(possible, 2):
        gap = values[:, i] - values[:, j]
        gap[np.abs(gap) <= rounding] = 0.0
        others = [k for k in possible if k not in (i, j)]
        if not gap.any():
            whole = _hull(_clipped(corners, values, i, others), d)
            if whole is not None:
                raise GeometryError(f"decision_boundary: classes {i} and {j} tie all over region {region}.")
            continue
        both = bool(gap.max() > 0 > gap.min())
        if not both and (gap == 0).sum() < d:
            continue
        points, at = _section(corners, values, gap)
        facet = _hull(_clipped(points, at, i, others), d - 1)
        if facet is not None:
            inside = -1 if both else (i if gap.max() > 0 else j)
            yield _Piece(region, (i, j), facet[1], facet[0], inside)


def _section(points: FloatArray, values: FloatArray, gap: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Points whose hull is where an affine function vanishes on the hull of others, and the values there."""
    above, below = np.flatnonzero(gap > 0), np.flatnonzero(gap < 0)
    p, q = np.repeat(above, len(below)), np.tile(below, len(above))
    share = (gap[p] / (gap[p] - gap[q]))[:, None]
    on = gap == 0
    return tuple(  # type: ignore[return-value]
        np.concatenate([table[on], table[p] + share * (table[q] - table[p])]) for table in (points, values)
    )


def _clipped(points: FloatArray, values: FloatArray, i: int, others: list[int]) -> FloatArray:
    """Points whose hull is the part of the hull where no other class is larger than class i."""
    for k in others:
        gap = values[:, k] - values[:, i]
        if not (gap > 0).any():
            continue
        cut, at = _section(points, values, gap)
        kept = gap < 0
        points, values = np.concatenate([points[kept], cut]), np.concatenate([values[kept], at])
    return points


def _hull(points: FloatArray, dim: int) -> tuple[FloatArray, float] | None:
    """The vertices and the volume of the hull of points in an affine space of so many dimensions.

    ``None`` if it has fewer.
    """
    if len(points) <= dim:
        return None
    if dim == 0:
        return points[:1], 1.0
    center = points.mean(axis=0)
    _, _, axes = np.linalg.svd(points - center, full_matrices=False)
    own = (points - center) @ axes[:dim].T
    size = np.ptp(own, axis=0)
    if not size.min() > 2.0**-44 * float(np.abs(points).max()):
        return None
    if dim == 1:
        return points[[int(own.argmin()), int(own.argmax())]], float(size[0])
    try:
        hull = ConvexHull(own / size)
    except QhullError:
        return None
    return points[np.sort(hull.vertices)], float(hull.volume * np.prod(size))


def _two_sided(complex: RegionComplex, sides: list[_Piece]) -> list[_Piece]:
    """The parts between two regions of which one is in the one class and the other in the other."""
    if not sides:
        return []
    touching = {(int(a), int(b)) for a, b in complex.neighbours}
    by_region: dict[int, list[_Piece]] = {}
    for piece in sides:
        by_region.setdefault(piece.region, []).append(piece)
    near: dict[int, list[int]] = {}
    for a, b in touching:
        near.setdefault(a, []).append(b)
        near.setdefault(b, []).append(a)
    return [
        piece
        for piece in sides
        if piece.inside == piece.classes[0]
        and any(
            other.inside == piece.classes[1] and other.classes == piece.classes and _same_place(piece, other)
            for neighbour in near.get(piece.region, [])
            for other in by_region.get(neighbour, [])
        )
    ]


def _same_place(one: _Piece, two: _Piece) -> bool:
    """Whether two parts are one, seen from its two sides."""
    ends = [np.stack([piece.points.min(axis=0), piece.points.max(axis=0)]) for piece in (one, two)]
    size = max(float(np.ptp(ends[0], axis=0).max()), 2.0**-30 * float(np.abs(ends[0]).max()))
    close: NDArray[np.bool_] = np.abs(ends[0] - ends[1]) <= 1e-6 * size
    return bool(close.all())

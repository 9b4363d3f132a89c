r"""The shape of level sets and of the graph of regions: faces, Euler characteristics, Betti numbers, spectra.

A level set :math:`\{f = t\}` of a piecewise-affine function cuts every face of the complex of regions in a
face of one dimension less, or holds it. Faces and incidences give the boundary maps of its chain complex over
GF(2), and :math:`\beta_k = \dim C_k - \mathrm{rank}\, \partial_k - \mathrm{rank}\, \partial_{k+1}`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csgraph, csr_array, diags_array
from scipy.sparse.linalg import eigsh

from polytope.core.vertex_cells import explore
from polytope.errors import UnboundedDomainError
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.oneline import one_line
from polytope.measures.vertex_signs import vertex_signs
from polytope.regions.asked import require_regions
from polytope.regions.complex import RegionComplex
from polytope.regions.exact_vertices import ExactVertices
from polytope.regions.faces import FaceLattice, face_lattice

Kind = tuple[str, int]  # of a cell: "held", "cut" or "below", and the dimension of the face it comes from


@dataclass(frozen=True)
class Topology:
    """The shape of a set that is cut into polytopes.

    Arguments:
        f_vector: the numbers of its faces, vertices first.
        betti: the Betti numbers over GF(2): components, independent loops, cavities.
    """

    f_vector: tuple[int, ...]
    betti: tuple[int, ...]

    __repr__ = one_line

    @property
    def euler_characteristic(self) -> int:
        """The alternating sum of the numbers of faces: equal to that of the Betti numbers."""
        return sum((-1) ** k * n for k, n in enumerate(self.f_vector))


def level_set_topology(complex: RegionComplex, level: float = 0.0) -> Topology:
    r"""The level set :math:`\{x : f(x) = t\}` in the domain; for t = 0 the decision boundary.

    Which vertices lie above, below and on the level is decided by proved error bounds, or exactly.

    Arguments:
        complex: a complete complex of a scalar network in a bounded domain of one to three dimensions. Of a
            classifier take ``network.margin(i, j)``.
        level: t.

    Returns:
        Numbers of faces and Betti numbers of dimensions 0 to d - 1 (to d if f is t on a whole region).

    Raises:
        ValueError: the output is not scalar, or there are more than three dimensions.
        IncompleteComplexError, UnboundedDomainError: the complex is partial, or its domain unbounded.
        GeometryError: vertices that error bounds do not tell apart.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1, 0], [-1, 0], [0, 1], [0, -1]], [0] * 4), ([[1] * 4], [-1])])  # |x| + |y| - 1
        >>> level_set_topology(pt.enumerate_regions(net, pt.Polyhedron.box([-2, -2], [2, 2])))
        Topology(f_vector=(4, 4), betti=(1, 1))
    """
    require_regions(complex, "level_set_topology")
    faces, signs = _signed(complex, level, "level_set_topology")
    d = complex.domain.dim
    kinds = [[("held", k), ("cut", k + 1)] for k in range(d + 1)]
    found = _topology(faces, signs, kinds)
    if found.f_vector[d] == 0:
        return Topology(found.f_vector[:d], found.betti[:d])
    return found


def sublevel_topology(complex: RegionComplex, level: float = 0.0) -> Topology:
    r"""The sublevel set :math:`\{x : f(x) \le t\}` in the domain.

    Arguments:
        complex: a complete complex of a scalar network in a bounded domain of one to three dimensions.
        level: t.

    Returns:
        Numbers of faces and Betti numbers of dimensions 0 to d.

    Raises:
        ValueError, IncompleteComplexError, UnboundedDomainError, GeometryError: as of ``level_set_topology``.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1, 0], [-1, 0], [0, 1], [0, -1]], [0] * 4), ([[1] * 4], [-1])])  # |x| + |y| - 1
        >>> sublevel_topology(pt.enumerate_regions(net, pt.Polyhedron.box([-2, -2], [2, 2])))
        Topology(f_vector=(5, 8, 4), betti=(1, 0, 0))
    """
    require_regions(complex, "sublevel_topology")
    faces, signs = _signed(complex, level, "sublevel_topology")
    kinds = [[("held", k), ("cut", k + 1), ("below", k)] for k in range(complex.domain.dim + 1)]
    return _topology(faces, signs, kinds)


@dataclass(frozen=True, eq=False)
class _Signs:
    """Of the faces of one dimension: whether f is below, and above, the level somewhere on them."""

    below: NDArray[np.bool_]
    above: NDArray[np.bool_]

    def of(self, kind: str) -> IntArray:
        """The faces that give a cell of a kind: held by the level, cut by it, or with a part below it."""
        chosen = {
            "held": ~self.below & ~self.above,
            "cut": self.below & self.above,
            "below": self.below,
        }[kind]
        return np.flatnonzero(chosen)


def _signed(complex: RegionComplex, level: float, name: str) -> tuple[FaceLattice, list[_Signs]]:
    """The faces of a complex and how f lies to the level on them."""
    if complex.network.output_dim != 1:
        raise ValueError(
            f"{name} needs a scalar output, not {complex.network.output_dim}: take network.margin(i, j)."
        )
    if complex.domain.dim > 3:
        raise ValueError(f"{name} works in up to three dimensions, not {complex.domain.dim}: take a Slice.")
    complex.require_complete(name)
    if not complex.domain.is_bounded:
        raise UnboundedDomainError(f"{name} needs a bounded domain: intersect it with a box.")
    cells = explore(complex.network, complex.domain, keep="vertices")
    exact = ExactVertices(complex.network, complex.domain, cells)
    faces = face_lattice(exact)
    at = vertex_signs(exact, faces.label, np.array([1.0]), level)
    signs = [_Signs(at < 0, at > 0)]
    for matrix in faces.boundary:
        counts = matrix.astype(np.int64)
        signs.append(_Signs((counts @ signs[-1].below) > 0, (counts @ signs[-1].above) > 0))
    return faces, signs


def _topology(faces: FaceLattice, signs: list[_Signs], kinds: list[list[Kind]]) -> Topology:
    """Count the cells of every dimension and reduce the boundary maps."""
    d = len(faces.boundary)
    cells = [[(kind, face, signs[face].of(kind)) for kind, face in row if face <= d] for row in kinds]
    counts = [sum(len(which) for *_, which in row) for row in cells]
    ranks = [0, *(_rank(_boundary(faces, cells[k], cells[k - 1])) for k in range(1, d + 1)), 0]
    betti = tuple(counts[k] - ranks[k] - ranks[k + 1] for k in range(d + 1))
    return Topology(tuple(counts), betti)


def _boundary(
    faces: FaceLattice,
    cells: list[tuple[str, int, IntArray]],
    lower: list[tuple[str, int, IntArray]],
) -> list[list[int]]:
    """The boundary of every cell: the numbers of the cells of one dimension less on it.

    ================ =====================================================================
    a cell from a    has on its boundary
    ================ =====================================================================
    held face        its facets, held
    cut of a face    the cuts of its facets, and its held faces of two dimensions less
    part of a face   the parts of its facets, its cut, and its facets that are held
    below
    ================ =====================================================================
    """
    place: dict[Kind, dict[int, int]] = {}
    total = 0
    for kind, face, which in lower:
        place[kind, face] = {i: total + n for n, i in enumerate(which.tolist())}
        total += len(which)
    out: list[list[int]] = []
    for kind, face, which in cells:
        near = faces.boundary[face - 1]
        far = (
            csr_array(near.astype(np.int64) @ faces.boundary[face - 2].astype(np.int64)) if face > 1 else None
        )
        for i in which.tolist():
            around = near.indices[near.indptr[i] : near.indptr[i + 1]].tolist()
            row = [place[kind, face - 1].get(j) for j in around] if (kind, face - 1) in place else []
            if kind == "cut" and far is not None:
                ridges = far.indices[far.indptr[i] : far.indptr[i + 1]].tolist()
                row += [place["held", face - 2].get(j) for j in ridges]
            if kind == "below":
                row += [place["held", face - 1].get(j) for j in around]
                row.append(place["cut", face].get(i))
            out.append([j for j in row if j is not None])
    return out


def _rank(columns: list[list[int]]) -> int:
    """The rank over GF(2) of sparse columns, by elimination from the last entry."""
    pivots: dict[int, set[int]] = {}
    for entries in columns:
        column = set(entries)
        while column:
            last = max(column)
            if last not in pivots:
                pivots[last] = column
                break
            column ^= pivots[last]
    return len(pivots)


@dataclass(frozen=True, eq=False)
class DualGraph:
    """Statistics of the graph whose nodes are regions and whose edges are shared facets.

    Arguments:
        degrees: ``int[n]``, the number of regions with 0, 1, 2, ... neighbours.
        diameter: the most facets between two regions on a shortest way.
        spectrum: ``[k]``, the k smallest eigenvalues of the normalised Laplacian, ascending.
    """

    degrees: IntArray
    diameter: int
    spectrum: FloatArray

    __repr__ = one_line

    @property
    def mean_degree(self) -> float:
        """Mean number of neighbours."""
        return float(self.degrees @ np.arange(len(self.degrees)) / self.degrees.sum())


def dual_graph(complex: RegionComplex, *, eigenvalues: int = 6) -> DualGraph:
    r"""Degrees, diameter and spectrum of the graph of regions.

    The normalised Laplacian is :math:`I - D^{-1/2} A D^{-1/2}` with the adjacency matrix A and the degrees D.

    Arguments:
        complex: a complete complex.
        eigenvalues: how many.

    Raises:
        IncompleteComplexError: the complex is partial.
        ValueError: ``eigenvalues`` is negative.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1, 0], [-1, 0], [0, 1], [0, -1]], [0] * 4), ([[1] * 4], [-1])])
        >>> found = dual_graph(pt.enumerate_regions(net, pt.Polyhedron.box([-2, -2], [2, 2])))  # a square
        >>> found.degrees.tolist(), found.diameter, [round(v, 9) for v in found.spectrum.tolist()]
        ([0, 0, 4], 2, [0.0, 1.0, 1.0, 2.0])
    """
    require_regions(complex, "dual_graph")
    complex.require_complete("dual_graph")
    if eigenvalues < 0:
        raise ValueError(f"dual_graph: the number of eigenvalues must not be negative, not {eigenvalues}.")
    matrix = complex.adjacency_matrix()
    degrees = np.diff(matrix.indptr).astype(np.int64)
    root = diags_array(1 / np.sqrt(np.maximum(degrees, 1)))
    laplacian = csr_array(diags_array((degrees > 0).astype(float)) - root @ matrix @ root)
    spectrum = _spectrum(laplacian, min(eigenvalues, len(complex)))
    return DualGraph(np.bincount(degrees), _diameter(matrix), spectrum)


def _diameter(matrix: csr_array) -> int:
    """The largest distance in a connected graph, by bounds on how far the farthest node is from each.

    Distances from one node v bound those of all: max(d(v, w), e(v) - d(v, w)) <= e(w) <= e(v) + d(v, w).

    References:
        F. W. Takes, W. A. Kosters (2011). Determining the diameter of small world networks. CIKM.
    """
    low, high = np.zeros(matrix.shape[0]), np.full(matrix.shape[0], np.inf)
    turn = 0
    while (high > low.max()).any():
        open_ = np.flatnonzero(high > low.max())
        at = open_[np.argmin(low[open_]) if turn % 2 else np.argmax(high[open_])]
        distance = csgraph.dijkstra(matrix, unweighted=True, indices=at)
        assert np.isfinite(distance).all(), "the regions of a convex domain are connected"
        far = distance.max()
        np.maximum(low, np.maximum(distance, far - distance), out=low)
        np.minimum(high, far + distance, out=high)
        low[at] = high[at] = far
        turn += 1
    return int(low.max(initial=0))


def _spectrum(laplacian: csr_array, count: int) -> FloatArray:
    """The smallest eigenvalues of a symmetric positive semidefinite matrix."""
    n = laplacian.shape[0]
    if n <= 500 or count >= n - 1:
        values = np.linalg.eigvalsh(laplacian.toarray())
    else:
        start = np.random.default_rng(0).standard_normal(n)
        values = eigsh(laplacian, k=count, sigma=-0.01, v0=start, return_eigenvectors=False)
    smallest: FloatArray = np.maximum(np.sort(values)[:count], 0.0)
    return smallest

r"""Proofs of equivariance: the supremum of :math:`\|f(\rho_{in}(g) x) - \rho_{out}(g) f(x)\|_\infty`.

The defect is piecewise linear, so on a bounded domain its supremum is attained at a vertex of its complex.
Where the layers of the network follow the group exactly, it is 0 and no complex is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic

import numpy as np
from scipy.sparse import csr_array

from polytope.equivariant.defect import defect, equivariance_error, evaluation_room, require_fit
from polytope.equivariant.expanded import Expanded, expanded, with_outputs
from polytope.equivariant.layerwise import follow
from polytope.equivariant.representations import Representation
from polytope.equivariant.rounding import product
from polytope.errors import UnboundedDomainError
from polytope.exact.equal_maps import vanish
from polytope.geometry.lp import WarmProgram
from polytope.geometry.polyhedron import UNBOUNDED, Polyhedron
from polytope.ir import Network
from polytope.ir.boundaries import boundaries
from polytope.ir.maps import FloatArray
from polytope.ir.matrix import sparse
from polytope.measures.output_bounds import output_bounds
from polytope.measures.units import bounding_box
from polytope.regions.complex import RegionComplex
from polytope.regions.enumerate import enumerate_regions
from polytope.regions.region_rows import region_rows
from polytope.regions.sampling import random_points
from polytope.regions.vertex_cell import VertexCells, explore

MOST_DIMENSIONS = 8  # beyond, cells have too many vertices
SAMPLES = 1000


@dataclass(frozen=True, eq=False)
class EquivarianceCertificate:
    r"""What is proved of the defect :math:`\|f(\rho_{in}(g) x) - \rho_{out}(g) f(x)\|_\infty` over a domain.

    Arguments:
        max_error: ``[G]``, the supremum for each element, in real arithmetic; an upper bound where not
            ``exact``. It is exactly 0 where ``proved``.
        rounding: ``[G]``, by how much a defect that is evaluated in float64 may be larger: **bound**.
        lower: ``[G]``, the defect at the witness, evaluated in float64.
        witness: ``[G, d]``, a point of the domain at which the supremum is attained.
        exact: whether every element's supremum was found, up to the rounding of vertices.
        proved: ``bool[G]``, elements whose defect is 0 everywhere, because the layers follow them exactly, or
            because all affine maps of the defect are 0 in exact arithmetic.
        regions: regions of defects that were looked at, all together.
    """

    max_error: FloatArray
    rounding: FloatArray
    lower: FloatArray
    witness: FloatArray
    exact: bool
    proved: tuple[bool, ...]
    regions: int


@dataclass(frozen=True, eq=False)
class _Supremum:
    """Bounds on the supremum of one defect, and where the lower one is attained."""

    upper: float
    witness: FloatArray
    exact: bool
    regions: int
    proved: bool = False


def certify_equivariance(
    network: Network,
    rho_in: Representation,
    rho_out: Representation,
    domain: Polyhedron,
    *,
    max_regions: int | None = 100_000,
    max_seconds: float | None = None,
) -> EquivarianceCertificate:
    r"""The supremum over a domain of :math:`\|f(\rho_{in}(g) x) - \rho_{out}(g) f(x)\|_\infty`, for every g.

    For each element, in this order: if the units and the outputs follow it exactly, the defect is 0. In up to
    eight dimensions it is evaluated at the vertices of its complex. Above, two linear programs for each
    region and output find it. Where a budget ends that, certified bounds on the outputs of the defect remain.

    Arguments:
        network: f, from R^d to R^out.
        rho_in, rho_out: actions of one group on R^d and R^out.
        domain: bounded, unless all layers follow the group; the group need not preserve it.
        max_regions: budget for each element, ``None`` for no limit; a defect has more regions than f.
        max_seconds: budget for all.

    Raises:
        ValueError: dimensions or groups differ.
        UnboundedDomainError: the domain is unbounded, and the layers do not follow the group.
        EmptyDomainError: the domain has no interior.

    Example:
        >>> import polytope as pt
        >>> from polytope.equivariant import cyclic, permutation, trivial
        >>> swap = permutation(cyclic(2), [[0, 1], [1, 0]])
        >>> net = pt.mlp([([[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0]), ([[1.0, 2.0]], [0.0])])
        >>> proof = certify_equivariance(net, swap, trivial(swap.group), pt.Polyhedron.box([-1, -1], [1, 1]))
        >>> proof.exact, round(float(proof.max_error[1]), 9), proof.proved
        (True, 1.0, (True, False))
    """
    require_fit(network, rho_in, rho_out)
    if domain.dim != network.input_dim:
        raise ValueError(f"The domain lies in R^{domain.dim}, the network's input in R^{network.input_dim}.")
    deadline = np.inf if max_seconds is None else monotonic() + max_seconds
    center, _ = domain.inscribed_ball
    box = bounding_box(domain)
    net = expanded(network)
    found = []
    for g, (into, out) in enumerate(zip(rho_in.matrices, rho_out.matrices, strict=True)):
        rows = _rows_of_defect(net, into, out)
        if rows is not None and not rows.nnz:
            found.append(_Supremum(0.0, center, exact=True, regions=0, proved=True))
            continue
        if box is None:
            raise UnboundedDomainError(
                f"The layers do not follow element {g}, and the domain is unbounded; intersect it with a box."
            )
        error = defect(network, rho_in, rho_out, g) if rows is None else with_outputs(network, rows)
        unrounded = rows is None and rho_in.is_signed_permutation and rho_out.is_signed_permutation
        found.append(_supremum(error, domain, box, max_regions, deadline, unrounded=unrounded))
    return _certificate(network, rho_in, rho_out, box, found)


def _certificate(
    network: Network,
    rho_in: Representation,
    rho_out: Representation,
    box: FloatArray | None,
    found: list[_Supremum],
) -> EquivarianceCertificate:
    """The suprema of all elements, with what float64 makes of them."""
    witness = np.array([sup.witness for sup in found])
    rooms = [
        np.inf if box is None else evaluation_room(network, box, into, out)
        for into, out in zip(rho_in.matrices, rho_out.matrices, strict=True)
    ]
    return EquivarianceCertificate(
        max_error=np.array([sup.upper for sup in found]),
        rounding=np.array(rooms),
        lower=np.diagonal(equivariance_error(network, rho_in, rho_out, witness)).copy(),
        witness=witness,
        exact=all(sup.exact for sup in found),
        proved=tuple(sup.proved for sup in found),
        regions=sum(sup.regions for sup in found),
    )


def _rows_of_defect(net: Expanded, into: FloatArray, out: FloatArray) -> csr_array | None:
    """The defect over the input and the units, where units are proved to follow; no entries if it is 0."""
    action = follow(net, into, tolerance=0.0)
    if action is None or not action.exact:
        return None
    outputs, exact = product(sparse(out), net.output)
    rows = csr_array(action.output - outputs)
    rows.eliminate_zeros()
    return rows if exact or rows.nnz else None


def _supremum(
    error: Network,
    domain: Polyhedron,
    box: FloatArray,
    max_regions: int | None,
    deadline: float,
    *,
    unrounded: bool,
) -> _Supremum:
    """The greatest absolute output of a network over a bounded domain.

    Arguments:
        unrounded: whether the network is the defect itself, and not only up to the rounding of its weights.
    """
    if domain.dim <= MOST_DIMENSIONS:
        return _over_vertices(error, domain, box, max_regions, deadline, unrounded=unrounded)
    left = None if deadline == np.inf else max(deadline - monotonic(), 1e-3)
    complex = enumerate_regions(error, domain, max_regions=max_regions, max_seconds=left)
    if unrounded and complex.complete and vanish(error, complex.patterns):
        return _Supremum(0.0, domain.inscribed_ball[0], exact=True, regions=len(complex), proved=True)
    return _over_programs(complex, box, deadline)


def _over_vertices(
    error: Network,
    domain: Polyhedron,
    box: FloatArray,
    max_regions: int | None,
    deadline: float,
    *,
    unrounded: bool,
) -> _Supremum:
    """The greatest value of the regions' affine maps at their vertices."""
    best, room, witness, regions = 0.0, 0.0, domain.inscribed_ball[0], 0
    zero = unrounded
    most = np.inf if max_regions is None else max_regions
    for cells in _slices(error, domain, most, deadline):
        J, c = error.affine(cells.patterns)
        cell = np.repeat(np.arange(cells.n_regions), np.diff(cells.vertex_offsets))
        values = np.abs(np.einsum("voi,vi->vo", J[cell], cells.vertices) + c[cell]).max(axis=1)
        terms = np.abs(J) @ np.abs(box).max(axis=0) + np.abs(c)
        room = max(room, 2.0**-48 * float(terms.max(initial=0.0)))
        regions += cells.n_regions
        zero = zero and values.max(initial=0.0) <= room and vanish(error, cells.patterns)
        if len(values) and values.max() > best:
            best, witness = float(values.max()), cells.vertices[values.argmax()]
        if cells.open_cells and (monotonic() > deadline or regions >= most):
            return _bounded(error, domain, best, witness, regions)
    if zero:
        return _Supremum(0.0, witness, exact=True, regions=regions, proved=True)
    return _Supremum(best + room, witness, exact=True, regions=regions)


def _slices(error: Network, domain: Polyhedron, most: float, deadline: float) -> Iterator[VertexCells]:
    """All cells with their vertices, some at a time: cells of many dimensions have many vertices."""
    limit, start = None if deadline == np.inf else deadline, None
    some = int(min(1 << (16 - domain.dim), most))
    while start is None or start:
        cells = explore(
            error, domain.A, domain.b, keep="vertices", max_regions=some, deadline=limit, start=start
        )
        yield cells
        start = cells.open_cells


def _over_programs(complex: RegionComplex, box: FloatArray, deadline: float) -> _Supremum:
    """The same by linear programs, regions with the greatest bound first."""
    error, domain = complex.network, complex.domain
    J, c = error.affine(complex.patterns)
    middle, radius = box.mean(axis=0), np.ptp(box, axis=0) / 2
    bound = (np.abs(J @ middle + c) + np.abs(J) @ radius).max(axis=1)
    program, tables = WarmProgram(domain.dim, UNBOUNDED), boundaries(error)
    scale = float(np.abs(domain.unit_rows[:, -1]).max()) or 1.0
    best, upper, witness = 0.0, 0.0, domain.inscribed_ball[0]
    for number in np.argsort(-bound, kind="stable").tolist():
        if bound[number] <= best or monotonic() > deadline:
            upper = max(upper, float(bound[number]))
            break
        rows = region_rows(error, domain, tables, complex.patterns[number]).rows()
        rows[:, -1] /= scale
        for sign, output in ((s, i) for s in (1.0, -1.0) for i in range(len(c[number]))):
            slope = sign * J[number, output]
            if not slope.any():
                value, limit, point = 0.0, 0.0, witness
            else:
                value, limit, point = _maximum(program, rows, slope, box / scale)
            value, limit = (v * scale + sign * float(c[number, output]) for v in (value, limit))
            upper = max(upper, limit)
            if value > best:
                best, witness = value, point * scale if slope.any() else witness
    exact = complex.complete and monotonic() <= deadline
    if exact:
        return _Supremum(max(upper, best), witness, exact=True, regions=len(complex))
    return _bounded(error, domain, best, witness, len(complex))


def _maximum(
    program: WarmProgram, rows: FloatArray, slope: FloatArray, box: FloatArray
) -> tuple[float, float, FloatArray]:
    """The maximum of ``slope . x`` over rows in a box: attained, at most by the multipliers, and where."""
    length = float(np.linalg.norm(slope))
    best = program.maximise(list(rows), np.append(slope / length, 0.0))
    limits = []
    for multipliers in (np.maximum(best.multipliers, 0.0), np.maximum(-best.multipliers, 0.0)):
        rest = slope / length - multipliers @ rows[:, :-1]
        limits.append(float(-multipliers @ rows[:, -1] + np.abs(rest) @ np.abs(box).max(axis=0)))
    return best.value * length, max(min(limits), best.value) * length, best.point


def _bounded(error: Network, domain: Polyhedron, best: float, witness: FloatArray, regions: int) -> _Supremum:
    """Certified bounds on the outputs, and the best of some random points."""
    low, high = output_bounds(error, domain)
    for points in random_points(domain, SAMPLES, np.random.default_rng(0)):
        values = np.abs(error(points)).max(axis=1)
        if values.max() > best:
            best, witness = float(values.max()), points[values.argmax()]
    upper = max(float(np.abs(low).max()), float(np.abs(high).max()))
    return _Supremum(max(upper, best), witness, exact=False, regions=regions)

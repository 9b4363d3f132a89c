r"""Proofs of equivariance: the supremum of :math:`\|f(\rho_{in}(g) x) - \rho_{out}(g) f(x)\|_\infty`.

The defect is piecewise linear, so on a bounded domain its supremum is attained at a vertex of its complex.
Where the layers of the network follow the group exactly, it is 0 and no complex is needed.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from polytope.engines.amounts import Seconds, whole
from polytope.engines.budget import Budget, BudgetSpent
from polytope.equivariant.groups.representations import Representation
from polytope.equivariant.symmetry.defect import defect, equivariance_error, evaluation_room, require_fit
from polytope.equivariant.symmetry.expanded import Expanded, expanded, with_outputs
from polytope.equivariant.symmetry.layerwise import follow
from polytope.equivariant.symmetry.mismatch import defect_bounds
from polytope.equivariant.symmetry.rounding import is_sum, product
from polytope.equivariant.symmetry.suprema import NARROW, Supremum, supremum
from polytope.errors import UnboundedDomainError
from polytope.given import DomainLike, NetworkLike, as_domain, as_network
from polytope.ir import Network
from polytope.ir.looking import watched
from polytope.ir.maps import FloatArray
from polytope.ir.matrix import sparse
from polytope.ir.oneline import one_line


@dataclass(frozen=True, eq=False)
class EquivarianceCertificate:
    r"""What is proved of the defect :math:`\|f(\rho_{in}(g) x) - \rho_{out}(g) f(x)\|_\infty` over a domain.

    Arguments:
        max_error: ``[G]``, an upper **bound** on the supremum for each element, in real arithmetic, proved.
            It is exactly 0 where ``proved``.
        rounding: ``[G]``, by how much a defect that is evaluated in float64 may be larger: **bound**.
        lower: ``[G]``, the defect at the witness, evaluated in float64.
        witness: ``[G, d]``, a point of the domain at which the supremum is attained.
        exact: whether every supremum was found: ``max_error`` is proved to be above it by no more than a
            millionth of it, or than ``rounding``.
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

    __repr__ = one_line


def certify_equivariance(
    network: NetworkLike,
    rho_in: Representation,
    rho_out: Representation,
    domain: DomainLike,
    *,
    max_regions: int | None = 100_000,
    max_seconds: Seconds | None = None,
) -> EquivarianceCertificate:
    r"""The supremum over a domain of :math:`\|f(\rho_{in}(g) x) - \rho_{out}(g) f(x)\|_\infty`, for every g.

    For each element, in this order: if the units and the outputs follow it exactly, the defect is 0. Where
    they follow it nearly, what their weights are off by bounds it; a bound of the size of rounding is the
    answer. In up to eight dimensions the defect is then evaluated at the vertices of its complex, with bounds
    on all errors. Above, branch and bound over the pieces of units finds it. Where a budget ends that, the
    least of all bounds so far remains.

    Arguments:
        network: f, from R^d to R^out.
        rho_in, rho_out: actions of one group on R^d and R^out.
        domain: bounded, unless all layers follow the group; the group need not preserve it.
        max_regions: budget for each element, ``None`` for no limit; a defect has more regions than f.
        max_seconds: budget for all.

    Returns:
        The certificate: for each element a proved upper bound, and a point where the defect is evaluated.

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
    network = as_network(network)
    domain = as_domain(domain, network.input_dim)
    require_fit(network, rho_in, rho_out)
    max_regions = whole(max_regions, "max_regions", "a whole number is expected")
    budget = Budget(None, max_seconds)
    center, _ = domain.inscribed_ball
    box = domain.bounds if domain.is_bounded else None
    known = _bounds_by_rows(network, rho_in, rho_out, box, budget)
    found = []
    for g, (rows, bound) in enumerate(known):
        if not bound:
            found.append(Supremum(0.0, 0.0, center, regions=0, proved=True))
            continue
        if box is None:
            raise UnboundedDomainError(
                f"The layers do not follow element {g}, and the domain is unbounded; intersect it with a box."
            )
        error = defect(network, rho_in, rho_out, g) if rows is None else with_outputs(network, rows)
        room = evaluation_room(network, box, rho_in.matrices[g], rho_out.matrices[g])
        left = sum(later > room for _, later in known[g:])
        share = Budget(None, None if budget.rest is None else budget.rest / max(left, 1))
        found.append(supremum(error, domain, max_regions, share, room, bound))
    return _certificate(network, rho_in, rho_out, box, found)


def _certificate(
    network: Network,
    rho_in: Representation,
    rho_out: Representation,
    box: FloatArray | None,
    found: list[Supremum],
) -> EquivarianceCertificate:
    """The suprema of all elements, with what float64 makes of them."""
    witness = np.array([sup.witness for sup in found])
    upper = np.array([sup.upper for sup in found])
    rooms = [
        np.inf if box is None else evaluation_room(network, box, into, out)
        for into, out in zip(rho_in.matrices, rho_out.matrices, strict=True)
    ]
    above = upper - np.array([sup.lower for sup in found])
    return EquivarianceCertificate(
        max_error=upper,
        rounding=np.array(rooms),
        lower=np.diagonal(equivariance_error(network, rho_in, rho_out, witness)).copy(),
        witness=witness,
        exact=bool(np.isfinite(upper).all() and (above <= np.maximum(NARROW * upper, rooms)).all()),
        proved=tuple(sup.proved for sup in found),
        regions=sum(sup.regions for sup in found),
    )


def _bounds_by_rows(
    network: Network, rho_in: Representation, rho_out: Representation, box: FloatArray | None, budget: Budget
) -> list[tuple[csr_array | None, float]]:
    """By what units read, for each element: the defect over them where it is known, and a bound of it.

    Infinite is what that does not bound, or not in time.
    """
    found: list[tuple[csr_array | None, float]] = []
    with suppress(BudgetSpent), watched(budget.first):
        net = expanded(network)
        for into, out in zip(rho_in.matrices, rho_out.matrices, strict=True):
            rows = _rows_of_defect(net, into, out)
            if rows is not None and not rows.nnz:
                found.append((rows, 0.0))
                continue
            ends = None if box is None else defect_bounds(network, into, out, box)
            found.append((rows, np.inf if ends is None else float(np.abs(ends).max(initial=0.0))))
    return found + [(None, np.inf)] * (len(rho_in) - len(found))


def _rows_of_defect(net: Expanded, into: FloatArray, out: FloatArray) -> csr_array | None:
    """The defect over the input and the units, where both are proved; no entries if it is 0."""
    action = follow(net, into, tolerance=0.0)
    if action is None or not action.exact:
        return None
    outputs, exact = product(sparse(out), net.output)
    rows = csr_array(action.output - outputs)
    rows.eliminate_zeros()
    return rows if exact and is_sum(rows, outputs, action.output) else None

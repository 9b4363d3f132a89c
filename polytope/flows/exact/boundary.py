"""A classifier's decision boundary in base space, and pushed forward through the flow into data space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import nn

from polytope.engines.amounts import Seconds
from polytope.engines.budget import Budget, BudgetSpent
from polytope.errors import IncompleteComplexError
from polytope.flows.exact.behind import behind_flow
from polytope.flows.exact.mass import bounded
from polytope.flows.flow import Flow
from polytope.given import DomainLike
from polytope.ir import Network
from polytope.ir.looking import watched
from polytope.ir.maps import FloatArray
from polytope.ir.oneline import one_line
from polytope.measures.decision_boundary import DecisionBoundary, decision_boundary
from polytope.regions.complex import RegionComplex
from polytope.runs.enumerate import enumerate_regions


@dataclass(frozen=True, eq=False)
class PulledBack:
    """The decision boundary of a classifier behind a flow.

    Arguments:
        complex: the regions of the classifier behind the flow, in base space.
        base: the boundary's facets in base space, with areas.
        points: the vertices of each facet in data space, ``[v, D]``, in the order of ``base.points``: on a
            region the flow is affine, so facets go to facets.
        areas: ``[F]``, the (D-1)-volumes of the facets in data space, in float64 from their vertices.
    """

    complex: RegionComplex
    base: DecisionBoundary
    points: tuple[FloatArray, ...]
    areas: FloatArray

    __repr__ = one_line


def pullback_decision_boundary(
    classifier: Network | nn.Module,
    flow: Flow,
    domain: DomainLike,
    *,
    max_regions: int | None = None,
    max_seconds: Seconds | None = None,
) -> PulledBack:
    """Where the class of ``classifier(flow(z))`` changes, in a domain of base space and its image.

    Arguments:
        classifier: a network from data to outputs, or any piecewise-linear torch module.
        flow: piecewise linear.
        domain: bounded, in base space.
        max_regions, max_seconds: budgets; half of a boundary is none, so a search that they end is refused.

    Returns:
        The facets of the boundary, in base and in data space.

    Raises:
        NotPiecewiseLinearError: the flow or the classifier is not piecewise linear.
        ValueError: they do not fit.
        GeometryError: two classes tie all over a region.
        UnboundedDomainError: the domain is unbounded.
        IncompleteComplexError: a budget ended the search.

    Example:
        >>> import polytope as pt
        >>> from polytope import flows
        >>> twice = flows.Flow([flows.LULinear(2, matrix=[[2.0, 0.0], [0.0, 3.0]])])
        >>> line = pt.mlp([([[1.0, 0.0]], [-1.0])])  # x_1 = 1, so z_1 = 1/2
        >>> found = flows.pullback_decision_boundary(line, twice, pt.Polyhedron.box([-1, -1], [1, 1]))
        >>> round(found.base.area, 9), round(found.areas.sum().item(), 9)
        (2.0, 6.0)
    """
    whole = behind_flow(classifier, flow, "pullback_decision_boundary")
    where = bounded(domain, flow.dim, "pullback_decision_boundary")
    budget = Budget(max_regions, max_seconds)
    complex = enumerate_regions(whole, where, max_regions=budget.max_regions, max_seconds=budget.max_seconds)
    try:
        with watched(budget.first):
            base = decision_boundary(complex)
    except BudgetSpent as spent:
        raise IncompleteComplexError(
            "pullback_decision_boundary: its time ended before the boundary was found; raise max_seconds."
        ) from spent
    network = flow.network("forward")
    units = network.n_units
    points, areas = [], np.zeros(len(base))
    for k, (region, corners) in enumerate(zip(base.regions.tolist(), base.points, strict=True)):
        J, c = network.affine(np.ascontiguousarray(complex.patterns[region, :units]))
        points.append(corners @ J.T + c)
        areas[k] = base.areas[k] * _stretch(J, corners)
    return PulledBack(complex, base, tuple(points), areas)


def _stretch(J: FloatArray, corners: FloatArray) -> float:
    r"""By how much a linear map stretches (d-1)-volumes of a facet: :math:`\det((J T)^T J T)^{1/2}`."""
    _, _, axes = np.linalg.svd(corners - corners.mean(axis=0), full_matrices=True)
    along = J @ axes[: len(J) - 1].T
    return float(np.prod(np.linalg.svd(along, compute_uv=False)))

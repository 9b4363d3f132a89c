r"""What follows for a smooth model f from the network g of splines that stands for it, as intervals.

With :math:`|f_i - g_i| \le E_i` everywhere (``spline_deviation``), a class is certain for f where g gives it
a lead of the two bounds together, and slopes of f are those of g up to what its activations bend in a piece.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from polytope.bounds.interval_jacobian import interval_jacobian
from polytope.bounds.intervals import preactivation_bounds
from polytope.bounds.linear_bounds import linear_bounds
from polytope.bounds.output_bounds import bounded_box
from polytope.engines.amounts import Seconds
from polytope.engines.budget import Budget
from polytope.engines.sampling import random_points
from polytope.geometry.norms import as_norm
from polytope.geometry.polyhedron import Polyhedron
from polytope.given import DomainLike, NetworkLike, as_network, as_problem
from polytope.ir import Layer, Network, PiecewiseLinear
from polytope.ir.activations import SlopeRanges
from polytope.ir.algebra import identity
from polytope.ir.deviation import layer_deviations, spline_deviation
from polytope.ir.maps import FloatArray
from polytope.labelled import Bound
from polytope.measures.operator_norm import upper_norms
from polytope.measures.robustness import Radius, checked, nearest_change

_PAIRS, _PROVED = 2000, 20


def smooth_radius(
    network: NetworkLike,
    x: ArrayLike,
    norm: float | str = 2,
    *,
    domain: DomainLike | None = None,
    max_regions: int | None = None,
    max_seconds: Seconds | None = None,
) -> Radius:
    r"""The distance of a point from another class of the smooth model that a network of splines stands for.

    Below ``lower`` the class leads by more than the splines can be off; at ``value`` another one does.

    Arguments:
        network: as ``load(path, smooth=...)`` gives it, of several outputs or one.
        x: one point, ``[d]``.
        norm, domain: as of :func:`robustness_radius`.
        max_regions, max_seconds: for both ends together, half for the lower one.

    Returns:
        An interval, never exact; ``witness`` is where another class of the model surely has come up.

    Raises:
        ValueError: as of :func:`robustness_radius`.
    """
    read = as_network(network)
    point, p, space = checked(read, x, norm, domain, "smooth_radius")
    budget = Budget(max_regions, max_seconds)
    off = spline_deviation(read)
    if not np.isfinite(off).all():
        return Radius(np.inf, 0.0, None, exact=False, regions=0)
    values = read(point[None])[0]
    label = int(values.argmax()) if len(off) > 1 else int(values[0] > 0)
    sign = np.where(np.arange(len(off)) == label, 1.0, -1.0) if len(off) > 1 else np.array([2.0 * label - 1])
    cautious = _shifted(read, -sign * off)
    if not _leads(cautious, point, label):
        return Radius(np.inf, 0.0, None, exact=False, regions=0)
    half = None if budget.rest is None else budget.rest / 2
    regions = budget.max_regions
    share = Budget(None if regions is None else max(regions // 2, 1), half)
    near = nearest_change(cautious, point, p, space, share, None)
    share = Budget(None if regions is None else max(regions - near.regions, 1), budget.rest)
    far = nearest_change(_shifted(read, sign * off), point, p, space, share, None)
    return Radius(far.value, near.lower, far.witness, exact=False, regions=near.regions + far.regions)


def smooth_lipschitz(
    network: NetworkLike, domain: DomainLike, p: float | str = 2, q: float | str = 2
) -> Bound:
    r"""Bounds of :math:`\sup \|f(x) - f(y)\|_q / \|x - y\|_p` of the smooth model that splines stand for.

    From above by interval Jacobians, with the slopes that splines can have where pre-activations are as far
    off as they can be, and what these slopes are off themselves. From below by pairs of points, whose
    outputs are at least as far apart as those of the splines less twice what these can be off.

    Arguments:
        network: as ``load(path, smooth=...)`` gives it.
        domain: bounded; its box counts.
        p, q: 1, 2 or infinity.

    Raises:
        ValueError: the domain does not fit, or another norm.
        UnboundedDomainError: the domain is unbounded.
    """
    read, where = as_problem(network, domain)
    p, q = as_norm(p, "p"), as_norm(q, "q")
    box = bounded_box(read, where, "smooth_lipschitz")
    jacobian = interval_jacobian(read, _slopes(read, box))
    upper = float(upper_norms(jacobian[None], np.zeros((1, *jacobian.shape)), p, q)[0])
    return Bound(min(_lower(read, where, p, q), upper), upper, "the smooth model, by its splines")


def _shifted(network: Network, lead: FloatArray) -> Network:
    """The network with constants added to its outputs."""
    n = network.output_dim
    return network.then(Network((n,), (Layer((0,), (identity(n),), lead, None),)))


def _leads(network: Network, x: FloatArray, label: int) -> bool:
    """Whether the output of a class is surely the greatest at a point, or one output of its sign."""
    *_, (low, high) = preactivation_bounds(network, np.stack([x, x]))
    if len(low) == 1:
        return bool(low[0] > 0) if label else bool(high[0] < 0)
    return bool(low[label] > np.delete(high, label).max())


def _slopes(network: Network, box: FloatArray) -> tuple[SlopeRanges | None, ...]:
    """The slopes that the smooth model's units can have over a box."""
    found: list[SlopeRanges | None] = []
    off = layer_deviations(network)
    for layer, (low, high), (aside, _) in zip(network.layers, linear_bounds(network, box), off, strict=True):
        if layer.activation is None:
            found.append(None)
            continue
        ends = np.nextafter(low - aside, -np.inf), np.nextafter(high + aside, np.inf)
        slopes = layer.phi.slope_ranges(*ends)
        spline = layer.phi.spline if isinstance(layer.phi, PiecewiseLinear) else None
        if spline is not None:
            least, greatest = slopes.least - spline.slope_error, slopes.greatest + spline.slope_error
            slopes = replace(
                slopes, least=np.nextafter(least, -np.inf), greatest=np.nextafter(greatest, np.inf)
            )
        found.append(slopes)
    return tuple(found)


def _lower(network: Network, domain: Polyhedron, p: float, q: float) -> float:
    """What random pairs of points of the domain prove."""
    off, best = 2 * spline_deviation(network), 0.0
    rng = np.random.default_rng(0)
    points = np.concatenate([next(iter(random_points(domain, _PAIRS, rng))) for _ in range(2)])
    half = len(points) // 2
    x, y = points[:half], points[half : 2 * half]
    changes = np.linalg.norm(network(x) - network(y), q, axis=1) / np.linalg.norm(x - y, p, axis=1)
    for i in np.argsort(-changes)[:_PROVED].tolist():
        *_, a = preactivation_bounds(network, np.stack([x[i], x[i]]))
        *_, b = preactivation_bounds(network, np.stack([y[i], y[i]]))
        apart = np.maximum(np.maximum(a[0] - b[1], b[0] - a[1]) - off, 0.0)
        size = float(np.linalg.norm(apart, q)) / float(np.linalg.norm(x[i] - y[i], p))
        best = max(best, size * (1 - 2.0**-51 * (len(apart) + x.shape[1] + 8)))  # sums of so many squares
    return best

"""The least and the greatest value of each output over a domain, each with a proved and an attained end."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from polytope.bounds.least_values import LeastValues, both_signs
from polytope.bounds.output_bounds import bounded_box, bounds_over_box
from polytope.engines.amounts import Seconds, from_zero
from polytope.engines.budget import Budget, BudgetSpent
from polytope.given import DomainLike, NetworkLike, as_problem
from polytope.ir.continuity import refuse_jumps
from polytope.ir.looking import watched
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.oneline import one_line


@dataclass(frozen=True, eq=False)
class OutputRange:
    """An output is least between ``low`` and ``least``, and greatest between ``greatest`` and ``high``.

    Arguments:
        low, high: ``[out]``, proved: no output leaves them.
        least, greatest: ``[out]``, attained; infinite where time ended before a point was tried.
        points: ``[k, d]``, where they are attained, rounded; NaN for none.
        least_point, greatest_point: ``int[out]``, the numbers of the points.
        complete: whether ends are no farther apart than was asked.
    """

    low: FloatArray
    high: FloatArray
    least: FloatArray
    greatest: FloatArray
    points: FloatArray
    least_point: IntArray
    greatest_point: IntArray
    complete: bool

    __repr__ = one_line

    @property
    def least_at(self) -> FloatArray:
        """``[out, d]``, where outputs are least, rounded."""
        return self.points[self.least_point]

    @property
    def greatest_at(self) -> FloatArray:
        """``[out, d]``, where outputs are greatest, rounded."""
        return self.points[self.greatest_point]


def output_range(
    network: NetworkLike, domain: DomainLike, *, gap: float = 0.0, max_seconds: Seconds | None = None
) -> OutputRange:
    r"""The range of every output over a bounded domain, by branch and bound over the pieces of units.

    Linear bounds of the outputs close parts of the search, and where all units are on one piece a linear
    program in rational arithmetic decides. With a gap of 0 both ends of an extremum are one float64 number,
    or neighbours.

    Arguments:
        network: the network.
        domain: a bounded polyhedron with interior in its input space.
        gap: how far apart the proved and the attained end may stay.
        max_seconds: a budget; when it is spent, ends are as near as they are by then. Half a second
            more may go to first ends: of a network of millions of units they take seconds, and without them
            ends are infinite. Torch, which branch and bound needs, is not loaded in less than 1.5 s.

    Raises:
        ValueError: the domain does not fit, the gap is negative, or a unit jumps.
        UnboundedDomainError: the domain is unbounded.
        EmptyDomainError: the domain has no interior.

    References:
        Bunel et al. (2020), "Branch and Bound for Piecewise Linear Neural Network Verification",
        https://arxiv.org/abs/1909.06588

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])  # |x|
        >>> found = output_range(net, pt.Polyhedron.box([-1], [2]))
        >>> found.low.item(), found.high.item(), found.greatest_at.tolist()
        (0.0, 2.0, [[2.0]])
    """
    network, domain = as_problem(network, domain)
    budget = Budget(None, max_seconds)
    gap = from_zero(gap, "output_range: gap")
    bounded_box(network, domain, "output_range")
    refuse_jumps(network)
    known = LeastValues(both_signs(network), domain)
    known.begin(budget.first)
    low = _branched(known, gap, budget)
    complete = bool((low >= np.nextafter(np.nextafter(known.value - gap, -np.inf), -np.inf)).all())
    out, value = network.output_dim, known.value
    different = {id(point): point for point in known.at}
    numbers = dict(zip(different, range(len(different)), strict=True))
    which = np.array([numbers[id(point)] for point in known.at], dtype=np.int64)
    points = np.array(list(different.values()))
    return OutputRange(
        low[:out], -low[out:], value[:out], -value[out:], points, which[:out], which[out:], complete
    )


def _branched(known: LeastValues, gap: float, budget: Budget) -> FloatArray:
    """Proved lower bounds of the outputs, by branch and bound for as long as there is time."""
    if not budget.has_time_for_torch():
        return known.low
    from polytope.bounds.branching.minima import Minima  # loads torch, which takes seconds

    search: Minima | None = None
    with suppress(BudgetSpent), watched(budget.look):
        search = Minima(known, gap, lambda: budget.spent(0))
        search.run()
    return known.low if search is None else search.low


def output_bounds(
    network: NetworkLike, domain: DomainLike, *, gap: float | None = None, max_seconds: Seconds | None = None
) -> tuple[FloatArray, FloatArray]:
    """Bounds that every output keeps in a bounded domain; certified.

    Not tight by default. With a gap or a budget they are those of ``output_range``, which says as well what
    is attained, and where.

    Arguments:
        network: the network.
        domain: a bounded polyhedron in its input space.
        gap: how far beyond the range the bounds may stay; 0 where there is only a budget.
        max_seconds: a budget.

    Returns:
        ``(low [out], high [out])``, **bounds**: rounded outward.

    Raises:
        ValueError: the domain does not fit; of a search, the gap is negative, or a unit jumps.
        UnboundedDomainError: the domain is unbounded.
        EmptyDomainError: a search, and the domain has no interior.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])  # |x|
        >>> low, high = output_bounds(net, pt.Polyhedron.box([1], [2]))
        >>> round(low.item(), 9), round(high.item(), 9)
        (1.0, 2.0)
    """
    network, domain = as_problem(network, domain)
    if gap is not None or max_seconds is not None:
        found = output_range(network, domain, gap=gap or 0.0, max_seconds=max_seconds)
        return found.low, found.high
    return bounds_over_box(network, bounded_box(network, domain, "output_bounds"))

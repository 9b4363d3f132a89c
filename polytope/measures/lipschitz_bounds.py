"""An interval for the Lipschitz constant of a network over a bounded domain, without enumeration."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from polytope.bounds.interval_jacobian import interval_jacobian, slope_ranges
from polytope.engines.amounts import Seconds
from polytope.engines.budget import Budget, BudgetSpent
from polytope.engines.sampling import clear_patterns, in_parts, random_points
from polytope.errors import UnboundedDomainError
from polytope.geometry.norms import as_norm
from polytope.geometry.polyhedron import Polyhedron
from polytope.given import DomainLike, NetworkLike, as_problem
from polytope.ir import Layer, Network
from polytope.ir.activations import PatternArray, SlopeRanges
from polytope.ir.boundaries import boundaries
from polytope.ir.continuity import refuse_jumps
from polytope.ir.looking import look, watched
from polytope.ir.maps import FloatArray
from polytope.ir.maxima import maxima_first, unrolled
from polytope.ir.oneline import one_line
from polytope.measures.lipschitz import greatest_norm, jacobian_norms
from polytope.measures.lipschitz_search import SteepestParts, bound_of_ends
from polytope.measures.norm_product import norm_bound, norm_product

SAMPLING = 0.25  # of the time that is left, for random points
CUBES = 1e9  # cubes of the smaller side of a matrix: singular values of so many take a second
TOGETHER = 4096  # units between two looks


@dataclass(frozen=True, eq=False)
class LipschitzBounds:
    """The constant lies in ``lower .. upper``.

    Arguments:
        lower: the norm at ``witness``, rounded down.
        upper: certified; the least of the bounds below.
        witness: a point ``[d]`` inside a region whose Jacobian has the norm ``lower``.
        norm_product: the upper bound from the norms of the layers alone.
        interval: the upper bound from interval Jacobians over the domain.
    """

    lower: float
    upper: float
    witness: FloatArray
    norm_product: float
    interval: float

    __repr__ = one_line


def lipschitz_bounds(
    network: NetworkLike,
    domain: DomainLike,
    p: float | str = 2,
    q: float | str = 2,
    *,
    samples: int = 2000,
    rng: np.random.Generator | None = None,
    max_seconds: Seconds | None = None,
) -> LipschitzBounds:
    r"""An interval for the Lipschitz constant over a bounded domain, without enumeration.

    From above the least of two: products of norms of the layers, in the best of the norms 1, 2 and inf
    between them; and the norm of the largest absolute entries that interval arithmetic leaves possible in the
    Jacobian. Both leave out slopes that units cannot have in the domain. From below the norms of Jacobians at
    random points.

    With a budget both ends are brought together: branch and bound proves units to be on one piece, and the
    steepest part of the domain is split at the unit that matters most, until the ends meet or the time is
    spent. Of a small domain, such as a box around a point, that is the local constant. A budget is all the
    time that the call may take, and a quarter of it goes to random points; ends that time does not allow stay
    0 and infinite, as in networks of millions of units, whose layers' norms alone take seconds. Half a second
    more may go to first ends. The smallest steps are the norm of one matrix, and loading torch, which is not
    done in less than 1.5 s.

    Arguments:
        network: the network.
        domain: bounded, with interior.
        p, q: norms of the input and of the output: 1, 2 or ``inf``.
        samples: number of random points.
        rng: source of randomness; ``numpy.random.default_rng(0)`` where ``None``.
        max_seconds: a budget; infinite for as long as it takes. Nothing is split by default, and all random
            points are looked at.

    Raises:
        ValueError: the domain does not fit, or another norm, or a unit jumps.
        UnboundedDomainError: the domain is unbounded.

    References: Weng et al. (2018), "Towards Fast Computation of Certified Robustness for ReLU Networks" (the
        interval Jacobian), https://arxiv.org/abs/1804.09699

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0], [-2.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])
        >>> found = lipschitz_bounds(net, pt.Polyhedron.box([-1], [1]))
        >>> round(found.lower, 9), round(found.upper, 9)
        (2.0, 2.0)
    """
    network, domain = as_problem(network, domain)
    p, q = as_norm(p, "p"), as_norm(q, "q")
    budget = Budget(None, max_seconds)
    if not domain.is_bounded:
        raise UnboundedDomainError("lipschitz_bounds needs a bounded domain; intersect it with a box.")
    refuse_jumps(network)
    ends = _Ends(network, domain, p, q, budget)
    for step in (ends.multiply_layers, ends.bound_jacobians):
        with suppress(BudgetSpent), watched(budget.first):
            step()
    part = Budget(None, None if budget.left is None else max(SAMPLING * budget.left, 1e-9))
    with suppress(BudgetSpent), watched(budget.first), watched(part.first):
        ends.sample(samples, np.random.default_rng(0 if rng is None else rng))
    if max_seconds is not None and budget.has_time_for_torch():
        with suppress(BudgetSpent), watched(budget.look):
            ends.split()
    return LipschitzBounds(ends.lower, ends.upper, ends.witness, ends.product, ends.interval)


@dataclass(eq=False)
class _Ends:
    """What is known of the constant, step by step.

    Arguments:
        network, domain, p, q: whose constant.
        budget: of all steps.
    """

    network: Network
    domain: Polyhedron
    p: float
    q: float
    budget: Budget
    lower: float = 0.0
    upper: float = np.inf
    product: float = np.inf
    interval: float = np.inf
    ranges: tuple[SlopeRanges | None, ...] = ()

    def __post_init__(self) -> None:
        self.box, self.witness = self.domain.bounds, self.domain.inscribed_ball[0]

    def multiply_layers(self) -> None:
        """The upper bound from the norms of the layers."""
        self.ranges = slope_ranges(self.network, self.box)
        for middle in (1.0, 2.0, np.inf):
            found = norm_product(self.network, self.ranges, self.p, middle, self.q)
            self.product = min(self.product, found)
        self.upper = min(self.upper, self.product)

    def bound_jacobians(self) -> None:
        """The upper bound from interval Jacobians."""
        if self.ranges:
            self.interval = norm_bound(interval_jacobian(self.network, self.ranges), self.p, self.q)
            self.upper = min(self.upper, self.interval)

    def sample(self, n: int, rng: np.random.Generator) -> None:
        """The greatest norm at random points off all crossings, and where."""
        tables = boundaries(self.network)
        self._afford_a_norm()
        for drawn in random_points(self.domain, n, rng):
            for points in in_parts(self.network, drawn):
                patterns, x = clear_patterns(self.network, tables, points)
                norms = jacobian_norms(self.network, patterns, self.p, self.q)
                steepest = int(norms.argmax()) if len(x) else -1
                if len(x) and norms[steepest] > self.lower:
                    self._attain(patterns[[steepest]], x[steepest])

    def _attain(self, pattern: PatternArray, x: FloatArray) -> float:
        """The norm of a region around a point, rounded down; kept if it is the greatest."""
        norm = greatest_norm(self.network, pattern, self.p, self.q)[1]
        norm = min(norm, float(np.finfo(float).max)) if norm >= 0 else 0.0  # NaN bounds nothing
        if norm > self.lower:
            self.lower, self.witness = min(norm, self.upper), x
        return norm

    def _afford_a_norm(self) -> None:
        """Whether there is time for one more norm.

        Raises:
            BudgetSpent: singular values of large matrices take longer than what is left.
        """
        k = min(self.network.output_dim, self.network.input_dim)
        if self.p == self.q == 2 and self.budget.left is not None and k**3 / CUBES > self.budget.left:
            raise BudgetSpent

    def split(self) -> None:
        """The ends nearer to each other, by splitting units."""
        from polytope.bounds.branching.units import fixed_pieces  # loads torch, which takes seconds

        network, p, q = self.network, self.p, self.q
        self._afford_a_norm()
        plain, tables = unrolled(maxima_first(network)).network, boundaries(network)

        def attained(x: FloatArray) -> float:
            patterns, clear = clear_patterns(network, tables, x[None])
            if not len(clear) or not self.domain.contains(clear)[0]:
                return 0.0
            return self._attain(patterns, x)

        def bound(ends: FloatArray) -> float:
            return bound_of_ends(ends, p, q, lambda size: norm_bound(size, p, q))

        search = SteepestParts(plain, self.domain, bound, self.upper, attained, self.lower)
        seen = plain.pattern(self.domain.inscribed_ball[0])
        first = np.zeros_like(seen)
        last = np.concatenate([first[:0], *(_last_pieces(la) for la in plain.layers if la.activation)])
        half = Budget(None, None if self.budget.left is None else max(self.budget.left / 2, 1e-9))
        proved, _ = fixed_pieces(plain, self.box, seen, np.arange(plain.n_units), lambda: half.spent(0))
        search.begin(np.where(proved, seen, first), np.where(proved, seen, last))
        with suppress(BudgetSpent):
            while not self.budget.spent(0) and search.step():
                pass
        self.upper = search.least_upper


def _last_pieces(layer: Layer) -> PatternArray:
    """The number of the last piece of each unit."""
    found = np.empty(layer.width, dtype=np.int8)
    for unit in range(layer.width):
        if unit % TOGETHER == 0:
            look()
        found[unit] = layer.phi.n_pieces(unit) - 1
    return found

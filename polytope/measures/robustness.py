r"""Distance to the decision boundary: the nearest point at which another class does at least as well.

Every region and every piece of the boundary has a proved lower bound on its distance, by multipliers of
floats and their rounding errors. What comes first is measured better, and in rational arithmetic at last: so
the distance that is found is proved to be the least, and is only rounded.
"""

from __future__ import annotations

from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from functools import cached_property
from heapq import heappop, heappush
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from polytope.engines.amounts import Seconds
from polytope.engines.budget import Budget, BudgetSpent, Progress
from polytope.engines.nearest_exactly import nearest_in_region
from polytope.engines.nearest_first import Frontier, Row, hyperplane_distances
from polytope.engines.walk import Walk
from polytope.errors import SolverError
from polytope.exact.nearest import enclosed
from polytope.exact.network import ExactNetwork
from polytope.geometry.equilibrate import equilibrated
from polytope.geometry.norms import as_norm
from polytope.geometry.polyhedron import Polyhedron
from polytope.geometry.projection import Errors, Nearest
from polytope.given import DomainLike, NetworkLike, as_domain, as_network, described
from polytope.ir import Network
from polytope.ir.activations import PatternArray
from polytope.ir.arrays import floats
from polytope.ir.boundaries import boundaries
from polytope.ir.continuity import refuse_jumps
from polytope.ir.looking import watched
from polytope.ir.maps import FloatArray
from polytope.ir.maxima import maxima_first
from polytope.ir.oneline import one_line
from polytope.labelled import Exact, Missing, Number, interval
from polytope.measures.listing import Listing
from polytope.measures.margins import MarginRows, class_of, exact_margin, margin_network, margin_rows
from polytope.measures.witness import Witness

if TYPE_CHECKING:
    from polytope.measures.racing import Race

BOUND, MEASURED = 0, 1  # what the key of a queued piece of the boundary is
KEPT = 256  # regions whose margins are kept
FEW_DIMENSIONS, FEW_REGIONS = 6, 64  # in which, and within which, the walk is alone
LISTED_DIMENSIONS = 16  # in which regions are listed first


@dataclass(frozen=True, eq=False)
class Radius:
    """The distance of a point from the decision boundary lies in ``lower .. value``: both are proved.

    Arguments:
        value: the distance of a point of another class, rounded up; infinite where none is known.
        lower: no point of another class is nearer.
        witness: ``[d]``, a point at which the two largest outputs are equal (a scalar output is 0), rounded.
        exact: whether ``lower`` and ``value`` are one float64 number, or neighbours: the distance is computed
            in rational arithmetic, and only rounded. Infinite, it says that there is no other class.
        regions: the number of regions visited.
    """

    value: float
    lower: float
    witness: FloatArray | None
    exact: bool
    regions: int

    __repr__ = one_line

    @property
    def number(self) -> Number:
        """The distance as a labelled number; missing where there is no other class."""
        if not self.exact:
            return interval(self.lower, self.value)
        return Exact(self.value) if np.isfinite(self.value) else Missing("there is no other class")


@np.errstate(all="ignore")  # what overflows is bounded by infinities
def robustness_radius(
    network: NetworkLike,
    x: ArrayLike,
    norm: float | str = 2,
    *,
    domain: DomainLike | None = None,
    max_regions: int | None = None,
    max_seconds: Seconds | None = None,
    progress: Progress | None = None,
) -> Radius:
    r"""The distance :math:`\min \{\|y - x\|_p : \exists j \ne c: f_j(y) \ge f_c(y)\}`, c the class of x.

    Regions are visited in the order of their distance from x. In each, the nearest point where another
    output equals the class's is a projection onto a polytope (p = 2) or a linear program (p = 1, infinity);
    once no region that is left is nearer than the nearest such point, that point is the answer. Where the
    budget ends first, all points nearer than the next region's distance have the class of x. An affine
    classifier has the distance :math:`|w x + b| / \|w\|_q`, 1/p + 1/q = 1.

    A budget may end before anything is known: ``lower`` is then 0 and ``value`` infinite, which says nothing.

    Points at which outputs only touch count as well: there the class is no longer the only largest.

    A result is exact where it is the distance in rational arithmetic, of the float64 numbers that network,
    domain and x are made of, rounded to neighbouring numbers below and above. What a budget leaves open, or
    rational arithmetic that takes too long, is an interval, proved on both sides.

    Arguments:
        network: of several outputs, whose class is the largest; or of one, whose class is its sign.
        x: one point of the domain, ``[d]``, or with axes of length one or of the input's shape.
        norm: p: 1, 2 or infinity (``np.inf``, or "inf").
        domain: where to look; the whole space by default. An image's box keeps the witness an image.
        max_regions, max_seconds: budgets.
        progress: called with the numbers of regions found and of rows to look at.

    Raises:
        ValueError: x is not a finite point of the domain, there is no such norm, or a unit jumps.
        EmptyDomainError: the domain has no interior.

    References:
        Jordan, Lewis, Dimakis (2019), "Provable Certificates for Adversarial Examples: Fitting a Ball in the
        Union of Polytopes", https://arxiv.org/abs/1903.08778

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [-1.0])])  # |x| - 1
        >>> found = robustness_radius(net, [0.25])
        >>> found.value, found.witness.tolist(), found.exact
        (0.75, [1.0], True)
    """
    network = as_network(network)
    start, p, space = checked(network, x, norm, domain, "robustness_radius")
    return nearest_change(network, start, p, space, Budget(max_regions, max_seconds), progress)


def checked(
    network: Network, x: ArrayLike, norm: float | str, domain: DomainLike | None, name: str
) -> tuple[FloatArray, float, Polyhedron]:
    """A point, a norm and a domain for ``nearest_change``.

    Arguments:
        network, x, norm, domain: as of ``robustness_radius``.
        name: of the verb, for the message.
    """
    p = as_norm(norm, f"{name}: norm")
    try:
        start = floats(x).ravel()  # one point, of any shape
    except (TypeError, ValueError) as error:
        said = f"{name}: x must be a point, {network.input_dim} numbers, not {described(x)}."
        raise TypeError(said) from error
    if len(start) != network.input_dim:
        raise ValueError(
            f"{name}: x must be one finite point of R^{network.input_dim}, not an array of shape "
            f"{np.shape(x)}; for several points call it for each."
        )
    if not np.isfinite(start).all():
        raise ValueError(
            f"{name}: x must be a finite point of R^{network.input_dim}; it holds NaN or infinity."
        )
    space = Polyhedron.whole_space(len(start)) if domain is None else as_domain(domain, len(start))
    if not space.contains(start[None])[0]:
        raise ValueError(f"{name}: x is not a point of the domain.")
    return start, p, space


@np.errstate(all="ignore")
def nearest_change(
    network: Network,
    start: FloatArray,
    norm: float,
    domain: Polyhedron,
    budget: Budget,
    progress: Progress | None,
    tried: FloatArray | None = None,
) -> Radius:
    """The same for arguments that were checked.

    Arguments:
        network, start, norm, domain, progress: as there.
        budget: of regions and of time.
        tried: ``[k, d]``, points that may be of another class; they bound the distance from the first on.
    """
    refuse_jumps(network)
    try:
        with watched(budget.first):
            label, tie = class_of(network, start)
            if tie:
                return Radius(0.0, 0.0, start, True, 0)
            inner = equilibrated(margin_network(maxima_first(network), label), domain, columns=False)
            tables = boundaries(inner.network)
    except BudgetSpent:
        return Radius(np.inf, 0.0, None, False, 0)
    walk = Walk(inner.network, inner.domain, tables, budget, progress)
    search = _Search(walk, start, norm)
    with suppress(BudgetSpent), watched(budget.first):
        search.try_descent()
        for point in np.zeros((0, len(start))) if tried is None else tried:
            search.offer_beyond(point, *search.ends)
    return search.run()


@dataclass(eq=False)
class _Search(Witness):
    """The walk from x outward, and the pieces of the decision boundary met on the way.

    Arguments:
        walk: through the regions of the network of margins, all positive at x.
        start, norm: x, and what distances are measured by.
    """

    unresolved: float = np.inf  # a bound on what could not be measured
    reached: float = 0.0  # all that is nearer was looked at
    pieces: list[tuple[float, int, int, int]] = field(default_factory=list)  # key, what it is, region, margin
    measured: dict[tuple[int, int], Nearest] = field(default_factory=dict)
    queued: dict[tuple[int, int], float] = field(default_factory=dict)  # their least keys; looked at: -inf

    def __post_init__(self) -> None:
        self.frontier = Frontier(self.walk, self.start, self.norm)
        self.exact = ExactNetwork(self.walk.network)
        self._rows: dict[int, MarginRows] = {}

    def run(self) -> Radius:
        """Regions and pieces by distance, until the next one is no nearer than the best."""
        walk = self.walk
        with suppress(BudgetSpent):
            with watched(walk.budget.first):
                self._start()
            with watched(walk.budget.look):
                self._go_outward()
        lower = float(min(self.reached, self.unresolved, self.floor))
        if lower < self.floor:
            self._offer_measured()
        seen = max(len(walk.patterns), self.listing.seen if self.listing else 0)
        return Radius(self.best, min(lower, self.best), self.witness, lower >= self.floor, seen)

    def _start(self) -> None:
        """The region of x."""
        self.walk.begin(self.start)
        if not self.walk.sure:
            self.unresolved = 0.0
        self.frontier.add(0, 0.0)
        self._add_pieces(0, 0.0)

    def _go_outward(self) -> None:
        """The regions and pieces; ``reached`` is the distance of the one that is looked at."""
        queue, walk = self.frontier.queue, self.walk
        listing, race = self.listing, None
        while True:
            walked = queue[0][0] if queue else np.inf  # all that is nearer was seen
            lists = listing is not None and not listing.over
            if not race and not lists and not walk.budget.spent(len(walk.patterns)):
                race = self._race()
            ahead = max(walked, listing.least if listing else 0.0, race.least(self.best) if race else 0.0)
            near = min(ahead, self.pieces[0][0] if self.pieces else np.inf)
            self.reached = near
            if near >= self.floor or near == np.inf:
                break
            if self.pieces and self.pieces[0][0] <= near:
                self._look(*heappop(self.pieces))
            elif listing and lists:
                self._take(*listing.step(self.best))
            elif race and (race.behind or not queue):
                self._take(*race.step(self.best))
            else:
                with race.other() if race else nullcontext():
                    self._step(near)
            if walk.budget.spent(len(walk.patterns)):
                break
            walk.tell(len(queue))

    def _step(self, near: float) -> None:
        """Take a facet further; what lies behind it is no nearer."""
        known, sure = len(self.walk.patterns), self.walk.sure
        self.frontier.step()
        if sure and not self.walk.sure:
            self.unresolved = min(self.unresolved, near)
        for region in range(known, len(self.walk.patterns)):
            self._add_pieces(region, near)

    @cached_property
    def _size(self) -> float:
        """Of a ball that holds the domain."""
        low, high = self.ends
        return float(np.linalg.norm(np.maximum(high - self.start, self.start - low), self.norm))

    @cached_property
    def listing(self) -> Listing | None:
        """In few dimensions what comes first."""
        if len(self.start) > LISTED_DIMENSIONS:
            return None
        walk, far = self.walk, 1 + float(np.linalg.norm(self.start, self.norm))
        guess = self.pieces[0][0] or far if self.pieces else far
        return Listing(walk.network, self.start, walk.domain, self.norm, self._size, guess, walk.budget)

    def _race(self) -> Race | None:
        """Branch and bound beside the walk, or in its place where that is long."""
        few = len(self.start) <= FEW_DIMENSIONS
        if few and len(self.walk.patterns) < FEW_REGIONS:
            return None
        from polytope.measures.racing import Race  # loads torch, which takes seconds

        box = np.stack(self.ends)
        return Race(self.walk, self.start, box, self.norm, self._size, self.best, few)

    def _take(self, regions: list[tuple[float, int, PatternArray]], points: FloatArray) -> None:
        """Queue what regions hold; try inputs that may be nearer than the best."""
        for bound, j, pattern in regions:
            number = self.walk.numbers.get(pattern.tobytes())
            if number is None:
                number = self.walk.admit_unseen(pattern, self.start)
            self._add_pieces(number, bound, j)
        for point in points:
            self.offer_beyond(point, *self.ends)

    def _margins(self, region: int) -> MarginRows:
        """The margins on a region."""
        if region not in self._rows:
            if len(self._rows) >= KEPT:
                self._rows.clear()
            pattern = self.walk.patterns[region]
            self._rows[region] = margin_rows(self.walk.network, self.exact, pattern, self.start)
        return self._rows[region]

    def _add_pieces(self, region: int, distance: float, which: int | None = None) -> None:
        """Queue the places in a region where margins, or a margin, vanish, by their hyperplanes' distance.

        A margin that is constant vanishes nowhere first: it is continuous, and positive nearer to x.
        """
        rows = self._margins(region)
        at, error = rows.at(self.start)
        away = hyperplane_distances(rows.A, at, Errors(error, rows.tilt), self.norm)
        for key, j in zip(np.maximum(away, distance).tolist(), rows.number.tolist(), strict=True):
            if which is None or j == which:
                self._queue(key, region, j)

    def _queue(self, key: float, region: int, j: int) -> None:
        """Look at a piece of the boundary when its turn comes, once.

        A region may be found in parts; the nearest one says when.
        """
        if key < self.queued.get((region, j), np.inf):
            self.queued[region, j] = key
            heappush(self.pieces, (key, BOUND, region, j))

    def _look(self, key: float, kind: int, region: int, j: int) -> None:
        """The point of a region nearest to x where a margin vanishes: by floats, the second time exactly."""
        if kind == MEASURED:
            self._decide(key, region, j)
            return
        if self.queued[region, j] < key:
            return  # looked at already, in the turn of a nearer part
        self.queued[region, j] = -np.inf
        near = self._measure(region, j)
        bound = max(key, near.bound)
        if bound < self.best:
            self.measured[region, j] = near
            heappush(self.pieces, (bound, MEASURED, region, j))

    def _measure(self, region: int, j: int) -> Nearest:
        """What floats say of that point."""
        rows = self._margins(region)
        k = int(np.flatnonzero(rows.number == j)[0])
        at, error = rows.at(self.start)
        row = Row(rows.A[k], float(at[k]), float(error[k]), float(rows.tilt[k]))
        seen = self.frontier.seen(region).with_row(row)
        near = seen.nearest(len(seen.at) - 1, norm=self.norm, stop=self.best, rounds=60)
        if near.point is None and near.bound < self.best:
            surely = self.frontier.surely(region, row, self.best)
            near = surely if surely.bound > near.bound or surely.point is not None else near
        return near

    def _decide(self, key: float, region: int, j: int) -> None:
        """The point in rational arithmetic, where that ends in time."""
        near = self.measured[region, j]
        row = exact_margin(self.exact, self.walk.patterns[region], j)
        try:
            found = nearest_in_region(self.walk.open(region), row, self.start, self.norm, near)
        except SolverError:
            self.unresolved = min(self.unresolved, key)
            if near.point is not None:
                self.offer_along(near.point)
            found = None
        del self.measured[region, j]
        if found is None:
            return
        low, high = enclosed(found.size, self.norm)
        if high < self.best:
            self.best, self.floor = high, low
            self.witness = np.array([float(v) for v in found.point])
        elif high == self.best:
            self.floor = min(self.floor, low)

    def _offer_measured(self) -> None:
        """Where a budget ends the search, the best of the points that floats have found."""
        steps = [near.point for near in self.measured.values() if near.point is not None]
        if steps:
            self.offer_along(min(steps, key=lambda step: float(np.linalg.norm(step, self.norm))))

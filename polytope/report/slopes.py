"""The report on slopes: Lipschitz constants over the domain and the data's box, and slopes at data points."""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from polytope.core.result import SearchResult
from polytope.engines.budget import Budget, BudgetSpent
from polytope.exact.maps import right_maps
from polytope.geometry import Polyhedron
from polytope.ir import Network, mlp
from polytope.ir.boundaries import boundaries
from polytope.ir.looking import watched
from polytope.ir.maps import FloatArray
from polytope.labelled import Bound, Estimate, Exact, Missing, Number, interval
from polytope.measures.lipschitz import lipschitz_constant
from polytope.measures.lipschitz_bounds import lipschitz_bounds
from polytope.measures.operator_norm import operator_norms
from polytope.regions.complex import RegionComplex
from polytope.regions.locate import told_patterns
from polytope.report.clock import Clock
from polytope.report.cost import estimated_seconds, some_regions
from polytope.report.data_sections import Lipschitz, Slopes
from polytope.report.subject import Subject, to_distances

LARGEST_JACOBIAN = 1 << 22
"""Numbers in the arrays of an interval Jacobian, up to which certified bounds are computed."""
MOST_POINTS = 256
FEW = 8  # points that are looked at first, to see what they cost
ENDS = 0.9  # of the time left, what bounds get that stop by themselves


def lipschitz_facts(subject: Subject, complex: RegionComplex, clock: Clock) -> Lipschitz:
    """The slopes at data points, and the 2-to-2 Lipschitz constant over the domain and the data's box.

    Each is answered or left out by itself; the points, which are soon done, come first.
    """
    data, steepest = _at_points(subject, clock)
    domain = _over_domain(subject, complex, clock)
    return Lipschitz(domain, _over_box(subject, steepest, clock), data)


def _over_domain(subject: Subject, complex: RegionComplex, clock: Clock) -> Number:
    """The greatest norm over the regions; enclosed with certified bounds where regions are missing."""
    if not len(complex):
        return Missing("no region was found")
    what = "the Lipschitz constant over the domain"
    K = to_distances(subject.scope.window, complex.domain.dim)
    straight = _straightened(complex, K)
    part = 1.0 if subject.points is None or subject.scope.window is None else 0.5  # the data's box comes next
    found = clock.answered(
        f"{what}: slopes of regions", lambda: _steepest(straight, part * 2 / 3, clock), None
    )
    if isinstance(found, Exact):
        return found
    least: Number = Missing(clock.why) if found is None else found
    if not complex.domain.is_bounded or _too_large(straight.network):
        return least
    seconds = _share(clock, part)
    bounds = clock.answered(
        f"{what}: a certified bound",
        lambda: lipschitz_bounds(straight.network, straight.domain, samples=100, max_seconds=seconds),
        None,
    )
    if bounds is None:
        return least
    greatest = max(bounds.lower, 0.0 if found is None else found.lower)
    return interval(greatest, max(bounds.upper, greatest), "the steepest region looked at; a certified bound")


def _steepest(complex: RegionComplex, part: float, clock: Clock) -> Exact | Bound:
    """The greatest norm over the regions, or over as many, one at least, as a part of the time allows."""
    end = (1 - part) * clock.left if clock.limit is not None else -np.inf

    def look(_: int) -> None:
        if clock.left < end:
            raise BudgetSpent

    note = "the steepest of the regions looked at"
    with watched(look):
        least = lipschitz_constant(some_regions(complex, np.array([len(complex) // 2]))).lower
        try:
            some = _affordable(complex, part, clock)
            found = lipschitz_constant(some)
        except BudgetSpent:
            clock.refuse("the slopes of more than 1 region", clock.why)
            return Bound(least, note=note)
    if complex.complete and len(some) == len(complex):
        return Exact(float(found), "up to the rounding of the last operations")
    return Bound(max(found.lower, least), note=note)


def _affordable(complex: RegionComplex, part: float, clock: Clock) -> RegionComplex:
    """All regions, or as many as a part of the time is enough for."""
    expected = estimated_seconds(complex, lipschitz_constant)
    allowed = max(part * clock.left, 0.0)
    if expected <= allowed:
        return complex
    most = max(int(len(complex) * allowed / expected), 24)
    why = f"all {len(complex):,} would take about {expected:,.0f} s"
    clock.refuse(f"the slopes of more than {most:,} regions", why)
    return some_regions(complex, np.unique(np.linspace(0, len(complex) - 1, most).astype(np.int64)))


def _straightened(complex: RegionComplex, K: FloatArray) -> RegionComplex:
    """The complex in coordinates u, t = K u, in which lengths are those of the input space."""
    network = mlp([(K, np.zeros(len(K)))]).then(complex.network)  # with restrict, weights would be rounded
    domain = Polyhedron(complex.domain.A @ K, complex.domain.b)
    points = complex.interior_points @ np.linalg.inv(K).T
    found = SearchResult(
        engine=complex.engine,
        n_regions=len(complex),
        open_bound=complex.upper - len(complex),
        kept_patterns=complex.found.kept_patterns,
        interior_points=points,
    )
    return RegionComplex(network, domain, found)


def _over_box(subject: Subject, steepest: float, clock: Clock) -> Number | None:
    """Certified bounds over the data's box, where that is not the domain; the steepest point known in it."""
    box = subject.data_box
    if box is None or subject.scope.window is None:
        return None
    what = "a certified Lipschitz bound over the data's box"
    if _too_large(subject.network):
        return Missing(clock.refuse(what, "the interval Jacobians of that many inputs take too long"))
    seconds = _share(clock, 1.0)
    bounds = clock.answered(
        what, lambda: lipschitz_bounds(subject.network, box, samples=64, max_seconds=seconds), None
    )
    if bounds is None:
        return Bound(steepest, note="the steepest point looked at") if steepest else Missing(clock.why)
    lower = max(bounds.lower, steepest)
    return interval(lower, max(bounds.upper, lower), "the steepest point looked at; a certified bound")


def _share(clock: Clock, part: float) -> float | None:
    """A part of the time left, to bring ends together; ``None`` for no limit, or where it is too short."""
    seconds = None if clock.limit is None else ENDS * part * clock.limit
    return seconds if Budget(None, seconds).has_time_for_torch() else None


def _too_large(network: Network) -> bool:
    widest = max(len(layer.bias) for layer in network.layers)
    return widest * max(network.input_dim, network.output_dim) > LARGEST_JACOBIAN


def _at_points(subject: Subject, clock: Clock) -> tuple[Slopes | None, float]:
    """The norms of the Jacobians at data points, and the greatest of those that a region surely has.

    A point so near to a crossing that float64 cannot tell its side may be given the slope of no region.
    """
    if subject.points is None:
        return None, 0.0
    network, x = subject.network, subject.points[:MOST_POINTS]
    most, half = max(1, (1 << 22) // (network.input_dim * network.output_dim)), clock.left / 2
    norms, sure = [np.zeros(0)], [np.zeros(0, dtype=bool)]
    with suppress(BudgetSpent):  # what was found before stays
        tables = boundaries(network)
        while (done := sum(map(len, norms))) < len(x) and (not done or clock.left >= half):
            patterns, told = told_patterns(network, tables, x[done : done + min(done + FEW, most)])
            norms.append(operator_norms(right_maps(network, patterns).J))
            sure.append(told)
    found, known = np.concatenate(norms), np.concatenate(sure)
    if len(found) < len(x):
        clock.refuse(f"slopes at {len(x) - len(found):,} of {len(x):,} data points", clock.why)
    if not len(found):
        return None, 0.0
    if (more := len(subject.points) - len(x)) > 0:
        clock.refuse(f"slopes at the other {more:,} data points", f"the first {len(x):,} are looked at")

    def labelled(value: float) -> Number:
        return (
            Exact(value) if known.all() else Estimate(value, "some points lie on crossings, up to rounding")
        )

    facts = Slopes(len(found), labelled(float(np.median(found))), labelled(float(found.max())))
    return facts, float(found[known].max(initial=0.0))

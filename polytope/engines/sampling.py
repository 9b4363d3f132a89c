"""Regions hit by random points: a certified lower bound, never a count."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from polytope.core.open_cells import Path
from polytope.core.result import ROOT, Keep, SearchResult
from polytope.engines.budget import Budget, BudgetSpent, Progress
from polytope.engines.engine import at_the_root
from polytope.engines.listed import listed
from polytope.errors import UnboundedDomainError
from polytope.geometry.lp import coordinate_bounds
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Network
from polytope.ir.activations import PatternArray
from polytope.ir.boundaries import LayerBoundaries, boundaries
from polytope.ir.looking import look, watched
from polytope.ir.maps import FloatArray
from polytope.ir.matrix import product
from polytope.regions.locate import told_patterns

BATCH = 4096
NUMBERS = 1 << 20  # of the points of a batch
TOGETHER = 1 << 20  # units times points between two looks at the budget


@dataclass(frozen=True)
class Sampling:
    """Distinct patterns at random points of the domain.

    Each pattern is that of a region, so the number found is a lower bound; nothing is ever complete.

    Arguments:
        n: number of points.
        rng: source of randomness; ``numpy.random.default_rng(0)`` where ``None``.
    """

    n: int = 10_000
    rng: np.random.Generator | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"Sampling: n must be positive, not {self.n}.")

    def search(
        self,
        network: Network,
        domain: Polyhedron,
        *,
        start: Sequence[Path] = ROOT,
        budget: Budget,
        keep: Keep,
        progress: Progress | None,
    ) -> SearchResult:
        """Random points in the domain, and the patterns of those that are clear of every boundary.

        Raises:
            UnboundedDomainError: the domain is unbounded.
        """
        at_the_root(start, self)
        if not domain.is_bounded:
            raise UnboundedDomainError("Sampling needs a bounded domain.")
        rng = np.random.default_rng(0 if self.rng is None else self.rng)
        tried, found = 0, dict[bytes, tuple[PatternArray, FloatArray]]()
        drawn, tables = random_points(domain, self.n, rng), tuple[LayerBoundaries, ...]()
        try:
            with watched(budget.look):
                tables = boundaries(network)
        except BudgetSpent:  # no time for the boundaries of all units, let alone for points
            drawn = iter(())
        for points in (part for some in drawn for part in in_parts(network, some)):
            try:
                with watched(budget.look):
                    patterns, inside = clear_patterns(network, tables, points)
            except BudgetSpent:
                break
            for pattern, x in zip(patterns, inside, strict=True):
                found.setdefault(pattern.tobytes(), (pattern, x))
            tried += len(points)
            if progress:
                progress(len(found), 0)
            if budget.spent(len(found)):
                break
        kept = list(found.values())[: budget.max_regions]
        name = f"sampling, {self.n} points"
        return listed(network, kept, engine=name, keep=keep, statistics={"points": tried})


def in_parts(network: Network, points: FloatArray) -> Iterator[FloatArray]:
    """The points, as many at once as may go through a network between two looks at a budget."""
    step = max(1, TOGETHER // max(network.n_units, 1))
    return (points[i : i + step] for i in range(0, len(points), step))


def clear_patterns(
    network: Network, tables: Sequence[LayerBoundaries], points: FloatArray
) -> tuple[PatternArray, FloatArray]:
    """Patterns and points, without those nearer to a boundary than rounding can tell."""
    patterns, told = told_patterns(network, tables, points)
    return patterns[told], points[told]


def random_points(domain: Polyhedron, n: int, rng: np.random.Generator) -> Iterator[FloatArray]:
    """Points of the domain: uniform in a box, hit-and-run in any other polytope."""
    if domain.is_box:
        low, high, _ = coordinate_bounds(domain.rows, -domain.b, np.inf)
        together = max(1, min(BATCH, NUMBERS // domain.dim))
        for start in range(0, n, together):
            look()
            u = rng.random((min(together, n - start), domain.dim))
            yield low * (1 - u) + high * u
        return
    state = np.repeat(domain.inscribed_ball[0][None], min(n, BATCH), axis=0)
    for start in range(0, n, BATCH):
        count = min(BATCH, n - start)
        for _ in range(8 * domain.dim):
            look()
            state = _chord_step(domain, state, rng)
        yield state[:count]


def _chord_step(domain: Polyhedron, state: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Every point to a uniform place on a chord through it in a random direction."""
    directions = rng.standard_normal(state.shape)
    speed = product(domain.rows, directions.T).T
    slack = np.maximum(domain.b - product(domain.rows, state.T).T, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        time = slack / speed
    ahead = np.where(speed > 0, time, np.inf).min(axis=1)
    behind = np.where(speed < 0, time, -np.inf).max(axis=1)
    moved: FloatArray = state + (behind + rng.random(len(state)) * (ahead - behind))[:, None] * directions
    return moved

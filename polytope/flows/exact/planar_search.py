r"""The nearest point of the plane where a scalar network is not negative, by enumeration around the start.

Regions are cut where the function passes a level just below 0. Where no region of a ball is above it, nothing
in the ball reaches 0. Of the others, the nearest point is found in rational arithmetic: first of some in a
growing ball, to know how far to look, then of all in the ball that the nearest of these is on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from polytope.engines.amounts import Seconds
from polytope.engines.budget import Budget, Progress
from polytope.errors import EmptyDomainError, IncompleteComplexError
from polytope.exact.cells import ExactCells
from polytope.exact.nearest import enclosed
from polytope.exact.polygon import Nearest, as_float, corner, length, nearest, polygon
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Network, mlp
from polytope.ir.activations import PatternArray
from polytope.ir.maps import FloatArray
from polytope.measures.robustness import Radius
from polytope.properties.cases import watched
from polytope.runs.enumerate import enumerate_regions

DOUBLINGS = 12  # beyond, the walk from region to region decides
FEW = 4  # regions of which one has the nearest point, most likely
SQUARE = ((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0))
SIDES = 32  # of the polygon around a disc


def nearest_in_plane(
    reached: Network,
    start: FloatArray,
    norm: float,
    domain: Polyhedron,
    *,
    max_regions: int | None = None,
    max_seconds: Seconds | None = None,
    progress: Progress | None = None,
) -> Radius | None:
    """The distance from the start to where the network is at least 0; ``None`` if nothing is near.

    Arguments:
        reached: of two inputs and one output, negative at the start.
        start: a point of the domain, ``[2]``.
        norm: 1, 2 or infinity.
        domain: where to look.
        max_regions, max_seconds: budgets; the result is then an interval.
        progress: as of ``enumerate_regions``.
    """
    search = _Search(reached, start, norm, domain, Budget(None, max_seconds), max_regions, progress)
    half, box = _first_guess(reached, start), domain.bounds if domain.is_bounded else None
    proved, best = 0.0, None
    try:
        for _ in range(DOUBLINGS):
            near = search.reaching(half)
            best = near.nearest(FEW) or near.nearest()
            if best is not None:
                best = search.reaching(length(best[0], norm)).nearest() or best
                return _radius(best, norm, search.seen)
            proved = half
            if box is not None and bool((np.abs(box - start) <= half).all()):
                return Radius(np.inf, np.inf, None, True, search.seen)
            half *= 2
    except IncompleteComplexError:
        known = _radius(best, norm, search.seen) if best else Radius(np.inf, 0.0, None, False, search.seen)
        return replace(known, lower=proved, exact=False, regions=search.seen)
    except EmptyDomainError:
        pass  # the walk can begin at a corner of the domain that is too thin
    return None


def _radius(best: Nearest, norm: float, regions: int) -> Radius:
    low, high = enclosed(Fraction(int(best[0].p), int(best[0].q)), norm)
    return Radius(high, low, np.array([as_float(v) for v in best[1]]), True, regions)


@dataclass(eq=False)
class _Search:
    """Enumerations around the start, in balls of some radius."""

    reached: Network
    start: FloatArray
    norm: float
    domain: Polyhedron
    budget: Budget
    max_regions: int | None
    progress: Progress | None
    seen: int = 0

    def reaching(self, radius: float) -> _Reaching:
        """The regions, in a polygon around the ball, in which the function may reach 0."""
        ball = _around(self.start, radius, self.norm)
        both = Polyhedron(np.concatenate([ball.A, self.domain.A]), np.concatenate([ball.b, self.domain.b]))
        conditions = self.reached.then(mlp([([[-1.0]], [0.0])]))
        seconds = self.budget.max_seconds
        left = None if seconds is None else max(seconds - self.budget.seconds, 1e-3)
        found = enumerate_regions(
            watched(conditions, np.abs(self.reached(self.start))),
            both,
            max_regions=self.max_regions,
            max_seconds=left,
            progress=self.progress,
        )
        self.seen = max(self.seen, len(found))
        found.require_complete("Where the function is not negative")
        low = found.patterns[:, -1] == 0
        order = np.argsort(np.linalg.norm(found.interior_points[low] - self.start, self.norm, axis=1))
        patterns = found.patterns[low][order, :-1]
        return _Reaching(
            ExactCells(conditions, both.rows, both.b), patterns, self.start, 4 * radius, self.norm
        )


@dataclass(frozen=True, eq=False)
class _Reaching:
    """Regions in which the function may reach 0, near ones first, within a square around the start."""

    cells: ExactCells
    patterns: PatternArray
    start: FloatArray
    half: float
    norm: float

    def nearest(self, most: int | None = None) -> Nearest | None:
        """The nearest point of some regions, or of all, where the function is not negative."""
        p, best = corner(*self.start.tolist()), None
        square = [corner(*(self.start + self.half * np.array(s)).tolist()) for s in SQUARE]
        for pattern in self.patterns[:most]:
            rows = [row.row for row in self.cells.rows(pattern)]
            function = self.cells.exact.outputs(pattern).integers[0].tolist()
            corners = polygon([function, *rows], square)
            if corners:
                found = nearest(corners, p, self.norm)
                best = found if best is None else min(best, found)
        return best


def _around(start: FloatArray, radius: float, norm: float) -> Polyhedron:
    """A polygon that holds the ball of a radius, and little more."""
    if norm == 2:
        angles = 2 * np.pi * np.arange(SIDES) / SIDES
        A = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    elif norm == 1:
        A = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    else:
        A = np.concatenate([np.eye(2), -np.eye(2)])
    return Polyhedron(A, A @ start + radius * (1 + 2.0**-30) + 2.0**-50 * np.abs(start).sum())


def _first_guess(reached: Network, start: FloatArray) -> float:
    """The distance at which the function of the start's region would be 0, within reason."""
    slope = float(np.abs(reached.jacobian(start)).max())
    return float(np.clip(-reached(start)[0] / max(slope, 1e-12), 0.05, 1.0))

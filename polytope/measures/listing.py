r"""The regions around a point in which a margin may vanish, listed: where these are few, all at once.

Margin j becomes a unit behind the network that is on where :math:`m_j(x) > \varepsilon_j`, for some
:math:`\varepsilon_j > 0` far below its value at the point. A region that holds a place where the margin is 0,
be it that it only touches 0 there, has a part with interior on which that unit is off. Within a ball in which
no such part is listed, all margins are positive.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polytope.core.vertex_cells import MOST_DIMENSIONS, VertexCells
from polytope.engines.budget import Budget
from polytope.errors import GeometryError
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Network
from polytope.ir.activations import PatternArray
from polytope.ir.maps import FloatArray
from polytope.measures.preimages import cells_meeting, with_conditions
from polytope.regions.cell_distances import cell_distances

Piece = tuple[float, int, PatternArray]  # a bound on its distance, the margin, the region

MOST_REGIONS = 1 << 15  # listed at once: a tenth of a second
MOST_UNBOUNDED = 1 << 12  # the same in unbounded domains, by linear programs: some seconds
MOST_BY_PROGRAMS, SECONDS = 1 << 13, 1.0  # in more dimensions than six, where this is tried once
HANDED = 64  # pieces that are handed out at once; of more, the nearer half of the ball is asked for first
HALVINGS, GROWTHS = 12, 10
LARGER = 2.0  # by how much one looks farther where nothing bounds the search
LOW = 2.0**-40  # levels as a share of the margins at the point
SLIGHTLY = 1 + 2.0**-20  # so that what is as far as the best is inside of the ball
TRIED = 4  # points of the parts that are listed


@dataclass(eq=False)
class Listing:
    """Balls around a point in which all regions were looked at.

    Arguments:
        network: of margins, which are positive at the start.
        start: a point of the domain, ``[d]``.
        domain: where to look.
        norm: what distances are measured by.
        size: of a ball that holds the domain; infinite where there is none.
        guess: how far to look first where nothing is known.
        budget: of the whole search.

    Attributes:
        over: whether there are too many regions to go on.
        seen: the most regions that were listed at once.
        least: no place where a margin vanishes is nearer, but for those in regions that were handed out.
    """

    network: Network
    start: FloatArray
    domain: Polyhedron
    norm: float
    size: float
    guess: float
    budget: Budget
    over: bool = False
    seen: int = 0
    least: float = 0.0
    _next: float = np.inf
    _too_large: float = np.inf
    _halvings: int = 0
    _growths: int = 0

    def __post_init__(self) -> None:
        self._few = self.domain.dim <= MOST_DIMENSIONS
        level = np.maximum(LOW * np.abs(self.network(self.start)), 2.0**-1000)
        k = len(level)
        self._behind = with_conditions(self.network, np.eye(k), np.where(level < np.inf, level, 1.0))

    def step(self, best: float) -> tuple[list[Piece], FloatArray]:
        """List the regions of a ball.

        Arguments:
            best: what is farther is of no interest.

        Returns:
            regions in which a margin may vanish; and points of those, that may be nearer than the best.
        """
        radius = self._radius(best)
        found = self._listed(radius)
        if found is None:
            self._too_large = radius
            self._halve(radius)
            return [], np.zeros((0, len(self.start)))
        patterns, points, away = found
        n = self.network.n_units
        bounds = np.maximum(away, self.least)
        pieces = [(bounds[i], int(j), patterns[i, :n]) for i, j in np.argwhere(patterns[:, n:] == 0)]
        pieces = [piece for piece in pieces if piece[0] < best]
        if len(pieces) > HANDED and radius > 2 * self.least and self._halvings < HALVINGS:
            self._halve(radius)
            return [], points
        self.least = np.inf if radius >= self.size else radius
        self._growths += 1
        self._next = np.inf if self._growths > GROWTHS else LARGER * radius
        farther = min(self._next, best, self.size)
        self.over = self.least < best and self._too_large < np.inf and self._too_large <= farther
        return pieces, points

    def _radius(self, best: float) -> float:
        """Of the next ball; infinite for all of an unbounded domain."""
        if best == np.inf and not self._growths:
            self._next = min(self._next, self.guess)
        return min(self._next, best * SLIGHTLY, self.size)

    def _halve(self, radius: float) -> None:
        self._halvings += 1
        self._next = radius / 2
        few = self._few and self._halvings <= HALVINGS and radius < np.inf
        self.over = not few or self._next <= self.least

    def _listed(self, radius: float) -> tuple[PatternArray, FloatArray, FloatArray] | None:
        """The parts on which some margin may vanish; ``None`` where there are too many regions.

        Returns:
            their patterns, some points of the nearest, and lower bounds on their distances.
        """
        if radius < np.inf and not np.isfinite(4 * (radius + np.abs(self.start))).all():
            return None
        cases = [[j] for j in range(self.network.output_dim)]
        budget = self._share(radius)
        try:
            found = cells_meeting(self._behind, self._ball(radius), cases, budget, keep="vertices")
        except GeometryError:
            return None  # the domain is too thin here: the walk begins at a point of it
        if budget.interrupted:
            self.budget.interrupt()
        if found.open_bound:
            return None
        self.seen = max(self.seen, found.n_regions)
        met = np.flatnonzero((found.patterns[:, self.network.n_units :] == 0).any(axis=1))
        points = found.interior_points[met]
        nearest = np.argsort(np.linalg.norm(points - self.start, self.norm, axis=1))[:TRIED]
        away = np.zeros(len(met))
        if isinstance(found, VertexCells):
            away = cell_distances(found.vertices, met, self.start, self.norm)
        return found.patterns[met], points[nearest], away

    def _share(self, radius: float) -> Budget:
        """What one ball may take."""
        if self._few:
            most, seconds = MOST_REGIONS if radius < np.inf else MOST_UNBOUNDED, self.budget.rest
        else:
            most, seconds = MOST_BY_PROGRAMS, min(SECONDS, self.budget.rest or SECONDS)
        return Budget(min(most, self.budget.max_regions or most), seconds)

    def _ball(self, radius: float) -> Polyhedron:
        """A polytope around the ball, in the domain."""
        if radius >= self.size or radius == np.inf:
            return self.domain
        x, far = self.start, radius * (1 + 2.0**-40)
        if self.norm == 1 and self._few:
            ball = Polyhedron.cross_polytope(x, far + 2.0**-46 * float(np.abs(x).sum()))
        else:
            ball = Polyhedron.box(x - far - 2.0**-50 * np.abs(x), x + far + 2.0**-50 * np.abs(x))
        return Polyhedron(np.concatenate([ball.A, self.domain.A]), np.concatenate([ball.b, self.domain.b]))

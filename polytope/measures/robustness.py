r"""Distance to the decision boundary: the nearest point at which another class does at least as well."""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heappop, heappush

import numpy as np
from numpy.typing import ArrayLike

from polytope.geometry.lp import coordinate_bounds
from polytope.geometry.norm_distance import DUAL
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Network
from polytope.ir.activations import PatternArray
from polytope.ir.boundaries import boundaries
from polytope.ir.maps import FloatArray
from polytope.ir.matrix import lengths
from polytope.regions.found import Budget, Progress
from polytope.regions.nearest_first import Frontier
from polytope.regions.walk import Walk


@dataclass(frozen=True, eq=False)
class Radius:
    """The distance of a point from the decision boundary lies in ``lower .. value``.

    Arguments:
        value: the distance of the witness; infinite where none is known. **Exact** if ``exact``.
        lower: certified lower bound; equal to ``value`` where exact.
        witness: ``[d]``, a point at which the two largest outputs are equal (a scalar output is 0).
        exact: whether ``value`` is the distance.
        regions: the number of regions visited.
    """

    value: float
    lower: float
    witness: FloatArray | None
    exact: bool
    regions: int


def robustness_radius(
    network: Network,
    x: ArrayLike,
    norm: float = 2,
    *,
    domain: Polyhedron | None = None,
    max_regions: int | None = None,
    max_seconds: float | None = None,
    progress: Progress | None = None,
) -> Radius:
    r"""The distance :math:`\min \{\|y - x\|_p : \exists j \ne c: f_j(y) \ge f_c(y)\}`, c the class of x.

    Regions are visited in the order of their distance from x. In each, the nearest point where another
    output equals the class's is a projection onto a polytope (p = 2) or a linear program (p = 1, infinity);
    once no region that is left is nearer than the nearest such point, that point is the answer. Where the
    budget ends first, all points nearer than the next region's distance have the class of x. An affine
    classifier has the distance :math:`|w x + b| / \|w\|_q`, 1/p + 1/q = 1.

    Points at which outputs only touch count as well: there the class is no longer the only largest.

    Arguments:
        network: of several outputs, whose class is the largest; or of one, whose class is its sign.
        x: a point of the domain, ``[d]``.
        norm: p: 1, 2 or infinity.
        domain: where to look; the whole space by default. An image's box keeps the witness an image.
        max_regions, max_seconds: budgets.
        progress: called with the numbers of regions found and of rows to look at.

    Raises:
        ValueError: x is not a finite point of the domain, or there is no such norm.
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
    if norm not in DUAL:
        raise ValueError(f"robustness_radius: norm must be 1, 2 or infinity, not {norm!r}.")
    start = np.asarray(x, dtype=float).ravel()
    if len(start) != network.input_dim or not np.isfinite(start).all():
        raise ValueError(f"robustness_radius: x must be a finite point of R^{network.input_dim}.")
    domain = domain or Polyhedron.whole_space(len(start))
    if domain.dim != len(start) or not domain.contains(start[None], tolerance=1e-9)[0]:
        raise ValueError("robustness_radius: x is not a point of the domain.")
    values = network(start[None])[0]
    label = int(values.argmax()) if len(values) > 1 else int(values[0] > 0)
    if _margins(values, label).min(initial=np.inf) <= 0:
        return Radius(0.0, 0.0, start, True, 0)
    walk = Walk(network, domain, boundaries(network), Budget(max_regions, max_seconds), progress)
    search = _Search(walk, start, float(norm), label)
    search.try_descent()
    return search.run()


def _margins(values: FloatArray, label: int) -> FloatArray:
    """By how much the class leads each other one, ``[out, ...]`` to ``[out - 1, ...]``; a scalar's size."""
    if len(values) == 1:
        return values if label else -values
    return np.delete(values[label] - values, label, axis=0)


@dataclass(eq=False)
class _Search:
    """The walk from x outward, and the pieces of the decision boundary met on the way."""

    walk: Walk
    start: FloatArray
    norm: float
    label: int
    witness: FloatArray | None = None
    best: float = np.inf
    unresolved: float = np.inf  # a bound on what could not be measured
    pieces: list[tuple[float, int, int]] = field(default_factory=list)  # bound, region, other class

    def __post_init__(self) -> None:
        self.frontier = Frontier(self.walk, self.start, self.norm)

    def run(self) -> Radius:
        """Regions and pieces by distance, until the next one is no nearer than the best."""
        queue, walk = self.frontier.queue, self.walk
        walk.begin(self.start)
        self.frontier.add(0, 0.0)
        self._add_pieces(0, 0.0)
        while True:
            near = min(queue[0][0] if queue else np.inf, self.pieces[0][0] if self.pieces else np.inf)
            if near >= self.best or near == np.inf:
                break
            if self.pieces and self.pieces[0][0] <= near:
                self._measure(*heappop(self.pieces))
            else:
                self._step(near)
            if walk.budget.spent(len(walk.patterns)):
                break
            walk.tell(len(queue))
        lower = min(near, self.unresolved, self.best)
        return Radius(self.best, lower, self.witness, lower >= self.best, len(walk.patterns))

    def _step(self, near: float) -> None:
        """Take a facet further; what lies behind it is no nearer."""
        known, sure = len(self.walk.patterns), self.walk.sure
        self.frontier.step()
        if sure and not self.walk.sure:
            self.unresolved = min(self.unresolved, near)
        for region in range(known, len(self.walk.patterns)):
            self._add_pieces(region, near)

    def _margin_rows(self, pattern: PatternArray) -> FloatArray:
        """The margins as affine functions of the input, ``[m, d + 1]``."""
        J, c = self.walk.network.affine(pattern)
        return _margins(np.concatenate([J, c[:, None]], axis=1), self.label)

    def _add_pieces(self, region: int, distance: float) -> None:
        """Queue the places in a region where margins vanish, by the distance of their hyperplanes."""
        rows = self._margin_rows(self.walk.patterns[region])
        size = lengths(rows[:, :-1], DUAL[self.norm])
        off = np.abs(rows[:, :-1] @ self.start + rows[:, -1])
        for j in np.flatnonzero(size > 2.0**-44 * (size.max(initial=0.0) + off)).tolist():
            heappush(self.pieces, (max(distance, float(off[j] / size[j])), region, j))

    def _measure(self, key: float, region: int, j: int) -> None:
        """The point of a region nearest to x where a margin vanishes."""
        known = self.frontier.curved(region)
        margin = self._margin_rows(self.walk.patterns[region])[j]
        length = np.linalg.norm(margin[:-1])
        A, c = known.with_row(margin / length)
        for rounds in (60, 500):
            near = self.frontier.nearest_on(A, c, len(c) - 1, known.box, stop=self.best, rounds=rounds)
            if near.point is not None or near.bound >= self.best:
                break
        point = near.point
        if point is None and near.bound < self.best:
            point = self.frontier.nearest_in(region, margin / length)
            if point is None and self.frontier.meets(region, margin / length):
                self.unresolved = min(self.unresolved, max(key, near.bound))
        if point is not None:
            level = margin[:-1] @ point + margin[-1]
            self._offer(point - level / length**2 * margin[:-1])

    def _offer(self, point: FloatArray) -> None:
        """Keep a point of the decision boundary if it is the nearest so far."""
        away = float(np.linalg.norm(point - self.start, self.norm))
        if away < self.best:
            self.best, self.witness = away, point

    def try_descent(self, rounds: int = 30, others: int = 9) -> None:
        """Walk downhill on the smallest margins: where the class changes, an upper bound on the distance."""
        rows = self._margin_rows(self.walk.network.pattern(self.start))
        lead, size = rows[:, :-1] @ self.start + rows[:, -1], lengths(rows[:, :-1], DUAL[self.norm])
        ahead = np.divide(lead, size, out=np.full(len(rows), np.inf), where=size > lead * 2.0**-500)
        for j in np.argsort(ahead, kind="stable")[:others].tolist():
            y = self._downhill(j, rounds)
            if y is not None:
                self._offer_first(y)
            if self.walk.budget.spent(0):
                return
        self._slide(min(40, len(self.start)))

    def _downhill(self, j: int, rounds: int) -> FloatArray | None:
        """Newton steps to a point where a margin is not positive, inside bounds on single coordinates."""
        rows = self.walk.domain.unit_rows
        low, high, _ = coordinate_bounds(rows[:, :-1], rows[:, -1], np.inf)
        y = self.start
        for _ in range(rounds):
            level = float(_margins(self.walk.network(y), self.label)[j])
            if level <= 0:
                return y
            slope = self._margin_rows(self.walk.network.pattern(y))[j, :-1]
            slope = np.where(slope > 0, slope * (y > low), slope * (y < high))
            if not np.abs(slope).max() > 0:
                break
            y = np.clip(y - 1.02 * level * steepest(slope, self.norm), low, high)
        return None

    def _slide(self, rounds: int) -> None:
        """Along the decision boundary towards x: from the witness to where its own hyperplane is nearest."""
        unit = self.walk.domain.unit_rows
        low, high, _ = coordinate_bounds(unit[:, :-1], unit[:, -1], np.inf)
        share = 1.0
        for _ in range(rounds):
            if self.witness is None or share < 1 / 64 or self.walk.budget.spent(0):
                return
            y, before = self.witness, self.best
            j = int(_margins(self.walk.network(y), self.label).argmin())
            row = self._margin_rows(self.walk.network.pattern(y))[j]
            length = float(np.linalg.norm(row[:-1]))
            if not length > 0:
                return
            A, c = row[None, :-1] / length, row[-1:] / length
            aim = self.frontier.nearest_on(A, c, 0, (low, high), stop=np.inf, rounds=60).point
            if aim is None:
                return
            self._offer_beyond(y + share * (aim - y), low, high)
            share = min(1.0, 2 * share) if self.best < before * (1 - 1e-3) else share / 4

    def _offer_beyond(self, aim: FloatArray, low: FloatArray, high: FloatArray) -> None:
        """The first of some points on the ray to a place, and beyond it, where the class changes."""
        times = np.linspace(0.0, 1.25, 41)[1:, None]
        ray = np.clip(self.start + times * (aim - self.start), low, high)
        lost = np.flatnonzero(_margins(self.walk.network(ray).T, self.label).min(axis=0) <= 0)
        if len(lost):
            self._offer_first(ray[lost[0]])

    def _offer_first(self, y: FloatArray) -> None:
        """The first change of class found by halving the way from x to y, where that lies in the domain."""
        low, high = 0.0, 1.0
        for _ in range(100):
            middle = (low + high) / 2
            if middle in (low, high):
                break
            at = self.walk.network(self.start + middle * (y - self.start))
            low, high = (middle, high) if _margins(at, self.label).min() > 0 else (low, middle)
        point = self.start + high * (y - self.start)
        if self.walk.domain.contains(point[None])[0]:
            self._offer(point)


def steepest(slope: FloatArray, norm: float) -> FloatArray:
    """The shortest step along which an affine function of this slope grows by 1."""
    if norm == 2:
        return slope / float(slope @ slope)
    if norm == np.inf:
        return np.sign(slope) / float(np.abs(slope).sum())
    step = np.zeros_like(slope)
    k = int(np.abs(slope).argmax())
    step[k] = 1 / slope[k]
    return step

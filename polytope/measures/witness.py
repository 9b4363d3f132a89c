"""Points of another class, nearer and nearer: by descent, and by what a search proposes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from polytope.bounds.output_bounds import bounds_at
from polytope.engines.walk import Walk
from polytope.errors import SolverError
from polytope.geometry.lp import coordinate_bounds
from polytope.geometry.norm_distance import DUAL, nearest_where_zero, steepest
from polytope.ir.forward import U
from polytope.ir.maps import FloatArray
from polytope.ir.matrix import lengths

BEYOND = (
    2.0**-44,
    2.0**-36,
    2.0**-26,
    2.0**-18,
    2.0**-12,
)  # how much farther points of another class are proved to be


@dataclass(eq=False)
class Witness:
    """The nearest point known at which some margin is not positive.

    Arguments:
        walk: through the regions of the network of margins, all positive at the start.
        start, norm: x, and what distances are measured by.
        witness: the point, rounded.
        best: proved: the point, before it was rounded, is no farther.
        floor: what a search has to reach: the point's distance, rounded down.
    """

    walk: Walk
    start: FloatArray
    norm: float
    witness: FloatArray | None = None
    best: float = np.inf
    floor: float = np.inf

    def offer_along(self, step: FloatArray) -> None:
        """Keep the end of a step from x, or the first of some points behind it, where that is possible."""
        low, high = self.ends
        if not np.linalg.norm(step, self.norm) < self.best:
            return
        for beyond in BEYOND:
            if self._offer(np.clip(self.start + (1 + beyond) * step, low, high)):
                return

    @cached_property
    def ends(self) -> tuple[FloatArray, FloatArray]:
        """Bounds of the domain on single coordinates, ``[d]``."""
        domain = self.walk.domain
        low, high, _ = coordinate_bounds(domain.rows, -domain.b, np.inf)
        return low, high

    def _offer(self, point: FloatArray) -> bool:
        """Keep a point if it is proved to be of another class, in the domain, and is the nearest so far."""
        with np.errstate(all="ignore"):
            away = float(np.linalg.norm(point - self.start, self.norm)) * (1 + (len(point) + 8) * U)
        if not away < self.best or not self.walk.domain.contains(point[None])[0]:
            return False
        if not (bounds_at(self.walk.network, point)[1] <= 0).any():
            return False
        self.best, self.floor, self.witness = away, away, point
        return True

    def try_descent(self, rounds: int = 30, others: int = 9) -> None:
        """Walk downhill on the smallest margins: where the class changes, an upper bound on the distance."""
        J, c = self._affine(self.start)
        lead, size = J @ self.start + c, lengths(J, DUAL[self.norm])
        ahead = np.divide(
            lead, size, out=np.full(len(c), np.inf), where=size > np.maximum(lead, 0) * 2.0**-500
        )
        for j in np.argsort(ahead, kind="stable")[:others].tolist():
            y = self._downhill(j, rounds)
            if y is not None:
                self._offer_first(y)
            if self.walk.budget.late():
                return
        self._slide(min(40, len(self.start)))

    def _affine(self, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The margins around a point, in floats."""
        return self.walk.network.affine(self.walk.network.pattern(y))

    def _downhill(self, j: int, rounds: int) -> FloatArray | None:
        """Newton steps to a point where a margin is not positive, inside bounds on single coordinates."""
        low, high = self.ends
        y = self.start
        for _ in range(rounds):
            level = float(self.walk.network(y)[j])
            if level <= 0:
                return y
            slope = self._affine(y)[0][j]
            slope = np.where(slope > 0, slope * (y > low), slope * (y < high))
            if not np.abs(slope).max() > 0:
                break
            y = np.clip(y - 1.02 * level * steepest(slope, self.norm), low, high)
        return None

    def _slide(self, rounds: int) -> None:
        """Along the decision boundary towards x: from the witness to where its own hyperplane is nearest."""
        low, high = self.ends
        share = 1.0
        for _ in range(rounds):
            if self.witness is None or share < 1 / 64 or self.walk.budget.late():
                return
            y, before = self.witness, self.best
            j = int(self.walk.network(y).argmin())
            step = self._step_to_hyperplane(y, j, low, high)
            if step is None:
                return
            self.offer_beyond(y + share * (self.start + step - y), low, high)
            share = min(1.0, 2 * share) if self.best < before * (1 - 1e-3) else share / 4

    def _step_to_hyperplane(
        self, y: FloatArray, j: int, low: FloatArray, high: FloatArray
    ) -> FloatArray | None:
        """The shortest step from x, inside bounds, to where a margin's affine function around y vanishes."""
        J, c = self._affine(y)
        length = float(np.linalg.norm(J[j]))
        if not 0 < length < np.inf:
            return None
        A, at = J[j : j + 1] / length, (J[j : j + 1] @ self.start + c[j]) / length
        try:
            return nearest_where_zero(A, at, 0, low - self.start, high - self.start, norm=self.norm).point
        except SolverError:
            return None

    def offer_beyond(self, aim: FloatArray, low: FloatArray, high: FloatArray) -> None:
        """The first of some points on the ray to a place, and beyond it, where the class changes."""
        times = np.linspace(0.0, 1.25, 41)[1:, None]
        ray = np.clip(self.start + times * (aim - self.start), low, high)
        lost = np.flatnonzero(self.walk.network(ray).min(axis=1) <= 0)
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
            low, high = (middle, high) if at.min() > 0 else (low, middle)
        self.offer_along(high * (y - self.start))

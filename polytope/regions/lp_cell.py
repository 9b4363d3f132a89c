r"""Cells by inequalities: decisions by known points and inscribed balls first, by linear programs last.

Every decision is proved. That a function takes positive values on a cell is shown by a point strictly
inside, checked against bounds on all rounding errors; that it does not, by multipliers whose bound is
negative. What floating point cannot prove either way is decided in exact arithmetic.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from polytope.errors import SolverError
from polytope.exact.interior import interior_point
from polytope.exact.program import positive_point
from polytope.exact.rows import Cut, ExactRows
from polytope.geometry.lp import Optimum, WarmProgram
from polytope.geometry.polyhedron import UNBOUNDED, Polyhedron
from polytope.ir import Network
from polytope.ir.activations import PatternArray
from polytope.ir.boundaries import LayerBoundaries
from polytope.ir.maps import FloatArray

ROUNDING = 2.0**-50  # relative error allowed for one dot product of ordinary length


@dataclass(frozen=True, eq=False)
class Function:
    """An affine function ``row[:d] . x + row[d]`` of unit length, its error bound, and its origin."""

    row: FloatArray
    error: float
    origin: Cut

    def negated(self) -> Function:
        """The function with the other sign."""
        return Function(
            -self.row, self.error, Cut(self.origin.number, self.origin.boundary, -self.origin.sign)
        )


@dataclass(eq=False)
class LpCell:
    """A cell: unit rows, their origins, points known to lie strictly inside, and a ball inside.

    ``points`` grows while decisions are taken; everything else is fixed. ``inscribed`` is the radius of
    the last largest ball that was computed, for this cell or one that it was cut from; ``box``, ``[2, d]``,
    the last bounding box.
    """

    rows: tuple[FloatArray, ...]
    cuts: tuple[Cut, ...]
    errors: FloatArray
    center: FloatArray
    radius: float
    points: FloatArray
    matrix: FloatArray = field(repr=False)
    inscribed: float
    box: FloatArray


@dataclass(frozen=True, eq=False)
class Decider:
    """What answers questions about the cells of one search: the programs, the exact network, the tally."""

    network: Network
    domain: Polyhedron
    exact_row: ExactRows
    programs: tuple[WarmProgram, ...]
    reach: float
    tally: Counter[str] = field(default_factory=Counter)

    def root(self) -> LpCell:
        """The domain as a cell."""
        center, radius = self.domain.inscribed_ball
        if not self.domain.is_bounded:
            radius = min(radius, 1.0)  # near points are the accurate ones
        rows = tuple(self.domain.unit_rows)
        cuts = tuple(Cut(0, i, 1.0) for i in range(len(rows)))
        errors = np.array([ROUNDING * (self.reach + abs(r[-1])) for r in rows])
        box = np.array([[-np.inf], [np.inf]]).repeat(self.domain.dim, axis=1)
        return LpCell(rows, cuts, errors, center, radius, center[None], self.domain.unit_rows, radius, box)

    def seen(self, cell: LpCell, functions: FloatArray, errors: FloatArray) -> NDArray[np.bool_]:
        """Which of many functions ``[m, d + 1]`` the ball or a known point shows to be positive somewhere."""
        at_center = functions[:, :-1] @ cell.center + functions[:, -1]
        at_points = functions[:, :-1] @ cell.points.T + functions[:, -1:]
        shown: NDArray[np.bool_] = (
            np.maximum(at_center + cell.radius, at_points.max(axis=1, initial=-np.inf)) > errors
        )
        return shown

    def excluded(self, cell: LpCell, functions: FloatArray, errors: FloatArray) -> NDArray[np.bool_]:
        """Which of many functions the bounding box shows to be negative on the whole cell."""
        if not np.isfinite(cell.box).all():
            return np.zeros(len(functions), dtype=bool)
        middle, half = cell.box.mean(axis=0), np.ptp(cell.box, axis=0) / 2
        highest = functions[:, :-1] @ middle + functions[:, -1] + np.abs(functions[:, :-1]) @ half
        none: NDArray[np.bool_] = highest + errors < 0
        return none

    def bound(self, cell: LpCell) -> None:
        """Compute the cell's bounding box by linear programs; their vertices become known points."""
        self.tally["boxes"] += 1
        box = cell.box.copy()
        for i, axis in enumerate(np.eye(self.domain.dim)):
            for side, sign in ((0, -1.0), (1, 1.0)):
                f = Function(np.append(sign * axis, 0.0), 0.0, Cut(0, -1, sign))
                best = self._float_maximum(cell, f)
                if best is not None:
                    self._admit(cell, best.point)
                    reached = sign * self._upper_bound(cell, f, best)
                    box[side, i] = min(box[1, i], reached) if side else max(box[0, i], reached)
        cell.box = box

    def positive(self, cell: LpCell, f: Function, pattern: PatternArray) -> bool:
        """Whether ``f`` is positive somewhere on the interior of the cell, proved."""
        if float(f.row[:-1] @ cell.center) + float(f.row[-1]) + cell.radius > f.error:
            self.tally["ball"] += 1
            return True
        if _shows_positive(cell.points, f):
            self.tally["points"] += 1
            return True
        best = self._float_maximum(cell, f)
        if best is None:
            return self._exactly_positive(cell, f, pattern)
        if self._admit(
            cell, best.point if best.bounded else _less_far(cell, f, best.point)
        ) and _shows_positive(cell.points[-1:], f):
            return True
        if self._upper_bound(cell, f, best) < 0:
            return False
        return self._exactly_positive(cell, f, pattern)

    def _float_maximum(self, cell: LpCell, f: Function) -> Optimum | None:
        """What floating point says; ``None`` where it has nothing to say."""
        if not np.isfinite(f.error):
            return None
        self.tally["programs"] += 1
        best = None
        for program in self.programs:
            try:
                best = program.maximise(cell.rows, f.row)
            except SolverError:
                self.tally["solver_failures"] += 1
                continue
            if best.bounded or best.value > f.error:
                break
        return best

    def _admit(self, cell: LpCell, point: FloatArray) -> bool:
        """Keep a point, moved towards the centre until it is strictly inside; false if that is impossible.

        Points beyond the reach are refused: the bounds on rounding errors do not hold there.
        """
        if not np.abs(point).max() <= self.reach:
            return False
        if not len(cell.rows):
            inside = point
        else:
            need = cell.errors
            at_center = -(cell.matrix[:, :-1] @ cell.center + cell.matrix[:, -1]) - need
            at_point = -(cell.matrix[:, :-1] @ point + cell.matrix[:, -1]) - need
            if at_center.min() <= 0:
                return False
            short = at_point < 0
            ratios = at_center[short] / (at_center[short] - at_point[short])
            step = min(1.0, float(ratios.min(initial=1.0))) * (1 - 1e-9)
            inside = cell.center + step * (point - cell.center)
        cell.points = np.concatenate([cell.points[-4 * self.network.input_dim - 12 :], inside[None]])
        return True

    def _upper_bound(self, cell: LpCell, f: Function, best: Optimum) -> float:
        """The bound on f over the cell that the multipliers prove, all errors counted."""
        if not best.bounded:
            return np.inf
        y = np.maximum(best.multipliers, 0.0)
        rest = f.row - y @ cell.matrix
        slack = float(np.abs(rest[:-1]).sum()) * self.reach
        return float(rest[-1]) + slack + f.error + float(y @ cell.errors)

    def _exactly_positive(self, cell: LpCell, f: Function, pattern: PatternArray) -> bool:
        self.tally["exact"] += 1
        objective = self.exact_row(f.origin, pattern)
        if not any(objective[:-1]):
            return bool(objective[-1] > 0)
        rows = [self.exact_row(cut, pattern).tolist() for cut in cell.cuts]
        point = positive_point(rows, objective.tolist())
        if point is not None:
            self._admit(cell, np.array([float(v) for v in point]))
        return point is not None

    def cut(self, cell: LpCell, f: Function, pattern: PatternArray) -> LpCell:
        """The part of the cell where ``f <= 0``; f must be negative somewhere inside."""
        rows, cuts = (*cell.rows, f.row), (*cell.cuts, f.origin)
        errors, matrix = np.append(cell.errors, f.error), np.concatenate([cell.matrix, f.row[None]])
        at_center = float(f.row[:-1] @ cell.center + f.row[-1])
        at_points = cell.points @ f.row[:-1] + f.row[-1]
        below = at_points < -f.error
        known = cell.points[below]
        if at_center < -f.error:
            known = np.concatenate([known, cell.center[None]])
            trial = np.concatenate([known, _behind(cell, at_center, cell.points, at_points)])
        else:
            trial = np.concatenate([known, _behind(cell, at_center, known, at_points[below])])
        child = LpCell(rows, cuts, errors, cell.center, 0.0, known, matrix, cell.inscribed, cell.box)
        center, radius = self._center(child, trial)
        if radius < 0.01 * cell.inscribed:
            center, radius = self._inscribed_ball(child, center, radius, pattern)
            child.inscribed = radius
        child.center, child.radius = center, max(radius, 0.0)
        return child

    def _center(self, cell: LpCell, known: FloatArray) -> tuple[FloatArray, float]:
        """The best of the known points and their mean, with the slack left after rounding errors."""
        known = known[np.abs(known).max(axis=1) <= self.reach]
        if not len(known):
            return cell.center, -1.0
        trial = np.concatenate([known, known.mean(axis=0, keepdims=True)])
        slack = -(trial @ cell.matrix[:, :-1].T + cell.matrix[:, -1]) - cell.errors
        least = slack.min(axis=1)
        merit = least if self.domain.is_bounded else least / (np.abs(trial).max(axis=1) + np.abs(least))
        best = int(merit.argmax())
        return trial[best], float(least[best])

    def _inscribed_ball(
        self, cell: LpCell, center: FloatArray, radius: float, pattern: PatternArray
    ) -> tuple[FloatArray, float]:
        """A largest ball inside, by a linear program; exactly, where the cell is too small for that."""
        self.tally["balls"] += 1
        for program in self.programs:
            try:
                point, _ = program.inscribed_ball(cell.rows, None if self.domain.is_bounded else 1.0)
            except SolverError:
                self.tally["solver_failures"] += 1
                continue
            point, found = self._center(cell, point[None])
            if found > radius:
                center, radius = point, found
            if radius > 0:
                return center, radius
        self.tally["exact"] += 1
        return self._exact_ball(cell, pattern)

    def _exact_ball(self, cell: LpCell, pattern: PatternArray) -> tuple[FloatArray, float]:
        """Centre and slack of the largest ball in exact arithmetic, rounded."""
        rows = [self.exact_row(cut, pattern).tolist() for cut in cell.cuts]
        deep = interior_point(rows, int(max(self.reach, 1.0)))
        assert deep is not None, "the function is negative somewhere inside"
        point = np.array([float(v) for v in deep])
        return self._center(cell, point[None])


def _shows_positive(points: FloatArray, f: Function) -> bool:
    """Whether f is positive at one of the points, by more than its error."""
    return len(points) > 0 and float((points @ f.row[:-1]).max()) + float(f.row[-1]) > f.error


def _behind(cell: LpCell, at_center: float, points: FloatArray, at_points: FloatArray) -> FloatArray:
    """Points on the ways from the centre to known points, as deep inside ``f <= 0`` as the ball allows.

    Going the share s of the way, the ball shrinks to ``(1 - s) * radius`` and f to
    ``at_center + s * (at_points - at_center)``: the two meet at the best s.
    """
    rate = at_center - at_points
    share = np.clip(
        (cell.radius + at_center) / np.where(rate + cell.radius > 0, rate + cell.radius, np.inf), 0, 1
    )
    return cell.center + share[:, None] * (points - cell.center)


def _less_far(cell: LpCell, f: Function, point: FloatArray) -> FloatArray:
    """A point on the way from the centre to a far one where f has grown to the size of the cell's ball."""
    at_center = float(f.row[:-1] @ cell.center + f.row[-1])
    at_point = float(f.row[:-1] @ point + f.row[-1])
    wanted = max(1e3 * f.error, cell.radius)
    if at_point <= wanted:
        return point
    return cell.center + (wanted - at_center) / (at_point - at_center) * (point - cell.center)


def decider(network: Network, domain: Polyhedron, boundaries: Sequence[LayerBoundaries]) -> Decider:
    """A decider for one network and domain."""
    center, radius = domain.inscribed_ball
    size = float(np.abs(center).max(initial=0.0))
    if domain.is_bounded:
        rows = list(domain.unit_rows)
        scale = UNBOUNDED * max(size, radius)
        probe = WarmProgram(domain.dim, scale)
        for axis in np.concatenate([np.eye(domain.dim), -np.eye(domain.dim)]):
            size = max(size, abs(probe.maximise(rows, np.append(axis, 0.0)).value))
        bounds = [2 * size]
    else:  # near points first: they are the accurate ones
        bounds = [1e3 * max(1.0, size), UNBOUNDED * max(1.0, size)]
    exact = ExactRows(network, domain.A, domain.b, boundaries)
    programs = tuple(WarmProgram(domain.dim, bound) for bound in bounds)
    return Decider(network, domain, exact, programs, bounds[-1])

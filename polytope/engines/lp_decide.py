r"""Decisions on cells of inequalities: by known points and inscribed balls first, by linear programs last.

Every decision is proved. That a function takes positive values on a cell is shown by a point that is proved
to lie strictly inside, where it exceeds its error; that it does not, by multipliers :math:`y \ge 0`: within
the bounds of a bounded domain, :math:`f - \sum_i y_i r_i` and all errors are negative together. What floats
cannot prove either way is decided in exact arithmetic, where the float vertex proposes the basis.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from polytope.engines.lp_cell import LpCell, behind_center, less_far, shows_positive, size_of
from polytope.engines.lp_functions import UNIT, UNKNOWN, Function, rounding_of
from polytope.errors import SolverError
from polytope.exact.float_points import float_point
from polytope.exact.implied import basis
from polytope.exact.program import positive_point
from polytope.exact.rows import Cut, ExactRows
from polytope.geometry.enclosure import FAR
from polytope.geometry.lp import Optimum, WarmProgram
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Network
from polytope.ir.activations import PatternArray
from polytope.ir.boundaries import LayerBoundaries
from polytope.ir.maps import FloatArray

POOR = 2.0**-40  # error of a function, for its size, from which the exact row is rounded in its place


@dataclass(frozen=True, eq=False)
class Decider:
    """What answers questions about the cells of one search: the programs, the exact network, the tally.

    ``reach`` bounds the absolute coordinates in the domain, ``[d]``, proved; infinite where it is unbounded.
    """

    network: Network
    domain: Polyhedron
    exact_row: ExactRows
    programs: tuple[WarmProgram, ...]
    reach: FloatArray
    tally: Counter[str] = field(default_factory=Counter)

    def root(self) -> LpCell:
        """The domain as a cell."""
        center, radius = self.domain.inscribed_ball
        if not self.domain.is_bounded:
            radius = min(radius, 1.0)  # near points are the accurate ones
        matrix = self.domain.unit_rows
        cuts = tuple(Cut(0, i, 1.0) for i in range(len(matrix)))
        box = np.array([[-np.inf], [np.inf]]).repeat(self.domain.dim, axis=1)
        sure, size = (radius, size_of(center) + radius) if radius > 0 else (-np.inf, 0.0)
        points = center[None] if radius > 0 else np.zeros((0, len(center)))
        sizes, errors = np.abs(points).max(axis=1), rounding_of(matrix)
        return LpCell(tuple(matrix), cuts, errors, center, sure, size, points, sizes, matrix, radius, box)

    def seen(self, cell: LpCell, functions: FloatArray, errors: FloatArray) -> NDArray[np.bool_]:
        """Which of many functions ``[m, d + 1]`` the ball or a known point shows to be positive somewhere."""
        in_ball = functions[:, :-1] @ cell.center + functions[:, -1] + cell.radius
        value = functions[:, :-1] @ cell.points.T + functions[:, -1:]
        shown: NDArray[np.bool_] = in_ball > errors[:, 0] * cell.size + errors[:, 1]
        shown |= (value > errors[:, :1] * cell.sizes + errors[:, 1:]).any(axis=1)
        return shown

    def excluded(self, cell: LpCell, functions: FloatArray, errors: FloatArray) -> NDArray[np.bool_]:
        """Which of many functions the bounding box shows to be negative on the whole cell."""
        if not np.isfinite(cell.box).all():
            return np.zeros(len(functions), dtype=bool)
        middle, half = cell.box.mean(axis=0), np.ptp(cell.box, axis=0) / 2
        highest = functions[:, :-1] @ middle + functions[:, -1] + np.abs(functions[:, :-1]) @ half
        # the rounding of these sums is that of values at a corner, at most twice
        size = float(np.abs(cell.box).max())
        none: NDArray[np.bool_] = highest + 2 * (errors[:, 0] * size + errors[:, 1]) < 0
        return none

    def bound(self, cell: LpCell) -> None:
        """Compute the cell's bounding box by linear programs; their vertices become known points."""
        self.tally["boxes"] += 1
        box = cell.box.copy()
        for i, axis in enumerate(np.eye(self.domain.dim)):
            for side, sign in ((0, -1.0), (1, 1.0)):
                f = Function(np.append(sign * axis, 0.0), (0.0, 0.0), Cut(0, -1, sign))
                best = self._float_maximum(cell, f)
                if best is not None:
                    self._admit(cell, best.point)
                    reached = sign * self._upper_bound(cell, f, best)
                    box[side, i] = min(box[1, i], reached) if side else max(box[0, i], reached)
        cell.box = box

    def positive(self, cell: LpCell, f: Function, pattern: PatternArray) -> bool:
        """Whether ``f`` is positive somewhere on the interior of the cell, proved."""
        if float(f.row[:-1] @ cell.center) + float(f.row[-1]) + cell.radius > f.error_at(cell.size):
            self.tally["ball"] += 1
            return True
        if shows_positive(cell, f):
            self.tally["points"] += 1
            return True
        best = self._float_maximum(cell, f)
        if best is None:
            return self._exactly_positive(cell, f, pattern)
        if self._admit(cell, best.point if best.bounded else less_far(cell, f, best.point)) and float(
            f.row[:-1] @ cell.points[-1] + f.row[-1]
        ) > f.error_at(float(cell.sizes[-1])):
            return True
        if self._upper_bound(cell, f, best) < 0:
            return False
        return self._exactly_positive(cell, f, pattern, best)

    def _float_maximum(self, cell: LpCell, f: Function) -> Optimum | None:
        """What floating point says; ``None`` where it has nothing to say."""
        if max(f.errors) >= UNKNOWN:
            return None
        self.tally["programs"] += 1
        best = None
        for program in self.programs:
            try:
                best = program.maximise(cell.rows, f.row)
            except SolverError:
                self.tally["solver_failures"] += 1
                continue
            if best.bounded or best.value > f.error_at(size_of(best.point)):
                break
        return best

    def _admit(self, cell: LpCell, point: FloatArray) -> bool:
        """Keep a point, moved towards the centre until it is strictly inside; false if that is impossible."""
        two = np.stack([cell.center, point])
        sizes = np.abs(two).max(axis=1)
        if not np.isfinite(sizes[1]):
            return False
        if len(cell.rows):
            at_center, at_point = cell.slacks(two, sizes)
            short = at_point <= 0
            if short.any():
                if at_center.min() <= 0:
                    return False
                ratios = at_center[short] / (at_center[short] - at_point[short])
                two[1] += ((1 - 1e-9) * float(ratios.min()) - 1) * (point - cell.center)
                sizes[1] = np.abs(two[1]).max()
                if cell.slacks(two[1:], sizes[1:]).min() <= 0:
                    return False
        kept = -4 * self.network.input_dim - 12
        cell.points = np.concatenate([cell.points[kept:], two[1:]])
        cell.sizes = np.append(cell.sizes[kept:], sizes[1])
        return True

    def _upper_bound(self, cell: LpCell, f: Function, best: Optimum) -> float:
        """The bound on f over the cell that the multipliers prove, all errors counted."""
        if not (best.bounded and np.isfinite(self.reach).all()):
            return np.inf
        y, most = np.maximum(best.multipliers, 0.0), float(self.reach.max())
        rest = f.row - y @ cell.matrix
        terms = np.abs(f.row) + y @ np.abs(cell.matrix)
        rest[:-1] = np.abs(rest[:-1])
        rest += 2 * (len(y) + self.domain.dim + 4) * UNIT * terms  # the rounding of all these sums
        gradient, constant = f.errors + y @ cell.errors
        return float(rest[:-1] @ self.reach + rest[-1] + 1.0001 * (gradient * most + constant))

    def _exactly_positive(
        self, cell: LpCell, f: Function, pattern: PatternArray, best: Optimum | None = None
    ) -> bool:
        """The same in rational arithmetic, which looks at the float program's basis first."""
        self.tally["exact"] += 1
        objective = self.exact_row(f.origin, pattern).tolist()
        if not any(objective[:-1]):
            return bool(objective[-1] > 0)
        first: list[int] = []
        if best is not None and len(cell.rows) >= self.domain.dim:
            away = np.abs(cell.matrix[:, :-1] @ best.point + cell.matrix[:, -1])
            first = np.lexsort((away, -best.multipliers))[: self.domain.dim].tolist()
            tight = basis(self._exact_rows([cell.cuts[i] for i in first], pattern))
            if tight is not None and tight.implies(objective):
                return False
        point = positive_point(self._exact_rows(cell.cuts, pattern), objective, first=first)
        if point is not None:
            self._admit(cell, _nearest(point))
        return point is not None

    def _exact_rows(self, cuts: Sequence[Cut], pattern: PatternArray) -> list[list[int]]:
        return [self.exact_row(cut, pattern).tolist() for cut in cuts]

    def cut(self, cell: LpCell, f: Function, pattern: PatternArray) -> LpCell:
        """The part of the cell where ``f <= 0``; f must be negative somewhere inside."""
        f = self._precise(f, pattern)
        at_center = float(f.row[:-1] @ cell.center + f.row[-1])
        at_points = cell.points @ f.row[:-1] + f.row[-1]
        below = at_points < -(f.errors[0] * cell.sizes + f.errors[1])
        known, sizes = cell.points[below], cell.sizes[below]
        if cell.radius > 0 and at_center < -f.error_at(cell.size):
            trial = behind_center(cell, at_center, cell.points, at_points)
            known, sizes = np.concatenate([known, cell.center[None]]), np.append(sizes, cell.size)
        else:
            trial = behind_center(cell, at_center, known, at_points[below])
        child = LpCell(
            (*cell.rows, f.row),
            (*cell.cuts, f.origin),
            np.concatenate([cell.errors, [f.errors]]),
            cell.center,
            -np.inf,
            0.0,
            known,
            sizes,
            np.concatenate([cell.matrix, f.row[None]]),
            cell.inscribed,
            cell.box,
        )
        self._take_center(child, np.concatenate([known, trial]))
        if child.radius < 0.01 * cell.inscribed:
            self._inscribe(child, pattern)
            child.inscribed = max(child.radius, 0.0)
        return child

    def _precise(self, f: Function, pattern: PatternArray) -> Function:
        """The function with the exact row, rounded, where its own errors are large."""
        if f.errors[0] < POOR and f.errors[1] < POOR * (1 + abs(f.row[-1])):
            return f
        integers = self.exact_row(f.origin, pattern).tolist()
        top = max(map(abs, integers[:-1]))
        try:
            row = np.array([v / top for v in integers])
        except OverflowError:
            return f
        row /= np.linalg.norm(row[:-1])
        return Function(row, tuple(rounding_of(row[None])[0].tolist()), f.origin)

    def _take_center(self, cell: LpCell, known: FloatArray) -> None:
        """Make the best of some points and their mean the center, if it is proved to lie deeper inside."""
        if not len(known):
            return
        trial = np.concatenate([known, known.mean(axis=0, keepdims=True)])
        sizes = np.abs(trial).max(axis=1)
        least = cell.slacks(trial, sizes).min(axis=1)
        away = sizes + np.abs(least)
        relative = np.divide(least, away, out=np.zeros_like(least), where=(away > 0) & (away < np.inf))
        merit = least if self.domain.is_bounded else relative
        best = int(merit.argmax())
        radius = float(least[best])
        if max(cell.radius, 0.0) < radius < np.inf:
            # farther from the center the errors grow with the coordinates
            radius /= 1 + float(cell.errors[:, 0].max(initial=0.0)) + 2.0**-40
            cell.center, cell.radius, cell.size = trial[best], radius, float(sizes[best]) + radius

    def _inscribe(self, cell: LpCell, pattern: PatternArray) -> None:
        """A center by a largest ball, from a linear program; from exact arithmetic, where none is proved."""
        self.tally["balls"] += 1
        for program in self.programs:
            try:
                point, _ = program.inscribed_ball(cell.rows, None if self.domain.is_bounded else 1.0)
            except SolverError:
                self.tally["solver_failures"] += 1
                continue
            self._take_center(cell, point[None])
            if cell.radius > 0:
                return
        self.tally["exact"] += 1
        self._take_center(cell, self.exact_point(cell, pattern)[None])

    def exact_point(self, cell: LpCell, pattern: PatternArray) -> FloatArray:
        """A float64 point that exact arithmetic shows to lie strictly inside the cell, or next to one."""
        found = float_point(self._exact_rows(cell.cuts, pattern))
        assert found is not None, "a cell has interior"
        return found[0]


def _nearest(point: Sequence[Fraction]) -> FloatArray:
    try:
        return np.array([float(v) for v in point])
    except OverflowError:
        return np.full(len(point), np.inf)


def decider(network: Network, domain: Polyhedron, boundaries: Sequence[LayerBoundaries]) -> Decider:
    """A decider for one network and domain."""
    reach = np.abs(domain.bounds).max(axis=0)
    if domain.is_bounded:
        bounds = [2 * float(reach.max())]
    else:  # near points first: they are the accurate ones
        size = max(1.0, size_of(domain.inscribed_ball[0]))
        bounds = [1e3 * size, FAR * size]
    exact = ExactRows(network, domain.rows, domain.b, boundaries)
    programs = tuple(WarmProgram(domain.dim, bound) for bound in bounds)
    return Decider(network, domain, exact, programs, reach)

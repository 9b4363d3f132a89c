r"""Linear programs over a polyhedron that changes by a few rows at a time, on HiGHS with warm starts.

The only file that imports ``highspy``. Rows are numpy arrays ``r`` of ``d + 1`` numbers that stand for
:math:`r_{:d} \cdot x + r_d \le 0`. A program keeps the rows of the last polyhedron it was asked about;
the next one's common prefix stays in place, so a depth-first search pays only for what changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import highspy
import numpy as np

from polytope.errors import SolverError
from polytope.ir.looking import look
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.matrix import Matrix, dense_rows, product, single_entries

Rows = Sequence[FloatArray]
TOGETHER = 16  # violated rows that enter a model at once
DUAL_SIMPLEX, PRIMAL_SIMPLEX = 1, 4  # names of HiGHS's option values


@dataclass(frozen=True, eq=False)
class Optimum:
    """A vertex of the polyhedron, its value, and the multipliers that bound every other value.

    ``bounded`` is false where only the artificial bound on the coordinates stopped the search.
    """

    value: float
    point: FloatArray
    multipliers: FloatArray
    bounded: bool


class WarmProgram:
    """One HiGHS model in d variables (and a slack radius) whose rows follow the caller's polyhedron.

    Arguments:
        dim: number of coordinates d.
        bound: artificial bound on every coordinate, far outside the domain.
        tolerance: HiGHS's feasibility tolerances, on rows of unit length.

    Attributes:
        seconds: the time spent in HiGHS.
    """

    def __init__(self, dim: int, bound: float, tolerance: float = 1e-9) -> None:
        self.dim = dim
        self.bound = bound
        self.seconds = 0.0
        self._rows: list[FloatArray] = []
        self._columns = np.arange(dim + 1, dtype=np.int32)
        self._highs = _quiet_solver(tolerance)
        for _ in range(dim):
            self._highs.addVar(-bound, bound)
        self._highs.addVar(0.0, 0.0)
        self._highs.changeObjectiveSense(highspy.ObjSense.kMaximize)

    def maximise(self, rows: Rows, objective: FloatArray) -> Optimum:
        """The maximum of ``objective[:d] . x + objective[d]``; rows and objective of unit length.

        Raises:
            SolverError: HiGHS ends without an optimum, also after a cold start.
        """
        self._load(rows)
        return self._solve(np.append(objective[:-1], 0.0), float(objective[-1]))

    def inscribed_ball(self, rows: Rows, largest: float | None = None) -> tuple[FloatArray, float]:
        """Centre and radius of a largest ball inside, of radius at most ``largest`` where given.

        Raises:
            SolverError: the rows leave no point.
        """
        self._load(rows)
        self._highs.changeColBounds(self.dim, 0.0, largest or self.bound)
        try:
            best = self._solve(np.append(np.zeros(self.dim), 1.0), 0.0)
        finally:
            self._highs.changeColBounds(self.dim, 0.0, 0.0)
        return best.point, best.value

    def _load(self, rows: Rows) -> None:
        """Make the model's rows those given: keep the common prefix, replace the rest."""
        same = 0
        for mine, theirs in zip(self._rows, rows, strict=False):
            if mine is not theirs:
                break
            same += 1
        if same < len(self._rows):
            doomed = np.arange(same, len(self._rows), dtype=np.int32)
            self._highs.deleteRows(len(doomed), doomed)
        for row in rows[same:]:
            entries = row.copy()
            entries[-1] = 1.0  # the length of the gradient: what a ball's radius takes from the slack
            self._highs.addRow(-highspy.kHighsInf, -row[-1], self.dim + 1, self._columns, entries)
        self._rows[same:] = rows[same:]

    def _restart(self) -> None:
        """Once more without the warm start, by the dual simplex."""
        self._highs.clearSolver()
        self._highs.setOptionValue("simplex_strategy", DUAL_SIMPLEX)
        self._highs.run()
        self._highs.setOptionValue("simplex_strategy", PRIMAL_SIMPLEX)

    def _solve(self, costs: FloatArray, constant: float) -> Optimum:
        look()
        self._highs.changeColsCost(self.dim + 1, self._columns, costs)
        start = perf_counter()
        self._highs.run()
        if self._highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            self._restart()
        self.seconds += perf_counter() - start
        status = self._highs.getModelStatus()
        if status != highspy.HighsModelStatus.kOptimal:
            name = self._highs.modelStatusToString(status)
            raise SolverError(f"HiGHS ended with '{name}' on {len(self._rows)} rows in R^{self.dim}.")
        solution = self._highs.getSolution()
        x = np.array(solution.col_value)
        value = float(costs @ x) + constant
        reached = np.abs(x[:-1]).max(initial=0.0) >= self.bound * (1 - 1e-9)
        return Optimum(value, x[:-1], np.array(solution.row_dual), not reached)


class FacetProgram:
    """One HiGHS model of a fixed polyhedron around the origin, to reach beyond one of its rows at a time.

    Rows on a single coordinate become bounds of that column, so a box costs nothing. Other rows enter the
    model when a solution violates them: of thousands, few ever matter.

    Arguments:
        A, c: rows ``A x + c <= 0`` of unit length, ``[m, d]`` and ``[m]``, negative at the origin.
        bound: artificial bound on every coordinate.
        tolerance: HiGHS's feasibility tolerances.
    """

    def __init__(self, A: Matrix, c: FloatArray, bound: float, tolerance: float = 1e-9) -> None:
        self._A, self._c, self._bound, self._tolerance = A, c, bound, tolerance
        self.low, self.high, self._column = coordinate_bounds(A, c, bound)
        self._place: dict[int, int] = {}  # the model's row for each row that has entered
        self._highs = _quiet_solver(tolerance)
        for low, high in zip(self.low.tolist(), self.high.tolist(), strict=True):
            self._highs.addVar(low, high)
        self._columns = np.arange(A.shape[1], dtype=np.int32)
        self._highs.changeObjectiveSense(highspy.ObjSense.kMaximize)

    def beyond(self, i: int) -> Optimum:
        """The maximum of row i over the others, cut off as far behind the row as the origin is before it.

        A value that is not positive may be an upper bound on the maximum. Multipliers are those of all rows;
        rows on a single coordinate have none.

        Raises:
            SolverError: HiGHS ends without an optimum, also after a cold start.
        """
        self._enter([i] if self._column[i] < 0 else [])
        [goal] = dense_rows(self._A, np.array([i]))
        self._limit(i, 2.0)
        try:
            self._highs.changeColsCost(len(self._columns), self._columns, goal)
            while True:
                look()
                x = self._solve()
                value = float(goal @ x + self._c[i])
                bounded = bool(np.abs(x).max(initial=0.0) < self._bound * (1 - 1e-9))
                if (bounded and value <= 0) or not self._enter(self._violated(x, i)):
                    return Optimum(value, x, self._multipliers(), bounded)
        finally:
            self._limit(i, 1.0)

    def _solve(self) -> FloatArray:
        self._highs.run()
        if self._highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            self._highs.clearSolver()
            self._highs.run()
        status = self._highs.getModelStatus()
        if status != highspy.HighsModelStatus.kOptimal:
            name = self._highs.modelStatusToString(status)
            raise SolverError(f"HiGHS ended with '{name}' on {len(self._place)} rows.")
        return np.array(self._highs.getSolution().col_value)

    def _multipliers(self) -> FloatArray:
        out = np.zeros(len(self._c))
        out[list(self._place)] = np.array(self._highs.getSolution().row_dual)[list(self._place.values())]
        return out

    def _violated(self, x: FloatArray, i: int) -> list[int]:
        """The rows that a point violates most, some at a time."""
        value = product(self._A, x) + self._c
        value[self._column >= 0] = value[i] = -np.inf
        value[list(self._place)] = -np.inf
        worst = np.argsort(-value, kind="stable")[:TOGETHER]
        return [int(k) for k in worst if value[k] > self._tolerance * (1.0 + abs(self._c[k]))]

    def _enter(self, rows: list[int]) -> bool:
        """Put rows into the model; whether one was not there."""
        new = [k for k in rows if k not in self._place]
        for k, row in zip(new, dense_rows(self._A, np.array(new, dtype=np.int64)), strict=True):
            self._place[k] = len(self._place)
            at = np.flatnonzero(row).astype(np.int32)
            self._highs.addRow(-highspy.kHighsInf, -self._c[k], len(at), at, row[at])
        return bool(new)

    def _limit(self, i: int, times: float) -> None:
        """Move row i to so many times its distance from the origin."""
        height = -times * float(self._c[i])
        k = int(self._column[i])
        if k < 0:
            self._highs.changeRowBounds(self._place[i], -highspy.kHighsInf, height)
            return
        slope = float(dense_rows(self._A, np.array([i]))[0, k])
        if slope > 0:
            self._highs.changeColBounds(k, self.low[k], min(height / slope, self._bound))
        else:
            self._highs.changeColBounds(k, max(height / slope, -self._bound), self.high[k])


class NormProgram:
    """One HiGHS model of the shortest step s in a box, by the 1-norm or the max norm, under rows added later.

    Columns are the two parts of ``s = u - v`` for the 1-norm; s and its length t for the max norm.

    Arguments:
        low, high: ``[d]``, bounds on s, infinite where nothing bounds.
        norm: 1 or infinity.
        tolerance: HiGHS's feasibility tolerances.
    """

    def __init__(self, low: FloatArray, high: FloatArray, norm: float, tolerance: float = 1e-9) -> None:
        d = len(low)
        self._one = norm == 1
        self._highs = _quiet_solver(tolerance)
        self._highs.setOptionValue("simplex_strategy", DUAL_SIMPLEX)
        first, last = np.maximum(low, 0.0), np.maximum(high, 0.0)
        back = np.maximum(-high, 0.0), np.maximum(-low, 0.0)
        lower = np.concatenate([first, back[0]] if self._one else [low, [0.0]])
        upper = np.concatenate([last, back[1]] if self._one else [high, [np.inf]])
        costs = np.ones(2 * d) if self._one else np.append(np.zeros(d), 1.0)
        n = len(costs)
        self._highs.addVars(n, lower, upper)
        self._highs.changeColsCost(n, np.arange(n, dtype=np.int32), costs)
        self._own = 0 if self._one else 2 * d
        if not self._one:  # s - t <= 0 and -s - t <= 0
            columns = np.stack([np.tile(np.arange(d), 2), np.full(2 * d, d)], axis=1)
            factors = np.stack([np.repeat([1.0, -1.0], d), np.full(2 * d, -1.0)], axis=1)
            self._add(np.zeros(2 * d), columns, factors, tight=False)

    def add(self, rows: FloatArray, *, tight: bool = False) -> None:
        """Rows ``rows[:, :d] @ s + rows[:, d] <= 0`` (zero, where tight)."""
        A = rows[:, :-1]
        factors = np.concatenate([A, -A], axis=1) if self._one else A
        columns = np.tile(np.arange(factors.shape[1]), (len(rows), 1))
        self._add(-rows[:, -1], columns, factors, tight=tight)

    def _add(self, limits: FloatArray, columns: IntArray, factors: FloatArray, *, tight: bool) -> None:
        m, n = factors.shape
        lower = limits if tight else np.full(m, -np.inf)
        starts = np.arange(0, m * n, n, dtype=np.int32)
        places, numbers = columns.ravel().astype(np.int32), np.ascontiguousarray(factors).ravel()
        self._highs.addRows(m, lower, limits, m * n, starts, places, numbers)

    def solve(self) -> tuple[FloatArray, FloatArray] | None:
        """The shortest step and the multipliers of the rows, in their order; ``None``: there is no step.

        Raises:
            SolverError: HiGHS ends otherwise, also after a cold start.
        """
        done = highspy.HighsModelStatus.kOptimal, highspy.HighsModelStatus.kInfeasible
        self._highs.run()
        if self._highs.getModelStatus() not in done:
            self._highs.clearSolver()
            self._highs.run()
        status = self._highs.getModelStatus()
        if status not in done:
            raise SolverError(
                f"HiGHS ended a shortest step with '{self._highs.modelStatusToString(status)}'."
            )
        if status != done[0]:
            return None
        solution = self._highs.getSolution()
        x = np.array(solution.col_value)
        d = len(x) // 2 if self._one else len(x) - 1
        return x[:d] - x[d:] if self._one else x[:d], -np.array(solution.row_dual)[self._own :]

    def contradiction(self) -> FloatArray:
        """Multipliers of the rows that show why there is no step, where HiGHS has them; else zeros."""
        rows = self._highs.getNumRow() - self._own
        _, known, ray = self._highs.getDualRay()  # type: ignore[attr-defined]
        if not known or len(ray) != self._own + rows:
            return np.zeros(rows)
        return -np.asarray(ray, dtype=float)[self._own :]


def coordinate_bounds(A: Matrix, c: FloatArray, bound: float) -> tuple[FloatArray, FloatArray, IntArray]:
    """Bounds ``[d]`` that rows on single coordinates set, and for each row the column it bounds, or -1.

    Arguments:
        A, c: rows ``A x + c <= 0``.
        bound: what bounds the coordinates otherwise.
    """
    d = A.shape[1]
    low, high, column = np.full(d, -bound), np.full(d, bound), np.full(len(c), -1)
    single, axis, slope = single_entries(A)
    limit = -c[single] / slope
    for above, ends, worst in ((True, high, bound), (False, low, -bound)):
        side = np.flatnonzero(((slope > 0) == above) & (np.abs(limit) < bound))
        side = side[np.argsort(-limit[side] if above else limit[side], kind="stable")]
        owner = np.full(d, -1)
        owner[axis[side]] = single[side]  # the tightest comes last
        ends[:] = worst
        ends[axis[side]] = limit[side]
        column[owner[owner >= 0]] = np.flatnonzero(owner >= 0)
    return low, high, column


def _quiet_solver(tolerance: float) -> highspy.Highs:
    solver = highspy.Highs()  # type: ignore[no-untyped-call]
    options: dict[str, bool | int | float | str] = {
        "output_flag": False,
        "threads": 1,
        "presolve": "off",
        "simplex_strategy": PRIMAL_SIMPLEX,
        "primal_feasibility_tolerance": tolerance,
        "dual_feasibility_tolerance": tolerance,
        "infinite_bound": highspy.kHighsInf,  # else rows with limits beyond 1e20 would be none
    }
    for name, value in options.items():
        solver.setOptionValue(name, value)
    return solver

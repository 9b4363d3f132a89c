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
from polytope.ir.maps import FloatArray

Rows = Sequence[FloatArray]
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


def _quiet_solver(tolerance: float) -> highspy.Highs:
    solver = highspy.Highs()  # type: ignore[no-untyped-call]
    options: dict[str, bool | int | float | str] = {
        "output_flag": False,
        "threads": 1,
        "presolve": "off",
        "simplex_strategy": PRIMAL_SIMPLEX,
        "primal_feasibility_tolerance": tolerance,
        "dual_feasibility_tolerance": tolerance,
    }
    for name, value in options.items():
        solver.setOptionValue(name, value)
    return solver

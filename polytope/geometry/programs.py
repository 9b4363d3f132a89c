"""Single programs for HiGHS, by way of scipy: proposals in float64, that whoever asks proves or labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from polytope.ir.maps import FloatArray, IntArray

SOLVED, INFEASIBLE = 0, 2  # as scipy numbers what became of a program


@dataclass(frozen=True, eq=False)
class Solution:
    """What HiGHS says of a program.

    Arguments:
        status: ``SOLVED``, ``INFEASIBLE``, or what else happened, in words in ``message``.
        x: ``[n]``, where there is a point; value: the costs there.
    """

    status: int
    message: str
    x: FloatArray | None
    value: float | None


def combination(costs: FloatArray, table: FloatArray, target: FloatArray) -> Solution:
    """The least ``costs @ x`` with ``table @ x = target`` and x >= 0."""
    from scipy.optimize import linprog  # slow to load

    found = linprog(costs, A_eq=table, b_eq=target, bounds=(0, None), method="highs")
    return Solution(found.status, found.message, found.x, found.fun)


def integer_program(
    costs: FloatArray,
    rows: tuple[csr_array, FloatArray, FloatArray],
    bounds: tuple[FloatArray, FloatArray],
    whole: IntArray,
    *,
    presolve: bool,
    seconds: float | None = None,
) -> Solution:
    """The least ``costs @ x`` with rows and x between bounds, and whole numbers where ``whole`` is 1.

    Arguments:
        rows: a matrix ``[m, n]`` with the least and the greatest values ``[m]`` of its products with x.
        bounds: of x, ``[n]`` each.
        seconds: after which HiGHS is to end without an answer, or with the best so far.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp  # slow to load

    found = milp(
        costs,
        integrality=whole,
        bounds=Bounds(*bounds),
        constraints=LinearConstraint(*rows),
        options={"presolve": presolve, "time_limit": np.inf if seconds is None else seconds},
    )
    x = None if found.x is None else np.asarray(found.x)
    return Solution(found.status, found.message, x, found.fun)

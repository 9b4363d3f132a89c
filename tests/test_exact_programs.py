"""Exact decisions over few rows in any dimension: the same as the exact simplex method over all rows."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from scipy.optimize import linprog

from polytope.errors import SolverError
from polytope.exact.program import maximise, positive_point


def value(row: list[int], x: tuple[Fraction, ...]) -> Fraction:
    return sum((a * v for a, v in zip(row, x, strict=False)), Fraction(row[-1]))


def random_program(seed: int) -> tuple[list[list[int]], list[int]]:
    """Small integers: ties, rows that repeat, empty and unbounded polyhedra."""
    rng = np.random.default_rng(seed)
    d = int(rng.integers(1, 7))
    rows = rng.integers(-3, 4, (int(rng.integers(0, 9)), d + 1))
    for sign in (1, -1):
        some = np.eye(d, dtype=int)[rng.random(d) < rng.choice([0.0, 0.8])]
        rows = np.concatenate([rows, np.c_[sign * some, -rng.integers(0, 5, len(some))]])
    rows = rows[np.abs(rows[:, :-1]).max(axis=1, initial=0) > 0]
    return rows.tolist(), rng.integers(-3, 4, d + 1).tolist()


def by_floats(rows: list[list[int]], goal: list[int]) -> float | None:
    """The maximum by scipy: infinite where unbounded, ``None`` where empty."""
    table = np.array(rows, dtype=float).reshape(-1, len(goal))
    objective = -np.array(goal[:-1], dtype=float)
    found = linprog(objective, table[:, :-1], -table[:, -1], bounds=(None, None), method="highs")
    if found.status in (2, 3, 4):  # HiGHS may not tell empty from unbounded
        some = linprog(0 * objective, table[:, :-1], -table[:, -1], bounds=(None, None), method="highs")
        return None if some.status == 2 else np.inf
    return float(goal[-1] - found.fun)


@pytest.mark.parametrize("start", range(0, 400, 100))
def test_signs_and_points_are_those_of_the_exact_simplex_method(start: int) -> None:
    outcomes = set()
    for seed in range(start, start + 100):
        rows, goal = random_program(seed)
        best = maximise(rows, goal)
        right = by_floats(rows, goal)
        if best is None:
            assert right is None
            assert positive_point(rows, [0] * (len(goal) - 1) + [1]) is None
            continue
        assert right == (np.inf if best.value is None else pytest.approx(float(best.value), abs=1e-9))
        assert all(value(row, best.point) <= 0 for row in rows)
        assert best.value is None or value(goal, best.point) == best.value
        x = positive_point(rows, goal)
        outcomes.add(x is None)
        assert (x is not None) == (best.value is None or best.value > 0)
        if x is not None:
            assert all(value(row, x) <= 0 for row in rows)
            assert value(goal, x) > 0
    assert outcomes == {True, False}


def test_three_rows_in_a_box_of_many_dimensions() -> None:
    """The sum of 500 coordinates of [0, 1] is at most 500, and at most 7 where a row says so."""
    d = 500
    box = [[sign * int(i == j) for j in range(d)] + [-(sign > 0)] for i in range(d) for sign in (1, -1)]
    ones = [1] * d
    assert positive_point(box, [*ones, -d]) is None
    full = positive_point(box, [*ones, 1 - d])
    assert full == tuple([Fraction(1)] * d)
    assert positive_point([*box, [*ones, -7]], [*ones, -7]) is None
    x = positive_point([*box, [2 * a for a in ones] + [-15]], [*ones, -7])
    assert x is not None
    assert sum(x) == Fraction(15, 2)


def test_free_coordinates_cost_nothing() -> None:
    """In R^300 a row is implied exactly where it is a nonnegative combination of the others."""
    rng = np.random.default_rng(0)
    rows = rng.integers(-(2**40), 2**40, (4, 301)).tolist()
    both = [2 * a + 3 * b for a, b in zip(rows[0], rows[1], strict=True)]
    assert positive_point(rows, both) is None
    assert positive_point(rows, [*both[:-1], both[-1] + 1]) is not None
    assert positive_point(rows[1:], both) is not None


def test_too_much_work_is_given_up() -> None:
    rows, goal = [[2, 3, -7], [3, 1, -5], [-1, 0, 0], [0, -1, 0]], [1, 1, -1]
    assert positive_point(rows, goal) is not None
    with pytest.raises(SolverError, match="No decision"):
        positive_point(rows, goal, work=1)

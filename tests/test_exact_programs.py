"""Exact linear programs: what the slow twin's simplex method finds, in dimensions where that is quick."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from polytope.errors import SolverError
from polytope.exact.program import maximise, positive_point
from tests.rational_programs import deepest, highest, origin, random_program


def value(row: list[int], x: tuple[Fraction, ...]) -> Fraction:
    return sum((a * v for a, v in zip(row, x, strict=False)), Fraction(row[-1]))


def by_ascent(rows: list[list[int]], goal: list[int]) -> Fraction | str:
    """The maximum by the slow twin, from a point that it finds."""
    sign, x = deepest([tuple(row) for row in rows], [], origin(len(goal) - 1))
    if sign < 0:
        return "empty"
    most = highest([tuple(row) for row in rows], tuple(map(Fraction, goal)), x)
    return "unbounded" if most is None else most


@pytest.mark.parametrize("start", range(0, 400, 100))
def test_signs_and_points_are_those_of_the_exact_simplex_method(start: int) -> None:
    outcomes = set()
    for seed in range(start, start + 100):
        rows, goal = random_program(seed)
        best, right = maximise(rows, goal), by_ascent(rows, goal)
        if best is None:
            assert right == "empty"
            assert positive_point(rows, [0] * (len(goal) - 1) + [1]) is None
            continue
        assert right == ("unbounded" if best.value is None else best.value)
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

"""Polyhedra, windows, and linear programs in floating point and in rationals."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from scipy.optimize import linprog

from polytope import Polyhedron, Slice
from polytope.errors import EmptyDomainError, UnboundedDomainError
from polytope.exact.program import maximise
from polytope.geometry.inside import integer_rows
from polytope.geometry.lp import WarmProgram


@pytest.mark.parametrize("d", [1, 2, 3, 5])
@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_boxes_have_their_corners_and_volume(d: int, size: float) -> None:
    box = Polyhedron.box([-size] * d, [2 * size] * d)
    assert len(box.vertices()) == 2**d
    assert box.volume() == pytest.approx((3 * size) ** d, rel=1e-12)
    center, radius = box.inscribed_ball
    assert radius == pytest.approx(1.5 * size)
    assert box.contains(center[None])[0]
    assert not box.contains(center[None] + 2 * size)[0]


@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_cross_polytopes_are_balls_of_the_1_norm(d: int) -> None:
    ball = Polyhedron.cross_polytope(np.arange(d), 0.5)
    assert len(ball.vertices()) == 2 * d
    assert ball.volume() == pytest.approx(1 / np.prod(np.arange(1, d + 1)), rel=1e-9)


def test_unbounded_sets_have_no_volume() -> None:
    half = Polyhedron(np.array([[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]), np.ones(3))
    assert not half.is_bounded
    assert not Polyhedron.whole_space(2).is_bounded
    with pytest.raises(UnboundedDomainError):
        half.volume()


def test_boxes_of_many_dimensions_are_known_by_their_bounds() -> None:
    box = Polyhedron.box(np.zeros(784), np.arange(1.0, 785))
    assert box.is_box
    assert box.is_bounded
    center, radius = box.inscribed_ball
    assert radius == pytest.approx(0.5, rel=1e-10)
    np.testing.assert_array_equal(center, np.arange(1, 785) / 2)
    cut = Polyhedron(np.concatenate([box.A, np.ones((1, 784))]), np.append(box.b, 100.0))
    assert cut.is_bounded
    assert not cut.is_box


def test_some_bounds_of_coordinates_tell_nothing() -> None:
    """A triangle and a strip with two upper bounds and one more row each."""
    upper = np.eye(2)
    assert Polyhedron(np.concatenate([upper, [[-1.0, -1.0]]]), np.ones(3)).is_bounded
    assert not Polyhedron(np.concatenate([upper, [[1.0, -1.0]]]), np.ones(3)).is_bounded
    assert not Polyhedron(np.array([[2.0, 0.0], [-1.0, 0.0], [1.0, 0.0]]), np.ones(3)).is_bounded


@pytest.mark.parametrize(
    ("A", "b"),
    [([[1.0, 0.0]], [1.0, 2.0]), ([[np.nan, 0.0]], [1.0]), ([[0.0, 0.0]], [1.0]), ([1.0, 2.0], [1.0])],
)
def test_wrong_rows_are_refused(A: list[list[float]], b: list[float]) -> None:
    with pytest.raises(ValueError, match="Polyhedron"):
        Polyhedron(np.array(A), np.array(b))


def test_flat_polyhedra_have_no_interior() -> None:
    flat = Polyhedron(
        np.array([[1.0, 1.0], [-1.0, -1.0], [1.0, 0.0], [-1.0, 0.0]]), np.array([0.0, 0.0, 1.0, 1.0])
    )
    with pytest.raises(EmptyDomainError, match="no interior"):
        _ = flat.inscribed_ball


def test_windows_run_through_their_points() -> None:
    points = np.random.default_rng(0).standard_normal((3, 7))
    window = Slice.through(*points)
    np.testing.assert_allclose(window.lift([[0, 0], [1, 0], [0, 1]]), points, atol=1e-14)
    assert window.dim == 2
    with pytest.raises(ValueError, match="dependent"):
        Slice.through(points[0], points[1], 2 * points[1] - points[0])
    with pytest.raises(ValueError, match="one size"):
        Slice.through(points[0], points[1, :3])


@pytest.mark.parametrize("seed", range(8))
def test_exact_and_floating_programs_agree_with_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    d, m = int(rng.integers(1, 6)), 12
    A, b = rng.integers(-5, 6, (m, d)), rng.integers(1, 9, m)
    A[::4] += 7 * (np.abs(A[::4]).max(axis=1, keepdims=True) == 0)  # no zero rows
    A, b = np.concatenate([A, np.eye(d, dtype=int), -np.eye(d, dtype=int)]), np.append(b, [10] * (2 * d))
    A = A[np.abs(A).max(axis=1) > 0]
    b = b[: len(A)]
    goal = rng.integers(-5, 6, d)
    expected = -linprog(-goal, A_ub=A, b_ub=b, bounds=[(None, None)] * d).fun
    exact = maximise(np.c_[A, -b].tolist(), [*goal.tolist(), 0])
    assert exact is not None
    assert exact.value is not None
    assert float(exact.value) == pytest.approx(expected, abs=1e-9)
    assert all(isinstance(v, Fraction) for v in exact.point)
    assert all(
        sum(int(a) * x for a, x in zip(row, exact.point, strict=True)) <= int(c)
        for row, c in zip(A, b, strict=True)
    )
    length = np.linalg.norm(A, axis=1)
    rows = list(np.c_[A, -b] / length[:, None])
    best = WarmProgram(d, 1e3).maximise(rows, np.append(goal, 0.0))
    assert best.value == pytest.approx(expected, abs=1e-7)


def test_exact_programs_know_unbounded_and_empty() -> None:
    free = maximise([[1, 0, -1]], [0, 1, 0])
    assert free is not None
    assert free.value is None
    assert maximise([[1, 0], [-1, 1]], [1, 0]) is None


def test_warm_programs_follow_changing_rows() -> None:
    rng = np.random.default_rng(1)
    program = WarmProgram(3, 100.0)
    base = list(Polyhedron.box([-1] * 3, [1] * 3).unit_rows)
    for _ in range(20):
        cut = rng.standard_normal(4)
        cut /= np.linalg.norm(cut[:3])
        rows = [*base, np.append(cut[:3], -abs(cut[3]))]
        goal = np.append(rng.standard_normal(3), 0.5)
        fresh = WarmProgram(3, 100.0).maximise(rows, goal)
        assert program.maximise(rows, goal).value == pytest.approx(fresh.value, abs=1e-8)
    center, radius = program.inscribed_ball(base)
    assert radius == pytest.approx(1.0)
    np.testing.assert_allclose(center, 0, atol=1e-8)


def simplices(seed: int) -> tuple[Polyhedron, int]:
    """A simplex behind integer shears, in units of 1e-9 to 1e9, far from the origin; and its dimension."""
    rng = np.random.default_rng(seed)
    d = int(rng.integers(2, 5))
    shear = np.eye(d) + np.triu(rng.integers(-2, 3, (d, d)), 1)
    A = np.concatenate([-np.eye(d), np.ones((1, d))]) @ shear * 10.0 ** rng.integers(-9, 10, d)
    place = rng.integers(-3, 4, d) * 10.0 ** rng.integers(0, 9, d)
    return Polyhedron(A, A @ place + np.abs(A) @ np.abs(place) * 1e-3 + 1.0), d


def exact_rows(polyhedron: Polyhedron) -> list[list[Fraction]]:
    both = np.concatenate([polyhedron.A, -polyhedron.b[:, None]], axis=1)
    return [[Fraction(v) for v in row] for row in both.tolist()]


def assert_ball_lies_inside(polyhedron: Polyhedron) -> None:
    """In rationals: the slack of every row is at least the radius times the row's length."""
    center, radius = polyhedron.inscribed_ball
    assert radius > 0
    for *a, c in exact_rows(polyhedron):
        slack = -c - sum((v * Fraction(x) for v, x in zip(a, center.tolist(), strict=True)), Fraction(0))
        assert slack > 0
        assert slack**2 >= Fraction(radius) ** 2 * sum(v * v for v in a)


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ([-1, 0], [1, 1e-10]),
        ([-1e10, -1], [1e10, 1]),
        ([1e15, -1], [1e15 + 4, 1]),
        ([1e15, -1], [1e15 + 0.25, 1]),
        ([1e6 - 1e-6] * 2, [1e6 + 1e-6] * 2),
        ([1.6e9, 18, 0, 0], [1.7e9, 90, 250000, 1]),
        ([-1e-300, 0], [1e-300, 1e300]),
    ],
)
def test_thin_and_far_boxes_have_an_interior(low: list[float], high: list[float]) -> None:
    box = Polyhedron.box(low, high)
    assert box.is_bounded
    assert_ball_lies_inside(box)
    np.testing.assert_array_equal(box.bounds, [low, high])


@pytest.mark.parametrize("seed", range(40))
def test_simplices_of_any_shape_are_bounded_until_a_row_is_left_out(seed: int) -> None:
    simplex, d = simplices(seed)
    assert simplex.is_bounded
    assert_ball_lies_inside(simplex)
    rest = Polyhedron(simplex.A[1:], simplex.b[1:])
    assert not rest.is_bounded
    assert_ball_lies_inside(rest)
    doubled = Polyhedron(np.repeat(rest.A, 2, axis=0), np.repeat(rest.b, 2) + np.tile([0.0, 1.0], d))
    assert not doubled.is_bounded


@pytest.mark.parametrize("seed", range(40))
def test_bounds_enclose_simplices_tightly(seed: int) -> None:
    simplex, d = simplices(seed)
    rows = integer_rows(simplex.A, simplex.b)
    for j in range(d):
        ends = [maximise(rows, [sign * int(j == k) for k in range(d)] + [0]) for sign in (-1, 1)]
        low, high = (best.value for best in ends if best is not None)
        assert low is not None
        assert high is not None
        size = max(abs(low), abs(high))
        assert -low - size / 10**6 <= Fraction(float(simplex.bounds[0, j])) <= -low
        assert high <= Fraction(float(simplex.bounds[1, j])) <= high + size / 10**6


@pytest.mark.parametrize("height", [1e-9, 1e-12, 1e-300])
def test_a_flat_triangle_is_bounded(height: float) -> None:
    triangle = Polyhedron(np.array([[0, -1], [height, 1], [-height, 1]]), np.array([0, height, height]))
    assert triangle.is_bounded
    assert_ball_lies_inside(triangle)


@pytest.mark.parametrize("seed", range(20))
def test_opposite_rows_leave_an_interior_exactly_if_they_are_apart(seed: int) -> None:
    """Two opposite integer rows in a box meet in a plane; one moved by 2^-40 leaves a slab, or nothing."""
    rng = np.random.default_rng(seed)
    d = int(rng.integers(2, 20))
    box, a = Polyhedron.box([-2] * d, [3] * d), rng.integers(1, 4, (1, d)).astype(float)
    A = np.concatenate([box.A, a, -a])
    for gap, message in ((0.0, "no interior"), (-(2.0**-40), "empty")):
        with pytest.raises(EmptyDomainError, match=message):
            _ = Polyhedron(A, np.concatenate([box.b, [1.0, -1.0 + gap]])).inscribed_ball
    assert_ball_lies_inside(Polyhedron(A, np.concatenate([box.b, [1.0, -1.0 + 2.0**-40]])))


def test_a_domain_between_neighbouring_numbers_has_an_interior_without_a_float() -> None:
    box = Polyhedron.box([1.0], [np.nextafter(1.0, 2)])
    center, radius = box.inscribed_ball
    assert radius == 0
    assert abs(center[0] - 1) <= 2.0**-52


def test_points_on_the_boundary_are_contained_exactly() -> None:
    """The point (0.1, 0.2) lies below 0.1 + 0.2 rounded up, and above the number before that."""
    half = Polyhedron(np.array([[1.0, 1.0]]), np.array([0.1 + 0.2]))
    assert Fraction(0.1) + Fraction(0.2) < Fraction(0.1 + 0.2)
    assert half.contains([[0.1, 0.2]])[0]
    below = Polyhedron(half.A, np.nextafter(half.b, 0))
    assert not below.contains([[0.1, 0.2]])[0]
    assert below.contains([[0.1, 0.2], [0.0, 0.0]], tolerance=1e-9).all()
    assert not half.contains([[np.nan, 0.0], [np.inf, 0.0]]).any()


def test_float_programs_keep_rows_with_limits_of_all_sizes() -> None:
    """The solver's own infinity, 1e20, would drop the row, and with it the place of the next ones."""
    rows = [np.array([1.0, -4e20]), np.array([-1.0, -1.0])]
    best = WarmProgram(1, 1e25).maximise(rows, np.array([1.0, 0.0]))
    assert best.bounded
    assert best.multipliers.tolist() == [1.0, 0.0]
    assert best.point == pytest.approx(4e20)

"""Distances that are called exact, and bounds that are called proved, in rational numbers."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import inf

import numpy as np
import pytest

import polytope as pt
from polytope.errors import SolverError
from polytope.exact.nearest import enclosed, nearest_point
from polytope.geometry.norm_distance import nearest_where_zero
from polytope.geometry.projection import Errors, nearest_surely
from polytope.ir import clip, piecewise_linear
from polytope.measures import robustness
from tests.networks import integer, seeded
from tests.rational import twin_of
from tests.rational_measures import distance, radius, square
from tests.rational_programs import deepest, origin, random_program, rational, row_of

NORMS = (1, 2, inf)
UNIT_BOX = pt.Polyhedron.box([-1, -1], [1, 1])
Row = list[int]


def size_of(step: list[Fraction], norm: float) -> Fraction:
    """The norm of a vector; of the Euclidean one the square."""
    if norm == 2:
        return sum((v * v for v in step), Fraction(0))
    sizes = [abs(v) for v in step]
    return max(sizes) if norm == inf else sum(sizes, Fraction(0))


def root_between(low: float, high: float, size: Fraction, norm: float) -> bool:
    """Whether two neighbouring numbers, or one, enclose what has the given size."""
    ends = [Fraction(v) ** (2 if norm == 2 else 1) for v in (low, high)]
    return high in (low, np.nextafter(low, inf)) and ends[0] <= size <= ends[1]


def check(network: pt.Network, x: list[float], domain: pt.Polyhedron, right: dict[float, Fraction]) -> None:
    """Radii are exact, and the given ones: by the listing, and by the walk."""
    for dimensions in (16, 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(robustness, "LISTED_DIMENSIONS", dimensions)
            for norm, size in right.items():
                found = pt.robustness_radius(network, x, norm, domain=domain)
                assert found.exact, (norm, found)
                assert root_between(found.lower, found.value, size, norm), (norm, found)


@pytest.mark.parametrize("norm", NORMS)
def test_nearest_points_hold_and_no_others_are_nearer(norm: float) -> None:
    """On small integers; optimal by the first-order condition, which a linear program decides."""
    outcomes = set()
    for seed in range(150):
        rows, goal = random_program(seed)
        d = len(goal) - 1
        if d > 3 and norm == 2:
            continue  # the slow twin would take minutes
        rng = np.random.default_rng(seed)
        x = [Fraction(int(v), 4) for v in rng.integers(-9, 10, d)]
        first = rng.permutation(len(rows))[: int(rng.integers(0, 4))].tolist()
        found = (
            nearest_point(rows, x, norm, first=first, ahead=rng.standard_normal(d).tolist()) if rows else None
        )
        expected = _least(rows, x, norm) if rows else None
        outcomes.add(found is None)
        if found is None:
            assert expected is None, seed
            continue
        assert all(sum(a * v for a, v in zip(row, found.point, strict=False)) <= -row[-1] for row in rows)
        assert size_of([v - w for v, w in zip(found.point, x, strict=True)], norm) == found.size
        assert found.size == expected, seed
        alone = nearest_point([rows[i] for i in found.tight] or [[0] * d + [0]], x, norm)
        assert alone is not None
        assert alone.size == found.size
    assert outcomes == {True, False}


def _least(rows: list[Row], x: list[Fraction], norm: float) -> Fraction | None:
    """The least distance by the slow twin."""
    table = [tuple(row) for row in rows]
    sign, y = deepest(table, [], origin(len(x)))
    if sign < 0:
        return None
    return square(table, rational(x)) if norm == 2 else distance(table, y, rational(x), norm)


def test_too_much_work_is_refused() -> None:
    rows = [[-1, -2, 7], [-2, -1, 7], [-1, 0, 5]]
    for norm in NORMS:
        with pytest.raises(SolverError):
            nearest_point(rows, [Fraction(0)] * 2, norm, work=0)


@pytest.mark.parametrize("norm", NORMS)
def test_distances_are_enclosed_by_neighbouring_numbers(norm: float) -> None:
    rng = np.random.default_rng(0)
    sizes = [
        Fraction(4),
        Fraction(1, 3),
        Fraction(2),
        Fraction(0),
        Fraction(10**40 + 1, 10**40),
    ]
    sizes += [Fraction(int(a), int(b)) for a, b in rng.integers(1, 10**9, (50, 2))]
    for size in sizes:
        assert root_between(*enclosed(size, norm), size, norm)
    assert enclosed(Fraction(2**4000), norm) == (np.finfo(float).max, inf)
    assert enclosed(Fraction(4), norm) == ((2.0, 2.0) if norm == 2 else (4.0, 4.0))


@pytest.mark.parametrize("norm", NORMS)
def test_bounds_of_floats_are_proved_within_the_errors_of_rows(norm: float) -> None:
    """Whatever the true rows are, as far as the errors allow: never more than their exact distance."""
    near, contradictions = 0, 0
    for seed in range(120):
        rng = np.random.default_rng(seed)
        d, m = int(rng.integers(1, 5)), int(rng.integers(1, 6))
        A = rng.standard_normal((m, d))
        A /= np.linalg.norm(A, axis=1)[:, None]
        at = rng.standard_normal(m) * 10.0 ** rng.integers(-9, 5)
        size = float(rng.choice([0.0, 2.0**-50, 1e-6]))
        moved = rng.uniform(-1, 1, (m, d)) * size / d**0.5
        rise = rng.uniform(-1, 1, m) * size * np.abs(at)
        errors = Errors(size * np.abs(at) * 1.01, np.full(m, 1.01 * size))
        low, high = np.full(d, -inf), np.full(d, inf)
        if rng.random() < 0.5:
            low[0], high[-1] = -2.0 * np.abs(at[0]), np.abs(at[0])
        found = [nearest_where_zero(A, at, 0, low, high, norm=norm, errors=errors)]
        if norm == 2 and np.isinf(low).all() and np.isinf(high).all():
            found.append(nearest_surely(A, at, 0, errors))
        rows = _true_rows(A, moved, at, rise, low, high)
        right = nearest_point(rows, [Fraction(0)] * d, norm)
        for one in found:
            if right is None:
                contradictions += one.bound > 1e6 * np.abs(at).max()
                continue
            power = 2 if norm == 2 else 1
            assert Fraction(one.bound) ** power <= right.size, seed
            near += Fraction(one.bound * (1 + 1e-12)) ** power >= right.size
    assert near > 20
    assert contradictions > 5


def _true_rows(
    A: np.ndarray, moved: np.ndarray, at: np.ndarray, rise: np.ndarray, low: np.ndarray, high: np.ndarray
) -> list[Row]:
    """Integer rows of the true ones, the first twice, and of the box."""
    exact = [
        [Fraction(float(a)) + Fraction(float(b)) for a, b in zip([*r, c], [*s, t], strict=True)]
        for r, s, c, t in zip(A, moved, at, rise, strict=True)
    ]
    exact.append([-v for v in exact[0]])
    for sign, ends in ((1, high), (-1, low)):
        exact += [
            [Fraction(sign * (j == k)) for k in range(len(ends))] + [-sign * Fraction(float(ends[j]))]
            for j in np.flatnonzero(np.isfinite(ends)).tolist()
        ]
    return [list(row_of(row)) for row in exact]


def test_terms_that_cancel_leave_a_margin() -> None:
    """1e17 u + 0.3 v - 1e17 u, less 1.53: the margin is 0.3 (x + 5) - 1.53."""
    rows = [[1.0], [1.0], [1.0]], [0.0, 5.0, 0.0]
    network = pt.mlp([rows, ([[1e17, 0.3, -1e17]], [-1.53])])
    right = Fraction(0.4) + 5 - Fraction(1.53) / Fraction(0.3)
    check(network, [0.4], pt.Polyhedron.whole_space(1), {1: right, 2: right**2, inf: right})
    flat = pt.mlp([rows, ([[1e17, 0.0, -1e17]], [-1.53])])
    assert pt.robustness_radius(flat, [0.4]).value == inf


def test_short_rows_beside_long_ones_lead_on() -> None:
    network = pt.mlp([([[1e8, 0.0], [0.0, 1e-6]], [0.0, 0.0]), ([[0.0, 1.0]], [-1e-7])])
    right = Fraction(1e-7) / Fraction(1e-6) + Fraction(1, 2)
    check(network, [-0.5, -0.5], UNIT_BOX, {1: right, 2: right**2, inf: right})


@pytest.mark.parametrize(("width", "domain"), [(1e-12, UNIT_BOX), (1e-9, pt.Polyhedron.whole_space(2))])
def test_the_boundary_inside_a_thin_piece(width: float, domain: pt.Polyhedron) -> None:
    """On z = x + y / 2, from -0.65 to width / 2: the middle of the piece."""
    network = pt.mlp([([[1.0, 0.5]], [0.0]), ([[-1.0]], [width / 2])], clip(0, width))
    way = Fraction(width / 2) + Fraction(1, 2) + Fraction(0.3) / 2
    check(network, [-0.5, -0.3], domain, {1: way, 2: way**2 * Fraction(4, 5), inf: way * Fraction(2, 3)})


@pytest.mark.parametrize("x", [0.5, 0.25, -0.5, 0.0, 2.0, -3.0])
def test_any_point_of_a_line(x: float) -> None:
    """|x| - 1."""
    network = pt.mlp([([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [-1.0])])
    right = Fraction(abs(abs(x) - 1))
    check(network, [x], pt.Polyhedron.whole_space(1), {1: right, 2: right**2, inf: right})


def long_thin(seed: int) -> tuple[pt.Network, pt.Polyhedron, np.ndarray]:
    """Units through the middle of a box of sides 1e8 and 1."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((5, 2)) / [1e8, 1.0]
    b = 0.1 * rng.standard_normal(5) - A @ [5e7, 0.5]
    network = pt.mlp([(A, b), (rng.standard_normal((2, 5)), 0.1 * rng.standard_normal(2))])
    return network, pt.Polyhedron.box([0, 0], [1e8, 1.0]), rng.uniform(0, 1, 2) * [1e8, 1.0]


def nearly_parallel(seed: int) -> tuple[pt.Network, pt.Polyhedron, np.ndarray]:
    """Lines 1e-9 from parallel, with corners far out in the plane."""
    rng = np.random.default_rng(seed)
    A = np.concatenate([[0.6, -0.8] + 1e-9 * rng.standard_normal((3, 2)), rng.standard_normal((2, 2))])
    network = pt.mlp([(A, rng.standard_normal(5)), (rng.standard_normal((2, 5)), rng.standard_normal(2))])
    return network, pt.Polyhedron.whole_space(2), rng.standard_normal(2)


def far_biases(seed: int) -> tuple[pt.Network, pt.Polyhedron, np.ndarray]:
    """Lines near the origin and 1e8 away."""
    rng = np.random.default_rng(seed)
    A, b = rng.standard_normal((5, 2)), rng.standard_normal(5) * [1e8, 1e8, 1.0, 1.0, 1.0]
    network = pt.mlp([(A, b), (rng.standard_normal((2, 5)), rng.standard_normal(2))])
    return network, pt.Polyhedron.whole_space(2), rng.standard_normal(2)


@pytest.mark.parametrize("family", [long_thin, nearly_parallel, far_biases])
def test_cells_of_unlike_sizes(family: Callable[[int], tuple[pt.Network, pt.Polyhedron, np.ndarray]]) -> None:
    finite = 0
    for seed in range(3):
        network, domain, x = family(seed)
        twin = twin_of(network, domain)
        assert twin is not None
        label = int(network(x).argmax())
        for norm in NORMS:
            right = radius(twin, x.tolist(), label, norm)
            if right is None:
                assert pt.robustness_radius(network, x, norm, domain=domain).value == inf
            else:
                finite += 1
                check(network, x.tolist(), domain, {norm: right})
    assert finite > 2


def test_classes_are_told_by_exact_values() -> None:
    """0.3 + 0.1 - 0.5 + 0.1 is 0 of these numbers, and 0.1 + 0.2 - 0.3 is not, whatever rounding says."""
    units = np.ones((4, 1)), np.zeros(4)
    tie = pt.robustness_radius(pt.mlp([units, ([[0.3, 0.1, -0.5, 0.1]], [0.0])]), [1.0])
    assert (tie.value, tie.lower, tie.exact) == (0.0, 0.0, True)
    below = Fraction(0.1) + Fraction(0.2) - Fraction(0.3)
    network = pt.mlp([([[1.0]], [0.0]), ([[1e30], [1e30]], [0.1, 0.1])])  # equal outputs
    assert pt.robustness_radius(network, [1.0]).value == 0
    slight = pt.mlp([([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [float(below)])])  # |x| + 2.8e-17
    found = pt.robustness_radius(slight, [0.0])
    assert (found.value, found.exact) == (inf, True)


def test_points_beside_the_domain_are_refused() -> None:
    network = seeded(0, 2, 4, 3)
    for x in ([1.0, np.nextafter(1.0, 2.0)], [-1.0 - 1e-15, 0.0]):
        with pytest.raises(ValueError, match="not a point of the domain"):
            pt.robustness_radius(network, x, domain=UNIT_BOX)
    assert pt.robustness_radius(network, [1.0, 1.0], domain=UNIT_BOX).exact


def test_jumps_are_refused() -> None:
    step = piecewise_linear([0.0], [0.0, 0.0], [-1.0, 1.0])
    with pytest.raises(ValueError, match="not continuous"):
        pt.robustness_radius(pt.mlp([([[2.0, 1.0]], [0.0]), ([[1.0]], [0.0])], step), [1.0, 1.0])


@pytest.mark.parametrize("norm", NORMS)
def test_every_budget_leaves_an_interval_that_holds_the_distance(norm: float) -> None:
    for network in (integer(1, 2, 6, 4, 3), seeded(5, 2, 5, 4, 2), seeded(1, 3, 5, 4, 1)):
        domain = pt.Polyhedron.box([-3] * network.input_dim, [3] * network.input_dim)
        twin = twin_of(network, domain)
        assert twin is not None
        x = np.random.default_rng(2).uniform(-1, 1, network.input_dim)
        values = network(x)
        label = int(values.argmax()) if len(values) > 1 else int(values[0] > 0)
        right = radius(twin, x.tolist(), label, norm)
        assert right is not None
        power, exact = (2 if norm == 2 else 1), []
        for most in (1, 2, 5, 100):
            found = pt.robustness_radius(network, x, norm, domain=domain, max_regions=most)
            assert Fraction(found.lower) ** power <= right
            assert found.value == inf or right <= Fraction(found.value) ** power
            exact.append(found.exact)
        assert exact[-1]

"""The walk and the adjacency of LP cells where floats cannot tell: scales, thin pieces, ties, odd starts."""

from __future__ import annotations

from fractions import Fraction
from itertools import count as count_up

import networkx as nx
import numpy as np
import pytest

from polytope import FacetFlip, LayerSplit, Network, Polyhedron, count_regions, enumerate_regions, mlp
from polytope.engines import budget
from polytope.ir import Dense, Layer, clip, max_groups
from tests.networks import integer

ENGINES = {"distance": FacetFlip(), "hops": FacetFlip(order="hops"), "lp": LayerSplit(cells="lp")}
UNIT_BOX = Polyhedron.box([-1, -1], [1, 1])


def lines(A: np.ndarray, b: np.ndarray) -> Network:
    """A layer of ReLU units, and their sum."""
    return mlp([(A, b), (np.ones((1, len(b))), [0.0])])


def cells(A: np.ndarray, b: np.ndarray, low: list[float], high: list[float]) -> tuple[int, int]:
    """The cells of lines in general position in a box, and their edges: all crossings in fractions.

    Each line that meets the box adds one cell, and one for each crossing inside with a line before it.
    """
    A, b = ([[Fraction(float(v)) for v in row] for row in table] for table in (A, b[:, None]))
    ends = [list(map(Fraction, map(float, end))) for end in (low, high)]
    meets = [i for i in range(len(A)) if _ranges(A[i], b[i][0], ends)]
    crossings = 0
    for k, i in enumerate(meets):
        for j in meets[:k]:
            det = A[i][0] * A[j][1] - A[i][1] * A[j][0]
            if det:
                x = (A[i][1] * b[j][0] - A[j][1] * b[i][0]) / det
                y = (A[j][0] * b[i][0] - A[i][0] * b[j][0]) / det
                crossings += ends[0][0] < x < ends[1][0] and ends[0][1] < y < ends[1][1]
    return 1 + len(meets) + crossings, len(meets) + 2 * crossings


def _ranges(row: list[Fraction], constant: Fraction, ends: list[list[Fraction]]) -> bool:
    """Whether an affine function takes both signs in a box."""
    sides = [sorted([a * low, a * high]) for a, low, high in zip(row, *ends, strict=True)]
    least, greatest = (sum(side[k] for side in sides) + constant for k in (0, 1))
    return bool(least < 0 < greatest)


@pytest.mark.parametrize("engine", ENGINES)
def test_short_rows_beside_long_ones_are_boundaries(engine: str) -> None:
    network = mlp([([[1e8, 0.0], [0.0, 1e-6]], [0.0, 0.0]), ([[0.0, 1.0]], [-1e-7])])
    regions = enumerate_regions(network, UNIT_BOX, ENGINES[engine])
    assert (len(regions), regions.complete, len(regions.facets.unit)) == (4, True, 16)
    assert nx.is_isomorphic(regions.adjacency(), nx.cycle_graph(4))


@pytest.mark.parametrize("lowest", [-1e12, float(np.finfo(np.float32).min)])
def test_constants_that_lose_every_maximum_change_nothing(lowest: float) -> None:
    rng = np.random.default_rng(0)
    first = Layer((0,), (Dense(rng.standard_normal((5, 2))),), 0.3 * rng.standard_normal(5))
    padded = Dense(np.concatenate([np.eye(5), np.zeros((1, 5))]))
    expected = None
    for low in (-1e3, lowest):
        groups = max_groups([[0, 1, 5], [1, 2, 5], [2, 3, 4], [4, 5, -1]])
        pooled = Layer((1,), (padded,), np.append(np.zeros(5), low), groups)
        network = Network((2,), (first, pooled, Layer((2,), (Dense(np.ones((1, 4))),), np.zeros(1))))
        for engine in ENGINES.values():
            regions = enumerate_regions(network, Polyhedron.box([-2, -2], [2, 2]), engine)
            here = {p.tobytes() for p in regions.patterns}, len(regions.neighbours)
            expected = expected or here
            assert here == expected
            assert len(regions) == 9


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("width", "whole"), [(1e-12, False), (1e-9, True)])
def test_a_thin_piece_lies_between_its_neighbours(engine: str, width: float, whole: bool) -> None:
    """Both breakpoints of one unit are next to every facet point: two rings of regions, never 0 beside 2."""
    network = mlp([([[1.0, 0.5]], [0.0]), ([[-1.0]], [width / 2])], clip(0, width))
    domain = Polyhedron.whole_space(2) if whole else UNIT_BOX
    regions = enumerate_regions(network, domain, ENGINES[engine])
    pieces = regions.patterns[:, 0].tolist()
    touching = {tuple(sorted((pieces[i], pieces[j]))) for i, j in regions.neighbours.tolist()}
    assert (sorted(pieces), touching, regions.complete) == ([0, 1, 2], {(0, 1), (1, 2)}, True)


@pytest.mark.parametrize("order", ["distance", "hops"])
def test_a_unit_that_is_zero_all_over_a_region_is_off_there(order: str) -> None:
    """relu(x) + relu(y) - relu(x + y) is zero where x and y are positive, though rounding says otherwise."""
    inner = [[3.0, 0.0], [0.0, 3.0], [3.0, 3.0]]
    network = mlp(
        [(inner, [0.1, 0.2, 0.1 + 0.2]), ([[1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]], [0, 0]), ([[1.0] * 2], [0])]
    )
    shifted = mlp([(inner, [0.0] * 3), ([[1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]], [0, 0]), ([[1.0] * 2], [0])])
    for net in (network, shifted):
        tree = enumerate_regions(net, UNIT_BOX, ENGINES["lp"])
        walked = enumerate_regions(net, UNIT_BOX, FacetFlip([0.3, 0.7], order))
        assert {p.tobytes() for p in walked.patterns} == {p.tobytes() for p in tree.patterns}
        assert nx.is_isomorphic(walked.adjacency(), tree.adjacency())


@pytest.mark.parametrize("order", ["distance", "hops"])
def test_units_without_a_boundary(order: str) -> None:
    constant = mlp([([[0.0, 0.0]], [1.0]), ([[1.0]], [0.0])])
    for domain in (Polyhedron.whole_space(2), UNIT_BOX):
        regions = enumerate_regions(constant, domain, FacetFlip(order=order))
        assert (regions.patterns.tolist(), regions.complete) == ([[1]], True)


@pytest.mark.parametrize("start", [0, 4, pytest.param(8, marks=pytest.mark.slow)])
def test_maxima_that_tie_on_one_hyperplane(start: int) -> None:
    """Small integers in cones: several members of a group take the lead together. A third of them is slow."""
    for seed in range(start, start + 4):
        rng = np.random.default_rng(seed)
        A = rng.integers(-2, 3, (7, 2)).astype(float)
        A[4] = A[5] = 2 * A[6]
        groups = max_groups([[0, 1, 2], [3, 4, 5], [6, 4, 0]])
        first = Layer((0,), (Dense(A),), np.zeros(7), groups)
        second = Layer(
            (1,),
            (Dense(rng.integers(-1, 2, (3, 3)).astype(float)),),
            rng.integers(-1, 2, 3) + 0.0,
            clip(0, 1),
        )
        network = Network((2,), (first, second, Layer((2,), (Dense(np.ones((1, 3))),), np.zeros(1))))
        trees = enumerate_regions(network, Polyhedron.box([-3, -3], [3, 3]))
        for order in ("distance", "hops"):
            walked = enumerate_regions(network, trees.domain, FacetFlip(order=order))
            assert {p.tobytes() for p in walked.patterns} == {p.tobytes() for p in trees.patterns}
            assert walked.complete
            assert len(walked.neighbours) == len(trees.neighbours)


@pytest.mark.parametrize("order", ["distance", "hops"])
@pytest.mark.parametrize("x", [0.5, -0.5, 0.0, 1.0, -1.0, 0.25])
def test_any_start_on_a_line(order: str, x: float) -> None:
    network = mlp([([[1.0], [-1.0], [1.0]], [0.0, 0.0, 0.5]), ([[1.0, 1.0, 1.0]], [-1.0])])
    for domain in (Polyhedron.box([-1], [1]), Polyhedron.whole_space(1)):
        count = count_regions(network, domain, FacetFlip([x], order))
        assert (count.lower, count.complete) == (3, True)


@pytest.mark.parametrize("order", ["distance", "hops"])
def test_a_clock_that_runs_out_anywhere_leaves_the_walk_incomplete(
    order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time may end between any two looks at it."""
    right, outcomes = count_regions(integer(2, 2, 4, 1), UNIT_BOX).lower, set()
    for last in range(1, 120, 2):
        looks = count_up()
        monkeypatch.setattr(budget.Budget, "spent", lambda *_, looks=looks, last=last: next(looks) >= last)
        count = count_regions(integer(2, 2, 4, 1), UNIT_BOX, FacetFlip([-0.5, -0.4], order), max_seconds=1e9)
        assert not count.complete or count.lower == right
        assert count.lower <= right <= count.upper
        outcomes.add((count.lower, count.complete))
    assert {(4, False), (right, True)} <= outcomes


@pytest.mark.parametrize(("wide", "thin"), [(1e6, 1.0), (1e8, 1.0), (1e5, 1e-3)])
def test_long_thin_boxes(wide: float, thin: float) -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        A = rng.standard_normal((5, 2)) @ np.diag([1 / wide, 1 / thin])
        b = -A @ np.array([wide / 2, thin / 2]) + 0.1 * rng.standard_normal(5)
        box = Polyhedron.box([0, 0], [wide, thin])
        right = cells(A, b, [0, 0], [wide, thin])
        for engine in ENGINES.values():
            regions = enumerate_regions(lines(A, b), box, engine)
            assert (len(regions), len(regions.neighbours), regions.complete) == (*right, True)


@pytest.mark.parametrize("angle", [1e-6, 1e-8, 1e-12])
def test_nearly_parallel_lines(angle: float) -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        w = rng.standard_normal(2)
        near = [w / np.linalg.norm(w) + angle * rng.standard_normal(2) for _ in range(3)]
        A = np.stack([*near, *rng.standard_normal((3, 2))])
        b = np.concatenate([angle * rng.standard_normal(3), 0.3 * rng.standard_normal(3)])
        right = cells(A, b, [-1, -1], [1, 1])
        for engine in ENGINES.values():
            regions = enumerate_regions(lines(A, b), UNIT_BOX, engine)
            assert (len(regions), len(regions.neighbours), regions.complete) == (*right, True)
            assert (regions.locate(regions.interior_points) == np.arange(len(regions))).all()


@pytest.mark.parametrize("far", [1e8, 1e12])
def test_cells_far_out_in_the_plane(far: float) -> None:
    rng = np.random.default_rng(0)
    A, b = rng.standard_normal((6, 2)), rng.standard_normal(6)
    b[:2] *= far
    wide = 1e6 * far
    right = cells(A, b, [-wide, -wide], [wide, wide])
    for order in ("distance", "hops"):
        regions = enumerate_regions(lines(A, b), Polyhedron.whole_space(2), FacetFlip(order=order))
        assert (len(regions), len(regions.neighbours), regions.complete) == (*right, True)
        assert (lines(A, b).pattern(regions.interior_points) == regions.patterns).all()


def test_points_on_and_beside_boundaries_are_located() -> None:
    """On a breakpoint the region that owns the tie; an ulp beside it the one that holds the point."""
    network = mlp([([[0.1, 0.2], [0.1, -0.3]], [-0.06, 0.0]), ([[1.0, 1.0]], [0.0])])
    regions = enumerate_regions(network, UNIT_BOX)
    rng = np.random.default_rng(0)
    points = [np.array([x, (0.06 - 0.1 * x) / 0.2]) for x in rng.uniform(-0.5, 0.9, 40)]
    points += [np.array([x, np.nextafter(y, side)]) for x, y in points for side in (2.0, -2.0)]
    weights = [[Fraction(v) for v in row] for row in ([0.1, 0.2, -0.06], [0.1, -0.3, 0.0])]
    for x, number in zip(points, regions.locate(points).tolist(), strict=True):
        at = [r[0] * Fraction(x[0]) + r[1] * Fraction(x[1]) + r[2] for r in weights]
        assert regions.patterns[number].tolist() == [int(v > 0) for v in at]
    corners = regions.locate([[1.0, 1.0], [1.0, np.nextafter(1.0, 2.0)], [-1.0, -1.0]])
    assert (corners >= 0).tolist() == [True, False, True]

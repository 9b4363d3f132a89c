"""The slow twin itself, on what closed forms and other programs say."""

from __future__ import annotations

from fractions import Fraction
from math import comb, factorial

import numpy as np
import pytest

from polytope import Network, Polyhedron, mlp
from polytope.ir import Dense, Layer
from tests.nasty_networks import ACTIVATIONS
from tests.networks import KNOWN_REGIONS, NETWORKS, file_network, needs_shared, seeded, unit_box_of
from tests.rational import Twin, along, read, regions, rows_of, twin_of
from tests.rational_measures import (
    extremes,
    half_width,
    inside,
    linear_regions,
    lipschitz,
    radius,
    satisfiable,
    volume,
)
from tests.rational_programs import ascend, coordinates, deepest, highest, origin, rational

SQUARE = [(1, 0, -1), (-1, 0, -1), (0, 1, -1), (0, -1, -1)]
SIZES = mlp([([[1, 0], [-1, 0], [0, 1], [0, -1]], [0] * 4), ([[1, 1, 1, 1]], [-1])])  # |x| + |y| - 1
PLANE = Polyhedron.whole_space(2)


def whole(network: Network, domain: Polyhedron) -> Twin:
    """The twin, however many regions there are."""
    twin = twin_of(network, domain)
    assert twin is not None
    return twin


def function(*numbers: float) -> tuple[Fraction, ...]:
    return tuple(map(Fraction, numbers))


def test_programs_of_a_square() -> None:
    assert highest(SQUARE, function(1, 2, 5), origin(2)) == 8
    assert highest(SQUARE[1:], function(1, 2, 5), origin(2)) is None
    far, bounded = ascend(SQUARE[1:], origin(2), (1, 0, -100), enough=True)
    assert not bounded
    assert coordinates(far)[0] > 100
    assert deepest(SQUARE, [], rational([7, 7]))[0] == 1
    assert deepest([*SQUARE, (-1, -1, 2)], [], origin(2)) == (0, (1, 1, 1))
    assert deepest([*SQUARE, (-1, -1, 3)], [], origin(2))[0] == -1
    assert deepest([(-1, -1, 2)], SQUARE, origin(2)) == (0, (1, 1, 1))


@pytest.mark.parametrize("d", range(1, 7))
def test_a_cube_that_is_made_to_be_slow(d: int) -> None:
    """Klee and Minty: the maximum is 5^d."""
    rows = [tuple(-int(i == j) for j in range(d + 1)) for i in range(d)]
    rows += [
        (*[2 ** (i - j + 1) for j in range(i)], 1, *[0] * (d - 1 - i), -(5 ** (i + 1))) for i in range(d)
    ]
    assert highest(rows, function(*[2 ** (d - 1 - i) for i in range(d)], 0), origin(d)) == 5**d


def test_a_program_that_is_made_to_cycle() -> None:
    """Beale: 1/20, here times 100, past degenerate vertices."""
    rows = [(25, -6000, -4, 900, 0), (25, -4500, -1, 150, 0), (0, 0, 1, 0, -1)]
    rows += [tuple(-int(i == j) for j in range(5)) for i in range(4)]
    assert highest(rows, function(75, -15000, 2, -600, 0), origin(4)) == 5


@pytest.mark.parametrize("name", ["relu", "absolute", "hard_tanh", "clip", "clip_below", "stair", "twice"])
def test_pieces_are_those_of_the_activations(name: str) -> None:
    """Where all numbers are dyadic float64 values are exact, on breakpoints too."""
    network = Network((1,), (Layer((0,), (Dense(np.eye(1)),), np.zeros(1), ACTIVATIONS[name]),))
    x = np.arange(-24, 25)[:, None] / 8
    for point, pattern, [y] in zip(x.tolist(), network.pattern(x).tolist(), network(x).tolist(), strict=True):
        seen, [(_, value)] = along(read(network), rational(point), [0])
        assert (list(seen), float(value)) == (pattern, y)


@pytest.mark.parametrize("name", [name for name in NETWORKS if "integer" not in name])
def test_patterns_and_values_are_those_of_the_network(name: str) -> None:
    """At random points, where no unit is within rounding of a breakpoint."""
    network = NETWORKS[name]()
    layers, x = read(network), np.random.default_rng(0).uniform(-1, 1, (5, network.input_dim))
    for point, pattern, y in zip(x.tolist(), network.pattern(x).tolist(), network(x).tolist(), strict=True):
        seen, values = along(layers, rational(point), [0] * len(point))
        assert list(seen) == pattern
        assert [float(v) for _, v in values] == pytest.approx(y, rel=1e-12)


def test_folds() -> None:
    twin = whole(SIZES, PLANE)
    right = [(0, 1, 0, 1), (0, 1, 1, 0), (1, 0, 0, 1), (1, 0, 1, 0)]
    assert sorted(cell.pattern for cell in twin.cells) == right
    assert (len(twin.edges), [len(rows) for rows in twin.facets]) == (4, [2] * 4)
    assert linear_regions(twin) == (4, 4)


def test_lines_that_repeat() -> None:
    thrice = whole(mlp([([[1, 0], [2, 0], [0, 1]], [0, 0, 0]), ([[1, 1, 1]], [0])]), PLANE)
    parallel = whole(mlp([([[1, 0], [1, 0]], [0, -1]), ([[1, -1]], [0])]), PLANE)
    assert (len(thrice.cells), len(parallel.cells), len(parallel.edges)) == (4, 3, 2)
    zero = mlp([([[1], [1]], [0, 0]), ([[1, -1]], [0]), ([[1]], [0])])  # relu(relu(x) - relu(x))
    twin = whole(zero, Polyhedron.whole_space(1))
    assert sorted(cell.pattern for cell in twin.cells) == [(0, 0, 0), (1, 1, 0)]
    assert linear_regions(twin) == (1, 1)


@pytest.mark.parametrize(("n", "d"), [(3, 1), (5, 2), (5, 3), (4, 4), (2, 3)])
def test_planes_in_general_position(n: int, d: int) -> None:
    """Zaslavsky: the sum of C(n, i) cells, C(n - 1, d) of them bounded, and such cells on each plane."""
    twin = whole(seeded(n, d, n, 1), Polyhedron.whole_space(d))
    assert len(twin.cells) == sum(comb(n, i) for i in range(d + 1))
    assert len(twin.edges) == n * sum(comb(n - 1, i) for i in range(d))
    axes = [function(*(sign * int(i == j) for j in range(d + 1))) for i in range(d) for sign in (1, -1)]
    ends = [[highest(cell.rows, axis, cell.point) for axis in axes] for cell in twin.cells]
    assert sum(None not in limits for limits in ends) == comb(n - 1, d)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_tents(depth: int) -> None:
    """A tent map on itself has 2^k pieces on [0, 1]; three of them 10 activation regions on the line."""
    first, again = ([[1.0], [1.0]], [0.0, -0.5]), ([[2.0, -4.0], [2.0, -4.0]], [0.0, -0.5])
    tent = mlp([first, *[again] * (depth - 1), ([[2.0, -4.0]], [0.0])])
    twin = whole(tent, Polyhedron.box([0], [1]))
    assert linear_regions(twin) == (2**depth, 2**depth)
    assert lipschitz(twin.cells, 1, np.inf) == 2**depth
    assert extremes(twin.cells, 0) == function(0, 1)
    if depth == 3:
        assert len(whole(tent, Polyhedron.whole_space(1)).cells) == 10


@needs_shared
@pytest.mark.parametrize("name", [name for name in KNOWN_REGIONS if name.startswith("deg_")])
def test_degenerate_files(name: str) -> None:
    network = file_network(name)
    twin = whole(network, Polyhedron.box(*unit_box_of(network)))
    assert len(twin.cells) == KNOWN_REGIONS[name]
    assert sum(volume(rows) for rows in twin.facets) == 4


@pytest.mark.parametrize(("widths", "cells", "edges"), [((3, 8, 1), 93, 232), ((3, 6, 6, 1), 249, 665)])
def test_seeds_with_known_counts(widths: tuple[int, ...], cells: int, edges: int) -> None:
    """In the whole space, with the facets between cells."""
    twin = whole(seeded(0, *widths), Polyhedron.whole_space(3))
    assert (len(twin.cells), len(twin.edges)) == (cells, edges)


def test_seeds_with_known_counts_in_boxes() -> None:
    layers, box = read(seeded(0, 3, 6, 6, 1)), rows_of(Polyhedron.box([-1] * 3, [1] * 3))
    assert len(regions(layers, box, 3, most=51) or ()) == 51
    assert regions(layers, box, 3, most=50) is None
    joined = whole(seeded(1, 2, 6, 3, 3, 1), Polyhedron.box([-5] * 2, [5] * 2))
    assert (len(joined.cells), linear_regions(joined)[1]) == (59, 48)


@pytest.mark.parametrize("low", [1.0, 2.0])
def test_domains_that_are_flat_or_empty_have_no_regions(low: float) -> None:
    domain = Polyhedron(np.array([[1.0], [-1.0]]), np.array([1.0, -low]))
    assert not whole(mlp([([[1.0]], [0.0]), ([[1.0]], [0.0])]), domain).cells


@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_volumes_of_solids(d: int) -> None:
    """The simplex 1/d!, with rows that repeat or touch; the cross-polytope (2 r)^d / d!."""
    simplex = [*(tuple(-int(i == j) for j in range(d + 1)) for i in range(d)), (*[1] * d, -1)]
    assert volume([*simplex, (*[1] * d, -2), (*[0] * (d - 1), 1, -1)]) == Fraction(1, factorial(d))
    twin = whole(mlp([(np.zeros((1, d)), [0.0])]), Polyhedron.cross_polytope([0.5] * d, 1.5))
    assert volume(twin.facets[0]) == Fraction(3**d, factorial(d))
    center, half = half_width(twin.cells[0])
    assert (coordinates(center), half) == ((Fraction(1, 2),) * d, Fraction(3, 2 * d))


def test_measures_of_a_pyramid() -> None:
    """Of f = |x| + |y| - 1: slopes, extremes, conditions that touch, and distances from a point."""
    twin = whole(SIZES, Polyhedron.box([-2, -2], [2, 2]))
    cells = twin.cells
    assert [lipschitz(cells, p, q) for p, q in ((1, np.inf), (np.inf, np.inf), (1, 1))] == [1, 2, 1]
    assert extremes(cells, 0) == function(-1, 3)
    for limit, strict in ((-1, False), (-0.5, True)):
        assert satisfiable(cells, [([1.0], limit, strict)])
    for limit, strict in ((-1, True), (-1.5, False)):
        assert not satisfiable(cells, [([1.0], limit, strict)])
    assert satisfiable(cells, [([-1.0], -3, False), ([1.0], 4, True)])
    assert not satisfiable(cells, [([-1.0], -3, True), ([1.0], 4, False)])
    near, far = [Fraction(3, 8), Fraction(3, 16), Fraction(9, 128)], [2, 1, 2]
    assert [radius(twin, [0.5, 0.125], 0, p) for p in (1, np.inf, 2)] == near
    assert [radius(twin, [2.0, 1.0], 1, p) for p in (1, np.inf, 2)] == far
    assert inside(cells[0], [float(v) for v in coordinates(cells[0].point)])
    assert not any(inside(cell, [0.0, 1.0]) for cell in cells)


def test_the_nearest_tie_of_two_classes() -> None:
    """Of relu(x) and 2: at x = 2, where the domain reaches so far."""
    pair = mlp([([[1.0, 0.0], [0.0, 0.0]], [0.0, 2.0]), ([[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0])])
    for high, right in ((3.0, 2), (1.5, None)):
        twin = whole(pair, Polyhedron.box([-1, -1], [high, 1]))
        assert radius(twin, [0.0, 0.0], 1, np.inf) == right

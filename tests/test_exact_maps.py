"""Affine maps with proved bounds, modulo primes, and their equality, against rational arithmetic."""

from fractions import Fraction

import networkx as nx
import numpy as np
import pytest

import polytope as pt
from polytope.exact.equal_maps import map_labels, separated
from polytope.exact.maps import right_maps
from polytope.exact.network import ExactNetwork
from polytope.exact.residues import Residues, enough_primes, largest_prime, primes
from polytope.ir.bounded import bounded_maps
from polytope.ir.maps import FloatArray
from tests.map_cases import MAPS
from tests.networks import integer, seeded, unit_box_of


def exactly(network: pt.Network, patterns: np.ndarray) -> list[tuple[Fraction, ...]]:
    """Every map as fractions, row by row."""
    found = ExactNetwork(network)
    maps = [found.outputs(pattern) for pattern in patterns]
    return [tuple(Fraction(v, 1 << m.exponent) for v in m.integers.ravel().tolist()) for m in maps]


def patterns_of(network: pt.Network) -> np.ndarray:
    low, high = unit_box_of(network)
    return pt.enumerate_regions(network, pt.Polyhedron.box(low, high)).patterns[:60]


def fractions(values: FloatArray) -> list[Fraction]:
    return [Fraction(v) for v in values.ravel().tolist()]


@pytest.mark.parametrize("name", MAPS)
def test_errors_stay_within_their_bounds(name: str) -> None:
    network = MAPS[name]()
    patterns = patterns_of(network)
    found = bounded_maps(network, patterns)
    values = np.concatenate([found.J, found.c[:, :, None]], axis=2)
    errors = np.concatenate([found.J_error, found.c_error[:, :, None]], axis=2)
    right = [v for row in exactly(network, patterns) for v in row]
    off = [abs(a - b) for a, b in zip(fractions(values), right, strict=True)]
    assert all(a <= b for a, b in zip(off, fractions(errors), strict=True))
    assert (values[errors == 0] == np.array(right, dtype=object).reshape(values.shape)[errors == 0]).all()
    if not name.startswith("unlike"):
        assert errors.max() < 1e-11 * np.abs(values).max()


@pytest.mark.parametrize("name", MAPS)
def test_right_maps_are_rounded_once_where_terms_cancel(name: str) -> None:
    network = MAPS[name]()
    patterns = patterns_of(network)
    J, c = right_maps(network, patterns)
    exact = np.array(exactly(network, patterns), dtype=object).reshape(*c.shape, -1)
    for row, constant, right in zip(
        J.reshape(-1, J.shape[2]), c.ravel(), exact.reshape(-1, exact.shape[2]), strict=True
    ):
        size = max(abs(v) for v in right[:-1])
        assert all(
            abs(a - b) <= size * Fraction(2) ** -24 for a, b in zip(fractions(row), right, strict=False)
        )
        assert abs(Fraction(constant) - right[-1]) <= abs(right[-1]) * Fraction(2) ** -24


def test_numbers_beyond_the_range_of_products_have_no_finite_bound() -> None:
    """2^-600 relu(2^-600 x) has the slope 2^-1200, which float64 takes for 0; exact maps tell it from 0."""
    tiny = 2.0**-600
    network = pt.mlp([([[tiny]], [0.0]), ([[tiny]], [0.0])])
    patterns = np.array([[0], [1]], dtype=np.int8)
    assert np.isinf(bounded_maps(network, patterns).J_error).all()
    assert sorted(map_labels(network, patterns).tolist()) == [0, 1]


@pytest.mark.parametrize("name", MAPS)
def test_residues_are_those_of_the_exact_maps(name: str) -> None:
    network = MAPS[name]()
    patterns = patterns_of(network)
    exact = exactly(network, patterns)
    for p in enough_primes(network)[:3]:
        rows = Residues(network, p).rows(patterns, np.eye(network.output_dim))
        right = [[v.numerator * pow(v.denominator, -1, p) % p for v in row] for row in exact]
        assert rows.reshape(len(patterns), -1).tolist() == right


@pytest.mark.parametrize("name", MAPS)
def test_maps_are_equal_iff_their_fractions_are(name: str) -> None:
    network = MAPS[name]()
    low, high = unit_box_of(network)
    regions = pt.enumerate_regions(network, pt.Polyhedron.box(low, high))
    exact = exactly(network, regions.patterns)
    numbers = {row: i for i, row in enumerate(dict.fromkeys(exact))}
    labels = map_labels(network, regions.patterns)
    assert len(set(zip(labels.tolist(), [numbers[row] for row in exact], strict=True))) == len(numbers)
    assert regions.pieces() == labels.max() + 1 == len(numbers)
    graph = regions.adjacency()
    graph.remove_edges_from([(a, b) for a, b in graph.edges if exact[a] != exact[b]])
    linear = regions.merged()
    groups = [set(np.flatnonzero(linear == k).tolist()) for k in range(linear.max() + 1)]
    assert sorted(map(sorted, nx.connected_components(graph))) == sorted(map(sorted, groups))


def test_words_that_agree_by_chance_are_taken_apart() -> None:
    """Modulo primes below 20 most words agree; modulo all of them no two different maps do."""
    network = integer(2, 3, 6, 5, 1)
    box = pt.Polyhedron.box([-3] * 3, [3] * 3)
    patterns = pt.enumerate_regions(network, box).patterns
    few = [Residues(network, p) for p in primes(network, at_most=19)]
    assert [m.prime for m in few] == [19, 17, 13, 11, 7, 5, 3]
    coarse, fine = separated(few, patterns, np.random.default_rng(0)), map_labels(network, patterns)
    assert len(set(zip(coarse.tolist(), fine.tolist(), strict=True))) == fine.max() + 1 == coarse.max() + 1
    assert 1 < fine.max() + 1 < len(patterns)


def test_sums_of_products_modulo_the_largest_prime_are_not_rounded() -> None:
    """A unit reads 4,097 residues of p / 2 with weights of p / 2: the greatest sum there is."""
    wide = pt.mlp([(np.ones((4097, 1)), np.zeros(4097)), (np.ones((1, 4097)), [0.0])])
    p = next(primes(wide))
    half = (p - 1) / 2
    network = pt.mlp([(np.full((4097, 1), half), np.zeros(4097)), (np.full((1, 4097), half), [0.0])])
    assert next(primes(network)) == p <= largest_prime(network)
    [[row]] = Residues(network, p).rows(np.ones((1, 4097), dtype=np.int8), np.eye(1))
    assert row.tolist() == [4097 * int(half) ** 2 % p, 0]


@pytest.mark.parametrize(
    ("last", "linear"),
    [
        (([[1.0, 0.0], [0.0, 0.0]], [0.0, 1e11]), 2),  # (relu(x), 1e11)
        (([[1.0, 0.0], [0.0, 1e8]], [0.0, 0.0]), 2),  # (relu(x), 1e8 relu(x + 10))
        (([[1e17, 0.0]], [0.0]), 2),
        (([[1.0, 1e-300]], [1e300]), 2),
    ],
)
def test_a_change_of_slope_counts_however_small_it_is_beside_other_numbers(
    last: tuple[list[list[float]], list[float]], linear: int
) -> None:
    network = pt.mlp([([[1.0], [1.0]], [0.0, 10.0]), last])
    regions = pt.enumerate_regions(network, pt.Polyhedron.box([-1], [1]))
    assert (regions.merged().max() + 1, regions.pieces()) == (linear, linear)


def test_terms_that_cancel_leave_one_linear_region() -> None:
    """1e17 relu(x) + 0.3 (x + 5) - 1e17 relu(x)."""
    network = pt.mlp([([[1.0], [1.0], [1.0]], [0.0, 5.0, 0.0]), ([[1e17, 0.3, -1e17]], [0.0])])
    regions = pt.enumerate_regions(network, pt.Polyhedron.box([-1], [1]))
    assert (len(regions), regions.merged().max() + 1, regions.pieces()) == (2, 1, 1)
    assert [region.jacobian[0].tolist() for region in regions] == [[[0.3]], [[0.3]]]


def test_units_behind_closed_ones_do_not_count() -> None:
    """Where no unit of the second layer is on, first-layer units change nothing: proved without residues."""
    network = seeded(4, 2, 6, 3, 1)
    regions = pt.enumerate_regions(network, pt.Polyhedron.box([-2, -2], [2, 2]))
    silent = (regions.patterns[:, 6:] == 0).all(axis=1)
    assert silent.sum() > 1
    labels = map_labels(network, regions.patterns)
    assert len(set(labels[silent].tolist())) == 1
    assert (labels[~silent] != labels[silent][0]).all()

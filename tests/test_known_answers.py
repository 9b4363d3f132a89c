"""Counts that independent programs and closed forms agree on."""

from __future__ import annotations

from itertools import product
from math import comb

import numpy as np
import pytest

from polytope import LayerSplit, Network, Polyhedron, count_regions, enumerate_regions, mlp
from tests.networks import KNOWN_REGIONS, file_network, needs_shared, seeded, unit_box_of

LP = LayerSplit(cells="lp")

FILES = {name: regions for name, regions in KNOWN_REGIONS.items() if regions <= 10_000}


@needs_shared
@pytest.mark.parametrize(("name", "regions"), FILES.items())
def test_files_in_their_box(name: str, regions: int) -> None:
    network = file_network(name)
    count = count_regions(network, Polyhedron.box(*unit_box_of(network)), LP)
    assert (count.lower, count.complete) == (regions, True)


# vertices and edges of the complex; with the cells they fix the number of facets (Euler: the sum is 1)
FACES = {"2-10-5-1": (54, 91), "3-16-16-1": (1082, 2889)}


@needs_shared
@pytest.mark.parametrize("name", FACES)
def test_facets_satisfy_euler(name: str) -> None:
    network = file_network(name)
    regions = enumerate_regions(network, Polyhedron.box(*unit_box_of(network)), LP)
    vertices, edges = FACES[name]
    facets = regions.adjacency().number_of_edges() + int((regions.facets.unit < 0).sum())
    if network.input_dim == 2:
        assert facets == edges
        assert vertices - edges + len(regions) == 1
    else:
        assert vertices - edges + facets - len(regions) == 1


@pytest.mark.parametrize(
    ("seed", "widths", "box", "space"),
    [
        (0, (2, 8, 8, 1), 35, 113),
        pytest.param(0, (2, 16, 16, 1), 84, 442, marks=pytest.mark.slow),
        (0, (3, 6, 6, 1), 51, 249),
        (0, (4, 6, 6, 1), 163, 469),
    ],
)
def test_seeded_networks(seed: int, widths: tuple[int, ...], box: int, space: int) -> None:
    """By HiGHS where the space is whole: 442 of those regions are for the slow tests."""
    network = seeded(seed, *widths)
    assert count_regions(network, Polyhedron.box(*unit_box_of(network)), LP).lower == box
    assert count_regions(network, Polyhedron.whole_space(widths[0]), LP).lower == space


@pytest.mark.parametrize(
    ("widths", "facets"), [((3, 6, 6, 1), 665), pytest.param((4, 6, 6, 1), 1543, marks=pytest.mark.slow)]
)
def test_facets_between_cells_of_the_whole_space(widths: tuple[int, ...], facets: int) -> None:
    """As exact arithmetic counts them: pairs that differ in one unit and touch in less are none.

    In the suite in three dimensions, in four among the slow tests.
    """
    regions = enumerate_regions(seeded(0, *widths), Polyhedron.whole_space(widths[0]), LP)
    assert regions.adjacency().number_of_edges() == facets


@pytest.mark.parametrize(("n", "d"), [(8, 3), (6, 2), (5, 4), (7, 1)])
def test_one_generic_layer_is_an_arrangement(n: int, d: int) -> None:
    """Zaslavsky: cells, bounded cells and facets of n hyperplanes in general position in R^d."""
    regions = enumerate_regions(seeded(0, d, n, 1), Polyhedron.whole_space(d), LP)
    assert len(regions) == sum(comb(n, i) for i in range(d + 1))
    assert sum(region.is_bounded for region in regions) == comb(n - 1, d)
    facets = n * sum(comb(n - 1, i) for i in range(d))
    assert regions.adjacency().number_of_edges() == facets


@pytest.mark.parametrize(("n", "d"), [(5, 2), (5, 3)])
def test_without_biases_all_hyperplanes_meet(n: int, d: int) -> None:
    rng = np.random.default_rng(0)
    network = mlp([(rng.standard_normal((n, d)), np.zeros(n)), (np.ones((1, n)), [0.0])])
    expected = 2 * sum(comb(n - 1, i) for i in range(d))
    for domain in (Polyhedron.whole_space(d), Polyhedron.box([-1] * d, [1] * d)):
        assert count_regions(network, domain, LP).lower == expected


def tent(depth: int) -> Network:
    """The tent map, iterated: 2^depth linear pieces on [0, 1]."""
    first = ([[1.0], [1.0]], [0.0, -0.5])
    again = ([[2.0, -4.0], [2.0, -4.0]], [0.0, -0.5])
    return mlp([first, *[again] * (depth - 1), ([[2.0, -4.0]], [0.0])])


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_the_tent_map_doubles(depth: int) -> None:
    inside = enumerate_regions(tent(depth), Polyhedron.box([0], [1]), LP)
    assert inside.merged().max() + 1 == 2**depth
    if depth == 3:
        assert count_regions(tent(depth), Polyhedron.whole_space(1), LP).lower == 10


CLOSED = {
    "|x|": ([[1.0], [-1.0]], [0.0, 0.0], 2),
    "|x| + |y|": ([[1.0, 0], [-1, 0], [0, 1], [0, -1]], [0.0] * 4, 4),
    "a repeated unit": ([[1.0, 1], [2, 2], [1, -1]], [0.0] * 3, 4),
    "parallel rows": ([[1.0, 0], [1, 0]], [0.0, -1.0], 3),
}


@pytest.mark.parametrize("name", CLOSED)
def test_closed_forms(name: str) -> None:
    W, b, expected = CLOSED[name]
    network = mlp([(W, b), (np.ones((1, len(b))), [0.0])])
    regions = enumerate_regions(network, Polyhedron.whole_space(network.input_dim), LP)
    assert len(regions) == expected
    assert not any(region.is_bounded for region in regions)


def test_equal_maps_are_counted_once() -> None:
    regions = enumerate_regions(seeded(1, 2, 6, 3, 3, 1), Polyhedron.box([-5, -5], [5, 5]), LP)
    assert (len(regions), regions.pieces()) == (59, 48)


@pytest.mark.parametrize("scale", [1e-8, 1e-4, 1.0, 1e4, 1e8])
def test_scale_does_not_matter(scale: float) -> None:
    """Scaling all weights of a layer by a positive factor moves no boundary but that of later biases."""
    rng = np.random.default_rng(3)
    W, b, V, c = (
        rng.standard_normal((6, 2)),
        rng.standard_normal(6),
        rng.standard_normal((5, 6)),
        rng.standard_normal(5),
    )
    plain = mlp([(W, b), (V, c), (np.ones((1, 5)), [0.0])])
    scaled = mlp([(W * scale, b * scale), (V, c * scale), (np.ones((1, 5)), [0.0])])
    domain = Polyhedron.box([-2, -2], [2, 2])
    assert count_regions(scaled, domain, LP).lower == count_regions(plain, domain, LP).lower


@pytest.mark.parametrize(("size", "shift"), list(product([1e-6, 1.0, 1e6], [0.0, 3.0])))
def test_the_domain_may_be_small_large_and_off_the_origin(size: float, shift: float) -> None:
    """Substituting x = center + size * y turns one enumeration into the other."""
    network = seeded(4, 2, 8, 1)
    W, b = network.layers[0].maps[0].rows(np.arange(8)), network.layers[0].bias
    center = np.full(2, shift * size)
    moved = mlp([(W / size, b - W @ center / size), (np.ones((1, 8)), [0.0])])
    expected = count_regions(network, Polyhedron.box([-1, -1], [1, 1]), LP).lower
    assert count_regions(moved, Polyhedron.box(center - size, center + size), LP).lower == expected

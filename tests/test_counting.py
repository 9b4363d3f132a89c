"""Counting bounds: published values, closed forms, brute force, and the exact counts that they enclose."""

from itertools import product
from math import comb, prod

import pytest

import polytope as pt
from polytope.core.ceiling import Ceiling
from polytope.ir import absolute, hard_tanh
from tests.networks import KNOWN_REGIONS, file_network, needs_shared, residual, seeded


@pytest.mark.parametrize(
    ("widths", "serra"),
    [([2, 8, 8], 1369), ([2, 32, 32], 279_841), ([3, 6, 6], 1764), ([4, 6, 6], 2424)],
)
def test_published_values(widths: list[int], serra: int) -> None:
    found = pt.region_bounds(widths=widths)
    assert found.serra == found.hinz == found.upper == serra
    assert found.trivial == 2 ** sum(widths[1:])
    if widths[0] == 4:
        assert found.raghu == 3249


@pytest.mark.parametrize("widths", [[1, 3, 2], [2, 3, 4, 2], [3, 2, 5, 4], [5, 3, 3, 3, 2], [4, 6, 1, 6]])
def test_serra_is_the_sum_over_numbers_of_units_that_are_off(widths: list[int]) -> None:
    d, *hidden = widths
    total = 0
    for off in product(*[range(n + 1) for n in hidden]):
        room = [
            min([d, *[n - j for n, j in zip(hidden[:i], off, strict=False)], n]) for i, n in enumerate(hidden)
        ]
        if all(j <= most for j, most in zip(off, room, strict=True)):
            total += prod(comb(n, j) for n, j in zip(hidden, off, strict=True))
    found = pt.region_bounds(widths=widths)
    assert found.serra == found.hinz == total
    assert total <= found.montufar <= found.raghu


def test_thousands_of_dimensions_are_bounded_without_the_sums() -> None:
    net = seeded(0, 1001, 3, 40, 2)
    ceiling, few = Ceiling(net, 1001), Ceiling(net, 5)
    assert ceiling.whole == 2**3 * 41**3 >= ceiling.summed == 13288
    assert ceiling.cell(2, 7) == 2**7
    wide = Ceiling(seeded(0, 2, 20_000, 1), 1001)
    assert wide.whole == 20_001**1001 >= wide.summed > 10**1000
    assert few.whole == few.summed


def test_one_layer_and_one_input_are_reached() -> None:
    """One generic layer has as many cells as all bounds say; one input at most prod (n_l + 1) pieces."""
    network = seeded(0, 2, 6, 1)
    found = pt.region_bounds(network)
    counted = pt.count_regions(network, pt.Polyhedron.whole_space(2), pt.LayerSplit(cells="lp"))
    assert counted.upper == found.upper == found.lower == found.zaslavsky == 22
    assert pt.region_bounds(widths=[1, 3, 4]).serra == 4 * 5
    tent = pt.mlp([([[1.0], [1.0]], [0.0, -0.5]), ([[2, -4], [2, -4]], [0, -0.5]), ([[2, -4]], [0])])
    pieces = pt.count_regions(tent, pt.Polyhedron.box([-3], [3])).upper
    assert pieces <= pt.region_bounds(tent).upper == 9


@pytest.mark.parametrize("seed", range(4))
def test_exact_counts_lie_below(seed: int) -> None:
    for activation in (None, absolute()):
        network = seeded(seed, 2, 5, 4, 3, 1, activation=activation)
        counted = pt.count_regions(network, pt.Polyhedron.whole_space(2), pt.LayerSplit(cells="lp"))
        found = pt.region_bounds(network)
        assert counted.complete
        assert counted.upper <= found.upper
        if activation is not None:
            assert found.serra == found.montufar
            assert found.lower is None


def test_networks_that_the_bounds_do_not_know_are_refused() -> None:
    with pytest.raises(ValueError, match="more than two pieces"):
        pt.region_bounds(seeded(0, 2, 3, 1, activation=hard_tanh()))
    with pytest.raises(ValueError, match="does not read"):
        pt.region_bounds(residual(0))
    with pytest.raises(ValueError, match="give a network, or"):
        pt.region_bounds()
    with pytest.raises(ValueError, match="positive integers"):
        pt.region_bounds(widths=[2, 0])
    assert pt.region_bounds(widths=[4, 3, 5]).lower is None


@needs_shared
def test_files_with_known_counts() -> None:
    for name, regions in KNOWN_REGIONS.items():
        assert regions <= pt.region_bounds(file_network(name)).upper, name

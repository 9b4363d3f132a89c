"""Cells with few undecided units are searched in networks of their own: nothing may change."""

from collections.abc import Callable
from time import monotonic

import numpy as np
import pytest

from polytope import LayerSplit, Network, Polyhedron, count_regions, enumerate_regions, mlp

WIDTHS = [(2, 16, 120), (2, 12, 60, 60), (2, 20, 30, 100, 10), (3, 8, 110), (1, 30, 70, 70), (4, 6, 100)]


def random_network(widths: tuple[int, ...], rng: np.random.Generator, *, degenerate: bool) -> Network:
    layers = []
    for m, n in zip(widths, (*widths[1:], 1), strict=True):
        W, b = rng.normal(size=(n, m)) / np.sqrt(m), 0.5 * rng.normal(size=n)
        if degenerate:  # parallel and concurrent breakpoints, equal and zero units
            W, b = np.round(2 * W), np.round(b)
        layers.append((W, b))
    return mlp(layers)


@pytest.mark.parametrize(
    ("widths", "degenerate"),
    [*((w, False) for w in WIDTHS), ((2, 4, 100), True)],
    ids=str,
)
def test_regions_tile_the_box_and_have_the_patterns_of_their_points(
    widths: tuple[int, ...], degenerate: bool
) -> None:
    rng = np.random.default_rng(len(widths) + 10 * widths[0])
    network, d = random_network(widths, rng, degenerate=degenerate), widths[0]
    box = Polyhedron.box([-1.0] * d, [1.0] * d)
    found = enumerate_regions(network, box, LayerSplit(cells="vertices"))
    assert found.complete
    assert len(found) > 10
    assert len(np.unique(found.patterns, axis=0)) == len(found)
    # where a unit is zero all over a region, floats at a point say nothing
    assert degenerate or (network.pattern(found.interior_points) == found.patterns).all()
    assert found.volumes().sum() == pytest.approx(2.0**d, rel=1e-9)
    pairs = found.neighbours  # every facet has two sides, or this would fail
    differ = (found.patterns[pairs[:, 0]] != found.patterns[pairs[:, 1]]).sum(axis=1)
    assert (differ >= 1).all()
    assert degenerate or (differ == 1).all()
    assert count_regions(network, box, LayerSplit(cells="vertices")).lower == len(found)
    assert count_regions(network, box, LayerSplit(cells="vertices", workers=2)).lower == len(found)


def test_a_budget_stops_inside_such_a_cell() -> None:
    network = random_network((2, 16, 120), np.random.default_rng(0), degenerate=False)
    box = Polyhedron.box([-1.0, -1.0], [1.0, 1.0])
    everything = enumerate_regions(network, box, LayerSplit(cells="vertices"))
    for most in (1, 7, 100):
        found = enumerate_regions(network, box, LayerSplit(cells="vertices"), max_regions=most)
        assert len(found) == most
        assert found.lower <= len(everything) <= found.upper
        known = {row.tobytes() for row in everything.patterns}
        assert all(row.tobytes() in known for row in found.patterns)


def one_wide_layer() -> tuple[Network, Polyhedron]:
    """600 hyperplanes in general position: 36 million regions, all of them counted in one cell."""
    rng = np.random.default_rng(0)
    network = mlp([(rng.normal(size=(600, 3)), 0.1 * rng.normal(size=600)), (np.ones((1, 600)), [0.0])])
    return network, Polyhedron.box([-1.0] * 3, [1.0] * 3)


def breakpoints_in_one_point() -> tuple[Network, Polyhedron]:
    """Floats tell none of them from the next: each asks for rational arithmetic in every cell."""
    rng = np.random.default_rng(0)
    x, sizes = rng.integers(-3, 4, 5) / 8, 2.0 ** rng.integers(-30, 31, 3010)
    W = rng.integers(-2, 3, (10, 5)) * sizes[:10, None]
    V = rng.integers(-3, 4, (3000, 10)) / 3 * sizes[10:, None]
    network = mlp([(W, -W @ x), (V, np.zeros(3000)), (np.ones((1, 3000)), [0.0])])
    return network, Polyhedron.box([-1.0] * 5, [1.0] * 5)


def slivers() -> tuple[Network, Polyhedron]:
    """Rows that differ in their last bits, far away: regions that hold hardly a float."""
    rng = np.random.default_rng(4)
    x = np.array([1e6, -1e6, 1e6])
    W, b = rng.normal(size=(4, 3)), 1e-3 * rng.normal(size=4)
    V, c = np.repeat(rng.normal(size=(2, 4)), 80, axis=0), np.repeat(1e-3 * rng.normal(size=2), 80)
    V *= 1 + 2.0**-52 * rng.integers(0, 8, V.shape)
    return mlp([(W, b - W @ x), (V, c), (np.ones((1, 160)), [0.0])]), Polyhedron.box(x - 1e-3, x + 1e-3)


@pytest.mark.parametrize(
    ("draw", "verb"),
    [
        (one_wide_layer, count_regions),
        (breakpoints_in_one_point, count_regions),
        (slivers, enumerate_regions),
    ],
)
def test_no_single_cell_is_out_of_the_clocks_sight(
    draw: Callable[[], tuple[Network, Polyhedron]], verb: Callable[..., object]
) -> None:
    """Each of these went on for 3 to 15 seconds in one cell, or over the points of the regions found."""
    network, domain = draw()
    begun = monotonic()
    found = verb(network, domain, LayerSplit(cells="vertices"), max_seconds=0.5)
    assert not found.complete
    assert monotonic() - begun < 2.5

"""Lipschitz constants by splitting units: those of the regions, and ends that hold at any time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import polytope as pt
from polytope.core.limits import BudgetSpent
from polytope.ir import Network, relu
from polytope.ir.looking import watched
from polytope.measures.norm_product import norm_bound
from tests.networks import NETWORKS, pooled, seeded, unit_box_of

NORMS = [(2, 2), (np.inf, np.inf), (1, 1), (2, np.inf), (1, 2)]
MORE = {"maxima": pooled(1, [[0, 1, 2], [3, 4, 5]], front=relu()), "six": seeded(8, 6, 5, 4, 2)}


def network_of(name: str) -> Network:
    return MORE[name] if name in MORE else NETWORKS[name]()


@pytest.mark.parametrize("name", [*(n for n in NETWORKS if n != "convolutional"), *MORE])
def test_constants_are_those_of_the_regions(name: str) -> None:
    network = network_of(name)
    domain = pt.Polyhedron.box(*unit_box_of(network))
    regions = pt.enumerate_regions(network, domain)
    for p, q in NORMS[: 1 + (len(name) % 2)]:
        exact = pt.lipschitz_constant(regions, p, q)
        found = pt.lipschitz_bounds(network, domain, p, q, samples=20, max_seconds=np.inf)
        assert found.lower <= exact.upper
        assert exact.lower <= found.upper
        assert found.upper == pytest.approx(float(exact), rel=1e-8)
        assert found.lower == pytest.approx(float(exact), rel=1e-8)
        patterns = network.pattern(found.witness)
        assert np.linalg.norm(network.affine(patterns)[0], q if p == q else None) >= found.lower * (1 - 1e-9)


@pytest.mark.parametrize(("p", "q"), NORMS)
def test_ends_hold_and_close_in_small_boxes(p: float, q: float) -> None:
    """Ten dimensions: a ball of the max norm; the bounds without a budget are wider."""
    network = seeded(2, 10, 8, 8, 3)
    domain = pt.Polyhedron.box([0.0] * 10, [0.2] * 10)
    rough = pt.lipschitz_bounds(network, domain, p, q, samples=10)
    found = pt.lipschitz_bounds(network, domain, p, q, samples=10, max_seconds=30)
    assert rough.lower <= found.lower
    assert found.upper <= rough.upper
    x = np.random.default_rng(0).uniform(0, 0.2, size=(2_000, 10))
    steepest = pt.lipschitz_bounds(network, domain, p, q, samples=2_000).lower
    assert steepest <= found.upper
    assert found.upper <= found.lower * (1 + 1e-8)
    y = network(x)
    away = np.linalg.norm(x[1:] - x[:-1], p, axis=1)
    assert (np.linalg.norm(y[1:] - y[:-1], q, axis=1) <= found.upper * away * (1 + 1e-12)).all()


def test_little_time_leaves_an_enclosure() -> None:
    network = NETWORKS["convolutional"]()
    domain = pt.Polyhedron.box(*unit_box_of(network))
    exact = pt.lipschitz_constant(pt.enumerate_regions(network, domain))
    found = pt.lipschitz_bounds(network, domain, samples=20, max_seconds=1)
    assert found.lower <= exact.upper
    assert exact.lower <= found.upper
    assert found.upper <= pt.lipschitz_bounds(network, domain, samples=20).upper


def test_ends_hold_whenever_time_ends() -> None:
    """Ended after any number of looks: what is not known by then is 0 or infinite."""
    network = seeded(5, 3, 6, 5, 2)
    domain = pt.Polyhedron.box([-1] * 3, [1] * 3)
    exact = pt.lipschitz_constant(pt.enumerate_regions(network, domain))
    widths = []
    for allowed in (0, 2, 10, 30, 100, 300, 1000, 100_000):
        looks = iter(range(allowed))

        def told(_: int, looks: Iterator[int] = looks) -> None:
            if next(looks, None) is None:
                raise BudgetSpent

        with watched(told):
            found = pt.lipschitz_bounds(network, domain, samples=20, max_seconds=np.inf)
        assert found.lower <= exact.upper
        assert exact.lower <= found.upper
        widths.append(found.upper - found.lower)
    assert widths[0] == np.inf
    assert len(set(widths)) > 3
    assert widths[-1] <= 1e-8 * float(exact)


def test_norms_of_very_large_matrices_are_bounded_without_singular_values() -> None:
    """A permutation of 2,100 coordinates, one of them thrice: its norm is 3."""
    d = 2_100
    matrix = np.zeros((d, d))
    matrix[np.arange(d), np.roll(np.arange(d), 1)] = np.where(np.arange(d) == 5, 3.0, 1.0)
    for p, q in NORMS:
        assert norm_bound(matrix, p, q) == pytest.approx(3.0, rel=1e-9)


def test_every_stop_is_an_enclosure() -> None:
    """Split after split, around the constant of all regions."""
    from polytope.ir.maxima import unrolled
    from polytope.measures.lipschitz_search import SteepestParts, bound_of_ends

    network = unrolled(seeded(5, 3, 6, 5, 2)).network
    domain = pt.Polyhedron.box([-1] * 3, [1] * 3)
    exact = float(pt.lipschitz_constant(pt.enumerate_regions(network, domain)))
    rough = pt.lipschitz_bounds(network, domain, samples=1)
    search = SteepestParts(
        network,
        domain,
        lambda ends: bound_of_ends(ends, 2, 2, lambda size: norm_bound(size, 2, 2)),
        rough.upper,
        lambda x: float(np.linalg.norm(network.jacobian(x), 2)) * (1 - 1e-12),
    )
    search.begin(np.zeros(11, dtype=np.int8), np.ones(11, dtype=np.int8))
    before = search.least_upper
    while search.step():
        assert search.lower <= exact <= search.least_upper * (1 + 1e-12)
        assert search.least_upper <= before * (1 + 1e-9)
        before = search.least_upper
    assert search.least_upper == pytest.approx(exact, rel=1e-9)
    assert search.splits > 0

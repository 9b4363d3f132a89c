"""Cells that get a network of their own hold as many regions as the whole network finds there."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from polytope import Network, Polyhedron
from polytope.core import flat_network, reduced_network
from polytope.core.vertex_cells import explore
from polytope.ir import Dense, Layer, absolute, hard_tanh, leaky_relu, relu
from tests.networks import NETWORKS, integer, seeded, seeds

KINDS = [relu(), leaky_relu(0.1), absolute(), hard_tanh()]
BOX = Polyhedron.box([-1.0, -1.0], [1.0, 1.0])


def with_skips(seed: int) -> Network:
    """Layers that read several earlier ones, with integer weights, so that many rows vanish together."""
    rng = np.random.default_rng(seed)

    def weights(n: int, m: int) -> Dense:
        return Dense(rng.integers(-1, 2, (n, m)).astype(float))

    return Network(
        (2,),
        (
            Layer((0,), (weights(6, 2),), rng.integers(-1, 2, 6).astype(float), relu()),
            Layer((1, 0), (weights(6, 6), weights(6, 2)), np.zeros(6), relu()),
            Layer((2, 1), (weights(6, 6), weights(6, 6)), rng.integers(-1, 2, 6).astype(float), relu()),
            Layer((3,), (Dense(np.ones((1, 6))),), np.zeros(1)),
        ),
    )


def plain_count(network: Network) -> int:
    """Regions without networks for cells."""
    return explore(network, BOX).n_regions


def reduced_counts(
    network: Network, monkeypatch: pytest.MonkeyPatch, few: int, leaf: int = 120
) -> tuple[int, int]:
    """Regions and exact signs with networks for cells of at most ``few`` undecided units.

    Those of more than ``leaf`` units are reduced again on cells with half of them.
    """
    with monkeypatch.context() as changed:
        changed.setattr(reduced_network, "LEAF_UNITS", leaf)
        changed.setattr(reduced_network, "SHRINK", 2)
        changed.setattr(flat_network, "pays_early", lambda units, readers: True)
        changed.setattr(flat_network, "FEW_UNITS", few)
        reduced = explore(network, BOX)
    assert reduced.complete
    return reduced.n_regions, reduced.statistics["exact_signs"]


@pytest.mark.parametrize("few", [3, 8, 100])
@pytest.mark.parametrize("seed", seeds(8, 3))
def test_random_networks(seed: int, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    network = seeded(seed, 2, 8, 8, 8, 1, activation=KINDS[seed % len(KINDS)])
    assert reduced_counts(network, monkeypatch, few)[0] == plain_count(network)


@pytest.mark.parametrize("seed", seeds(6, 3))
def test_networks_of_reduced_networks(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells of cells, down to a few units, at three levels and more."""
    depths: list[int] = []
    reduce_again = reduced_network.reduce_again

    def noted(part: reduced_network.Reduced, cell: reduced_network.Cell) -> reduced_network.Reduced:
        depths.append(len(part.net.kind))
        return reduce_again(part, cell)

    monkeypatch.setattr(reduced_network, "reduce_again", noted)
    network = seeded(seed, 2, 16, 16, 16, 12, 1, activation=KINDS[seed % len(KINDS)])
    assert reduced_counts(network, monkeypatch, 60, leaf=2)[0] == plain_count(network)
    assert max(depths) > 2 * min(depths)


@cache
def degenerate(seed: int) -> list[tuple[Network, int]]:
    """Two networks with their regions."""
    networks = integer(seed, 2, 6, 6, 5, 1, activation=KINDS[seed % len(KINDS)]), with_skips(seed)
    return [(network, plain_count(network)) for network in networks]


@pytest.mark.parametrize("few", [3, 8, 100])
@pytest.mark.parametrize("seed", seeds(8, 2))
def test_degenerate_networks(seed: int, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for network, plain in degenerate(seed):
        for leaf in (1, 4, 120):
            reduced, n_exact = reduced_counts(network, monkeypatch, few, leaf)
            assert reduced == plain
    assert n_exact > 0


def test_family(monkeypatch: pytest.MonkeyPatch) -> None:
    networks = {name: make() for name, make in NETWORKS.items()}
    planar = {name: network for name, network in networks.items() if network.input_dim == 2}
    assert len(planar) > 5
    for name, network in planar.items():
        plain = plain_count(network)
        for leaf in (3, 120):
            assert reduced_counts(network, monkeypatch, 100, leaf)[0] == plain, (name, leaf)


@pytest.mark.parametrize("leaf", [4, 120])
def test_a_stopped_search_counts_no_cell_twice(leaf: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell with a network of its own is counted whole or stays open."""
    network = seeded(3, 2, 24, 24, 24, 1)
    whole = explore(network, BOX).n_regions
    monkeypatch.setattr(flat_network, "pays_early", lambda units, readers: True)
    monkeypatch.setattr(flat_network, "FEW_UNITS", 30)
    monkeypatch.setattr(reduced_network, "LEAF_UNITS", leaf)
    monkeypatch.setattr(reduced_network, "SHRINK", 2)
    part = explore(network, BOX, max_regions=5)
    total, stops = part.n_regions, 0
    while not part.complete:
        part = explore(network, BOX, max_regions=5, start=part.open_cells)
        total, stops = total + part.n_regions, stops + 1
    assert stops > 3
    assert total == whole
    assert explore(network, BOX, workers=2).n_regions == whole

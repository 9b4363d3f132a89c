"""Units that stay on one piece, in more dimensions than vertex cells take."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import polytope as pt
from polytope.bounds.branching.units import fixed_pieces
from polytope.core.limits import BudgetSpent
from polytope.ir import Dense, Layer, Network, hard_tanh, leaky_relu, relu
from polytope.ir.looking import watched
from polytope.measures.units import fixed_units
from tests.networks import grouped, pooled, seeded

KINDS = {"relu": relu(), "leaky": leaky_relu(0.1), "tanh": hard_tanh(-0.5, 0.5)}


def shifted(network: Network, by: float) -> Network:
    """More units on one piece: biases moved to both sides."""
    layers = [
        Layer(la.inputs, la.maps, la.bias + by * np.resize([-1.0, 1.0, 0.0], len(la.bias)), la.activation)
        for la in network.layers
    ]
    return Network(network.input_shape, tuple(layers))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_units_are_as_all_regions_say(kind: str, seed: int) -> None:
    network = shifted(seeded(seed, 3, 6, 5, 2, activation=KINDS[kind]), 1.2)
    box = pt.Polyhedron.box([-1] * 3, [1] * 3)
    regions = pt.enumerate_regions(network, box)
    fixed = (regions.patterns == regions.patterns[0]).all(axis=0)
    every = np.arange(network.n_units)
    proved, points = fixed_pieces(network, box.bounds, regions.patterns[0], every, lambda: False)
    assert 0 < fixed.sum() < len(fixed)
    assert (proved == fixed).all()
    assert box.contains(points).all()
    assert not (network.pattern(points) != regions.patterns[0]).any(axis=0)[fixed].any()


GROUPED = {
    "grouped": grouped(2),
    "deep": pooled(1, [[0, 1, 2], [3, 4, 5], [0, 5, -1]]),
    "relu": pooled(1, [[0, 1, 2], [3, 4, 5], [0, 5, -1]], front=relu()),
}


@pytest.mark.parametrize("name", GROUPED)
def test_groups_are_as_all_regions_say(name: str) -> None:
    """A box in which some members always win; of members that are equal, as ReLUs that are off, none does."""
    network, box = GROUPED[name], pt.Polyhedron.box([-0.1, 0.1], [0.3, 0.4])
    regions = pt.enumerate_regions(network, box)
    fixed = (regions.patterns == regions.patterns[0]).all(axis=0)
    every = np.arange(network.n_units)
    proved, points = fixed_pieces(network, box.bounds, regions.patterns[0], every, lambda: False)
    assert 0 < fixed.sum() < len(fixed)
    assert not (proved & ~fixed).any()
    assert (proved == fixed).all() or name == "relu"
    assert box.contains(points).all()


def test_what_was_proved_before_time_ran_out_is_kept() -> None:
    """A look ends the work, in the middle of a step too."""
    network = shifted(seeded(0, 10, 12, 10, 2), 3.0)
    box, every = np.array([[-0.5] * 10, [0.5] * 10]), np.arange(network.n_units)
    piece = network.pattern(np.zeros(10))
    whole, _ = fixed_pieces(network, box, piece, every, lambda: False)
    numbers = []
    for most in range(0, 120, 3):
        looks = iter(range(most))

        def look(_: int, looks: Iterator[int] = looks) -> None:
            if next(looks, None) is None:
                raise BudgetSpent

        with watched(look):
            proved, _ = fixed_pieces(network, box, piece, every, lambda: False)
        assert not (proved & ~whole).any()
        numbers.append(int(proved.sum()))
    assert len(set(numbers)) > 2
    assert numbers[0] < max(numbers) <= whole.sum()


def test_more_units_are_decided_than_by_intervals() -> None:
    """In ten dimensions; the units that enumeration would have to decide."""
    network = shifted(seeded(0, 10, 12, 10, 2), 12.0)
    box = pt.Polyhedron.box([-1] * 10, [1] * 10)
    found = pt.prove_units(network, box, samples=20, max_regions=1, max_seconds=60)
    samples = network.pattern(np.random.default_rng(1).uniform(-1, 1, size=(100_000, 10)))
    assert not (found.fixed & (samples != found.piece).any(axis=0)).any()
    assert not (found.fixed & found.varying).any()
    assert (found.fixed | found.varying).all()
    assert found.fixed.sum() > fixed_units(network, box).sum()


def test_rows_of_other_layers_are_read_too() -> None:
    """A unit of a layer that reads the input beside the layer in front: max(x_1, 0) - x_1 + 1 is positive."""
    front = Layer((0,), (Dense(np.eye(7)),), np.zeros(7), relu())
    row = np.eye(7)[:1]
    second = Layer((1, 0), (Dense(row), Dense(-row)), np.array([1.0]), relu())
    network = Network((7,), (front, second, Layer((2,), (Dense(np.eye(1)),), np.zeros(1))))
    found = pt.prove_units(network, pt.Polyhedron.box([-1] * 7, [1] * 7))
    assert found.fixed.tolist() == [False] * 7 + [True]


def test_points_with_a_doubtful_unit_tell_of_the_others() -> None:
    """0.1 x + 0.2 x - 0.3 x is 0 up to rounding: floats tell its side nowhere, but those of other units."""
    d = 8
    W = np.zeros((4, d))
    W[0, :3] = 0.1, 0.2, -0.3
    W[1, 4], W[2, 5], W[3, 6] = 1.0, -1.0, 1.0
    spread = np.zeros((d, d))
    spread[:3, 0] = 1.0
    spread[3:, 3:] = np.eye(d - 3)
    net = pt.mlp([(spread, np.full(d, 2.0)), (W, [0.0, -2.0, 2.0, 9.0]), (np.ones((1, 4)), [0.0])])
    use = pt.prove_units(net, pt.Polyhedron.box([-1] * d, [1] * d), samples=100, max_regions=1)
    assert use.varying[d + 1 : d + 3].all()
    assert not use.varying[d + 3]
    assert use.fixed[d + 3]
    assert not use.varying[d]

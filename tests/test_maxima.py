"""Maxima as trees of ReLUs, and behind activations: the same functions and patterns."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from polytope.exact.network import ExactNetwork
from polytope.exact.values import values_at
from polytope.ir import (
    Activation,
    Dense,
    Layer,
    MaxGroups,
    Network,
    hard_tanh,
    leaky_relu,
    relu,
)
from polytope.ir.maxima import maxima_first, unrolled
from tests.networks import convolutional, grouped, pooled, seeded

GROUPS = {
    "pairs": [[0, 1], [2, 3], [4, 5]],
    "threes": [[0, 1, 2], [3, 4, 5]],
    "unequal": [[0, 1, 2, 3, 4], [5, -1, -1, -1, -1], [1, 0, -1, -1, -1]],
    "alone": [[3], [1]],
    "alone and filled": [[3, -1], [1, -1]],
    "seven": [[6, 5, 4, 3, 2, 1, 0], [1, 2, 3, 4, -1, -1, -1]],
}


def points(network: Network, n: int = 300) -> np.ndarray:
    """Some with ties, some without."""
    rng = np.random.default_rng(0)
    shape = (n, network.input_dim)
    return np.concatenate([rng.integers(-2, 3, shape).astype(float), rng.uniform(-2, 2, shape)])


@pytest.mark.parametrize("name", GROUPS)
def test_trees_of_relus_are_the_maxima(name: str) -> None:
    network = pooled(1, GROUPS[name])
    found, x = unrolled(network), points(network)
    assert not any(isinstance(layer.activation, MaxGroups) for layer in found.network.layers)
    ties, rest = x[:300], x[300:]
    np.testing.assert_array_equal(found.network(ties), network(ties))  # sums of small whole numbers
    np.testing.assert_allclose(found.network(rest), network(rest), atol=1e-12)
    assert (found.pattern(found.network.pattern(ties)) == network.pattern(ties)).all()
    assert (found.pattern(found.network.pattern(rest[0])) == network.pattern(rest[0])).all()
    members = sum(sum(m >= 0 for m in group) - 1 for group in GROUPS[name])
    assert found.network.n_units == 4 + members


@pytest.mark.parametrize("network", [grouped(1), convolutional(2), seeded(3, 2, 4, 4, 1)])
def test_other_networks_keep_their_function_and_patterns(network: Network) -> None:
    x = points(network)
    found = unrolled(network)
    np.testing.assert_allclose(found.network(x), network(x), atol=1e-12)
    x = x[300:]
    assert (found.pattern(found.network.pattern(x)) == network.pattern(x)).all()


def test_units_among_losers_do_not_matter() -> None:
    """Of four the first pair wins: whoever is larger in the second."""
    found = unrolled(pooled(1, [[0, 1, 2, 3]]))
    assert found.rounds[1] is not None
    first, second = (units.tolist() for units in found.rounds[1])
    pattern = np.zeros((2, found.network.n_units), dtype=np.int8)
    pattern[1, first[0][1]] = 1
    assert second == [[2]]
    assert (found.pattern(pattern)[:, 0] == 0).all()
    pattern[:, second[0][0]] = 1
    assert found.pattern(pattern)[:, 0].tolist() == [2, 3]


@pytest.mark.parametrize("front", [relu(), leaky_relu(0.25), hard_tanh()])
def test_activations_behind_maxima(front: Activation) -> None:
    network = pooled(2, GROUPS["threes"], front=front)
    found, x = maxima_first(network), points(network)
    assert [type(layer.activation).__name__ for layer in found.layers] == [
        "NoneType",
        "MaxGroups",
        "PiecewiseLinear",
        "PiecewiseLinear",
        "NoneType",
    ]
    np.testing.assert_allclose(found(x), network(x), atol=1e-12)
    for point in x[300:320]:
        at = [Fraction(v) for v in point.tolist()]
        assert values_at(ExactNetwork(network), at) == values_at(ExactNetwork(found), at)


def test_activations_stay_in_front_where_that_matters() -> None:
    """They fall somewhere, or somebody else reads what is in front of the maximum."""
    falling = pooled(3, GROUPS["pairs"], front=leaky_relu(-1.0))
    assert maxima_first(falling) is falling
    network = pooled(3, GROUPS["pairs"], front=relu())
    last = network.layers[-1]
    also = Layer((*last.inputs, 1), (*last.maps, Dense(np.ones((2, 6)))), last.bias)
    reading = replace(network, layers=(*network.layers[:-1], also))
    assert maxima_first(reading) is reading
    assert maxima_first(network) is not network

"""Networks in which most units stay on one piece: folded, they are the given ones up to what is said."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from polytope.bounds.branching.folded import Folded, error_of, folded
from polytope.bounds.intervals import preactivation_bounds
from polytope.exact.network import ExactNetwork
from polytope.exact.values import values_at
from polytope.ir import Network, PiecewiseLinear
from tests.networks import NETWORKS, residual, seeded


def plain() -> dict[str, Network]:
    """Networks whose units have breakpoints of their own, and a wide one."""
    made = {name: make() for name, make in NETWORKS.items() if name not in ("convolutional", "grouped")}
    return made | {"residual": residual(8), "wide": seeded(1, 30, 40, 30, 3)}


def folded_in(network: Network, box: np.ndarray) -> Folded:
    """The network without the units that interval arithmetic shows to stay on one piece in a box."""
    ends, pieces = [], []
    for layer, z in zip(network.layers, preactivation_bounds(network, box), strict=True):
        if isinstance(layer.activation, PiecewiseLinear):
            ends.append(z)
            pieces.append(layer.activation.pattern(z.T).T)
    return folded(network, ends, pieces, box)


@pytest.mark.parametrize("name", plain())
@pytest.mark.parametrize("size", [1e-6, 0.02, 0.3])
def test_a_folded_network_is_the_given_one(name: str, size: float) -> None:
    network = plain()[name]
    rng = np.random.default_rng(3)
    middle = rng.uniform(-1, 1, network.input_dim)
    box = np.stack([middle - size, middle + size])
    small = folded_in(network, box)
    assert small.network.n_units == len(small.left)
    assert small.network.n_units <= network.n_units
    given, made = ExactNetwork(network), ExactNetwork(small.network)
    room = error_of(small)
    for x in rng.uniform(*box, size=(10, network.input_dim)):
        at = tuple(map(Fraction, x.tolist()))
        for a, b, most in zip(values_at(given, at), values_at(made, at), room.tolist(), strict=True):
            assert abs(a - b) <= most
    assert room.max() < 1e-8
    pattern = network.pattern(rng.uniform(*box, size=(50, network.input_dim)))
    fixed = np.setdiff1d(np.arange(network.n_units), small.left)
    assert (pattern[:, fixed] == small.pattern[fixed]).all()


def test_much_of_a_wide_network_is_folded() -> None:
    network = seeded(1, 30, 40, 30, 3)
    box = np.stack([np.full(30, -0.01), np.full(30, 0.01)])
    small = folded_in(network, box)
    assert 0 < small.network.n_units < 20

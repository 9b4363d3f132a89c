"""Properties in more dimensions than vertex cells take: by branch and bound, as by all regions."""

from __future__ import annotations

import numpy as np
import pytest

import polytope as pt
from polytope.bounds.largest import largest_of
from polytope.ir import Network, hard_tanh, leaky_relu, relu
from tests.networks import pooled, seeded


def stated(d: int, out: int, *asserts: str) -> str:
    """A property on the box from -1 to 1."""
    names = [f"(declare-const {v}_{i} Real)" for v, n in (("X", d), ("Y", out)) for i in range(n)]
    box = [f"(assert (>= X_{i} -1)) (assert (<= X_{i} 1))" for i in range(d)]
    return "\n".join([*names, *box, *(f"(assert {a})" for a in asserts)])


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_the_largest_of_some_outputs(size: int) -> None:
    network = seeded(size, 3, 5, 6)
    rng = np.random.default_rng(size)
    groups = [rng.choice(6, size=size, replace=False).tolist(), [2], list(range(6))]
    x = rng.normal(size=(200, 3))
    y, largest = network(x), largest_of(network, groups)
    expected = np.stack([y[:, group].max(axis=1) for group in groups], axis=1)
    np.testing.assert_allclose(largest(x), expected, rtol=0, atol=1e-14)
    patterns = largest.pattern(x)
    assert (patterns[:, : network.n_units] == network.pattern(x)).all()
    assert (patterns[:, -1] == y.argmax(axis=1)).all()


def test_the_largest_of_more_outputs_than_a_group_holds() -> None:
    network, x = seeded(0, 2, 3, 300), np.random.default_rng(0).normal(size=(50, 2))
    groups = [list(range(300)), [7], list(range(299, 100, -1))]
    expected = np.stack([network(x)[:, group].max(axis=1) for group in groups], axis=1)
    np.testing.assert_array_equal(largest_of(network, groups)(x), expected)


NETWORKS = {
    "relu": seeded(1, 8, 6, 4, 2),
    "leaky": seeded(2, 8, 6, 4, 2, activation=leaky_relu(0.1)),
    "tanh": seeded(3, 8, 4, 3, 2, activation=hard_tanh()),
    "maxima": pooled(5, [[0, 1, 2], [3, 4, 5]], 8, front=relu()),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("share", [0.5, 0.999, 1.05, 1.2])
def test_as_by_all_regions(name: str, share: float) -> None:
    """Two conditions at once, from easily met to never met."""
    network = NETWORKS[name]
    y = network(np.random.default_rng(0).uniform(-1, 1, size=(20_000, 8)))
    low, high = y.min(axis=0), y.max(axis=0)
    level = low + share * (high - low)
    text = stated(8, 2, f"(>= Y_0 {level[0]:.6f})", f"(>= Y_1 {low[1]:.6f})")
    found = pt.check_property(network, text)
    thorough = pt.check_property(network, text, prove="enumeration")
    assert found.status == thorough.status
    assert found.status == "violated" or found.proof in ("bounds", "branching")


def test_conditions_that_meet_in_one_point_only() -> None:
    """max(x_1, 0) + ... is at most 0 at the corner of the box alone; strictly below 0 nowhere."""
    d = 7
    network = pt.mlp([(np.eye(d), np.ones(d)), (np.ones((1, d)), [0.0])])
    for sign, status in (("<=", "violated"), ("<", "holds")):
        assert pt.check_property(network, stated(d, 1, f"({sign} Y_0 0)")).status == status


@pytest.mark.parametrize(("sign", "status"), [(">=", "violated"), (">", "holds")])
def test_affine_networks(sign: str, status: str) -> None:
    """The mean of eight inputs is 1 at a corner only."""
    network = pt.mlp([(np.full((1, 8), 0.125), [0.0])])
    assert pt.check_property(network, stated(8, 1, f"({sign} Y_0 1)")).status == status


def test_no_time_is_undecided() -> None:
    network: Network = seeded(4, 10, 16, 16, 1)
    y = network(np.random.default_rng(0).uniform(-1, 1, size=(20_000, 10)))
    text = stated(10, 1, f"(>= Y_0 {y.max() + 0.3 * np.ptp(y):.6f})")
    assert pt.check_property(network, text, max_seconds=1e-6).status == "undecided"

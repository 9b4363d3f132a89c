"""A network on torch equals the network on numpy, for every kind of map and activation."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.sparse import random_array

from polytope import ir
from polytope.batched import BatchedNetwork
from polytope.ir import (
    Composition,
    Convolution,
    Dense,
    Diagonal,
    Layer,
    Network,
    Selection,
    Sparse,
    Transposed,
)
from tests.networks import layer_values

ACTIVATIONS: dict[str, Callable[[int, np.random.Generator], ir.Activation]] = {
    "relu": lambda n, rng: ir.relu(),
    "leaky_relu": lambda n, rng: ir.leaky_relu(0.1),
    "prelu": lambda n, rng: ir.prelu(np.where(np.arange(n) % 3, rng.normal(size=n), 1.0)),
    "absolute": lambda n, rng: ir.absolute(),
    "hard_tanh": lambda n, rng: ir.hard_tanh(-0.4, 0.5),
    "clip_below": lambda n, rng: ir.clip(0.3, np.inf),
    "clip_above": lambda n, rng: ir.clip(-np.inf, 0.3),
    "identity": lambda n, rng: ir.clip(-np.inf, np.inf),
    "hard_sigmoid": lambda n, rng: ir.hard_sigmoid(),
    "staircase": lambda n, rng: ir.piecewise_linear([-1.0, 0.0, 1.0], [1, -2, 0.5, 3], [0, -3, -3, -5.5]),
    "max_groups": lambda n, rng: ir.max_groups([[0, 1, 2], [3, 4, -1], [n - 1, -1, -1], [1, 5, 0]]),
}

IMAGE = (4, 5, 6)


def convolution(rng: np.random.Generator, **geometry: object) -> Convolution:
    options = {"stride": (1, 1), "dilation": (1, 1), "padding": ((0, 0), (0, 0)), "groups": 1} | geometry
    kernel = rng.normal(size=(6, IMAGE[0] // int(options["groups"]), 2, 3))
    return Convolution(kernel, IMAGE, **options)


def line_convolution(rng: np.random.Generator) -> Convolution:
    return Convolution(rng.normal(size=(3, 10, 4)), (10, 12), (2,), (2,), ((3, 0),))


def volume_convolution(rng: np.random.Generator) -> Convolution:
    return Convolution(
        rng.normal(size=(2, 2, 2, 1, 2)), (2, 4, 5, 3), (1, 2, 1), (2, 1, 1), ((0, 1), (1, 0), (1, 1))
    )


MAPS: dict[str, Callable[[np.random.Generator], ir.LinearMap]] = {
    "dense": lambda rng: Dense(rng.normal(size=(30, 120))),
    "sparse": lambda rng: Sparse(random_array((30, 120), density=0.1, rng=rng).tocsr()),
    "diagonal": lambda rng: Diagonal(rng.normal(size=120)),
    "reordering": lambda rng: Selection(rng.permutation(120), 120),
    "selection_with_holes": lambda rng: Selection(rng.integers(-1, 120, size=140), 120),
    "convolution": lambda rng: convolution(rng),
    "convolution_groups": lambda rng: convolution(rng, groups=2, padding=((1, 1), (1, 1))),
    "convolution_stride": lambda rng: convolution(rng, stride=(2, 3), padding=((1, 0), (0, 2))),
    "convolution_dilation": lambda rng: convolution(rng, dilation=(3, 2), padding=((0, 2), (3, 1))),
    "convolution_all": lambda rng: convolution(
        rng, groups=2, stride=(3, 2), dilation=(2, 1), padding=((2, 0), (0, 3))
    ),
    "convolution_1d": line_convolution,
    "convolution_3d": volume_convolution,
    "transposed_convolution": lambda rng: Transposed(
        Convolution(rng.normal(size=(5, 3, 3, 3)), (3, 9, 8), (2, 2), (1, 1), ((1, 1), (1, 0)))
    ),
    "composition": lambda rng: Composition(
        Selection(rng.integers(-1, 90, size=40), 90),
        Composition(Dense(rng.normal(size=(90, 120))), Diagonal(rng.normal(size=120))),
    ),
}


def assert_equal_networks(network: Network, x: np.ndarray) -> None:
    """Both sides compute in float64 with sums of at most some hundred terms: 1e-10 is generous."""
    batched = BatchedNetwork(network)
    np.testing.assert_allclose(batched(x), network(x), rtol=1e-10, atol=1e-10)
    np.testing.assert_array_equal(batched.pattern(x), network.pattern(x))
    np.testing.assert_allclose(batched.jacobian(x), network.jacobian(x), rtol=1e-10, atol=1e-10)
    steps = layer_values(network, x.reshape(len(x), -1).T)
    for z, (expected, _) in zip(batched.preactivations(x), steps, strict=True):
        np.testing.assert_allclose(z, expected.T, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation(name: str) -> None:
    rng = np.random.default_rng(1)
    activation = ACTIVATIONS[name](8, rng)
    width = activation.n_units(8)
    layers = (
        Layer((0,), (Dense(rng.normal(size=(8, 3))),), rng.normal(size=8), activation),
        Layer((1,), (Dense(rng.normal(size=(8, width))),), rng.normal(size=8), activation),
        Layer((2,), (Dense(rng.normal(size=(2, width))),), rng.normal(size=2)),
    )
    assert_equal_networks(Network((3,), layers), rng.normal(size=(40, 3)))


@pytest.mark.parametrize("name", MAPS)
def test_every_map(name: str) -> None:
    rng = np.random.default_rng(2)
    first = MAPS[name](rng)
    out, d = first.shape
    layers = (
        Layer((0,), (first,), rng.normal(size=out), ir.relu()),
        Layer((1,), (Transposed(first),), rng.normal(size=d), ir.leaky_relu(0.2)),
        Layer((2,), (first,), rng.normal(size=out), ir.absolute()),
    )
    assert_equal_networks(Network((d,), layers), rng.normal(size=(7, d)))


def test_skips_and_affine_layers() -> None:
    rng = np.random.default_rng(3)

    def dense(out: int, n: int) -> Dense:
        return Dense(rng.normal(size=(out, n)))

    layers = (
        Layer((0,), (dense(5, 3),), rng.normal(size=5)),
        Layer((0, 1), (dense(6, 3), dense(6, 5)), rng.normal(size=6), ir.relu()),
        Layer((2, 1, 0), (dense(4, 6), dense(4, 5), dense(4, 3)), rng.normal(size=4), ir.absolute()),
        Layer((3, 2), (dense(6, 4), dense(6, 6)), rng.normal(size=6)),
        Layer((4, 4, 0), (dense(2, 6), dense(2, 6), dense(2, 3)), rng.normal(size=2)),
    )
    assert_equal_networks(Network((3,), layers), rng.normal(size=(20, 3)))


def test_ties_of_a_max_group_go_to_the_first_member() -> None:
    layer = Layer((0,), (Dense(np.ones((3, 1))),), np.zeros(3), ir.max_groups([[2, 0, 1]]))
    assert_equal_networks(Network((1,), (layer,)), np.array([[1.0], [-1.0]]))


def test_batch_size_changes_nothing_and_no_points_give_empty_arrays() -> None:
    rng = np.random.default_rng(4)
    net = ir.mlp([(rng.normal(size=(9, 4)), rng.normal(size=9)), (rng.normal(size=(2, 9)), np.zeros(2))])
    batched = BatchedNetwork(net)
    x = rng.normal(size=(11, 2, 2))
    np.testing.assert_allclose(batched(x, batch_size=3), net(x), rtol=1e-12)
    np.testing.assert_array_equal(batched.pattern(x, batch_size=4), net.pattern(x))
    np.testing.assert_allclose(batched.jacobian(x, batch_size=11), net.jacobian(x), rtol=1e-12)
    assert batched(x[:0]).shape == (0, 2)
    assert batched.pattern(x[:0]).shape == (0, 9)
    assert batched.jacobian(x[:0]).shape == (0, 2, 4)


def test_read_only_weights_and_float32() -> None:
    rng = np.random.default_rng(5)
    weights = rng.normal(size=(6, 4))
    weights.flags.writeable = False
    net = Network((4,), (Layer((0,), (Dense(weights[::-1]),), np.zeros(6), ir.relu()),))
    x = rng.normal(size=(5, 4))
    np.testing.assert_allclose(BatchedNetwork(net, dtype="float32")(x), net(x), rtol=1e-5, atol=1e-6)


def test_wrong_arguments_are_named() -> None:
    net = ir.mlp([([[1.0, 2.0]], [0.0])])
    with pytest.raises(ValueError, match="dtype must be one of"):
        BatchedNetwork(net, dtype="int8")
    with pytest.raises(ValueError, match=r"shape \[B, 2\]"):
        BatchedNetwork(net)([1.0, 2.0])
    with pytest.raises(ValueError, match="at least 1"):
        BatchedNetwork(net)([[1.0, 2.0]], batch_size=0)

"""The passes through the layers: whatever the values are, they tell of one function."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import pytest

from polytope import Network
from polytope.bounds.intervals import Intervals
from polytope.exact.network import ExactNetwork
from polytope.exact.values import values_at
from polytope.ir import Layer
from polytope.ir.maps import FloatArray
from polytope.ir.sweep import Floats, outputs, outputs_to_input, sweep, sweep_back, to_input
from tests.networks import NETWORKS


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> Network:
    return NETWORKS[request.param]()


@pytest.fixture
def x(network: Network) -> FloatArray:
    """Points, one in each column."""
    return np.random.default_rng(0).uniform(-1, 1, (network.input_dim, 50))


def test_floats_are_the_network(network: Network, x: FloatArray) -> None:
    """Number by number; patterns are those of z, and an affine layer's h is its z."""
    y, pattern = network(x.T), network.pattern(x.T)
    numbers = []
    for number, layer, z, h in sweep(network, x, Floats()):
        numbers.append(number)
        assert layer is network.layers[number - 1]
        if layer.activation is None:
            assert h is z
        else:
            assert (network.layer_pattern(number, pattern) == layer.activation.pattern(z).T).all()
            assert (layer.activation.values(z) == h).all()
    assert numbers == list(range(1, len(network.layers) + 1))
    assert (y == h.T).all()
    assert (y == outputs(network, x, Floats()).T).all()
    assert [number for number, *_ in sweep(network, x, Floats(), last=2)] == [1, 2]


def test_intervals_enclose(network: Network, x: FloatArray) -> None:
    box = np.stack([np.full(network.input_dim, -1.0), np.ones(network.input_dim)])
    floats, bounds = sweep(network, x, Floats()), sweep(network, box, Intervals())
    for (_, _, z, h), (_, _, wide_z, wide_h) in zip(floats, bounds, strict=True):
        for values, (low, high) in ((z, wide_z), (h, wide_h)):
            assert (low[:, None] <= values).all()
            assert (values <= high[:, None]).all()


@dataclass(eq=False)
class Counts:
    """Values as the numbers of their layers, negative in front of the activation; what each layer read."""

    seen: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)

    def affine(self, number: int, layer: Layer, reads: Sequence[int]) -> int:
        """Minus the layer's number."""
        self.seen.append((number, tuple(reads)))
        return -number

    def activate(self, number: int, layer: Layer, z: int) -> int:
        """The layer's number."""
        assert z == -number
        return number


def test_layers_read_what_they_say(network: Network) -> None:
    """Each layer once, in order; the negative numbers are those of affine layers."""
    counts = Counts()
    last = outputs(network, 0, counts)
    sign = [1 if k == 0 or network.layers[k - 1].activation else -1 for k in range(len(network.layers) + 1)]
    assert counts.seen == [
        (number, tuple(sign[k] * k for k in layer.inputs))
        for number, layer in enumerate(network.layers, start=1)
    ]
    assert last == sign[-1] * len(network.layers)


class Kept:
    """Values that nothing else refers to: they live as long as the sweep keeps them."""

    def __init__(self) -> None:
        self.alive: set[int] = set()

    def affine(self, number: int, layer: Layer, reads: Sequence[Value]) -> Value:
        """A new value."""
        return Value(number, self.alive)

    def activate(self, number: int, layer: Layer, z: Value) -> Value:
        """The same one."""
        return z


class Value:
    """The output of a layer, which tells when it is gone."""

    def __init__(self, number: int, alive: set[int]) -> None:
        self.number, self.alive = number, alive
        alive.add(number)

    def __del__(self) -> None:
        self.alive.discard(self.number)


def test_values_are_dropped_after_their_last_use(network: Network) -> None:
    """When a layer has been computed, only itself, what it read, and what is still read are there."""
    values = Kept()
    for number, *_ in sweep(network, Value(0, values.alive), values):
        held = {number, *network.layers[number - 1].inputs}
        later = {k for k, last in enumerate(network.last_use[:number]) if last > number}
        assert later - {0} <= values.alive <= held | later | {0}  # the caller holds the input


@dataclass(frozen=True, eq=False)
class Slopes:
    """Gradients of combinations at one point, ``[width, m]``."""

    network: Network
    pattern: np.ndarray

    def affine(self, number: int, layer: Layer, weights: FloatArray) -> Iterator[FloatArray]:
        """Behind the transposed maps."""
        return (linear.apply_transpose(weights) for linear in layer.maps)

    def activate(self, number: int, layer: Layer, weights: FloatArray) -> FloatArray:
        """Times the slopes of the pieces."""
        pieces = layer.phi.affine(self.network.layer_pattern(number, self.pattern))
        out = np.zeros((len(layer.bias), weights.shape[1]))
        np.add.at(out, pieces.source, pieces.slope[:, None] * weights)
        return out

    def plus(self, k: int, a: FloatArray, b: FloatArray) -> FloatArray:
        """The sum."""
        return a + b


def test_back_is_the_transpose_of_forth(network: Network, x: FloatArray) -> None:
    """Gradients by one pass back are those of exact maps; up to 2^-40 of sizes of 100, by few operations."""
    pattern = network.pattern(x.T[0])
    slopes, exact = Slopes(network, pattern), ExactNetwork(network)
    d = network.input_dim

    def agree(found: FloatArray, z: np.ndarray, exponent: int) -> bool:
        wanted = np.array([[Fraction(v, 1 << exponent) for v in row[:d]] for row in z.tolist()], dtype=float)
        return bool(np.abs(found.T - wanted).max() <= 2.0**-40 * (1 + np.abs(wanted).max()))

    for number, layer in enumerate(network.layers, start=1):
        every = np.eye(len(layer.bias))
        z = exact.preactivations(number, pattern)
        assert agree(to_input(network, number, every, slopes), z.integers, z.exponent)
        passed = [k for k, _ in sweep_back(network, number, every, slopes)]
        assert passed == sorted(set(passed), reverse=True)
        assert passed[-1] == 0
        assert set(layer.inputs) <= set(passed)
    y = exact.outputs(pattern)
    assert agree(outputs_to_input(network, np.eye(network.output_dim), slopes), y.integers, y.exponent)


def test_rationals_are_the_network(network: Network, x: FloatArray) -> None:
    """Exact values differ from floats by rounding: 2^-40 of sizes below 1000."""
    point = x.T[0]
    found = np.array(values_at(ExactNetwork(network), [Fraction(v) for v in point.tolist()]), dtype=float)
    assert (np.abs(found - network(point)) <= 2.0**-40 * (1 + np.abs(found))).all()

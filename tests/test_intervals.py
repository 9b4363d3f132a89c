"""Bounds over boxes against values in rational arithmetic, at every magnitude that float64 has."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

import polytope as pt
from polytope.bounds.interval_jacobian import interval_jacobian, slope_ranges
from polytope.bounds.intervals import preactivation_bounds
from polytope.bounds.linear_bounds import linear_bounds
from polytope.bounds.output_bounds import bounds_at, bounds_over_box
from polytope.exact.network import ExactNetwork
from polytope.exact.values import values_at
from polytope.ir import Dense, Layer
from polytope.ir.maps import Composition, FloatArray
from polytope.measures.norm_product import norm_bound
from tests.networks import NETWORKS, seeded

SMALL = [n for n in NETWORKS if n != "convolutional"]


def inside(values: list[Fraction] | tuple[Fraction, ...], low: FloatArray, high: FloatArray) -> bool:
    """Whether rational values lie between float64 ends, which may be infinite but not NaN."""
    assert not np.isnan([low, high]).any()
    above = [a == -np.inf or Fraction(a) <= v for a, v in zip(low.tolist(), values, strict=True)]
    below = [b == np.inf or v <= Fraction(b) for b, v in zip(high.tolist(), values, strict=True)]
    return all(above) and all(below)


def scaled(network: pt.Network, rng: np.random.Generator, exponents: tuple[int, int]) -> pt.Network:
    """Every weight and bias times a power of two of its own layer, between given exponents."""
    layers = []
    for layer in network.layers:
        with np.errstate(all="ignore"):
            k = int(rng.integers(*exponents))
            maps = [Dense(np.ldexp(linear.to_sparse().toarray(), k)) for linear in layer.maps]
            bias = np.ldexp(layer.bias, k)
        layers.append(Layer(layer.inputs, tuple(maps), np.nan_to_num(bias), layer.activation))
    return replace(network, layers=tuple(layers))


def front(network: pt.Network, number: int) -> pt.Network:
    """The network whose outputs are the pre-activations of a layer."""
    last = replace(network.layers[number - 1], activation=None)
    return replace(network, layers=(*network.layers[: number - 1], last))


@pytest.mark.parametrize("exponents", [(0, 1), (-40, 40), (-1060, -500), (300, 900), (-900, 900)])
@pytest.mark.parametrize("name", SMALL)
def test_bounds_hold_in_rational_arithmetic(name: str, exponents: tuple[int, int]) -> None:
    """At corners and points of boxes down to a single point, for all pre-activations and outputs."""
    rng = np.random.default_rng(len(name))
    network = scaled(NETWORKS[name](), rng, exponents)
    fronts = [ExactNetwork(front(network, n)) for n in range(1, len(network.layers) + 1)]
    whole = ExactNetwork(network)
    for size in (1.0, 2.0**-30, 0.0):
        center = rng.uniform(-1, 1, network.input_dim)
        box = np.stack([center - size, center + size])
        points = rng.choice([box[0], box[1], center], axis=0, size=(3, 1))[:, 0]
        layers = list(zip(preactivation_bounds(network, box), linear_bounds(network, box), strict=True))
        outputs = bounds_over_box(network, box)
        for x in points:
            exact = [Fraction(v) for v in x.tolist()]
            for part, (z, tight) in zip(fronts, layers, strict=True):
                values = values_at(part, exact)
                assert inside(values, *z)
                assert inside(values, *tight)
            assert inside(values_at(whole, exact), *outputs)
            assert inside(values_at(whole, exact), *bounds_at(network, x))


@pytest.mark.parametrize("exponents", [(0, 1), (-40, 40), (-1060, -500), (-300, 300)])
@pytest.mark.parametrize("name", SMALL)
def test_interval_jacobians_hold_the_exact_ones(name: str, exponents: tuple[int, int]) -> None:
    """Of the patterns at random points of a box."""
    rng = np.random.default_rng(len(name))
    network = scaled(NETWORKS[name](), rng, exponents)
    exact, box = ExactNetwork(network), np.stack([-np.ones(network.input_dim), np.ones(network.input_dim)])
    most = interval_jacobian(network, slope_ranges(network, box))
    with np.errstate(all="ignore"):
        patterns = network.pattern(rng.uniform(-1, 1, (5, network.input_dim)))
    for pattern in patterns:
        J = exact.outputs(pattern)
        for row, limits in zip(J.integers[:, :-1].tolist(), most.tolist(), strict=True):
            sizes = [abs(Fraction(v, 1 << J.exponent)) for v in row]
            assert all(m == np.inf or s <= Fraction(m) for s, m in zip(sizes, limits, strict=True))


def test_terms_that_cancel_are_not_taken_for_a_proof() -> None:
    """0.3 + 0.1 - 0.5 + 0.1 is 0 in rationals, and 3e-17 in floating point."""
    weights = [0.3, 0.1, -0.5, 0.1]
    network = pt.mlp([(np.ones((4, 1)), np.zeros(4)), ([weights], [0.0])])
    right = sum(map(Fraction, weights))
    low, high = bounds_at(network, np.ones(1))
    assert low[0] < 0 < high[0]
    assert inside([right], low, high)
    assert values_at(ExactNetwork(network), [Fraction(1)]) == (right,)


def test_a_long_inner_dimension_of_a_composition_is_counted() -> None:
    """Factors 1 x 4000 and 4000 x 1: the errors of 4000 terms, though the map has one column."""
    rng = np.random.default_rng(0)
    inner, outer = rng.standard_normal((4000, 1)), rng.standard_normal((1, 4000)) * 2.0**40
    linear = Composition(Dense(outer), Dense(inner))
    network = pt.Network((1,), (Layer((0,), (linear,), np.zeros(1)),))
    x = [Fraction(rng.uniform())]
    assert inside(values_at(ExactNetwork(network), x), *bounds_at(network, np.array(x, dtype=float)))
    low, high = bounds_at(network, np.ones(1))
    assert high[0] - low[0] > 2.0**-53 * 4000 * np.abs(outer).sum() * 0.5


def test_values_that_overflow_prove_nothing() -> None:
    """Weights of 2^600: in float64 products are infinite, and their difference is no number."""
    second = [[2.0**600], [-(2.0**600)]]
    network = pt.mlp([([[2.0**600]], [0.0]), (second, [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])
    low, high = pt.output_bounds(network, pt.Polyhedron.box([1], [2]))
    assert low[0] <= 2.0**1000
    assert high[0] == np.inf
    most = interval_jacobian(network, slope_ranges(network, np.array([[1.0], [2.0]])))
    assert norm_bound(most, 2, 2) == np.inf


def test_norm_bounds_of_any_magnitude() -> None:
    """A norm of 5, times powers of two whose squares over- or underflow; 0 stays 0."""
    matrix = np.array([[3.0], [4.0]])
    for exponent in (-1060, -600, 0, 600, 1000):
        bound = norm_bound(np.ldexp(matrix, exponent), 2, 2)
        assert Fraction(5) * Fraction(2) ** exponent <= Fraction(bound)
        assert bound <= np.ldexp(5.0, exponent) * (1 + 1e-9) or exponent == -1060
    assert norm_bound(np.zeros((2, 2)), 2, 2) == 0.0


@pytest.mark.parametrize(("seed", "before"), [(0, 205.4815093391416), (1, 145.60105551176426)])
def test_rounding_outward_costs_no_tightness(seed: int, before: float) -> None:
    """The sum of two widths, as it was before every rounding was counted."""
    low, high = bounds_over_box(seeded(seed, 3, 16, 16, 2), np.stack([-np.ones(3), np.ones(3)]))
    assert before < (high - low).sum() < before * (1 + 1e-12)

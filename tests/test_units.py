"""Dead units and units that are always on: exact on complete complexes, bounds elsewhere."""

import numpy as np
import pytest

import polytope as pt
from polytope.engines.sampling import random_points
from polytope.ir import Activation, Layer, Network, absolute, clip, leaky_relu, max_groups, relu
from polytope.ir.maps import Dense
from polytope.measures.units import fixed_units, seen_units, unit_use

ACTIVATIONS = {
    "relu": relu(),
    "leaky": leaky_relu(0.1),
    "absolute": absolute(),
    "clip": clip(-0.5, 0.5),
    "max of three": max_groups([[0, 1, 2], [3, 4, 5], [6, 7, -1]]),
}
BOX = pt.Polyhedron.box([-0.3, -0.2], [0.3, 0.4])
CUT_BOX = pt.Polyhedron(np.array([[1.0, 1], [-1, 0], [0, -1]]), np.array([0.5, 0.3, 0.3]))


def network(activation: Activation, seed: int) -> Network:
    """Eight pre-activations in each of two layers with activations, some far from a crossing."""
    rng = np.random.default_rng(seed)
    layers, width = [], 2
    for number in range(2):
        map_ = Dense(rng.standard_normal((8, width)))
        layers.append(Layer((number,), (map_,), 2 * rng.standard_normal(8), activation))
        width = layers[-1].width
    return Network((2,), (*layers, Layer((2,), (Dense(rng.standard_normal((1, width))),), np.zeros(1))))


@pytest.mark.parametrize("domain", [BOX, CUT_BOX], ids=["box", "polytope"])
@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_intervals_prove_only_what_the_complete_complex_shows(kind: str, domain: pt.Polyhedron) -> None:
    proved = 0
    for seed in range(4):
        net = network(ACTIVATIONS[kind], seed)
        use = unit_use(pt.enumerate_regions(net, domain))
        assert use.complete
        fixed = fixed_units(net, domain)
        assert not (fixed & ~use.fixed).any()
        proved += int(fixed.sum())
    assert proved > 0


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_bounds_of_a_partial_complex_hold_the_exact_numbers(kind: str) -> None:
    net = network(ACTIVATIONS[kind], 0)
    exact = unit_use(pt.enumerate_regions(net, BOX))
    partial = unit_use(pt.enumerate_regions(net, BOX, max_regions=2))
    for (low, high), (count, same) in zip(
        [partial.dead(), partial.always_on()], [exact.dead(), exact.always_on()], strict=True
    ):
        assert count == same
        assert low <= count <= high


def test_worked_by_hand() -> None:
    """On [-1, 1]: x - 2 is dead, x + 2 always on, x changes; behind them x + 2 + relu(x) >= 1."""
    first = ([[1.0], [1.0], [1.0]], [-2.0, 2.0, 0.0])
    net = pt.mlp([first, ([[0.0, 1.0, 1.0], [0.0, -1.0, -1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])
    use = unit_use(pt.enumerate_regions(net, pt.Polyhedron.box([-1], [1])))
    assert use.fixed.tolist() == [True, True, False, True, True]
    assert use.dead() == (2, 2)
    assert use.dead(slice(3)) == (1, 1)
    assert use.always_on() == (2, 2)


def test_bounds_contain_the_domain_tightly() -> None:
    for domain, ends in [(BOX, [[-0.3, -0.2], [0.3, 0.4]]), (CUT_BOX, [[-0.3, -0.3], [0.8, 0.8]])]:
        box = domain.bounds if domain.is_bounded else None
        assert box is not None
        assert (box[0] <= ends[0]).all()
        assert (box[1] >= ends[1]).all()
        np.testing.assert_allclose(box, ends, atol=2e-6)  # the rounding outward


def test_an_unbounded_domain_proves_nothing() -> None:
    assert not fixed_units(network(relu(), 0), pt.Polyhedron.whole_space(2)).any()


def test_regions_seen_prove_no_more_than_all_regions_show() -> None:
    net = network(relu(), 3)
    everything = pt.enumerate_regions(net, BOX)
    seen = seen_units(net, BOX, everything.patterns[:5])
    exact = unit_use(everything)
    assert not (seen.fixed & exact.varying).any()
    assert not (seen.varying & exact.fixed).any()
    nothing = seen_units(net, BOX, everything.patterns[:0])
    assert not nothing.varying.any()


def test_units_of_a_box_in_many_dimensions_are_looked_at_quickly() -> None:
    """Random points of a box are drawn at once: 3,000 coordinates take no linear algebra."""
    d = 3000
    box = pt.Polyhedron.box(np.arange(d) - 1.0, np.arange(d) + 1.0)
    x = np.concatenate(list(random_points(box, 500, np.random.default_rng(0))))
    assert (np.abs(x - np.arange(d)) <= 1).all()
    np.testing.assert_allclose(x.mean(axis=0), np.arange(d), atol=0.2)  # 8 standard errors of the mean
    triangle = pt.Polyhedron([[1.0, 1.0], [-1.0, 0.0], [0.0, -1.0]], [1.0, 0.0, 0.0])
    [x] = random_points(triangle, 500, np.random.default_rng(0))
    assert triangle.contains(x, tolerance=1e-9).all()

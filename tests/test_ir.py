"""The representation: maps, activations, and what networks do with them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from scipy.sparse import csr_array

from polytope import (
    FacetFlip,
    LayerSplit,
    Network,
    Polyhedron,
    Sampling,
    Slice,
    enumerate_regions,
    mlp,
    stack,
)
from polytope.core.vertex_cells import explore
from polytope.exact.dyadic import dyadic
from polytope.exact.network import ExactNetwork
from polytope.ir import (
    Composition,
    Convolution,
    Dense,
    Diagonal,
    Layer,
    LinearMap,
    PiecewiseLinear,
    Selection,
    Sparse,
    Transposed,
    clip,
    hard_sigmoid,
    max_groups,
    piecewise_linear,
    relu,
)
from polytope.ir.backward import pull_back
from tests.networks import ACTIVATIONS, NETWORKS, seeded, unit_box_of

RNG = np.random.default_rng(0)
KERNEL = Convolution(RNG.standard_normal((4, 2, 2, 3)), (4, 5, 6), (2, 1), (1, 2), ((1, 0), (2, 1)), 2)
MAPS: dict[str, LinearMap] = {
    "dense": Dense(RNG.standard_normal((4, 6))),
    "sparse": Sparse(csr_array(np.triu(RNG.standard_normal((5, 5)), 2))),
    "diagonal": Diagonal(RNG.standard_normal(5)),
    "selection": Selection(np.array([2, 0, -1, 2]), 3),
    "convolution": KERNEL,
    "depthwise": Convolution(
        RNG.standard_normal((3, 1, 2, 2)), (3, 4, 4), (2, 2), (1, 1), ((0, 0), (0, 0)), 3
    ),
    "in one dimension": Convolution(RNG.standard_normal((2, 3, 3)), (3, 7), (2,), (1,), ((1, 1),)),
    "transposed": Transposed(KERNEL),
    "composition": Composition(Dense(RNG.standard_normal((3, 4))), Selection(np.array([1, -1, 0, 1]), 2)),
}


@pytest.mark.parametrize("name", MAPS)
def test_maps_are_their_matrices(name: str) -> None:
    linear = MAPS[name]
    matrix = linear.to_sparse().toarray()
    assert matrix.shape == linear.shape
    X, Y = RNG.standard_normal((linear.shape[1], 3)), RNG.standard_normal((linear.shape[0], 2))
    np.testing.assert_allclose(linear.apply(X), matrix @ X, atol=1e-13)
    np.testing.assert_allclose(linear.apply_transpose(Y), matrix.T @ Y, atol=1e-13)
    units = np.array([linear.shape[0] - 1, 0])
    np.testing.assert_allclose(linear.rows(units), matrix[units], atol=1e-13)
    bound = linear.absolute().to_sparse().toarray()
    assert (bound >= np.abs(matrix) - 1e-13).all()


EVERY = {
    **ACTIVATIONS,
    "hard_sigmoid": hard_sigmoid(),
    "steps": piecewise_linear([-1, 0, 1], [1, 0, 2, -1], [1, 0, 0, 3]),
}


@pytest.mark.parametrize("name", [*EVERY, "max"])
def test_activations_agree_with_their_pieces(name: str) -> None:
    kind = EVERY.get(name, max_groups([[0, 1, 2], [3, -1, -1], [4, 0, -1]]))
    z = np.concatenate([RNG.standard_normal((5, 40)) * 2, np.zeros((5, 1)), np.ones((5, 1))], axis=1)
    h, pattern = kind.values(z), kind.pattern(z)
    assert h.shape == pattern.shape == (kind.n_units(5), 42)
    maps = kind.affine(pattern)
    np.testing.assert_allclose(
        maps.slope * np.take_along_axis(z, maps.source, 0) + maps.intercept, h, atol=1e-15
    )
    for unit in range(kind.n_units(5)):
        for column in range(40):
            inside = []
            for piece in range(kind.n_pieces(unit)):
                cell = kind.cell(unit, piece)
                left = (cell.coefficients * z[cell.index, column]).sum(axis=1)
                inside.append(bool((left <= cell.offset).all()))
            assert np.flatnonzero(inside).tolist() == [pattern[unit, column]]


@pytest.mark.parametrize("alpha", [0.2, 1 / 6, 0.3, 0.5, 3.0, 1e-3, 77.7, 2.0**-40])
@pytest.mark.parametrize("beta", [0.5, 0.1, 0.0, 1.0, -2.25, 1 / 3])
def test_hard_sigmoid_is_continuous_and_near_its_formula(alpha: float, beta: float) -> None:
    kind = hard_sigmoid(alpha, beta)
    assert kind.is_continuous()
    z = np.linspace(-beta - 1, 2 - beta, 300)[None] / alpha
    error = np.abs(kind.values(z) - np.clip(alpha * z + beta, 0, 1)).max()
    usual = beta == 0.5 and alpha in (0.2, 1 / 6)
    assert error <= (2e-15 if usual or alpha in (0.5, 2.0**-40) else 3e-8 * max(1, abs(beta)))


def test_jumps_are_found_in_rational_arithmetic_and_refused() -> None:
    third = piecewise_linear([1 / 3], [0, 3], [0, -1.0])  # 3 * float(1/3) is not 1
    assert third.jump() == (0, 0)
    floors = np.array([0.1, 1 / 3, 7.7])
    rows = np.stack([np.zeros(3), np.ones(3)], axis=1), np.stack([floors, np.zeros(3)], axis=1)
    assert PiecewiseLinear(floors[:, None], *rows).is_continuous()
    rows[1][2, 0] = np.nextafter(7.7, 8)
    assert PiecewiseLinear(floors[:, None], *rows).jump() == (2, 0)
    assert piecewise_linear([0, 0, 1], [0, 9, 1, 0], [0, 4, 0, 1]).is_continuous()  # an empty piece jumps
    network = seeded(0, 2, 3, 3, 1, activation=PiecewiseLinear(floors[:, None], *rows))
    box = Polyhedron.box(*unit_box_of(network))
    for engine in (None, LayerSplit("lp"), FacetFlip(), Sampling(100)):
        with pytest.raises(ValueError, match="Unit 2 of layer 1 is not continuous"):
            enumerate_regions(network, box, engine)
    with pytest.raises(ValueError, match="Unit 2 of layer 1"):
        explore(network, box)


def test_pieces_beyond_the_numbers_of_patterns_are_refused() -> None:
    at = np.arange(126.0)
    steps = np.arange(127) % 2
    lifts = np.concatenate([[0], np.cumsum(-np.diff(steps) * at)])
    kind = piecewise_linear(at, steps, lifts)
    assert kind.pattern(np.array([[125.5, -1]])).tolist() == [[126, 0]]
    assert kind.values(np.array([[125.5]]))[0, 0] == steps[126] * 125.5 + lifts[126]
    with pytest.raises(ValueError, match="limit of 127"):
        piecewise_linear(np.arange(127.0), np.arange(128), np.zeros(128))


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_are_affine_on_their_pieces(name: str) -> None:
    network = NETWORKS[name]()
    x = np.random.default_rng(1).uniform(-1, 1, (20, network.input_dim))
    y, patterns, jacobians = network(x), network.pattern(x), network.jacobian(x)
    assert y.shape == (20, network.output_dim)
    assert patterns.shape == (20, network.n_units)
    assert patterns.dtype == np.int8
    assert sum(network.widths) == network.n_units
    for i in range(20):
        J, c = network.affine(patterns[i])
        np.testing.assert_allclose(J @ x[i] + c, y[i], atol=1e-10, rtol=1e-10)
        np.testing.assert_allclose(jacobians[i], J, atol=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_windows_margins_and_compositions(name: str) -> None:
    network = NETWORKS[name]()
    rng = np.random.default_rng(2)
    t = rng.uniform(-1, 1, (9, 1))
    window = Slice(rng.standard_normal(network.input_dim), rng.standard_normal((1, network.input_dim)))
    np.testing.assert_allclose(network.restrict(window)(t), network(window.lift(t)), atol=1e-10)
    x = rng.uniform(-1, 1, (9, network.input_dim))
    y = network(x)
    last = network.output_dim - 1
    np.testing.assert_allclose(network.margin(0, last)(x)[:, 0], y[:, 0] - y[:, last], atol=1e-12)
    after = seeded(0, network.output_dim, 3, 2)
    np.testing.assert_allclose(network.then(after)(x), after(y), atol=1e-10)
    both = stack(network, network.margin(0, last))(x)
    np.testing.assert_allclose(both, np.concatenate([y, y[:, :1] - y[:, last:]], axis=1), atol=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_exact_rows_equal_the_floating_ones(name: str) -> None:
    network = NETWORKS[name]()
    pattern = network.pattern(np.full(network.input_dim, 0.3))
    exact = ExactNetwork(network)
    for number, layer in enumerate(network.layers, start=1):
        unit = len(layer.bias) - 1
        row = [float(v) for v in exact.row(number, [unit], [1.0], 0.5, pattern)]
        weights = np.zeros((len(layer.bias), 1))
        weights[unit] = 1.0
        J, c = pull_back(network, number, weights[:, None, :], pattern[None])
        wanted = np.append(J[0, 0], c[0, 0] - 0.5)
        if np.abs(wanted).max() > 1e-9:
            got = np.array(row) / np.abs(row).max()
            np.testing.assert_allclose(got, wanted / np.abs(wanted).max(), atol=1e-12)


def test_dyadic_numbers_are_exact() -> None:
    values = np.array([0.1, -3.0, 0.0, 2.0**-40, 1e300])
    exact = dyadic(values)
    assert [v / 2**exact.exponent for v in exact.integers] == values.tolist()


@pytest.mark.parametrize("spread", [0, 30, 1000])
def test_many_dyadic_numbers_are_the_same_as_one_by_one(spread: int) -> None:
    rng = np.random.default_rng(spread)
    short = rng.standard_normal(1000).astype(np.float32).astype(float)
    values = np.ldexp(short, rng.integers(-spread, spread + 1, 1000))
    values[:5] = 0.0, -0.0, 5e-324, -1.0, 1.7e308 if spread == 1000 else 3.0
    values = values if spread == 1000 else np.delete(values, 2)
    exact = dyadic(values.reshape(3, -1) if len(values) % 3 == 0 else values)
    assert {type(v) for v in exact.integers.ravel()} == {int}
    assert [Fraction(v, 2**exact.exponent) for v in exact.integers.ravel()] == list(map(Fraction, values))
    assert exact.exponent == 0 or any(v % 2 for v in exact.integers.ravel())


def test_wrong_networks_are_refused() -> None:
    layer = Layer((0,), (Dense(np.ones((2, 3))),), np.zeros(2), relu())
    with pytest.raises(ValueError, match="expects 3 numbers"):
        Network((2,), (layer,))
    with pytest.raises(ValueError, match="not computed before"):
        Network((3,), (Layer((1,), (Dense(np.ones((2, 3))),), np.zeros(2)),))
    with pytest.raises(ValueError, match="differ"):
        Layer((0,), (Dense(np.ones((2, 3))),), np.zeros(3))
    with pytest.raises(ValueError, match=r"\[B, 3\]"):
        Network((3,), (layer,))(np.zeros((2, 4)))
    with pytest.raises(ValueError, match="no output 5"):
        Network((3,), (layer,)).margin(5, 0)
    with pytest.raises(ValueError, match="below the upper"):
        clip(1.0, 1.0)
    with pytest.raises(ValueError, match="do not fit"):
        mlp([(np.ones((2, 3)), np.zeros(2))]).then(mlp([(np.ones((2, 3)), np.zeros(2))]))
    with pytest.raises(ValueError, match=r"R\^2"):
        mlp([(np.ones((2, 3)), np.zeros(2))]).restrict(Slice([0, 0], [[1, 0]]))
    assert Polyhedron.whole_space(3).dim == 3


@pytest.mark.parametrize("name", NETWORKS)
def test_affine_maps_of_more_outputs_than_inputs(name: str) -> None:
    """Forward from the inputs: as by one output after the other, backward."""
    network = NETWORKS[name]()
    rng = np.random.default_rng(0)
    W, b = rng.normal(size=(9, network.output_dim)), rng.normal(size=9)
    many = network.then(mlp([(W, b)]))
    x = rng.uniform(-1, 1, (6, network.input_dim))
    J, c = many.affine(many.pattern(x))
    assert J.shape == (6, 9, network.input_dim)
    np.testing.assert_allclose(np.einsum("bij,bj->bi", J, x) + c, many(x), rtol=1e-9, atol=1e-9)
    for k in range(9):
        one = network.then(mlp([(W[k : k + 1], b[k : k + 1])]))
        slope, constant = one.affine(one.pattern(x))
        np.testing.assert_allclose(slope[:, 0], J[:, k], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(constant[:, 0], c[:, k], rtol=1e-9, atol=1e-9)


def test_no_points_have_no_values() -> None:
    net = seeded(0, 2, 3, 4)
    none = np.zeros((0, 2))
    assert net(none).shape == (0, 4)
    assert net.pattern(none).shape == (0, 3)
    assert net.jacobian(none).shape == (0, 4, 2)

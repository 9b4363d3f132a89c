"""Scaling by powers of two: the same patterns, maps and cells, for numbers of any size."""

from fractions import Fraction

import numpy as np
import pytest

from polytope import LayerSplit, Network, Polyhedron, enumerate_regions
from polytope.exact.dyadic import Dyadic
from polytope.exact.network import ExactNetwork
from polytope.geometry.equilibrate import ORDINARY_UNITS, equilibrated
from polytope.ir import Composition, Convolution, Dense, Diagonal, Layer, Selection, Sparse, relu
from polytope.ir.maps import InexactScaleError, times_power
from polytope.ir.products import unfolded
from tests.networks import NETWORKS, unit_box_of


def spoiled(network: Network, rng: np.random.Generator, most: int) -> tuple[Network, Polyhedron]:
    """The network with inputs and hidden units in other units, by powers of two, and its unit box.

    Each unit's new size is chosen here, apart from the code under test, through the maps' dense matrices.
    """
    sizes = [rng.integers(-most, most + 1, network.input_dim)]
    layers = []
    for layer in network.layers:
        last = layer is network.layers[-1]
        size = (
            np.zeros(len(layer.bias), dtype=int) if last else rng.integers(-most, most + 1, len(layer.bias))
        )
        if layer.activation is not None and layer.width != len(layer.bias):
            size[:] = size[0]
        maps = tuple(
            Dense(m.to_sparse().toarray() * 2.0 ** (size[:, None] - sizes[k]))
            for k, m in zip(layer.inputs, layer.maps, strict=True)
        )
        activation = layer.activation and layer.activation.scaled(size)
        layers.append(Layer(layer.inputs, maps, layer.bias * 2.0**size, activation))
        sizes.append(size[: layer.width])
    scale = 2.0 ** sizes[0]
    low, high = unit_box_of(network)
    return Network(network.input_shape, tuple(layers)), Polyhedron.box(low * scale, high * scale)


def same(a: Dyadic, b: Dyadic) -> bool:
    """Whether the numbers are equal."""
    return bool((a.integers * (1 << b.exponent) == b.integers * (1 << a.exponent)).all())


@pytest.mark.parametrize("name", NETWORKS)
def test_ordinary_sizes_are_left_alone(name):
    network = NETWORKS[name]()
    for domain in (Polyhedron.box(*unit_box_of(network)), Polyhedron.whole_space(network.input_dim)):
        even = equilibrated(network, domain)
        assert even.network is network
        assert even.domain is domain


@pytest.mark.parametrize("most", [40, 200])
@pytest.mark.parametrize("name", NETWORKS)
def test_patterns_and_exact_maps_are_the_same(name, most):
    rng = np.random.default_rng(1)
    network, domain = spoiled(NETWORKS[name](), rng, most)
    even = equilibrated(network, domain)
    assert even.network is not network
    t = rng.uniform(-1, 1, (50, network.input_dim))
    x = t * domain.b[: network.input_dim]
    patterns = network.pattern(x)
    assert (even.network.pattern(x / even.scale) == patterns).all()
    given, scaled = ExactNetwork(network), ExactNetwork(even.network)
    for pattern in patterns[:5]:
        f, g = given.outputs(pattern), scaled.outputs(pattern)
        back = np.array([*(int(Fraction(s) * 2**300) for s in even.scale.tolist()), 2**300], dtype=object)
        assert same(Dyadic(f.integers * back, f.exponent + 300), g)
    for layer in even.network.layers[:-1]:
        size = np.max([abs(m.to_sparse()).max(axis=1).toarray().ravel() for m in layer.maps], axis=0)
        alone = layer.activation is None or layer.width == len(layer.bias)
        assert not alone or (np.abs(np.log2(size[size > 0])) <= ORDINARY_UNITS + 1).all()


@pytest.mark.parametrize("engine", [LayerSplit("vertices"), LayerSplit("lp", solver="simplex")], ids=str)
@pytest.mark.parametrize("name", NETWORKS)
def test_searches_find_the_same_cells_in_any_units(name, engine):
    network = NETWORKS[name]()
    plain = enumerate_regions(network, Polyhedron.box(*unit_box_of(network)), engine)
    strange, domain = spoiled(network, np.random.default_rng(2), 150)
    found = enumerate_regions(strange, domain, engine)
    assert {p.tobytes() for p in found.patterns} == {p.tobytes() for p in plain.patterns}
    assert (strange.pattern(found.interior_points) == found.patterns).all()


def test_hidden_units_alone_keep_the_coordinates():
    network, domain = spoiled(NETWORKS["relu_3-5-4-2"](), np.random.default_rng(3), 100)
    even = equilibrated(network, domain, columns=False)
    assert even.domain is domain
    assert even.network is not network
    x = np.random.default_rng(4).uniform(-1, 1, (50, 3)) * domain.b[:3]
    assert (even.network.pattern(x) == network.pattern(x)).all()
    assert (even.network(x) == network(x)).all()


def test_convolutions_and_sparse_maps_stay_what_they_are():
    network = NETWORKS["convolutional"]()
    first, conv, pool, last = network.layers
    kernel = Convolution(
        conv.maps[0].kernel * 2.0**50,
        *(getattr(conv.maps[0], f) for f in ("input_shape", "stride", "dilation", "padding", "groups")),
    )
    sparse = Layer((2,), (Sparse(pool.maps[0].to_sparse() * 2.0**30),), pool.bias, pool.activation)
    large = Network((2,), (first, Layer((1,), (kernel,), conv.bias, conv.activation), sparse, last))
    even = equilibrated(large, Polyhedron.box(*unit_box_of(network)))
    assert isinstance(even.network.layers[1].maps[0], Convolution)
    assert isinstance(even.network.layers[2].maps[0], Sparse)
    x = np.random.default_rng(5).uniform(-1, 1, (50, 2))
    assert (even.network(x) == large(x)).all()


@pytest.mark.parametrize(
    ("low", "high"),
    [([1.6e9, 18, 0], [1.7e9, 95, 1]), ([0, 0], [1e8, 1]), ([1e15, 0], [1e15 + 4, 1]), ([0, 0], [1, 1e-12])],
)
def test_boxes_get_sides_of_size_one(low, high):
    domain = Polyhedron.box(low, high)
    network = NETWORKS["relu_3-5-4-2" if len(low) == 3 else "relu_2-5-5-1"]()
    even = equilibrated(network, domain)
    side = (np.array(high) - low) / even.scale
    assert (np.abs(np.log2(side)) <= ORDINARY_UNITS + 1).all()
    assert (even.domain.b / np.abs(even.domain.A).max(axis=1) == domain.b / np.tile(even.scale, 2)).all()


def test_a_thin_triangle_and_the_whole_space_get_scales_of_their_own():
    network = NETWORKS["relu_2-5-5-1"]()
    triangle = Polyhedron([[0, -1], [1e-9, 1], [-1e-9, 1]], [0, 1e-9, 1e-9])
    scale = equilibrated(network, triangle).scale
    assert 2**-2 <= scale[0] <= 2**2
    assert 2**-32 <= scale[1] <= 2**-28
    strange, _ = spoiled(network, np.random.default_rng(6), 90)
    whole = equilibrated(strange, Polyhedron.whole_space(2))
    size = np.abs(whole.network.layers[0].maps[0].to_sparse().toarray())
    assert np.abs(np.log2(size[size > 0])).max() < 2 * ORDINARY_UNITS


def test_products_that_would_be_rounded_become_layers():
    rng = np.random.default_rng(7)
    dense, inner = Dense(rng.standard_normal((4, 5))), Dense(rng.standard_normal((5, 3)))
    moved = Composition(dense, Selection(np.array([2, 0, 1, -1, 2]), 3))  # adds two columns
    taken = Composition(dense, Selection(np.array([2, 0, 1, -1, -1]), 3))
    scaled = Composition(Diagonal(np.array([0.5, 2.0, -4.0, 1.0])), dense)
    last = Layer((1,), (Composition(Dense(np.ones((1, 2))), Dense(np.ones((2, 4)))),), np.zeros(1))
    for linear, layers in ((Composition(dense, inner), 3), (moved, 3), (taken, 2), (scaled, 2)):
        d = linear.shape[1]
        network = Network((d,), (Layer((0,), (linear,), rng.standard_normal(4), relu()), last))
        exact = unfolded(network)
        assert len(exact.layers) == layers
        assert (exact is network) == (layers == 2)
        pattern = np.ones(4, dtype=np.int8)
        assert same(ExactNetwork(network).outputs(pattern), ExactNetwork(exact).outputs(pattern))
        assert exact.unit_offsets[-1] == network.unit_offsets[-1]


def test_numbers_are_never_rounded():
    tiny = np.array([5e-324, 1.0])
    with pytest.raises(InexactScaleError):
        times_power(tiny, np.array([-1, 0]))
    with pytest.raises(InexactScaleError):
        times_power(np.array([1e308]), np.array([10]))
    network = NETWORKS["relu_2-5-5-1"]()
    first, *rest = network.layers
    W = first.maps[0].matrix * 1e-300
    W[0] = [5e-324, 1.7e308]
    odd = Network((2,), (Layer((0,), (Dense(W),), first.bias, first.activation), *rest))
    even = equilibrated(odd, Polyhedron.box([-1, -1e-300], [1, 1e-300]))
    pattern = np.ones(10, dtype=np.int8)
    f, g = ExactNetwork(odd).outputs(pattern), ExactNetwork(even.network).outputs(pattern)
    back = np.array([*(int(Fraction(s) * 2**1074) for s in even.scale.tolist()), 2**1074], dtype=object)
    assert same(Dyadic(f.integers * back, f.exponent + 1074), g)

"""Networks without the units that a domain does not need: equal there, and nothing else removed."""

import numpy as np
import pytest

import polytope as pt
from adapters import load
from polytope.ir import Activation, absolute, hard_tanh, leaky_relu, relu
from polytope.measures.units import unit_use
from tests.examples import EXAMPLES
from tests.networks import NETWORKS, SHARED, needs_shared, seeded


def planted(seed: int, activation: Activation) -> tuple[pt.Network, dict[str, list[int]]]:
    """Units 0-5 and 12-15 ordinary; the others dead or fixed, always on, duplicate, unread on [-1, 1]^2."""
    rng = np.random.default_rng(seed)
    W, b = rng.standard_normal((12, 2)), rng.standard_normal(12) / 2
    b[6], b[7] = -9.0, 9.0
    W[8], b[8] = W[0], b[0]
    W[9], b[9] = 4 * W[1], 4 * b[1]
    V, c = rng.standard_normal((5, 12)), rng.standard_normal(5)
    V[:, 10:] = 0.0
    V[4] = V[0]
    c[4] = c[0]
    out = rng.standard_normal((2, 5))
    out[:, 3] = 0.0
    net = pt.mlp([(W, b), (V, c), (out, [0.1, 0.2])], activation)
    return net, {"fixed": [6, 7], "duplicate": [8, 9, 16], "unread": [10, 11, 15]}


@pytest.mark.parametrize("activation", [relu(), leaky_relu(0.1), absolute(), hard_tanh()], ids=str)
@pytest.mark.parametrize("seed", range(2))
def test_planted_units_go_and_the_function_stays(activation: Activation, seed: int) -> None:
    net, units = planted(seed, activation)
    box = pt.Polyhedron.box([-1, -1], [1, 1])
    regions = pt.enumerate_regions(net, box)
    found = pt.simplify(net, box)
    use = unit_use(regions)
    np.testing.assert_array_equal(found.dead | found.always_on, use.fixed)
    assert use.fixed[units["fixed"]].all()
    scaled = activation.breakpoints.any()  # hard_tanh is no multiple of itself
    twins = [u for u in units["duplicate"] if not use.fixed[u] and not (scaled and u == 9)]
    assert (found.duplicate[twins] >= 0).all()
    assert (found.duplicate >= 0).sum() == len(twins)
    assert found.unread[[u for u in units["unread"] if not use.fixed[u]]].all()
    gone = use.fixed | (found.duplicate >= 0) | found.unread
    assert found.network.n_units == net.n_units - gone.sum()
    x = np.concatenate([regions.interior_points, np.random.default_rng(seed).uniform(-1, 1, (200, 2))])
    np.testing.assert_allclose(found.network(x), net(x), atol=1e-13 * np.abs(net(x)).max())
    assert found.difference < 1e-13
    smaller = pt.enumerate_regions(found.network, box)
    assert len(smaller) <= len(regions)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_kind_of_network_is_equal_on_a_small_domain(name: str) -> None:
    net = NETWORKS[name]()
    low, high = np.full(net.input_dim, 0.1), np.full(net.input_dim, 0.45)
    box = pt.Polyhedron.box(low, high)
    found = pt.simplify(net, box)
    x = np.random.default_rng(1).uniform(low, high, (300, net.input_dim))
    np.testing.assert_allclose(found.network(x), net(x), atol=1e-12 * (1 + np.abs(net(x)).max()))
    fixed = unit_use(pt.enumerate_regions(net, box)).fixed
    np.testing.assert_array_equal(found.dead | found.always_on, fixed)
    assert found.network.n_units <= net.n_units - fixed.sum()
    again = pt.simplify(found.network, box)
    assert again.network.n_units == found.network.n_units


def test_an_affine_network_is_left_as_it_is() -> None:
    """relu(x + 3) + relu(x - 3) on [-1, 1] is x + 3."""
    net = pt.mlp([([[1.0], [1.0]], [3.0, -3.0]), ([[1.0, 1.0]], [0.0])])
    found = pt.simplify(net, pt.Polyhedron.box([-1], [1]))
    assert (found.network.n_units, len(found.network.layers)) == (0, 1)
    assert found.network([[0.5]]).tolist() == [[3.5]]
    assert found.dead.tolist() == [False, True]


def test_duplicates_of_maxima() -> None:
    groups = pt.Network((2,), NETWORKS["grouped"]().layers)
    W = groups.layers[0].maps[0].to_sparse().toarray()
    W[3:5] = W[:2]  # groups (0, 1, 2) and (3, 4): different; the last group repeats members
    found = pt.simplify(groups, pt.Polyhedron.box([-1, -1], [1, 1]))
    assert found.difference < 1e-13


def test_proofs_agree_with_the_complete_complex_and_budgets_leave_units_open() -> None:
    net = seeded(3, 2, 12, 12, 1)
    box = pt.Polyhedron.box([-0.4, -0.4], [0.4, 0.4])
    use = unit_use(pt.enumerate_regions(net, box))
    proved = pt.prove_units(net, box)
    np.testing.assert_array_equal(proved.fixed, use.fixed)
    np.testing.assert_array_equal(proved.varying, use.varying)
    np.testing.assert_array_equal(proved.flat[use.fixed], use.flat[use.fixed])
    part = pt.prove_units(net, box, samples=2, max_regions=2)
    assert not (part.fixed & ~use.fixed).any()
    assert not (part.varying & ~use.varying).any()
    assert not part.complete
    kept = pt.simplify(net, box, use=part)
    assert kept.network.n_units > pt.simplify(net, box, use=proved).network.n_units
    assert kept.difference < 1e-13


def test_an_unbounded_domain() -> None:
    """On x >= 1, relu(x) is x and relu(-x) is 0."""
    net = pt.mlp([([[1.0], [-1.0], [1.0]], [0.0, 0.0, -2.0]), ([[1.0, 1.0, 1.0]], [0.0])])
    found = pt.simplify(net, pt.Polyhedron([[-1.0]], [-1.0]))
    assert found.dead.tolist() == [False, True, False]
    assert found.always_on.tolist() == [True, False, False]
    assert found.network([[1.5], [3.0]]).tolist() == [[1.5], [4.0]]


def test_digits_around_an_image() -> None:
    net = load(EXAMPLES / "models" / "digits_mlp.onnx")
    with np.load(EXAMPLES / "data" / "digits_test.npz") as data:
        image = data["X"][0].astype(float)
    box = pt.Polyhedron.box(image - 0.02, image + 0.02)
    found = pt.simplify(net, box, max_regions=50)
    removed = int(found.dead.sum() + found.always_on.sum())
    assert removed > 20
    assert found.network.n_units == net.n_units - removed
    assert found.difference < 1e-12


@needs_shared
def test_acas_in_the_box_of_a_property() -> None:
    """A complete proof: 67 of 300 units activation, and they alone cut the box into the same regions."""
    net = load(SHARED / "models" / "acasxu_1_1.onnx")
    stated = pt.read_input_box((SHARED / "models" / "vnnlib" / "acasxu_prop_3.vnnlib").read_text())
    box = pt.Polyhedron.box(stated.low, stated.high)
    found = pt.simplify(net, box)
    assert found.network.n_units == 67
    assert found.difference < 1e-10
    assert pt.count_regions(found.network, box).upper == pt.count_regions(net, box).upper


@pytest.mark.parametrize("scale", [1.0, 0.1, 1e9])
def test_a_function_that_is_zero_is_simplified(scale: float) -> None:
    """Two equal units that the output subtracts: what is left are differences of rounding, or nothing."""
    W = scale * np.array([[0.3, 2.1], [0.3, 2.1]])
    net = pt.mlp([(W, [-0.7, -0.7]), ([[-3.1, 3.1], [0.7, -0.7]], [0.0, 0.0])], absolute())
    found = pt.simplify(net, pt.Polyhedron.box([-1, -1], [2, 2]))
    assert found.network.n_units == 0
    assert not found.network([[0.3, 0.4]]).any()


def test_a_wrong_use_is_refused_beside_a_large_constant() -> None:
    """1e9 + relu(x) is not 1e9 + x: the difference is small beside the output, but not beside rounding."""
    net = pt.mlp([([[1.0]], [0.0]), ([[1.0]], [1e9])])
    right = pt.prove_units(net, pt.Polyhedron.box([0.5], [1]))
    with pytest.raises(ValueError, match="not what its units do"):
        pt.simplify(net, pt.Polyhedron.box([-1], [1]), use=right)


def test_the_use_of_another_network_is_refused() -> None:
    net, box = seeded(0, 2, 4, 1), pt.Polyhedron.box([-1, -1], [1, 1])
    with pytest.raises(ValueError, match="use is of 5 units"):
        pt.simplify(net, box, use=pt.prove_units(seeded(0, 2, 5, 1), box))
    corner = pt.Polyhedron.box([0.9, 0.9], [1, 1])
    with pytest.raises(ValueError, match="not what its units do"):
        pt.simplify(net, box, use=pt.prove_units(net, corner))


def test_weights_beyond_the_normal_numbers_are_no_fault_of_the_caller() -> None:
    rng = np.random.default_rng(0)
    W, b = 1e-310 * rng.standard_normal((4, 3)), 1e-310 * rng.standard_normal(4)
    network = pt.mlp([(W, b), (rng.standard_normal((2, 4)), np.zeros(2))])
    found = pt.simplify(network, pt.Polyhedron.box([-1] * 3, [1] * 3))
    assert found.network.n_units <= 4


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_units_that_rounding_turns_on_are_no_difference(seed: int) -> None:
    """At the centre both units are 0, and not where the sums of x - 10^6 are folded: that was infinite."""
    rng = np.random.default_rng(seed)
    shift = pt.mlp([(np.eye(3), np.full(3, -1e6))])
    behind = pt.mlp([(rng.standard_normal((2, 3)), np.zeros(2)), (rng.standard_normal((2, 2)), np.zeros(2))])
    domain = pt.Polyhedron.box(np.full(3, 1e6 - 1e-3), np.full(3, 1e6 + 1e-3))
    found = pt.simplify(shift.then(behind), domain)
    assert found.difference <= 2**-48

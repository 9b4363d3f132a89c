"""Local complexity equals closed forms for one layer and the patterns at all vertices for any network."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from polytope import ir
from polytope.geometry.slice import Slice
from polytope.ir import Convolution, Dense, Diagonal, Layer, Network
from polytope.measures.local_complexity.count import local_complexity
from tests.networks import layer_values


def random_mlp(widths: list[int], seed: int, activation: ir.Activation | None = None) -> Network:
    rng = np.random.default_rng(seed)
    sizes = pairwise(widths)
    return ir.mlp([(rng.normal(size=(m, n)), rng.normal(size=m)) for n, m in sizes], activation)


def convolutional(seed: int) -> Network:
    """Convolution, ReLU, 2 x 2 max pooling, a skip from the input, a dense layer with hard tanh, outputs."""
    rng = np.random.default_rng(seed)
    conv = Convolution(rng.normal(size=(3, 2, 3, 3)), (2, 6, 6), (1, 1), (1, 1), ((1, 1), (1, 1)))
    corner = np.arange(108).reshape(3, 6, 6)[:, ::2, ::2].ravel()
    pooling = ir.max_groups(np.stack([corner, corner + 1, corner + 6, corner + 7], axis=1))
    layers = (
        Layer((0,), (conv,), rng.normal(size=108), ir.relu()),
        Layer((1,), (Diagonal(np.ones(108)),), np.zeros(108), pooling),
        Layer(
            (2, 0),
            (Dense(rng.normal(size=(8, 27)) / 5), Dense(rng.normal(size=(8, 72)) / 9)),
            rng.normal(size=8),
            ir.hard_tanh(),
        ),
        Layer((3,), (Dense(rng.normal(size=(2, 8))),), np.zeros(2)),
    )
    return Network((2, 6, 6), layers)


NETWORKS = {
    "shallow": random_mlp([6, 13, 11, 2], 20),
    "deep": random_mlp([6, 12, 9, 17, 10, 8, 3], 21),
    "mlp": random_mlp([6, 12, 10, 8, 3], 1),
    "staircase": random_mlp(
        [6, 9, 9, 2], 2, ir.piecewise_linear([-1, 0, 1], [1, -2, 0.5, 3], [0, -3, -3, -5.5])
    ),
    "absolute": random_mlp([6, 9, 9, 2], 3, ir.absolute()),
    "convolution": convolutional(4),
    "behind_a_linear_layer": ir.mlp([(np.eye(5, 6) + 0.3, np.ones(5))]).then(random_mlp([5, 12, 8, 1], 5)),
}


def brute_force(network: Network, x: np.ndarray, radius: float, frames: np.ndarray) -> np.ndarray:
    """Patterns at all vertices; ``frames`` is ``[B, P, d]``."""
    moves = radius * np.concatenate([frames, -frames], axis=1)
    patterns = np.stack([network.pattern(point + move) for point, move in zip(x, moves, strict=True)])
    crossed = (patterns != patterns[:, :1]).any(axis=1)
    ends = np.cumsum((0, *network.widths))
    return np.stack([crossed[:, a:b].sum(axis=1) for a, b in pairwise(ends)], axis=1)


def orthonormal(n_frames: int, n_directions: int, d: int, seed: int) -> np.ndarray:
    gaussian = np.random.default_rng(seed).standard_normal((n_frames, d, n_directions))
    return np.linalg.qr(gaussian)[0].transpose(0, 2, 1)


@pytest.mark.parametrize("radius", [0.05, 0.5, 3.0])
def test_first_layer_counts_the_hyperplanes_within_reach(radius: float) -> None:
    """Unit k is met exactly where |w_k . x + b_k| < r max_p |w_k . v_p|: ties have probability zero."""
    network = random_mlp([7, 40, 1], 6)
    layer = network.layers[0]
    x = np.random.default_rng(7).normal(size=(30, 7))
    [frame] = orthonormal(1, 4, 7, 8)
    reach = radius * np.abs(layer.maps[0].rows(np.arange(40)) @ frame.T).max(axis=1)
    expected = (np.abs(layer.preactivation([x.T])) < reach[:, None]).sum(axis=0)
    counted = local_complexity(network, x, radius, frames=frame)
    np.testing.assert_array_equal(counted.per_layer[:, 0], expected)
    np.testing.assert_array_equal(counted.total, expected)


def test_full_frame_in_one_dimension_counts_the_breakpoints_of_the_interval() -> None:
    network = ir.mlp([(np.ones((5, 1)), -np.arange(5.0)), (np.ones((1, 5)), [0.0])])
    counted = local_complexity(network, [[1.5], [2.0], [9.0]], 1.25)
    assert counted.total.tolist() == [2, 3, 0]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("radius", [0.05, 0.6])
def test_shared_frame_equals_patterns_at_the_vertices(name: str, radius: float) -> None:
    network = NETWORKS[name]
    x = np.random.default_rng(9).normal(size=(13, network.input_dim))
    [frame] = orthonormal(1, 5, network.input_dim, 0)
    expected = brute_force(network, x, radius, np.broadcast_to(frame, (13, *frame.shape)))
    assert expected.any()
    for batch_size in (None, 1, 4, 13, 100):
        given = local_complexity(network, x, radius, frames=frame, batch_size=batch_size)
        np.testing.assert_array_equal(given.per_layer, expected)
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(local_complexity(network, x, radius, frames=5).per_layer, expected)
    np.testing.assert_array_equal(local_complexity(network, x, radius, frames=5, rng=rng).per_layer, expected)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_frame_per_point_equals_patterns_at_the_vertices(name: str) -> None:
    network = NETWORKS[name]
    x = np.random.default_rng(10).normal(size=(13, network.input_dim))
    expected = brute_force(network, x, 0.4, orthonormal(13, 3, network.input_dim, 11))
    for batch_size in (None, 1, 5):
        rng = np.random.default_rng(11)
        counted = local_complexity(
            network, x, 0.4, frames=3, shared_frame=False, batch_size=batch_size, rng=rng
        )
        np.testing.assert_array_equal(counted.per_layer, expected)


@pytest.mark.parametrize("name", NETWORKS)
def test_float32_agrees_away_from_ties(name: str) -> None:
    """The points are few and random: none has a vertex within 1e-6 of a crossing."""
    network = NETWORKS[name]
    x = np.random.default_rng(12).normal(size=(20, network.input_dim))
    double, single = (local_complexity(network, x, 0.3, dtype=t) for t in ("float64", "float32"))
    np.testing.assert_array_equal(double.per_layer, single.per_layer)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_what_cancels_is_zero(dtype: str) -> None:
    """Biases 0: a unit behind units that are off is 0, and a remainder of rounding must not make it cross.

    Every unit of the second layer reads two of the first, so that around many points it is 0 at all vertices,
    or at some; around the last point everything is off.
    """
    rng = np.random.default_rng(5)
    first = np.abs(rng.standard_normal((40, 6)))
    pairs = np.zeros((30, 40))
    for row in pairs:
        row[rng.permutation(40)[:2]] = rng.standard_normal(2)
    last = np.where(rng.random((20, 30)) < 0.1, rng.standard_normal((20, 30)), 0.0)
    layers = [first, pairs, last, np.ones((1, 20))]
    network = ir.mlp([(W, np.zeros(len(W))) for W in layers])
    x = np.concatenate([rng.standard_normal((60, 6)) + 0.5, [[-9.0] * 6]])
    expected = brute_force(network, x, 0.5, np.broadcast_to(np.eye(6), (len(x), 6, 6)))
    found = local_complexity(network, x, 0.5, frames=np.eye(6), dtype=dtype, rechecked=0)
    np.testing.assert_array_equal(found.per_layer, expected)
    assert not found.total[-1]
    assert expected[:, 1:].any(axis=0).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_reference_mode_is_the_published_procedure(name: str) -> None:
    """Signs at all vertices against the first, outputs as a layer, the partial batch left at zero."""
    network = NETWORKS[name]
    x = np.random.default_rng(15).normal(size=(11, network.input_dim))
    [frame] = orthonormal(1, 5, network.input_dim, 16)
    steps = 0.4 * np.concatenate([frame, -frame])
    kept = [k for k, layer in enumerate(network.layers) if layer.activation or layer is network.layers[-1]]
    expected = np.zeros((11, len(kept)), dtype=int)
    for i, point in enumerate(x[:8]):
        signs = [np.sign(z) for z, _ in layer_values(network, (point + steps).T)]
        expected[i] = [(signs[k] != signs[k][:, :1]).any(axis=1).sum() for k in kept]
    counted = local_complexity(network, x, 0.4, frames=frame, reference=True, batch_size=4)
    np.testing.assert_array_equal(counted.per_layer, expected)


def test_lower_precision_reports_what_rounding_does() -> None:
    network = NETWORKS["mlp"]
    x = np.random.default_rng(17).normal(size=(30, 6))
    double = local_complexity(network, x, 0.3)
    coarse = local_complexity(network, x, 0.3, dtype="bfloat16", rechecked=30)
    assert double.sensitivity is None
    assert coarse.sensitivity == np.abs(coarse.per_layer - double.per_layer).sum() / 30
    assert local_complexity(network, x, 0.3, dtype="float32").sensitivity == 0


def test_gradient_form_of_one_layer_is_the_density_of_its_hyperplanes() -> None:
    r"""Every unit has a weight to the output: :math:`\sum_k \|w_k\| \varphi_s(w_k x + b_k)`."""
    network = random_mlp([4, 9, 1], 18)
    [W], b = [m.to_sparse().toarray() for m in network.layers[0].maps], network.layers[0].bias
    x = np.random.default_rng(19).normal(size=(12, 4))
    density = np.exp(-(((x @ W.T + b) / 0.3) ** 2) / 2) / (0.3 * np.sqrt(2 * np.pi))
    expected = density @ np.linalg.norm(W, axis=1)
    counted = local_complexity(network, x, 0.3, method="gradient")
    np.testing.assert_allclose(counted.per_layer[:, 0], expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["mlp", "staircase", "absolute", "deep"])
def test_gradient_form_in_one_dimension_counts_breakpoints(name: str) -> None:
    r"""Co-area: as the noise goes to 0, the mean of the density over an interval counts crossings per length.

    All breakpoints are simple on this line and farther from its ends than the noise reaches. The sum over
    a grid of spacing h is off by less than exp(-2 (pi s / h)^2), and slopes change within the noise of a
    neighbouring crossing: 3 % holds with room.
    """
    base = NETWORKS[name]
    rng = np.random.default_rng(22)
    network = base.restrict(Slice(rng.normal(size=6), rng.normal(size=(1, 6))))
    grid = np.linspace(-2, 2, 40001)[:, None]
    crossings = (np.diff(network.pattern(grid), axis=0) != 0).sum()
    density = local_complexity(network, grid, 1e-3, method="gradient").total
    assert crossings > 5
    assert density.mean() * 4 == pytest.approx(crossings, rel=0.03)


def test_gradient_form_refuses_max_groups() -> None:
    network = NETWORKS["convolution"]
    with pytest.raises(ValueError, match="layer 2 has max groups"):
        local_complexity(network, np.zeros((1, 72)), 0.1, method="gradient")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", NETWORKS)
def test_the_gpu_agrees(name: str) -> None:
    """In float64, away from ties: the points are few and random."""
    network = NETWORKS[name]
    x = np.random.default_rng(14).normal(size=(20, network.input_dim))
    here, there = (local_complexity(network, x, 0.3, device=device) for device in ("cpu", "cuda"))
    np.testing.assert_array_equal(here.per_layer, there.per_layer)


def test_images_keep_their_shape_and_default_frames_fit_the_input() -> None:
    network = NETWORKS["convolution"]
    x = np.random.default_rng(13).normal(size=(3, 2, 6, 6))
    counted = local_complexity(network, x, 0.3)
    assert counted.per_layer.shape == (3, 3)
    np.testing.assert_array_equal(counted.per_layer, local_complexity(network, x, 0.3, frames=25).per_layer)
    assert local_complexity(network, x[:0], 0.3).total.shape == (0,)


def test_an_affine_network_has_none() -> None:
    counted = local_complexity(ir.mlp([(np.eye(2), np.zeros(2))]), np.zeros((4, 2)), 1.0)
    assert counted.per_layer.shape == (4, 0)
    assert counted.total.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": [0.0, 0.0]}, r"shape \[B, 2\]"),
        ({"x": [[0.0, 0.0, 0.0]]}, r"shape \[B, 2\]"),
        ({"x": [[0.0, 0.0], [np.nan, 0.0]]}, "point 1 is not finite"),
        ({"radius": 0.0}, "positive finite"),
        ({"radius": -1.0}, "positive finite"),
        ({"radius": np.inf}, "positive finite"),
        ({"radius": np.nan}, "positive finite"),
        ({"radius": [1.0, 2.0]}, "positive finite"),
        ({"frames": 3}, "3 orthonormal directions do not exist"),
        ({"frames": 0}, "use 1 to 2"),
        ({"frames": [1.0, 0.0]}, r"shape \[P, 2\]"),
        ({"frames": [[1.0, np.nan]]}, "must be finite"),
        ({"frames": [[1.0, 0.0]], "shared_frame": False}, "give their number"),
        ({"method": "volume"}, "'crossing', 'gradient', 'exact'"),
        ({"reference": True, "shared_frame": False}, "one frame for all points"),
        ({"reference": True, "method": "gradient"}, "is the crossing count"),
        ({"dtype": "int8"}, "dtype must be one of"),
        ({"batch_size": 0}, "at least 1"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, object], message: str) -> None:
    options = {"x": [[0.0, 0.0]], "radius": 1.0} | arguments
    with pytest.raises(ValueError, match=message):
        local_complexity(random_mlp([2, 3, 1], 0), **options)

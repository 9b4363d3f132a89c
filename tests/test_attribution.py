"""Exact attributions: completeness, quadrature, hand-worked values, and how far explanations hold."""

import numpy as np
import pytest
import torch

import polytope as pt
from adapters import load
from polytope.ir import absolute, mlp
from tests.examples import EXAMPLES
from tests.networks import NETWORKS, SHARED, integer, needs_shared, seeded


def worked() -> pt.Network:
    """``x + 2 relu(x + y - 1)`` for x >= 0."""
    return mlp([([[1.0, 0.0], [1.0, 1.0]], [0.0, -1.0]), ([[1.0, 2.0]], [0.0])])


def test_worked_by_hand() -> None:
    """From (0, 0) to (2, 2): the second unit changes at t = 1/4, so it counts for 3/4 of the way."""
    found = pt.integrated_gradients(worked(), [[2.0, 2.0], [2.0, 0.0]], [0.0, 0.0])
    np.testing.assert_allclose(
        found, [[2 * (1 + 2 * 0.75), 2 * 2 * 0.75], [2 * (1 + 2 * 0.5), 0.0]], rtol=1e-14
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_attributions_are_complete_and_equal_a_fine_sum(name: str) -> None:
    network = NETWORKS[name]()
    rng = np.random.default_rng(1)
    x, b = rng.normal(size=(2, 40, network.input_dim)) * 2
    chosen = rng.integers(0, network.output_dim, 40)
    found = pt.integrated_gradients(network, x, b, chosen)
    rows = np.arange(40)
    gain = network(x)[rows, chosen] - network(b)[rows, chosen]
    size = np.abs(found).sum(axis=1) + np.abs(network(x)).max()
    assert (np.abs(found.sum(axis=1) - gain) <= 1e-12 * size).all()
    steps = 200
    t = (np.arange(steps) + 0.5) / steps
    path = b[:, None] + t[:, None] * (x - b)[:, None]
    slopes = network.jacobian(path.reshape(-1, x.shape[1])).reshape(40, steps, -1, x.shape[1])
    coarse = (x - b) * slopes[rows, :, chosen].mean(axis=1)
    jump = np.abs(slopes).max() * np.abs(x - b).max()
    assert np.abs(coarse - found).max() <= jump * 60 / steps  # a crossing spoils one step at most


@pytest.mark.parametrize("seed", range(2))
def test_segments_through_degenerate_networks(seed: int) -> None:
    """Ties at both ends, duplicates, many crossings at one place: completeness holds."""
    network = integer(seed, 3, 8, 6, 2, activation=absolute() if seed % 2 else None)
    x = np.random.default_rng(seed).integers(-3, 4, (60, 3)).astype(float)
    found = pt.integrated_gradients(network, x, np.zeros(3), 1)
    gain = network(x)[:, 1] - network(np.zeros((1, 3)))[0, 1]
    np.testing.assert_allclose(found.sum(axis=1), gain, atol=1e-12 * (1 + np.abs(gain).max()))
    np.testing.assert_array_equal(found[(x == 0).all(axis=1)], 0.0)


def test_batches_and_empty_input() -> None:
    network = NETWORKS["convolutional"]()
    x, b = np.random.default_rng(2).normal(size=(2, 11, 2))
    whole = pt.integrated_gradients(network, x, b)
    np.testing.assert_allclose(pt.integrated_gradients(network, x, b, batch_size=3), whole, atol=1e-12)
    assert pt.integrated_gradients(network, x[:0], b[0]).shape == (0, 2)
    assert pt.linear_explanation(network, x[:0]).gradient.shape == (0, 2)


def check_images(network: pt.Network, x: np.ndarray) -> None:
    """Completeness from a black image, for the predicted classes."""
    chosen, black = network(x).argmax(axis=1), np.zeros(network.input_dim)
    found = pt.integrated_gradients(network, x, black, chosen)
    gain = network(x)[np.arange(len(x)), chosen] - network(black)[chosen]
    np.testing.assert_allclose(found.sum(axis=1), gain, rtol=1e-12)


@needs_shared
def test_completeness_on_images_of_784_pixels() -> None:
    with np.load(SHARED / "data" / "mnist_10k.npz") as data:
        check_images(load(SHARED / "models" / "mnist_fc_256x2.onnx"), data["images"][:4].reshape(4, -1) / 255)


def test_completeness_through_convolutions() -> None:
    with np.load(EXAMPLES / "data" / "digits_test.npz") as data:
        check_images(load(EXAMPLES / "models" / "digits_cnn.onnx"), data["X"][:3].astype(float))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_explanation_is_the_region_s_map_and_inscribed_radius(name: str) -> None:
    network = NETWORKS[name]()
    d = network.input_dim
    x = np.random.default_rng(3).normal(size=(3, d)) * 0.5
    found = pt.linear_explanation(network, x, 0)
    regions = pt.enumerate_regions(network, pt.Polyhedron.box([-9] * d, [9] * d), max_regions=60)
    for i, point in enumerate(x):
        J, c = network.affine(network.pattern(point))
        np.testing.assert_allclose(found.gradient[i], J[0], atol=1e-12 * np.abs(J).max())
        assert found.intercept[i] == pytest.approx(c[0], abs=1e-11 * (1 + np.abs(J).max()))
        place = int(regions.locate(point)[0])
        if place < 0:
            continue
        A, b = regions[place].halfspaces
        for norm, dual in ((1, np.inf), (2, 2), (np.inf, 1)):
            expected = ((b - A @ point) / np.linalg.norm(A, dual, axis=1)).min()
            walls = (9 - np.abs(point)).min()  # the box is no crossing
            assert min(found.reach[norm][i], walls) == pytest.approx(expected, rel=1e-9)


def test_within_its_reach_an_explanation_is_the_network() -> None:
    network = seeded(4, 6, 20, 20, 3)
    rng = np.random.default_rng(5)
    x = rng.normal(size=(50, 6))
    found = pt.linear_explanation(network, x)
    np.testing.assert_array_equal(found.outputs, network(x).argmax(axis=1))
    for norm, radius in found.reach.items():
        step = rng.normal(size=x.shape)
        step *= (radius / np.linalg.norm(step, norm, axis=1))[:, None]
        assert (network.pattern(x + 0.999 * step) == network.pattern(x)).all()
        y = x + 0.999 * step
        predicted = (found.gradient * y).sum(axis=1) + found.intercept
        np.testing.assert_allclose(network(y)[np.arange(50), found.outputs], predicted, atol=1e-11)
    assert (found.reach[1] >= found.reach[2]).all()
    assert (found.reach[2] >= found.reach[np.inf]).all()
    assert np.isinf(pt.linear_explanation(mlp([([[1.0, 2.0]], [3.0])]), [[0.0, 0.0]]).reach[2]).all()


def test_wrong_arguments_are_named() -> None:
    network = seeded(0, 2, 4, 3)
    with pytest.raises(ValueError, match="has 3, counted from 0"):
        pt.integrated_gradients(network, [[0.0, 0.0]], [1.0, 1.0], 3)
    with pytest.raises(ValueError, match="expected an integer"):
        pt.integrated_gradients(network, [[0.0, 0.0]], [1.0, 1.0], [0, 1])
    with pytest.raises(ValueError, match="do not fit"):
        pt.integrated_gradients(network, [[0.0, 0.0]], [[1.0, 1.0]] * 2)
    with pytest.raises(ValueError, match="expected points"):
        pt.linear_explanation(network, [0.0, 0.0])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_device_changes_nothing() -> None:
    network = seeded(6, 20, 64, 64, 5)
    x, b = np.random.default_rng(7).normal(size=(2, 30, 20))
    on_gpu = pt.integrated_gradients(network, x, b, 2, device="cuda")
    np.testing.assert_allclose(on_gpu, pt.integrated_gradients(network, x, b, 2), atol=1e-11)
    reach = pt.linear_explanation(network, x, device="cuda").reach
    for norm, radius in pt.linear_explanation(network, x).reach.items():
        np.testing.assert_allclose(reach[norm], radius, rtol=1e-9)

"""Symmetry at infinite width: averages over groups, emergent equivariance, group convolutions as averages."""

import numpy as np
import pytest
from torch import nn

from polytope import equivariant as eq
from polytope import infinite

GROUP = eq.cyclic(4)
TIMES = (0.1, 1.0, 10.0, np.inf)


def trained(x: np.ndarray, y: np.ndarray, z: np.ndarray, t: float) -> infinite.Ensemble:
    """The ensemble of a dense network, at test points."""
    net = infinite.mlp(x.shape[1], 2, bias_std=0.3)
    train, cross, test = (infinite.kernel(net, *points) for points in ((x,), (z, x), (z,)))
    return infinite.ensemble(train, cross, test, y, t)


def spread(values: np.ndarray) -> float:
    """The largest difference between images of one point, ``[G, n]``."""
    return float(np.ptp(values, axis=0).max())


def test_pooled_group_convolutions_are_averaged_dense_networks() -> None:
    """With kernels as large as the image: NNGP and NTK to 1e-12 of each other."""
    n, width = 4, 6
    module = nn.Sequential(
        eq.LiftingConv2d(GROUP, 1, width, n),
        nn.ReLU(),
        eq.GroupConv2d(GROUP, width, width, 1),
        nn.ReLU(),
        eq.GroupPool(GROUP, "sum"),
        nn.Flatten(),
        nn.Linear(width, 1),
    )
    read = infinite.architecture(module, (1, n, n), weight_std=1.4, bias_std=0.3)
    dense = infinite.chain(
        [
            infinite.dense(1.4, 0.3),
            infinite.relu(),
            infinite.dense(1.4, 0.3),
            infinite.relu(),
            infinite.dense(1.4, 0.0),
        ],
        (n * n,),
    )
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((3, n * n)), rng.standard_normal((2, n * n))
    found = infinite.kernel(read, x, y)
    mean = infinite.group_average(dense, eq.image_grid(GROUP, n, n), x, y)
    order = len(GROUP) ** 2  # a sum over the group in place of a mean
    np.testing.assert_allclose(found.nngp - 0.3**2, order * mean.nngp, rtol=1e-12)
    np.testing.assert_allclose(found.ntk - 0.3**2, order * mean.ntk, rtol=1e-12)


def test_ensembles_of_augmented_data_are_equivariant_at_all_times_and_off_the_data() -> None:
    """Spread over orbits at most 1e-9 with whole orbits, at least 0.1 without, on random inputs."""
    rng = np.random.default_rng(0)
    rho = eq.image_grid(GROUP, 4, 4)
    x, y, z = rng.standard_normal((12, 16)), rng.standard_normal(12), rng.standard_normal((5, 16))
    turned = infinite.orbit(z, rho)
    for t in TIMES:
        whole = trained(infinite.orbit(x, rho), np.tile(y, 4), turned, t)
        half = trained(infinite.orbit(x, rho)[:24], np.tile(y, 2), turned, t)
        none = trained(x, y, turned, t)
        assert spread(whole.mean.reshape(4, -1)) <= 1e-9
        assert spread(whole.covariance.diagonal().reshape(4, -1)) <= 1e-9
        if t > 0.1:  # untrained ensembles have mean 0
            assert min(spread(none.mean.reshape(4, -1)), spread(half.mean.reshape(4, -1))) >= 0.1


@pytest.mark.parametrize("t", TIMES)
def test_augmentation_is_the_averaged_kernel_with_time_times_the_order(t: float) -> None:
    rng = np.random.default_rng(1)
    rho = eq.image_grid(GROUP, 3, 3)
    net = infinite.mlp(9, 2, bias_std=0.3)
    x, y, z = rng.standard_normal((6, 9)), rng.standard_normal(6), rng.standard_normal((4, 9))
    augmented = trained(infinite.orbit(x, rho), np.tile(y, 4), z, t)
    train, cross, test = (infinite.group_average(net, rho, *points) for points in ((x,), (z, x), (z,)))
    averaged = infinite.ensemble(train, cross, test, y, 4 * t)
    np.testing.assert_allclose(averaged.mean, augmented.mean, atol=1e-10)


@pytest.mark.parametrize("t", TIMES)
def test_vectors_turn_with_their_inputs(t: float) -> None:
    """Outputs of two coordinates on augmented data: the mean of a turned input is the turned mean."""
    rng = np.random.default_rng(2)
    rho, rho_out = eq.image_grid(GROUP, 3, 3), eq.rotation2d(GROUP)
    x, y, z = rng.standard_normal((6, 9)), rng.standard_normal((6, 2)), rng.standard_normal((4, 9))
    mean = trained(infinite.orbit(x, rho), infinite.orbit(y, rho_out), infinite.orbit(z, rho), t).mean
    images = mean.reshape(4, 4, 2)
    for g, matrix in enumerate(rho_out.matrices):
        np.testing.assert_allclose(images[g], images[GROUP.identity] @ matrix.T, atol=1e-10)
    net = infinite.mlp(9, 2, bias_std=0.3)
    train, cross, test = (
        infinite.group_average(net, rho, *points, rho_out=rho_out) for points in ((x,), (z, x), (z,))
    )
    averaged = infinite.ensemble(train, cross, test, y.ravel(), 4 * t).mean.reshape(4, 2)
    np.testing.assert_allclose(averaged, images[GROUP.identity], atol=1e-10)


def test_wrong_actions_are_refused() -> None:
    net, rho = infinite.mlp(9, 1), eq.image_grid(GROUP, 3, 3)
    with pytest.raises(ValueError, match=r"on R\^9, the points lie in R\^4"):
        infinite.orbit(np.zeros((2, 4)), rho)
    with pytest.raises(ValueError, match=r"an action with matrices \[G, d, d\]"):
        infinite.orbit(np.zeros((2, 4)), np.eye(4))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="of one group they are as many"):
        infinite.group_average(net, rho, np.zeros((1, 9)), rho_out=eq.rotation2d(eq.cyclic(3)))
    sites = infinite.architecture(eq.LiftingConv2d(GROUP, 1, 2, 3), (1, 3, 3))
    with pytest.raises(ValueError, match="end with a readout"):
        infinite.group_average(sites, rho, np.zeros((1, 9)))

"""Jacobians, induced metrics and steps of flows in closed form; intrinsic dimensions of known manifolds."""

import numpy as np
import pytest
import torch

from polytope import flows
from tests.flow_cases import FLOWS, PIECEWISE_LINEAR, autograd_jacobians, disturbed, points

ROTATION = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]


def tube(sigma: float, delta: float, k: int = 1) -> flows.Flow:
    """Data on a k-dimensional linear manifold of deviation sigma, and uniform noise of width delta."""
    deviations = np.where(np.arange(3) < k, np.hypot(sigma, delta / 12**0.5), delta / 12**0.5)
    return flows.Flow([flows.LULinear(3, matrix=ROTATION * deviations)])


def bent_score(x: torch.Tensor) -> torch.Tensor:
    return torch.sin(x[:, 0]) + x[:, 1] ** 2


@pytest.mark.parametrize("name", FLOWS)
def test_singular_values_multiply_to_the_determinant(name: str) -> None:
    flow = disturbed(FLOWS[name]())
    z = points(5, flow.dim)
    x, logdet = flow.forward(z)
    J = flows.jacobian(flow, z)
    np.testing.assert_allclose(J, autograd_jacobians(flow, z).detach().numpy(), atol=1e-12)
    spectrum = flows.jacobian_spectrum(flow, x.detach())
    assert (np.diff(spectrum, axis=1) <= 0).all()
    np.testing.assert_allclose(np.log(spectrum).sum(axis=1), logdet.detach().numpy(), atol=1e-10)
    metric = flows.inverse_induced_metric(flow, x.detach())
    np.testing.assert_allclose(metric, J @ J.transpose(0, 2, 1), rtol=1e-7, atol=1e-9)


def test_the_metric_of_a_tube() -> None:
    """Of an affine flow it is the covariance: eigenvalues sigma^2 + delta^2/12 and delta^2/12."""
    flow = tube(2.0, 0.3)
    metric = flows.inverse_induced_metric(flow, np.zeros((1, 3)))[0]
    found = np.sort(np.linalg.eigvalsh(metric))
    np.testing.assert_allclose(found, [0.3**2 / 12] * 2 + [4 + 0.3**2 / 12], rtol=1e-12)
    tangent, normal = flows.tangent_normal_split(flow, np.zeros((1, 3)), 1)
    assert abs(tangent[0, :, 0] @ ROTATION[:, 0]) == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(normal[0].T @ ROTATION[:, 0], 0, atol=1e-12)


def test_normal_eigenvalues_fall_with_the_square_of_the_width() -> None:
    slopes, means = flows.normal_eigenvalue_scaling(
        lambda d: tube(5.0, d), [0.1, 0.05, 0.02], np.zeros((1, 3)), 1
    )
    assert slopes.tolist() == pytest.approx([0, 2], abs=1e-3)
    np.testing.assert_allclose(means[:, 1], np.array([0.1, 0.05, 0.02]) ** 2 / 12, rtol=1e-12)
    with pytest.raises(ValueError, match="two positive widths"):
        flows.normal_eigenvalue_scaling(lambda d: tube(5.0, d), [0.1], np.zeros((1, 3)), 1)


@pytest.mark.parametrize("name", PIECEWISE_LINEAR)
def test_steps_in_base_space_are_natural_steps_inside_a_region(name: str) -> None:
    """No remainder at all while the base point stays in its region."""
    flow = disturbed(PIECEWISE_LINEAR[name](), size=0.1)
    network = flows.lower(flow)
    x = flow.forward(points(20, flow.dim))[0].detach()
    z = flows.base_points(flow, x)
    after = flows.base_step(bent_score, flow, x, 1e-4)
    stayed = (network.pattern(z) == network.pattern(flows.base_points(flow, after))).all(axis=1)
    assert stayed.sum() >= 5
    remainder = after - flows.natural_step(bent_score, flow, x, 1e-4)
    assert np.abs(remainder[stayed]).max() < 1e-13


def test_steps_in_base_space_are_natural_steps_to_second_order() -> None:
    flow = disturbed(flows.realnvp(3, couplings=4, hidden=(16,), rng=np.random.default_rng(1)), 2, 0.2)
    x = flow.forward(points(20, 3))[0].detach()
    sizes = np.array([1e-3, 3e-4, 1e-4, 3e-5])
    remainders = [
        np.linalg.norm(flows.base_step(bent_score, flow, x, s) - flows.natural_step(bent_score, flow, x, s))
        for s in sizes
    ]
    slope = np.polyfit(np.log(sizes), np.log(remainders), 1)[0]
    assert slope == pytest.approx(2, abs=0.1)


def sphere(k: int, n: int) -> np.ndarray:
    x = np.random.default_rng(k).standard_normal((n, k + 1))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("method", ["mle", "two_nn"])
def test_dimensions_of_spheres(k: int, method: flows.Method) -> None:
    assert flows.intrinsic_dimension(sphere(k, 3000), method).value == pytest.approx(k, abs=0.3)


@pytest.mark.parametrize("k", [1, 2])
def test_dimensions_by_flows(k: int) -> None:
    """Of linear manifolds, whose flows are known exactly."""
    at = np.zeros((4, 3))
    gap = flows.intrinsic_dimension(at, "jacobian_gap", flows=tube(1.0, 0.01, k))
    assert gap.value == k
    several = {delta: tube(1.0, delta, k) for delta in (0.1, 0.03, 0.01)}
    assert flows.intrinsic_dimension(at, "noise_slope", flows=several).local.tolist() == [k] * 4


def test_repeated_points_count_once() -> None:
    x = sphere(2, 800)
    twice = np.concatenate([x, x])
    assert flows.intrinsic_dimension(twice).value == flows.intrinsic_dimension(x).value


def test_bad_questions_are_refused() -> None:
    flow, x = flows.nice(2), np.zeros((3, 2))
    with pytest.raises(ValueError, match="one number for each point"):
        flows.natural_step(lambda y: y, flow, x, 0.1)
    with pytest.raises(ValueError, match=r"k must lie in 1\.\.1"):
        flows.tangent_normal_split(flow, x, 2)
    with pytest.raises(ValueError, match="distinct points"):
        flows.intrinsic_dimension(np.zeros((50, 2)))
    with pytest.raises(ValueError, match="finite"):
        flows.intrinsic_dimension([[np.nan, 0.0]])
    with pytest.raises(ValueError, match="needs flows="):
        flows.intrinsic_dimension(x, "jacobian_gap")
    with pytest.raises(ValueError, match="two or more"):
        flows.intrinsic_dimension(x, "noise_slope", flows={0.1: flow})
    with pytest.raises(ValueError, match="no method"):
        flows.intrinsic_dimension(x, "pca")
    with pytest.raises(ValueError, match="at least 3"):
        flows.intrinsic_dimension(sphere(1, 50), "mle", neighbours=2)

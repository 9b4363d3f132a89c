"""Flows of a density that can be evaluated: what their samples are worth, against quadrature."""

import numpy as np
import pytest
import torch

from polytope import flows
from polytope.errors import FlowError


def quartic(x: torch.Tensor) -> torch.Tensor:
    """A density of the plane without a closed form of its integral."""
    return -(x[:, 0] ** 4 + x[:, 1] ** 2 / 2 + (x[:, 0] - x[:, 1]) ** 2 / 2)


def test_weights_give_the_integral_of_a_density() -> None:
    """Within five standard errors, by flows that fit little and well."""
    ticks = np.linspace(-6, 6, 1201)
    grid = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    wanted = np.log(float(quartic(torch.as_tensor(grid)).exp().sum()) * (ticks[1] - ticks[0]) ** 2)
    flow = flows.realnvp(2, couplings=4, hidden=(16,))
    first = flows.effective_sample_size(flow, quartic, 20_000)
    done = flows.fit_to_density(flow, quartic, steps=150, learning_rate=1e-2)
    found = flows.effective_sample_size(flow, quartic, 20_000)
    assert found.share > max(0.9, first.share)
    for size in (first, found):
        assert abs(size.log_partition - wanted) < 5 * size.error
    assert done.losses[-1] > -wanted - 0.2  # the divergence is not negative
    assert len(done.losses) == 150


def test_a_flow_is_worth_all_of_its_own_samples() -> None:
    flow = flows.nice(3, couplings=2, hidden=(4,))
    found = flows.effective_sample_size(flow, lambda x: flow.log_prob(x) + 2.5, 20_000)
    assert found.share == pytest.approx(1.0, abs=1e-9)
    assert found.log_partition == pytest.approx(2.5, abs=1e-9)
    assert found.n == 20_000


def test_halves_that_are_missed_show_in_the_share() -> None:
    """A density on one half of the plane: half of the samples weigh nothing."""
    flow = flows.Flow([flows.ActNorm(2)])
    found = flows.effective_sample_size(
        flow, lambda x: torch.where(x[:, 0] > 0, -x.square().sum(1) / 2, -torch.inf), 10_000
    )
    assert found.share == pytest.approx(0.5, abs=0.03)
    assert abs(found.log_partition - np.log(np.pi)) < 5 * found.error


def test_bad_densities_are_refused() -> None:
    flow = flows.Flow([flows.ActNorm(2)])
    with pytest.raises(ValueError, match=r"one number for each of 64 points is expected, not \[64, 2\]"):
        flows.fit_to_density(flow, lambda x: x, batch_size=64)
    with pytest.raises(ValueError, match="no number at some samples"):
        flows.effective_sample_size(flow, lambda x: x[:, 0] * torch.nan)
    with pytest.raises(ValueError, match="at least two samples"):
        flows.effective_sample_size(flow, quartic, 1)
    with pytest.raises(ValueError, match="fit_to_density: steps, batch_size and learning_rate"):
        flows.fit_to_density(flow, quartic, steps=0)
    with pytest.raises(ValueError, match=r"whole numbers, not 2\.5, 256"):
        flows.fit_to_density(flow, quartic, steps=2.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"at least two samples are needed, not 2\.5"):
        flows.effective_sample_size(flow, quartic, 2.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no gradients go through it"):  # only the entropy would grow
        flows.fit_to_density(flow, lambda x: quartic(x.detach()), steps=2)
    with pytest.raises(TypeError, match="a tensor is expected, not a ndarray"):
        flows.effective_sample_size(flow, lambda x: x.numpy()[:, 0], 20)
    with pytest.raises(TypeError, match=r"effective_sample_size: expected a flows\.Flow"):
        flows.effective_sample_size(None, quartic, 20)  # type: ignore[arg-type]
    with pytest.raises(FlowError, match="Training diverged at step 0"):
        flows.fit_to_density(flow, lambda x: x[:, 0] * torch.inf, steps=2)

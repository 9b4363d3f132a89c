"""Networks of finite width: their kernels by hand, their limit, and how far training moves them."""

import numpy as np
import pytest
import torch
from torch import nn

from polytope import infinite
from tests.infinite_cases import Residual, convolutional, dense, package_layers


def test_kernels_of_one_hidden_layer_are_those_by_hand() -> None:
    """Of f = v . relu(W x) + c: gradients by W, v and c, each times the deviation of its weights."""
    torch.manual_seed(0)
    module = dense(3, 5, 1).double()
    x = np.random.default_rng(0).standard_normal((4, 3))
    W, b = (p.detach().numpy() for p in module[0].parameters())
    v, c = (p.detach().numpy() for p in module[2].parameters())
    z = x @ W.T + b
    h, on = np.maximum(z, 0), (z > 0).astype(float)
    found = infinite.empirical_kernels(module, x, batch=3)
    f = h @ v.T + c
    np.testing.assert_allclose(found.nngp, f @ f.T, rtol=1e-12)
    through = (on * v) @ (on * v).T
    by_hand = (through * (x @ x.T) + through) / 9 + (h @ h.T + 1) / 15  # variances 1 / (3 fan_in)
    np.testing.assert_allclose(found.ntk, by_hand, rtol=1e-12)
    across = infinite.empirical_kernels(module, x[:1], x[1:])
    np.testing.assert_allclose(across.ntk, found.ntk[:1, 1:], rtol=1e-12)


@pytest.mark.parametrize("name", ["residual", "flat", "gap", *sorted(package_layers())])
def test_mean_kernels_of_draws_are_those_of_the_limit(name: str) -> None:
    """The mean NTK of 60 networks of width 32: within 4 standard errors and a relative 4 / width."""
    makes = {
        "residual": Residual(width=32),
        "flat": convolutional("flat", 32, padding=1),
        "gap": convolutional("gap", 32),
    }
    shapes = {"residual": (6,), "flat": (2, 5, 5), "gap": (2, 5, 5)}
    module, shape = (makes[name], shapes[name]) if name in makes else package_layers(32)[name]
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, *shape))
    expected = infinite.kernel(infinite.architecture(module, shape), x).ntk
    if expected.ndim == 4:
        expected = np.einsum("nmaa->nm", expected) / expected.shape[-1]
    found = [infinite.empirical_kernels(infinite.draw(module, rng), x).ntk for _ in range(60)]
    error = np.std(found, axis=0, ddof=1) / 60**0.5
    room = 4 * error + 4 / 32 * np.sqrt(np.outer(expected.diagonal(), expected.diagonal()))
    assert (np.abs(np.mean(found, axis=0) - expected) <= room).all()


def test_given_deviations_scale_draws_and_gradients() -> None:
    rng = np.random.default_rng(0)
    module = dense(4, 512, 1)
    drawn = infinite.draw(module, rng, weight_std=1.5, bias_std=0.2)
    assert float(drawn[0].weight.detach().std()) == pytest.approx(1.5 / 2, rel=0.1)
    assert float(drawn[0].bias.detach().std()) == pytest.approx(0.2, rel=0.2)
    x = np.eye(4)
    limit = infinite.kernel(infinite.architecture(module, weight_std=1.5, bias_std=0.2), x).ntk
    found = infinite.empirical_kernels(drawn, x, weight_std=1.5, bias_std=0.2).ntk
    assert np.abs(found - limit).max() <= 0.3 * limit.max()  # 1 / sqrt(512) is 0.04


def test_wider_networks_move_less_in_training() -> None:
    """The relative change of the NTK after as much training, of width 512 against 16."""

    def change(width: int) -> float:
        rng = np.random.default_rng(0)
        x, y = rng.standard_normal((8, 3)), torch.tensor(rng.standard_normal((8, 1)))
        moved = []
        for _ in range(5):
            module = infinite.draw(dense(3, width, 1), rng, weight_std=2**0.5, bias_std=0.1)
            before = infinite.empirical_kernels(module, x, weight_std=2**0.5, bias_std=0.1).ntk
            rates = (2 / 3, 0.01, 2 / width, 0.01)  # variances: the flow of the limit
            groups = [
                {"params": [p], "lr": 0.01 * rate} for p, rate in zip(module.parameters(), rates, strict=True)
            ]
            optimizer = torch.optim.SGD(groups)
            for _ in range(150):
                optimizer.zero_grad()
                nn.functional.mse_loss(module(torch.tensor(x)), y, reduction="sum").backward()
                optimizer.step()
            after = infinite.empirical_kernels(module, x, weight_std=2**0.5, bias_std=0.1).ntk
            moved.append(np.linalg.norm(after - before) / np.linalg.norm(before))
        return float(np.mean(moved))

    assert change(512) < change(16) / 2


def test_wrong_modules_and_points_are_refused() -> None:
    with pytest.raises(ValueError, match="has no weights"):
        infinite.empirical_kernels(nn.ReLU(), np.zeros((1, 2)))
    with pytest.raises(ValueError, match="not a finite number"):
        infinite.empirical_kernels(dense(2, 4, 1), np.full((1, 2), np.nan))
    with pytest.raises(ValueError, match=r"1 \(LayerNorm\) has weights, and it is not known"):
        infinite.draw(nn.Sequential(nn.Linear(2, 4), nn.LayerNorm(4)), np.random.default_rng(0))

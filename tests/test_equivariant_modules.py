"""Torch modules that are equivariant but for rounding, or not at all; and what a clock leaves."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from adapters import from_torch
from polytope import Polyhedron
from polytope.equivariant import (
    Representation,
    certify_equivariance,
    cyclic,
    image_grid,
    trivial,
)
from polytope.equivariant.symmetry.mismatch import defect_bounds
from polytope.errors import NotPiecewiseLinearError, UnsupportedOpError
from tests.networks import seeded


@pytest.fixture(params=[torch.float32, torch.float64])
def number_type(request: pytest.FixtureRequest) -> Iterator[torch.dtype]:
    """What torch makes tensors of where it is not told."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(request.param)
    yield request.param
    torch.set_default_dtype(before)


def averaged(stride: int) -> nn.Sequential:
    """A convolution whose kernels are the means of their quarter turns, each rounded once."""
    torch.manual_seed(0)
    conv = nn.Conv2d(1, 2, 3, stride=stride, padding=1)
    drawn = torch.as_tensor(np.random.default_rng(0).standard_normal(conv.weight.shape))
    turns: list[Tensor] = [torch.rot90(drawn.to(conv.weight), k, (2, 3)) for k in range(4)]
    conv.weight.data, conv.bias.data = torch.stack(turns).sum(0) / 4, torch.zeros(2)
    return nn.Sequential(conv, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2)).eval()


@pytest.mark.parametrize("stride", [1, 2])
def test_averaged_kernels_are_equivariant_but_for_rounding(number_type: torch.dtype, stride: int) -> None:
    """On odd images both strides keep the centre; a mean of four is off by one rounding or two."""
    network = from_torch(averaged(stride), torch.zeros(1, 1, 5, 5))
    for turned in image_grid(cyclic(4), 5, 5).matrices:
        ends = defect_bounds(network, turned, np.eye(2), np.array([[0.0] * 25, [1.0] * 25]))
        assert ends is not None
        assert np.abs(ends).max() <= 8 * torch.finfo(number_type).eps


def test_stride_two_on_an_even_image_is_not_equivariant(number_type: torch.dtype) -> None:
    group, module, box = cyclic(4), averaged(2), Polyhedron.box([0.0] * 16, [1.0] * 16)
    x = torch.rand(500, 1, 4, 4)
    with torch.no_grad():
        seen = max(float((module(torch.rot90(x, k, (2, 3))) - module(x)).abs().max()) for k in range(4))
    network = from_torch(module, torch.zeros(1, 1, 4, 4))
    proof = certify_equivariance(network, image_grid(group, 4, 4), trivial(group, 2), box, max_seconds=0.2)
    assert 0.03 < seen <= proof.max_error.max() + proof.rounding.max() + 8 * torch.finfo(number_type).eps
    assert 0 < proof.lower.max() <= proof.max_error.max()


@pytest.mark.filterwarnings("ignore")  # of e3nn, about torch
def test_activations_on_the_sphere_of_e3nn() -> None:
    """Whole steps of the grid are followed but for float32; half a turn about another axis is not."""
    from e3nn import nn as torch_nn
    from e3nn import o3

    torch.manual_seed(0)
    into, out = o3.Irreps("0e+1o+2e"), o3.Irreps("0e+1o")
    sphere = torch_nn.S2Activation(into, torch.relu, res=8)  # on 8 x 7 points
    module = nn.Sequential(o3.Linear(into, into), sphere, o3.Linear(sphere.irreps_out, out)).eval()
    network = from_torch(module, torch.zeros(1, 9))
    assert network.n_units == 56
    x = torch.randn(5, 9)
    np.testing.assert_allclose(network(x.double().numpy()), module(x).detach().numpy(), atol=1e-5)

    def turned(irreps: object, *angles: float) -> np.ndarray:
        return np.asarray(irreps.D_from_angles(*(torch.tensor(a, dtype=torch.float64) for a in angles)))

    box = np.array([[-1.0] * 9, [1.0] * 9])
    for angles, follows in (((2 * np.pi / 7, 0.0, 0.0), True), ((0.0, np.pi, 0.0), False)):
        matrices = turned(into, *angles), turned(out, *angles)
        ends = defect_bounds(network, *matrices, box)
        values = network(x.double().numpy() @ matrices[0].T) - network(x.double().numpy()) @ matrices[1].T
        assert (np.abs(values).max() < 1e-5) == follows
        if follows:
            assert ends is not None
            assert np.abs(values).max() <= np.abs(ends).max() < 1e-4
    gate = torch_nn.Gate("1x0e", [torch.relu], "1x0e", [torch.relu], "1x1o").eval()
    with pytest.raises(NotPiecewiseLinearError, match="product is quadratic"):
        from_torch(gate, torch.zeros(1, 5))


def test_a_budget_that_runs_out_leaves_bounds_that_hold() -> None:
    """Whatever it was enough for, no bound is infinite, and none is called the supremum."""
    net = seeded(0, 12, 24, 24, 1)
    rho = Representation(cyclic(2), np.stack([np.eye(12), np.eye(12)[::-1]]))
    box = Polyhedron.box([-1] * 12, [1] * 12)
    x = np.random.default_rng(0).uniform(-1, 1, (1000, 12))
    seen = np.abs(net(x) - net(x[:, ::-1])).max()
    for budget in ({"max_seconds": 1e-3}, {"max_seconds": 0.1}, {"max_regions": 20}):
        proof = certify_equivariance(net, rho, trivial(rho.group), box, **budget)
        assert not proof.exact
        assert seen <= proof.max_error[1] < np.inf


def test_modules_of_escnn_are_sent_to_their_export() -> None:
    """They cannot be traced as they are; what their export makes can."""

    def forward(self: nn.Module, x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("Cannot access data pointer")

    convolution = type("R2Conv", (nn.Module,), {"__module__": "escnn.nn.modules.conv", "forward": forward})
    with pytest.raises(UnsupportedOpError, match=r"pointer\. Modules of escnn are read as .* export\(\)"):
        from_torch(nn.Sequential(convolution()), torch.zeros(1, 4))
    with pytest.raises(UnsupportedOpError, match=r"pointer$"):
        from_torch(nn.Sequential(type("Own", (nn.Module,), {"forward": forward})()), torch.zeros(1, 4))

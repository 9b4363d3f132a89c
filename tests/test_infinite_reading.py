"""Architectures that are read of modules and of networks; what is refused, by name."""

import numpy as np
import pytest
import torch
from torch import nn

import adapters
import polytope as pt
from polytope import equivariant as eq
from polytope import infinite
from tests.infinite_cases import Residual, SkipOfReLU, convolutional, dense


def refused(module: nn.Module, shape: tuple[int, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        infinite.architecture(module, shape)


def test_torchs_defaults_are_read_and_said() -> None:
    """Uniform in +- 1 / sqrt(fan_in): variance 1 / (3 fan_in) of weights and biases."""
    module = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(36, 1))
    read = infinite.architecture(module, (2, 5, 5))
    said = str(read)
    assert "0 (Conv2d): weights of variance 0.3333 / fan_in, fan_in = 18, biases of variance 0.01852" in said
    assert "3 (Linear): weights of variance 0.3333 / fan_in, fan_in = 36, biases of variance 0.009259" in said
    drawn = [nn.Linear(50, 400) for _ in range(20)]
    weights = torch.stack([layer.weight for layer in drawn]).detach().double()
    assert float(weights.var()) == pytest.approx(1 / 150, rel=0.01)  # 400,000 numbers: 0.2 %


def test_empirical_variances_are_mean_squares_and_no_prior() -> None:
    torch.manual_seed(0)
    module = dense(3, 50, 1)
    read = infinite.architecture(module, weight_std="empirical", bias_std="empirical")
    first = read.steps[0].operation
    assert isinstance(first, infinite.Linear)
    assert first.variances[0] == pytest.approx(
        3 * float((module[0].weight.detach().double() ** 2).mean()), rel=1e-6
    )
    assert "not its prior" in str(read)
    fixed = infinite.architecture(module, weight_std=1.5, bias_std=0.3)
    assert "given, 1.5" in str(fixed)
    by_hand = infinite.mlp(3, 1, weight_std=1.5, bias_std=0.3)
    x = np.random.default_rng(0).standard_normal((4, 3))
    np.testing.assert_array_equal(infinite.kernel(fixed, x).ntk, infinite.kernel(by_hand, x).ntk)


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: dense(6, 8, 8, 2, between=nn.Hardtanh), (6,)),
        (lambda: convolutional("flat", padding=1), (2, 5, 5)),
        (
            lambda: nn.Sequential(
                nn.Conv2d(1, 4, 3, stride=2), nn.LeakyReLU(0.1), nn.Flatten(), nn.Linear(36, 2)
            ),
            (1, 7, 7),
        ),
        (Residual, (6,)),
        (SkipOfReLU, (6,)),
    ],
    ids=["dense", "convolution", "stride", "residual", "skip of ReLU"],
)
def test_networks_are_read_like_their_modules(make: object, shape: tuple[int, ...]) -> None:
    assert callable(make)
    torch.manual_seed(0)
    module = make().double()
    network = adapters.from_torch(module, torch.zeros(1, *shape, dtype=torch.float64))
    x = np.random.default_rng(0).standard_normal((4, *shape))
    ours, theirs = (infinite.kernel(infinite.architecture(m, shape), x) for m in (network, module))
    np.testing.assert_allclose(ours.nngp, theirs.nngp, rtol=1e-13)
    np.testing.assert_allclose(ours.ntk, theirs.ntk, rtol=1e-13)
    assert "cannot be seen" in str(infinite.architecture(network))


def test_networks_with_what_was_folded_are_refused_by_name() -> None:
    pooled = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(4, 4, 2))
    network = adapters.from_torch(pooled, torch.zeros(1, 1, 6, 6))
    with pytest.raises(
        ValueError, match=r"Layer 2 holds a Composition, .* read the architecture from its torch module"
    ):
        infinite.architecture(network)
    assert infinite.architecture(pooled, (1, 6, 6)).sites[-1] == 1
    maxima = nn.Sequential(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 2))
    with pytest.raises(ValueError, match=r"Layer 1 takes maxima \(MaxGroups\)"):
        infinite.architecture(adapters.from_torch(maxima, torch.zeros(1, 1, 6, 6)))
    tied = eq.lower(eq.DeepSets(2, (4,), 1), (3, 2))
    with pytest.raises(ValueError, match="its weights are shared, pruned or rounded"):
        infinite.architecture(tied)
    with pytest.raises(TypeError, match="a torch module or a polytope Network"):
        infinite.architecture("model.onnx")  # type: ignore[arg-type]
    network = pt.mlp([(np.random.default_rng(0).standard_normal((3, 2)), np.zeros(3))])
    with pytest.raises(ValueError, match="reads inputs of shape"):
        infinite.architecture(network, (3,))


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (nn.Sigmoid(), r"1 \(Sigmoid\) is not piecewise linear"),
        (nn.Tanh(), r"1 \(Tanh\) is not piecewise linear"),
        (nn.GELU(), r"1 \(GELU\) is not piecewise linear"),
        (nn.Softmax(1), r"1 \(Softmax\) is not piecewise linear"),
        (nn.LayerNorm(8), r"1 \(LayerNorm\) normalises"),
        (nn.BatchNorm1d(8), r"1 \(BatchNorm1d\) normalises"),
        (nn.Hardshrink(), r"1 \(Hardshrink\) jumps"),
        (nn.PReLU(), r"1 \(PReLU\): its slopes are trained"),
        (nn.LazyLinear(8), r"1 \(LazyLinear\) has no width yet"),
        (nn.Bilinear(8, 8, 8), "joins several|Bilinear|cannot be traced"),
        (nn.Hardswish(), r"1 \(Hardswish\) is not known"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_what_has_no_closed_form_is_refused_by_name(layer: nn.Module, said: str) -> None:
    refused(nn.Sequential(nn.Linear(4, 8), layer, nn.Linear(8, 1)), (4,), said)


def test_layers_on_images_that_have_no_limit_are_refused_by_name() -> None:
    shape = (2, 6, 6)
    first = nn.Conv2d(2, 4, 3)
    refused(nn.Sequential(first, nn.MaxPool2d(2)), shape, r"1 \(MaxPool2d\) takes a maximum over sites")
    refused(nn.Sequential(nn.Conv2d(2, 4, 3, groups=2)), shape, "has 2 groups")
    refused(
        nn.Sequential(first, nn.Linear(4, 3)), shape, r"1 \(Linear\) reads channels on an axis that has sites"
    )
    refused(nn.Sequential(first, nn.Flatten(), nn.Linear(5, 3)), shape, r"2 \(Linear\) reads 5 channels")
    refused(nn.Sequential(nn.Flatten(), nn.ReLU()), shape, "The module has no weights")
    with pytest.raises(ValueError, match="input_shape= is needed"):
        infinite.architecture(first)
    group = eq.cyclic(4)
    largest = nn.Sequential(eq.LiftingConv2d(group, 2, 4, 3), eq.GroupPool(group, "max"))
    refused(largest, shape, r"1 \(GroupPool\) is not known")


class Twice(nn.Module):
    """One layer called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Its value."""
        return self.inner(torch.relu(self.inner(x)))


class Branching(nn.Module):
    """What it does depends on its input."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Its value."""
        return self.inner(x) if x.sum() > 0 else x


class SkipOfInput(nn.Module):
    """The input is added to values with a mean."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Its value."""
        return x + torch.relu(self.inner(x))


class OwnWeights(nn.Module):
    """A layer that does not say how its weights are shared."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Its value."""
        return self.scale * x


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (Twice(), "called twice"),
        (Branching(), "cannot be traced"),
        (SkipOfInput(), "adds the input to values with a mean"),
        (OwnWeights(), "not known how they are shared"),
    ],
    ids=["twice", "branching", "skip of input", "own weights"],
)
def test_modules_without_a_limit_are_refused(module: nn.Module, said: str) -> None:
    refused(module, (4,), said)


@pytest.mark.parametrize("value", ["he", -1.0, float("nan"), float("inf")])
def test_wrong_deviations_are_refused(value: float | str) -> None:
    with pytest.raises(ValueError, match="weight_std must be"):
        infinite.architecture(nn.Linear(2, 2), weight_std=value)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="bias_std must be"):
        infinite.architecture(nn.Linear(2, 2), bias_std=value)  # type: ignore[arg-type]


def test_reading_leaves_the_module_as_it_was() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.ReLU(), nn.Linear(4, 1))
    before = [p.clone() for p in module.parameters()]
    infinite.architecture(module)
    assert module.training
    assert all(torch.equal(p, q) for p, q in zip(before, module.parameters(), strict=True))

"""Arguments of ``polytope.infinite`` that cannot be meant end in a sentence; what would be read wrongly."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from polytope import equivariant as eq
from polytope import infinite

NET = infinite.mlp(2, 1, bias_std=0.1, width=4)
X = np.array([[1.0, 0.5], [-1.0, 2.0]])
KERNELS = infinite.kernel(NET, X)
CONVOLUTION = infinite.architecture(nn.Conv2d(3, 1, 2), (3, 4, 4))
LINEAR = nn.Linear(2, 2)

WRONG: dict[str, tuple[Callable[..., object], tuple[Any, ...], dict[str, Any], type[Exception], str]] = {
    "complex points": (infinite.kernel, (NET, X + 0j), {}, TypeError, "x: an array of real numbers"),
    "complex tensor": (infinite.kernel, (NET, torch.ones(1, 2) + 0j), {}, TypeError, "x: real numbers"),
    "text": (infinite.kernel, (NET, "points"), {}, TypeError, "x: an array of real numbers.*'points'"),
    "ragged": (infinite.kernel, (NET, [[1, 2], [3]]), {}, TypeError, "x: an array of real numbers"),
    "another layout": (
        infinite.kernel,
        (CONVOLUTION, np.zeros((1, 4, 4, 3))),
        {},
        ValueError,
        r"expected points of shape \[B, 3, 4, 4\]",
    ),
    "overflow": (infinite.kernel, (NET, 1e200 * X), {}, ValueError, "beyond those of float64"),
    "half a point": (infinite.kernel, (NET, X), {"batch": 1.5}, TypeError, "batch: a whole number"),
    "no device": (infinite.kernel, (NET, X), {"device": "gpu"}, ValueError, "device: 'gpu' is no device"),
    "a module": (infinite.kernel, (nn.ReLU(), X), {}, TypeError, "kernel: an Architecture is.*a ReLU"),
    "text for a shape": (infinite.architecture, (LINEAR, "2"), {}, TypeError, "input_shape: a shape such as"),
    "an empty shape": (infinite.architecture, (LINEAR, ()), {}, ValueError, "axes of at least one"),
    "no deviation": (
        infinite.architecture,
        (LINEAR,),
        {"weight_std": None},
        TypeError,
        "weight_std .* a number is expected",
    ),
    "endless square": (
        infinite.architecture,
        (LINEAR,),
        {"weight_std": 1e200},
        ValueError,
        "weight_std must be .* finite square",
    ),
    "no weights yet": (
        infinite.architecture,
        (nn.Linear(2, 2, device="meta"),),
        {},
        ValueError,
        "on the device meta",
    ),
    "no activation": (infinite.mlp, (2, 1, "relu"), {}, TypeError, "Step 2 is no operation but 'relu'"),
    "half a layer": (infinite.mlp, (2, 1.5), {}, TypeError, "depth: a whole number"),
    "no units": (infinite.mlp, (2, 1), {"width": 0}, ValueError, "width must be at least 1"),
    "no breakpoints": (infinite.piecewise, (None, [1.0]), {}, TypeError, "breakpoints: an array"),
    "text for a slope": (infinite.leaky_relu, ("a",), {}, TypeError, "Bend: lists of numbers"),
    "arrays for kernels": (
        infinite.ensemble,
        (KERNELS.ntk, KERNELS, KERNELS, [1, 2]),
        {},
        TypeError,
        "Kernels are expected",
    ),
    "endless kernels": (infinite.Kernels, (np.full((2, 2), np.nan), np.eye(2)), {}, ValueError, "not finite"),
    "text for a time": (
        infinite.ensemble,
        (KERNELS, KERNELS, KERNELS, [1, 2], "end"),
        {},
        TypeError,
        "t: a number is expected, not 'end'",
    ),
    "kernels with others": (
        infinite.ensemble,
        (infinite.kernel(NET, X, X + 1), KERNELS, KERNELS, [1, 2]),
        {},
        ValueError,
        "train: kernels of points with themselves are symmetric",
    ),
    "text for images": (infinite.orbit, ("a", eq.rotation2d(eq.cyclic(4))), {}, TypeError, "x: an array"),
    "one number": (infinite.orbit, (1.0, eq.rotation2d(eq.cyclic(4))), {}, ValueError, "x: finite points"),
    "no generator": (infinite.draw, (LINEAR, 0), {}, TypeError, "rng: np.random.default_rng"),
    "no module": (infinite.empirical_kernels, (NET, X), {}, TypeError, "A torch module is expected"),
    "longer points": (
        infinite.empirical_kernels,
        (LINEAR, np.zeros((1, 3))),
        {},
        ValueError,
        r"x: Linear does not read points of shape \[1, 3\]",
    ),
    "ends that differ": (infinite.expected_crossings, (NET, [1, 2], [1]), {}, ValueError, "1 and 2 coord"),
    "one direction": (
        infinite.expected_crossing_length,
        (NET, [0, 0], [1, 0], (0, 0), (1, 1)),
        {},
        ValueError,
        "directions: two of 2 coordinates",
    ),
    "an endless window": (
        infinite.expected_crossing_length,
        (NET, [0, 0], np.eye(2), (0, 0), (1, np.inf)),
        {},
        ValueError,
        "The window from",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_end_in_a_sentence(name: str) -> None:
    call, given, options, error, said = WRONG[name]
    with pytest.raises(error, match=said):
        call(*given, **options)


class Between(nn.Module):
    """Something between two linear layers."""

    def __init__(self, between: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(3, 4), nn.Linear(4, 1)
        self.between = between

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[B, 3]`` to ``[B, 1]``."""
        return self.last(self.between(self.first(x)))


class Block(nn.Module):
    """A residual block with its activation behind the sum."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """``[B, 4]`` to ``[B, 4]``."""
        h = torch.relu(h)
        return torch.relu(h + self.inner(h))


@pytest.mark.parametrize(
    ("between", "said"),
    [
        (torch.floor, "floor .* is not known"),
        (torch.round, "round .* is not known"),
        (nn.functional.rrelu, "rrelu .* is not known"),
        (lambda h: torch.add(h, torch.relu(h), alpha=3), "add joins several values"),
        (lambda h: nn.functional.relu6(torch.relu(h)), r"relu6 \(relu6\): .* not Gaussian"),
        (Block(), r"relu \(relu\): .* not Gaussian"),
        (lambda h: h.view(h.size(0), h.size(1)), "only the number of points"),
    ],
    ids=["floor", "round", "random slopes", "scaled sum", "twice bent", "behind a sum", "sizes"],
)
def test_what_would_be_read_wrongly_is_refused(
    between: Callable[[torch.Tensor], torch.Tensor], said: str
) -> None:
    """Rounding was taken for a reshape, and values that are not Gaussian for Gaussian ones."""
    with pytest.raises(ValueError, match=said):
        infinite.architecture(Between(between), 3)


class InPlace(nn.Module):
    """A value that is changed in place and read again, or weights of two layers that are one."""

    def __init__(self, tied: bool) -> None:
        super().__init__()
        self.first, self.inner, self.last = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 1)
        self.tied = tied
        if tied:
            self.inner.weight = self.first.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[B, 3]`` to ``[B, 1]``."""
        h = self.first(x)
        bent = torch.relu(h) if self.tied else torch.relu_(h)
        return self.last(bent + self.inner(h))


def test_values_that_change_and_weights_of_two_layers_are_refused() -> None:
    with pytest.raises(ValueError, match="changes a value in place in 'relu_' and reads it again"):
        infinite.architecture(InPlace(tied=False), 3)
    with pytest.raises(ValueError, match=r"inner \(Linear\) is called twice, or has weights of another"):
        infinite.architecture(InPlace(tied=True), 3)


def test_multiples_of_a_point_without_biases_are_singular() -> None:
    """Their tangent kernel is singular but for rounding errors of 1e-8, which were inverted."""
    x = np.random.default_rng(0).standard_normal((5, 3))
    own = infinite.kernel(infinite.mlp(3, 1), np.vstack([x, 2 * x[:1]]))
    with pytest.raises(ValueError, match=r"singular .*multiples of each other .*ridge="):
        infinite.ensemble(own, own, own, np.arange(6.0))
    near = infinite.kernel(infinite.mlp(3, 2, bias_std=0.3), np.vstack([x, x[:1] + 1e-5]))
    np.testing.assert_allclose(
        infinite.ensemble(near, near, near, np.arange(6.0)).mean[:, 0], np.arange(6.0), atol=1e-7
    )


def test_averages_of_no_points_and_of_images() -> None:
    rho, net = eq.image_grid(eq.cyclic(4), 3, 3), infinite.mlp(9, 1)
    x = np.random.default_rng(0).standard_normal((2, 3, 3))
    assert infinite.group_average(net, rho, x[:0]).ntk.shape == (0, 0)
    flat = infinite.group_average(net, rho, x.reshape(2, 9)).ntk
    np.testing.assert_array_equal(infinite.group_average(net, rho, x).ntk, flat)


def test_activations_in_front_of_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="Step 1 is an activation of values that are not Gaussian"):
        infinite.chain([infinite.relu(), infinite.dense()], (2,))


@pytest.mark.parametrize(
    ("between", "bend"),
    [
        (lambda h: h.clamp(min=0), infinite.relu()),
        (lambda h: torch.clamp(h, -1, 1), infinite.hard_tanh()),
        (lambda h: h.clip(max=0.5), infinite.piecewise([0.5], [1.0, 0.0])),
        (lambda h: torch.clamp_min(h, 0.5), infinite.Bend((0.5,), (0.0, 1.0), 0.5)),
        (lambda h: torch.relu(h).view(h.size(0), -1), infinite.relu()),
        (lambda h: torch.relu(h).reshape(h.shape[0], 4), infinite.relu()),
    ],
    ids=["one end", "both ends", "upper end", "clamp_min", "view", "reshape"],
)
def test_clamps_and_reshapes_are_read(
    between: Callable[[torch.Tensor], torch.Tensor], bend: infinite.Bend
) -> None:
    x = np.random.default_rng(0).standard_normal((4, 3))
    read = infinite.architecture(Between(between), 3, weight_std=1.5, bias_std=0.3)
    by_hand = infinite.mlp(3, 1, bend, weight_std=1.5, bias_std=0.3)
    np.testing.assert_allclose(infinite.kernel(read, x).ntk, infinite.kernel(by_hand, x).ntk, rtol=1e-14)


class ChannelsLast(nn.Module):
    """A dense layer on the channels of every site."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(2, 4, 2), nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[B, 2, H, W]`` to ``[B, H - 1, W - 1, 1]``."""
        out: torch.Tensor = self.last(torch.relu(self.first(x)).permute(0, 2, 3, 1))
        return out


def test_channels_may_move_to_another_axis() -> None:
    """A dense layer on channels is a convolution of one pixel."""
    x = np.random.default_rng(0).standard_normal((2, 2, 3, 3))
    same = nn.Sequential(nn.Conv2d(2, 4, 2), nn.ReLU(), nn.Conv2d(4, 1, 1))
    found, expected = (
        infinite.kernel(infinite.architecture(m, (2, 3, 3)), x) for m in (ChannelsLast(), same)
    )
    np.testing.assert_allclose(found.ntk, expected.ntk, rtol=1e-14)
    with pytest.raises(ValueError, match=r"2 \(PixelShuffle\) is not known"):
        infinite.architecture(nn.Sequential(nn.Conv2d(1, 4, 1), nn.ReLU(), nn.PixelShuffle(2)), (1, 2, 2))


@pytest.mark.parametrize("bias_std", [0.0, 1e-3])
def test_lines_through_the_middle_of_a_square_have_the_mean_chord(bias_std: float) -> None:
    """Without biases 10 lines through 0, of mean length 8 / pi ln(1 + sqrt 2) in [-1, 1]^2."""
    net = infinite.mlp(2, 1, bias_std=bias_std, width=10)
    found = infinite.expected_crossing_length(net, [0.0, 0.0], np.eye(2), (-1, -1), (1, 1))
    expected = 10 * 8 / np.pi * np.log(1 + 2**0.5)
    assert found.total.value == pytest.approx(expected, rel=1e-5 if bias_std else 1e-6)

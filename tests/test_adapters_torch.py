"""PyTorch modules of every usual shape give networks that equal them."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from adapters import from_torch
from adapters.lowering import tracing
from adapters.lowering.published import TESTED_ATEN
from adapters.lowering.registry import rule_for
from polytope.errors import ImportMismatchError, LoadError, NotPiecewiseLinearError, UnsupportedOpError


class Function(nn.Module):
    """A module around one function and its parts."""

    def __init__(self, function: Callable, *parts: nn.Module) -> None:
        super().__init__()
        self.function = function
        self.parts = nn.ModuleList(parts)

    def forward(self, *x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        return self.function(*x, *self.parts)


class BasicBlock(nn.Module):
    """The residual block that torchvision's ResNet-18 is made of."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.downsample = None
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        return self.relu(out)


def resnet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 7, 2, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, 1),
        BasicBlock(4, 4, 1),
        BasicBlock(4, 8, 2),
        nn.AdaptiveAvgPool2d((1, 1)),
        nn.Flatten(),
        nn.Linear(8, 5),
    )


def dense_block() -> nn.Module:
    def forward(x, a, b):
        h = torch.cat([x, F.relu(a(x))], 1)
        return torch.cat([h, F.leaky_relu(b(h), 0.2)], dim=1)

    return Function(forward, nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(5, 2, 1))


def in_place() -> nn.Module:
    def forward(x, a):
        h = a(x)
        F.relu_(h)
        h *= 2
        return h + x

    return Function(forward, nn.Linear(3, 3))


def preactivation(depth: int) -> nn.Module:
    def forward(x, *parts):
        for part in parts:
            x = x + part(F.relu(x))
        return x

    return Function(forward, *(nn.Linear(4, 4) for _ in range(depth)))


def seq(*parts: nn.Module) -> nn.Module:
    return nn.Sequential(*parts)


def lin(n: int, m: int) -> nn.Module:
    return nn.Linear(n, m)


def mean_parts(x: torch.Tensor) -> torch.Tensor:
    return torch.cat([p.mean(1) for p in x.split([1, 3], 1)] + list(x.unbind(2)), 1)


def crossed_slices(x: torch.Tensor) -> torch.Tensor:
    return torch.stack([x[:, 1:, ::2], x[:, :-1, 1::2]], 1).permute(0, 3, 1, 2)


def total(x: torch.Tensor) -> torch.Tensor:
    return x.sum(1, keepdim=True)


def affine_constants(x: torch.Tensor) -> torch.Tensor:
    return (x - 0.5) / 0.25 * torch.arange(3.0) + torch.ones(1, 3) - 2 * (1 - x)


def count(*shape: int) -> torch.Tensor:
    return torch.arange(float(np.prod(shape)), dtype=torch.float64).reshape(shape)


PLACES = torch.tensor([2, 0, 1])


def spread(x: torch.Tensor) -> torch.Tensor:
    return torch.zeros(1, 5, dtype=x.dtype).scatter(1, PLACES[None], x.gather(1, PLACES[None]))


def assigned(x: torch.Tensor) -> torch.Tensor:
    y = torch.zeros(1, 5, dtype=x.dtype)
    y[:, 1:4] = x
    return y


def antialiased(x: torch.Tensor, mode: str) -> torch.Tensor:
    return F.interpolate(x, (3, 13), mode=mode, antialias=True)


def warp() -> torch.Tensor:
    turn = torch.tensor([[[0.8, 0.2, 0.1], [-0.3, 0.9, 0.35]]], dtype=torch.float64)
    return F.affine_grid(turn, (1, 2, 5, 4), align_corners=False)


def recurrent(**options) -> nn.Module:
    def forward(x, a):
        states, last = a(x)
        return torch.cat([states.flatten(1), last.transpose(0, 1).flatten(1)], 1)

    return Function(forward, nn.RNN(3, 2, nonlinearity="relu", batch_first=True, **options))


def fn(function: Callable, *parts: nn.Module) -> Callable[[], nn.Module]:
    return lambda: Function(function, *parts)


# name: module, shape of one input without the batch axis
MODULES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "mlp": (lambda: seq(lin(3, 8), nn.ReLU(), nn.Dropout(0.3), lin(8, 2)), (3,)),
    "functional": (fn(lambda x, a, b: b(F.relu(a(x))), lin(3, 6), lin(6, 2)), (3,)),
    "resnet": (resnet, (3, 16, 16)),
    "dense block": (dense_block, (2, 5, 4)),
    "in place": (in_place, (3,)),
    "pre-activation residuals": (lambda: preactivation(12), (4,)),
    "batch norm 1d": (lambda: seq(lin(3, 4), nn.BatchNorm1d(4), nn.ReLU()), (3,)),
    "prelu": (lambda: seq(nn.Conv2d(1, 3, 3), nn.PReLU(3)), (1, 6, 6)),
    "hardtanh relu6": (lambda: seq(lin(3, 9), nn.Hardtanh(-0.5, 2), nn.ReLU6()), (3,)),
    "hardsigmoid": (lambda: seq(lin(3, 9), nn.Hardsigmoid()), (3,)),
    "softshrink": (lambda: seq(lin(3, 9), nn.Softshrink(0.3)), (3,)),
    "abs clamp": (fn(lambda x, a: a(x).abs().clamp(min=0.1, max=0.7), lin(3, 9)), (3,)),
    "max of branches": (fn(lambda x, a, b: torch.maximum(a(x), b(x)), lin(3, 4), lin(3, 4)), (3,)),
    "maxout": (fn(lambda x, a: a(x).view(-1, 4, 3).max(dim=2)[0], lin(3, 12)), (3,)),
    "amax amin": (fn(lambda x: x.amax((1, 2)) - x.amin(dim=(1, 2))), (12, 9)),
    "avg pool": (lambda: nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False), (2, 7, 6)),
    "avg pool, padding counts": (lambda: nn.AvgPool2d((3, 2), (2, 1), 1, ceil_mode=True), (2, 7, 6)),
    "max pool": (lambda: nn.MaxPool2d(3, 2, 1, dilation=2, ceil_mode=True), (2, 11, 9)),
    "adaptive pools": (lambda: seq(nn.AdaptiveAvgPool2d((3, 5)), nn.AdaptiveMaxPool2d((2, 3))), (2, 7, 8)),
    "conv 1d": (lambda: seq(nn.Conv1d(2, 4, 3, 2, 1, 2, 2), nn.ReLU(), nn.MaxPool1d(2)), (2, 17)),
    "transposed": (lambda: seq(nn.ConvTranspose2d(3, 6, 3, 2, 1, 1, groups=3), nn.ReLU()), (3, 4, 5)),
    "grouped same": (lambda: nn.Conv2d(4, 8, (3, 4), padding="same", groups=2, dilation=2), (4, 9, 9)),
    "conv 3d": (lambda: nn.Conv3d(1, 2, (2, 3, 2)), (1, 4, 5, 3)),
    "upsample": (lambda: seq(nn.Upsample(scale_factor=2), nn.Upsample((7, 9), mode="bilinear")), (1, 3, 4)),
    "pads": (
        lambda: seq(nn.ZeroPad2d((1, 2, 0, 1)), nn.ReflectionPad2d(1), nn.ReplicationPad2d(1)),
        (1, 4, 4),
    ),
    "pixel shuffle": (lambda: seq(nn.PixelShuffle(2), nn.PixelUnshuffle(4)), (8, 4, 6)),
    "slices": (fn(crossed_slices), (4, 6)),
    "splits": (fn(mean_parts), (4, 3)),
    "token mixing": (fn(lambda x, a, b: a(b(F.relu(a(x))).mT), lin(5, 5), lin(5, 5)), (5, 5)),
    "constants": (fn(affine_constants), (3,)),
    "sum of axes": (fn(lambda x: x.sum((1, 2), keepdim=True) + x.mean(-1, keepdim=True) - x), (4, 3)),
    "minus infinity pads a pool": (
        fn(lambda x: F.max_pool2d(F.pad(x, (0, 1), value=-torch.inf), 2)),
        (1, 4, 5),
    ),
    "masked maximum": (fn(lambda x: x.masked_fill(torch.arange(4) >= 2, -torch.inf).amax(1)), (4,)),
    "where": (fn(lambda x, a: torch.where(a(x) > 0, a(x), 0.1 * a(x)), lin(3, 5)), (3,)),
    "mask": (fn(lambda x, a: a(x) * (a(x) > 0) - total(x) * (total(x) <= 0), lin(3, 5)), (3,)),
    "expand": (fn(lambda x: x.unsqueeze(1).expand(-1, 4, -1).reshape(-1, 12).repeat(1, 2)), (3,)),
    "matmul from the left": (fn(lambda x: torch.matmul(count(3, 4), F.relu(x))), (4, 5)),
    "bmm": (fn(lambda x: torch.matmul(F.relu(x), count(2, 4, 3))), (2, 5, 4)),
    "flip": (fn(lambda x: x.flip(1, 2)), (3, 4)),
    "rot90": (fn(lambda x: torch.rot90(x, 1, (1, 2))), (3, 4)),
    "roll": (fn(lambda x: torch.roll(x, (1, -1), (1, 2))), (3, 4)),
    "circular pad": (fn(lambda x: F.pad(x, (1, 2, 0, 3), "circular")), (1, 4, 4)),
    "unfold": (lambda: nn.Unfold((2, 3), dilation=2, padding=1, stride=2), (2, 7, 6)),
    "fold": (lambda: nn.Fold((5, 6), (2, 3), dilation=(1, 2), padding=1, stride=(2, 1)), (12, 12)),
    "windows": (fn(lambda x: x.unfold(2, 3, 2)), (2, 9)),
    "running sum": (fn(lambda x: x.cumsum(1) - x.cumsum(-1)), (3, 4)),
    "chosen entries": (fn(lambda x: x[:, PLACES, PLACES] + x[:, PLACES > 0, 1].sum(1, True)), (3, 3)),
    "gather and scatter": (fn(spread), (3,)),
    "assigned": (fn(assigned), (3,)),
    "triangles": (fn(lambda x: x.tril() - x.triu(1) + x.diagonal(0, 1, 2)[:, None]), (3, 3)),
    "repeated": (fn(lambda x: x.repeat_interleave(3, 1)), (3,)),
    "weight norm": (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)), (3,)),
    "spectral norm": (lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(3, 4)), (3,)),
    "orthogonal": (lambda: nn.utils.parametrizations.orthogonal(nn.Linear(3, 3)), (3,)),
    "functions of weights": (fn(lambda x, a: x @ a.weight.exp() + a.bias.softmax(0) ** 2, lin(3, 3)), (3,)),
    "instance norm": (lambda: nn.InstanceNorm2d(2, affine=True, track_running_stats=True), (2, 3, 3)),
    "bicubic": (lambda: nn.Upsample(scale_factor=2.5, mode="bicubic"), (1, 3, 4)),
    "bicubic, corners": (lambda: nn.Upsample((5, 13), mode="bicubic", align_corners=True), (1, 7, 9)),
    "antialiased": (fn(lambda x: antialiased(x, "bicubic") + antialiased(x, "bilinear")), (1, 7, 9)),
    "nearest exact": (lambda: nn.Upsample((5, 13), mode="nearest-exact"), (1, 7, 9)),
    "largest values": (fn(lambda x: x.topk(2, 1).values - x.topk(2, 1, largest=False).values), (7,)),
    "sorted": (
        fn(lambda x: x.sort(1, descending=True)[0] + x.transpose(0, 1).msort().transpose(0, 1)[:, :1]),
        (6, 2),
    ),
    "medians": (fn(lambda x: x.median(1)[0] + x.kthvalue(2, -1, keepdim=True)[0][:, 0]), (3, 5)),
    "bounds from the input": (fn(lambda x: x.clamp(x.mean(1, keepdim=True), x[:, :1])), (4,)),
    "norms": (
        fn(lambda x: x.norm(1, dim=1)[:, :3] + x.norm(torch.inf, dim=(1, 2), keepdim=True)[:, 0]),
        (3, 4),
    ),
    "recurrent": (lambda: recurrent(bidirectional=True, num_layers=2), (4, 3)),
    "recurrent, without bias": (lambda: recurrent(bias=False), (4, 3)),
    "recurrent cell": (fn(lambda x, a: a(x, x.abs()), nn.RNNCell(3, 3, nonlinearity="relu")), (3,)),
    "small activations": (fn(lambda x: F.threshold(-F.relu6(x), -1.0, -1.0).index_select(1, PLACES)), (3,)),
    "layouts": (lambda: seq(nn.RReLU(), nn.Unflatten(1, (2, 1, 3)), Function(lambda x: x.squeeze(2))), (6,)),
    "sum over axes": (fn(lambda x: torch.tensordot(x, count(4, 3, 2), ([-1, 1], [0, 1]))), (3, 4)),
    "sum of products": (fn(lambda x: torch.einsum("bij,jkl,k->bil", x, count(4, 3, 2), count(3))), (2, 4)),
    "warped": (fn(lambda x: F.grid_sample(x, warp(), mode="bicubic", align_corners=False)), (2, 6, 7)),
    "warped, nearest": (fn(lambda x: F.grid_sample(x, warp(), "nearest", "reflection", True)), (2, 6, 7)),
}


def randomised(module: nn.Module) -> nn.Module:
    """Batch statistics that are not the initial ones."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d | nn.InstanceNorm2d):
            part.running_mean.uniform_(-1, 1)
            part.running_var.uniform_(0.5, 2)
    return module


@pytest.mark.parametrize(("make", "shape"), MODULES.values(), ids=MODULES)
def test_a_module_equals_its_network(make: Callable[[], nn.Module], shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    module = randomised(make()).double()
    network = from_torch(module, torch.zeros(1, *shape, dtype=torch.float64))
    assert network.input_shape == shape
    assert network.dtype == "float64"
    x = torch.randn(4, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = torch.stack([module.eval()(row[None]).flatten() for row in x]).numpy()
    np.testing.assert_allclose(network(x.flatten(1).numpy()), expected, atol=1e-9)  # double precision


def test_a_module_keeps_its_mode_and_a_batch_of_examples_will_do() -> None:
    module = resnet().train()
    network = from_torch(module, torch.zeros(7, 3, 16, 16))
    assert module.training
    assert module[4].bn1.training
    assert (network.input_shape, network.output_dim) == ((3, 16, 16), 5)


def test_several_inputs_become_one_with_named_parts() -> None:
    module = Function(lambda x, y, a: a(torch.cat([x, y], 1)).relu(), nn.Linear(5, 4))
    network = from_torch(module, (torch.zeros(1, 2), torch.zeros(1, 3)))
    assert [shape for _, shape in network.input_parts] == [(2,), (3,)]
    x = torch.randn(1, 5)
    expected = module(x[:, :2], x[:, 2:]).detach().numpy()
    np.testing.assert_allclose(network(x.double().numpy()), expected, atol=1e-6)  # single precision


def test_deep_residual_networks_stay_linear_in_depth() -> None:
    network = from_torch(preactivation(60), torch.zeros(1, 4))
    assert sum(len(layer.maps) for layer in network.layers) <= 3 * len(network.layers)


@pytest.mark.parametrize(
    ("function", "kind", "words"),
    [
        (lambda x: x * x, NotPiecewiseLinearError, "quadratic"),
        (lambda x: x / (1 + x.abs()), NotPiecewiseLinearError, "divisor"),
        (lambda x: torch.tanh(x).relu() @ torch.ones(3, 2), NotPiecewiseLinearError, "tanh"),
        (lambda x: x.topk(2).indices, NotPiecewiseLinearError, "places of extreme values"),
        (lambda x: x[:, x.argsort(1)[0]], NotPiecewiseLinearError, "discontinuous"),
        (lambda x: F.instance_norm(x[:, None]), NotPiecewiseLinearError, "spread of its own input"),
        (lambda x: x.norm(dim=1), NotPiecewiseLinearError, "not piecewise linear"),
        (lambda x: torch.sign(x), NotPiecewiseLinearError, "discontinuous"),
        (lambda x: torch.where(x > 0, x + 1, x), NotPiecewiseLinearError, "jumps"),
        (lambda x: torch.fft.rfft(x).real, UnsupportedOpError, "is not supported"),
        (lambda x: x.relu() if x.sum() > 0 else x, UnsupportedOpError, "torch.export"),
    ],
)
def test_what_is_not_piecewise_linear_is_refused(
    function: Callable, kind: type[LoadError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        from_torch(Function(function), torch.zeros(1, 3))


def test_a_smooth_head_is_named_and_can_be_cut() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2), nn.Softmax(dim=1))
    with pytest.raises(NotPiecewiseLinearError, match=r"until='linear_1'"):
        from_torch(module, torch.zeros(1, 3))
    network = from_torch(module, torch.zeros(1, 3), until="linear_1")
    x = torch.randn(5, 3)
    np.testing.assert_allclose(network(x.numpy()), module[:3](x).detach().numpy(), atol=1e-6)


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_recurrent_layers_with_smooth_activations_are_refused(kind: type[nn.Module]) -> None:
    module = Function(lambda x, a: a(x)[0], kind(3, 2, batch_first=True))
    with pytest.raises(NotPiecewiseLinearError, match="not piecewise linear"):
        from_torch(module, torch.zeros(1, 4, 3))


def test_the_two_largest_of_four_take_few_comparisons() -> None:
    assert from_torch(Function(lambda x: x.topk(2, 1).values), torch.zeros(1, 4)).n_units == 5


@pytest.mark.parametrize(
    "function",
    [
        lambda x: (x - x.mean(0, keepdim=True)).relu(),
        lambda x: x.relu() + torch.cat([x[2:], x[:2]]),  # in a batch of two nothing but itself
        lambda x: x.amax(),
        lambda x: x.relu() * len(x),
        lambda x, y: x.relu() + torch.cat([y[1:], y[:1]]),
    ],
    ids=["mean of the batch", "third next sample", "one number for all", "size of the batch", "second input"],
)
@pytest.mark.parametrize("samples", [1, 4])
@pytest.mark.filterwarnings("ignore:The output does not depend on the input")
def test_a_module_that_mixes_samples_is_refused(function: Callable, samples: int) -> None:
    example = tuple(torch.zeros(samples, 3) for _ in range(function.__code__.co_argcount))
    with pytest.raises(ImportMismatchError, match="mixes the samples"):
        from_torch(Function(function), example)


def test_a_single_axis_is_one_sample() -> None:
    network = from_torch(Function(lambda x: x.median() + x.msort()[:2]), torch.zeros(5))
    x = torch.randn(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    expected = torch.stack([row.median() + row.msort()[:2] for row in x]).numpy()
    np.testing.assert_allclose(network(x.numpy()), expected, atol=1e-12)


def test_what_is_no_mixing_is_not_refused() -> None:
    first = Function(lambda x: x[:1].relu())  # written for one sample: the others are not looked at
    assert from_torch(first, torch.zeros(1, 3)).n_units == 3
    fixed = Function(lambda x: x.view(1, -1) @ torch.ones(6, 2))  # takes one sample and no more
    assert from_torch(fixed, torch.zeros(1, 2, 3)).output_dim == 2
    anchors = Function(lambda x: (x.relu(), torch.arange(5.0)))  # one of its outputs is for all samples
    assert from_torch(anchors, torch.zeros(1, 3)).output_dim == 8
    scaled = Function(lambda x, y, a: a(x) + y, nn.Linear(3, 2))  # the second input has no batch axis
    assert from_torch(scaled, (torch.zeros(1, 3), torch.zeros(2))).input_dim == 5


def test_a_cut_of_a_module_is_compared_in_batches_too() -> None:
    module = Function(lambda x, a: a(x - x.mean(0, keepdim=True)).softmax(1), nn.Linear(3, 2))
    with pytest.raises(ImportMismatchError, match="mixes the samples"):
        from_torch(module, torch.zeros(1, 3), until="linear")
    behind = Function(lambda x, a: a(x).relu().softmax(0), nn.Linear(3, 2))
    assert from_torch(behind, torch.zeros(1, 3), until="relu").n_units == 2


@pytest.mark.slow
def test_the_table_says_which_operators_the_modules_are_traced_to(monkeypatch: pytest.MonkeyPatch) -> None:
    used: set[str] = set()

    def recording(table: str, op: str) -> object:
        used.add(op.rstrip("_"))
        return rule_for(table, op)

    monkeypatch.setattr(tracing, "rule_for", recording)
    for make, shape in MODULES.values():
        from_torch(randomised(make()).double(), torch.zeros(1, *shape, dtype=torch.float64))
    assert {op for op in used if not op.startswith("sym_")} == TESTED_ATEN

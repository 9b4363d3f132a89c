"""PyTorch's files: exported programs, TorchScript, state dicts; and the same network in two formats."""

import json
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from adapters import from_torch, load
from polytope.errors import (
    CorruptFileError,
    LoadError,
    NotPiecewiseLinearError,
    UnsafeFileError,
    UnsupportedOpError,
)
from polytope.ir import Network

MODELS = Path(__file__).parents[1].parent / "shared" / "models"
needs_models = pytest.mark.skipif(not MODELS.exists(), reason="the model collection is not here")
ignore_torchscript = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")


class Small(nn.Module):
    """Convolution, batch norm, pooling, a split, and a normalisation by constants."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.pool = nn.MaxPool2d(2)
        self.last = nn.Linear(36, 3)
        self.register_buffer("scale", torch.tensor([0.5, 2.0, 1.0]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        h = self.pool(F.relu(self.norm(self.conv((x - 0.5) / 0.25))))
        a, b = h.split(2, dim=1)
        return self.last(torch.cat([b, a], dim=1).flatten(1)) * self.scale


class ResidualCifar(nn.Module):
    """The two-block residual network whose weights the collection holds in two formats."""

    class Block(nn.Module):
        """Two convolutions and a shortcut."""

        def __init__(self, channels: int, out: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(channels, out, 3, stride, 1)
            self.conv2 = nn.Conv2d(out, out, 3, 1, 1)
            self.shortcut = nn.Sequential()
            if stride != 1 or channels != out:
                self.shortcut = nn.Sequential(nn.Conv2d(channels, out, 1, stride))

        def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
            return F.relu(self.conv2(F.relu(self.conv1(x))) + self.shortcut(x))

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, 2, 1)
        self.layer1 = nn.Sequential(self.Block(8, 16, 2), self.Block(16, 16, 1))
        self.linear1 = nn.Linear(1024, 100)
        self.linear2 = nn.Linear(100, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        h = self.layer1(F.relu(self.conv1(x))).flatten(1)
        return self.linear2(F.relu(self.linear1(h)))


def assert_same(network: Network, module: nn.Module, shape: tuple[int, ...]) -> None:
    x = torch.randn(5, *shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = module.eval()(x).flatten(1).numpy()
    np.testing.assert_allclose(network(x.flatten(1).numpy()), expected, atol=1e-5)  # single precision


@pytest.fixture(scope="module")
def small() -> nn.Module:
    torch.manual_seed(0)
    module = Small().eval()
    module.norm.running_mean.uniform_(-1, 1)
    return module


@pytest.mark.parametrize("free_batch", [False, True])
def test_an_exported_program_loads_without_pytorchs_reader(
    tmp_path: Path, small: nn.Module, free_batch: bool
) -> None:
    dynamic = {"x": {0: torch.export.Dim("batch", min=2, max=64)}} if free_batch else None
    program = torch.export.export(
        small, (torch.zeros(2 if free_batch else 1, 1, 6, 6),), dynamic_shapes=dynamic
    )
    torch.export.save(program, tmp_path / "small.pt2")
    network = load(tmp_path / "small.pt2")
    assert (network.input_shape, network.dtype) == ((1, 6, 6), "float32")
    assert_same(network, small, (1, 6, 6))


def test_an_exported_program_with_pickled_weights_is_refused(tmp_path: Path, small: nn.Module) -> None:
    torch.export.save(torch.export.export(small, (torch.zeros(1, 1, 6, 6),)), tmp_path / "small.pt2")
    with zipfile.ZipFile(tmp_path / "small.pt2") as old, zipfile.ZipFile(tmp_path / "evil.pt2", "w") as new:
        for entry in old.infolist():
            content = old.read(entry)
            if entry.filename.endswith("weights_config.json"):
                config = json.loads(content)
                next(iter(config["config"].values()))["use_pickle"] = True
                content = json.dumps(config).encode()
            new.writestr(entry.filename, content)
    with pytest.raises(UnsafeFileError, match="pickle"):
        load(tmp_path / "evil.pt2")


@ignore_torchscript
def test_torchscript_loads(tmp_path: Path, small: nn.Module) -> None:
    torch.jit.script(small).save(tmp_path / "small.pt")
    assert_same(load(tmp_path / "small.pt", input_shape=(1, 6, 6)), small, (1, 6, 6))
    with pytest.raises(UnsupportedOpError, match="input_shape"):
        load(tmp_path / "small.pt")


@ignore_torchscript
@pytest.mark.parametrize("code", ["torch.save(x, 'f')", "ops.aten.from_file('f')", "torch.hub.load(x)"])
def test_torchscript_that_does_more_than_arithmetic_is_refused(
    tmp_path: Path, small: nn.Module, code: str
) -> None:
    torch.jit.script(small).save(tmp_path / "small.pt")
    with zipfile.ZipFile(tmp_path / "small.pt") as old, zipfile.ZipFile(tmp_path / "evil.pt", "w") as new:
        for entry in old.infolist():
            content = old.read(entry)
            if entry.filename.endswith("code/__torch__.py") or entry.filename.endswith(
                "test_adapters_torch_files.py"
            ):
                content = content.replace(
                    b"    conv = self.conv\n", f"    y = {code}\n    conv = self.conv\n".encode()
                )
            new.writestr(entry.filename, content)
    with pytest.raises(UnsafeFileError, match="calls"):
        load(tmp_path / "evil.pt", input_shape=(1, 6, 6))


def chain() -> nn.Module:
    torch.manual_seed(1)
    parts = [
        nn.Conv2d(2, 4, 3, 2, 1),
        nn.BatchNorm2d(4),
        nn.LeakyReLU(0.01),
        nn.Conv2d(4, 4, 3, 2, 1),
        nn.LeakyReLU(0.01),
    ]
    module = nn.Sequential(*parts, nn.Flatten(), nn.Linear(36, 5), nn.LeakyReLU(0.01), nn.Linear(5, 2))
    module[1].running_var.uniform_(0.5, 2)
    return module.eval()


@pytest.mark.parametrize(
    "wrap", [dict, lambda s: {"state_dict": [s], "epoch": 3}, lambda s: {"model": OrderedDict(s)}]
)
def test_a_state_dict_that_determines_a_chain(tmp_path: Path, wrap) -> None:
    torch.save(wrap(chain().state_dict()), tmp_path / "chain.pth")
    network = load(tmp_path / "chain.pth", activation="leaky_relu", input_shape=(2, 12, 12))
    assert_same(network, chain(), (2, 12, 12))
    with pytest.raises(UnsupportedOpError, match="activation='relu'"):
        load(tmp_path / "chain.pth")
    with pytest.raises(UnsupportedOpError, match="do not determine"):
        load(tmp_path / "chain.pth", activation="relu", input_shape=(2, 60, 60))


def test_a_state_dict_with_its_module(tmp_path: Path) -> None:
    torch.save(ResidualCifar().state_dict(), tmp_path / "weights.pt")
    module = ResidualCifar()
    network = load(tmp_path / "weights.pt", module=module, input_shape=(3, 32, 32))
    module.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert_same(network, module, (3, 32, 32))
    with pytest.raises(CorruptFileError, match="do not fit the module"):
        load(tmp_path / "weights.pt", module=chain(), input_shape=(2, 12, 12))


def test_a_pickled_module_is_refused_with_what_to_do(tmp_path: Path) -> None:
    torch.save(chain(), tmp_path / "module.pth")
    with pytest.raises(UnsafeFileError, match=r"torch\.onnx\.export"):
        load(tmp_path / "module.pth")


@needs_models
def test_one_network_in_two_formats_is_one_network() -> None:
    kw = load(MODELS / "cifar_base_kw.pth", activation="relu", input_shape=(3, 32, 32))
    residual = load(MODELS / "cifar_resnet2b.pth", module=ResidualCifar(), input_shape=(3, 32, 32))
    by_names = load(MODELS / "cifar_resnet2b.pth", activation="relu", input_shape=(3, 32, 32))
    twins = ((kw, "cifar_base_kw"), (residual, "cifar_resnet_2b"), (by_names, "cifar_resnet_2b"))
    for network, other in ((n, f"{o}.onnx") for n, o in twins):
        twin = load(MODELS / other)
        x = np.random.default_rng(0).uniform(0, 1, (8, 3072))
        np.testing.assert_allclose(network(x), twin(x), atol=1e-6)
        assert network.widths == twin.widths
        assert (network.pattern(x) == twin.pattern(x)).all()


@needs_models
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("bunny_2_4x32.pth", {"activation": "relu"}),
        ("mnist_fc_3layer.pth", {"activation": "relu", "input_shape": (1, 28, 28)}),
        ("cifar_base_kw.pth", {"activation": "relu", "input_shape": (3, 32, 32)}),
        ("cifar_resnet2b.pth", {"activation": "relu", "input_shape": (3, 32, 32)}),
        ("cifar_resnet2b.pth", {"module": ResidualCifar(), "input_shape": (3, 32, 32)}),
        ("iris_scripted.pt", {"until": "output.1"}),
    ],
)
def test_files_of_the_collection_equal_their_references(name: str, options: dict) -> None:
    network = load(MODELS / name, **options)
    stored = np.load(MODELS / "refs" / f"{name}.npz")
    for kind in ("zeros", "random"):
        got, want = network(stored[f"{kind}_in"].reshape(1, -1)), stored[f"{kind}_out0"].reshape(1, -1)
        got = 1 / (1 + np.exp(-got)) if name.startswith("iris") else got
        assert np.abs(got - want).max() <= 1e-4 * max(np.abs(want).max(), 1e-3)


@needs_models
def test_a_scripted_smooth_head_names_its_cut() -> None:
    with pytest.raises(NotPiecewiseLinearError, match=r"until='output.1'"):
        load(MODELS / "iris_scripted.pt")


@needs_models
@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("whole_module_mlp.pth", {}, UnsafeFileError),
        ("mscn_saved_dicts.pt", {}, UnsafeFileError),
        ("truncated.pth", {}, CorruptFileError),
        ("empty.pth", {}, CorruptFileError),
        ("scripted_two_inputs.pt", {}, UnsupportedOpError),
        ("scripted_two_inputs.pt", {"input_shape": [(1,), (1,)]}, 2),
        ("sd_sparse.pth", {"activation": "relu"}, 3),
    ],
)
def test_refused_and_odd_files_of_the_collection(
    name: str, options: dict, expected: type[LoadError] | int
) -> None:
    if isinstance(expected, int):
        assert load(MODELS / "refuse" / name, **options).input_dim == expected
    else:
        with pytest.raises(expected):
            load(MODELS / "refuse" / name, **options)


def test_from_torch_equals_the_exported_file(tmp_path: Path, small: nn.Module) -> None:
    torch.export.save(torch.export.export(small, (torch.zeros(1, 1, 6, 6),)), tmp_path / "small.pt2")
    x = np.random.default_rng(0).normal(size=(4, 36))
    first, second = load(tmp_path / "small.pt2"), from_torch(small, torch.zeros(1, 1, 6, 6))
    np.testing.assert_allclose(first(x), second(x), atol=1e-12)  # the same operators, the same order

"""Files of PyTorch: exported programs, TorchScript, number types, and the collection."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from adapters import from_torch, load
from polytope.cli.reading import module_of
from polytope.errors import (
    CorruptFileError,
    ImportMismatchError,
    LoadError,
    NotPiecewiseLinearError,
    UnsafeFileError,
    UnsupportedOpError,
)
from tests.torch_cases import CIFAR, Typed, assert_same

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


@pytest.fixture(scope="module")
def small() -> nn.Module:
    torch.manual_seed(0)
    module = Small().eval()
    module.norm.running_mean.uniform_(-1, 1)
    return module


class Centred(nn.Module):
    """A module that mixes samples, hardly at inputs of size 1."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)
        nn.init.constant_(self.layer.bias, -5.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        return F.relu(self.layer(x - x.mean(0, keepdim=True)))


class TimeFirst(nn.Module):
    """A recurrent layer whose first axis is time, in PyTorch's default layout."""

    def __init__(self) -> None:
        super().__init__()
        self.recurrent, self.last = nn.RNN(3, 4, nonlinearity="relu"), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        return self.last(self.recurrent(x)[0][-1])


TYPED = {
    "truncated weights": lambda x, c: x * c.int(),
    "signs": lambda x, c: x * c.bool(),
    "rounded weights": lambda x, c: x * c.half().float(),
    "coarse weights": lambda x, c: x * c.bfloat16().float(),
    "finer": lambda x, c: x.double() * 1.5,
    "filled": lambda x, c: x + torch.full((4,), 1.7, dtype=torch.int32),
    "filled alike": lambda x, c: x * torch.full_like(c, 1.7, dtype=torch.int64),
    "counted": lambda x, c: x * torch.arange(0.5, 4, 1, dtype=torch.int64),
    "summed": lambda x, c: x + torch.sum(c, dtype=torch.int64),
    "summed up": lambda x, c: x * torch.cumsum(c, 0, dtype=torch.int64),
    "divided": lambda x, c: x * torch.div(c, 0.4, rounding_mode="floor"),
    "divided whole numbers": lambda x, c: x * (c.int() / 2),
    "placed": lambda x, c: torch.zeros(1, 6).index_copy(1, torch.tensor([5, 1, 2, 0]), x),
    "masked": lambda x, c: (x > 0).float() * x,
    "moved": lambda x, c: x[:, None].movedim(2, 1),
    "repeated": lambda x, c: x.repeat_interleave(torch.tensor([1, 0, 2, 3]), 1),
    "first power": lambda x, c: x**1 + c.argmax(),
}


def stored(folder: Path, module: nn.Module, kind: str) -> Path:
    """A module in one of PyTorch's formats, for one sample of four numbers."""
    example = torch.ones(1, 4)
    if kind == "script":
        torch.jit.save(torch.jit.trace(module, example), folder / "net.pt")
        return folder / "net.pt"
    program = torch.export.export(module, (example,))
    torch.export.save(program.run_decompositions() if kind == "decomposed" else program, folder / "net.pt2")
    return folder / "net.pt2"


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
@pytest.mark.filterwarnings("ignore:The output does not depend on the input")
def test_files_that_mix_samples_are_refused_or_taken_whole(tmp_path: Path) -> None:
    module = Centred().eval()
    torch.jit.script(module).save(tmp_path / "centred.pt")
    dynamic = {"x": {0: torch.export.Dim("batch", min=2, max=64)}}
    torch.export.save(
        torch.export.export(module, (torch.zeros(4, 3),), dynamic_shapes=dynamic), tmp_path / "free.pt2"
    )
    for name, options in (("centred.pt", {"input_shape": (3,)}), ("free.pt2", {})):
        with pytest.raises(ImportMismatchError, match="mixes the samples"):
            load(tmp_path / name, **options)
    torch.export.save(torch.export.export(module, (torch.zeros(4, 3),)), tmp_path / "fixed.pt2")
    network = load(tmp_path / "fixed.pt2")
    x = 30 * torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(network(x.numpy().ravel()), module(x).detach().numpy().ravel(), atol=1e-4)


@pytest.mark.filterwarnings("ignore:The tensor attributes")
def test_an_axis_of_time_in_front_is_no_batch(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module, x = TimeFirst().eval(), torch.randn(5, 1, 3)
    with pytest.raises(ImportMismatchError, match=r"Put the batch first \(batch_first=True\)"):
        from_torch(module, x)
    torch.export.save(torch.export.export(module, (x,)), tmp_path / "recurrent.pt2")
    network = load(tmp_path / "recurrent.pt2")
    assert network.input_shape == (5, 1, 3)
    np.testing.assert_allclose(network(x.numpy().ravel()), module(x).detach().numpy().ravel(), atol=1e-6)


@ignore_torchscript
def test_a_scripted_sequence_loads(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    torch.jit.script(module).save(tmp_path / "sequence.pt")
    assert_same(load(tmp_path / "sequence.pt"), module, (3,))


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


@pytest.mark.parametrize("kind", ["program", "decomposed", "script"])
@pytest.mark.parametrize("function", TYPED.values(), ids=TYPED)
@pytest.mark.filterwarnings("ignore")  # what PyTorch says of its own tracer
def test_number_types_are_those_of_the_file(tmp_path: Path, function: Callable, kind: str) -> None:
    """Compared with the module, since a type lost while reading is lost on both sides of the check."""
    module = Typed(function).eval()
    shape = (4,) if kind == "script" else None
    network = load(stored(tmp_path, module, kind), input_shape=shape)
    x = 3 * torch.randn(8, 4)
    want = np.array([module(row[None]).double().numpy().ravel() for row in x])
    np.testing.assert_allclose(network(x.double().numpy()), want, atol=1e-4)
    if kind == "program":  # the module itself goes through one
        module_too = from_torch(module, torch.ones(1, 4))
        np.testing.assert_allclose(module_too(x.double().numpy()), want, atol=1e-4)


@pytest.mark.parametrize("kind", ["program", "decomposed", "script"])
@pytest.mark.filterwarnings("ignore")
def test_casts_of_the_input_to_whole_numbers_jump_in_every_file(tmp_path: Path, kind: str) -> None:
    module = Typed(lambda x, c: x.to(torch.int32).float() + c)
    with pytest.raises(NotPiecewiseLinearError, match="to integers"):
        load(stored(tmp_path, module, kind), input_shape=(4,) if kind == "script" else None)
    half = Typed(lambda x, c: x.half().float() + c)
    network = load(stored(tmp_path, half, kind), input_shape=(4,) if kind == "script" else None)
    assert network.dtype == "float32"


@needs_models
def test_one_network_in_two_formats_is_one_network() -> None:
    plain = load(
        MODELS / "cifar_base_kw.pth", module=module_of(f"{CIFAR}:convolutional"), input_shape=(3, 32, 32)
    )
    residual = load(
        MODELS / "cifar_resnet2b.pth", module=module_of(f"{CIFAR}:Residual"), input_shape=(3, 32, 32)
    )
    twins = ((plain, "cifar_base_kw"), (residual, "cifar_resnet_2b"))
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
        ("cifar_base_kw.pth", {"module": module_of(f"{CIFAR}:convolutional"), "input_shape": (3, 32, 32)}),
        ("cifar_resnet2b.pth", {"module": module_of(f"{CIFAR}:Residual"), "input_shape": (3, 32, 32)}),
        ("iris_scripted.pt", {"until": "output.1"}),
    ],
)
@pytest.mark.filterwarnings("ignore:The file holds weights only")
def test_files_of_the_collection_equal_their_references(name: str, options: dict) -> None:
    network = load(MODELS / name, **options)
    assert (network.import_error is None) == ("activation" in options)
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
@pytest.mark.filterwarnings("ignore:The file holds weights only")
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

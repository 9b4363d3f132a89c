"""PyTorch's files: exported programs, TorchScript, state dicts; and the same network in two formats."""

import json
import re
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from adapters import from_torch, load, runtime
from polytope.cli.reading import module_of
from polytope.errors import (
    CorruptFileError,
    ImportMismatchError,
    LoadError,
    NotPiecewiseLinearError,
    UnsafeFileError,
    UnsupportedOpError,
)
from polytope.ir import Network

CIFAR = Path(__file__).parents[1] / "benchmarks" / "cifar_modules.py"
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


class Centred(nn.Module):
    """A module that mixes samples, hardly at inputs of size 1."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)
        nn.init.constant_(self.layer.bias, -5.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        return F.relu(self.layer(x - x.mean(0, keepdim=True)))


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


class TimeFirst(nn.Module):
    """A recurrent layer whose first axis is time, in PyTorch's default layout."""

    def __init__(self) -> None:
        super().__init__()
        self.recurrent, self.last = nn.RNN(3, 4, nonlinearity="relu"), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        return self.last(self.recurrent(x)[0][-1])


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


def chain() -> nn.Module:
    torch.manual_seed(1)
    parts = [
        nn.Flatten(),
        nn.Linear(6, 5),
        nn.LeakyReLU(0.01),
        nn.Dropout(),
        nn.Linear(5, 5),
        nn.LeakyReLU(0.01),
    ]
    return nn.Sequential(*parts, nn.Linear(5, 2)).eval()


WRAPS = {
    "itself": dict,
    "in a list, beside an epoch": lambda s: {"state_dict": [s], "epoch": 3},
    "beside an optimiser": lambda s: {
        "model": OrderedDict(s),
        "optimizer": {"state": {}, "param_groups": [1]},
    },
    "in parallel": lambda s: {f"module.{name}": tensor for name, tensor in s.items()},
    "half precision": lambda s: {name: tensor.half() for name, tensor in s.items()},
}


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
def test_weights_of_linear_layers_are_a_chain_that_nothing_checked(tmp_path: Path, wrap: Callable) -> None:
    torch.save(wrap(chain().state_dict()), tmp_path / "chain.pth")
    with pytest.warns(
        UserWarning, match=r"assumed: .*'1', '4', '6'.* leaky_relu between .* gaps .* agree"
    ) as said:
        network = load(tmp_path / "chain.pth", activation="leaky_relu", input_shape=(2, 3))
    assert len(said) == 1
    assert network.import_error is None
    assert "assumed" in network.import_note
    exact = {name: tensor.half().float() for name, tensor in chain().state_dict().items()}
    module = chain()
    if network.dtype == "float16":
        module.load_state_dict(exact)
    assert_same(network, module, (2, 3))
    with pytest.raises(UnsupportedOpError, match="module=MyNetwork"):
        load(tmp_path / "chain.pth")
    for wrong in (6, -1, "6", 2.5, (0,), (2.5,)):
        with pytest.raises(ValueError, match=r"^input_shape must (be a shape|hold positive)"):
            load(tmp_path / "chain.pth", module=chain(), input_shape=wrong)
    checked = load(tmp_path / "chain.pth", module=chain(), input_shape=(2, 3))
    assert checked.import_error is not None
    assert checked.import_error < 1e-6
    assert checked.import_note == "compared with the module in PyTorch"
    again = runtime(checked)
    assert again is not None
    assert np.abs(again(np.ones((3, 6))) - checked(np.ones((3, 6)))).max() < 1e-6


class Residual(nn.Module):
    """A convolutional network in which little can be read off the weights."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(2 * 9, 3)  # runs last
        self.conv = nn.Conv2d(2, 2, 3, padding=1)
        self.bn = nn.BatchNorm2d(2)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        return self.fc(self.pool(x + self.bn(F.relu(self.conv(x)))).flatten(1))


UNDETERMINED = {
    "padded and pooled": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(18, 2)
        ),
        (1, 6, 6),
        "'0' is a convolution",
    ),
    "residual": (Residual, (2, 6, 6), "'conv' is a convolution"),
    "conventional names": (lambda: module_of(f"{CIFAR}:Residual"), (3, 32, 32), "'conv1' is a convolution"),
    "normalised behind": (
        lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.BatchNorm1d(4), nn.Linear(4, 2)),
        (3,),
        "'2' normalises",
    ),
    "parametric": (
        lambda: nn.Sequential(nn.Linear(3, 4), nn.PReLU(4), nn.Linear(4, 2)),
        (3,),
        "'1' normalises",
    ),
    "no activation between two": (
        lambda: nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)),
        (3,),
        "'0' and '1' stand next to each other",
    ),
    "no activation at all": (
        lambda: nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)),
        (3,),
        "'0' and '1' stand",
    ),
    "recurrent": (lambda: nn.ModuleDict({"a": nn.LSTM(3, 4)}), (3,), "'a' holds"),
    "defined in another order": (
        lambda: nn.ModuleDict({"out": nn.Linear(4, 2), "inner": nn.Linear(3, 4)}),
        (3,),
        "'inner' takes 3 numbers",
    ),
}


@pytest.mark.parametrize(("make", "shape", "words"), UNDETERMINED.values(), ids=UNDETERMINED)
def test_what_weights_do_not_determine_needs_its_module(
    tmp_path: Path, make: Callable, shape: tuple[int, ...], words: str
) -> None:
    torch.manual_seed(2)
    module = make().eval()
    torch.save(module.state_dict(), tmp_path / "weights.pth")
    with pytest.raises(UnsupportedOpError, match=words) as refused:
        load(tmp_path / "weights.pth", activation="relu", input_shape=shape)
    assert "module=MyNetwork()" in str(refused.value)
    if not isinstance(module, nn.ModuleDict):
        assert_same(load(tmp_path / "weights.pth", module=make(), input_shape=shape), module, shape)


def test_a_list_of_layers_has_no_gaps(tmp_path: Path) -> None:
    layers = nn.ModuleDict({"fcs": nn.ModuleList([nn.Linear(3, 4), nn.Linear(4, 2)])})
    torch.save(layers.state_dict(), tmp_path / "list.pth")
    with pytest.warns(UserWarning, match="'fcs.0', 'fcs.1' in this order, relu between all of them"):
        network = load(tmp_path / "list.pth", activation="relu")
    first, last = layers["fcs"]
    assert_same(network, nn.Sequential(first, nn.ReLU(), last), (3,))


class Typed(nn.Module):
    """A function with constants of its own."""

    def __init__(self, function: Callable) -> None:
        super().__init__()
        self.function = function
        self.register_buffer("c", torch.tensor([1.7, -2.3, 0.333, 4.9]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        return self.function(x, self.c)


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


def test_what_is_no_tensor_is_named(tmp_path: Path) -> None:
    for function, words in ((lambda x, c: "abc", "'abc', which"), (lambda x, c: (), "no tensor")):
        with pytest.raises(UnsupportedOpError, match=words):
            from_torch(Typed(function), torch.ones(1, 4))
    torch.export.save(
        torch.export.export(Typed(lambda x, c: (x, 3)), (torch.ones(1, 4),)), tmp_path / "n.pt2"
    )
    with pytest.raises(UnsupportedOpError, match="beside tensors"):
        load(tmp_path / "n.pt2")
    with pytest.raises(NotPiecewiseLinearError, match="active in inference too"):
        from_torch(Typed(lambda x, c: F.dropout(x)), torch.ones(1, 4))


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
def test_weights_that_are_no_real_numbers_do_not_fill_a_module(tmp_path: Path) -> None:
    module = nn.Linear(3, 2)
    ways = {
        "quantised or complex": lambda w: w.to(torch.complex64),
        "quantised": lambda w: torch.quantize_per_tensor(w, 0.1, 0, torch.qint8),
        "holds no numbers": lambda w: torch.empty_like(w, device="meta"),
    }
    for words, way in ways.items():
        torch.save({k: way(w) for k, w in module.state_dict().items()}, tmp_path / "w.pth")
        for options in ({"module": module, "input_shape": (3,)}, {"activation": "relu"}):
            with pytest.raises(LoadError, match=words):
                load(tmp_path / "w.pth", **options)
    torch.save({"_orig_mod.module." + k: w for k, w in module.state_dict().items()}, tmp_path / "w.pth")
    assert_same(load(tmp_path / "w.pth", module=nn.Linear(3, 2), input_shape=(3,)), module, (3,))
    torch.save({"a.weight": torch.ones(1, 3), "a.bias": torch.tensor([np.inf])}, tmp_path / "w.pth")
    with pytest.raises(CorruptFileError, match="holds inf"):
        load(tmp_path / "w.pth", activation="relu")


W, B = torch.ones(2, 3), torch.ones(2)
ODD_DICTS = {
    "empty": ({}, CorruptFileError, "an empty dict"),
    "a tensor": (W, CorruptFileError, "a Tensor"),
    "no tensors": ({"epoch": 3, "lr": 0.1}, CorruptFileError, "no tensor: its entries are 'epoch', 'lr'"),
    "two networks": ({"g": {"0.weight": W}, "d": {"0.weight": W}}, UnsupportedOpError, "('g', 'd'), not one"),
    "two names": (
        {"model": {"0.weight": W}, "net": {"0.weight": W}},
        UnsupportedOpError,
        "not one state dict",
    ),
    "mixed": ({"0.weight": W, "rest": {"2.weight": W}}, UnsupportedOpError, "('0.weight') beside dicts"),
    "numbers for names": ({0: W, 1: B}, UnsupportedOpError, "no names: 0, 1"),
    "a bias too long": (
        {"a.weight": W, "a.bias": W[0]},
        UnsupportedOpError,
        "weights (2, 3) and a bias (3,)",
    ),
    "another parameter": ({"a.weight": W, "a.scale": B}, UnsupportedOpError, "'a' holds 'scale', 'weight'"),
    "not finite": ({"a.weight": W / 0}, CorruptFileError, "'a.weight' holds inf at index"),
    "complex": ({"a.weight": W * 1j}, UnsupportedOpError, "complex"),
}


@pytest.mark.parametrize(("held", "kind", "words"), ODD_DICTS.values(), ids=ODD_DICTS)
def test_an_odd_dict_is_refused_with_a_sentence(
    tmp_path: Path, held: object, kind: type[LoadError], words: str
) -> None:
    torch.save(held, tmp_path / "odd.pth")
    with pytest.raises(kind, match=re.escape(words)):
        load(tmp_path / "odd.pth", activation="relu")


def test_options_that_do_not_fit_a_file_of_weights_are_named(tmp_path: Path) -> None:
    path = tmp_path / "chain.pth"
    torch.save(chain().state_dict(), path)
    other = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))
    for options, kind, words in (
        ({"activation": "rellu"}, ValueError, "no activation 'rellu'. Known: relu, "),
        ({"activation": "relu", "until": "6"}, ValueError, "until= has no meaning"),
        ({"activation": "relu", "module": chain(), "input_shape": (6,)}, ValueError, "activation= has no"),
        ({"module": chain()}, UnsupportedOpError, "not its input"),
        ({"module": nn.Linear, "input_shape": (6,)}, TypeError, "write module=Linear()"),
        ({"module": other, "input_shape": (6,)}, ValueError, "the file lacks '0.weight'"),
        (
            {"module": nn.Sequential(nn.Flatten(), nn.Linear(6, 4)), "input_shape": (6,)},
            ValueError,
            "(4, 6) in the",
        ),
    ):
        with pytest.raises(kind, match=re.escape(words)):
            load(path, **options)
    with pytest.raises(ValueError, match="does not fit: the weights take 6 numbers"):
        load(path, activation="relu", input_shape=(7,))


def test_a_pickled_module_is_refused_with_what_to_do(tmp_path: Path) -> None:
    torch.save(chain(), tmp_path / "module.pth")
    with pytest.raises(UnsafeFileError, match=r"torch\.onnx\.export"):
        load(tmp_path / "module.pth")


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

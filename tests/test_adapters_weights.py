"""State dicts: weights alone, the modules that they belong to, and what is no tensor."""

import re
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
    LoadError,
    NotPiecewiseLinearError,
    UnsafeFileError,
    UnsupportedOpError,
)
from tests.torch_cases import CIFAR, Typed, assert_same


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

"""Models of our own making in every format: the network equals the model, and a spoilt file is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch

from adapters import load
from polytope import Network
from polytope.errors import LoadError
from tests.small_models import MODELS, small_model

FORMATS = (".onnx", ".pt2", ".pt")


def written(name: str, ending: str, folder: Path) -> Path:
    """The model as a file."""
    module, shape = small_model(name)
    path, example = folder / f"{name}{ending}", torch.randn(2, *shape)
    if ending == ".onnx":
        free = {"x": {0: "batch"}, "y": {0: "batch"}}
        torch.onnx.export(
            module, (example,), path, dynamo=False, input_names=["x"], output_names=["y"], dynamic_axes=free
        )
    elif ending == ".pt2":
        torch.export.save(torch.export.export(module, (example[:1],)), path)
    else:
        torch.jit.save(torch.jit.trace(module, example[:1]), path)
    return path


def loaded(path: Path, shape: tuple[int, ...]) -> Network:
    return load(path, input_shape=shape) if path.suffix == ".pt" else load(path)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_its_network_in_every_format(name: str, ending: str, tmp_path: Path) -> None:
    """At points around and far from the origin, within what single precision leaves of sums this long."""
    module, shape = small_model(name)
    network = loaded(written(name, ending, tmp_path), shape)
    x = np.random.default_rng(0).normal(size=(20, *shape)) * np.geomspace(0.1, 100, 20).reshape(
        -1, *[1] * len(shape)
    )
    with torch.no_grad():
        expected = module.double()(torch.tensor(x)).flatten(1).numpy()
    scale = 1 + np.abs(expected).max(axis=1, keepdims=True)
    assert (np.abs(network(x) - expected) / scale).max() < 1e-5
    assert network.import_error is not None


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("tries", [30, pytest.param(300, marks=pytest.mark.slow)])
@pytest.mark.parametrize("ending", FORMATS)
def test_a_spoilt_file_is_refused_or_still_the_model(ending: str, tries: int, tmp_path: Path) -> None:
    """Cut at any place, or with any byte turned over, a file is refused by one sentence, or loads.

    Thirty times in the suite, three hundred where slow tests run too.
    """
    path = written("mlp", ending, tmp_path)
    whole, rng = path.read_bytes(), np.random.default_rng(1)
    refused = 0
    for i in range(tries):
        place = int(rng.integers(len(whole)))
        spoilt = whole[:place] if i % 2 else whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :]
        path.write_bytes(spoilt)
        try:
            assert loaded(path, (4,)).output_dim == 3
        except LoadError:
            refused += 1
    assert refused >= tries // 2

"""Weights in files of safetensors are read like those of torch.save."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from adapters import load
from polytope.errors import CorruptFileError, UnsupportedOpError


def module() -> torch.nn.Sequential:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_a_state_dict_is_the_one_of_torch_save(tmp_path: Path, kind: torch.dtype) -> None:
    state = {name: tensor.to(kind) for name, tensor in module().state_dict().items()}
    save_file(state, tmp_path / "m.safetensors")
    torch.save(state, tmp_path / "m.pt")
    x = np.random.default_rng(0).standard_normal((20, 3))
    options = {"module": module(), "input_shape": (3,)}
    found, same = (load(tmp_path / name, **options) for name in ("m.safetensors", "m.pt"))
    np.testing.assert_array_equal(found(x), same(x))
    with pytest.warns(UserWarning, match="assumed"):
        chain = load(tmp_path / "m.safetensors", activation="relu")
    np.testing.assert_allclose(chain(x), found(x), atol=1e-12)


def test_what_is_no_such_file_is_refused(tmp_path: Path) -> None:
    save_file(module().state_dict(), tmp_path / "m.safetensors")
    whole = (tmp_path / "m.safetensors").read_bytes()
    for data in (whole[:-5], whole[:20], b"\xff" * 64, b"{}" * 40, b"\x00" * 8 + whole[8:]):
        (tmp_path / "broken.safetensors").write_bytes(data)
        with pytest.raises(CorruptFileError, match="no safetensors file"):
            load(tmp_path / "broken.safetensors", activation="relu")
    with pytest.raises(UnsupportedOpError, match="input_shape"):
        load(tmp_path / "m.safetensors", module=module())
    names = {"body.weight": torch.zeros(3, 2), "body.bias": torch.zeros(3), "head.weight": torch.zeros(1, 3)}
    save_file(names, tmp_path / "named.safetensors")
    with pytest.raises(UnsupportedOpError, match="no order of its layers"):
        load(tmp_path / "named.safetensors", activation="relu")


def test_layers_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    layers = {f"fc{n}.weight": torch.full((1, 1), float(n)) for n in (2, 10, 9)}
    save_file(layers, tmp_path / "deep.safetensors")
    with pytest.warns(UserWarning, match="'fc2', 'fc9', 'fc10' in this order"):
        load(tmp_path / "deep.safetensors", activation="relu")

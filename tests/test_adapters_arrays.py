"""Archives of arrays: what they mean, and that broken ones are refused."""

import io
from pathlib import Path

import numpy as np
import pytest

from adapters import load
from polytope.errors import CorruptFileError, LoadError, UnsafeFileError
from polytope.ir import absolute

RNG = np.random.default_rng(0)
GOOD = {
    "W0": RNG.normal(size=(5, 3)),
    "b0": RNG.normal(size=5),
    "W1": RNG.normal(size=(2, 5)),
    "b1": np.ones(2),
}


def saved(folder: Path, arrays: dict[str, object]) -> Path:
    path = folder / "net.npz"
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    ("activation", "function"),
    [
        (None, lambda z: np.maximum(z, 0)),
        ("abs", np.abs),
        (absolute(), np.abs),
        ("relu6", lambda z: np.clip(z, 0, 6)),
    ],
)
def test_an_archive_is_a_network_with_one_activation(tmp_path: Path, activation, function) -> None:
    network = load(saved(tmp_path, GOOD), activation=activation)
    x = RNG.normal(size=(7, 3))
    expected = function(x @ GOOD["W0"].T + GOOD["b0"]) @ GOOD["W1"].T + GOOD["b1"]
    np.testing.assert_allclose(network(x), expected, atol=1e-12)  # the same few sums, in another order
    assert network.dtype == "float64"
    assert network.import_error is not None
    assert network.import_error < 1e-12


@pytest.mark.parametrize(
    "change",
    [
        {"W1": np.ones((2, 4))},
        {"b0": np.ones((5, 1))},
        {"W1": np.ones((1, 5)), "b1": np.array([np.inf])},
        {"W0": np.ones((3, 5))},
        {"W0": np.full((5, 3), np.nan)},
        {"W0": np.ones((5, 3), dtype=complex)},
        {"W2": np.ones((2, 2))},
        {"extra": np.ones(2)},
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, change: dict[str, object]) -> None:
    with pytest.raises(CorruptFileError):
        load(saved(tmp_path, {**GOOD, **change}))


def test_pickled_objects_are_never_unpacked(tmp_path: Path) -> None:
    with pytest.raises(UnsafeFileError, match="pickled"):
        load(saved(tmp_path, {**GOOD, "b1": np.array([{}, 1], dtype=object)}))


def test_a_claimed_shape_larger_than_the_entry_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, GOOD)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (10**12, 3)}
    )
    import zipfile

    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("W0.npy", header.getvalue() + b"\0" * 64)
    with pytest.raises(CorruptFileError, match="larger than its entry"):
        load(path)


@pytest.mark.parametrize("name", ["missing.onnx", ".", "text.txt", "text.npz", "text.onnx", "text.pth"])
def test_what_is_no_model_is_refused_in_one_sentence(tmp_path: Path, name: str) -> None:
    if name.startswith("text"):
        (tmp_path / name).write_text("hello, I am no model")
    with pytest.raises(LoadError) as refused:
        load(tmp_path / name)
    assert "\n" not in str(refused.value)

"""What a model is compared with: its own runtime, another one, or nothing; and that it is said."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from adapters import from_onnx, load, runtime
from polytope.errors import (
    CorruptFileError,
    ImportMismatchError,
    LoadError,
    NotPiecewiseLinearError,
    UnsupportedOpError,
)

FLOAT, DOUBLE = TensorProto.FLOAT, TensorProto.DOUBLE
RNG = np.random.default_rng(0)


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: dict[str, Sequence[int | str]],
    weights: dict[str, np.ndarray] | None = None,
    *,
    opset: int = 17,
    kind: int = FLOAT,
    outputs: Sequence[str] = ("y",),
) -> onnx.ModelProto:
    dtype = np.float64 if kind == DOUBLE else np.float32
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info(name, kind, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, kind, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(w, dtype=dtype), name) for name, w in (weights or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def test_onnxruntime_is_named() -> None:
    network = from_onnx(model([helper.make_node("Relu", ["x"], ["y"])], {"x": [1, 3]}))
    assert network.import_note == "compared with onnxruntime"


def test_a_file_of_a_newer_version_than_onnxruntime_knows_runs_in_it() -> None:
    made = model([helper.make_node("Relu", ["x"], ["y"])], {"x": [1, 3]})
    made.ir_version = onnx.IR_VERSION + 1
    assert from_onnx(made).import_note == "compared with onnxruntime"


def test_operator_sets_without_kernels_are_checked_by_the_reference() -> None:
    w, x = RNG.normal(size=3), RNG.normal(size=(4, 3, 2))
    node = helper.make_node("PRelu", ["x", "w"], ["y"])  # one slope for each channel, before broadcasting
    network = from_onnx(model([node], {"x": [1, 3, 2]}, {"w": w}, opset=6))
    assert network.import_note == "compared with onnx.reference, as onnxruntime does not run this model"
    assert network.import_error < 1e-5
    np.testing.assert_allclose(network(x), np.where(x > 0, x, w[:, None] * x).reshape(4, -1), atol=1e-6)
    again = runtime(network)
    assert again is not None
    np.testing.assert_allclose(again(x.reshape(4, -1)), network(x), atol=1e-5)


@pytest.mark.parametrize("size", [2, 3])
def test_an_axis_that_the_reference_does_not_know_leaves_a_sum_unchecked(size: int) -> None:
    w, x = RNG.normal(size=3), RNG.normal(size=(4, 3, size))
    node = helper.make_node("Add", ["x", "w"], ["y"], broadcast=1, axis=1)
    with pytest.warns(UserWarning, match="not checked: no runtime at hand runs the model"):
        network = from_onnx(model([node], {"x": [1, 3, size]}, {"w": w}, opset=6))
    np.testing.assert_allclose(network(x), (x + w[:, None]).reshape(4, -1), atol=1e-6)


def test_onnx_ships_no_file_that_is_called_corrupt() -> None:
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data"
    files = [
        p / "model.onnx"
        for kind in ("pytorch-converted", "pytorch-operator")
        for p in (folder / kind).iterdir()
    ]
    notes: list[str] = []
    for made in map(onnx.load, files):
        if sum(np.prod([d.dim_value for d in i.type.tensor_type.shape.dim]) for i in made.graph.input) > 1e5:
            continue  # takes long
        try:
            notes.append(from_onnx(made).import_note)
        except (NotPiecewiseLinearError, UnsupportedOpError):
            continue
    assert sum("onnx.reference" in note for note in notes) == 24
    assert len(notes) >= 24 + 60


def test_a_convolution_in_double_precision_is_checked_in_double_precision() -> None:
    w, b = RNG.normal(size=(2, 1, 3, 3)), RNG.normal(size=2)
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["z"], strides=[2, 1]),
        helper.make_node("Relu", ["z"], ["y"]),
    ]
    network = from_onnx(model(nodes, {"x": ["n", 1, 6, 5]}, {"w": w, "b": b}, kind=DOUBLE))
    assert network.import_note.startswith("compared with onnx.reference")
    assert network.import_error < 1e-13
    assert network.dtype == "float64"


def test_a_cast_rounds_to_the_coarser_type() -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["h"], to=FLOAT),
        helper.make_node("Cast", ["h"], ["y"], to=DOUBLE),
    ]
    assert from_onnx(model(nodes, {"x": [1, 3]}, kind=DOUBLE)).import_error < 1e-6


def test_several_inputs_joined_along_their_first_axis_are_no_batch() -> None:
    nodes = [
        helper.make_node("Concat", ["a", "b"], ["c"], axis=0),
        helper.make_node("Add", ["c", "d"], ["y"]),
    ]
    network = from_onnx(model(nodes, {"a": [2, 2, 2], "b": [2, 2, 2], "d": [4, 2, 2]}))
    x = RNG.normal(size=(3, 32))
    np.testing.assert_allclose(network(x), x[:, :16] + x[:, 16:], atol=1e-12)
    equal = from_onnx(model(nodes[:1], {"a": [2, 3], "b": [2, 3]}, outputs=("c",)))
    np.testing.assert_allclose(equal(x[:, :12]), x[:, :12], atol=1e-12)
    with pytest.raises(ImportMismatchError, match="mixes the samples"):
        from_onnx(model(nodes[:1], {"a": ["n", 3], "b": ["n", 3]}, outputs=("c",)))


MIXING = {
    "mean of the batch": [
        helper.make_node("ReduceMean", ["x"], ["m"], axes=[0]),
        helper.make_node("Sub", ["x", "m"], ["y"]),
    ],
    "third next": [
        helper.make_node("Slice", ["x", "two", "end", "zero"], ["a"]),
        helper.make_node("Slice", ["x", "zero", "two", "zero"], ["b"]),
        helper.make_node("Concat", ["a", "b"], ["c"], axis=0),
        helper.make_node("Add", ["x", "c"], ["y"]),
    ],
}


@pytest.mark.parametrize("nodes", MIXING.values(), ids=MIXING)
@pytest.mark.filterwarnings("ignore:The output does not depend on the input")
def test_an_onnx_model_that_mixes_samples_is_refused_or_taken_whole(nodes) -> None:
    places = {"zero": [0], "two": [2], "end": [2**31]}
    made = model(nodes, {"x": ["n", 3]})
    made.graph.initializer.extend(numpy_helper.from_array(np.array(v), n) for n, v in places.items())
    with pytest.raises(ImportMismatchError, match="mixes the samples"):
        from_onnx(made)
    made.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 5
    network = from_onnx(made)
    assert network.input_dim == 15
    x = RNG.normal(size=(5, 3))
    other = x - x.mean(0) if nodes[0].op_type == "ReduceMean" else x + np.roll(x, -2, axis=0)
    np.testing.assert_allclose(network(x.ravel()), other.ravel(), atol=1e-6)


def test_what_nothing_runs_is_loaded_and_said_to_be_unchecked() -> None:
    """Slopes for each channel that onnxruntime has no kernel for, behind what is too large for numpy."""
    nodes = [helper.make_node("Conv", ["x", "w"], ["z"]), helper.make_node("PRelu", ["z", "a"], ["y"])]
    w, slopes = RNG.normal(size=(32, 32, 3, 3)).astype(np.float32), np.full(32, 0.5)
    with pytest.warns(
        UserWarning, match="was not checked: no runtime at hand runs .* too large for onnx.ref"
    ):
        network = from_onnx(model(nodes, {"x": [1, 32, 92, 92]}, {"w": w, "a": slopes}, opset=6))
    assert network.import_error is None
    assert network.import_note.startswith("no runtime at hand runs the model: onnxruntime refuses it")
    assert runtime(network) is None
    x = RNG.normal(size=(32, 92, 92))
    z = (x[:, :3, :3] * w[0]).sum()
    assert abs(network(x[None])[0, 0] - max(z, z / 2)) < 1e-9


def test_what_onnx_finds_fault_with_is_corrupt() -> None:
    made = model([helper.make_node("Relu", ["x", "x"], ["y"])], {"x": [1, 3]})  # Relu takes one input
    with pytest.raises(CorruptFileError, match="broken, says onnx's checker"):
        from_onnx(made)


@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [
        (TensorProto.STRING, NotPiecewiseLinearError, "a function of text"),
        (TensorProto.INT64, NotPiecewiseLinearError, "a function of whole numbers"),
    ],
)
def test_inputs_that_are_no_numbers_are_refused_for_that(
    kind: int, error: type[LoadError], words: str
) -> None:
    made = model([helper.make_node("Identity", ["x"], ["y"])], {"x": [1, 2]}, kind=kind)
    with pytest.raises(error, match=words):
        from_onnx(made)


def test_a_model_without_inputs_is_not_corrupt() -> None:
    constant = helper.make_node("Constant", [], ["y"], value=numpy_helper.from_array(np.ones(2, np.float32)))
    with pytest.raises(UnsupportedOpError, match="no input"):
        from_onnx(model([constant], {}))


SIZES = (1e-300, 1e-160, 1e160, 1e300)


@pytest.mark.parametrize("size", SIZES)
def test_numbers_at_the_ends_of_the_range_are_silent(size: float, tmp_path: Path) -> None:
    """Warnings are errors here: neither loading nor calling may give one."""
    W, b = np.array([[1.0, -1.0], [0.5, 1.5]]) * size, np.ones(2) * size
    nodes = [
        helper.make_node("Gemm", ["x", "W", "b"], ["z"], transB=1),
        helper.make_node("LeakyRelu", ["z"], ["h"]),
        helper.make_node("Gemm", ["h", "W", "b"], ["y"], transB=1),
    ]
    np.savez(tmp_path / "net.npz", W0=W, b0=b, W1=W, b1=b)
    read = [
        from_onnx(model(nodes, {"x": ["n", 2]}, {"W": W, "b": b}, kind=DOUBLE)),
        load(tmp_path / "net.npz"),
    ]
    assert (read[0].import_error is None) == (size > 1e150)
    for network in read:
        assert network.import_error is None or np.isfinite(network.import_error)
        assert (network.import_error is None) == ("beyond the range of float64" in network.import_note)
        for x in (np.full((2, 2), 1e308), np.full((2, 2), 1e-300), np.eye(2)):
            with np.errstate(all="ignore"):
                z = x @ W.T + b
            assert (network.pattern(x) == (z > 0)).all()
            assert network(x).shape == network.margin(0, 1).jacobian(x)[:, 0].shape == (2, 2)
            assert network.affine(network.pattern(x))[0].shape == (2, 2, 2)


TALKATIVE = """
import sys, torch
from adapters import from_torch, load
class Branching(torch.nn.Module):
    def forward(self, x):
        return x.relu() if x.sum() > 0 else x
try:
    from_torch(Branching(), torch.zeros(1, 3))
except Exception as error:
    print(type(error).__name__)
module = torch.nn.Sequential(torch.nn.Conv1d(2, 3, 3, padding="same"), torch.nn.ReLU()).eval()
from_torch(module, torch.zeros(1, 2, 5))
print(load(sys.argv[1], activation=None, module=module, input_shape=(2, 5)).import_error < 1e-5)
"""


def test_pytorch_says_nothing_of_its_own(tmp_path: Path) -> None:
    """In a fresh interpreter: no log lines, graphs or warnings on stderr."""
    module = torch.nn.Sequential(torch.nn.Conv1d(2, 3, 3, padding="same"), torch.nn.ReLU())
    torch.save({k: v.to_sparse() for k, v in module.state_dict().items()}, tmp_path / "weights.pth")
    command = [sys.executable, "-W", "default", "-c", TALKATIVE, str(tmp_path / "weights.pth")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["UnsupportedOpError", "True"]
    assert done.stderr == ""

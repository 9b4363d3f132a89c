"""Broken and hostile files end in a LoadError: real files with bytes changed, cut, and fields rewritten."""

import io
import json
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters import from_onnx, load
from polytope.errors import LoadError
from polytope.ir import Network

MODELS = Path(__file__).parents[1].parent / "shared" / "models"
REAL = (
    "cartpole.onnx",
    "sine_squeeze.onnx",
    "resize_tiny.onnx",
    "nano.onnx",
    "tinytaxi.onnx",
    "lunarlander_clip.onnx",
)
LIMITS = settings(
    max_examples=120,
    deadline=10_000,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    database=None,
)
needs_models = pytest.mark.skipif(not MODELS.exists(), reason="the model collection is not here")

edits = st.lists(st.tuples(st.integers(0, 2**31), st.integers(0, 255)), min_size=1, max_size=6)


def changed(data: bytes, places: list[tuple[int, int]], cut: int | None) -> bytes:
    """Some bytes overwritten, perhaps the end cut off."""
    out = bytearray(data)
    for place, value in places:
        out[place % len(out)] = value
    return bytes(out if cut is None else out[: cut % len(out)])


def outcome(read: Callable[[], Network]) -> Network | LoadError:
    """The network, or its refusal in a sentence of bearable length; anything else fails the test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # weights overflow where a byte made them large
        try:
            return read()
        except LoadError as error:
            refused = error
    assert len(str(refused)) < 1100
    return refused


@needs_models
@LIMITS
@given(name=st.sampled_from(REAL), places=edits, cut=st.none() | st.integers(0, 2**31))
def test_changed_onnx_files(
    tmp_path_factory, name: str, places: list[tuple[int, int]], cut: int | None
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.onnx"
    path.write_bytes(changed((MODELS / name).read_bytes(), places, cut))
    outcome(lambda: load(path))


@needs_models
@LIMITS
@given(
    name=st.sampled_from(REAL),
    where=st.integers(0, 10**6),
    kind=st.sampled_from(["op", "attribute", "dims", "input", "output", "shape", "data", "drop", "repeat"]),
    value=st.sampled_from([-(2**63), -7, -1, 0, 1, 2, 3, 5, 1000, 2**31, 2**62]),
    op=st.sampled_from(
        ["Relu", "Gemm", "MatMul", "Reshape", "Resize", "Conv", "MaxPool", "Concat", "Pad", "Tile", "Slice"]
    ),
)
def test_rewritten_onnx_models(name: str, where: int, kind: str, value: int, op: str) -> None:
    model = onnx.load(MODELS / name)
    rewrite(model.graph, where, kind, value, op)
    outcome(lambda: from_onnx(model))


def rewrite(graph: onnx.GraphProto, where: int, kind: str, value: int, op: str) -> None:
    """One field of the graph set to something else."""
    node = graph.node[where % len(graph.node)]
    tensors = [*graph.initializer, *(a.t for n in graph.node for a in n.attribute if a.HasField("t"))]
    names = [*(t.name for t in graph.initializer), *(o for n in graph.node for o in n.output), "", "nothing"]
    if kind == "op":
        node.op_type = op
    elif kind == "attribute" and node.attribute:
        attribute = node.attribute[where % len(node.attribute)]
        attribute.i = value
        attribute.ints.extend([value] if len(attribute.ints) < 2 else [])
        for place in range(len(attribute.ints)):
            attribute.ints[place] = value if place == where % len(attribute.ints) else attribute.ints[place]
    elif kind == "dims" and tensors:
        tensor = tensors[where % len(tensors)]
        if tensor.dims:
            tensor.dims[where % len(tensor.dims)] = value
        else:
            tensor.dims.append(value)
    elif kind == "input" and node.input:
        node.input[where % len(node.input)] = names[where % len(names)]
    elif kind == "output":
        node.output[0] = names[where % len(names)]
    elif kind == "shape":
        dims = graph.input[0].type.tensor_type.shape.dim
        dims[where % len(dims)].dim_value = value
    elif kind == "data" and tensors:
        tensor = tensors[where % len(tensors)]
        if tensor.data_type == onnx.TensorProto.INT64:
            array = onnx.numpy_helper.to_array(tensor).copy()
            array.ravel()[...] = value
            tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
        else:
            tensor.data_type = value % 25
    elif kind == "drop":
        del graph.node[where % len(graph.node)]
    else:
        graph.node.append(node)


def archive() -> bytes:
    rng = np.random.default_rng(0)
    data = io.BytesIO()
    arrays = {
        "W0": rng.normal(size=(4, 3)),
        "b0": rng.normal(size=4),
        "W1": rng.normal(size=(1, 4)),
        "b1": rng.normal(size=1),
    }
    np.savez_compressed(data, **arrays) if rng.integers(2) else np.savez(data, **arrays)
    return data.getvalue()


@LIMITS
@given(places=edits, cut=st.none() | st.integers(0, 2**31))
def test_changed_archives(tmp_path_factory, places: list[tuple[int, int]], cut: int | None) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.npz"
    path.write_bytes(changed(archive(), places, cut))
    outcome(lambda: load(path))


@LIMITS
@given(
    descr=st.sampled_from(
        ["<f8", "|O", "<f4", ">f8", "<i8", "<c16", "<M8[s]", "|S5", "garbage", [("a", "<f8")]]
    ),
    shape=st.lists(st.integers(-3, 2**40), max_size=3),
    fortran=st.booleans(),
    size=st.integers(0, 300),
)
def test_archives_with_invented_headers(
    tmp_path_factory, descr, shape: list[int], fortran: bool, size: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "invented.npz"
    header = str({"descr": descr, "fortran_order": fortran, "shape": tuple(shape)}).encode()
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\0" * size
    with zipfile.ZipFile(path, "w") as file:
        for name in ("W0", "b0"):
            file.writestr(f"{name}.npy", content)
    outcome(lambda: load(path))


@LIMITS
@given(data=st.binary(max_size=400), ending=st.sampled_from([".onnx", ".npz", ".pt2", ".pth", ".pt"]))
def test_arbitrary_bytes(tmp_path_factory, data: bytes, ending: str) -> None:
    path = tmp_path_factory.getbasetemp() / f"bytes{ending}"
    path.write_bytes(data)
    assert isinstance(outcome(lambda: load(path)), LoadError)


def leaves(tree: object, path: tuple = ()) -> list[tuple]:
    """The paths to all numbers and words of a JSON tree."""
    if isinstance(tree, dict):
        return [leaf for key, entry in tree.items() for leaf in leaves(entry, (*path, key))]
    if isinstance(tree, list):
        return [leaf for place, entry in enumerate(tree) for leaf in leaves(entry, (*path, place))]
    return [path]


def set_leaf(tree: object, path: tuple, value: object) -> None:
    for key in path[:-1]:
        tree = tree[key]  # type: ignore[index]
    tree[path[-1]] = value  # type: ignore[index]


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> bytes:
    import torch

    parts = [
        torch.nn.Conv2d(1, 2, 3),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(8, 2),
    ]
    path = tmp_path_factory.mktemp("exported") / "net.pt2"
    torch.export.save(
        torch.export.export(torch.nn.Sequential(*parts).eval(), (torch.zeros(1, 1, 6, 6),)), path
    )
    return path.read_bytes()


@settings(LIMITS, max_examples=40)  # each is read by torch.export
@given(
    where=st.integers(0, 10**6),
    weights=st.booleans(),
    value=st.sampled_from(
        [None, -1, 0, 1, 3, 2**40, "x", "relu", "torch.ops.aten.relu.default", [], {}, 0.5, True]
    ),
)
def test_rewritten_exported_programs(
    tmp_path_factory, exported: bytes, where: int, weights: bool, value
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.pt2"
    with zipfile.ZipFile(io.BytesIO(exported)) as old, zipfile.ZipFile(path, "w") as new:
        for entry in old.infolist():
            content = old.read(entry)
            if entry.filename.endswith("weights_config.json" if weights else "models/model.json"):
                tree = json.loads(content)
                part = tree if weights else {k: tree["graph_module"][k] for k in ("graph", "signature")}
                found = [leaf for leaf in leaves(part) if "metadata" not in leaf]
                set_leaf(part, found[where % len(found)], value)
                content = json.dumps(tree).encode()
            new.writestr(entry.filename, content)
    outcome(lambda: load(path))

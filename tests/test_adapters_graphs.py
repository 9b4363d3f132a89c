"""Graphs of ONNX nodes: selections, batch axes, shapes, number types, inputs, outputs and functions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from adapters import from_onnx, from_torch, load
from polytope.errors import (
    CorruptFileError,
    LoadError,
    NotPiecewiseLinearError,
    UnsafeFileError,
    UnsupportedOpError,
)
from tests.onnx_cases import assert_equal_to_oracle
from tests.operator_cases import floats, ints, model_of, node

WHERE: dict[str, Callable[[], list[onnx.NodeProto]]] = {
    "leaky by Where": lambda: [
        node("Greater", "zero", outputs=["c"]),
        node("Mul", "a", outputs=["m"]),
        helper.make_node("Where", ["c", "x", "m"], ["y"]),
    ],
    "relu by a mask": lambda: [
        node("Less", "zero", outputs=["c"]),
        helper.make_node("Not", ["c"], ["n"]),
        helper.make_node("Cast", ["n"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["f", "x"], ["y"]),
    ],
    "clip at a constant": lambda: [
        node("LessOrEqual", "a", outputs=["c"]),
        helper.make_node("Where", ["c", "a", "x"], ["y"]),
    ],
}


GEMM = [node("Gemm", "w")]


RESHAPED = [node("Reshape", "four", outputs=["h"]), helper.make_node("Gemm", ["h", "w"], ["y"])]


FROM_LEFT = [helper.make_node("MatMul", ["m", "x"], ["y"])]


BATCHES = {
    "absent": ((6,), [node("Reshape", "flat")], (6,)),
    "one": ((1, 6), GEMM, (6,)),
    "free": (("batch", 6), GEMM, (6,)),
    "frozen": ((10, 6), GEMM, (6,)),
    "frozen, in a reshape": ((4, 2, 3), RESHAPED, (2, 3)),
    "none, though the first axis looks like one": ((2, 6), FROM_LEFT, (2, 6)),
}


@pytest.mark.parametrize("nodes", WHERE.values(), ids=WHERE)
def test_selections_whose_branches_meet(nodes: Callable[[], list[onnx.NodeProto]]) -> None:
    constants = {"zero": np.float32(0), "a": np.array([0.3, -0.2, 0.5], dtype=np.float32)}
    model = model_of(nodes(), (1, 3), constants, opset=16)
    network = from_onnx(model)
    assert_equal_to_oracle(model, (1, 3), network)
    assert network.n_units == 3


def test_selections_whose_branches_do_not_meet_are_refused() -> None:
    nodes = [node("Greater", "zero", outputs=["c"]), helper.make_node("Where", ["c", "x", "one"], ["y"])]
    with pytest.raises(NotPiecewiseLinearError, match="discontinuous"):
        from_onnx(model_of(nodes, (1, 3), {"zero": np.float32(0), "one": np.float32(1)}, opset=16))


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ([node("Mul", "x")], "quadratic"),
        ([node("MatMul", "x")], "quadratic"),
        ([node("Div", "x")], "divisor"),
        ([node("Neg", outputs=["i"]), helper.make_node("Gather", ["c", "i"], ["y"])], "index"),
        ([node("Relu", outputs=["w"]), helper.make_node("Gemm", ["x", "w"], ["y"])], "quadratic"),
        ([node("Cast", to=TensorProto.INT32)], "integers"),
    ],
)
def test_operands_that_depend_on_the_input_are_refused(nodes: list[onnx.NodeProto], words: str) -> None:
    with pytest.raises(NotPiecewiseLinearError, match=words):
        from_onnx(model_of(nodes, (2, 2), {"c": floats(3)}))


@pytest.mark.parametrize(("shape", "nodes", "per_sample"), BATCHES.values(), ids=BATCHES)
def test_batch_axes(shape: tuple, nodes: list[onnx.NodeProto], per_sample: tuple) -> None:
    constants = {"w": floats(6, 3), "flat": ints(1, -1), "four": ints(4, 6), "m": floats(5, 2)}
    model = model_of(nodes, shape, constants)
    network = from_onnx(model)
    assert network.input_shape == per_sample
    assert_equal_to_oracle(model, shape, network)


def test_a_model_that_mixes_the_samples_of_a_free_batch_is_refused() -> None:
    with pytest.raises(LoadError, match="mixes the samples"):
        from_onnx(model_of([node("ReduceMean", axes=[0])], ("n", 3), opset=13))


def test_open_sizes_are_asked_for_and_given() -> None:
    model = model_of([node("Relu")], ("n", "h", 3))
    with pytest.raises(LoadError, match="input_shape"):
        from_onnx(model)
    assert from_onnx(model, input_shape=(4, 3)).input_shape == (4, 3)
    assert from_onnx(model, input_shape=(1, 4, 3)).input_shape == (4, 3)
    with pytest.raises(ValueError, match="does not fit"):
        from_onnx(model, input_shape=(4, 5))


def test_a_chain_of_shape_operators_folds() -> None:
    nodes = [
        node("Shape", outputs=["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"], axis=0),
        helper.make_node("Unsqueeze", ["n", "axis"], ["nn"]),
        helper.make_node("Concat", ["nn", "minus"], ["target"], axis=0),
        node("Reshape", "target"),
    ]
    constants = {"zero": np.array(0), "axis": ints(0), "minus": ints(-1)}
    network = from_onnx(model_of(nodes, ("n", 2, 3), constants))
    assert (network.n_units, network.output_dim) == (0, 6)


@pytest.mark.parametrize(
    ("kind", "dtype", "name"),
    [(TensorProto.DOUBLE, np.float64, "float64"), (TensorProto.FLOAT16, np.float16, "float16")],
)
@pytest.mark.parametrize("op", ["Gemm", "Conv"])
def test_other_number_types(kind: int, dtype: type, name: str, op: str) -> None:
    shape, weight = ((1, 3), floats(3, 4)) if op == "Gemm" else ((1, 3, 4, 4), floats(2, 3, 2, 2))
    model = model_of(
        [node(op, "w", outputs=["h"]), helper.make_node("Relu", ["h"], ["y"])],
        shape,
        {"w": weight.astype(dtype)},
        kind=kind,
    )
    assert from_onnx(model).dtype == name


def test_several_inputs_and_outputs() -> None:
    nodes = [
        helper.make_node("Concat", ["a", "b"], ["c"], axis=1),
        helper.make_node("Relu", ["c"], ["y"]),
        helper.make_node("Add", ["a", "a"], ["z"]),
    ]
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", k]) for n, k in (("a", 2), ("b", 3))]
    graph = helper.make_graph(nodes, "g", infos, [onnx.ValueInfoProto(name=o) for o in "yz"])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    network = from_onnx(model)
    assert network.input_parts == (("a", (2,)), ("b", (3,)))
    assert (network.output_names, network.output_dim) == (("y", "z"), 7)
    np.testing.assert_array_equal(network([-1.0, 2, 3, -4, 5]), [0, 2, 3, 0, 5, -2, 4])
    only = from_onnx(model, until="z")
    assert (only.output_names, only.output_dim) == (("z",), 2)


def test_external_data_inside_the_folder(tmp_path: Path) -> None:
    model = model_of([node("Gemm", "w")], (1, 3), {"w": floats(3, 4)})
    onnx.save_model(
        model, tmp_path / "m.onnx", save_as_external_data=True, location="m.bin", size_threshold=0
    )
    assert load(tmp_path / "m.onnx").output_dim == 4
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "m.onnx").write_bytes((tmp_path / "m.onnx").read_bytes())
    (tmp_path / "sub" / "m.bin").symlink_to(tmp_path / "m.bin")
    with pytest.raises(LoadError, match="outside"):
        load(tmp_path / "sub" / "m.onnx")


def test_functions_of_a_model_are_unfolded_within_bounds() -> None:
    opset = [helper.make_opsetid("", 17)]
    twice = [helper.make_node("Add", ["a", "a"], ["b"])]
    functions = [helper.make_function("own", "f0", ["a"], ["b"], twice, opset)]
    opset = [*opset, helper.make_opsetid("own", 1)]
    for k in range(1, 40):
        calls = [helper.make_node(f"f{k - 1}", [a], [b], domain="own") for a, b in (("a", "c"), ("c", "b"))]
        functions.append(helper.make_function("own", f"f{k}", ["a"], ["b"], calls, opset))
    for depth, bomb in ((3, False), (39, True)):
        model = model_of([helper.make_node(f"f{depth}", ["x"], ["y"], domain="own")], (1, 2))
        model.opset_import.append(helper.make_opsetid("own", 1))
        model.functions.extend(functions[: depth + 1])
        if bomb:
            with pytest.raises(UnsafeFileError, match="unfold"):
                from_onnx(model)
        else:
            np.testing.assert_array_equal(from_onnx(model)([1.0, -2.0]), [256.0, -512.0])


@pytest.mark.parametrize("given", [3, (3.0,), "3", np.array([3]), (True,), [(3,), 4]])
def test_what_is_no_shape_is_named(given: Any) -> None:
    with pytest.raises(ValueError, match="input_shape"):
        from_onnx(model_of([node("Relu")], ("n", "m")), input_shape=given)


def test_what_is_no_model_is_named() -> None:
    with pytest.raises(TypeError, match=r"onnx\.ModelProto, not a str; load takes a path"):
        from_onnx("model.onnx")
    with pytest.raises(TypeError, match=r"torch\.nn\.Module, not a function"):
        from_torch(lambda x: x, np.zeros((1, 3)))


def test_a_name_that_is_declared_twice_is_refused() -> None:
    twice = model_of([node("Relu")], (1, 3))
    twice.graph.input.append(twice.graph.input[0])
    with pytest.raises(CorruptFileError, match="'x' is declared 2 times"):
        from_onnx(twice)


def test_refusals_name_what_they_refuse() -> None:
    kind, words = TensorProto.COMPLEX64, "a function of complex numbers"
    with pytest.raises(NotPiecewiseLinearError, match=words):
        from_onnx(model_of([node("Identity")], (1, 3), kind=kind))
    with pytest.raises(UnsupportedOpError, match="sizes open: \\? x 2"):
        from_onnx(model_of([node("Relu")], ("batch", "n", 2)))
    with pytest.raises(UnsupportedOpError, match="outputs hold no numbers"):
        from_onnx(model_of([node("Slice", "z", "z", "o")], (1, 3), {"z": ints(0), "o": ints(1)}))
    weights = {"w": floats(1, 2, 2), "r": floats(1, 2, 2)}
    affine = node("RNN", "w", "r", outputs=["y"], hidden_size=2, activations=["Affine"])
    with pytest.raises(UnsupportedOpError, match="its activation Affine is not supported"):
        from_onnx(model_of([affine], (3, 1, 2), weights))
    foreign = helper.make_node("Scaler", ["x"], ["y"], domain="com.example")
    with pytest.raises(UnsupportedOpError, match=r"unknown operator domain 'com.example'"):
        from_onnx(model_of([foreign], (1, 3)))


def test_a_batch_that_does_not_fit_gives_the_reason_of_the_whole_tensor() -> None:
    nodes = [node("Reshape", "flat", outputs=["h"]), helper.make_node("Softmax", ["h"], ["y"])]
    with pytest.raises(NotPiecewiseLinearError, match="not piecewise linear"):
        from_onnx(model_of(nodes, (4, 3), {"flat": ints(2, 6)}))

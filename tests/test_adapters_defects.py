"""A defect of a rule is called one, a misfit is refused by name, and what is odd but right loads."""

import re
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from adapters import from_onnx, load
from adapters.lowering.layers import Lowering, Value
from adapters.lowering.registry import Node
from adapters.lowering.tracing import applied
from adapters.torch.schema import checked_arguments
from polytope.errors import CorruptFileError, InternalError, LoadError
from tests.operator_cases import floats, ints, model_of, node


def broken(t: Lowering, node: Node) -> Value:
    """A rule with a mistake of ours."""
    return node.inputs[3]  # type: ignore[return-value]


def refusing(t: Lowering, node: Node) -> Value:
    raise CorruptFileError("Its operand is odd.")


def test_what_fails_in_a_rule_is_a_defect_and_what_it_refuses_is_not() -> None:
    with pytest.raises(InternalError, match="Node 'a': IndexError"):
        applied(Lowering(), "ONNX", Node("Relu", "a"), "Node 'a'", broken)
    with pytest.raises(CorruptFileError, match="Node 'a': its operand is odd"):
        applied(Lowering(), "ONNX", Node("Relu", "a"), "Node 'a'", refusing)


@pytest.mark.parametrize("ending", [".keras", ".h5", ".ckpt", ""])
def test_other_formats_are_not_called_corrupt(tmp_path: Path, ending: str) -> None:
    (tmp_path / f"model{ending}").write_bytes(b"TFL3")
    with pytest.raises(LoadError, match=r"this format is not read; \.onnx, \.tflite, \.pt2") as refused:
        load(tmp_path / f"model{ending}")
    assert type(refused.value) is LoadError


MISFITS = {
    "attribute 'axis' is of type STRING, not INT": (node("Flatten", axis="one"), {}),
    "attribute 'kernel_shape' is missing": (node("MaxPool"), {}),
    "shapes [1, 3], [2, 2] do not broadcast": (node("Add", "c"), {"c": floats(2, 2)}),
    "axis 5 does not exist": (node("Gather", "c", axis=5), {"c": ints(0)}),
    "operand 1 must hold whole numbers": (node("Expand", "c"), {"c": np.float32([1.5, 3])}),
    "asks for 4 of 3": (node("TopK", "k", outputs=["y", "i"]), {"k": ints(4)}),
}


@pytest.mark.parametrize("words", MISFITS)
def test_misfits_are_named(words: str) -> None:
    made, constants = MISFITS[words]
    with pytest.raises(CorruptFileError, match=re.escape(words)):
        from_onnx(model_of([made], (1, 3), constants, opset=13, outputs=["y"]))


def test_nothing_of_an_axis_is_nothing() -> None:
    nodes = [
        node("TopK", "none", outputs=["t", "i"]),
        helper.make_node("MatMul", ["t", "w"], ["m"]),
        helper.make_node("Concat", ["t", "x", "m"], ["y"], axis=1),
    ]
    network = from_onnx(model_of(nodes, (1, 3), {"none": ints(0), "w": floats(0, 2)}, opset=13))
    np.testing.assert_array_equal(network([[1.0, 2.0, 3.0]]), [[1, 2, 3, 0, 0]])


def test_a_size_of_minus_one_is_open_as_some_exporters_write_it() -> None:
    model = model_of([node("Relu")], (1, 2, 3), {})
    sizes = model.graph.input[0].type.tensor_type.shape.dim
    sizes[0].dim_value = sizes[2].dim_value = -1
    assert from_onnx(model, input_shape=(2, 3)).input_shape == (2, 3)
    sizes[1].dim_value = -2
    with pytest.raises(CorruptFileError, match="negative dimension"):
        from_onnx(model, input_shape=(2, 3))


def test_a_comparison_says_on_how_many_inputs_it_was_made() -> None:
    large = np.float32([[3e37], [0.0]])
    network = from_onnx(model_of([node("MatMul", "w")], (1, 2), {"w": large}))
    assert network.import_note.endswith("inputs: float32 overflows on the others")
    assert "compared with onnxruntime on " in network.import_note


def test_arguments_are_what_the_operator_declares() -> None:
    x = np.zeros((2, 3))
    with pytest.raises(CorruptFileError, match="'dim0' is missing"):
        checked_arguments("transpose", "int", {"self": x, "dim1": 0})
    with pytest.raises(CorruptFileError, match="'dim1' is a str; int was expected"):
        checked_arguments("transpose", "int", {"self": x, "dim0": 0, "dim1": "a"})
    with pytest.raises(CorruptFileError, match="no overload 'none'"):
        checked_arguments("transpose", "none", {})
    assert checked_arguments("sub", "Tensor", {"self": x, "other": 2.0})["other"].shape == ()

"""Every operator of ONNX with a rule, against onnxruntime."""

import warnings
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from adapters import from_onnx, supported_ops, supported_ops_markdown
from adapters.lowering.reasons import refusal
from tests.onnx_cases import assert_equal_to_oracle
from tests.operator_cases import CASES, Constants, floats, model_of, node

OLD = {
    "a cast by name": (node("Cast", to="DOUBLE"), (1, 3), lambda x: x),
    "scales of an image": (
        node("Upsample", height_scale=2.0, width_scale=1.0, mode="nearest"),
        (1, 1, 2, 2),
        lambda x: x.repeat(2, axis=2),
    ),
    "joined": (helper.make_node("Concat", ["x", "x"], ["y"]), (1, 3), lambda x: np.concatenate([x, x], 1)),
}


@pytest.mark.parametrize(
    ("made", "shape", "constants", "opset"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_an_operator_equals_onnxruntime(
    made: onnx.NodeProto, shape: tuple, constants: Constants, opset: int
) -> None:
    model = model_of([made], shape, constants, opset=opset, outputs=[o for o in made.output if o != "unread"])
    assert_equal_to_oracle(model, shape, from_onnx(model))


def test_every_registered_operator_has_a_case() -> None:
    constant_only = {
        r["op"] for r in supported_ops() if r["table"] == "ONNX" and r["note"].startswith("constant")
    }
    elsewhere = {"Constant", "Shape", "Size", "CastLike", "ConstantOfShape", "polytope.Convolution"}
    elsewhere |= {"If", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Not", "Where", "Range"}
    elsewhere |= {r["op"] for r in supported_ops() if r["family"] == "classical"}  # test_adapters_classical
    covered = {c[1].op_type for c in CASES}
    registered = {r["op"] for r in supported_ops() if r["table"] == "ONNX"}
    assert registered - constant_only - elsewhere <= covered


def test_the_published_table_lists_every_rule_with_a_meaning() -> None:
    rows, table = supported_ops(), supported_ops_markdown()
    assert all(r["meaning"] and r["tested"] for r in rows)
    assert len({(r["table"], r["op"]) for r in rows}) == len(rows)
    assert all(f"| {r['table']} | {r['op']} | {r['family']} |" in table for r in rows)


def test_every_restriction_says_why_and_every_refusal_has_a_row() -> None:
    assert not [r["op"] for r in supported_ops() if r["note"] and not r["why"]]
    for op in ("Softmax", "Floor", "Bernoulli", "Loop", "SequenceAt"):
        sentence = str(refusal("ONNX", op))
        assert f"| ONNX | {op} | {sentence} |" in supported_ops_markdown() or op in {
            r["op"] for r in supported_ops()
        }


@pytest.mark.parametrize(("made", "shape", "function"), OLD.values(), ids=OLD)
@pytest.mark.filterwarnings("ignore:The conversion was not checked")
def test_operators_of_the_first_set_are_not_broken(
    made: onnx.NodeProto, shape: tuple[int, ...], function: Callable[[np.ndarray], np.ndarray]
) -> None:
    """Their outputs may leave their shapes to be found, as old exporters do."""
    model = model_of([made], shape, opset=1)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, None))
    if made.op_type == "Cast":
        model.graph.output[0].type.tensor_type.elem_type = TensorProto.DOUBLE
    x = floats(*shape).astype(float)
    np.testing.assert_array_equal(from_onnx(model)(x.reshape(1, -1)), function(x).reshape(1, -1))


def test_space_to_depth_orders_channels_as_its_mode_says() -> None:
    """The operator set is newer than onnxruntime; by hand: channel, then row and column in the block."""
    model = model_of([node("SpaceToDepth", blocksize=2, mode="CRD")], (1, 2, 2, 2), opset=28)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = from_onnx(model)
    np.testing.assert_array_equal(network(np.arange(8.0)), np.arange(8.0))

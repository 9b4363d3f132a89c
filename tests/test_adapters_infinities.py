"""Infinities, remainders, casts and constants in ONNX models: what loads, and what is refused and why."""

from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from adapters import from_onnx, supported_ops
from polytope.errors import (
    CorruptFileError,
    LoadError,
    NotPiecewiseLinearError,
    UnsupportedOpError,
)
from tests.onnx_cases import assert_equal_to_oracle
from tests.operator_cases import IMAGE, floats, ints, model_of, node

INFINITE = {"low": np.float32(-np.inf), "mask": np.array([0, -np.inf, 0, -np.inf], dtype=np.float32)}


MASKED = {
    "a pad in front of a pool": [
        node("Pad", "widths", "low", outputs=["p"]),
        helper.make_node("MaxPool", ["p"], ["y"], kernel_shape=[2, 2], strides=[2, 2]),
    ],
    "a mask in front of a maximum": [
        node("Add", "mask", outputs=["m"]),
        helper.make_node("ReduceMax", ["m"], ["y"], axes=[3]),
    ],
    "a selection in front of a maximum": [
        helper.make_node("Where", ["choice", "x", "low"], ["m"]),
        helper.make_node("Neg", ["m"], ["n"]),
        helper.make_node("ReduceMin", ["n"], ["y"], axes=[3]),
    ],
}


CHOICE = {"choice": np.array([True, False, True, True]), "widths": ints(0, 0, 0, 1, 0, 0, 1, 1)}


WEIGHTS = {"v": floats(3, 2), "b": floats(2), "yes": np.array(True)}


INSIDE = numpy_helper.from_array(floats(3, 2), "v2")


def body(nodes: Sequence[onnx.NodeProto], output: str, *weights: onnx.TensorProto) -> onnx.GraphProto:
    """A branch, which reads what is around it."""
    return helper.make_graph(list(nodes), output, [], [onnx.ValueInfoProto(name=output)], list(weights))


DENSE = body(
    [
        node("MatMul", "v2", outputs=["h"]),
        helper.make_node("Add", ["h", "b"], ["z"]),
        helper.make_node("Relu", ["z"], ["r"]),
    ],
    "r",
    INSIDE,
)


SMOOTH = body([node("MatMul", "v", outputs=["h"]), helper.make_node("Tanh", ["h"], ["t"])], "t")


CHOICES = {
    "stored": [helper.make_node("If", ["yes"], ["y"], then_branch=DENSE, else_branch=SMOOTH)],
    "computed": [
        helper.make_node("Not", ["yes"], ["no"]),
        helper.make_node("If", ["no"], ["y"], then_branch=SMOOTH, else_branch=DENSE),
    ],
    "nested": [
        helper.make_node(
            "If",
            ["yes"],
            ["y"],
            then_branch=body(
                [helper.make_node("If", ["yes"], ["q"], then_branch=DENSE, else_branch=SMOOTH)], "q"
            ),
            else_branch=SMOOTH,
        )
    ],
}


OF_CONSTANTS = {
    "softmax": ([helper.make_node("Softmax", ["c"], ["k"])], 17),
    "sigmoid": ([helper.make_node("Sigmoid", ["c"], ["k"])], 17),
    "logarithm": ([helper.make_node("Log", ["a"], ["k"])], 17),
    "norm": ([helper.make_node("ReduceL2", ["c"], ["k"])], 17),
    "layer norm": ([helper.make_node("LayerNormalization", ["c", "a"], ["k"])], 17),
    "rounded": ([helper.make_node("Round", ["c"], ["k"])], 17),
    "quantised": (
        [
            helper.make_node("QuantizeLinear", ["c", "s"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "s"], ["k"]),
        ],
        17,
    ),
    "one hot": (
        [
            helper.make_node("OneHot", ["i", "depth", "s2"], ["o"]),
            helper.make_node("MatMul", ["c", "o"], ["k"]),
        ],
        17,
    ),
    "largest place": (
        [helper.make_node("ArgMax", ["c"], ["i0"], axis=0), helper.make_node("Gather", ["a", "i0"], ["k"])],
        17,
    ),
    "places of the largest": (
        [
            helper.make_node("TopK", ["c", "n"], ["v", "i0"]),
            helper.make_node("Gather", ["a", "i0"], ["k0"]),
            helper.make_node("ReduceSum", ["k0"], ["k"]),
        ],
        17,
    ),
    "power": ([helper.make_node("Pow", ["a", "c"], ["k"])], 17),
}


@pytest.mark.parametrize("nodes", MASKED.values(), ids=MASKED)
def test_what_is_minus_infinity_never_wins_a_maximum(nodes: list[onnx.NodeProto]) -> None:
    model = model_of(nodes, (1, 2, 5, 4), {**INFINITE, **CHOICE})
    network = from_onnx(model)
    assert_equal_to_oracle(model, (1, 2, 5, 4), network)
    assert all(np.isfinite(layer.bias).all() for layer in network.layers)


def test_minus_infinity_elsewhere_is_refused_for_what_it_is() -> None:
    for last in (helper.make_node("Relu", ["m"], ["y"]), helper.make_node("MatMul", ["m", "w"], ["y"])):
        model = model_of([node("Add", "mask", outputs=["m"]), last], (1, 4), {**INFINITE, "w": floats(4, 2)})
        with pytest.raises(NotPiecewiseLinearError, match="infinite number"):
            from_onnx(model)
    with pytest.raises(LoadError, match="diverged"):
        from_onnx(model_of([node("Add", "c")], (1, 2), {"c": np.array([np.inf, 0], dtype=np.float32)}))


def test_the_places_of_a_maximum_may_stay_unread_only() -> None:
    made = node("MaxPool", outputs=["y", "i"], kernel_shape=[2, 2])
    assert_equal_to_oracle(m := model_of([made], IMAGE), IMAGE, from_onnx(m))
    with pytest.raises(NotPiecewiseLinearError, match="places of extreme values"):
        from_onnx(model_of([made], IMAGE, outputs=["y", "i"]))
    cast = helper.make_node("Cast", ["i"], ["f"], to=1)
    with pytest.raises(NotPiecewiseLinearError, match="where extreme values lie"):
        from_onnx(model_of([made, cast], IMAGE, outputs=["f"]))


@pytest.mark.parametrize("nodes", CHOICES.values(), ids=CHOICES)
def test_a_constant_condition_chooses_a_branch(nodes: list[onnx.NodeProto]) -> None:
    model = model_of(nodes, (1, 3), WEIGHTS)
    network = from_onnx(model)
    assert network.import_note == "compared with onnxruntime"
    assert_equal_to_oracle(model, (1, 3), network)
    assert network.n_units == 2


def test_a_branch_is_refused_for_what_it_is() -> None:
    choice = helper.make_node("If", ["yes"], ["y"], then_branch=SMOOTH, else_branch=DENSE)
    with pytest.raises(NotPiecewiseLinearError, match=r"op If\): node 't' \(op Tanh\)") as refused:
        from_onnx(model_of([choice], (1, 3), WEIGHTS))
    assert "until=" not in str(refused.value)  # names inside a branch cannot be cut at
    moves = [node("ReduceSum", outputs=["s"], keepdims=0), helper.make_node("Greater", ["s", "zero"], ["c"])]
    choice = helper.make_node("If", ["c"], ["y"], then_branch=DENSE, else_branch=SMOOTH)
    with pytest.raises(UnsupportedOpError, match="condition depends on the input"):
        from_onnx(model_of([*moves, choice], (1, 3), {**WEIGHTS, "zero": np.float32(0)}))
    dangling = body([helper.make_node("Relu", ["nowhere"], ["r"])], "r")
    choice = helper.make_node("If", ["yes"], ["y"], then_branch=DENSE, else_branch=dangling)
    with pytest.raises(CorruptFileError, match="'nowhere'"):
        from_onnx(model_of([choice], (1, 3), WEIGHTS))


def test_a_broken_node_behind_a_free_batch_is_not_an_open_size() -> None:
    choice = helper.make_node("If", ["yes"], ["y"])
    with pytest.raises(CorruptFileError, match="else_branch"):
        from_onnx(model_of([choice], ("n", 3), WEIGHTS))


@pytest.mark.parametrize("outputs", [("h", "y"), ("h", "i")])
def test_an_output_that_no_rule_gives_is_named(outputs: tuple[str, str]) -> None:
    nodes = [node("Relu", outputs=outputs), helper.make_node("Add", ["h", outputs[1]], ["z"])]
    with pytest.raises(UnsupportedOpError, match=outputs[1]):
        from_onnx(model_of(nodes, (1, 3), outputs=("z",)))


@pytest.mark.parametrize("fmod", [0, 1])
def test_a_remainder_of_constants_has_the_sign_that_the_file_says(fmod: int) -> None:
    nodes = [
        helper.make_node("Mod", ["a", "b"], ["m"], fmod=fmod),
        helper.make_node("Cast", ["m"], ["f"], to=1),
    ]
    constants = {"a": ints(-5, 5, 7), "b": ints(3, -3, 4)}
    model = model_of([*nodes, node("Add", "f")], (1, 3), constants)
    assert_equal_to_oracle(model, (1, 3), from_onnx(model))


def test_a_remainder_of_the_input_jumps_whatever_it_is_divided_by() -> None:
    model = model_of([node("Mod", "b", fmod=1)], (1, 3), {"b": np.array([2, np.nan, 2], dtype=np.float32)})
    with pytest.raises(NotPiecewiseLinearError, match="discontinuous"):
        from_onnx(model)
    nodes = [helper.make_node("Mod", ["b", "b"], ["m"], fmod=1), node("Add", "m")]
    with pytest.raises(CorruptFileError, match="not finite"):
        from_onnx(model_of(nodes, (1, 3), {"b": np.array([2, np.nan, 2], dtype=np.float32)}))


@pytest.mark.parametrize("made", ["stored", "constant"])
def test_a_cast_to_the_type_of_a_coarser_tensor_may_round(made: str) -> None:
    like = np.zeros(1, dtype=np.float16)
    front = [helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(like))]
    nodes = [node("MatMul", "w", outputs=["h"]), helper.make_node("CastLike", ["h", "c"], ["k"])]
    nodes = [*(front if made == "constant" else []), *nodes, helper.make_node("Cast", ["k"], ["y"], to=1)]
    weights = {"w": floats(3, 40)} | ({"c": like} if made == "stored" else {})
    network = from_onnx(model_of(nodes, (1, 3), weights))
    assert 1e-4 < network.import_error < 1e-2


def test_whole_numbers_cast_like_the_input_divide_as_real_ones() -> None:
    nodes = [
        helper.make_node("CastLike", ["two", "x"], ["a"]),
        helper.make_node("CastLike", ["three", "x"], ["b"]),
        helper.make_node("Div", ["a", "b"], ["c"]),
        node("Mul", "c"),
    ]
    model = model_of(nodes, (1, 3), {"two": ints(2), "three": ints(3)})
    assert_equal_to_oracle(model, (1, 3), from_onnx(model))


def test_a_cast_like_whole_numbers_jumps() -> None:
    with pytest.raises(NotPiecewiseLinearError, match="integers: the output jumps"):
        from_onnx(model_of([node("CastLike", "w")], (1, 3), {"w": ints(1)}))


def test_a_cast_to_a_coarser_number_type_may_round() -> None:
    nodes = [node("Cast", outputs=["h"], to=10), helper.make_node("Cast", ["h"], ["y"], to=1)]
    network = from_onnx(model_of(nodes, (1, 3)))
    np.testing.assert_array_equal(network([0.1, -2.0, 3.0]), [0.1, -2.0, 3.0])
    with pytest.raises(NotPiecewiseLinearError, match="few bits"):
        from_onnx(model_of([node("Cast", outputs=["h"], to=17)], (1, 3), opset=19, outputs=["h"]))


def test_an_operator_without_a_rule_is_read_by_the_definition_that_onnx_gives() -> None:
    """A rotary embedding with constant tables is linear."""
    tables = {"c": floats(1, 4, 2), "s": floats(1, 4, 2)}
    model = model_of([node("RotaryEmbedding", *tables)], (1, 2, 4, 4), tables, opset=23)
    assert "RotaryEmbedding" not in {r["op"] for r in supported_ops()}
    assert_equal_to_oracle(model, (1, 2, 4, 4), from_onnx(model))


@pytest.mark.parametrize(("nodes", "opset"), OF_CONSTANTS.values(), ids=OF_CONSTANTS)
def test_a_smooth_or_jumping_operator_of_constants_is_a_constant(
    nodes: list[onnx.NodeProto], opset: int
) -> None:
    constants = {
        "c": np.array([0.7, -1.2, 0.7], dtype=np.float32),
        "a": np.array([1.5, 0.25, 3.0], dtype=np.float32),
        "s": np.float32(0.1),
        "s2": np.array([0.5, 2.0], dtype=np.float32),
        "i": ints(2, 0, 1),
        "depth": np.int64(3),
        "n": ints(2),
    }
    made = model_of([*nodes, node("Mul", "k")], (1, 3), constants, opset=opset)
    network = from_onnx(made)
    assert network.n_units == 0
    assert_equal_to_oracle(made, (1, 3), network)


def test_the_first_power_of_the_input_is_the_input() -> None:
    exponents = np.array([1, 0, 1], dtype=np.float32)
    made = model_of([node("Pow", "p")], (1, 3), {"p": exponents})
    network = from_onnx(made)
    np.testing.assert_array_equal(network([[5.0, 6.0, -7.0]]), [[5.0, 1.0, -7.0]])
    with pytest.raises(NotPiecewiseLinearError, match="not piecewise linear"):
        from_onnx(model_of([node("Pow", "p")], (1, 3), {"p": 2 * exponents}))


def test_what_is_infinite_is_no_place_to_stop() -> None:
    """Advice that would be refused itself is not given."""
    infinite = {"c": np.array([-np.inf, 0.0, 0.0], dtype=np.float32)}
    masked = [node("Max", "c", outputs=["m"]), node("Add", "c", outputs=["h"])]
    made = model_of([*masked, helper.make_node("Relu", ["h"], ["y"])], (1, 3), infinite)
    with pytest.raises(NotPiecewiseLinearError, match="infinite number reaches it") as refused:
        from_onnx(made)
    assert "until" not in str(refused.value)
    with pytest.raises(NotPiecewiseLinearError, match=r"^The outputs: an infinite number"):
        from_onnx(made, until="h")

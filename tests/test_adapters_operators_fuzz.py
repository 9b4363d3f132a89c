"""Operators with attributes, operands and shapes changed at random: a rule converts them or refuses them."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from adapters import supported_ops
from adapters.onnx.graph import read_graph
from adapters.onnx.trace import trace
from polytope.errors import LoadError
from tests.operator_cases import CASES, Case, model_of

WHOLE = (-(2**62), -7, -2, -1, 0, 1, 2, 3, 5, 1000, 2**31, 2**62)
WORDS = ("", "zzz", "linear", "cubic", "wrap", "reflect", "SAME_UPPER", "VALID", "CRD", "ij->ji", "...->...")
NUMBERS = (0.0, -1.5, 1e30, np.inf, np.nan)
KINDS = ("float32", "float32", "int64", "bool", "float64", "int8", "uint8", "float16")
OPERATORS = sorted(
    {r["op"] for r in supported_ops() if r["table"] == "ONNX"} - {"If", "polytope.Convolution"}
)
SEEDS = range(8)
MODELS = 400

Parts = tuple[onnx.NodeProto, list[Any], dict[str, np.ndarray], int]


def array(rng: np.random.Generator) -> np.ndarray:
    """Some constant."""
    shape = rng.integers(0, 4, rng.integers(0, 5))
    return np.asarray(rng.integers(-3, 6, shape)).astype(KINDS[rng.integers(len(KINDS))])


def choose(rng: np.random.Generator, entries: Any) -> Any:
    return entries[int(rng.integers(len(entries)))]


def change_attribute(rng: np.random.Generator, parts: Parts) -> Parts:
    """An attribute of another value or type, or none; of this operator or of another."""
    node, own = parts[0], [a.name for a in parts[0].attribute]
    other = [a.name for a in choose(rng, CASES)[1].attribute]
    name = choose(rng, own * 2 + other or ["axis"])
    for attribute in [a for a in node.attribute if a.name == name]:
        node.attribute.remove(attribute)
    values: list[Callable[[], Any]] = [
        lambda: choose(rng, WHOLE),
        lambda: [choose(rng, WHOLE) for _ in range(int(rng.integers(1, 5)))],
        lambda: float(choose(rng, NUMBERS)),
        lambda: choose(rng, WORDS),
        lambda: numpy_helper.from_array(array(rng), "t"),
    ]
    if rng.integers(6):
        node.attribute.append(helper.make_attribute(name, choose(rng, values)()))
    return parts


def change_shape(rng: np.random.Generator, parts: Parts) -> Parts:
    """An axis of the input of another size, more, or less."""
    shape, place = parts[1], int(rng.integers(len(parts[1]) or 1))
    how = rng.integers(3)
    if how == 0 or not shape:
        shape.insert(place, int(rng.integers(1, 3)))
    elif how == 1:
        shape[place] = choose(rng, [0, 1, 2, 3, 5, "m"])
    else:
        shape.pop(place)
    return parts


def change_constant(rng: np.random.Generator, parts: Parts) -> Parts:
    """A constant of another shape, type or values."""
    if parts[2]:
        name = choose(rng, list(parts[2]))
        old = np.asarray(parts[2][name])
        made = [
            array(rng),
            old[None],
            np.concatenate([old.ravel(), old.ravel()]),
            old.astype(choose(rng, KINDS)),
        ]
        parts[2][name] = choose(rng, made)
    return parts


def change_operand(rng: np.random.Generator, parts: Parts) -> Parts:
    """An operand more, another one, or one less."""
    node, how = parts[0], rng.integers(4)
    names = ["x", "", *parts[2]]
    if how == 0 and node.input:
        del node.input[-1]
    elif how == 1:
        node.input.append(choose(rng, names))
    elif how == 2 and node.input:
        node.input[int(rng.integers(len(node.input)))] = choose(rng, names)
    else:
        parts[2][f"more{len(parts[2])}"] = array(rng)
        node.input.append(f"more{len(parts[2]) - 1}")
    return parts


def change_operator(rng: np.random.Generator, parts: Parts) -> Parts:
    """Another operator set, or sometimes another operator."""
    if rng.integers(3) == 0:
        parts[0].op_type = choose(rng, OPERATORS)
    return (*parts[:3], int(rng.integers(1, 24)))


CHANGES = (change_attribute, change_attribute, change_shape, change_constant, change_operand, change_operator)


def changed(rng: np.random.Generator, case: Case) -> onnx.ModelProto:
    """A case with one to three changes."""
    _, made, shape, constants, opset = case
    node = onnx.NodeProto()
    node.CopyFrom(made)
    parts: Parts = (node, list(shape), dict(constants), opset)
    for _ in range(int(rng.integers(1, 4))):
        parts = choose(rng, CHANGES)(rng, parts)
    outputs = [o for o in node.output if o != "unread"]
    return model_of([parts[0]], parts[1], parts[2], opset=parts[3], outputs=outputs)


@pytest.mark.parametrize("seed", SEEDS)
def test_changed_operators_are_converted_or_refused(seed: int) -> None:
    """Anything but a LoadError is a defect of the rule, which ``applied`` says by an InternalError."""
    rng, refused = np.random.default_rng(seed), 0
    for _ in range(MODELS):
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                trace(read_graph(changed(rng, choose(rng, CASES)), None), None, per_sample=True)
            except LoadError:
                refused += 1
    assert 0 < refused < MODELS

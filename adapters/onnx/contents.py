"""What an ONNX file holds, by name: inputs, outputs, and the tensors between them with their operators."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx

from adapters.lowering.reasons import refusal
from adapters.lowering.registry import has_rule
from adapters.onnx.classical import without_lists
from adapters.onnx.file import parse_model
from adapters.onnx.graph import read_graph
from polytope.errors import NotPiecewiseLinearError


@dataclass(frozen=True)
class Written:
    """A tensor that an operator writes.

    Arguments:
        name: as ``until`` takes it.
        operator: with its domain, where that is not ONNX's own.
        refused: why its operator is not read, where the operator itself is the reason.
    """

    name: str
    operator: str
    refused: str = ""


@dataclass(frozen=True)
class Contents:
    """The names in a file.

    Arguments:
        inputs: names and sizes; a text where a size is open.
        outputs: as declared.
        tensors: in the order in which they are computed.
    """

    inputs: tuple[tuple[str, tuple[int | str, ...]], ...] = ()
    outputs: tuple[str, ...] = ()
    tensors: tuple[Written, ...] = ()


def contents(path: Path) -> Contents:
    """The names in an ONNX file; weights are not looked at.

    Raises:
        LoadError: the file cannot be read, or its graph is broken.
    """
    graph = read_graph(without_lists(parse_model(path.read_bytes(), path.name)), None)
    return Contents(
        inputs=tuple((i.name, _shape(i)) for i in graph.inputs),
        outputs=graph.outputs,
        tensors=tuple(
            Written(name, _operator(node), _why(node)) for node in graph.nodes for name in node.output if name
        ),
    )


def _shape(info: onnx.ValueInfoProto) -> tuple[int | str, ...]:
    dims = info.type.tensor_type.shape.dim
    return tuple(int(d.dim_value) if d.HasField("dim_value") else d.dim_param or "?" for d in dims)


def _operator(node: onnx.NodeProto) -> str:
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"


def _why(node: onnx.NodeProto) -> str:
    """Why no rule reads an operator that depends on the input."""
    operator = _operator(node)
    if has_rule(operator):
        return ""
    error = refusal("ONNX", operator)
    return "not piecewise linear" if isinstance(error, NotPiecewiseLinearError) else "not supported"

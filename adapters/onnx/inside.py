"""A tensor inside an ONNX model in onnxruntime."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from adapters.check import NotRunnableError
from adapters.files import contents
from adapters.onnx.file import parse_model, resolve_external
from adapters.onnx.graph import ordered, producers
from adapters.onnx.runtime import session_of
from polytope.errors import CorruptFileError, UnsupportedOpError


def model_of(given: Any, verb: str) -> onnx.ModelProto:
    """A model in memory as it is, or the one of a file, with its external data.

    Raises:
        TypeError: it is neither; the message names the verb.
    """
    if isinstance(given, onnx.ModelProto):
        return given
    if not isinstance(given, str | os.PathLike) or Path(given).suffix.lower() != ".onnx":
        raise TypeError(f"{verb}: expected an ONNX file or model or a torch.nn.Module, not {given!r}.")
    file = Path(given)
    parsed = parse_model(contents(file), file.name)
    resolve_external(parsed, file.parent)
    return parsed


def values_in_model(model: onnx.ModelProto, inputs: Sequence[Any], at: str) -> NDArray[Any]:
    """A tensor for all samples: in one batch, or in batches of the size that the model fixes."""
    try:
        session = session_of(_ending_at(model, at).SerializeToString())
        names = [(i.name, i.shape, i.type) for i in session.get_inputs()]
        if not names:
            raise UnsupportedOpError(
                f"{at!r} does not depend on the inputs: it is the same whatever they are."
            )
        if len(names) != len(inputs):
            read = f"{len(names)} input" + ("" if len(names) == 1 else "s")
            raise UnsupportedOpError(
                f"The model reads {read} up to {at!r}, {[name for name, *_ in names]}; x gives {len(inputs)}."
            )
        arrays: dict[str, NDArray[Any]] = {
            name: np.asarray(entry).astype(_KINDS.get(kind, np.float32))
            for (name, _, kind), entry in zip(names, inputs, strict=True)
        }
        fixed = {shape[0] for _, shape, _ in names if shape and isinstance(shape[0], int)}
        n = len(inputs[0])
        size = fixed.pop() if len(fixed) == 1 else n
        if n % size:
            raise UnsupportedOpError(f"The model takes batches of {size} samples; x gives {n}.")
        parts = [{name: a[i : i + size] for name, a in arrays.items()} for i in range(0, n, size)]
        return np.concatenate([_run(session, part) for part in parts])
    except NotRunnableError as error:
        raise UnsupportedOpError(f"{error}.") from error


_KINDS = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
}


def _ending_at(model: onnx.ModelProto, at: str) -> onnx.ModelProto:
    """The model whose one output is a tensor on the way; what that does not need is left out."""
    graph = model.graph
    stored = {tensor.name for tensor in graph.initializer}
    inputs = {info.name for info in graph.input} - stored
    producer = producers(graph.node, inputs | stored)
    if at not in producer and at not in inputs:
        raise CorruptFileError(
            f"There is no tensor {at!r} that the model computes. `polytope info FILE` lists them."
        )
    nodes = ordered(graph.node, producer, [at])
    read = {name for node in nodes for name in node.input} | {at}
    made = onnx.ModelProto()
    made.CopyFrom(model)
    kept = [info for info in graph.input if info.name in read and info.name not in stored]
    for field, entries in (("node", nodes), ("input", kept), ("output", [onnx.ValueInfoProto(name=at)])):
        del getattr(made.graph, field)[:]
        getattr(made.graph, field).extend(entries)
    if not nodes:  # onnxruntime passes no input through
        made.graph.node.append(onnx.helper.make_node("Identity", [at], [f"{at} itself"]))
        made.graph.output[0].name = f"{at} itself"
    return made


def _run(session: Any, feeds: dict[str, NDArray[Any]]) -> NDArray[Any]:
    try:
        return np.asarray(session.run(None, feeds)[0])
    except Exception as error:  # onnxruntime raises many unrelated kinds
        said = str(error).split("\n")[0][:300]
        raise UnsupportedOpError(f"onnxruntime cannot run the model on x: {said}") from error

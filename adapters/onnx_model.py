"""ONNX models, from a file or in memory: traced, compared with onnxruntime, returned as networks."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper

from adapters.check import Session, checked
from adapters.inputs import InputPart
from adapters.onnx_file import parse_model, resolve_external
from adapters.onnx_functions import without_functions
from adapters.onnx_graph import Graph, dtype_of, read_graph, trace
from adapters.onnx_single import in_single_precision
from polytope.errors import CorruptFileError, ImportMismatchError, LoadError, UnsupportedOpError
from polytope.ir import Network
from polytope.ir.maps import FloatArray

_LARGEST_BATCH_RUN = 2**25
_MIXED = (
    "The model mixes the samples of a batch: its output for one sample depends on the others. "
    "Export it with the batch axis fixed at one if that is meant."
)


def network_from_onnx(
    model: onnx.ModelProto, *, until: str | Sequence[str] | None, input_shape: Any, folder: Path | None
) -> Network:
    """The network of an ONNX model, compared with onnxruntime.

    A fixed first axis longer than one is taken for a batch; if the model mixes its entries, it is none,
    and the whole tensor is the input.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    resolve_external(copy, folder)
    names = None if until is None else [until] if isinstance(until, str) else list(until)
    graph = read_graph(without_functions(copy), names)
    network, parts = _traced(graph, input_shape)
    if all(p.frozen == 1 for p in parts):
        return _verified(graph, network, parts)
    try:
        return _verified(graph, network, parts)
    except ImportMismatchError:
        network, parts = trace(graph, input_shape, per_sample=False)
        return _verified(graph, network, parts)


def _traced(graph: Graph, input_shape: Any) -> tuple[Network, list[InputPart]]:
    try:
        return trace(graph, input_shape, per_sample=True)
    except CorruptFileError as first:
        try:
            return trace(graph, input_shape, per_sample=False)
        except LoadError:
            raise first from None


def _verified(graph: Graph, network: Network, parts: Sequence[InputPart]) -> Network:
    """Compare with onnxruntime, one sample at a time, or a whole frozen batch at a time."""
    dtype, batch = dtype_of(graph), max(p.frozen for p in parts)
    session, dtype = _session(_standalone(graph, parts), dtype)
    if batch * (network.n_units + network.input_dim) > _LARGEST_BATCH_RUN:
        if not session.accepts([(1, *p.per_sample_shape) for p in parts], dtype):
            raise _too_large_batch(network, batch)
        batch = 1

    def reference(x: FloatArray) -> FloatArray:
        return session.rows(x, parts, batch, dtype)

    found = checked(network, reference, dtype, steps=len(graph.nodes), file_dtype=dtype_of(graph))
    if batch == 1 and all(p.free for p in parts):
        _refuse_mixing(session, parts, dtype)
    return found


def _session(model: bytes, dtype: str) -> tuple[Session, str]:
    """The model in onnxruntime, in single precision where it lacks an operator in the model's own type."""
    try:
        if dtype != "bfloat16":
            return Session(model), dtype
        return Session(in_single_precision(model)), "float32"
    except CorruptFileError as error:
        if dtype == "float32" or "NOT_IMPLEMENTED" not in str(error):
            raise
        return Session(in_single_precision(model)), "float32"


def _too_large_batch(network: Network, batch: int) -> LoadError:
    return UnsupportedOpError(
        f"The model's batch is frozen at {batch:,} samples, together {batch * network.n_units:,} units: "
        "too many to run it for the comparison. Export it with a free batch axis, or with a batch of one."
    )


def _refuse_mixing(session: Session, parts: Sequence[InputPart], dtype: str) -> None:
    """With a free batch axis, two samples together must give what each gives alone."""
    rng = np.random.default_rng(1)
    x = rng.uniform(0, 1, (2, sum(prod(p.shape) for p in parts)))
    try:
        together = session.rows(x, parts, 2, dtype)
    except CorruptFileError:
        return
    except ImportMismatchError as error:
        raise ImportMismatchError(_MIXED) from error
    alone = session.rows(x, parts, 1, dtype)
    close = together.shape == alone.shape and np.allclose(
        together, alone, rtol=1e-2, atol=1e-3 + 1e-2 * np.abs(alone).max(initial=0.0)
    )
    if not close:
        raise ImportMismatchError(_MIXED)


def _standalone(graph: Graph, parts: Sequence[InputPart]) -> bytes:
    """A model of the needed nodes only, with open batch axes and no external data."""
    by_name = {p.name: p for p in parts}
    inputs = []
    for info in graph.inputs:
        part = by_name[info.name]
        dims: list[int | str] = ["batch", *part.shape[1:]] if part.batched else list(part.shape)
        inputs.append(helper.make_tensor_value_info(info.name, info.type.tensor_type.elem_type, dims))
    used = {name for node in graph.nodes for name in node.input} | set(graph.outputs)
    weights = [tensor for name, tensor in graph.initializers.items() if name in used]
    outputs = [onnx.ValueInfoProto(name=name) for name in graph.outputs]
    made = onnx.ModelProto(ir_version=max(graph.model.ir_version, 4) if graph.model.ir_version else 8)
    made.opset_import.extend(graph.model.opset_import)
    made.functions.extend(graph.model.functions)
    made.graph.name = "checked"
    made.graph.node.extend(graph.nodes)
    made.graph.initializer.extend(weights)
    made.graph.input.extend(inputs)
    made.graph.output.extend(outputs)
    try:
        return bytes(made.SerializeToString())
    except (ValueError, RuntimeError) as error:
        raise UnsupportedOpError(
            "The model is larger than the 2 GB that onnxruntime takes in one piece."
        ) from error


def read_onnx(path: Path, data: bytes, *, until: str | Sequence[str] | None, input_shape: Any) -> Network:
    """The network of an ONNX file."""
    model = parse_model(data, path.name)
    return network_from_onnx(model, until=until, input_shape=input_shape, folder=path.parent)

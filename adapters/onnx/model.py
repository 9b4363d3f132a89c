"""ONNX models, from a file or in memory: traced, compared with a runtime, returned as networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper

from adapters.check import (
    TOLERANCE,
    Model,
    NotRunnableError,
    checked,
    cost,
    noted,
    refuse_mixing,
    unchecked,
)
from adapters.inputs import InputPart
from adapters.onnx.branches import nested, reads
from adapters.onnx.classical import without_lists
from adapters.onnx.decomposed import numbers, with_smooth_units
from adapters.onnx.file import parse_model, resolve_external
from adapters.onnx.functions import with_rules, without_functions
from adapters.onnx.graph import DTYPES, Graph, dtype_of, ordered, producers, read_graph
from adapters.onnx.piece import beginning_at
from adapters.onnx.quantised import rounds, without_rounding
from adapters.onnx.runtime import Run, complaint, in_onnxruntime, in_reference
from adapters.onnx.single import in_single_precision
from adapters.onnx.trace import input_parts, trace
from adapters.pieces import Piece
from polytope.errors import CorruptFileError, ImportMismatchError, LoadError, UnsupportedOpError
from polytope.ir import Network

_LARGEST_BATCH_RUN = 2**25
_ALONG_AXIS = ("Add", "Sub", "Mul", "Div")
_NEWEST_IR = 10
_LARGEST_IN_REFERENCE = 2**26
"""Multiplications of one forward pass up to which numpy checks what onnxruntime has no kernel for."""


def network_from_onnx(
    model: onnx.ModelProto,
    *,
    piece: Piece,
    input_shape: Any,
    folder: Path | None,
) -> Network:
    """The network of an ONNX model, compared with onnxruntime, or with onnx.reference where that cannot.

    A fixed first axis longer than one is taken for a batch; if the model mixes its entries, it is none,
    and the whole tensor is the input.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    resolve_external(copy, folder)
    if piece.dequantised:
        return _dequantised(copy, piece, input_shape)
    return _standard(copy, piece, input_shape)


def _dequantised(model: onnx.ModelProto, piece: Piece, input_shape: Any) -> Network:
    """The network of a quantised model without its rounding, which it says; of others, their own."""
    if not rounds(model):
        return _standard(model, piece, input_shape)
    return noted(_standard(without_rounding(model), piece, input_shape), dequantised=True)


def _standard(model: onnx.ModelProto, piece: Piece, input_shape: Any) -> Network:
    """The network of a model of which nothing but nodes is left."""
    standard = with_rules(without_functions(without_lists(model)))
    graph = read_graph(beginning_at(standard, piece) if piece.start else standard, piece.until)
    if piece.spacing is not None:
        return _verified_whole(graph, _in_one_piece(graph), input_shape, piece.spacing)
    return _verified_whole(graph, graph, input_shape, None)


def _in_one_piece(graph: Graph) -> Graph:
    """The graph with smooth activations that are written as several nodes as one node each."""
    model = graph.model.graph
    nodes = with_smooth_units(graph.nodes, numbers(model.initializer, graph.nodes))
    producer = producers(nodes, {i.name for i in graph.inputs} | set(graph.initializers))
    return replace(graph, nodes=ordered(nodes, producer, graph.outputs))


def _verified_whole(graph: Graph, traced: Graph, input_shape: Any, spacing: float | None) -> Network:
    """The network of one graph, compared with the model of another; of all the input if entries mix."""
    network, parts = _traced(traced, input_shape, spacing)
    frozen = {p.frozen for p in parts}
    if frozen == {1}:
        return _verified(graph, network, parts)
    try:
        if len(frozen) > 1:
            raise ImportMismatchError("The first axes of the inputs differ, so they are no batch.")
        return _verified(graph, network, parts)
    except ImportMismatchError:
        if not _fits_whole(graph, input_shape):
            raise
        network, parts = trace(traced, input_shape, per_sample=False, spacing=spacing)
        return _verified(graph, network, parts)


def _traced(graph: Graph, input_shape: Any, spacing: float | None) -> tuple[Network, list[InputPart]]:
    try:
        return trace(graph, input_shape, per_sample=True, spacing=spacing)
    except CorruptFileError as first:
        if not _fits_whole(graph, input_shape):
            raise
        try:
            return trace(graph, input_shape, per_sample=False, spacing=spacing)
        except (
            LoadError
        ) as second:  # constants of the frozen batch may not fit one sample: no fault of the file
            raise first if isinstance(second, CorruptFileError) else second from None


def _fits_whole(graph: Graph, input_shape: Any) -> bool:
    """Whether the inputs can be read without a batch axis: no size is open then."""
    try:
        input_parts(graph, input_shape, per_sample=False)
    except (LoadError, ValueError):
        return False
    return True


def _verified(graph: Graph, network: Network, parts: Sequence[InputPart]) -> Network:
    """Compare with the first runtime that runs the model: samples alone, and in batches."""
    dtype, model = dtype_of(graph), _standalone(graph, parts)
    refusals = []
    for name, kind, start in _runtimes(graph, model, network, parts, dtype):
        try:
            run = start()
            candidate = Model(name, run, _batch(network, run, parts))
            steps = len(graph.nodes)
            found = checked(network, candidate, kind, steps=steps, file_dtype=dtype)
        except NotRunnableError as error:
            refusals.append(str(error))
            continue
        except ImportMismatchError:
            if name == "onnxruntime" or candidate.batch > 1 or not _sums_along_axis(graph):
                raise
            refusals.append("onnx.reference does not know the axis that old sums had")
            continue
        if candidate.batch > 1 or all(p.free for p in parts if p.batched):
            refuse_mixing(network, candidate, parts, kind, steps=steps)
        return found
    wrong = complaint(graph.model)
    if wrong:
        raise CorruptFileError(f"The model is broken, says onnx's checker ({wrong}), and {refusals[0]}.")
    return unchecked(network, f"no runtime at hand runs the model: {'; '.join(refusals)}", dtype)


def _runtimes(
    graph: Graph, model: bytes, network: Network, parts: Sequence[InputPart], dtype: str
) -> Iterator[tuple[str, str, Callable[[], Run]]]:
    """Runtimes in order of preference: name, number type, and how to start it."""

    def reference(data: bytes, kind: str) -> Run:
        if cost(network) > _LARGEST_IN_REFERENCE:
            raise NotRunnableError("it is too large for onnx.reference")
        return in_reference(data, parts, kind)

    kind, single = _coarsest(graph, dtype), "float32"
    other = "as onnxruntime does not run this model"
    if dtype != "bfloat16":
        yield "onnxruntime", kind, lambda: in_onnxruntime(model, parts, dtype)
        yield f"onnx.reference, {other}", kind, lambda: reference(model, dtype)
    if dtype != "float32":
        name = f"onnxruntime in single precision, as it does not run this model in {dtype}"
        yield name, single, lambda: in_onnxruntime(in_single_precision(model), parts, single)
    if dtype == "bfloat16":
        name = f"onnx.reference in single precision, {other}"
        yield name, single, lambda: reference(in_single_precision(model), single)


def _sums_along_axis(graph: Graph) -> bool:
    """Whether sums say the axis to broadcast along, as they did below operator set 7."""
    return any(a.name == "axis" for n in graph.nodes if n.op_type in _ALONG_AXIS for a in n.attribute)


def _coarsest(graph: Graph, dtype: str) -> str:
    """The number type that rounds most: the inputs', or one that values are cast to on the way."""
    kinds, nodes = [], list(nested(graph.nodes))
    stored = {tensor.name: tensor.data_type for tensor in graph.initializers.values()}
    stored |= {n.output[0]: a.t.data_type for n in nodes for a in n.attribute if n.op_type == "Constant"}
    for node in nodes:
        kinds += [a.i for a in node.attribute if node.op_type == "Cast" and a.name == "to"]
        kinds += [stored.get(name, 0) for name in node.input[1:] if node.op_type == "CastLike"]
    return max((dtype, *(DTYPES[i] for i in kinds if i in DTYPES)), key=TOLERANCE.__getitem__)


def _batch(network: Network, run: Run, parts: Sequence[InputPart]) -> int:
    """How many samples the model is run with: one, or the batch that the file fixes."""
    batch = max(p.frozen for p in parts)
    if batch * (network.n_units + network.input_dim) <= _LARGEST_BATCH_RUN:
        return batch
    try:
        run(np.zeros((1, network.input_dim)))
    except NotRunnableError as error:
        raise UnsupportedOpError(
            f"The model's batch is frozen at {batch:,} samples, together {batch * network.n_units:,} units: "
            "too many to run it for the comparison. Export it with a free batch axis, or with a batch of one."
        ) from error
    return 1


def _standalone(graph: Graph, parts: Sequence[InputPart]) -> bytes:
    """A model of the needed nodes only, with open batch axes and no external data."""
    by_name = {p.name: p for p in parts}
    inputs = []
    for info in graph.inputs:
        part = by_name[info.name]
        dims: list[int | str] = ["batch", *part.shape[1:]] if part.batched else list(part.shape)
        inputs.append(helper.make_tensor_value_info(info.name, info.type.tensor_type.elem_type, dims))
    used = {name for node in graph.nodes for name in reads(node)} | set(graph.outputs)
    weights = [tensor for name, tensor in graph.initializers.items() if name in used]
    outputs = [onnx.ValueInfoProto(name=name) for name in graph.outputs]
    version = graph.model.ir_version or 8  # newer ones only add what no rule reads, and onnxruntime lags
    made = onnx.ModelProto(ir_version=min(max(version, 4), _NEWEST_IR))
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


def read_onnx(path: Path, data: bytes, *, piece: Piece, input_shape: Any) -> Network:
    """The network of an ONNX file."""
    model = parse_model(data, path.name)
    return network_from_onnx(model, piece=piece, input_shape=input_shape, folder=path.parent)

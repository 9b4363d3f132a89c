"""An ONNX graph, checked: the nodes that its outputs need, in an order in which they can be computed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx

from adapters.onnx.branches import reads
from polytope.errors import CorruptFileError, UnsupportedOpError

DTYPES = {1: "float32", 10: "float16", 11: "float64", 16: "bfloat16"}
NEWEST_OPSET = onnx.defs.onnx_opset_version()


@dataclass(frozen=True, eq=False)
class Graph:
    """The part of an ONNX graph that its outputs need, in an order in which it can be computed.

    Arguments:
        inner: whether it is a sub-graph, whose tensors cannot be named from outside.
    """

    nodes: tuple[onnx.NodeProto, ...]
    initializers: Mapping[str, onnx.TensorProto]
    inputs: tuple[onnx.ValueInfoProto, ...]
    outputs: tuple[str, ...]
    opset: int
    model: onnx.ModelProto
    inner: bool = False


def read_graph(model: onnx.ModelProto, until: Sequence[str] | None) -> Graph:
    """Check the graph's structure, and keep what the outputs (or the tensors named by until) need."""
    graph = model.graph
    if graph.sparse_initializer:
        raise UnsupportedOpError(
            "The model has sparse initialisers, which are not supported. Export it with dense ones."
        )
    initializers = {tensor.name: tensor for tensor in graph.initializer}
    inputs = tuple(i for i in graph.input if i.name not in initializers)
    for declared_names in ([i.name for i in graph.input], [tensor.name for tensor in graph.initializer]):
        name, count = Counter(declared_names).most_common(1)[0] if declared_names else ("", 1)
        if count > 1:
            raise CorruptFileError(f"Tensor {name!r} is declared {count} times.")
    producer = producers(graph.node, {i.name for i in inputs} | set(initializers))
    declared = tuple(o.name for o in graph.output)
    outputs = tuple(until) if until else declared
    known = {i.name for i in inputs} | set(initializers) | set(producer)
    for name in outputs:
        if name not in known:
            raise CorruptFileError(
                f"There is no tensor {name!r} in the model. Its outputs are: {_listed(declared)}."
            )
    if not outputs:
        raise CorruptFileError("The model declares no output.")
    _refuse_dangling(graph.node, known)
    nodes = ordered(graph.node, producer, outputs)
    return Graph(nodes, initializers, inputs, outputs, _opset(model), model)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(n) for n in names[:8])
    return shown + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _opset(model: onnx.ModelProto) -> int:
    versions = [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")]
    opset = int(versions[0]) if versions else 1
    if not 1 <= opset <= NEWEST_OPSET:
        raise UnsupportedOpError(
            f"The model uses operator set {opset}; 1 to {NEWEST_OPSET} are known. "
            "Export it with opset 17, or update onnx."
        )
    return opset


def producers(nodes: Sequence[onnx.NodeProto], taken: set[str]) -> dict[str, int]:
    """Which node writes each tensor; two writers are an error."""
    producer: dict[str, int] = {}
    for number, node in enumerate(nodes):
        for name in node.output:
            if name and (name in producer or name in taken):
                raise CorruptFileError(
                    f"Tensor {name!r} is written twice: the graph is not in single assignment form."
                )
            if name:
                producer[name] = number
    return producer


def _refuse_dangling(nodes: Sequence[onnx.NodeProto], known: set[str]) -> None:
    for node in nodes:
        for name in reads(node):
            if name not in known:
                raise CorruptFileError(f"{place_of(node)} reads tensor {name!r}, which nothing defines.")


def ordered(
    nodes: Sequence[onnx.NodeProto], producer: Mapping[str, int], outputs: Sequence[str]
) -> tuple[onnx.NodeProto, ...]:
    """The nodes that the outputs need, each behind those it reads."""
    needed: set[int] = set()
    waiting = [producer[name] for name in outputs if name in producer]
    while waiting:
        number = waiting.pop()
        if number not in needed:
            needed.add(number)
            waiting += [producer[name] for name in reads(nodes[number]) if name in producer]
    missing = {n: {producer[i] for i in reads(nodes[n]) if i in producer} for n in needed}
    readers: dict[int, list[int]] = {}
    for n, before in missing.items():
        for r in before:
            readers.setdefault(r, []).append(n)
    ready = sorted((n for n in needed if not missing[n]), reverse=True)
    order = []
    while ready:
        number = ready.pop()
        order.append(number)
        for reader in sorted(readers.get(number, ()), reverse=True):
            missing[reader].discard(number)
            if not missing[reader]:
                ready.append(reader)
    if len(order) < len(needed):
        stuck = nodes[min(needed - set(order))]
        raise CorruptFileError(f"The graph has a cycle: {place_of(stuck)} needs its own output.")
    return tuple(nodes[n] for n in order)


def place_of(node: onnx.NodeProto) -> str:
    """How messages name a node."""
    domain = f"{node.domain}:" if node.domain not in ("", "ai.onnx") else ""
    name = node.name or (node.output[0] if node.output else "")
    return f"Node {name!r} (op {domain}{node.op_type})"


def dtype_of(graph: Graph) -> str:
    """The number type of the model's inputs."""
    kinds = [i.type.tensor_type.elem_type for i in graph.inputs]
    return DTYPES.get(kinds[0], "float32") if kinds else "float32"

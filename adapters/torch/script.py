"""TorchScript archives as programs of ATen operators; code that does more than arithmetic is refused."""

from __future__ import annotations

import ast
import io
import re
from typing import Any

import torch

from adapters.archive import opened
from adapters.check import NotRunnableError, checked, refuse_mixing
from adapters.inputs import InputPart, given_shapes
from adapters.lowering.layers import Array
from adapters.pieces import Piece
from adapters.torch.aten_program import Program, Reference, Step, coarsest, trace_program
from adapters.torch.export import tensor_array
from adapters.torch.runtime import first_line, module_model, program_model, quiet
from polytope.errors import CorruptFileError, UnsafeFileError, UnsupportedOpError
from polytope.ir import Network

_ALLOWED_CALLS = re.compile(
    r"^(torch|ops\.aten|ops\.prim)\.(?!save|load|from_file|hub|_C|classes|jit|package|os)[A-Za-z0-9_]+$"
)
_HARMLESS = ("__len__", "__contains__")
"""Methods that containers of modules have, which loading does not run."""
_PLAIN_CALLS = {
    *("int", "float", "bool", "len", "annotate", "uninitialized", "unchecked_cast", "range", "list", "str"),
    *("isinstance", "max", "min", "getattr", "CONSTANTS", "tuple"),
}


def vet_script(data: bytes) -> None:
    """Refuse a TorchScript archive whose code does more than arithmetic on tensors."""
    with opened(data, "a TorchScript file") as archive:
        names = [n for n in archive.namelist() if "/code/" in n and n.endswith(".py")]
        if sum(archive.getinfo(n).file_size for n in names) > 2**24:
            raise UnsafeFileError("The archive's code is longer than 16 MB.")
        sources = [archive.read(n) for n in names]
    try:
        trees = [ast.parse(source) for source in sources]
    except (SyntaxError, ValueError, RecursionError) as error:
        raise CorruptFileError("The archive is corrupt: its code does not parse.") from error
    for tree in trees:
        for node in ast.walk(tree):
            _vet_node(node)


def _vet_node(node: ast.AST) -> None:
    if isinstance(node, ast.FunctionDef) and node.name.startswith("__") and node.name not in _HARMLESS:
        raise UnsafeFileError(f"The archive's code defines {node.name}, which runs while it is loaded.")
    if not isinstance(node, ast.Call):
        return
    name = ast.unparse(node.func)
    dotted = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.]*", name) is not None
    outside = name.startswith(("torch.", "ops.")) and not _ALLOWED_CALLS.match(name)
    unknown = dotted and "." not in name and name not in _PLAIN_CALLS
    if outside or (unknown and not name.startswith("_")):
        raise UnsafeFileError(f"The archive's code calls {name}, which a model has no need for.")


def network_from_script(data: bytes, *, piece: Piece, input_shape: Any) -> Network:
    """The network of a TorchScript archive, compared with the module in it."""
    vet_script(data)
    with quiet():
        try:
            module = torch.jit.load(io.BytesIO(data), map_location="cpu").eval()  # type: ignore[no-untyped-call]
            graph = torch.jit.freeze(module, optimize_numerics=False).graph
            torch._C._jit_pass_remove_mutation(graph)
        except Exception as error:  # the TorchScript reader raises many unrelated kinds
            raise CorruptFileError(f"The TorchScript archive cannot be read: {first_line(error)}") from error
        program = script_program(graph)
        cut, dtype = program.cut(piece), _dtype(module)
        parts, network = _script_traced(program, cut, input_shape, piece.spacing)
        model = module_model(module, parts, dtype, "the archive in PyTorch")
        if piece:
            model = program_model(cut, parts, dtype)
        try:
            kind = coarsest(cut, dtype)
            found = checked(network, model, kind, file_dtype=dtype)
        except NotRunnableError as error:
            raise UnsupportedOpError(f"The archive does not run on inputs of this shape: {error}.") from error
        refuse_mixing(network, model, parts, kind)
        return found


def _script_traced(
    program: Program, cut: Program, input_shape: Any, spacing: float | None
) -> tuple[list[InputPart], Network]:
    """The network for the caller's shapes, or for what a first linear layer expects.

    A shape that starts with one may or may not name the batch axis: it is taken without first.
    """
    names = [name for name, _ in cut.inputs]
    given = dict(given_shapes(input_shape, names))
    shapes = [given.get(name) or _first_width(program, name) for name in names]
    parts = [InputPart(n, (1, *shape), batched=True) for n, shape in zip(names, shapes, strict=True)]
    try:
        return parts, trace_program(cut, parts, spacing)
    except CorruptFileError:
        if any(shape[0] != 1 or len(shape) < 2 for shape in shapes):
            raise
    parts = [InputPart(n, shape, batched=True) for n, shape in zip(names, shapes, strict=True)]
    return parts, trace_program(cut, parts, spacing)


def _first_width(program: Program, name: str) -> tuple[int, ...]:
    """The width of the linear layer that reads an input directly."""
    for step in program.steps:
        weight = step.arguments.get("weight")
        if step.op == "linear" and step.arguments.get("input") == Reference(name) and weight is not None:
            return (program.constants[weight.name].shape[1],)
    raise UnsupportedOpError(
        f"The archive does not say the shape of input {name!r}. Say it: load(path, input_shape=(3, 32, 32)), "
        "or a list of shapes for several inputs."
    )


def script_program(graph: Any) -> Program:
    """The steps of a frozen TorchScript graph."""
    values: dict[str, Any] = {}
    constants: dict[str, Array] = {}
    inputs = [v for v in graph.inputs() if str(v.type()) != "None" and not _is_module(v)]
    values |= {v.debugName(): Reference(v.debugName()) for v in inputs}
    steps: list[Step] = []
    for node in graph.nodes():
        _take(node, values, constants, steps)
    outputs: list[str] = []
    for value in graph.outputs():
        found = values[value.debugName()]
        for entry in found if isinstance(found, list | tuple) else [found]:
            if not isinstance(entry, Reference):
                raise UnsupportedOpError(f"The archive returns {entry!r}, which is no tensor.")
            outputs.append(entry.name)
    return Program(tuple((v.debugName(), ()) for v in inputs), constants, tuple(steps), tuple(outputs))


def _is_module(value: Any) -> bool:
    return str(value.type()).startswith("__torch__")


def _take(node: Any, values: dict[str, Any], constants: dict[str, Array], steps: list[Step]) -> None:
    """Add one node of a TorchScript graph: a constant, a list, or a step."""
    kind, outputs = node.kind(), [o.debugName() for o in node.outputs()]
    operands = [values.get(i.debugName()) for i in node.inputs()]
    if kind == "prim::Constant":
        value = node.output().toIValue()
        if isinstance(value, torch.Tensor):
            constants[outputs[0]] = tensor_array(value, outputs[0])
            value = Reference(outputs[0])
        values[outputs[0]] = value
    elif kind in ("prim::ListConstruct", "prim::TupleConstruct"):
        values[outputs[0]] = operands
    elif kind in ("prim::ListUnpack", "prim::TupleUnpack") and isinstance(operands[0], list):
        values |= zip(outputs, operands[0], strict=True)
    elif kind in ("prim::ListUnpack", "prim::TupleUnpack"):
        for place, name in enumerate(outputs):
            steps.append(Step("getitem", "", {"self": operands[0], "index": place}, (name,)))
            values[name] = Reference(name)
    else:
        names = (
            [a.name for a in torch._C.parse_schema(node.schema()).arguments] if "::" in node.schema() else []
        )
        op = kind.removeprefix("aten::")
        steps.append(
            Step(
                op,
                _overload(node),
                dict(zip(names, operands, strict=False)),
                tuple(outputs),
                len(outputs) > 1,
            )
        )
        values |= {name: Reference(name) for name in outputs}


def _overload(node: Any) -> str:
    found = re.match(r"[\w:]+\.(\w+)\(", node.schema())
    return found[1] if found else "default"


def _dtype(module: torch.nn.Module) -> str:
    kinds = [p.dtype for p in module.parameters()] or [torch.float32]
    return str(kinds[0]).removeprefix("torch.")

"""PyTorch modules and TorchScript archives as programs of ATen operators."""

from __future__ import annotations

import ast
import copy
import io
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from adapters.arrays import refuse_not_finite
from adapters.aten_program import Program, Reference, Step, trace_program
from adapters.check import checked, program_reference, torch_reference
from adapters.inputs import InputPart, completed_part, given_shapes
from adapters.lowering import Array
from polytope.errors import CorruptFileError, LoadError, UnsafeFileError, UnsupportedOpError
from polytope.ir import Network


@contextmanager
def _quiet() -> Iterator[None]:
    """PyTorch announces deprecations of what it offers no replacement for."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        yield


def network_from_module(
    module: torch.nn.Module, example_input: Any, *, until: str | Sequence[str] | None
) -> Network:
    """The network of a module in inference mode, compared with the module itself."""
    examples = _examples(example_input)
    with _quiet(), _inference(module):
        try:
            exported = torch.export.export(module, examples)
            if any("_." in str(node.target) for node in exported.graph.nodes if node.op == "call_function"):
                exported = exported.run_decompositions({})
        except Exception as error:  # torch.export raises many unrelated kinds
            raise UnsupportedOpError(f"torch.export cannot trace the module: {_first(error)}") from error
        names, dtype = _names(until), str(examples[0].dtype).removeprefix("torch.")
        try:
            program, parts, network = _traced(exported, names)
        except UnsupportedOpError as error:
            program, parts, network = _traced_in_smaller_steps(exported, names, error)
        whole = torch_reference(module, parts, dtype)  # in inference mode, which ends here
        reference = program_reference(program, parts, dtype) if until else whole
        return checked(network, reference, dtype, lasting=bool(until))


def network_from_weights(
    module: torch.nn.Module, state: Mapping[str, Any], *, until: str | Sequence[str] | None, input_shape: Any
) -> Network:
    """The network of an architecture with the weights of a state dict."""
    if input_shape is None:
        raise UnsupportedOpError(
            "A module was given, but not its input: load(path, module=..., input_shape=(3, 32, 32))."
        )
    filled = copy.deepcopy(module)
    try:
        filled.load_state_dict(dict(state))
    except RuntimeError as error:
        raise CorruptFileError(f"The weights do not fit the module: {_first(error)}") from error
    count = 1 if all(isinstance(n, int) for n in input_shape) else len(input_shape)
    shapes = given_shapes(input_shape, [f"input {i}" for i in range(count)])
    kind = next((p.dtype for p in filled.parameters()), torch.float32)
    examples = tuple(torch.zeros(1, *shape, dtype=kind) for shape in shapes.values())
    return network_from_module(filled, examples, until=until)


def _traced(exported: Any, until: list[str] | None) -> tuple[Program, list[InputPart], Network]:
    program = _program(exported).cut(until)
    parts = [completed_part(name, shape, None, per_sample=True) for name, shape in program.inputs]
    return program, parts, trace_program(program, parts)


def _traced_in_smaller_steps(
    exported: Any, until: list[str] | None, first: UnsupportedOpError
) -> tuple[Program, list[InputPart], Network]:
    """Decomposed operators may all have rules where a composite one has none."""
    try:
        return _traced(exported.run_decompositions(), until)
    except LoadError:
        raise first from None


def _examples(example_input: Any) -> tuple[torch.Tensor, ...]:
    """One sample of each input, behind a batch axis of one."""
    given = example_input if isinstance(example_input, tuple | list) else (example_input,)
    tensors = [torch.as_tensor(np.asarray(e) if not isinstance(e, torch.Tensor) else e) for e in given]
    if not tensors or any(not t.is_floating_point() for t in tensors):
        raise ValueError("example_input must be a floating-point tensor, or a tuple of them.")
    return tuple(t[:1] if t.ndim > 1 else t for t in tensors)


@contextmanager
def _inference(module: torch.nn.Module) -> Iterator[None]:
    """The module in inference mode; every part gets its own mode back."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def _dtype(module: torch.nn.Module) -> str:
    kinds = [p.dtype for p in module.parameters()] or [torch.float32]
    return str(kinds[0]).removeprefix("torch.")


def _names(until: str | Sequence[str] | None) -> list[str] | None:
    return None if until is None else [until] if isinstance(until, str) else list(until)


def _numpy(tensor: torch.Tensor, name: str) -> Array:
    """A tensor's numbers; sparse ones are filled in."""
    dense = tensor.detach().cpu()
    dense = dense.to_dense() if dense.layout != torch.strided else dense
    array: Array = (dense.float() if dense.dtype == torch.bfloat16 else dense).numpy()
    refuse_not_finite(array, name, infinite="-")
    return array


def _program(exported: Any) -> Program:
    """The steps of an exported program."""
    signature = exported.graph_signature
    stored = {**exported.state_dict, **exported.constants}
    targets = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    constants = {name: _numpy(stored[target], target) for name, target in targets.items()}
    nodes = list(exported.graph.nodes)
    inputs = [n for n in nodes if n.op == "placeholder" and n.name in signature.user_inputs]
    shapes = tuple((n.name, tuple(_size(s) for s in n.meta["val"].shape)) for n in inputs)
    steps = tuple(_step(n) for n in nodes if n.op == "call_function")
    outputs = tuple(str(name) for name in signature.user_outputs if name is not None)
    return Program(shapes, constants, steps, outputs)


def _size(size: Any) -> int | None:
    return size if isinstance(size, int) else None


def _step(node: Any) -> Step:
    """One node of an exported graph; arguments by the names of the operator's schema."""
    if node.target.__name__ == "getitem":
        return Step("getitem", "", {"self": _argument(node.args[0]), "index": node.args[1]}, (node.name,))
    if not hasattr(node.target, "_schema"):
        arguments = {name: _argument(a) for name, a in zip("ab", node.args, strict=False)}
        return Step(f"sym_{node.target.__name__}", "", arguments, (node.name,))
    schema = node.target._schema
    names = [argument.name for argument in schema.arguments]
    arguments = {a.name: a.default_value for a in schema.arguments if a.has_default_value()}
    arguments |= {name: _argument(a) for name, a in zip(names, node.args, strict=False)}
    arguments |= {name: _argument(a) for name, a in node.kwargs.items()}
    namespace, _, op = schema.name.partition("::")
    plain = op if namespace == "aten" else schema.name
    return Step(plain, schema.overload_name or "default", arguments, (node.name,))


def _argument(argument: Any) -> Any:
    if isinstance(argument, torch.fx.Node):
        return Reference(argument.name)
    if isinstance(argument, list | tuple):
        return [_argument(entry) for entry in argument]
    return argument


_ALLOWED_CALLS = re.compile(
    r"^(torch|ops\.aten|ops\.prim)\.(?!save|load|from_file|hub|_C|classes|jit|package|os)[A-Za-z0-9_]+$"
)
_PLAIN_CALLS = {
    *("int", "float", "bool", "len", "annotate", "uninitialized", "unchecked_cast", "range", "list", "str"),
    *("isinstance", "max", "min", "getattr", "CONSTANTS", "tuple"),
}


def vet_script(data: bytes) -> None:
    """Refuse a TorchScript archive whose code does more than arithmetic on tensors."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            sources = [n for n in archive.namelist() if "/code/" in n and n.endswith(".py")]
            if sum(archive.getinfo(n).file_size for n in sources) > 2**24:
                raise UnsafeFileError("The archive's code is longer than 16 MB.")
            trees = [ast.parse(archive.read(n)) for n in sources]
    except (zipfile.BadZipFile, SyntaxError, ValueError, RecursionError) as error:
        raise CorruptFileError("The archive is corrupt: its code does not parse.") from error
    for tree in trees:
        for node in ast.walk(tree):
            _vet_node(node)


def _vet_node(node: ast.AST) -> None:
    if isinstance(node, ast.FunctionDef) and node.name.startswith("__"):
        raise UnsafeFileError(f"The archive's code defines {node.name}, which runs while it is loaded.")
    if not isinstance(node, ast.Call):
        return
    name = ast.unparse(node.func)
    dotted = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.]*", name) is not None
    outside = name.startswith(("torch.", "ops.")) and not _ALLOWED_CALLS.match(name)
    unknown = dotted and "." not in name and name not in _PLAIN_CALLS
    if outside or (unknown and not name.startswith("_")):
        raise UnsafeFileError(f"The archive's code calls {name}, which a model has no need for.")


def network_from_script(data: bytes, *, until: str | Sequence[str] | None, input_shape: Any) -> Network:
    """The network of a TorchScript archive, compared with the module in it."""
    vet_script(data)
    with _quiet():
        try:
            module = torch.jit.load(io.BytesIO(data), map_location="cpu").eval()  # type: ignore[no-untyped-call]
            graph = torch.jit.freeze(module, optimize_numerics=False).graph
            torch._C._jit_pass_remove_mutation(graph)
        except Exception as error:  # the TorchScript reader raises many unrelated kinds
            raise CorruptFileError(f"The TorchScript archive cannot be read: {_first(error)}") from error
        program = script_program(graph)
        cut, dtype = program.cut(_names(until)), _dtype(module)
        parts, network = _script_traced(program, cut, input_shape)
        whole = torch_reference(module, parts, dtype)
        return checked(network, program_reference(cut, parts, dtype) if until else whole, dtype)


def _script_traced(program: Program, cut: Program, input_shape: Any) -> tuple[list[InputPart], Network]:
    """The network for the caller's shapes, or for what a first linear layer expects.

    A shape that starts with one may or may not name the batch axis: it is taken without first.
    """
    names = [name for name, _ in program.inputs]
    given = dict(given_shapes(input_shape, names))
    shapes = [given.get(name) or _first_width(program, name) for name in names]
    parts = [InputPart(n, (1, *shape), batched=True) for n, shape in zip(names, shapes, strict=True)]
    try:
        return parts, trace_program(cut, parts)
    except CorruptFileError:
        if any(shape[0] != 1 or len(shape) < 2 for shape in shapes):
            raise
    parts = [InputPart(n, shape, batched=True) for n, shape in zip(names, shapes, strict=True)]
    return parts, trace_program(cut, parts)


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
        outputs += [r.name for r in (found if isinstance(found, list) else [found])]
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
            constants[outputs[0]] = _numpy(value, outputs[0])
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


def _first(error: Exception) -> str:
    lines = [line.strip() for line in str(error).split("\n") if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]

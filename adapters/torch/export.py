"""PyTorch modules as programs of ATen operators."""

from __future__ import annotations

import copy
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from typing import Any

import numpy as np
import torch

from adapters.arrays import refuse_not_finite
from adapters.check import Model, NotRunnableError, checked, refuse_mixing
from adapters.inputs import InputPart, completed_part, given_shapes
from adapters.lowering.layers import Array
from adapters.pieces import Piece
from adapters.torch.aten_program import Program, Reference, Step, coarsest, trace_program
from adapters.torch.runtime import first_line, module_model, program_model, quiet
from adapters.torch.spherical_grids import real_grids
from adapters.torch.state_dict import real, unwrapped
from polytope.errors import LoadError, UnsupportedOpError
from polytope.ir import Network
from polytope.ir.maps import FloatArray


def network_from_module(
    module: torch.nn.Module,
    example_input: Any,
    *,
    piece: Piece,
    lasting: bool = False,
) -> Network:
    """The network of a module in inference mode, compared with the module itself.

    Arguments:
        lasting: whether the module stays in inference mode, so that it can be run again later.
    """
    examples = one_sample(example_input, whole=bool(piece.start))
    with quiet(), inference(module):
        exported = exported_program(module, examples)
        try:
            program, parts, network = _traced(exported, piece)
        except UnsupportedOpError as error:
            program, parts, network = _traced_in_smaller_steps(exported, piece, error)
        dtype = number_type(module, examples)
        model = module_model(module, parts, dtype, "the module in PyTorch")
        if piece:
            model = program_model(program, parts, dtype)
        try:
            kind = coarsest(program, dtype)
            found = checked(network, model, kind, file_dtype=dtype, lasting=lasting or bool(piece))
        except NotRunnableError as error:
            raise UnsupportedOpError(f"The module does not run on its example: {error}.") from error
        if any(part.batched for part in parts):
            batches = _in_batches(module, examples, piece, parts, dtype) if piece else model
            refuse_mixing(network, batches, parts, kind)
        return found


def exported_program(module: torch.nn.Module, examples: tuple[torch.Tensor, ...]) -> Any:
    """The module's exported program, without operators that change their operands."""
    try:
        with redirect_stderr(io.StringIO()), real_grids(module):  # it prints the graph that it cannot trace
            exported = torch.export.export(module, examples)
        if any("_." in str(node.target) for node in exported.graph.nodes if node.op == "call_function"):
            exported = exported.run_decompositions({})
    except Exception as error:  # torch.export raises many unrelated kinds
        raise UnsupportedOpError(
            f"torch.export cannot trace the module: {first_line(error).rstrip('.')}{_advice(module)}"
        ) from error
    return exported


def _advice(module: torch.nn.Module) -> str:
    """What to give instead, where a library has modules of its own for tracing."""
    if any(type(part).__module__.split(".")[0] == "escnn" for part in module.modules()):
        return ". Modules of escnn are read as the torch modules that their export() makes."
    return ""


def _in_batches(
    module: torch.nn.Module,
    examples: tuple[torch.Tensor, ...],
    piece: Piece,
    parts: Sequence[InputPart],
    dtype: str,
) -> Model:
    """The module up to the named values, traced anew for every size of batch."""

    def run(x: FloatArray) -> Sequence[Array]:
        batched = [e.ndim > 0 for e in examples] if piece.start else [part.batched for part in parts]
        several = tuple(
            e.repeat(len(x), *[1] * (e.ndim - 1)) if several else e
            for e, several in zip(examples, batched, strict=True)
        )
        try:
            program = program_of(exported_program(module, several)).cut(piece)
        except LoadError as error:
            raise NotRunnableError(str(error)) from error
        return program_model(program, parts, dtype).run(x)

    return Model("PyTorch's kernels", run)


def network_from_weights(
    module: torch.nn.Module, state: Mapping[str, Any], *, piece: Piece, input_shape: Any
) -> Network:
    """The network of an architecture with the weights of a state dict."""
    if not isinstance(module, torch.nn.Module):
        hint = f"; write module={module.__name__}()" if isinstance(module, type) else ""
        raise TypeError(f"module= must be a torch.nn.Module, not a {type(module).__name__}{hint}.")
    if input_shape is None:
        raise UnsupportedOpError(
            "A module was given, but not its input: load(path, module=MyNetwork(), input_shape=(3, 32, 32))."
        )
    filled = copy.deepcopy(module).eval()
    expected = filled.state_dict()
    weights = dict(state) if set(state) == set(expected) else unwrapped(state)
    weights = {key: real(tensor, key) for key, tensor in weights.items()}
    misfit = _misfit(weights, expected)
    if misfit:
        raise ValueError(f"The weights do not fit the module {type(module).__name__}: {misfit}.")
    filled.load_state_dict(weights)
    several = isinstance(input_shape, list | tuple) and not all(isinstance(n, int) for n in input_shape)
    count = len(input_shape) if several else 1
    shapes = given_shapes(input_shape, [f"input {i}" for i in range(count)])
    kind = next((p.dtype for p in filled.parameters()), torch.float32)
    examples = tuple(torch.zeros(1, *shape, dtype=kind) for shape in shapes.values())
    return network_from_module(filled, examples, piece=piece, lasting=True)


def _misfit(given: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    """What keeps weights from being a module's, in a few words."""
    other = [
        f"{name!r} is {tuple(given[name].shape)} in the file and {tuple(expected[name].shape)} in the module"
        for name in given
        if name in expected and given[name].shape != expected[name].shape
    ]
    lists = (
        ("the file lacks ", [repr(n) for n in expected if n not in given]),
        ("the module lacks ", [repr(n) for n in given if n not in expected]),
        ("", other),
    )
    return "; ".join(
        start + ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
        for start, found in lists
        if found
    )


def _traced(exported: Any, piece: Piece) -> tuple[Program, list[InputPart], Network]:
    program = program_of(exported).cut(piece)
    parts = [completed_part(name, shape, None, per_sample=True) for name, shape in program.inputs]
    return program, parts, trace_program(program, parts, piece.spacing)


def _traced_in_smaller_steps(
    exported: Any, piece: Piece, first: UnsupportedOpError
) -> tuple[Program, list[InputPart], Network]:
    """Decomposed operators may all have rules where a composite one has none."""
    try:
        return _traced(exported.run_decompositions(), piece)
    except LoadError:
        raise first from None


def number_type(module: torch.nn.Module, examples: tuple[torch.Tensor, ...]) -> str:
    """The number type of the inputs; the module's own where they are whole numbers."""
    kinds = [e.dtype for e in examples] + [p.dtype for p in module.parameters()]
    return str(next((k for k in kinds if k.is_floating_point), torch.float32)).removeprefix("torch.")


def one_sample(example_input: Any, *, whole: bool) -> tuple[torch.Tensor, ...]:
    """One sample of each input, behind a batch axis of one; whole numbers only where that is said."""
    given = example_input if isinstance(example_input, tuple | list) else (example_input,)
    tensors = [torch.as_tensor(np.asarray(e) if not isinstance(e, torch.Tensor) else e) for e in given]
    if not tensors or not (whole or all(t.is_floating_point() for t in tensors)):
        raise ValueError("example_input must be a floating-point tensor, or a tuple of them.")
    return tuple(t[:1] if t.ndim > 1 else t for t in tensors)


@contextmanager
def inference(module: torch.nn.Module) -> Iterator[None]:
    """The module in inference mode; every part gets its own mode back."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def tensor_array(tensor: torch.Tensor, name: str) -> Array:
    """A tensor's numbers; sparse ones are filled in."""
    if tensor.is_meta:
        raise LoadError(
            f"Tensor {name!r} is on the device 'meta' and has no numbers. Load its weights first."
        )
    dense = tensor.detach().cpu()
    dense = dense.to_dense() if dense.layout != torch.strided else dense
    array: Array = (dense.float() if dense.dtype == torch.bfloat16 else dense).numpy()
    refuse_not_finite(array, name, infinite="-")
    return array


def program_of(exported: Any) -> Program:
    """The steps of an exported program."""
    signature = exported.graph_signature
    stored = {**exported.state_dict, **exported.constants}
    targets = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    constants = {name: tensor_array(stored[target], target) for name, target in targets.items()}
    nodes = list(exported.graph.nodes)
    inputs = [n for n in nodes if n.op == "placeholder" and n.name in signature.user_inputs]
    shapes = tuple((n.name, _sizes(n.meta["val"])) for n in inputs)
    steps = tuple(_step(n) for n in nodes if n.op == "call_function")
    declared = {n.name: _sizes(n.meta["val"]) for n in nodes if isinstance(n.meta.get("val"), torch.Tensor)}
    outputs = tuple(str(name) for name in signature.user_outputs if name is not None)
    return Program(shapes, constants, steps, outputs, declared)


def _sizes(tensor: torch.Tensor) -> tuple[int | None, ...]:
    return tuple(size if isinstance(size, int) else None for size in tensor.shape)


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

"""The values of a PyTorch module, as far as MLP blocks are concerned."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.export import ExportedProgram

from adapters.mlp_block import Norm
from adapters.mlp_block import Step as Part
from adapters.torch.aten_program import Program, Reference, Step, reads
from adapters.torch.aten_types import is_whole
from adapters.torch.export import exported_program, inference, program_of
from adapters.torch.inside import on_module
from adapters.torch.runtime import quiet
from adapters.written_norms import Operand, written_norm
from polytope.ir.maps import FloatArray

_ACTIVATIONS = ("relu", "silu", "mish", "softplus", "tanh", "sigmoid", "gelu")
_SAME = ("dropout", "to", "_to_copy", "contiguous", "clone", "alias", "detach", "native_dropout")


def traced_flow(
    module: torch.nn.Module, inputs: Sequence[Any]
) -> tuple[dict[str, Part], ExportedProgram, tuple[torch.Tensor, ...]]:
    """All values of a module in inference mode, in order; its exported program, and the inputs it takes."""
    given = on_module(module, inputs)
    with quiet(), inference(module):
        exported = exported_program(module, given)
        return _flow(program_of(exported)), exported, given


def _flow(program: Program) -> dict[str, Part]:
    """All values of a program, in order."""
    steps = {step.name: step for step in program.steps if step.outputs}
    flow = {name: _part(program, step) for name, step in steps.items()}
    made = partial(_made, program, steps)
    written = {name: written_norm(name, made) for name in steps if steps[name].op in ("mul", "add")}
    return flow | {name: Part("norm", (norm.start,), norm=norm) for name, norm in written.items() if norm}


def _part(program: Program, step: Step) -> Part:
    read = tuple(name for name in reads(step) if name not in program.constants)
    op, arguments = step.op.rstrip("_"), step.arguments
    if op == "linear" and len(read) == 1:
        return Part("linear", read, weights=_weights(program, arguments))
    if op in _ACTIVATIONS and arguments.get("beta", 1) == 1:
        tanh = op == "gelu" and arguments.get("approximate") == "tanh"
        return Part("activation", read, name="gelu_tanh" if tanh else op)
    if op == "mul" and len(read) == 2:
        return Part("product", read)
    if op in ("layer_norm", "rms_norm") and len(arguments["normalized_shape"]) == 1 and len(read) == 1:
        return Part("norm", read, norm=_norm(program, op, arguments, read[0]))
    if op in ("pow", "square") and arguments.get("exponent", 2) == 2:
        return Part("product", read * 2)
    return Part("same" if _is_same(step) and len(read) == 1 else "other", read)


def _is_same(step: Step) -> bool:
    """Whether a step changes no value: not one that cuts fractions off."""
    return step.op.rstrip("_") in _SAME and not is_whole(step.arguments.get("dtype"))


def _norm(program: Program, op: str, arguments: Any, start: str) -> Norm:
    (d,) = arguments["normalized_shape"]
    given = [arguments.get(key) for key in ("weight", "bias")]
    scale, shift = (
        np.asarray(program.constants[one.name], dtype=float)
        if isinstance(one, Reference)
        else np.full(d, value)
        for one, value in zip(given, (1.0, 0.0), strict=True)
    )
    return Norm(start, op == "layer_norm", scale, shift)


def _made(program: Program, steps: dict[str, Step], name: str) -> tuple[str, tuple[Operand, ...]]:
    """How a value is made of others and constants, as ``written_norm`` asks."""
    step = steps.get(name)
    if step is None or step.arguments.get("alpha", 1) != 1 or step.arguments.get("rounding_mode"):
        return "", ()
    kind, arguments = step.op.rstrip("_"), step.arguments
    if kind in ("mean", "var"):
        biased = arguments.get("correction", 1) == 0 or arguments.get("unbiased") is False
        fits = arguments.get("dim") == [-1] and arguments.get("keepdim") and (kind == "mean" or biased)
        return (kind, (_operand(program, steps, arguments["self"]),)) if fits else ("", ())
    given = [arguments[key] for key in ("self", "other", "exponent") if key in arguments]
    return kind, tuple(_operand(program, steps, one) for one in given)


def _operand(program: Program, steps: dict[str, Step], given: Any) -> Operand:
    """A number or a constant, or the sum of two, as an array; of another value the name, through the same."""
    found = _constant(program, steps, given)
    step = steps.get(found) if isinstance(found, str) else None
    if step is None or step.op != "add" or step.arguments.get("alpha", 1) != 1:
        return found
    parts = [_constant(program, steps, step.arguments.get(key)) for key in ("self", "other")]
    known = [part for part in parts if not isinstance(part, str)]
    return known[0] + known[1] if len(known) == 2 else found


def _constant(program: Program, steps: dict[str, Step], given: Any) -> Operand:
    """A number or a constant as an array; of another value the name, through what does not change it."""
    if not isinstance(given, Reference):
        return np.asarray(given, dtype=float)
    name = given.name
    while name in steps and _is_same(steps[name]):
        name = reads(steps[name])[0]
    return np.asarray(program.constants[name], dtype=float) if name in program.constants else name


def _weights(program: Program, arguments: Any) -> tuple[FloatArray, FloatArray]:
    matrix = np.asarray(program.constants[arguments["weight"].name], dtype=float)
    bias = arguments.get("bias")
    known = np.zeros(len(matrix)) if not isinstance(bias, Reference) else program.constants[bias.name]
    return matrix, np.asarray(known, dtype=float)

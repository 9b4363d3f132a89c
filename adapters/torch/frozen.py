"""A PyTorch module whose attention weights and normalisers stay what they are at one input."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch._decomp import get_decompositions
from torch.nn.attention import SDPBackend, sdpa_kernel

from adapters.check import checked
from adapters.inputs import completed_part
from adapters.pieces import Piece
from adapters.torch.aten_program import Program, Reference, Step, coarsest, needed_steps, reads, trace_program
from adapters.torch.export import exported_program, inference, number_type, program_of, tensor_array
from adapters.torch.inside import values_in_program
from adapters.torch.runtime import program_model, quiet
from polytope.errors import UnsupportedOpError
from polytope.ir import Network

_NORMALISERS = ("_softmax", "rsqrt")


def frozen_network(module: torch.nn.Module, x: tuple[torch.Tensor, ...], piece: Piece) -> Network:
    """The network of a module in inference mode with its softmaxes and reciprocal roots as constants.

    Arguments:
        module: any module.
        x: one sample of its inputs, behind a batch axis of one.
        piece: where it begins and ends, by the names of the program in small steps.
    """
    place = next((p.device for p in module.parameters()), torch.device("cpu"))
    x = tuple(sample.to(place) for sample in x)
    with quiet(), inference(module):
        exported = _in_small_steps(module, x)
        program = program_of(exported)
        names = list(_normalisers(needed_steps(program.cut(Piece(until=piece.until)))))
        if not names:
            raise UnsupportedOpError(
                "The module has no attention or normalisation to freeze: from_torch reads it."
            )
        found = dict(zip(names, values_in_program(exported, x, names), strict=True))
    frozen = _with_constants(program, found).cut(piece)
    parts = [completed_part(name, shape, None, per_sample=True) for name, shape in frozen.inputs]
    dtype = number_type(module, x)
    network = trace_program(frozen, parts, piece.spacing)
    compared = checked(
        network, program_model(frozen, parts, dtype), coarsest(frozen, dtype), file_dtype=dtype
    )
    kinds = [step.op for step in program.steps if set(step.outputs) & set(names)]
    note = f"frozen at one input: softmaxes {kinds.count('_softmax')}, norms {kinds.count('rsqrt')}"
    return replace(compared, import_note=f"{note}; {compared.import_note}")


def _in_small_steps(module: torch.nn.Module, x: tuple[torch.Tensor, ...]) -> Any:
    """The exported program with softmaxes and reciprocal roots as operators of their own."""
    norms = [torch.ops.aten.native_layer_norm, torch.ops.aten.native_group_norm]
    table = {**torch.export.default_decompositions(), **get_decompositions(norms)}
    with sdpa_kernel(SDPBackend.MATH):
        return exported_program(module, x).run_decompositions(table)


def _normalisers(steps: tuple[Step, ...]) -> Iterator[str]:
    """The values to freeze: softmaxes, with what masks rows of them, and reciprocal roots."""
    softmaxes: set[str] = set()
    for step in steps:
        masked = step.op == "where" and softmaxes & set(reads(step))
        if step.op == "_softmax" or masked:
            softmaxes.update(step.outputs)
        if step.op in _NORMALISERS or masked:
            yield step.name


def _with_constants(program: Program, found: dict[str, torch.Tensor]) -> Program:
    """The program with values as constants; means that come with variances stand alone."""
    constants = {name: tensor_array(value, name) for name, value in found.items()}
    spread = {step.name: step.arguments for step in program.steps if step.op == "var_mean"}
    steps = [_mean(step, spread) for step in program.steps if not set(step.outputs) & set(found)]
    return replace(program, constants={**program.constants, **constants}, steps=tuple(steps))


def _mean(step: Step, spread: dict[str, Any]) -> Step:
    """The mean of a pair of variance and mean as a step of its own."""
    read = step.arguments.get("self")
    if step.op != "getitem" or not isinstance(read, Reference) or read.name not in spread:
        return step
    pair = spread[read.name]
    if step.arguments["index"] != 1:
        return step
    arguments = {"self": pair["self"], "dim": pair["dim"], "keepdim": pair["keepdim"], "dtype": None}
    return Step("mean", "dim", arguments, step.outputs)

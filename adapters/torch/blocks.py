"""The values of a PyTorch module, as far as MLP blocks are concerned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from adapters.mlp_block import Norm
from adapters.mlp_block import Step as Part
from adapters.torch.aten_program import Program, Reference, Step, reads
from adapters.torch.export import exported_program, inference, program_of
from adapters.torch.runtime import quiet
from polytope.ir.maps import FloatArray

_ACTIVATIONS = ("relu", "silu", "mish", "softplus", "tanh", "sigmoid", "gelu")
_SAME = ("dropout", "to", "_to_copy", "contiguous", "clone", "alias", "detach", "native_dropout")


def flow_of_module(module: torch.nn.Module, example_input: Any) -> dict[str, Part]:
    """All values of a module in inference mode, in order."""
    given = example_input if isinstance(example_input, tuple | list) else (example_input,)
    place = next((p.device for p in module.parameters()), torch.device("cpu"))
    examples = tuple(torch.as_tensor(x, device=place) for x in given)
    with quiet(), inference(module):
        program = program_of(exported_program(module, examples))
    steps = {step.name: step for step in program.steps if step.outputs}
    flow = {name: _part(program, step) for name, step in steps.items()}
    written = {name: _written_out(program, steps, step) for name, step in steps.items() if step.op == "mul"}
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
    return Part("same" if op in _SAME and len(read) == 1 else "other", read)


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


def _written_out(program: Program, steps: dict[str, Step], step: Step) -> Norm | None:
    """A root-mean-square normalisation of the last axis, ``g * (x * rsqrt(mean(x**2) + eps))``."""

    def made(name: str) -> tuple[str, str, list[str], Mapping[str, Any]]:
        """A value through what does not change it: its name, and how it is made."""
        while name in steps and steps[name].op in _SAME:
            name = reads(steps[name])[0]
        maker = steps.get(name)
        return (name, "", [], {}) if maker is None else (name, maker.op, reads(maker), maker.arguments)

    constants = [name for name in reads(step) if name in program.constants]
    values = [name for name in reads(step) if name not in program.constants]
    if len(constants) != 1 or len(values) != 1 or program.constants[constants[0]].ndim != 1:
        return None
    _, kind, factors, _ = made(values[0])
    for x, root in (factors, factors[::-1]) if kind == "mul" and len(factors) == 2 else ():
        chain = [made(root)]
        while len(chain) < 4 and chain[-1][2]:
            chain.append(made(chain[-1][2][0]))
        if [op for _, op, *_ in chain] not in (
            ["rsqrt", "add", "mean", "pow"],
            ["rsqrt", "add", "mean", "square"],
        ):
            continue
        (_, plus), (_, mean), (squared, power) = [(read, how) for _, _, read, how in chain[1:]]
        epsilon = plus.get("other")
        fits = mean.get("dim") == [-1] and power.get("exponent", 2) == 2
        fits = fits and isinstance(epsilon, float | int) and epsilon >= 0
        if fits and made(squared[0])[0] == made(x)[0]:
            scale = np.asarray(program.constants[constants[0]], dtype=float)
            return Norm(made(x)[0], False, scale, np.zeros(len(scale)))
    return None


def _weights(program: Program, arguments: Any) -> tuple[FloatArray, FloatArray]:
    matrix = np.asarray(program.constants[arguments["weight"].name], dtype=float)
    bias = arguments.get("bias")
    known = np.zeros(len(matrix)) if not isinstance(bias, Reference) else program.constants[bias.name]
    return matrix, np.asarray(known, dtype=float)

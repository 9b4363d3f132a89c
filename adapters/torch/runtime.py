"""PyTorch modules and programs of ATen operators in PyTorch itself, silently."""

from __future__ import annotations

import logging
import operator
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from adapters.check import Model, NotRunnableError, pieces
from adapters.inputs import InputPart
from adapters.lowering.registry import rule_for
from adapters.torch.aten_program import Program, Step, needed_steps, resolved
from polytope.ir.maps import FloatArray

_SCALAR = {
    "sym_mul": operator.mul,
    "sym_add": operator.add,
    "sym_sub": operator.sub,
    "sym_floordiv": operator.floordiv,
}


@contextmanager
def quiet() -> Iterator[None]:
    """No gradients, and none of the warnings and log lines in which PyTorch speaks of itself."""
    before = logging.root.manager.disable
    with _unwarned():
        logging.disable(logging.CRITICAL)  # clears what every logger remembers: not for each of many runs
        try:
            yield
        finally:
            logging.disable(before)


@contextmanager
def _unwarned() -> Iterator[None]:
    """No gradients, and no warnings."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        yield


def module_model(module: Any, parts: Sequence[InputPart], dtype: str, name: str) -> Model:
    """A module, or a scripted one, that is in inference mode."""

    def run(x: FloatArray) -> list[NDArray[Any]]:
        try:
            with _unwarned():
                return [_array(y) for y in _flat(module(*_tensors(x, parts, dtype)))]
        except Exception as error:  # a module raises whatever it likes
            raise NotRunnableError(f"PyTorch cannot run the module: {first_line(error)}") from error

    return Model(name, run)


def program_model(program: Program, parts: Sequence[InputPart], dtype: str, batch: int = 1) -> Model:
    """A program of ATen operators run by PyTorch's own kernels, operator by operator.

    Only operators that have a rule are run, so a file cannot make this call anything else.
    """
    constants = {name: torch.from_numpy(np.array(array)) for name, array in program.constants.items()}
    names = [part.name for part in parts]

    def run(x: FloatArray) -> list[NDArray[Any]]:
        values: dict[str, Any] = {**constants, **dict(zip(names, _tensors(x, parts, dtype), strict=True))}
        with _unwarned():
            for step in needed_steps(program):
                _run(step, values)
        return [_array(values[name]) for name in program.outputs]

    return Model("PyTorch's kernels", run, batch)


def _tensors(x: FloatArray, parts: Sequence[InputPart], dtype: str) -> list[torch.Tensor]:
    """Rows as one batch of inputs."""
    return [torch.from_numpy(piece).to(getattr(torch, dtype)) for piece in pieces(x, parts, dtype)]


def _flat(out: Any) -> list[torch.Tensor]:
    """The tensors in what a module returns, in order."""
    entries = list(out.values()) if isinstance(out, dict) else out
    if isinstance(entries, list | tuple):
        return [tensor for entry in entries for tensor in _flat(entry)]
    return [] if entries is None else [entries]


def _array(tensor: torch.Tensor) -> NDArray[Any]:
    array: NDArray[Any] = tensor.detach().double().cpu().numpy()
    return array


def _run(step: Step, values: dict[str, Any]) -> None:
    """One step in PyTorch."""
    arguments = {name: resolved(a, values) for name, a in step.arguments.items()}
    if step.op == "getitem":
        values[step.outputs[0]] = arguments["self"][arguments["index"]]
        return
    rule_for("ATen", step.op)
    if step.op.startswith("sym_") and not step.overload:
        values[step.outputs[0]] = _SCALAR[step.op](*arguments.values())
        return
    try:
        function = getattr(getattr(torch.ops.aten, step.op), step.overload)
        out = function(**arguments)
    except (RuntimeError, ValueError, TypeError, IndexError, AttributeError, NotImplementedError) as error:
        raise NotRunnableError(f"PyTorch cannot run {step.op} of the program: {first_line(error)}") from error
    values |= zip(step.outputs, out if step.unpacked else (out,), strict=False)


def first_line(error: Exception) -> str:
    """The first line of an error that says anything."""
    lines = [line.strip() for line in str(error).split("\n") if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]

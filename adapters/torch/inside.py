"""A traced value inside a PyTorch module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray

from adapters.torch.export import exported_program, inference
from adapters.torch.runtime import first_line, quiet
from polytope.errors import CorruptFileError, UnsupportedOpError


def values_in_module(module: torch.nn.Module, inputs: Sequence[Any], at: Sequence[str]) -> list[NDArray[Any]]:
    """Values for all samples, computed on the module's own device."""
    given = on_module(module, inputs)
    with quiet(), inference(module):
        return arrays_in_program(exported_program(module, given), given, at)


def on_module(module: torch.nn.Module, inputs: Sequence[Any]) -> tuple[torch.Tensor, ...]:
    """Inputs where a module's parameters are, fractions in their type."""
    parameter = next((p for p in module.parameters() if p.is_floating_point()), torch.zeros(()))
    given = (torch.as_tensor(x, device=parameter.device) for x in inputs)
    return tuple(x.to(parameter.dtype) if x.is_floating_point() else x for x in given)


def arrays_in_program(exported: Any, given: Sequence[torch.Tensor], at: Sequence[str]) -> list[NDArray[Any]]:
    """The same of a traced module, in float64 on the host."""
    with torch.no_grad():
        return [found.double().cpu().numpy() for found in values_in_program(exported, given, at)]


def values_in_program(exported: Any, given: Sequence[torch.Tensor], at: Sequence[str]) -> list[torch.Tensor]:
    """Values of a traced module for the inputs that it was traced with."""
    names = [node.name for node in exported.graph.nodes if node.op != "output"]
    for name in at:
        if name not in names:
            raise CorruptFileError(
                f"There is no value {name!r} in the module. The last ones are {names[-6:]}."
            )
    try:
        found: list[torch.Tensor] = _Watched(exported, at).run(*_arguments(exported, given))
    except Exception as error:  # a module raises whatever it likes
        raise UnsupportedOpError(f"PyTorch cannot run the module on x: {first_line(error)}") from error
    return found


class _Watched(torch.fx.Interpreter):
    """Runs a program; its result are the values of some nodes."""

    def __init__(self, exported: Any, at: Sequence[str]) -> None:
        super().__init__(exported.graph_module, garbage_collect_values=False)
        self._at = at

    def output(self, target: Any, args: Any, kwargs: Any) -> Any:
        found = {node.name: value for node, value in self.env.items()}
        return [found[name] for name in self._at]


def _arguments(exported: Any, given: Sequence[torch.Tensor]) -> list[Any]:
    """What the program takes: its weights, and the inputs in their order."""
    stored, waiting = {**exported.state_dict, **exported.constants}, list(given)
    return [
        waiting.pop(0) if spec.target is None else stored[spec.target]
        for spec in exported.graph_signature.input_specs
    ]

"""A traced value inside a PyTorch module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray

from adapters.torch.export import exported_program, inference
from adapters.torch.runtime import first_line, quiet
from polytope.errors import CorruptFileError, UnsupportedOpError


def values_in_module(module: torch.nn.Module, inputs: Sequence[Any], at: str) -> NDArray[Any]:
    """A value for all samples, computed on the module's own device."""
    place = next((p.device for p in module.parameters()), torch.device("cpu"))
    given = tuple(torch.as_tensor(x, device=place) for x in inputs)
    with quiet(), inference(module):
        exported = exported_program(module, given)
        names = [node.name for node in exported.graph.nodes if node.op != "output"]
        if at not in names:
            raise CorruptFileError(f"There is no value {at!r} in the module. The last ones are {names[-6:]}.")
        try:
            found = _Watched(exported, at).run(*_arguments(exported, given))
        except Exception as error:  # a module raises whatever it likes
            raise UnsupportedOpError(f"PyTorch cannot run the module on x: {first_line(error)}") from error
        array: NDArray[Any] = found.detach().double().cpu().numpy()
        return array


class _Watched(torch.fx.Interpreter):
    """Runs a program; its result is the value of one node."""

    def __init__(self, exported: Any, at: str) -> None:
        super().__init__(exported.graph_module, garbage_collect_values=False)
        self._at = at

    def output(self, target: Any, args: Any, kwargs: Any) -> Any:
        return next(value for node, value in self.env.items() if node.name == self._at)


def _arguments(exported: Any, given: Sequence[torch.Tensor]) -> list[Any]:
    """What the program takes: its weights, and the inputs in their order."""
    stored, waiting = {**exported.state_dict, **exported.constants}, list(given)
    return [
        waiting.pop(0) if spec.target is None else stored[spec.target]
        for spec in exported.graph_signature.input_specs
    ]

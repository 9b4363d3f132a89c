"""The pre-activations of a PyTorch module: inputs of its activations, outputs of parts that are named."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

See = Callable[[str, Tensor], None]  # the name of a layer, its pre-activations

ACTIVATIONS: tuple[type[nn.Module], ...] = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.PReLU,
    nn.ELU,
    nn.GELU,
    nn.SiLU,
    nn.Mish,
    nn.Softplus,
    nn.Hardswish,
    nn.Hardtanh,
)
"""Submodules whose inputs are pre-activations, where a name says which part to observe."""

FUNCTIONS = frozenset(
    "relu relu6 leaky_relu prelu elu gelu silu mish softplus hardswish hardtanh".split()  # noqa: SIM905
)
"""Functions of torch whose inputs are pre-activations, in submodules or called in a forward pass."""


@contextmanager
def observing(module: nn.Module, names: Sequence[str] | None, see: See) -> Iterator[None]:
    """Show pre-activations in evaluation mode, without gradients; then undo that.

    Arguments:
        module: any module.
        names: submodules, and activations by the names that ``None`` gives them; ``None`` is all activations:
            that of a submodule has its name, another that of the part that calls it and of the function.
        see: called with the name of a layer and its pre-activations, each time it runs.
    """
    parts = dict(module.named_modules())
    training = {name: part.training for name, part in parts.items()}
    functions = None if names is None else {name for name in names if name not in parts}
    running: list[str] = []
    handles = [handle for name in names or () if name in parts for handle in _shown(parts[name], name, see)]
    if functions or functions is None:
        handles += [handle for name, part in parts.items() for handle in _followed(part, name, running)]
    owned = {name for name, part in parts.items() if isinstance(part, ACTIVATIONS)}
    try:
        module.eval()
        watched = (
            _Watched(see, running, owned, functions) if functions or functions is None else nullcontext()
        )
        with torch.no_grad(), watched:
            yield
    finally:
        for handle in handles:
            handle.remove()
        for name, part in parts.items():
            part.training = training[name]


def _shown(part: nn.Module, name: str, see: See) -> list[Any]:
    """Hooks that show the input of an activation, or the output of another part."""
    if isinstance(part, ACTIVATIONS):
        return [part.register_forward_pre_hook(lambda _, inputs: see(name, inputs[0]))]
    return [part.register_forward_hook(lambda _, inputs, output: see(name, output))]


def _followed(part: nn.Module, name: str, running: list[str]) -> list[Any]:
    """Hooks that keep the names of the parts that are running, the innermost last."""

    def begin(_: nn.Module, inputs: object) -> None:
        running.append(name)

    def end(_: nn.Module, inputs: object, output: object) -> None:
        running.pop()

    return [part.register_forward_pre_hook(begin), part.register_forward_hook(end, always_call=True)]


class _Watched(TorchFunctionMode):
    """Shows the inputs of activations, whoever calls them.

    Arguments:
        see: as of ``observing``.
        running: names of the parts that are running.
        owned: names of the parts that are activations themselves.
        wanted: the names to show, or all.
    """

    def __init__(
        self, see: See, running: Sequence[str], owned: Collection[str], wanted: Collection[str] | None
    ) -> None:
        super().__init__()
        self._see, self._running, self._owned, self._wanted = see, running, owned, wanted

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kind, kwargs = getattr(func, "__name__", "").rstrip("_"), kwargs or {}
        if kind in FUNCTIONS:
            inside = self._running[-1] if self._running else ""
            name = inside if inside in self._owned else f"{inside}.{kind}".lstrip(".")
            if self._wanted is None or name in self._wanted:
                self._see(name, args[0] if args else kwargs["input"])
        return func(*args, **kwargs)

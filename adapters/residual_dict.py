"""State dicts that follow the naming of residual networks: a stem, blocks with shortcuts, linear layers.

The names say which layers there are and where a shortcut goes; that a block is
``act(conv2(act(conv1(x))) + shortcut(x))`` is the convention the names come from. Strides are not in the
file: each is one or two, and only a choice that is the only one to fit the sizes is accepted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import product
from math import prod
from typing import Any

from polytope.errors import UnsupportedOpError
from polytope.ir import Network

_BLOCK = re.compile(r"(layer\d+\.\d+)\.(conv[12]|shortcut\.0|downsample\.0)\.(weight|bias)")
_OUTSIDE = re.compile(r"(conv1|(?:linear|fc)\d*)\.(weight|bias)")


def is_residual(state: Mapping[str, Any]) -> bool:
    """Whether all names follow the convention, with at least one block."""
    blocks = [bool(_BLOCK.fullmatch(key)) for key in state]
    others = [key for key, block in zip(state, blocks, strict=True) if not block]
    return any(blocks) and "conv1.weight" in state and all(_OUTSIDE.fullmatch(key) for key in others)


def network_of_residual(state: Mapping[str, Any], *, activation: Any, input_shape: Any) -> Network:
    """The network of the conventional module with these weights, compared with that module."""
    import torch
    from torch.nn import functional

    from adapters.torch_export import network_from_module

    functions: dict[str, Callable[..., Any]] = {
        "relu": functional.relu,
        "leaky_relu": functional.leaky_relu,
        "hardtanh": functional.hardtanh,
        "relu6": functional.relu6,
    }
    if str(activation) not in functions or input_shape is None:
        raise UnsupportedOpError(
            "The names are those of a residual network. Say its input and activation, one of "
            f"{', '.join(functions)}: load(path, input_shape=(3, 32, 32), activation='relu')."
        )
    act = functions[str(activation)]
    shape = tuple(int(n) for n in input_shape)[-3:]
    blocks = list(dict.fromkeys(m[1] for key in state if (m := _BLOCK.fullmatch(key))))
    heads = list(
        dict.fromkeys(m[1] for key in state if (m := re.fullmatch(r"((?:linear|fc)\d*)\.weight", key)))
    )
    strides = _strides(state, blocks, heads, shape)

    def convolved(x: Any, name: str, stride: int) -> Any:
        weight = state[f"{name}.weight"]
        return functional.conv2d(x, weight, state.get(f"{name}.bias"), stride, weight.shape[-1] // 2)

    class Residual(torch.nn.Module):
        """The conventional module."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = act(convolved(x, "conv1", strides["conv1"]))
            for block in blocks:
                short = _shortcut(state, block)
                skipped = convolved(x, short, strides[block]) if short else x
                inner = act(convolved(x, f"{block}.conv1", strides[block]))
                x = act(convolved(inner, f"{block}.conv2", 1) + skipped)
            x = x.flatten(1)
            for place, name in enumerate(heads):
                x = act(x) if place else x
                x = functional.linear(x, state[f"{name}.weight"], state.get(f"{name}.bias"))
            return x

    example = torch.zeros(1, *shape, dtype=state["conv1.weight"].dtype)
    return network_from_module(Residual(), example, until=None)


def _shortcut(state: Mapping[str, Any], block: str) -> str | None:
    names = [
        f"{block}.{kind}.0" for kind in ("shortcut", "downsample") if f"{block}.{kind}.0.weight" in state
    ]
    return names[0] if names else None


def _strides(
    state: Mapping[str, Any], blocks: list[str], heads: list[str], shape: tuple[int, ...]
) -> dict[str, int]:
    """The strides of the stem and of the blocks that have a shortcut, if only one choice fits."""
    free = ["conv1", *(b for b in blocks if _shortcut(state, b))]
    last = state[f"{blocks[-1]}.conv2.weight"].shape[0]
    fitting = []
    for choice in product((1, 2), repeat=min(len(free), 12)):
        steps = dict.fromkeys(blocks, 1) | dict(zip(free, choice, strict=False))
        sizes = list(shape[1:])
        for step in steps.values():
            sizes = [-(-n // step) for n in sizes]
        if heads and state[f"{heads[0]}.weight"].shape[1] == last * prod(sizes):
            fitting.append(steps)
    if len(fitting) != 1:
        raise UnsupportedOpError(
            f"The weights are those of a residual network, and {len(fitting)} choices of strides fit. "
            "Give the architecture: load(path, module=MyNetwork(), input_shape=(...))."
        )
    return fitting[0]

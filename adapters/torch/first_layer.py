"""The inputs of a module, where its first layer says them."""

from __future__ import annotations

import torch


def example_for(module: torch.nn.Module) -> torch.Tensor:
    """One input, of zeros: a vector as long as the first layer with parameters, a ``Linear``, reads.

    Raises:
        TypeError: the first layer is another one, so that the shape of an input is not clear.
    """
    first = next((p for p in module.modules() if next(p.parameters(recurse=False), None) is not None), None)
    if not isinstance(first, torch.nn.Linear):
        begins = "has no layer with parameters" if first is None else f"begins with {type(first).__name__}"
        raise TypeError(f"{unclear(module)}: it {begins}. {WRITE}")
    return torch.zeros(1, first.in_features, dtype=first.weight.dtype, device=first.weight.device)


def unclear(module: torch.nn.Module) -> str:
    """The beginning of a sentence."""
    return f"network: what inputs {type(module).__name__} takes is not clear"


WRITE = "Write from_torch(module, example), with an example of its input."

"""Whatever stands for a model, a path, an ONNX proto or a PyTorch module, as a network."""

from __future__ import annotations

import os
from typing import Any

from adapters.files import load
from adapters.memory import from_onnx, from_torch
from polytope.errors import LoadError
from polytope.ir import Network


def network_of(model: Any) -> Network | None:
    """The network of a model; ``None`` for what is no model.

    A module is given an example for its first layer with parameters, if that is a ``Linear``.

    Arguments:
        model: a path, an ``onnx.ModelProto``, or a ``torch.nn.Module``.

    Raises:
        TypeError: it cannot be told what inputs a module takes, or a class stands for a module.
        LoadError: as of ``load``.
    """
    if isinstance(model, str | os.PathLike):
        return load(model)
    if isinstance(model, type):
        return None
    if hasattr(model, "graph") and hasattr(model, "SerializeToString"):
        return from_onnx(model)
    return _of_module(model) if hasattr(model, "named_modules") else None


def _of_module(module: Any) -> Network:
    """The network of a module whose first layer says how many numbers it reads."""
    from adapters.torch.first_layer import WRITE, example_for, unclear

    example = example_for(module)
    try:
        return from_torch(module, example)
    except LoadError as error:
        raise TypeError(
            f"{unclear(module)}; it was tried with {example.shape[1]} numbers: {error} {WRITE}"
        ) from error

"""Saved models into networks: ``load`` a file, or take a model that is in memory.

Neither torch nor onnx is imported before a model of that kind is given.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.files import load
from adapters.lowering.refusals import presentable
from polytope.ir import Network
from polytope.ir.maps import FloatArray

if TYPE_CHECKING:
    import onnx
    import torch

__all__ = ["from_onnx", "from_torch", "load", "runtime", "supported_ops", "supported_ops_markdown", "to_onnx"]


def from_onnx(
    model: onnx.ModelProto,
    *,
    until: str | Sequence[str] | None = None,
    input_shape: Any = None,
    folder: str | os.PathLike[str] | None = None,
) -> Network:
    """The network of an ONNX model in memory, compared with onnxruntime, or another runtime that it names.

    Arguments:
        model: the parsed model; it is not changed.
        until, input_shape: as in :func:`load`.
        folder: where the model's external data lies, if it has any.
    """
    from adapters.onnx.model import network_from_onnx

    if not hasattr(model, "graph"):
        raise TypeError(
            f"from_onnx takes an onnx.ModelProto, not a {type(model).__name__}; load takes a path."
        )
    place = None if folder is None else Path(folder)
    with presentable():
        return network_from_onnx(model, until=until, input_shape=input_shape, folder=place)


def from_torch(
    module: torch.nn.Module, example_input: Any, *, until: str | Sequence[str] | None = None
) -> Network:
    """The network of a PyTorch module in inference mode, compared with the module.

    Arguments:
        module: any ``torch.nn.Module``; it is traced with ``torch.export`` and not changed.
        example_input: a tensor with a batch axis in front, or a tuple of them; only shapes matter.
        until: name(s) of traced values at which to stop; error messages name them.

    Raises:
        ImportMismatchError: the module gives several samples together something else than each alone.

    Example:
        >>> import torch
        >>> module = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
        >>> from_torch(module, torch.zeros(1, 2)).n_units
        8
    """
    from adapters.torch.export import network_from_module

    if not hasattr(module, "modules"):
        raise TypeError(f"from_torch takes a torch.nn.Module, not a {type(module).__name__}.")
    with presentable():
        return network_from_module(module, example_input, until=until)


def to_onnx(network: Network, path: str | os.PathLike[str]) -> None:
    """Write a network as an ONNX file in double precision; loading it again gives the same function.

    Several inputs become one flat input; structure is kept: a convolution stays a Conv node.
    """
    from adapters.onnx.export import write_onnx

    write_onnx(network, path)


def runtime(network: Network) -> Callable[[FloatArray], FloatArray] | None:
    """The runtime that a loaded network was compared with: ``[B, d]`` to ``[B, out]`` in the file's own type.

    ``None`` for a network that nothing could run, or that was not loaded, or was changed since, and for
    modules in memory and archives of arrays.

    Raises:
        TypeError: this is no network.
    """
    from adapters.check import runtime as known

    if not isinstance(network, Network):
        raise TypeError(f"runtime: expected a Network, as load gives it, not {type(network).__name__}.")
    return known(network)


def supported_ops() -> list[dict[str, str]]:
    """Every supported operator: ``table``, ``op``, ``family``, ``meaning``, ``note``, ``why``, ``tested``.

    These are its restrictions, why the rest is refused, and where the row is compared with a runtime.
    """
    from adapters.lowering.published import supported_ops as rows

    return rows()


def supported_ops_markdown() -> str:
    """The supported operators as a Markdown table."""
    from adapters.lowering.published import supported_ops_markdown as table

    return table()

"""Models that are in memory, an ONNX proto or a PyTorch module, into networks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.inside import inputs_of
from adapters.lowering.refusals import presentable
from adapters.pieces import Piece
from polytope.ir import Network

if TYPE_CHECKING:
    import onnx
    import torch


def from_onnx(
    model: onnx.ModelProto,
    *,
    until: str | Sequence[str] | None = None,
    from_: str | Sequence[str] | None = None,
    smooth: float | None = None,
    dequantised: bool = False,
    input_shape: Any = None,
    folder: str | os.PathLike[str] | None = None,
) -> Network:
    """The network of an ONNX model in memory, compared with onnxruntime, or another runtime that it names.

    Arguments:
        model: the parsed model; it is not changed.
        until, from_, smooth, dequantised, input_shape: as in :func:`load`.
        folder: where the model's external data lies, if it has any.
    """
    from adapters.onnx.model import network_from_onnx

    if not hasattr(model, "graph"):
        raise TypeError(
            f"from_onnx takes an onnx.ModelProto, not a {type(model).__name__}; load takes a path."
        )
    place = None if folder is None else Path(folder)
    with presentable():
        return network_from_onnx(
            model,
            piece=Piece.between(from_, until, smooth, dequantised),
            input_shape=input_shape,
            folder=place,
        )


def from_torch(
    module: torch.nn.Module,
    example_input: Any,
    *,
    until: str | Sequence[str] | None = None,
    from_: str | Sequence[str] | None = None,
    smooth: float | None = None,
) -> Network:
    """The network of a PyTorch module in inference mode, compared with the module.

    Arguments:
        module: any ``torch.nn.Module``; it is traced with ``torch.export`` and not changed.
        example_input: a tensor with a batch axis in front, or a tuple of them; only shapes matter.
        until: name(s) of traced values at which to stop; error messages name them.
        from_: name(s) of traced values that the network begins at instead of at the module's inputs, which
            may then be anything, whole numbers too.
        smooth: as in :func:`load`.

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
        return network_from_module(module, example_input, piece=Piece.between(from_, until, smooth))


def freeze_attention(
    module: torch.nn.Module,
    x: Any,
    *,
    until: str | Sequence[str] | None = None,
    from_: str | Sequence[str] | None = None,
    smooth: float | None = None,
) -> Network:
    r"""The network of a transformer whose attention weights and norms stay what they are at one input.

    With its softmaxes held constant attention is an affine map of the tokens, and a layer or root-mean-square
    normalisation is one with its divisor held constant; MLPs stay as they are. At x the network gives what
    the model gives. Everywhere else it is **another function than the model**: what is exact about it is
    exact of the frozen model, and ``network.import_note`` says what was frozen.

    Arguments:
        module: any ``torch.nn.Module``; it is traced with ``torch.export`` and not changed.
        x: one sample, behind a batch axis of one, or a tuple of them.
        until, from_: name(s) of traced values at which to stop and to begin, as in :func:`from_torch`, of the
            program in small steps.
        smooth: as in :func:`load`.

    Raises:
        UnsupportedOpError: there is nothing to freeze, or what is left has no rule.

    Example:
        >>> import torch
        >>> layer = torch.nn.TransformerEncoderLayer(8, 2, dim_feedforward=16, batch_first=True)
        >>> freeze_attention(layer, torch.randn(1, 5, 8))
        Network(40 inputs, 40 outputs, 80 units in 1 layer)
    """
    from adapters.torch.export import one_sample
    from adapters.torch.frozen import frozen_network

    if not hasattr(module, "modules"):
        raise TypeError(
            f"freeze_attention takes a torch.nn.Module, not a {type(module).__name__}: of a file, give the "
            "module that it was exported from, as the attention of ONNX models is not frozen."
        )
    inputs = inputs_of(x)
    if len(inputs[0]) != 1:
        raise ValueError(f"x: attention is frozen at one sample, not {len(inputs[0])}: x[:1], say.")
    sample = one_sample(inputs, whole=from_ is not None)
    with presentable():
        return frozen_network(module, sample, Piece.between(from_, until, smooth))

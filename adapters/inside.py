"""What a model computes at a value on the way, from inputs of any kind: the data of a piece of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from adapters.lowering.refusals import presentable
from polytope.ir.maps import FloatArray

if TYPE_CHECKING:
    import onnx
    import torch


def activations(
    model: str | os.PathLike[str] | onnx.ModelProto | torch.nn.Module, x: Any, *, at: str
) -> FloatArray:
    r"""The values of a tensor inside a model, ``[n, d]``: real data for the piece that begins there.

    Arguments:
        model: an ONNX file or model, run by onnxruntime, or a PyTorch module, run in inference mode.
        x: the model's input for n samples, batch axis first, or a tuple of them where it has several; passed
            as they are, so that whole numbers (tokens) stay whole.
        at: the tensor's name, as ``from_`` of ``load`` and ``from_torch`` takes it.

    Returns:
        One row for each sample, flattened, in float64.

    Raises:
        LoadError: the model has no such tensor, or does not run on these inputs.
        TypeError: the model is of another kind.

    Example:
        >>> import torch
        >>> module = torch.nn.Sequential(torch.nn.Embedding(9, 4), torch.nn.Linear(4, 2), torch.nn.ReLU())
        >>> activations(module, torch.arange(9), at="embedding").shape
        (9, 4)
    """
    return values(model, x, [at])[0]


def values(model: Any, x: Any, at: Sequence[str]) -> list[FloatArray]:
    """The values of several tensors inside a model, each ``[n, d]``, as of ``activations``."""
    inputs = inputs_of(x)
    with presentable():
        return in_rows(_values(model, inputs, at), inputs)


def inputs_of(x: Any) -> tuple[Any, ...]:
    """The inputs of a model, each for the same samples."""
    several = isinstance(x, tuple | list) and len(x) > 0 and not np.isscalar(x[0])
    inputs = tuple(x) if several else (x,)
    for entry in inputs:
        numbers = entry if hasattr(entry, "is_floating_point") else _array(entry)
        if numbers is None or not numbers.ndim or not len(numbers):
            raise ValueError(
                "x: expected the model's input for some samples, numbers with the batch axis first, or a "
                f"tuple of such, not {_shown(entry)}."
            )
    sizes = {len(entry) for entry in inputs}
    if len(sizes) != 1:
        raise ValueError(f"x: the inputs have {sorted(sizes)} samples; each must have the same number.")
    return inputs


def _array(entry: Any) -> NDArray[Any] | None:
    """Numbers as an array; ``None`` for what is none."""
    try:
        found = np.asarray(entry)
    except ValueError:
        return None
    return found if found.dtype.kind in "biuf" else None


def _shown(entry: Any) -> str:
    """What was given in place of samples."""
    shape = getattr(entry, "shape", None)
    return f"an array of shape {tuple(shape)}" if shape is not None else f"a {type(entry).__name__}"


def in_rows(found: Sequence[NDArray[Any]], inputs: Sequence[Any]) -> list[FloatArray]:
    """Values inside a model in float64, flattened, one row for each sample."""
    n = len(inputs[0])
    return [np.ascontiguousarray(np.asarray(one, dtype=float).reshape(n, -1)) for one in found]


def _values(model: Any, inputs: Sequence[Any], at: Sequence[str]) -> list[NDArray[Any]]:
    if hasattr(model, "modules"):
        from adapters.torch.inside import values_in_module

        return values_in_module(model, inputs, at)
    from adapters.onnx.inside import model_of, values_in_model

    read = model_of(model, "activations")
    return [values_in_model(read, inputs, name) for name in at]

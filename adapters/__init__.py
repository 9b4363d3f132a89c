"""Saved models into networks: ``load`` a file, or take a model that is in memory.

Neither torch nor onnx is imported before a model of that kind is given.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.files import load
from polytope.ir import Network

if TYPE_CHECKING:
    import onnx

__all__ = ["from_onnx", "load", "supported_ops", "supported_ops_markdown"]


def from_onnx(
    model: onnx.ModelProto,
    *,
    until: str | Sequence[str] | None = None,
    input_shape: Any = None,
    folder: str | os.PathLike[str] | None = None,
) -> Network:
    """The network of an ONNX model in memory, compared with onnxruntime.

    Arguments:
        model: the parsed model; it is not changed.
        until, input_shape: as in :func:`load`.
        folder: where the model's external data lies, if it has any.
    """
    from adapters.onnx_model import network_from_onnx

    place = None if folder is None else Path(folder)
    return network_from_onnx(model, until=until, input_shape=input_shape, folder=place)


def supported_ops() -> list[dict[str, str]]:
    """Every supported operator: ``table``, ``op``, ``family``, ``meaning``, ``note`` (restrictions)."""
    from adapters.registry import supported_ops as rows

    return rows()


def supported_ops_markdown() -> str:
    """The supported operators as a Markdown table."""
    from adapters.registry import supported_ops_markdown as table

    return table()

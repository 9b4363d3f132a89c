"""State dicts in files of safetensors: a JSON header and raw numbers, nothing that could run."""

from __future__ import annotations

from typing import Any

from adapters.torch.runtime import first_line
from polytope.errors import CorruptFileError, LoadError


def read_safetensors(data: bytes) -> dict[str, Any]:
    """The tensors of a file, on the CPU, by name."""
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load
    except ImportError as error:
        raise LoadError(
            "Files of safetensors need the package safetensors: pip install 'polytope-nn[safetensors]'."
        ) from error
    try:
        found: dict[str, Any] = load(data)
    except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise CorruptFileError(
            f"The file is no safetensors file, or is truncated ({first_line(error)}). Download it again."
        ) from error
    return found

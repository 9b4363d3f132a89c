"""State dicts in files of safetensors: a JSON header and raw numbers, nothing that could run."""

from __future__ import annotations

import re
from typing import Any

from adapters.torch.runtime import first_line
from polytope.errors import CorruptFileError, LoadError, UnsupportedOpError


def read_safetensors(data: bytes, *, chain: bool) -> dict[str, Any]:
    """The tensors of a file, on the CPU, by name.

    Such a file keeps no order: for a chain of layers, that of the numbers in their names is taken.
    """
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
    if chain and not all(re.search(r"\d", name) for name in found):
        raise UnsupportedOpError(
            "A safetensors file keeps no order of its layers, and their names have no numbers. Give the "
            "architecture: load(path, module=MyNetwork(), input_shape=(...))."
        )
    return dict(sorted(found.items(), key=lambda entry: _natural(entry[0])))


def _natural(name: str) -> list[tuple[int, str]]:
    """A key by which 'fc10' comes after 'fc2'."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name)]

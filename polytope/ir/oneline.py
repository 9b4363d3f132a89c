"""One line for what holds arrays: small numbers as they are, of the rest the shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

FEW = 4  # numbers, or parts, that are shown
LONG = 120  # characters of a part


def one_line(self: Any) -> str:
    """The fields of a dataclass in one line, as its ``__repr__``.

    Arguments:
        self: the dataclass's instance.
    """
    parts = (f"{part.name}={_short(getattr(self, part.name))}" for part in fields(self) if part.repr)
    return f"{type(self).__name__}({', '.join(parts)})"


def one_line_of_estimates(self: Any) -> str:
    """The same for what is measured or sampled, and says so."""
    return f"{one_line(self)[:-1]}; estimates)"


def _short(value: Any) -> str:
    """A value in a few words."""
    if isinstance(value, np.ndarray):
        few = value.size <= FEW and value.ndim <= 2 and value.dtype != object
        return str(value.tolist()) if few else f"{value.dtype}{list(value.shape)}"
    if isinstance(value, tuple | list) and (len(value) > FEW or _holds_arrays(value)):
        return f"<{len(value):,} parts>"
    if isinstance(value, Mapping):
        return f"<{len(value):,} entries>"
    text = " ".join(repr(value).split())
    if len(text) <= LONG:
        return text
    if isinstance(value, str):
        return f"{text[:LONG]}..."
    return f"<{len(value):,} parts>" if isinstance(value, tuple | list) else f"<{type(value).__name__}>"


def _holds_arrays(value: tuple[Any, ...] | list[Any]) -> bool:
    return any(isinstance(part, np.ndarray | tuple | list) for part in value)

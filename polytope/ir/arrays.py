"""Numbers that a caller gives, as float64 arrays: lists, arrays of any kind, and tensors of torch."""

from __future__ import annotations

from typing import Any

import numpy as np

from polytope.ir.maps import FloatArray


def floats(given: Any) -> FloatArray:
    """An array of float64; of tensors their values, without their gradients and off their device.

    Arguments:
        given: a number, nested lists, an array, or a tensor; not copied where it is a float64 array.

    Raises:
        TypeError: complex numbers, or dates.
        ValueError: a number is beyond float64, or something is no number.
    """
    found = np.asarray(_values(given))
    if found.dtype.kind in "cmM":
        raise TypeError(f"Real numbers are expected, not {found.dtype}.")
    try:
        return found.astype(float, copy=False)
    except OverflowError as error:
        raise ValueError("A number is beyond the range of float64.") from error


def _values(given: Any) -> Any:
    if hasattr(given, "detach"):  # of torch, which is not loaded for this
        return given.detach().cpu().numpy()
    if isinstance(given, list | tuple) and any(hasattr(part, "detach") for part in given):
        return [_values(part) for part in given]
    return given

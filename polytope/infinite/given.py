"""What a caller gives: numbers of points and targets, whole numbers, architectures; else a sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from polytope.given import described
from polytope.ir.arrays import floats
from polytope.ir.maps import FloatArray


def numbers(given: ArrayLike | Tensor, name: str) -> FloatArray:
    """An array of real numbers in float64.

    Arguments:
        given: lists, an array or a tensor.
        name: of the argument, for messages.

    Raises:
        TypeError: it is no array of real numbers.
    """
    try:
        if isinstance(given, Tensor):
            if given.is_complex():
                raise TypeError(given.dtype)
            return given.detach().to("cpu", torch.float64).numpy()
        if given is None:
            raise TypeError(given)
        return floats(given)
    except (TypeError, ValueError, NotImplementedError) as error:
        kind = f"one of {given.dtype}" if hasattr(given, "dtype") else described(given)
        raise TypeError(f"{name}: an array of real numbers is expected, not {kind}.") from error


def whole(given: Any, name: str) -> int:
    """A whole number.

    Arguments:
        given: the number.
        name: of the argument, for messages.

    Raises:
        TypeError: it is none.
        ValueError: it is negative.
    """
    if isinstance(given, bool) or not isinstance(given, int | np.integer):
        raise TypeError(f"{name}: a whole number is expected, not {described(given)}.")
    if given < 0:
        raise ValueError(f"{name} must not be negative, as {given} is.")
    return int(given)


def real(given: Any, name: str) -> float:
    """A real number.

    Arguments:
        given: the number.
        name: of the argument, for messages.

    Raises:
        TypeError: it is none.
    """
    if isinstance(given, bool) or not isinstance(given, int | float | np.integer | np.floating):
        raise TypeError(f"{name}: a number is expected, not {described(given)}.")
    return float(given)


def shape_of(given: Any, name: str = "input_shape") -> tuple[int, ...]:
    """The shape of one point: whole numbers from 1 on; one number is the shape of vectors.

    Arguments:
        given: the shape.
        name: of the argument, for messages.

    Raises:
        TypeError: it holds no whole numbers.
        ValueError: it is empty, or an axis has no entry.
    """
    sizes = (given,) if isinstance(given, int | np.integer) else given
    if isinstance(sizes, str) or not hasattr(sizes, "__iter__"):
        raise TypeError(f"{name}: a shape such as (3, 32, 32) is expected, not {described(given)}.")
    found = tuple(whole(n, name) for n in sizes)
    if not found or 0 in found:
        raise ValueError(f"{name}: a point has axes of at least one entry, not the shape {found}.")
    return found


def on_device(rows: Tensor, device: str, name: str) -> Tensor:
    """A tensor in float64 on a device.

    Arguments:
        rows: the tensor.
        device: of torch.
        name: of the argument, for messages.

    Raises:
        TypeError: the numbers are complex.
        ValueError: there is no such device.
    """
    if rows.is_complex():
        raise TypeError(f"{name}: real numbers are expected, not {rows.dtype}.")
    try:
        return rows.to(device, torch.float64)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ValueError(f"device: {device!r} is no device that torch can use here: {error}") from error

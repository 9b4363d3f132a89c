"""Operands that must fit each other, and constants that must be whole numbers: refused by name where not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from polytope.errors import CorruptFileError

Entry = TypeVar("Entry")


def common_shape(*shapes: Sequence[int]) -> tuple[int, ...]:
    """The shape that operands broadcast to."""
    try:
        return np.broadcast_shapes(*map(tuple, shapes))
    except ValueError as error:
        listed = ", ".join(str(list(shape)) for shape in shapes)
        raise CorruptFileError(f"Its operands of shapes {listed} do not broadcast.") from error


def joinable(shapes: Sequence[Sequence[int]], axis: int) -> None:
    """Refuse operands that are joined along an axis and do not agree in all others."""
    others = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
    if len(others) > 1 or len({*map(len, shapes)}) > 1 or not len(shapes[0]):
        listed = ", ".join(str(list(shape)) for shape in shapes[:4])
        raise CorruptFileError(f"Its operands of shapes {listed} cannot be joined along axis {axis}.")


def broadcast(constant: NDArray[Any], shape: Sequence[int]) -> NDArray[Any]:
    """A constant spread to a shape."""
    if common_shape(constant.shape, shape) != tuple(shape):
        raise CorruptFileError(f"Its constant of shape {list(constant.shape)} does not fit {list(shape)}.")
    return np.broadcast_to(constant, tuple(shape))


def whole_numbers(values: Any, what: str) -> list[int]:
    """Entries that are whole numbers, whatever type holds them."""
    array = np.ravel(np.asarray(values))
    if array.dtype.kind not in "iub" and not (np.isfinite(array) & (array == np.trunc(array))).all():
        raise CorruptFileError(f"Its {what} must hold whole numbers.")
    return [int(n) for n in array.tolist()]


def whole_number(values: Any, what: str) -> int:
    """The one entry of a constant, a whole number."""
    (found,) = of_length(whole_numbers(values, what), 1, what)
    return found


def axis_place(axis: int, rank: int) -> int:
    """A possibly negative axis as its place from the front."""
    if not -rank <= axis < max(rank, 1):
        raise CorruptFileError(f"Its axis {axis} does not exist in a tensor of {rank} axes.")
    return axis % max(rank, 1)


def axis_places(axes: Any, rank: int) -> list[int]:
    """The axes of a reduction in order: one number, a list, or all where none is given."""
    listed = [] if axes is None else whole_numbers(axes, "axes")
    return sorted({axis_place(a, rank) for a in listed or range(rank)})


def of_length(entries: Sequence[Entry], count: int, what: str) -> Sequence[Entry]:
    """A list that must have a number of entries."""
    if len(entries) != count:
        raise CorruptFileError(f"Its {what} has {len(entries)} entries; {count} were expected.")
    return entries


def within(index: NDArray[Any], n: int, what: str = "indices") -> NDArray[Any]:
    """Indices of an axis of n entries, negative ones counted from its end."""
    if index.size and not -n <= index.min() <= index.max() < n:
        raise CorruptFileError(f"Its {what} reach outside the axis of {n}.")
    return index


def of_rank(shape: Sequence[int], least: int, most: int | None = None) -> None:
    """Refuse an operand with too few axes, or too many."""
    if not least <= len(shape) <= (len(shape) if most is None else most):
        wanted = (
            f"{least}" if most == least else f"at least {least}" if most is None else f"{least} to {most}"
        )
        raise CorruptFileError(f"Its operand of shape {list(shape)} has {len(shape)} axes, not {wanted}.")


def folded(function: Callable[..., Any], *constants: NDArray[Any]) -> NDArray[Any]:
    """A function of numpy's on constants; refused where it has no meaning for their types."""
    try:
        return np.asarray(function(*constants))
    except (TypeError, ValueError) as error:
        kinds = ", ".join(c.dtype.name for c in constants)
        raise CorruptFileError(f"Its constants of types {kinds} do not fit it ({error}).") from error

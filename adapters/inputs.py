"""What one sample of a model's input looks like: batch axes set aside, unknown sizes asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polytope.errors import UnsupportedOpError


@dataclass(frozen=True)
class InputPart:
    """One input of a model.

    Arguments:
        shape: as traced, with a batch axis of one where there is a batch axis.
        batched: whether the first axis is the batch.
        frozen: the batch size that the file fixes; 1 if it is free or absent.
        free: whether the file leaves the batch size open.
    """

    name: str
    shape: tuple[int, ...]
    batched: bool
    frozen: int = 1
    free: bool = False

    @property
    def per_sample_shape(self) -> tuple[int, ...]:
        """The shape without the batch axis."""
        return self.shape[1:] if self.batched else self.shape


def given_shapes(input_shape: Any, names: Sequence[str]) -> Mapping[str, tuple[int, ...]]:
    """The caller's shapes by input name: one shape, a list of shapes, or a mapping."""
    if input_shape is None:
        return {}
    if isinstance(input_shape, Mapping):
        unknown = set(input_shape) - set(names)
        if unknown:
            raise ValueError(f"input_shape names {sorted(unknown)}; the inputs are {list(names)}.")
        return {k: _sizes(v) for k, v in input_shape.items()}
    if not isinstance(input_shape, Sequence) or isinstance(input_shape, str):
        raise ValueError(f"input_shape must be a shape such as (3, 32, 32), not {input_shape!r}.")
    shapes = list(input_shape)
    if all(isinstance(n, int) for n in shapes):
        shapes = [shapes]
    if len(shapes) != len(names):
        raise ValueError(
            f"input_shape gives {len(shapes)} shapes; the model has {len(names)} inputs: {list(names)}."
        )
    return {name: _sizes(shape) for name, shape in zip(names, shapes, strict=True)}


def _sizes(shape: Any) -> tuple[int, ...]:
    sizes = tuple(shape) if isinstance(shape, Sequence) else ()
    if not isinstance(shape, Sequence) or not all(type(n) is int and n > 0 for n in sizes):
        raise ValueError(f"input_shape must hold positive integers, not {shape!r}.")
    return sizes


def completed_part(
    name: str, declared: Sequence[int | None], given: tuple[int, ...] | None, *, per_sample: bool
) -> InputPart:
    """Set the batch axis aside and fill unknown sizes from the caller's shape."""
    rank = len(declared)
    if not per_sample or (rank < 2 and not (given is not None and len(given) == rank - 1)):
        shape = _filled(name, declared, given)
        return InputPart(name, shape, batched=False)
    if given is not None and len(given) == rank and given[0] == 1:
        given = given[1:]
    whole = given is not None and len(given) == rank
    if whole:
        return InputPart(name, _filled(name, declared, given), batched=False)
    first = declared[0]
    shape = (1, *_filled(name, declared[1:], given))
    return InputPart(name, shape, batched=True, frozen=first or 1, free=first is None)


def _filled(name: str, declared: Sequence[int | None], given: tuple[int, ...] | None) -> tuple[int, ...]:
    """Declared sizes, with unknown ones taken from the caller."""
    if given is None:
        if None in declared:
            known = " x ".join("?" if n is None else str(n) for n in declared)
            raise UnsupportedOpError(
                f"Input {name!r} leaves sizes open: {known}. "
                "Say which: load(path, input_shape=(...)), without the batch."
            )
        return tuple(n for n in declared if n is not None)
    if len(given) != len(declared) or any(n not in (None, g) for n, g in zip(declared, given, strict=True)):
        raise ValueError(f"input_shape {given} does not fit input {name!r}, declared as {list(declared)}.")
    return given

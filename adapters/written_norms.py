"""Normalisations of tokens that a model writes out in small steps, by what the steps compute."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from adapters.lowering.layers import Array
from adapters.mlp_block import Norm

Operand = str | Array
Made = Callable[[str], tuple[str, tuple[Operand, ...]]]
"""How a value is made: by "add", "sub", "mul", "div", "pow", "square", "sqrt", "rsqrt", "reciprocal", "mean",
"var" (both over the last axis, which stays, divided by its d), or something else; and of what: names, seen
through what does not change a value, and constants."""


def written_norm(name: str, made: Made) -> Norm | None:
    r"""The norm with which a value is made, if it is one: ``scale * u / sqrt(mean(u**2) + eps) + shift``.

    Here u is x, or x without its mean. The divisor may be multiplied with as a reciprocal root, and the sum
    behind may be missing.
    """
    kind, parts = made(name)
    shift = None
    if kind == "add":
        value, shift = _with_vector(parts)
        kind, parts = made(value) if value else ("", ())
    value, scale = _with_vector(parts) if kind == "mul" else ("", None)
    found = _normalised(value, made) if value else None
    if found is None or scale is None or (shift is not None and shift.shape != scale.shape):
        return None
    start, centred = found
    return Norm(start, centred, scale, np.zeros(len(scale)) if shift is None else shift)


def _with_vector(parts: tuple[Operand, ...]) -> tuple[str, Array | None]:
    """A value and the vector of constants beside it; no name where that is not what there is."""
    names = [p for p in parts if isinstance(p, str)]
    vectors = [np.asarray(p, dtype=float) for p in parts if not isinstance(p, str) and p.ndim == 1]
    return (names[0], vectors[0]) if len(names) == 1 and len(vectors) == 1 else ("", None)


def _normalised(name: str, made: Made) -> tuple[str, bool] | None:
    """What a value without its scale normalises, and whether the mean is taken off."""
    kind, parts = made(name)
    if len(parts) != 2 or kind not in ("mul", "div"):
        return None
    for u, divisor in (parts, parts[::-1]) if kind == "mul" else (parts,):
        square = _square_of(divisor, made, inverse=kind == "mul")
        mean = _without_epsilon(square, made)
        if isinstance(u, str) and mean:
            x, centred = _centred(u, made)
            how, of = made(mean)
            squared = _squared(of[0], made) if how == "mean" else ""
            if isinstance(squared, str) and squared and _centred(squared, made) == (x, centred):
                return x, centred
            if how == "var" and centred and of[0] == x:
                return x, True
    return None


def _square_of(divisor: Operand, made: Made, *, inverse: bool) -> Operand:
    """The square of a divisor, or of what is multiplied with in its place; empty if it is no root."""
    kind, parts = made(divisor) if isinstance(divisor, str) else ("", ())
    if inverse and kind == "rsqrt":
        return parts[0]
    if inverse and kind == "reciprocal":
        return _square_of(parts[0], made, inverse=False)
    if inverse and kind == "div" and not isinstance(parts[0], str) and (parts[0] == 1).all():
        return _square_of(parts[1], made, inverse=False)
    return parts[0] if kind == "sqrt" and not inverse else ""


def _without_epsilon(value: Operand, made: Made) -> str:
    """A value without the number, not negative, that is added to it; empty if none is."""
    kind, parts = made(value) if isinstance(value, str) and value else ("", ())
    names = [p for p in parts if isinstance(p, str)]
    numbers = [p for p in parts if not isinstance(p, str) and p.size == 1 and (p >= 0).all()]
    return names[0] if kind == "add" and len(names) == 1 and len(numbers) == 1 else ""


def _centred(u: str, made: Made) -> tuple[str, bool]:
    """What a value is before its mean was taken off, and whether one was."""
    kind, parts = made(u)
    if kind == "sub" and all(isinstance(p, str) for p in parts):
        x, mean = (str(p) for p in parts)
        if made(mean) == ("mean", (x,)):
            return x, True
    return u, False


def _squared(value: Operand, made: Made) -> Operand:
    """What a value is the square of; empty if it is none."""
    kind, parts = made(value) if isinstance(value, str) else ("", ())
    if kind == "square" or (kind == "mul" and isinstance(parts[0], str) and parts[0] == parts[1]):
        return parts[0]
    two = kind == "pow" and not isinstance(parts[1], str) and parts[1].size == 1 and (parts[1] == 2).all()
    return parts[0] if two else ""

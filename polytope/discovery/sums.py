"""Affine functions with rational coefficients, in words."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction


def in_words(coefficients: Sequence[Fraction | int], names: Sequence[str], constant: Fraction | int) -> str:
    """``sum_i coefficients[i] * names[i] + constant``, without what is 0.

    Example:
        >>> in_words([1, Fraction(-1, 2), 0], ["a", "b", "c"], -2)
        'a - 1/2 b - 2'
    """
    parts = [
        (c, name if abs(c) == 1 else f"{abs(c)} {name}")
        for c, name in zip(coefficients, names, strict=True)
        if c
    ]
    if constant or not parts:
        parts.append((constant, str(abs(constant))))
    first, *rest = (("-" if c < 0 else "+", text) for c, text in parts)
    return ("-" if first[0] == "-" else "") + first[1] + "".join(f" {sign} {text}" for sign, text in rest)

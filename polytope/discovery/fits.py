"""Affine fits by least squares, and affine functions that hold on all rows up to the rounding of float64."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polytope.ir.maps import FloatArray

ROUNDINGS = 8
"""Of the largest terms of a sum: what numbers that were computed by a short formula are off by."""


def fitted(X: FloatArray, y: FloatArray) -> FloatArray:
    """Least squares ``[d + 1]`` of columns and a constant, the constant last; solved in scaled columns."""
    mean, spread = X.mean(axis=0), X.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    scaled = np.concatenate([(X - mean) / spread, np.ones((len(X), 1))], axis=1)
    found = np.linalg.lstsq(scaled, y, rcond=None)[0]
    slopes = found[:-1] / spread
    return np.append(slopes, found[-1] - slopes @ mean)


def up_to_rounding(X: FloatArray, y: FloatArray) -> FloatArray | None:
    """Coefficients ``[d + 1]`` of columns that say y on every row, up to roundings of the largest terms.

    ``|y - X a - c| <= 8 * 2^-52 max(|y| + |X| |a| + |c|)`` on all rows, with a = 0 where that will do;
    ``None`` where least squares finds no such function; where the bound is as large as what y differs by from
    its mean, so that it says nothing of y; and of integers, whose relations are exact.
    """
    if all((part == np.round(part)).all() for part in (X, y)):
        return None
    around = np.abs(y - y.mean()).max()
    if around <= ROUNDINGS * 2.0**-52 * 2 * np.abs(y).max():
        return np.append(np.zeros(X.shape[1]), y.mean())
    slopes, constant = np.split(fitted(X, y), [-1])
    allowed = ROUNDINGS * 2.0**-52 * (np.abs(y) + np.abs(X) @ np.abs(slopes) + np.abs(constant)).max()
    constant = np.where(np.abs(constant) <= allowed, 0.0, constant)
    off = np.abs(X @ slopes + constant - y).max()
    return np.append(slopes, constant) if off <= allowed < around else None


def about(coefficients: FloatArray, names: Sequence[str], target: str) -> str:
    """An affine function with rounded coefficients, in words.

    Example:
        >>> about(np.array([1 / 3, 0.0, -2.5]), ["a", "b"], "c")
        'c = 0.333333 a - 2.5'
    """
    parts = [(c, f"{abs(c):g} {name}") for c, name in zip(coefficients, names, strict=False) if c]
    if coefficients[-1] or not parts:
        parts.append((coefficients[-1], f"{abs(coefficients[-1]):g}"))
    first, *rest = (("-" if c < 0 else "+", text) for c, text in parts)
    return f"{target} = {'-' if first[0] == '-' else ''}{first[1]}" + "".join(f" {s} {t}" for s, t in rest)

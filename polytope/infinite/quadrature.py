"""Integrals over an interval or a square of densities with peaks, by halving where two rules differ most."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import numpy as np

from polytope.ir.looking import look
from polytope.ir.maps import FloatArray

COARSE, FINE = 10, 20  # Gauss-Legendre points on each axis of a piece, by the two rules that are compared
WORST = 32  # pieces that are halved together
PIECES = 2048  # the most: where rounding errors are above the tolerance


def integral(
    density: Callable[[FloatArray], FloatArray], block: int, axes: int, tolerance: float
) -> FloatArray:
    """Over ``0 <= s <= 1`` on each axis, of each column: pieces are halved where two rules differ most.

    Arguments:
        density: at places ``[n, axes]``, ``[n, columns]``.
        block: places that are looked at together.
        axes: 1 or 2.
        tolerance: relative, of the sum of all differences.
    """
    low, length = np.zeros((1, axes)), np.ones(1)
    corners = np.stack(np.meshgrid(*[[0.0, 1.0]] * axes, indexing="ij"), axis=-1).reshape(-1, axes)
    with np.errstate(over="ignore", invalid="ignore"):
        found, error = _on_pieces(density, block, low, length)
        while error.sum() > tolerance * found.sum() and len(low) < PIECES:
            order = np.argsort(error)
            kept, worst = order[:-WORST], order[-WORST:]
            half = np.repeat(length[worst] / 2, len(corners))
            start = np.repeat(low[worst], len(corners), axis=0)
            start += half[:, None] * np.tile(corners, (len(worst), 1))
            more, left = _on_pieces(density, block, start, half)
            low, length = np.concatenate([low[kept], start]), np.append(length[kept], half)
            found, error = np.concatenate([found[kept], more]), np.append(error[kept], left)
    return np.asarray(found.sum(axis=0))


def _on_pieces(
    density: Callable[[FloatArray], FloatArray], block: int, low: FloatArray, length: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The integrals on pieces, ``[pieces, columns]``, and how much two rules differ."""
    axes = low.shape[1]
    (first, coarse), (second, fine) = (_rule(n, axes) for n in (COARSE, FINE))
    places = np.concatenate([first, second])
    s = (low[:, None] + length[:, None, None] * places).reshape(-1, axes)
    values = []
    for k in range(0, len(s), block):
        look()
        values.append(density(s[k : k + block]))
    rows = np.concatenate(values).reshape(len(low), len(places), -1) * length[:, None, None] ** axes
    found = fine @ rows[:, len(coarse) :]
    return found, np.abs(found - coarse @ rows[:, : len(coarse)]).sum(axis=1)


def _rule(n: int, axes: int) -> tuple[FloatArray, FloatArray]:
    """Places and weights of Gauss and Legendre for the unit interval or square."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    grid = np.stack(np.meshgrid(*[(nodes + 1) / 2] * axes, indexing="ij"), axis=-1)
    return grid.reshape(-1, axes), np.asarray(reduce(np.multiply.outer, [weights / 2] * axes).ravel())

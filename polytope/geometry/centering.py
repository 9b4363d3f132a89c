r"""From any interior point of a polyhedron to one deeper inside, by a few cheap steps.

Each step goes to the middle of the chord along a preconditioned gradient of :math:`\sum_i \log s_i` over the
slacks: enough to leave a corner, at the price of a few products with the matrix.
"""

from __future__ import annotations

import numpy as np

from polytope.ir.looking import look
from polytope.ir.maps import FloatArray
from polytope.ir.matrix import Matrix, product, squares, transposed_product


def deeper(
    A: Matrix, c: FloatArray, low: FloatArray, high: FloatArray, x: FloatArray, steps: int = 8
) -> FloatArray:
    """A point with at least the least slack of x, and usually far more.

    Arguments:
        A, c: rows ``A x + c <= 0`` of unit length, negative at x.
        low, high: ``[d]``, bounds around x; infinite where there are none.
        x: a point strictly inside.
        steps: how many chords.
    """
    squared = squares(A)
    best, depth = x, _depth(-(product(A, x) + c), low, high, x)
    for _ in range(steps):
        look()
        slack, below, above = -(product(A, x) + c), x - low, high - x
        if min(slack.min(initial=np.inf), below.min(), above.min()) <= 0:
            break
        uphill = -(transposed_product(A, 1 / slack)) + 1 / below - 1 / above
        curve = transposed_product(squared, 1 / slack**2) + 1 / below**2 + 1 / above**2
        u = uphill / (curve + 1e-12 * curve.max(initial=1e-300))
        speed = product(A, u)
        with np.errstate(divide="ignore", invalid="ignore"):
            times = np.concatenate([slack / speed, above / u, -below / u])
        moves = times[np.isfinite(times) & (times != 0)]
        ahead = float(moves[moves > 0].min(initial=4.0))
        behind = float(moves[moves < 0].max(initial=-4.0))
        x = x + (ahead + behind) / 2 * u
        found = _depth(-(product(A, x) + c), low, high, x)
        if found > depth:
            best, depth = x, found
    return best


def _depth(slack: FloatArray, low: FloatArray, high: FloatArray, x: FloatArray) -> float:
    return min(float(slack.min(initial=np.inf)), float((x - low).min()), float((high - x).min()))

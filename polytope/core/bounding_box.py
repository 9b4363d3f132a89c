"""The box around a domain: the first cell of the compiled searches, which later rows cut."""

from __future__ import annotations

import numpy as np

from polytope.errors import EmptyDomainError, UnboundedDomainError
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.matrix import single_entries


def bounding_box(domain: Polyhedron) -> tuple[FloatArray, FloatArray, IntArray]:
    """Bounds of a domain that are proved to enclose it, and for each the row that is this bound, or -1.

    Returns:
        ``(low [d], high [d], owner [d, 2])``. A bound that a row sets is its nearest float64 number; others
        lie clear of the domain, by more than a sixteenth of its width, on a coarse grid.

    Raises:
        EmptyDomainError: no point.
        UnboundedDomainError: there are points at infinity, or beyond the numbers of float64.
    """
    d = domain.dim
    low, high = np.full(d, -np.inf), np.full(d, np.inf)
    owner = np.full((d, 2), -1, dtype=np.int64)
    single, axis, slope = single_entries(domain.rows)
    with np.errstate(over="ignore", under="ignore"):
        limit = domain.b[single] / slope
    for i, t, a, value in zip(single.tolist(), axis.tolist(), slope.tolist(), limit.tolist(), strict=True):
        if a > 0 and value < high[t]:
            high[t], owner[t, 1] = value, i
        elif a < 0 and value > low[t]:
            low[t], owner[t, 0] = value, i
    owner[~(low < high)] = -1  # one number to float64: the rows cut the bounds around it, exactly
    if (owner < 0).any():
        _set_free_sides(domain, low, high, owner)
    return low, high, owner


def _set_free_sides(domain: Polyhedron, low: FloatArray, high: FloatArray, owner: IntArray) -> None:
    """Bounds where no row sets them."""
    ends = domain.bounds
    if not np.isfinite(ends).all():
        raise UnboundedDomainError(
            "The compiled searches need a domain bounded by float64 numbers: add rows, or use LP cells."
        )
    if (ends[0] > ends[1]).any():
        raise EmptyDomainError("The domain is empty: no point satisfies all its rows.")
    width = np.maximum(ends[1] - ends[0], 2.0**-40 * np.abs(ends).max(axis=0))
    grid = np.ldexp(1.0, np.frexp(np.maximum(width, 2.0**-1000))[1] - 4)
    below, above = owner[:, 0] < 0, owner[:, 1] < 0
    low[below] = (np.floor(ends[0] / grid - 1) * grid)[below]
    high[above] = (np.ceil(ends[1] / grid + 1) * grid)[above]

"""The box around a domain: the first cell of the compiled searches, which later rows cut."""

from __future__ import annotations

import numpy as np

from polytope.errors import EmptyDomainError, UnboundedDomainError
from polytope.ir.maps import FloatArray, IntArray


def bounding_box(
    A: FloatArray, b: FloatArray, vertices: FloatArray | None = None
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Bounds of the domain ``A x <= b``, and for each the row that is this bound, or -1.

    Arguments:
        A, b: ``[m, d]`` and ``[m]``.
        vertices: ``[v, d]``, the domain's, where they are known; linear programs replace them.

    Returns:
        ``(low [d], high [d], owner [d, 2])``. Bounds that no row sets lie clear of the domain.

    Raises:
        EmptyDomainError: no point, or no interior.
        UnboundedDomainError: there are points at infinity.
    """
    d = A.shape[1]
    low, high = np.full(d, -np.inf), np.full(d, np.inf)
    owner = np.full((d, 2), -1, dtype=np.int64)
    for i, (a, c) in enumerate(zip(A, b, strict=True)):
        axes = np.flatnonzero(a)
        if len(axes) == 1 and np.isfinite(c):
            t = int(axes[0])
            value = c / a[t]
            if a[t] > 0 and value < high[t]:
                high[t], owner[t, 1] = value, i
            elif a[t] < 0 and value > low[t]:
                low[t], owner[t, 0] = value, i
    if (owner < 0).any():
        points = _extreme_points(A, b) if vertices is None else np.asarray(vertices, dtype=float)
        reach = 1.0 + 0.01 * (points.max(axis=0) - points.min(axis=0)) + 1e-3 * np.abs(points).max(axis=0)
        for t in range(d):
            if owner[t, 0] < 0:
                low[t] = np.floor(points[:, t].min() - reach[t])
            if owner[t, 1] < 0:
                high[t] = np.ceil(points[:, t].max() + reach[t])
    if not (low < high).all():
        raise EmptyDomainError(f"The domain is empty or flat: lower bounds {low}, upper bounds {high}.")
    return low, high, owner


def _extreme_points(A: FloatArray, b: FloatArray) -> FloatArray:
    """A point of the domain furthest along each direction of each axis."""
    from scipy.optimize import linprog

    points = []
    for t in range(A.shape[1]):
        for sign in (-1.0, 1.0):
            cost = np.zeros(A.shape[1])
            cost[t] = -sign
            result = linprog(cost, A_ub=A, b_ub=b, bounds=(None, None))
            if result.status == 2:
                raise EmptyDomainError("The rows A x <= b contradict each other.")
            if result.x is None or result.status == 3:
                raise UnboundedDomainError("Vertex cells need a bounded domain: add rows, or use LP cells.")
            points.append(result.x)
    return np.array(points)

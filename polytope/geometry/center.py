r"""Points deep inside :math:`\{A x \le b\}`: floats propose, exact arithmetic finds what they cannot."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from polytope.errors import EmptyDomainError, SolverError
from polytope.exact.float_points import rounded_inside
from polytope.exact.interior import interior_point, interior_point_between_bounds
from polytope.exact.program import maximise
from polytope.geometry.enclosure import FAR, has_two_sides, row_bounds
from polytope.geometry.inside import accurate_slacks, integer_rows, radius_around
from polytope.geometry.lp import WarmProgram
from polytope.geometry.scales import column_scales, unit_rows
from polytope.ir.maps import FloatArray
from polytope.ir.matrix import Matrix, dense, entries_of_rows

NEAR = 2.0  # bound of the first program of an unbounded polyhedron, in units of its size: near points first
REFINEMENTS = 3  # of a point that is not inside, each about 1e-9 of the one before
DEEP = 12  # dimensions up to which exact points are as deep as can be


def proposed_centers(A: Matrix, b: FloatArray, *, bounded: bool) -> Iterator[FloatArray]:
    """Points that probably lie deep inside."""
    if has_two_sides(A) and (entries_of_rows(A) == 1).all():
        low, high = row_bounds(A, b)
        yield low / 2 + high / 2
        return
    A = dense(A)
    center: FloatArray | None = None
    for bound, largest in ((FAR, None),) if bounded else ((NEAR, 1.0), (FAR, 1.0)):
        center = _ball_center(A, b, bound, largest)
        if center is not None:
            yield center
    for _ in range(REFINEMENTS):
        center = None if center is None else _refined(A, b, center)
        if center is not None:
            yield center


def _ball_center(A: FloatArray, b: FloatArray, bound: float, largest: float | None) -> FloatArray | None:
    """The centre of a largest ball, in coordinates where the polyhedron's numbers are of size 1."""
    scale = column_scales(A, b)
    rows = unit_rows(A * scale, b)[0]
    size = float(np.abs(rows[:, -1]).max()) or 1.0
    rows[:, -1] /= size
    try:
        center, _ = WarmProgram(A.shape[1], bound).inscribed_ball(list(rows), largest)
    except SolverError:
        return None
    return center * size * scale


def _refined(A: FloatArray, b: FloatArray, center: FloatArray) -> FloatArray | None:
    """A better point, by a program around the given one with every row in units of its slack there."""
    slack = accurate_slacks(A, b, center)
    unit = np.where(slack != 0, np.abs(slack), np.abs(slack).max() or 1.0)
    with np.errstate(over="ignore"):
        moved, constant = A / unit[:, None], slack / unit
        scale = column_scales(moved, constant)
        rows = np.concatenate([moved * scale, -constant[:, None]], axis=1)
    if not np.isfinite(rows).all():
        return None
    try:
        step, _ = WarmProgram(A.shape[1], FAR).inscribed_ball(list(rows), 1.0)
    except SolverError:
        return None
    return center + step * scale


def exact_center(A: FloatArray, b: FloatArray) -> tuple[FloatArray, float]:
    """A float64 point next to one that lies inside, and the radius of a ball around it; 0 if it lies outside.

    Raises:
        EmptyDomainError: no point, or no interior.
    """
    rows = integer_rows(A, b)
    if A.shape[1] > DEEP:
        deep = interior_point_between_bounds(rows)
    else:
        deep = interior_point(rows, 1 + max(abs(row[-1]) // max(map(abs, row[:-1])) for row in rows))
    if deep is None:
        if maximise(rows, [0] * (A.shape[1] + 1)) is None:
            raise EmptyDomainError("The domain is empty: no point satisfies all its rows.")
        raise EmptyDomainError(
            "The domain has no interior: its rows leave only points of a lower dimension. "
            "affine_hull(domain) gives the window that holds it."
        )
    center, _ = rounded_inside(rows, deep)
    return center, radius_around(A, b, center)

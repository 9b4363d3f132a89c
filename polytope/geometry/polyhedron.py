r"""Convex polyhedra :math:`\{x : A x \le b\}`: the domains of every enumeration."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import ConvexHull, HalfspaceIntersection, QhullError

from polytope.errors import EmptyDomainError, GeometryError, SolverError, UnboundedDomainError
from polytope.geometry.lp import WarmProgram, coordinate_bounds
from polytope.ir.maps import FloatArray, IntArray

UNBOUNDED = 1e7  # artificial bound of floating-point programs, in units of the polyhedron's own size


@dataclass(frozen=True, eq=False)
class Polyhedron:
    """The points with ``A x <= b``.

    Arguments:
        A: ``[m, d]``; m may be 0 for the whole space.
        b: ``[m]``.

    Raises:
        ValueError: shapes differ, a number is not finite, or a row of A is zero.
    """

    A: FloatArray
    b: FloatArray

    def __post_init__(self) -> None:
        A, b = np.array(self.A, dtype=float), np.array(self.b, dtype=float).ravel()
        object.__setattr__(self, "A", A)
        object.__setattr__(self, "b", b)
        if A.ndim != 2 or len(A) != len(b) or not A.shape[1]:
            raise ValueError(f"Polyhedron: A {A.shape} and b {b.shape} must be [m, d] and [m].")
        if not (np.isfinite(A).all() and np.isfinite(b).all()):
            raise ValueError("Polyhedron: A and b must be finite numbers; leave out rows that bound nothing.")
        if len(A) and not np.abs(A).max(axis=1).min() > 0:
            raise ValueError("Polyhedron: a row of A is zero; it bounds nothing, leave it out.")

    @classmethod
    def box(cls, low: ArrayLike, high: ArrayLike) -> Polyhedron:
        """The box ``low <= x <= high``; rows are the upper faces, then the lower ones."""
        lo, hi = np.atleast_1d(np.asarray(low, dtype=float)), np.atleast_1d(np.asarray(high, dtype=float))
        if lo.ndim != 1 or lo.shape != hi.shape:
            raise ValueError(
                f"Polyhedron.box: low {lo.shape} and high {hi.shape} must be vectors of one length."
            )
        if (wrong := np.flatnonzero(~(lo <= hi))).size:
            i = int(wrong[0])
            raise ValueError(
                f"Polyhedron.box: low[{i}] = {lo[i]:g} is above high[{i}] = {hi[i]:g}; swap them."
            )
        if (flat := np.flatnonzero(lo == hi)).size:
            i = int(flat[0])
            raise EmptyDomainError(
                f"The box has no interior: low and high are both {lo[i]:g} at coordinate {i}. Fix such "
                "coordinates with a Slice and enumerate in the others."
            )
        eye = np.eye(len(lo))
        return cls(np.concatenate([eye, -eye]), np.concatenate([hi, -lo]))

    @classmethod
    def cross_polytope(cls, center: ArrayLike, radius: float) -> Polyhedron:
        """The ball of the 1-norm, ``sum |x_i - center_i| <= radius``: 2^d rows."""
        c = np.atleast_1d(np.asarray(center, dtype=float))
        if len(c) > 16:
            raise ValueError(f"Polyhedron.cross_polytope: 2^{len(c)} rows are too many; the limit is d = 16.")
        if not radius > 0:
            raise ValueError(f"Polyhedron.cross_polytope: the radius must be positive, not {radius}.")
        signs = np.array(list(product((1.0, -1.0), repeat=len(c))))
        return cls(signs, signs @ c + radius)

    @classmethod
    def whole_space(cls, d: int) -> Polyhedron:
        """All of R^d."""
        return cls(np.zeros((0, d)), np.zeros(0))

    @property
    def dim(self) -> int:
        """Number of coordinates, d."""
        return int(self.A.shape[1])

    def contains(self, x: ArrayLike, tolerance: float = 0.0) -> NDArray[np.bool_]:
        """Which of the points ``[B, d]`` satisfy every row up to ``tolerance`` times the row's length."""
        slack = self.b - np.atleast_2d(np.asarray(x, dtype=float)) @ self.A.T
        inside: NDArray[np.bool_] = (slack >= -tolerance * np.linalg.norm(self.A, axis=1)).all(axis=1)
        return inside

    @cached_property
    def unit_rows(self) -> FloatArray:
        """Rows ``[m, d + 1]`` of unit length, ``r[:d] . x + r[d] <= 0``."""
        length = np.linalg.norm(self.A, axis=1, keepdims=True)
        rows: FloatArray = np.concatenate([self.A, -self.b[:, None]], axis=1) / length
        return rows

    @cached_property
    def inscribed_ball(self) -> tuple[FloatArray, float]:
        """Centre and radius of a largest ball inside; the radius is infinite where there is no largest.

        Raises:
            EmptyDomainError: no point, or no interior.
        """
        if not len(self.A):
            return np.zeros(self.dim), np.inf
        ball = self._largest_ball()
        if ball is None:
            raise EmptyDomainError("The domain is empty: no point satisfies all its rows.")
        center, radius, scale = ball
        if radius <= 1e-9 * scale:
            raise EmptyDomainError(
                "The domain has no interior: its rows leave only points of a lower dimension. "
                "affine_hull(domain) gives the window that holds it."
            )
        return center, radius

    def _largest_ball(self) -> tuple[FloatArray, float, float] | None:
        """Centre, radius, and the size of the polyhedron's numbers; ``None`` where it is empty."""
        scale = float(np.abs(self.unit_rows[:, -1]).max()) or 1.0
        low, high, _ = self._bounds
        if self.is_box:
            radius = float((high - low).min()) / 2
            return ((low + high) / 2, radius, scale) if radius >= 0 else None
        rows = np.concatenate([self.unit_rows[:, :-1], self.unit_rows[:, -1:] / scale], axis=1)
        try:
            center, radius = WarmProgram(self.dim, UNBOUNDED).inscribed_ball(list(rows))
        except SolverError:
            return None
        return center * scale, np.inf if radius >= UNBOUNDED * 0.99 else radius * scale, scale

    @cached_property
    def _bounds(self) -> tuple[FloatArray, FloatArray, IntArray]:
        return coordinate_bounds(self.A, -self.b, np.inf)

    @cached_property
    def is_box(self) -> bool:
        """Whether the polyhedron is a bounded box: every row bounds one coordinate, from both sides all."""
        ends = np.concatenate(self._bounds[:2])
        return bool(np.isfinite(ends).all() and (np.count_nonzero(self.A, axis=1) == 1).all())

    @cached_property
    def is_bounded(self) -> bool:
        """Whether the polyhedron is bounded: no direction u with A u <= 0."""
        low, high, _ = self._bounds
        ends = np.concatenate([high, -low])
        if len(self.A) <= self.dim or np.isfinite(ends).all():
            return len(self.A) > self.dim
        program = WarmProgram(self.dim, 1.0)
        cone = [np.append(row[:-1], 0.0) for row in self.unit_rows]
        axes = np.concatenate([np.eye(self.dim), -np.eye(self.dim)])[np.isinf(ends)]
        return all(program.maximise(cone, np.append(axis, 0.0)).value < 1e-6 for axis in axes)

    def vertices(self) -> FloatArray:
        """All vertices, ``[v, d]``.

        Raises:
            UnboundedDomainError: there are points at infinity.
        """
        if not self.is_bounded:
            raise UnboundedDomainError("An unbounded polyhedron is not the hull of its vertices.")
        center, radius = self.inscribed_ball
        return vertices_around(self.A, self.b, center, radius)

    def volume(self) -> float:
        """The d-dimensional volume, from the convex hull of the vertices.

        Raises:
            UnboundedDomainError: the volume is infinite.
        """
        return hull_volume(self.vertices())


def vertices_around(A: FloatArray, b: FloatArray, center: FloatArray, radius: float) -> FloatArray:
    """The vertices ``[v, d]`` of the bounded ``{A x <= b}`` around an interior point.

    Arguments:
        A, b: rows.
        center, radius: a point strictly inside, and about its distance to the nearest row.

    Raises:
        GeometryError: Qhull fails.
    """
    slack = b - A @ center
    if A.shape[1] == 1:
        ends = slack / A[:, 0]
        two: FloatArray = center + np.array([[ends[A[:, 0] < 0].max()], [ends[A[:, 0] > 0].min()]])
        return two
    moved = np.concatenate([A, -slack[:, None] / radius], axis=1)
    try:
        found = HalfspaceIntersection(moved, np.zeros(len(center))).intersections
    except QhullError as error:
        raise GeometryError("Qhull could not intersect these half-spaces.") from error
    corners: FloatArray = _distinct(found) * radius + center
    return corners


def hull_volume(corners: FloatArray) -> float:
    """The d-dimensional volume of the convex hull of points ``[v, d]``."""
    size = np.ptp(corners, axis=0)
    if corners.shape[1] == 1 or not size.all():
        return float(np.prod(size))
    return float(ConvexHull((corners - corners.mean(axis=0)) / size).volume * np.prod(size))


def _distinct(points: FloatArray) -> FloatArray:
    """Points without repetitions up to rounding, in lexicographic order."""
    scale = float(np.abs(points).max()) or 1.0
    _, first = np.unique(np.round(points / scale, 9), axis=0, return_index=True)
    return points[np.sort(first)]

r"""Convex polyhedra :math:`\{x : A x \le b\}`: the domains of every enumeration."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array, issparse

from polytope.errors import EmptyDomainError, GeometryError, UnboundedDomainError
from polytope.exact.polytope import around_polygon, box_volume, exact_corners, exact_volume, nearest_float
from polytope.exact.program import Row
from polytope.geometry.center import exact_center, proposed_centers
from polytope.geometry.enclosure import FAR, exact_box, has_two_sides, proved_box, recedes, row_bounds
from polytope.geometry.inside import contained, integer_rows, radius_around
from polytope.geometry.scales import unit_rows
from polytope.ir.arrays import floats
from polytope.ir.maps import FloatArray
from polytope.ir.matrix import Matrix, entries_of_rows, lengths, product

UNBOUNDED = FAR  # artificial bound of float programs, in units of the polyhedron's own size: no proof
MANY = 64  # dimensions above which the rows of a box are kept sparse
LARGEST = 1 << 30  # bytes that A may take where rows are kept sparse


@dataclass(frozen=True, eq=False, init=False)
class Polyhedron:
    """The points with ``A x <= b``.

    Arguments:
        A: ``[m, d]``, a table or a sparse array of scipy; m may be 0 for the whole space.
        b: ``[m]``.

    Attributes:
        rows: A as it is kept, dense or sparse: sparse where it was given so, and for boxes in more than 64
            dimensions, which take two numbers a coordinate.

    Raises:
        ValueError: shapes differ, a number is not finite, or a row of A is zero.
    """

    rows: Matrix
    b: FloatArray

    def __init__(self, A: ArrayLike | csr_array, b: ArrayLike) -> None:
        rows, limits = _kept(A), floats(b).ravel().copy()
        object.__setattr__(self, "rows", rows)
        object.__setattr__(self, "b", limits)
        if rows.ndim != 2 or rows.shape[0] != len(limits) or not rows.shape[1]:
            raise ValueError(f"Polyhedron: A {rows.shape} and b {limits.shape} must be [m, d] and [m].")
        numbers = rows if isinstance(rows, np.ndarray) else rows.data
        if not (np.isfinite(numbers).all() and np.isfinite(limits).all()):
            raise ValueError("Polyhedron: A and b must be finite numbers; leave out rows that bound nothing.")
        if not entries_of_rows(rows).all():
            raise ValueError("Polyhedron: a row of A is zero; it bounds nothing, leave it out.")

    def __repr__(self) -> str:
        return f"Polyhedron({len(self.b):,} half-spaces in {self.dim:,} dimensions)"

    @cached_property
    def A(self) -> FloatArray:  # noqa: N802  # as the mathematics writes it
        """The rows as a table, ``[m, d]``.

        Raises:
            GeometryError: rows that are kept sparse would take more than 1 GiB so, as those of a box in more
                than 8,192 dimensions do. ``rows`` has them.
        """
        if isinstance(self.rows, np.ndarray):
            return self.rows
        if 8 * len(self.b) * self.dim > LARGEST:
            raise GeometryError(
                f"The {len(self.b):,} half-spaces of a polyhedron in {self.dim:,} dimensions take "
                f"{8 * len(self.b) * self.dim / 2**30:.1f} GiB as a table: read its sparse rows, or choose a "
                "window (Slice) of few dimensions."
            )
        table: FloatArray = self.rows.toarray()
        return table

    @classmethod
    def box(cls, low: ArrayLike, high: ArrayLike, dim: int | None = None) -> Polyhedron:
        """The box ``low <= x <= high``; rows are the upper faces, then the lower ones.

        Arguments:
            low, high: the ends of every coordinate, ``[d]``; with ``dim`` also one number for all.
            dim: the number of coordinates.

        Raises:
            TypeError: two numbers are given, and no ``dim``.
            ValueError: lengths differ, a number is not finite, or a low end is above the high one.
            EmptyDomainError: the ends of a coordinate are equal.
        """
        lo, hi = floats(low), floats(high)
        if dim is not None:
            lo, hi = (np.full(dim, end) if end.ndim == 0 else end for end in (lo, hi))
        if lo.ndim == hi.ndim == 0:
            raise TypeError(
                f"Polyhedron.box: of how many coordinates? Write box({lo:g}, {hi:g}, dim=2), or "
                f"box([{lo:g}], [{hi:g}]) for an interval."
            )
        if lo.ndim != 1 or lo.shape != hi.shape or len(lo) != (dim or len(lo)):
            raise ValueError(
                f"Polyhedron.box: low {lo.shape} and high {hi.shape} must be vectors of one length"
                f"{f', {dim}' if dim else ''}."
            )
        if np.isnan(lo).any() or np.isnan(hi).any():
            raise ValueError("Polyhedron.box: low and high must be numbers; one of them is NaN.")
        if (wrong := np.flatnonzero(lo > hi)).size:
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
        limits = np.concatenate([hi, -lo])
        if len(lo) > MANY:
            return cls(_box_rows(len(lo)), limits)
        eye = np.eye(len(lo))
        return cls(np.concatenate([eye, -eye]), limits)

    @classmethod
    def cross_polytope(cls, center: ArrayLike, radius: float) -> Polyhedron:
        """The ball of the 1-norm, ``sum |x_i - center_i| <= radius``: 2^d rows.

        Arguments:
            center: ``[d]``, d at most 16.
            radius: positive, in the 1-norm.

        Raises:
            ValueError: d is too large, or the radius is not positive.
        """
        c = np.atleast_1d(floats(center))
        if len(c) > 16:
            raise ValueError(f"Polyhedron.cross_polytope: 2^{len(c)} rows are too many; the limit is d = 16.")
        if not radius > 0:
            raise ValueError(f"Polyhedron.cross_polytope: the radius must be positive, not {radius}.")
        signs = np.array(list(itertools.product((1.0, -1.0), repeat=len(c))))
        return cls(signs, signs @ c + radius)

    @classmethod
    def whole_space(cls, d: int) -> Polyhedron:
        """All of R^d.

        Arguments:
            d: number of coordinates, at least 1.

        Returns:
            The polyhedron without rows.
        """
        return cls(np.zeros((0, d)), np.zeros(0))

    @property
    def dim(self) -> int:
        """Number of coordinates, d."""
        return int(self.rows.shape[1])

    def contains(self, x: ArrayLike, tolerance: float = 0.0) -> NDArray[np.bool_]:
        """Which points satisfy every row up to ``tolerance`` times the row's length.

        Without a tolerance the answer is that of rational arithmetic.

        Arguments:
            x: points, ``[B, d]``, or one, ``[d]``.
            tolerance: how far outside a half-space a point may lie, in the distance of the input space.

        Returns:
            ``bool[B]``.

        Raises:
            ValueError: the points lie in a space of another dimension.
        """
        points = np.atleast_2d(floats(x))
        if points.ndim != 2 or points.shape[1] != self.dim:
            raise ValueError(f"contains: expected points of shape [B, {self.dim}], got {points.shape}.")
        if tolerance == 0:
            return contained(self.rows, self.b, points, strictly=False)
        slack = self.b - product(self.rows, points.T).T
        inside: NDArray[np.bool_] = np.all(slack >= -tolerance * lengths(self.rows), axis=1)
        return inside

    @cached_property
    def unit_rows(self) -> FloatArray:
        """Rows ``[m, d + 1]`` of unit length, ``r[:d] . x + r[d] <= 0``, rounded."""
        return unit_rows(self.rows, self.b)[0]

    @cached_property
    def inscribed_ball(self) -> tuple[FloatArray, float]:
        """Centre, ``[d]``, and radius of a ball that is proved to lie inside.

        It is a largest one, up to the tolerance of a float program, where the domain is bounded and its
        numbers are of ordinary size; else one that is deep inside for its size. In the whole space the radius
        is infinite. Where no float64 point next to an inner one lies inside, it is 0, and the centre such a
        point's rounding.

        Raises:
            EmptyDomainError: no point, or no interior, in rational arithmetic.
        """
        if not len(self.b):
            return np.zeros(self.dim), np.inf
        for center in proposed_centers(self.rows, self.b, bounded=self.is_bounded):
            radius = radius_around(self.rows, self.b, center)
            if radius > 0:
                return center, radius
        return exact_center(self.A, self.b)

    @cached_property
    def bounds(self) -> FloatArray:
        """Low and high of every coordinate, ``[2, d]``, proved to enclose; infinite where there are none.

        Raises:
            EmptyDomainError: no point satisfies all rows.
        """
        return exact_box(self.A, self.b) if self._proved_box is None else self._proved_box

    @cached_property
    def _proved_box(self) -> FloatArray | None:
        return proved_box(self.rows, self.b)

    @cached_property
    def is_box(self) -> bool:
        """Whether the polyhedron is a bounded box: every row bounds one coordinate, from both sides all."""
        return has_two_sides(self.rows) and bool((entries_of_rows(self.rows) == 1).all())

    @cached_property
    def is_bounded(self) -> bool:
        """Whether the polyhedron is bounded: no direction u but 0 with A u <= 0, in rational arithmetic."""
        if len(self.b) <= self.dim or has_two_sides(self.rows):
            return len(self.b) > self.dim
        return self._proved_box is not None or not recedes(integer_rows(self.A, self.b))

    def vertices(self) -> FloatArray:
        """All vertices, ``[v, d]``: in the plane counterclockwise, else in lexicographic order.

        **Exact**: found in rational arithmetic, and rounded once. Those that float64 does not tell apart are
        one.

        Raises:
            UnboundedDomainError: there are points at infinity.
            EmptyDomainError: no point, or no interior.
        """
        self._require_body()
        if not self.is_box:
            return rounded_corners(integer_rows(self.A, self.b))
        ends = row_bounds(self.rows, self.b, outward=False)
        corners = np.array(list(itertools.product(*ends.T.tolist())))
        return corners[[0, 2, 3, 1]] if self.dim == 2 else corners

    def volume(self) -> float:
        """The d-dimensional volume. **Exact**: found in rational arithmetic, and rounded once.

        Raises:
            UnboundedDomainError: the volume is infinite.
            EmptyDomainError: no point, or no interior.
        """
        self._require_body()
        rows = integer_rows(self.A, self.b)
        return nearest_float(box_volume(rows) if self.is_box else exact_volume(rows))

    def _require_body(self) -> None:
        """Refuse what is unbounded, or has no interior."""
        if not self.is_bounded:
            raise UnboundedDomainError("An unbounded polyhedron is not the hull of its vertices.")
        _ = self.inscribed_ball


def _kept(A: ArrayLike | csr_array) -> Matrix:
    """A table, or sparse rows without zeros, of their own."""
    if not issparse(A):
        return floats(A).copy()
    rows: csr_array = csr_array(A).astype(float, copy=True)
    rows.sum_duplicates()
    rows.eliminate_zeros()
    return rows


def _box_rows(d: int) -> csr_array:
    """The upper faces of a box, then the lower ones."""
    signs = np.concatenate([np.ones(d), -np.ones(d)])
    return csr_array((signs, np.tile(np.arange(d), 2), np.arange(2 * d + 1)), shape=(2 * d, d))


def rounded_corners(rows: Sequence[Row]) -> FloatArray:
    """The vertices ``[v, d]`` of a bounded polyhedron of integer rows: the nearest float64 points.

    In the plane counterclockwise from the first in lexicographic order, else in lexicographic order. Points
    that rounding makes equal are one.
    """
    exact = sorted(corner.point for corner in exact_corners(rows))
    around = around_polygon(exact) if len(exact[0]) == 2 else exact
    points = dict.fromkeys(tuple(nearest_float(v) for v in point) for point in around)
    corners: FloatArray = np.array(list(points))
    return corners if corners.shape[1] == 2 else np.unique(corners, axis=0)


def hull_volume(corners: FloatArray) -> float:
    """The d-dimensional volume of the convex hull of points ``[v, d]``, by Qhull: an estimate."""
    from scipy.spatial import ConvexHull  # takes as long to load as all that comes before it

    size = np.ptp(corners, axis=0)
    if corners.shape[1] == 1 or not size.all():
        return float(np.prod(size))
    return float(ConvexHull((corners - corners.mean(axis=0)) / size).volume * np.prod(size))

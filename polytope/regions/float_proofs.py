r"""What floats prove of the rows of a region, each decision by the rounding errors of its own numbers.

Row i is exactly :math:`\hat r_i(x) = r_i(x) + e_i(x)` with :math:`|e_i(x)| \le \sigma_i |x| + \tau_i`. It
carries a facet if a point is beyond it while all others hold. It is implied if :math:`\hat r_i = \sum_j
\lambda_j \hat r_j + g`, :math:`\lambda \ge 0`, and the rest g is negative: over a box around the domain, or
as a constant, where d independent rows determine the multipliers exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from polytope.ir.forward import U
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.matrix import Matrix, dense_rows, product, transposed_product
from polytope.regions.region_rows import RegionRows

ROOM = 1 + 2.0**-20  # for the rounding of the bounds themselves


@dataclass(frozen=True, eq=False)
class RowsAround:
    """Rows ``A x + c <= 0`` of a region, seen from a point inside.

    Arguments:
        A, c, slope, level: ``[m]`` rows and the bounds on their errors, as ``RegionRows`` has them.
        x0: a point of the region.
        low, high: ``[d]``, bounds of the region, infinite where there are none.
    """

    A: Matrix
    c: FloatArray
    slope: FloatArray
    level: FloatArray
    x0: FloatArray
    low: FloatArray
    high: FloatArray

    @cached_property
    def slack(self) -> FloatArray:
        """How far the rows are from the point, ``[m]``."""
        return -(product(self.A, self.x0) + self.c)

    @cached_property
    def doubt(self) -> FloatArray:
        """Bounds on the errors of the slacks, ``[m]``."""
        return self.slope * (float(np.linalg.norm(self.x0)) * ROOM) + self.level

    @cached_property
    def width(self) -> FloatArray:
        """How far the region reaches from the point along each coordinate at most, ``[d]``."""
        ends = np.abs(np.stack([self.low, self.high]))
        far = np.maximum(self.high - self.x0, self.x0 - self.low)
        out: FloatArray = far * ROOM + 16 * U * (ends.max(axis=0) + np.abs(self.x0))
        return out

    def alone_beyond(self, points: FloatArray, rows: IntArray) -> NDArray[np.bool_]:
        """Whether each point ``[B, d]`` is beyond its row while all other rows hold strictly."""
        values = product(self.A, points.T) + self.c[:, None]
        size = np.linalg.norm(points, axis=1) * ROOM
        return _alone(values, self.slope[:, None] * size + self.level[:, None], rows)

    def alone_along(
        self, speed: FloatArray, times: FloatArray, lengths: FloatArray, rows: IntArray
    ) -> NDArray[np.bool_]:
        """The same for points ``x0 + times * directions`` of given lengths, ``speed = A @ directions.T``."""
        moved = speed * times
        values = moved - self.slack[:, None]
        far = self.slope[:, None] * (lengths * times * ROOM)
        error = self.doubt[:, None] + far + (4 * U) * (np.abs(moved) + np.abs(self.slack[:, None]))
        return _alone(values, error, rows)

    def implied_in_box(self, rows: IntArray, multipliers: FloatArray) -> NDArray[np.bool_]:
        """Whether multipliers ``[B, m]`` of the others show that each row is negative in the region's box.

        Seen from the point, the rest of row i is ``g . (x - x0) + g_0`` up to errors that the multipliers
        add up.
        """
        if not np.isfinite(self.width).all():
            return np.zeros(len(rows), dtype=bool)
        total = multipliers.sum(axis=1)
        g = dense_rows(self.A, rows) - transposed_product(self.A, multipliers.T).T
        constant = multipliers @ self.slack - self.slack[rows]
        sizes = multipliers @ np.abs(self.slack) + np.abs(self.slack[rows])
        error = self.doubt[rows] + multipliers @ self.doubt + (len(self.c) + 4) * U * sizes
        tilt = self.slope[rows] + multipliers @ self.slope + (len(self.c) + 4) * U * (1 + total)
        most = constant + (error + tilt * float(np.linalg.norm(self.width)) + np.abs(g) @ self.width) * ROOM
        shown: NDArray[np.bool_] = most < 0
        return shown

    def implied_by_basis(self, rows: IntArray, multipliers: FloatArray) -> NDArray[np.bool_]:
        """Whether the d rows of the largest multipliers imply each row, wherever the region reaches.

        With F of these d rows, ``lambda = r F^-1``. Their exact twins differ from these floats by
        ``(rest + errors) / (1 - |I - X F|)`` times the length of the inverse X.
        """
        d = self.A.shape[1]
        if len(self.c) <= d or not len(rows):
            return np.zeros(len(rows), dtype=bool)
        basis = np.argpartition(-multipliers, d - 1, axis=1)[:, :d]
        F = dense_rows(self.A, basis.ravel()).reshape(len(rows), d, d)
        r = dense_rows(self.A, rows)
        with np.errstate(all="ignore"):
            X = _inverses(F)
            inverse = np.linalg.norm(X, axis=(1, 2))
            off = np.linalg.norm(X @ F - np.eye(d), axis=(1, 2)) + (d + 4) * d * U * inverse
            found = np.einsum("bi,bij->bj", r, X)
            size = np.abs(found)
            rest = np.linalg.norm(r - np.einsum("bj,bjk->bk", found, F), axis=1)
            rest += (
                self.slope[rows]
                + (size * self.slope[basis]).sum(axis=1)
                + (d + 4) * U * (1 + size.sum(axis=1))
            )
            turned = off + inverse * np.linalg.norm(self.slope[basis], axis=1)
            error = rest * inverse / (1 - turned) * ROOM
            away, own = self.slack[basis], self.slack[rows]
            constant = (found * away).sum(axis=1) - own
            doubt = self.doubt[rows] + ((size + error[:, None]) * self.doubt[basis]).sum(axis=1)
            doubt += error * np.linalg.norm(away, axis=1)
            doubt += (d + 4) * U * ((size * np.abs(away)).sum(axis=1) + np.abs(own))
            shown: NDArray[np.bool_] = (
                (turned < 0.5) & (found.min(axis=1) > error) & (constant + doubt * ROOM < 0)
            )
        return shown


def rows_around(described: RegionRows, x0: FloatArray, which: IntArray) -> RowsAround:
    """Some rows of a region, seen from a point inside."""
    whole = len(which) == len(described)
    low, high, _ = described.bounds
    A = described.A if whole else described.A[which]
    return RowsAround(A, described.c[which], described.slope[which], described.level[which], x0, low, high)


def _alone(values: FloatArray, error: FloatArray, rows: IntArray) -> NDArray[np.bool_]:
    """Whether in each column the row's own value is surely positive and all others are surely negative."""
    columns = np.arange(len(rows))
    own = values[rows, columns] > error[rows, columns]
    holds = values < -error
    holds[rows, columns] = True
    shown: NDArray[np.bool_] = own & holds.all(axis=0)
    return shown


def _inverses(F: FloatArray) -> FloatArray:
    """The inverses of square matrices; NaN if one of them is singular."""
    try:
        return np.asarray(np.linalg.inv(F), dtype=float)
    except np.linalg.LinAlgError:
        return np.full(F.shape, np.nan)

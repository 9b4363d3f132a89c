"""Cells by inequalities: unit rows, a ball that is proved to lie inside, and points that are.

What is proved of the float points and rows here is decided elsewhere (see ``lp_decide``).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from polytope.engines.lp_functions import Function
from polytope.exact.rows import Cut
from polytope.ir.maps import FloatArray


@dataclass(eq=False)
class LpCell:
    """A cell: unit rows, their origins and errors, points that are proved to lie strictly inside, and a ball.

    ``points``, with their greatest absolute coordinates ``sizes``, grow while decisions are taken; everything
    else is fixed. ``radius`` is that of a ball around ``center`` that is proved to lie inside, or minus
    infinity where not even the center is; ``size`` is the greatest absolute coordinate in the ball.
    ``inscribed`` is the radius of the last largest ball that was computed, for this cell or one that it was
    cut from; ``box``, ``[2, d]``, the last bounding box.
    """

    rows: tuple[FloatArray, ...]
    cuts: tuple[Cut, ...]
    errors: FloatArray
    center: FloatArray
    radius: float
    size: float
    points: FloatArray
    sizes: FloatArray
    matrix: FloatArray = field(repr=False)
    inscribed: float
    box: FloatArray

    def slacks(self, points: FloatArray, sizes: FloatArray) -> FloatArray:
        """How far points ``[B, d]`` are inside each row, all errors counted, ``[B, m]``."""
        value = points @ self.matrix[:, :-1].T
        value += sizes[:, None] * self.errors[:, 0]
        value += self.matrix[:, -1] + self.errors[:, 1]
        return -value


def size_of(point: FloatArray) -> float:
    """The greatest absolute coordinate."""
    return float(np.abs(point).max())


def shows_positive(cell: LpCell, f: Function) -> bool:
    """Whether f is positive at one of the known points, by more than its error."""
    value = cell.points @ f.row[:-1] + f.row[-1]
    return bool((value > f.errors[0] * cell.sizes + f.errors[1]).any())


def behind_center(cell: LpCell, at_center: float, points: FloatArray, at_points: FloatArray) -> FloatArray:
    """Points on the ways from the centre to known points, as deep inside ``f <= 0`` as the ball allows.

    Going the share s of the way, the ball shrinks to ``(1 - s) * radius`` and f to
    ``at_center + s * (at_points - at_center)``: the two meet at the best s.
    """
    radius = max(cell.radius, 0.0)
    rate = at_center - at_points
    share = np.clip((radius + at_center) / np.where(rate + radius > 0, rate + radius, np.inf), 0, 1)
    return cell.center + share[:, None] * (points - cell.center)


def less_far(cell: LpCell, f: Function, point: FloatArray) -> FloatArray:
    """A point on the way from the centre to a far one where f has grown to the size of the cell's ball."""
    at_center = float(f.row[:-1] @ cell.center + f.row[-1])
    at_point = float(f.row[:-1] @ point + f.row[-1])
    wanted = max(1e3 * f.error_at(size_of(cell.center)), cell.radius)
    if at_point <= max(wanted, at_center):
        return point
    return cell.center + (wanted - at_center) / (at_point - at_center) * (point - cell.center)

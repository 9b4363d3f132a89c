"""Windows: affine maps from a low-dimensional parameter space into the input space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from polytope.ir.arrays import floats
from polytope.ir.maps import FloatArray


@dataclass(frozen=True, eq=False)
class Slice:
    """The affine map ``t -> base + t @ directions``; restrict a network to it with ``network.restrict``.

    Arguments:
        base: a point, ``[d]``.
        directions: linearly independent rows, ``[k, d]``.

    Raises:
        ValueError: shapes differ, a number is not finite, or the directions are dependent.
    """

    base: FloatArray
    directions: FloatArray

    def __repr__(self) -> str:
        return f"Slice({len(self.directions)} directions in {len(self.base):,} dimensions)"

    def __post_init__(self) -> None:
        base = floats(self.base).ravel().copy()
        directions = floats(self.directions).copy()
        directions = directions.reshape(len(directions), -1)
        object.__setattr__(self, "base", base)
        object.__setattr__(self, "directions", directions)
        if not len(directions) or directions.shape[1] != len(base):
            raise ValueError(f"Slice: directions {directions.shape} and base {base.shape} do not fit.")
        if not (np.isfinite(base).all() and np.isfinite(directions).all()):
            raise ValueError("Slice: base and directions must be finite numbers.")
        if np.linalg.matrix_rank(directions) < len(directions):
            raise ValueError("Slice: the directions are linearly dependent; use fewer, or other points.")

    @classmethod
    def through(cls, *points: ArrayLike) -> Slice:
        """The window through k + 1 points: the first is t = 0, the others are the unit vectors of t.

        Arguments:
            points: two or more, ``[d]`` each; arrays of another shape are flattened.

        Raises:
            ValueError: there are fewer than two, their sizes differ, or they span fewer dimensions than k.
        """
        rows = [floats(p).ravel() for p in points]
        if len(rows) < 2 or len({len(r) for r in rows}) > 1:
            raise ValueError("Slice.through: two or more points of one size are needed.")
        return cls(rows[0], np.stack([r - rows[0] for r in rows[1:]]))

    @property
    def dim(self) -> int:
        """Number of window coordinates, k."""
        return len(self.directions)

    def lift(self, t: ArrayLike) -> FloatArray:
        """Points of the window as inputs.

        Arguments:
            t: coordinates in the window, ``[B, k]`` or ``[k]``.

        Returns:
            The points ``base + t @ directions``, ``[B, d]`` or ``[d]``.
        """
        return self.base + floats(t) @ self.directions

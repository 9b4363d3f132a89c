"""Orthonormal directions: as given, or drawn uniformly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polytope.ir.maps import FloatArray


@dataclass(frozen=True, eq=False)
class Frames:
    """The directions around points: one frame for all of them, or one of its own for each.

    Arguments:
        given: directions, ``[P, d]``, or how many are drawn.
        shared: whether all points have one frame.
        rng: draws the frames.
    """

    given: int | FloatArray
    shared: bool
    rng: np.random.Generator

    def drawn(self, n_points: int, d: int) -> FloatArray:
        """The next frames, ``[1 or n_points, P, d]``; the directions given are always the same."""
        if not isinstance(self.given, int):
            return self.given[None]
        n_frames = 1 if self.shared else n_points
        q, _ = np.linalg.qr(self.rng.standard_normal((n_frames, d, self.given)))
        return np.ascontiguousarray(q.transpose(0, 2, 1))

"""Orthonormal directions: as given, or drawn uniformly."""

from __future__ import annotations

import numpy as np

from polytope.ir.maps import FloatArray


def drawn_frames(frames: int | FloatArray, n_frames: int, d: int, rng: np.random.Generator) -> FloatArray:
    """The directions given, ``[1, P, d]``, or the next random orthonormal frames, ``[frames, P, d]``."""
    if not isinstance(frames, int):
        return frames[None]
    q, _ = np.linalg.qr(rng.standard_normal((n_frames, d, frames)))
    return np.ascontiguousarray(q.transpose(0, 2, 1))

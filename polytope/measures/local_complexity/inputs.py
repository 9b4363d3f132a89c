"""What every form of local complexity is asked with: points, a radius, directions."""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import ArrayLike

from polytope.ir import Network
from polytope.ir.arrays import floats
from polytope.ir.maps import FloatArray

_DEFAULT_DIRECTIONS = 25


def checked_radius(radius: float) -> None:
    """Refuse a radius that is not a positive number."""
    if not (np.ndim(radius) == 0 and np.isfinite(radius) and radius > 0):
        raise ValueError(f"radius must be a positive finite number, not {radius!r}.")


def checked_points(network: Network, x: ArrayLike, name: str = "x") -> FloatArray:
    """Finite points as rows, ``[B, d]``; refusals call them by their name."""
    points = floats(x)
    if points.ndim < 2 or prod(points.shape[1:]) != network.input_dim:
        raise ValueError(f"{name}: expected points of shape [B, {network.input_dim}], got {points.shape}.")
    if not np.isfinite(points).all():
        row = int(np.argwhere(~np.isfinite(points))[0, 0])
        raise ValueError(f"{name}: point {row} is not finite; all coordinates must be numbers.")
    return points.reshape(len(points), network.input_dim)


def checked_frames(frames: int | ArrayLike | None, d: int, shared_frame: bool) -> int | FloatArray:
    """The number of directions to draw, or the directions given."""
    if frames is None:
        return min(d, _DEFAULT_DIRECTIONS)
    if isinstance(frames, int | np.integer):
        if not 1 <= frames <= d:
            raise ValueError(f"frames: {frames} orthonormal directions do not exist in R^{d}; use 1 to {d}.")
        return int(frames)
    directions = floats(frames)
    if directions.ndim != 2 or directions.shape[1] != d or not len(directions):
        raise ValueError(f"frames: expected directions of shape [P, {d}], got {directions.shape}.")
    if not np.isfinite(directions).all():
        raise ValueError("frames: the directions must be finite.")
    if not shared_frame:
        raise ValueError("frames: given directions are shared; with shared_frame=False give their number.")
    return directions

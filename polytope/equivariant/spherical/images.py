"""Images on the sphere: digits on the southern hemisphere, turned and band-limited, and their masks."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import map_coordinates

from polytope.equivariant.spherical.harmonics import equal_angles, polar_quadrature, spherical_harmonics
from polytope.ir.maps import FloatArray, IntArray


def random_rotations(n: int, rng: np.random.Generator) -> FloatArray:
    """Rotations from the uniform distribution on the group, by unit quaternions.

    Arguments:
        n: how many.
        rng: source of randomness.

    Returns:
        Rotation matrices, ``[n, 3, 3]``.
    """
    w, x, y, z = (q := rng.normal(size=(4, n))) / np.linalg.norm(q, axis=0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), -1, 0)


def grid_points(b: int) -> FloatArray:
    """The points of the Driscoll-Healy grid, ``[2b, 2b, 3]`` (beta, alpha)."""
    beta, _ = polar_quadrature(b)
    beta, alpha = np.meshgrid(beta, equal_angles(b), indexing="ij")
    return np.stack([np.sin(beta) * np.cos(alpha), np.sin(beta) * np.sin(alpha), np.cos(beta)], axis=-1)


def on_hemisphere(image: FloatArray, points: FloatArray) -> FloatArray:
    """The image's values at points ``[..., 3]`` of the sphere, stereographic from the north pole.

    The southern hemisphere is the disc inscribed in the image; values between pixels are bilinear.
    """
    size = np.array(image.shape)
    x, y, z = np.moveaxis(points, -1, 0)
    south = z < 0
    plane = np.stack([-y, x]) / np.where(south, 1 - z, 1.0)
    pixels = (plane + 1) / 2 * (size - 1).reshape(2, *[1] * (plane.ndim - 1))
    return np.where(south, map_coordinates(image, pixels, order=1, mode="constant"), 0.0)


def spherical_segmentation(
    images: ArrayLike,
    labels: ArrayLike,
    b: int,
    rotations: ArrayLike | None = None,
    *,
    threshold: float = 150.0,
    fine: int = 3,
) -> tuple[FloatArray, IntArray]:
    r"""Signals and masks of digits on the sphere: a segmentation task of 11 classes.

    The digit lies on the southern hemisphere and is turned, :math:`(L_R f)(x) = f(R^{-1} x)`. The signal is
    the projection of :math:`L_R f` to bandlimit b (by a grid ``fine`` times finer), so that a turned digit
    has the turned coefficients. The mask is 1 + label where the turned image exceeds the threshold, else 0.

    Arguments:
        images: ``[N, h, w]``, grey values 0 to 255.
        labels: ``int[N]``, 0 to 9.
        b: the bandwidth of the grid.
        rotations: ``[N, 3, 3]``, or ``None`` to turn none.
        threshold: the grey value above which a point belongs to the digit.
        fine: how many times finer the grid of the projection is.

    Returns:
        ``(signals [N, 2b, 2b], masks int[N, 2b, 2b])``; signals are grey values over 255.

    Raises:
        ValueError: arrays that do not fit each other.
    """
    pictures, classes = np.asarray(images, dtype=float), np.asarray(labels)
    n = len(pictures)
    if pictures.ndim != 3 or classes.shape != (n,):
        raise ValueError(
            f"spherical_segmentation: images of shape {pictures.shape} and labels of shape {classes.shape}; "
            "expected [N, h, w] and [N]."
        )
    turns = np.broadcast_to(np.eye(3), (n, 3, 3)) if rotations is None else np.asarray(rotations, dtype=float)
    if turns.shape != (n, 3, 3):
        raise ValueError(f"spherical_segmentation: rotations must have shape ({n}, 3, 3), not {turns.shape}.")
    coarse, dense = grid_points(b), grid_points(fine * b)
    project = _projection(b, fine)
    signals, masks = np.empty((n, 2 * b, 2 * b)), np.zeros((n, 2 * b, 2 * b), dtype=np.int64)
    for k, (picture, R) in enumerate(zip(pictures, turns, strict=True)):
        signals[k] = (project @ on_hemisphere(picture, dense @ R).ravel()).reshape(2 * b, 2 * b) / 255
        masks[k] = (on_hemisphere(picture, coarse @ R) > threshold) * (1 + classes[k])
    return signals, masks


def _projection(b: int, fine: int) -> FloatArray:
    """Samples on the finer grid to samples, on the grid, of their part of bandlimit b."""
    beta, weights = polar_quadrature(fine * b)
    alpha = equal_angles(fine * b)
    Y = spherical_harmonics(b, beta[:, None], alpha).reshape(-1, b * b)
    analysis = Y.T * np.repeat(weights, len(alpha)) / len(alpha)
    grid, _ = polar_quadrature(b)
    return spherical_harmonics(b, grid[:, None], equal_angles(b)).reshape(-1, b * b) @ analysis

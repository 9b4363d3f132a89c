r"""Bases of signals on the sphere and on the rotation group, their grids and quadratures, as arrays.

Averages are over normalised measures (the whole sphere and the whole group have measure 1), and the bases
are orthonormal for them:

.. math:: Y^l_m(\beta, \alpha) = \sqrt{2l+1}\, D^l_{m0}(\alpha, \beta, 0), \qquad
          \sqrt{2l+1}\, D^l_{mn}(\alpha, \beta, \gamma).

So :math:`Y^l_m` is the usual real spherical harmonic times :math:`\sqrt{4\pi}`, and
:math:`\sum_m Y^l_m(x)^2 = 2l + 1`. A *bandlimit* b keeps the degrees l < b. Coefficients are flat:
:math:`b^2` numbers, degree by degree, for the sphere; :math:`b(4b^2-1)/3` for the group, each degree's
matrix ``[m, n]`` row by row.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import block_diag

from polytope.equivariant.spherical.wigner import WignerD
from polytope.ir.maps import FloatArray

GRIDS = ("driscoll-healy", "gauss-legendre")


def sphere_dim(bandlimit: int) -> int:
    """Number of spherical harmonics of degree below the bandlimit, b^2."""
    return bandlimit**2


def group_dim(bandlimit: int) -> int:
    """Number of entries of the Wigner matrices of degree below the bandlimit, b (4 b^2 - 1) / 3."""
    return bandlimit * (4 * bandlimit**2 - 1) // 3


def check_bandlimit(bandlimit: int, name: str = "bandlimit") -> int:
    """The bandlimit, if it is a whole number of at least 1."""
    if isinstance(bandlimit, bool) or not isinstance(bandlimit, int | np.integer) or bandlimit < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, not {bandlimit!r}.")
    return int(bandlimit)


def polar_quadrature(b: int, grid: str = "driscoll-healy") -> tuple[FloatArray, FloatArray]:
    r"""Polar angles :math:`\beta_j` and weights of 2b circles, exact for degrees below 2b.

    With 2b equal steps of alpha on each circle, the average of every product of two signals of
    bandlimit b is exact. The weights sum to 1.

    Arguments:
        b: the bandwidth of the grid.
        grid: ``"driscoll-healy"``, :math:`\beta_j = \pi (2j+1) / 4b`, or ``"gauss-legendre"``.

    Returns:
        ``(beta [2b], weights [2b])``, beta in radians, ascending.

    Raises:
        ValueError: b is not a whole number of at least 1, or there is no such grid.

    References:
        J. R. Driscoll, D. M. Healy, "Computing Fourier transforms and convolutions on the 2-sphere", 1994.
    """
    n = 2 * check_bandlimit(b, "b")
    if grid == "gauss-legendre":
        nodes, weights = np.polynomial.legendre.leggauss(n)
        return np.arccos(nodes[::-1]), weights[::-1] / 2
    if grid != "driscoll-healy":
        raise ValueError(f"grid must be one of {', '.join(GRIDS)}, not {grid!r}.")
    beta = np.pi * (2 * np.arange(n) + 1) / (2 * n)
    odd = 2 * np.arange(b) + 1
    return beta, 2 / n * np.sin(beta) * (np.sin(np.outer(beta, odd)) / odd).sum(axis=1)


def equal_angles(b: int) -> FloatArray:
    """The 2b equal steps of alpha and of gamma."""
    return np.pi * np.arange(2 * b) / b


def spherical_harmonics(bandlimit: int, beta: ArrayLike, alpha: ArrayLike) -> FloatArray:
    """All harmonics of degree below the bandlimit at points of the sphere.

    Arguments:
        bandlimit: b, at least 1; degrees below b are kept.
        beta: the angle from the z axis, radians, ``[...]``.
        alpha: the angle about it, from the x axis, radians, ``[...]``; the angles broadcast.

    Returns:
        ``[..., b^2]``, degree by degree, orders -l..l.

    Raises:
        ValueError: the bandlimit is not a whole number of at least 1.
    """
    degrees = range(check_bandlimit(bandlimit))
    columns = [np.sqrt(2 * k + 1) * WignerD(k, alpha, beta, 0.0)[..., k] for k in degrees]
    return np.concatenate(columns, axis=-1)


def group_harmonics(bandlimit: int, alpha: ArrayLike, beta: ArrayLike, gamma: ArrayLike) -> FloatArray:
    r"""All :math:`\sqrt{2l+1} D^l_{mn}` of degree below the bandlimit at rotations.

    Arguments:
        bandlimit: b, at least 1; degrees below b are kept.
        alpha, beta, gamma: Euler angles, radians, ``[...]``; they broadcast.

    Returns:
        ``[..., b (4b^2 - 1) / 3]``, degree by degree, ``[m, n]`` row by row.

    Raises:
        ValueError: the bandlimit is not a whole number of at least 1.
    """
    matrices = []
    for l in range(check_bandlimit(bandlimit)):  # noqa: E741
        D = np.sqrt(2 * l + 1) * WignerD(l, alpha, beta, gamma)
        matrices.append(D.reshape(*D.shape[:-2], -1))
    return np.concatenate(matrices, axis=-1)


def group_factors(
    bandlimit: int, alpha: FloatArray, beta: FloatArray, gamma: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    r"""The factors ``(left, polar, right)`` of the group's basis on a grid of three angles.

    .. math:: \sqrt{2l+1} D^l_{mn}(\alpha, \beta, \gamma) = \sum_{s}
              \mathrm{left}_{s m}(\alpha)\, \mathrm{polar}_{s l m n}(\beta)\, \mathrm{right}_{s n}(\gamma),

    where s = 0 stands for the orders |m|, |n| in the middle and s = 1 for -|m|, -|n|: a rotation about z
    mixes m and -m only, and one about y never mixes orders of different sign.

    Returns:
        ``left [2, 2b-1, A]``, ``polar [2, J, b, 2b-1, 2b-1]`` (0 where an order exceeds l) and
        ``right [2, 2b-1, G]``.
    """
    b = check_bandlimit(bandlimit)
    m = np.arange(2 * b - 1) - b + 1
    about_z = [WignerD(b - 1, angle, 0.0, 0.0) for angle in (alpha, gamma)]
    middle = b - 1 + np.stack([abs(m), -abs(m)])
    index = np.arange(2 * b - 1)
    left = np.moveaxis(about_z[0][:, index, middle], 0, -1)
    right = np.moveaxis(about_z[1][:, middle, index], 0, -1)
    polar = np.zeros((2, len(beta), b, 2 * b - 1, 2 * b - 1))
    for l in range(b):  # noqa: E741
        d = np.sqrt(2 * l + 1) * WignerD(l, 0.0, beta, 0.0)
        kept = np.flatnonzero(abs(m) <= l)
        for s, orders in enumerate((abs(m[kept]), -abs(m[kept]))):
            polar[s, :, l, kept[:, None], kept] = np.moveaxis(d[:, (l + orders)[:, None], l + orders], 0, -1)
    polar[1, :, :, b - 1] = polar[1, :, :, :, b - 1] = 0.0
    return left, polar, right


def angles_of(points: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """``(beta, alpha)`` of points ``[..., 3]``, which need not have length 1.

    Raises:
        ValueError: a wrong shape, a point at the origin or not finite.
    """
    x = np.asarray(points, dtype=float)
    if x.ndim < 1 or x.shape[-1] != 3:
        raise ValueError(f"Points of the sphere have shape [..., 3], not {x.shape}.")
    if not np.isfinite(x).all() or not (np.abs(x).max(axis=-1, initial=0.0) > 0).all():
        raise ValueError("Points of the sphere must be finite and none may be the origin.")
    return np.arctan2(np.hypot(x[..., 0], x[..., 1]), x[..., 2]), np.arctan2(x[..., 1], x[..., 0])


def sphere_action(bandlimit: int, alpha: float, beta: float, gamma: float) -> FloatArray:
    """The matrix of a rotation on coefficients of the sphere: blocks D^l.

    Arguments:
        bandlimit: b, at least 1; degrees below b are kept.
        alpha, beta, gamma: Euler angles of one rotation, radians.

    Returns:
        ``[b^2, b^2]``, orthogonal.

    Raises:
        ValueError: the bandlimit is not a whole number of at least 1.
    """
    blocks = [WignerD(degree, alpha, beta, gamma) for degree in range(check_bandlimit(bandlimit))]
    return block_diag(*blocks)


def group_action(bandlimit: int, alpha: float, beta: float, gamma: float) -> FloatArray:
    """The matrix of a rotation on coefficients of the group: D^l acts on the left index m of ``[m, n]``.

    Arguments:
        bandlimit: b, at least 1; degrees below b are kept.
        alpha, beta, gamma: Euler angles of one rotation, radians.

    Returns:
        ``[n, n]``, orthogonal, n = b (4b^2 - 1) / 3.

    Raises:
        ValueError: the bandlimit is not a whole number of at least 1.
    """
    degrees = range(check_bandlimit(bandlimit))
    return block_diag(*(np.kron(WignerD(k, alpha, beta, gamma), np.eye(2 * k + 1)) for k in degrees))


def near_identity(max_beta: float, n_beta: int, n_alpha: int, n_gamma: int = 1) -> FloatArray:
    r"""Rotations close to the identity, where a local kernel lives.

    The identity's circle of rotations about z, and ``n_beta`` rings of tilt up to ``max_beta``, each in
    ``n_alpha`` directions, each turned by ``n_gamma`` equal angles.

    Arguments:
        max_beta: the largest tilt, radians, in (0, pi].
        n_beta: number of rings.
        n_alpha: number of directions on each ring.
        n_gamma: number of turns of each tilt.

    Returns:
        Euler angles ``(alpha, beta, gamma)``, radians, ``[P, 3]`` with P = (1 + n_beta n_alpha) n_gamma.

    Raises:
        ValueError: ``max_beta`` lies outside (0, pi], or a number is less than 1.
    """
    counts = {"n_beta": n_beta, "n_alpha": n_alpha, "n_gamma": n_gamma}
    for name, value in counts.items():
        check_bandlimit(value, name)
    if not 0 < max_beta <= np.pi:
        raise ValueError(f"max_beta must lie between 0 and pi, not {max_beta!r}.")
    beta = max_beta * np.arange(1, n_beta + 1) / n_beta
    alpha = 2 * np.pi * np.arange(n_alpha) / n_alpha
    tilt = np.stack(np.meshgrid(alpha, beta, indexing="ij"), axis=-1).reshape(-1, 2)
    tilt = np.concatenate([np.zeros((1, 2)), tilt])
    turn = 2 * np.pi * np.arange(n_gamma) / n_gamma
    out = np.zeros((len(tilt), n_gamma, 3))
    out[..., :2] = tilt[:, None]
    out[..., 2] = turn - tilt[:, None, 0]
    return out.reshape(-1, 3)

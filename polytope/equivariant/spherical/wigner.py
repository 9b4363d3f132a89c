r"""Rotations of three-space on functions: Euler angles and the real Wigner matrices :math:`D^l(R)`.

Left actions throughout: a rotation takes a signal f on the sphere to :math:`(L_R f)(x) = f(R^{-1} x)`,
and its coefficients :math:`f^l` in the real spherical harmonics to :math:`D^l(R) f^l`. Angles are
radians, and :math:`R(\alpha, \beta, \gamma) = R_z(\alpha) R_y(\beta) R_z(\gamma)`.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polytope.ir.maps import FloatArray

ComplexArray = NDArray[np.complex128]


def rotation_matrix(alpha: ArrayLike, beta: ArrayLike, gamma: ArrayLike) -> FloatArray:
    r"""Rotation matrices :math:`R_z(\alpha) R_y(\beta) R_z(\gamma)`.

    Arguments:
        alpha, beta, gamma: Euler angles, radians, ``[...]``; they broadcast.

    Returns:
        ``[..., 3, 3]``.

    Example:
        >>> np.allclose(rotation_matrix(np.pi / 2, 0, 0), [[0, -1, 0], [1, 0, 0], [0, 0, 1]])
        True
    """
    z, y, x = np.broadcast_arrays(*(np.asarray(a, dtype=float) for a in (alpha, beta, gamma)))
    return _about(z, 0, 1) @ _about(y, 2, 0) @ _about(x, 0, 1)


def _about(angle: FloatArray, first: int, second: int) -> FloatArray:
    """Rotations by the angle that take axis ``first`` towards axis ``second``."""
    out = np.broadcast_to(np.eye(3), (*angle.shape, 3, 3)).copy()
    out[..., first, first] = out[..., second, second] = np.cos(angle)
    out[..., second, first] = np.sin(angle)
    out[..., first, second] = -np.sin(angle)
    return out


def euler_angles(rotation: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    r"""Angles :math:`(\alpha, \beta, \gamma)` of rotations ``[..., 3, 3]``, with :math:`\beta` in [0, pi].

    Where beta is 0 or pi only a combination of the other two is determined; gamma is then 0.

    Arguments:
        rotation: rotation matrices, ``[..., 3, 3]``.

    Returns:
        ``(alpha, beta, gamma)``, radians, each ``[...]``; alpha and gamma in [-pi, pi].

    Raises:
        ValueError: a matrix is not a rotation.
    """
    R = np.asarray(rotation, dtype=float)
    if R.ndim < 2 or R.shape[-2:] != (3, 3):
        raise ValueError(f"euler_angles: expected rotations of shape [..., 3, 3], got {R.shape}.")
    defect = np.abs(R @ np.swapaxes(R, -1, -2) - np.eye(3)).max(initial=0.0)
    if not defect < 1e-6 or not (np.linalg.det(R) > 0).all():
        raise ValueError("euler_angles: a matrix is not a rotation (orthogonal with determinant 1).")
    beta = np.arctan2(np.hypot(R[..., 0, 2], R[..., 1, 2]), R[..., 2, 2])
    polar = np.hypot(R[..., 0, 2], R[..., 1, 2]) < 1e-12
    alpha = np.where(polar, np.arctan2(R[..., 1, 0], R[..., 1, 1]), np.arctan2(R[..., 1, 2], R[..., 0, 2]))
    gamma = np.where(polar, 0.0, np.arctan2(R[..., 2, 1], -R[..., 2, 0]))
    return alpha, beta, gamma


def WignerD(l: int, alpha: ArrayLike, beta: ArrayLike, gamma: ArrayLike) -> FloatArray:  # noqa: E741, N802
    r"""The real Wigner matrix :math:`D^l(\alpha, \beta, \gamma) = e^{\alpha Z} e^{\beta Y} e^{\gamma Z}`.

    Z and Y are the generators of the rotations about the z and the y axis on the span of the real
    spherical harmonics :math:`Y^l_m`, m = -l..l, so that :math:`Y^l(R x) = D^l(R) Y^l(x)` and
    :math:`D^l(R_1 R_2) = D^l(R_1) D^l(R_2)`. The matrices are orthogonal. For l = 1 the basis is (y, z, x).

    Arguments:
        l: the degree, at least 0.
        alpha, beta, gamma: Euler angles, radians, ``[...]``; they broadcast.

    Returns:
        ``[..., 2l+1, 2l+1]``, by diagonalising Y, whose eigenvalues are the integers times i: there is no
        recursion, and no loss of digits with the degree.

    Raises:
        ValueError: the degree is negative, or not a whole number.

    References:
        X. M. Feng, P. Wang, W. Yang, G. R. Jin, "High-precision evaluation of Wigner's d matrix by exact
        diagonalization", 2015, https://arxiv.org/abs/1507.04535.

    Example:
        >>> np.allclose(WignerD(1, np.pi / 2, 0, 0), [[0, 0, 1], [0, 1, 0], [-1, 0, 0]])
        True
    """
    if l != int(l) or l < 0:
        raise ValueError(f"WignerD: the degree must be an integer of at least 0, not {l!r}.")
    a, b, c = np.broadcast_arrays(*(np.asarray(angle, dtype=float) for angle in (alpha, beta, gamma)))
    vectors, orders = _about_y(int(l))
    middle = (vectors * np.exp(1j * orders * b[..., None, None])) @ vectors.conj().T
    matrices: FloatArray = _about_z(int(l), a) @ middle.real @ _about_z(int(l), c)
    return matrices


def _about_z(degree: int, angle: FloatArray) -> FloatArray:
    """The matrices of rotations about z: the pair of orders (m, -m) turns by m times the angle."""
    m = np.arange(-degree, degree + 1)
    out = np.zeros((*angle.shape, len(m), len(m)))
    out[..., m + degree, degree - m] = -np.sin(m * angle[..., None])
    out[..., m + degree, degree + m] = np.cos(m * angle[..., None])
    return out


@cache
def _about_y(degree: int) -> tuple[ComplexArray, FloatArray]:
    """Eigenvectors and orders of the generator about y: ``Y = V diag(i orders) V^H``, in the real basis."""
    m = np.arange(-degree, degree)
    raising = np.sqrt((degree - m) * (degree + m + 1.0))
    hermitian = np.diag(raising / 2j, -1) + np.diag(-raising / 2j, 1)
    C = _real_from_complex(degree)
    orders, vectors = np.linalg.eigh(-(C @ hermitian @ C.conj().T))
    assert np.allclose(orders, np.arange(-degree, degree + 1), atol=1e-8), "the orders are integers"
    return vectors, np.arange(-degree, degree + 1.0)


def _real_from_complex(degree: int) -> ComplexArray:
    """The unitary C with ``real Y^l = C (complex Y^l)`` (Condon-Shortley phase), orders -l..l."""
    C = np.zeros((2 * degree + 1, 2 * degree + 1), dtype=complex)
    C[degree, degree] = 1.0
    for m in range(1, degree + 1):
        sign = (-1) ** m
        C[degree + m, [degree - m, degree + m]] = np.array([1.0, sign]) / np.sqrt(2)
        C[degree - m, [degree - m, degree + m]] = np.array([1j, -1j * sign]) / np.sqrt(2)
    return C


def checked_angles(points: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The Euler angles of a kernel's support, each ``[P]``."""
    angles = np.asarray(points, dtype=float)
    if angles.ndim != 2 or angles.shape[1] != 3 or not len(angles) or not np.isfinite(angles).all():
        raise ValueError(f"points: expected finite Euler angles of shape [P, 3], got {angles.shape}.")
    return angles[:, 0], angles[:, 1], angles[:, 2]

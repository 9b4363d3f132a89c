r"""Fields of angular orders 0..L under changes of frame, and the kernels that commute with them.

A field's value at a point is the Fourier series of a function on the circle of directions,

.. math:: f(\varphi) = a_0 + \sqrt{2} \sum_{m=1}^{L} (a_m \cos m\varphi + b_m \sin m\varphi),

kept as the 2L + 1 numbers :math:`(a_0, a_1, b_1, a_2, b_2, \dots)`; (a_1, b_1) is a tangent vector.
Turning a value by the angle t is :math:`\rho(t)`, a block :math:`R(m t)` on each order m; turning the
*frame* by k changes the numbers by :math:`\rho(-k)`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from polytope.ir.maps import FloatArray


def check_order(order: int, name: str = "order") -> int:
    """The order, if it is a whole number of at least 0."""
    if isinstance(order, bool) or not isinstance(order, int | np.integer) or order < 0:
        raise ValueError(f"{name} must be a whole number of at least 0, not {order!r}.")
    return int(order)


def order_rotation(order: int, angle: ArrayLike) -> FloatArray:
    r"""The matrices :math:`\rho(t)` on values of orders 0..L.

    Arguments:
        order: L, at least 0.
        angle: t, radians, ``[...]``.

    Returns:
        ``[..., 2L+1, 2L+1]``, orthogonal.

    Raises:
        ValueError: the order is negative.
    """
    t = np.asarray(angle, dtype=float)
    out = np.zeros((*t.shape, 2 * order + 1, 2 * order + 1))
    out[..., 0, 0] = 1.0
    for m in range(1, check_order(order) + 1):
        c, s, k = np.cos(m * t), np.sin(m * t), 2 * m
        out[..., k - 1, k - 1] = out[..., k, k] = c
        out[..., k, k - 1], out[..., k - 1, k] = s, -s
    return out


def gauge_transform(field: ArrayLike, angle: ArrayLike) -> FloatArray:
    r"""The same field in frames turned by ``angle[V]``: :math:`f'_i = \rho(-k_i) f_i`.

    Arguments:
        field: ``[..., V, C, 2L+1]``.
        angle: ``[V]``, radians, counter-clockwise, one for each vertex.

    Returns:
        ``[..., V, C, 2L+1]``.

    Raises:
        ValueError: shapes that do not fit.
    """
    values, k = np.asarray(field, dtype=float), np.asarray(angle, dtype=float)
    if values.ndim < 3 or values.shape[-1] % 2 == 0 or k.shape != (values.shape[-3],):
        raise ValueError(
            f"gauge_transform: expected [..., V, C, 2L+1] and angles [V], got {values.shape} and {k.shape}."
        )
    return np.asarray(values @ order_rotation(values.shape[-1] // 2, -k).swapaxes(-1, -2))


def kernel_basis(order_in: int, order_out: int) -> FloatArray:
    r"""All kernels for neighbours that commute with changes of frame.

    They solve :math:`\kappa(k^{-1} v) = \eta(k)^{-1} \kappa(v) \rho(k)` for every rotation k, v being the
    neighbour's logarithm: at the direction theta of v, :math:`\kappa = \eta(\theta) K_0 \rho(-\theta)`
    with any matrix :math:`K_0`; its dependence on the length of v is free.

    Arguments:
        order_in, order_out: highest angular orders of the fields, at least 0.

    Returns:
        ``[k, 2 order_out + 1, 2 order_in + 1, n_freq]`` with k = (2 order_out + 1)(2 order_in + 1): the
        factors of 1, cos theta, sin theta, cos 2 theta, ... up to the frequency order_in + order_out.

    Raises:
        ValueError: an order is not a whole number of at least 0.
    """
    rows, columns = 2 * check_order(order_out, "order_out") + 1, 2 * check_order(order_in, "order_in") + 1
    highest = order_in + order_out
    n = 2 * highest + 1
    theta = 2 * np.pi * np.arange(n) / n
    eta, rho = order_rotation(order_out, theta), order_rotation(order_in, -theta)
    kernels = np.einsum("tar,tsb->rsabt", eta, rho).reshape(rows * columns, rows, columns, n)
    m = np.arange(1, highest + 1)[:, None]
    waves = np.stack([np.cos(m * theta), np.sin(m * theta)], axis=1).reshape(-1, n)
    return np.asarray(kernels @ np.concatenate([np.ones((1, n)), 2 * waves]).T / n)


def self_basis(order_in: int, order_out: int) -> FloatArray:
    r"""All maps at a point that commute with changes of frame, :math:`K \rho(k) = \eta(k) K`.

    Arguments:
        order_in, order_out: highest angular orders of the fields, at least 0.

    Returns:
        ``[2 min(order_in, order_out) + 1, 2 order_out + 1, 2 order_in + 1]``: the identity on order 0, and
        on every common order the identity and the quarter turn.

    Raises:
        ValueError: an order is not a whole number of at least 0.
    """
    common = min(check_order(order_in, "order_in"), check_order(order_out, "order_out"))
    out = np.zeros((2 * common + 1, 2 * order_out + 1, 2 * order_in + 1))
    out[0, 0, 0] = 1.0
    for m in range(1, common + 1):
        pair = slice(2 * m - 1, 2 * m + 1)
        out[2 * m - 1, pair, pair] = np.eye(2)
        out[2 * m, pair, pair] = [[0.0, -1.0], [1.0, 0.0]]
    return out


def circle_samples(order: int, n_samples: int) -> FloatArray:
    """The matrix ``[n_samples, 2L+1]`` from a value's numbers to its function at equal angles."""
    m = np.arange(1, check_order(order) + 1)[:, None]
    angle = 2 * np.pi * np.arange(n_samples) / n_samples
    waves = np.stack([np.cos(m * angle), np.sin(m * angle)], axis=1).reshape(2 * order, n_samples)
    return np.concatenate([np.ones((1, n_samples)), np.sqrt(2) * waves]).T

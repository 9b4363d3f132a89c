r"""Geometry of any flow: Jacobians, the inverse of the induced metric, spectra, steps along the data.

With :math:`J = dg/dz` at :math:`z = g^{-1}(x)` and the Euclidean metric on base space, the metric that g
induces on data space is :math:`\gamma = (J J^T)^{-1}`: directions in which the data do not extend are long
in it, and :math:`\gamma^{-1} = J J^T` shortens them. Points and results are numpy arrays, one row each.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from polytope.flows.exact.lowering import checked_flow
from polytope.flows.flow import Flow, Points
from polytope.ir.maps import FloatArray

Score = Callable[[Tensor], Tensor]  # [B, D] to [B]: what a step increases
TOGETHER = 1 << 22  # numbers of Jacobians held at once


def jacobian(flow: Flow, z: Points) -> FloatArray:
    """The Jacobian dx/dz at base points, by automatic differentiation.

    Arguments:
        flow: any flow, of R^D.
        z: base points, ``[B, D]`` or ``[B, *shape]``.

    Returns:
        ``[B, D, D]``; row i holds the derivatives of x_i.

    Raises:
        ValueError: points of another shape, or not finite.
        FlowError: a number overflows: the flow is not invertible there in its number type.

    Example:
        >>> from polytope import flows
        >>> linear = flows.Flow([flows.LULinear(2, matrix=[[2.0, 1.0], [0.0, 4.0]])])
        >>> flows.jacobian(linear, [[0.0, 0.0]]).tolist()
        [[[2.0, 1.0], [0.0, 4.0]]]
    """
    rows = checked_flow(flow, "jacobian").rows(z).detach()
    parts = torch.split(rows, max(1, TOGETHER // flow.dim**2))
    blocks = [_jacobians(flow, part) for part in parts]
    return np.concatenate([np.zeros((0, flow.dim, flow.dim)), *blocks])


@torch.enable_grad()
def _jacobians(flow: Flow, rows: Tensor) -> FloatArray:
    z = rows.clone().requires_grad_(True)
    x, _ = flow.forward(z)
    columns = range(flow.dim)
    out = [torch.autograd.grad(x[:, i].sum(), z, retain_graph=i + 1 < flow.dim)[0] for i in columns]
    return np.asarray(torch.stack(out, dim=1).cpu().numpy(), dtype=float)


def jacobian_at_data(flow: Flow, x: Points) -> FloatArray:
    """The Jacobian dx/dz at the base points of data points ``[B, D]``: ``[B, D, D]``."""
    return jacobian(flow, base_points(flow, x))


def base_points(flow: Flow, x: Points) -> FloatArray:
    """The base points of data points.

    Arguments:
        flow: any flow, of R^D.
        x: data points, ``[B, D]`` or ``[B, *shape]``.

    Returns:
        ``[B, D]``.

    Raises:
        ValueError: points of another shape, or not finite.
        FlowError: a number overflows: the flow is not invertible there in its number type.
    """
    checked_flow(flow, "base_points")
    with torch.no_grad():
        return np.asarray(flow.inverse(flow.rows(x))[0].cpu().numpy(), dtype=float)


def inverse_induced_metric(flow: Flow, x: Points) -> FloatArray:
    r"""The inverse of the metric that the flow induces, :math:`\gamma^{-1} = J J^T`.

    Arguments:
        flow: any flow, of R^D.
        x: data points, ``[B, D]`` or ``[B, *shape]``.

    Returns:
        ``[B, D, D]``, symmetric.

    Raises:
        ValueError: points of another shape, or not finite.
        FlowError: a number overflows: the flow is not invertible there in its number type.

    References: Dombrowski, Gerken, Müller, Kessel (2022), "Diffeomorphic Counterfactuals with Generative
        Models", https://arxiv.org/abs/2206.05075
    """
    J = jacobian_at_data(flow, x)
    metric: FloatArray = J @ J.transpose(0, 2, 1)
    return metric


def jacobian_spectrum(flow: Flow, x: Points) -> FloatArray:
    r"""The singular values of dx/dz at data points.

    Their logarithms add up to :math:`\log |\det J|`; their squares are the eigenvalues of the inverse metric.

    Arguments:
        flow: any flow, of R^D.
        x: data points, ``[B, D]`` or ``[B, *shape]``.

    Returns:
        ``[B, D]``, descending.

    Raises:
        ValueError: points of another shape, or not finite.
        FlowError: a number overflows: the flow is not invertible there in its number type.
    """
    return np.asarray(np.linalg.svd(jacobian_at_data(flow, x), compute_uv=False), dtype=float)


def tangent_normal_split(flow: Flow, x: Points, k: int) -> tuple[FloatArray, FloatArray]:
    """Orthonormal bases of the k directions in which data extend most, and of the others.

    Arguments:
        flow: any flow, of R^D.
        x: data points, ``[B, D]`` or ``[B, *shape]``.
        k: dimension of the manifold, 0 < k < D.

    Returns:
        ``(tangent [B, D, k], normal [B, D, D - k])``, columns, by left singular vectors of the Jacobian.

    Raises:
        ValueError: k is out of range, or points are of another shape or not finite.
        FlowError: a number overflows: the flow is not invertible there in its number type.
    """
    if not 0 < k < flow.dim:
        raise ValueError(f"tangent_normal_split: k must lie in 1..{flow.dim - 1}, not be {k}.")
    U, _, _ = np.linalg.svd(jacobian_at_data(flow, x))
    return U[:, :, :k], U[:, :, k:]


def natural_step(f: Score, flow: Flow, x: Points, step: float) -> FloatArray:
    r"""The step :math:`x + \lambda\, \gamma^{-1} \nabla f(x)`.

    To first order it is a gradient step in base space. On a piecewise-linear flow it is that step exactly
    while the base point stays in one region.

    Arguments:
        f: a torch function ``[B, D]`` to ``[B]``.
        flow: any flow, of R^D.
        x: data points, ``[B, D]`` or ``[B, *shape]``.
        step: lambda.

    Returns:
        ``[B, D]``.

    Raises:
        ValueError: f does not give one number for each point, or points misfit or are not finite.
        FlowError: a number overflows: the flow is not invertible there in its number type.
    """
    rows = flow.rows(x).detach()
    slope = _slope(f, rows)
    metric = inverse_induced_metric(flow, rows.cpu().numpy())
    moved: FloatArray = rows.cpu().numpy() + step * np.einsum("bij,bj->bi", metric, slope)
    return moved


def base_step(f: Score, flow: Flow, x: Points, step: float) -> FloatArray:
    r"""The gradient step of f(g(z)) in base space, :math:`g(z + \lambda \nabla_z f(g(z)))`.

    Arguments:
        f: a torch function ``[B, D]`` to ``[B]``.
        flow: any flow, of R^D.
        x: data points, ``[B, D]`` or ``[B, *shape]``.
        step: lambda.

    Returns:
        The moved data points, ``[B, D]``.

    Raises:
        ValueError: f does not give one number for each point, or points misfit or are not finite.
        FlowError: a number overflows: the flow is not invertible there in its number type.
    """
    z = flow.rows(base_points(flow, x))

    def behind(points: Tensor) -> Tensor:
        return f(flow.forward(points)[0])

    slope = torch.as_tensor(_slope(behind, z)).to(z)
    with torch.no_grad():
        moved = flow.forward(z + step * slope)[0]
    return np.asarray(moved.cpu().numpy(), dtype=float)


@torch.enable_grad()
def _slope(f: Score, rows: Tensor) -> FloatArray:
    """The gradient of a score at every row."""
    points = rows.clone().requires_grad_(True)
    values = f(points)
    if values.numel() != len(rows):
        raise ValueError(f"The score must be one number for each point, [B], not {list(values.shape)}.")
    return np.asarray(torch.autograd.grad(values.sum(), points)[0].cpu().numpy(), dtype=float)


def normal_eigenvalue_scaling(
    flows: Callable[[float], Flow], deltas: ArrayLike, x: Points, k: int
) -> tuple[FloatArray, FloatArray]:
    r"""How the eigenvalues of the inverse metric change with the width delta of a tube around a manifold.

    Where flows are fitted to data in tubes of widths :math:`\delta \to 0`, the normal eigenvalues fall as
    :math:`\delta^2` and the tangent ones stay.

    Arguments:
        flows: a width to a flow fitted to it.
        deltas: widths, ``[n]``.
        x: points of the manifold, ``[B, D]``.
        k: the manifold's dimension.

    Returns:
        Slopes ``[2]`` of log geometric-mean eigenvalues, tangent and normal, against log delta, by least
        squares; and the means ``[n, 2]``. Estimates.

    Raises:
        ValueError: fewer than two widths, or one that is not positive.

    References: Dombrowski, Gerken, Müller, Kessel (2022), "Diffeomorphic Counterfactuals with Generative
        Models", https://arxiv.org/abs/2206.05075
    """
    widths = np.asarray(deltas, dtype=float).ravel()
    if len(widths) < 2 or not (widths > 0).all():
        raise ValueError("normal_eigenvalue_scaling: at least two positive widths are needed.")
    spectra = [2 * np.log(jacobian_spectrum(flows(float(delta)), x)) for delta in widths]
    means = np.array([[s[:, :k].mean(), s[:, k:].mean()] for s in spectra])
    slopes = np.polyfit(np.log(widths), means, 1)[0]
    return slopes, np.exp(means)

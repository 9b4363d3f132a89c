r"""Symmetry at infinite width: kernels averaged over a group, and training data with all its images.

An ensemble that is trained on whole orbits is equivariant at all times and at all inputs, though its
members are not; it is the ensemble of the averaged kernel
:math:`\frac{1}{|G|} \sum_g \Theta(x, \rho(g) y)`, whose time runs :math:`|G|` times as fast.

References: Gerken, Kessel (2024), "Emergent equivariance in deep ensembles", https://arxiv.org/abs/2403.03103;
Misof, Kessel, Gerken (2024), "Equivariant neural tangent kernels", https://arxiv.org/abs/2406.06504
"""

from __future__ import annotations

from math import prod
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from polytope.infinite.given import numbers
from polytope.infinite.kernels import Kernels, kernel
from polytope.infinite.steps import Architecture
from polytope.ir.maps import FloatArray


class Action(Protocol):
    """A group that acts by matrices, such as ``equivariant.Representation``."""

    @property
    def matrices(self) -> FloatArray:
        """``[G, d, d]``."""


def orbit(x: ArrayLike, rho: Action) -> FloatArray:
    """All images of points under a group.

    Arguments:
        x: points, ``[N, d]`` or ``[N, *shape]`` of d values.
        rho: the action on R^d.

    Returns:
        ``[G N, d]``: the images of all points under the first element, then under the second, ...

    Raises:
        ValueError: points of another dimension.

    Example:
        >>> from polytope import equivariant as eq
        >>> orbit([[1.0, 0.0]], eq.rotation2d(eq.cyclic(4))).round(9).tolist()[1]
        [0.0, 1.0]
    """
    matrices = _matrices(rho, "rho")
    given = numbers(x, "x")
    if given.ndim < 2 or not np.isfinite(given).all():
        raise ValueError(f"x: finite points [N, d] are expected, not an array of shape {given.shape}.")
    points = given.reshape(len(given), prod(given.shape[1:]))
    if points.shape[1] != matrices.shape[2]:
        raise ValueError(f"The action is on R^{matrices.shape[2]}, the points lie in R^{points.shape[1]}.")
    return np.concatenate([points @ M.T for M in matrices])


def group_average(
    architecture: Architecture,
    rho: Action,
    x: ArrayLike,
    y: ArrayLike | None = None,
    *,
    rho_out: Action | None = None,
    batch: int | None = None,
    device: str = "cpu",
) -> Kernels:
    r"""Kernels averaged over a group, :math:`\frac{1}{|G|} \sum_g K(x, \rho(g) y) \, \rho_{out}(g)`.

    For architectures whose kernel no element changes when it acts on both points, which orthogonal matrices
    do not for dense ones, and permutations of pixels that the layers follow for convolutions.

    Arguments:
        architecture: of one output site.
        rho: the action on inputs.
        x: points, ``[N, d]``.
        y: other points, ``[M, d]``; by default x.
        rho_out: the action on outputs; by default none, for functions that do not change.
        batch, device: as of ``kernel``.

    Returns:
        ``[N, M]``; with ``rho_out`` ``[N d', M d']``, the outputs of a point together.

    Raises:
        ValueError: points of another dimension, or actions of different groups.
    """
    others = numbers(x if y is None else y, "x" if y is None else "y")
    turned = orbit(others, rho)
    n, order = len(others), len(rho.matrices)
    found = kernel(architecture, x, turned, batch=batch, device=device)
    if found.nngp.ndim != 2:
        raise ValueError("group_average: an architecture of one output site is needed: end with a readout.")
    out = np.ones((order, 1, 1)) if rho_out is None else _matrices(rho_out, "rho_out")
    if len(out) != order:
        raise ValueError(
            f"rho acts by {order} matrices, rho_out by {len(out)}: of one group they are as many."
        )

    def averaged(values: FloatArray) -> FloatArray:
        apart = values.reshape(len(values), order, n)
        mean = np.einsum("agb,gij->aibj", apart, out) / order
        return np.ascontiguousarray(mean.reshape(len(values) * out.shape[1], n * out.shape[1]))

    return Kernels(averaged(found.nngp), averaged(found.ntk))


def _matrices(rho: Action, name: str) -> FloatArray:
    found = np.asarray(getattr(rho, "matrices", None), dtype=float)
    if found.ndim != 3 or found.shape[1] != found.shape[2]:
        raise ValueError(
            f"{name}: an action with matrices [G, d, d] is needed, such as equivariant.image_grid."
        )
    return found

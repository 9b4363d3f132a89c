r"""Ensembles of infinitely wide networks: mean and covariance under gradient flow, and the posterior.

Networks that start from independent weights and follow the gradient of
:math:`\tfrac12 \|f - y\|^2 + \tfrac\lambda2 \|\theta - \theta_0\|^2` have at time t

.. math:: f_t(x) = f_0(x) + A_t (y - f_0(X)), \qquad
          A_t = \Theta_{xX} (\Theta_{XX} + \lambda)^{-1} (1 - e^{-(\Theta_{XX} + \lambda) t}) .

References: Jacot, Gabriel, Hongler (2018), "Neural tangent kernel", https://arxiv.org/abs/1806.07572; Lee et
al. (2019), "Wide neural networks of any depth evolve as linear models", https://arxiv.org/abs/1902.06720
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import ArrayLike

from polytope.given import described
from polytope.infinite.given import numbers, real
from polytope.infinite.kernels import Kernels
from polytope.ir.maps import FloatArray


@dataclass(frozen=True, eq=False)
class Ensemble:
    """The outputs of an ensemble at test points.

    Arguments:
        mean: ``[M, out]``.
        covariance: of each output, the same for all, ``[M, M]``.
    """

    mean: FloatArray
    covariance: FloatArray

    @property
    def std(self) -> FloatArray:
        """Standard deviations at the points, ``[M]``."""
        return np.sqrt(np.maximum(self.covariance.diagonal(), 0.0))


def ensemble(
    train: Kernels, cross: Kernels, test: Kernels, targets: ArrayLike, t: float = inf, *, ridge: float = 0.0
) -> Ensemble:
    """Mean and covariance of an infinite ensemble after training for a time.

    Arguments:
        train: kernels of the N training points with themselves.
        cross: of the M test points with the training points, ``[M, N]``.
        test: of the test points with themselves.
        targets: ``[N, out]`` or ``[N]``.
        t: the time, at a learning rate of 1 for the sum of squares over two; ``inf`` is the end.
        ridge: lambda, what holds the weights to their start.

    Returns:
        The ensemble.

    Raises:
        ValueError: a negative time or ridge, shapes that do not fit, targets that are not finite, or at
            infinite time a singular kernel.

    Example:
        >>> from polytope.infinite.kernels import kernel
        >>> from polytope.infinite.steps import mlp
        >>> x, net = np.eye(3), mlp(3, 2)
        >>> own = kernel(net, x)
        >>> ensemble(own, own, own, [1.0, 2.0, 3.0]).mean.round(9).tolist()  # at the end it interpolates
        [[1.0], [2.0], [3.0]]
    """
    y = _checked(train, cross, test, targets, ridge, "ridge")
    t = real(t, "t")
    if not t >= 0:
        raise ValueError(f"t: a time of at least 0 is needed, not {t}.")
    values, vectors = _spectrum(train.ntk, ridge)
    if t == inf:
        rates = 1 / _regular(values, train.ntk, ridge)
    else:
        rates = np.where(values > 0, -np.expm1(-values * t) / np.where(values > 0, values, 1.0), t)
    A = ((cross.ntk @ vectors) * rates) @ vectors.T
    mixed = A @ cross.nngp.T
    covariance = test.nngp + A @ train.nngp @ A.T - mixed - mixed.T
    return Ensemble(A @ y, (covariance + covariance.T) / 2)


def posterior(
    train: Kernels, cross: Kernels, test: Kernels, targets: ArrayLike, *, noise: float = 0.0
) -> Ensemble:
    """The posterior of the Gaussian process that the networks are at initialisation.

    Arguments:
        train, cross, test: as of ``ensemble``.
        targets: ``[N, out]`` or ``[N]``.
        noise: variance of the targets' noise.

    Returns:
        Mean and covariance given the targets.

    Raises:
        ValueError: as of ``ensemble``; the kernel is singular and there is no noise.
    """
    y = _checked(train, cross, test, targets, noise, "noise")
    values, vectors = _spectrum(train.nngp, noise)
    rates = 1 / _regular(values, train.nngp, noise, "noise")
    turned = cross.nngp @ vectors
    covariance = test.nngp - (turned * rates) @ turned.T
    return Ensemble((turned * rates) @ (vectors.T @ y), (covariance + covariance.T) / 2)


def _spectrum(kernel: FloatArray, ridge: float) -> tuple[FloatArray, FloatArray]:
    values, vectors = np.linalg.eigh(kernel)
    return np.maximum(values, 0.0) + ridge, vectors


def _regular(values: FloatArray, kernel: FloatArray, ridge: float, name: str = "ridge") -> FloatArray:
    """The eigenvalues, none of which may be 0 within the rounding of the decomposition."""
    room = len(values) * np.finfo(float).eps * float(np.abs(kernel).sum(axis=1).max(initial=0.0))
    room += _error(kernel)
    if len(values) and values.min() <= room:
        twins = _equal_rows(kernel)
        said = "some points are too near, or multiples of each other in a network without biases"
        if twins:
            said = f"points {twins[0]} and {twins[1]} are equal"
        raise ValueError(
            f"The kernel of the training points is singular (least eigenvalue {values.min() - ridge:.3g}): "
            f"{said}. Leave points out, or give {name}=, such as "
            f"{name}={max(1e-6 * kernel.diagonal().mean(), room) or 1e-6:.2g}."
        )
    return values


def _error(kernel: FloatArray) -> float:
    """What rounding may have changed the eigenvalues by: the largest row sum of errors of entries.

    An entry of a tangent kernel of correlation r goes with arcsin of correlations of layers: a few roundings
    there are sqrt(eps) of it at r = 1, and eps / (1 - r) away from it.
    """
    eps = np.finfo(float).eps
    size = np.sqrt(np.maximum(kernel.diagonal(), 0.0))
    scale = size[:, None] * size
    gap = np.maximum(scale - np.abs(kernel), 0.0)
    np.fill_diagonal(gap, np.inf)
    share = np.minimum(eps**0.5, eps * np.divide(scale, gap, out=np.full_like(gap, np.inf), where=gap > 0))
    np.fill_diagonal(share, 0.0)
    return float((8 * share * scale).sum(axis=1).max(initial=0.0))


def _equal_rows(kernel: FloatArray) -> tuple[int, int] | None:
    """Two points whose rows are equal up to rounding."""
    room = len(kernel) * np.finfo(float).eps * np.abs(kernel).max()
    for i, row in enumerate(kernel):
        same = np.flatnonzero((np.abs(kernel[i + 1 :] - row) <= room).all(axis=1))
        if len(same):
            return i, int(i + 1 + same[0])
    return None


def _checked(
    train: Kernels, cross: Kernels, test: Kernels, targets: ArrayLike, ridge: float, name: str
) -> FloatArray:
    """The targets as ``[N, out]``, when everything fits."""
    for kernels in (train, cross, test):
        if not isinstance(kernels, Kernels):
            raise TypeError(f"Kernels are expected, from infinite.kernel, not {described(kernels)}.")
    shapes = [k.nngp.shape for k in (train, cross, test)]
    if any(len(shape) != 2 for shape in shapes):
        raise ValueError(f"Kernels of one output are needed, not of shapes {shapes}: end with a readout.")
    n, m = shapes[1][1], shapes[1][0]
    if shapes[0] != (n, n) or shapes[2] != (m, m):
        raise ValueError(
            f"Kernels of shapes {shapes} do not fit: expected [N, N], [M, N] (test by training points), "
            "[M, M]."
        )
    _refuse_lopsided(train, "train")
    _refuse_lopsided(test, "test")
    y = numbers(targets, "targets")
    y = y[:, None] if y.ndim == 1 else y
    if y.ndim != 2 or len(y) != n:
        raise ValueError(f"targets: expected {n} rows, got shape {np.shape(targets)}.")
    if not np.isfinite(y).all():
        raise ValueError("targets: a number is not finite.")
    if not 0 <= real(ridge, name) < inf:
        raise ValueError(f"{name}: a finite number of at least 0 is needed, not {ridge}.")
    return y


def _refuse_lopsided(kernels: Kernels, name: str) -> None:
    """Refuse kernels of points with others where those of points with themselves are meant."""
    for K in (kernels.nngp, kernels.ntk):
        if np.abs(K - K.T).max(initial=0.0) > 1e-6 * np.abs(K).max(initial=0.0):
            raise ValueError(f"{name}: kernels of points with themselves are symmetric, these are not.")

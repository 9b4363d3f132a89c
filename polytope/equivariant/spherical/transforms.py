"""Fourier transforms of band-limited signals on grids of the sphere and of the rotation group."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.sparse import block_diag, csr_array, eye_array, hstack, kron
from torch import Tensor, nn

from polytope.equivariant.lowering import array
from polytope.equivariant.spherical.harmonics import (
    angles_of,
    check_bandlimit,
    equal_angles,
    group_dim,
    group_factors,
    polar_quadrature,
    sphere_dim,
    spherical_harmonics,
)
from polytope.ir.maps import Composition, Dense, Diagonal, FloatArray, LinearMap, Sparse, Transposed


class Transform(nn.Module):
    """Between coefficients ``[..., n]`` and samples ``[..., *grid]``; made by its two subclasses."""

    def __init__(self, b: int, bandlimit: int, grid_shape: tuple[int, ...], n_coefficients: int):
        super().__init__()
        self.b, self.bandlimit, self.grid_shape = b, bandlimit, grid_shape
        self.n_coefficients = n_coefficients

    def from_grid(self, signal: Tensor) -> Tensor:
        """The coefficients of samples: exact for band-limited signals.

        Arguments:
            signal: samples, ``[..., *grid]``.

        Returns:
            ``[..., n]``.

        Raises:
            ValueError: the last axes are not the grid's.
        """
        if signal.shape[-len(self.grid_shape) :] != self.grid_shape:
            raise ValueError(
                f"{type(self).__name__}: expected samples of shape [..., {str(self.grid_shape)[1:-1]}] "
                f"for b = {self.b}, got {list(signal.shape)}."
            )
        return self._analyse(signal)

    def to_grid(self, coefficients: Tensor) -> Tensor:
        """The samples of coefficients.

        Arguments:
            coefficients: ``[..., n]``.

        Returns:
            ``[..., *grid]``.

        Raises:
            ValueError: the number of coefficients is another.
        """
        if coefficients.shape[-1] != self.n_coefficients:
            raise ValueError(
                f"{type(self).__name__}: expected {self.n_coefficients} coefficients for the bandlimit "
                f"{self.bandlimit}, got {coefficients.shape[-1]}."
            )
        return self._synthesise(coefficients)

    def forward(self, signal: Tensor) -> Tensor:
        """``from_grid``.

        Arguments:
            signal: samples, ``[..., *grid]``.
        """
        return self.from_grid(signal)

    def maps(self, channels: int) -> tuple[LinearMap, LinearMap]:
        """``from_grid`` and ``to_grid`` on flat signals ``[channels, ...]``, as linear maps.

        Arguments:
            channels: number of channels; all are transformed alike.

        Returns:
            The map from samples to coefficients, ``[channels * n, channels * grid]``, and the one back.
        """
        raise NotImplementedError

    def _analyse(self, signal: Tensor) -> Tensor:
        raise NotImplementedError

    def _synthesise(self, coefficients: Tensor) -> Tensor:
        raise NotImplementedError


class SphericalHarmonicTransform(Transform):
    r"""Signals :math:`f(x) = \sum_{l < b} \sum_m f^l_m Y^l_m(x)` on the sphere, from and to a grid.

    Arguments:
        b: the bandwidth of the grid, 2b circles (beta) of 2b points (alpha) each.
        grid: ``"driscoll-healy"``, ``"gauss-legendre"``, or points of the sphere ``[P, 3]``; from points the
            coefficients are those of least squares.
        bandlimit: how many degrees are kept, at most b, which is the default; fewer than b oversample.

    Raises:
        ValueError: numbers that do not fit, or points from which the coefficients are not determined.

    Example:
        >>> transform = SphericalHarmonicTransform(2)
        >>> tuple(transform.to_grid(torch.ones(4, dtype=torch.float64)).shape)
        (4, 4)
    """

    analysis: Tensor
    synthesis: Tensor

    def __init__(self, b: int, grid: str | ArrayLike = "driscoll-healy", *, bandlimit: int | None = None):
        kept = _kept(b, bandlimit)
        if isinstance(grid, str):
            beta, weights = polar_quadrature(b, grid)
            Y = spherical_harmonics(kept, beta[:, None], equal_angles(b)).reshape(4 * b * b, -1)
            inverse = Y.T * np.repeat(weights, 2 * b) / (2 * b)
            shape: tuple[int, ...] = (2 * b, 2 * b)
        else:
            Y = _harmonics_at(grid, kept)
            inverse, shape = np.asarray(np.linalg.pinv(Y), dtype=np.float64), (len(Y),)
        super().__init__(b, kept, shape, sphere_dim(kept))
        self.register_buffer("synthesis", torch.from_numpy(Y), persistent=False)
        self.register_buffer("analysis", torch.from_numpy(inverse), persistent=False)

    def _analyse(self, signal: Tensor) -> Tensor:
        return signal.flatten(-len(self.grid_shape)) @ self.analysis.T

    def _synthesise(self, coefficients: Tensor) -> Tensor:
        return (coefficients @ self.synthesis.T).reshape(*coefficients.shape[:-1], *self.grid_shape)

    def maps(self, channels: int) -> tuple[LinearMap, LinearMap]:
        """``from_grid`` and ``to_grid`` on flat signals ``[channels, ...]``, as linear maps."""
        analysis, synthesis = (Dense(array(matrix)) for matrix in (self.analysis, self.synthesis))
        return repeated(analysis, channels), repeated(synthesis, channels)


class SO3FourierTransform(Transform):
    r"""Signals on the group, :math:`g(R) = \sum_l \sum_{mn} g^l_{mn} \sqrt{2l+1} D^l_{mn}(R)`, on a grid.

    The grid has the axes (beta, alpha, gamma), 2b samples each; beta as for the sphere. Each of the three
    angles is a factor of :math:`D^l = e^{\alpha Z} e^{\beta Y} e^{\gamma Z}` and is summed by itself.

    Arguments:
        b: the bandwidth of the grid.
        grid: ``"driscoll-healy"`` or ``"gauss-legendre"``.
        bandlimit: how many degrees are kept, at most b, which is the default; fewer than b oversample.

    Raises:
        ValueError: numbers that do not fit, or there is no such grid.
    """

    polar: Tensor
    left: Tensor
    right: Tensor
    weights: Tensor
    place: Tensor

    def __init__(self, b: int, grid: str = "driscoll-healy", *, bandlimit: int | None = None):
        kept = _kept(b, bandlimit)
        super().__init__(b, kept, (2 * b,) * 3, group_dim(kept))
        beta, weights = polar_quadrature(b, grid)
        left, polar, right = group_factors(kept, equal_angles(b), beta, equal_angles(b))
        by_order = np.ascontiguousarray(polar.reshape(2, 2 * b, kept, -1).transpose(0, 3, 1, 2))
        for name, factor in (("left", left), ("polar", by_order), ("right", right)):
            self.register_buffer(name, torch.from_numpy(factor), persistent=False)
        self.register_buffer("weights", torch.from_numpy(weights / (4 * b * b)), persistent=False)
        order = np.arange(2 * kept - 1) - kept + 1
        inside = np.maximum(abs(order[:, None]), abs(order)) <= np.arange(kept)[:, None, None]
        by_degree = np.flatnonzero(inside)  # into [l, m, n]; the products below want [m, n, l]
        place = by_degree % len(order) ** 2 * kept + by_degree // len(order) ** 2
        self.register_buffer("place", torch.from_numpy(place), persistent=False)

    def _analyse(self, signal: Tensor) -> Tensor:
        """By gamma, alpha, beta; signals are the last axis, so that each step is one matrix product."""
        orders, n = 2 * self.bandlimit - 1, 2 * self.b
        samples = signal.reshape(-1, n, n, n).permute(2, 3, 1, 0).reshape(n, n, -1)
        parts: list[Tensor] = []
        for left, polar, right in zip(self.left, self.polar, self.right, strict=True):
            turned = left @ (right @ samples).flatten(1)
            parts.append((polar.mT * self.weights) @ turned.reshape(orders**2, n, -1))
        coefficients = (parts[0] + parts[1]).flatten(0, 1)[self.place]
        return coefficients.T.reshape(*signal.shape[:-3], -1)

    def _synthesise(self, coefficients: Tensor) -> Tensor:
        """By beta, alpha, gamma, the other way round."""
        b, orders, n = self.bandlimit, 2 * self.bandlimit - 1, 2 * self.b
        flat = coefficients.reshape(-1, self.n_coefficients).T
        padded = flat.new_zeros(b * orders**2, flat.shape[1]).index_copy(0, self.place, flat)
        by_order = padded.reshape(orders**2, b, -1)
        parts: list[Tensor] = []
        for left, polar, right in zip(self.left, self.polar, self.right, strict=True):
            turned = left.T @ (polar @ by_order).reshape(orders, -1)
            parts.append(right.T @ turned.reshape(n, orders, -1))
        samples = (parts[0] + parts[1]).reshape(n, n, n, -1).permute(3, 2, 0, 1)
        return samples.reshape(*coefficients.shape[:-1], n, n, n)

    def maps(self, channels: int) -> tuple[LinearMap, LinearMap]:
        """``from_grid`` and ``to_grid`` on flat signals ``[channels, ...]``, as sparse factors."""
        n, orders = 2 * self.b, 2 * self.bandlimit - 1
        left, right, polar = array(self.left), array(self.right), array(self.polar)
        by_alpha = block_diag([kron(eye_array(n), kron(part.T, eye_array(orders))) for part in left])
        by_gamma = hstack([kron(eye_array(n * n), part.T) for part in right])
        s, order, j, degree = np.nonzero(polar)
        rows = np.ravel_multi_index((s, j, order), (2, n, orders**2))
        number = np.zeros(orders**2 * self.bandlimit, dtype=np.int64)
        number[self.place.cpu().numpy()] = np.arange(self.n_coefficients)
        columns = number[order * self.bandlimit + degree]
        shape = (2 * n * orders**2, self.n_coefficients)
        by_beta = csr_array((polar[s, order, j, degree], (rows, columns)), shape=shape)
        stages = [repeated(Sparse(csr_array(stage)), channels) for stage in (by_gamma, by_alpha, by_beta)]
        synthesis = Composition(stages[0], Composition(stages[1], stages[2]))
        weights = Diagonal(np.tile(np.repeat(array(self.weights), n * n), channels))
        return Composition(Transposed(synthesis), weights), synthesis


def _kept(b: int, bandlimit: int | None) -> int:
    """The bandlimit of a grid of bandwidth b."""
    check_bandlimit(b, "b")
    kept = b if bandlimit is None else check_bandlimit(bandlimit)
    if kept > b:
        raise ValueError(f"A grid of bandwidth {b} cannot hold signals of bandlimit {kept}.")
    return kept


def _harmonics_at(points: ArrayLike, bandlimit: int) -> FloatArray:
    """The harmonics at points that determine a signal of this bandlimit, ``[P, b^2]``."""
    Y = spherical_harmonics(bandlimit, *angles_of(points))
    if Y.ndim != 2 or np.linalg.matrix_rank(Y) < sphere_dim(bandlimit):
        raise ValueError(
            f"SphericalHarmonicTransform: points of shape {np.shape(points)} do not determine the "
            f"{sphere_dim(bandlimit)} coefficients of bandlimit {bandlimit}: use more of them in general "
            "position, or a smaller b."
        )
    return Y


def repeated(linear: LinearMap, times: int) -> LinearMap:
    """The same map for every channel, block-diagonal."""
    return linear if times == 1 else Sparse(csr_array(kron(eye_array(times), linear.to_sparse())))

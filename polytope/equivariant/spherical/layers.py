r"""Convolutions on the sphere and on the rotation group: linear on grid samples, equivariant under rotations.

A signal on the sphere is ``[B, C, 2b, 2b]`` (beta, alpha), one on the group ``[B, C, 2b, 2b, 2b]`` (beta,
alpha, gamma). Every layer goes to coefficients, works there, and comes back to samples, so that a ReLU on
the samples may follow: such a chain is piecewise linear, and ``lower`` makes it a ``Network``. The linear
parts are exactly equivariant; a ReLU is up to aliasing, which falls as ``bandlimit`` falls below b.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.sparse import csr_array
from torch import Tensor, nn

from polytope.equivariant.lowering import AffineMap, Shape, array, check_shape
from polytope.equivariant.spherical.harmonics import check_bandlimit, group_dim
from polytope.equivariant.spherical.transforms import (
    SO3FourierTransform,
    SphericalHarmonicTransform,
    repeated,
)
from polytope.equivariant.spherical.wigner import WignerD, checked_angles
from polytope.ir.maps import Composition, Dense, FloatArray, Sparse
from polytope.ir.tied import Ties, Weights


class _SpectralConv(nn.Module):
    """A convolution of signals through their coefficients, degree by degree; subclasses say how one mixes."""

    signals: ClassVar[type[SphericalHarmonicTransform | SO3FourierTransform]]
    basis: Tensor | None

    def __init__(
        self,
        c_in: int,
        c_out: int,
        b_in: int,
        b_out: int,
        *,
        bandlimit: int | None = None,
        points: ArrayLike | None = None,
    ):
        super().__init__()
        for name, count in (("c_in", c_in), ("c_out", c_out)):
            check_bandlimit(count, name)
        self.c_in, self.c_out = c_in, c_out
        self.bandlimit = joint_bandlimit(b_in, b_out, bandlimit)
        self.source = self.signals(b_in, bandlimit=self.bandlimit)
        self.target = SO3FourierTransform(b_out, bandlimit=self.bandlimit)
        basis = None if points is None else torch.from_numpy(self.point_kernels(points))
        self.register_buffer("basis", basis, persistent=False)
        n_free = self.source.n_coefficients if basis is None else len(basis)
        self.weight = nn.Parameter(torch.empty(c_out, c_in, n_free, dtype=torch.float64))
        self.bias = nn.Parameter(torch.zeros(c_out, dtype=torch.float64))
        self.reset_parameters()

    def point_kernels(self, points: ArrayLike) -> FloatArray:
        """The coefficients of kernels at single points.

        Arguments:
            points: Euler angles ``(alpha, beta, gamma)``, radians, ``[P, 3]``.

        Returns:
            ``[P, n]``, n the number of coefficients of a signal.

        Raises:
            ValueError: points of another shape, none, or not finite.
        """
        raise NotImplementedError

    def reset_parameters(self) -> None:
        """Normal weights of a variance that keeps the signals' size through a ReLU, zero biases."""
        with torch.no_grad():
            self.weight.normal_().mul_(self._initial_std())
        nn.init.zeros_(self.bias)

    def _initial_std(self) -> Tensor:
        """The standard deviations of the weights of one pair of channels at the start, ``[n]``."""
        shared = 1 if self.basis is None else len(self.basis)
        std = torch.full_like(self.weight[:1, :1].detach(), (2 / (self.c_in * shared)) ** 0.5)
        for l, part in enumerate(self.parts(std) if self.basis is None else ()):  # noqa: E741
            part /= (2 * l + 1) ** 0.5
        return std[0, 0]

    def ties(self) -> Ties:
        """One weight for each coefficient, or each point of the kernel's support."""
        weight = Weights(0, 1, array(self._initial_std()))
        return Ties(0, {"weight": weight, "bias": Weights(0, None, 0.0)})

    def parts(self, kernel: Tensor) -> Iterator[Tensor]:
        """The kernel's coefficients by degree.

        Arguments:
            kernel: ``[c_out, c_in, n]``.

        Returns:
            ``[c_out, c_in, ...]`` for each degree.
        """
        raise NotImplementedError

    def kernel(self) -> Tensor:
        """The kernel's coefficients, ``[c_out, c_in, n]``."""
        return self.weight if self.basis is None else self.weight @ self.basis

    def mix(self, part: Tensor, kernel: Tensor) -> Tensor:
        """The product of one degree, summed over the incoming channels.

        Arguments:
            part: the signals' coefficients, ``[B, c_in, ...]``.
            kernel: the kernel's, ``[c_out, c_in, ...]``.

        Returns:
            ``[B, c_out, 2l+1, 2l+1]``.
        """
        raise NotImplementedError

    def spectral(self, coefficients: Tensor) -> Tensor:
        """The layer on coefficients, without the bias.

        Arguments:
            coefficients: ``[B, c_in, n]``.

        Returns:
            ``[B, c_out, b (4b^2 - 1) / 3]``, b the bandlimit.
        """
        signals = self.source_parts(coefficients)
        kernels = self.parts(self.kernel())
        return torch.cat([self.mix(f, k).flatten(2) for f, k in zip(signals, kernels, strict=True)], dim=2)

    def source_parts(self, coefficients: Tensor) -> Iterator[Tensor]:
        """The signals' coefficients by degree.

        Arguments:
            coefficients: ``[B, c_in, n]``.

        Returns:
            ``[B, c_in, ...]`` for each degree.
        """
        raise NotImplementedError

    def forward(self, signal: Tensor) -> Tensor:
        """Samples to samples.

        Arguments:
            signal: ``[B, c_in, *grid]``, on the grid of bandwidth b_in.

        Returns:
            ``[B, c_out, 2 b_out, 2 b_out, 2 b_out]``.

        Raises:
            ValueError: a signal of another shape.
        """
        if signal.ndim != 2 + len(self.source.grid_shape) or signal.shape[1] != self.c_in:
            wanted = ["B", self.c_in, *self.source.grid_shape]
            raise ValueError(f"{type(self).__name__}: expected {wanted}, got {list(signal.shape)}.")
        out = self.target.to_grid(self.spectral(self.source.from_grid(signal)))
        return out + self.bias.reshape(-1, 1, 1, 1)

    def affine(self, shape: Shape) -> AffineMap:
        """The layer on flat signals.

        Arguments:
            shape: of one signal, ``(c_in, *grid)``.

        Returns:
            The linear map, the bias, and the shape of the result.

        Raises:
            ValueError: the layer reads values of another shape.
        """
        check_shape(self, shape, (self.c_in, *self.source.grid_shape))
        n = self.source.n_coefficients
        with torch.no_grad():
            probes = torch.eye(self.c_in * n, dtype=self.weight.dtype, device=self.weight.device)
            mixing = self.spectral(probes.reshape(-1, self.c_in, n)).flatten(1).T
        analysis, _ = self.source.maps(self.c_in)
        _, synthesis = self.target.maps(self.c_out)
        inner = Composition(Sparse(csr_array(array(mixing))), analysis)
        bias = np.repeat(array(self.bias), prod(self.target.grid_shape))
        return Composition(synthesis, inner), bias, self.out_shape

    @property
    def out_shape(self) -> Shape:
        """The shape of one output."""
        return (self.c_out, *self.target.grid_shape)


class S2Conv(_SpectralConv):
    r"""Correlation of signals on the sphere with kernels: signals on the group.

    .. math:: (\kappa \star f)^l_{mn} = f^l_m\, \kappa^l_n .

    The left index is the signal's: a rotation multiplies both sides by :math:`D^l` on the left. The average
    :math:`\langle f, L_R \kappa \rangle` over the sphere, as a signal in R, has these coefficients over
    :math:`\sqrt{2l+1}`, a factor that a kernel absorbs.

    Arguments:
        c_in, c_out: channels.
        b_in, b_out: bandwidths of the grids.
        bandlimit: how many degrees are kept, at most (and by default) the smaller of the two bandwidths.
        points: ``None`` for a kernel that is free in every coefficient; otherwise Euler angles ``[P, 3]`` of
            rotations that carry the north pole to the kernel's support (``near_identity``): a local kernel.

    Example:
        >>> layer = S2Conv(1, 3, 4, 2)
        >>> tuple(layer(torch.zeros(5, 1, 8, 8, dtype=torch.float64)).shape)
        (5, 3, 4, 4, 4)
    """

    signals = SphericalHarmonicTransform

    def point_kernels(self, points: ArrayLike) -> FloatArray:
        """The coefficients D^l_n0 of kernels at points of the sphere, ``[P, b^2]``."""
        angles = checked_angles(points)
        return np.concatenate([WignerD(k, *angles)[:, :, k] for k in range(self.bandlimit)], axis=1)

    def source_parts(self, coefficients: Tensor) -> Iterator[Tensor]:
        """``[B, c_in, 2l+1]`` for each degree."""
        return (coefficients[..., k**2 : (k + 1) ** 2] for k in range(self.bandlimit))

    def parts(self, kernel: Tensor) -> Iterator[Tensor]:
        """``[c_out, c_in, 2l+1]`` for each degree."""
        return self.source_parts(kernel)

    def mix(self, part: Tensor, kernel: Tensor) -> Tensor:
        """The outer product of signal and kernel, summed over channels."""
        return torch.einsum("bim,oin->bomn", part, kernel)


class SO3Conv(_SpectralConv):
    r"""Convolution on the group, :math:`(\psi \star g)^l_{mn} = \sum_k g^l_{mk} \psi^l_{kn}`.

    Arguments:
        c_in, c_out: channels.
        b_in, b_out: bandwidths of the grids.
        bandlimit: how many degrees are kept, at most (and by default) the smaller of the two bandwidths.
        points: ``None`` for a free kernel; otherwise Euler angles ``[P, 3]`` of rotations S_p
            (``near_identity``): the layer is then :math:`R \mapsto \sum_p w_p\, g(R S_p^{-1})`.
    """

    signals = SO3FourierTransform

    def point_kernels(self, points: ArrayLike) -> FloatArray:
        """The coefficients D^l_kn of kernels at single rotations, ``[P, b (4b^2 - 1) / 3]``."""
        angles = checked_angles(points)
        degrees = [WignerD(k, *angles).reshape(len(angles[0]), -1) for k in range(self.bandlimit)]
        return np.concatenate(degrees, axis=1)

    def source_parts(self, coefficients: Tensor) -> Iterator[Tensor]:
        """``[B, c_in, 2l+1, 2l+1]`` for each degree."""
        return matrices_of(coefficients, self.bandlimit)

    def parts(self, kernel: Tensor) -> Iterator[Tensor]:
        """``[c_out, c_in, 2l+1, 2l+1]`` for each degree."""
        return matrices_of(kernel, self.bandlimit)

    def mix(self, part: Tensor, kernel: Tensor) -> Tensor:
        """The product of the matrices, summed over channels."""
        return torch.einsum("bimk,oikn->bomn", part, kernel)


class SO3ToS2(nn.Module):
    r"""Signals on the group to signals on the sphere, by a functional of the right index n.

    Rotations act on the left index and leave the right one alone, so every such functional is equivariant.

    Arguments:
        b_in, b_out: bandwidths of the grids.
        reduce: ``"integrate"``, the average over gamma, :math:`f^l_m = g^l_{m0}`; ``"sum"``,
            :math:`f^l_m = \sum_n g^l_{mn}`.
        bandlimit: how many degrees are kept.

    Raises:
        ValueError: there is no such ``reduce``, or the bandlimit exceeds a bandwidth.
    """

    def __init__(self, b_in: int, b_out: int, reduce: str = "integrate", *, bandlimit: int | None = None):
        super().__init__()
        if reduce not in ("integrate", "sum"):
            raise ValueError(f"SO3ToS2: reduce must be 'integrate' or 'sum', not {reduce!r}.")
        kept = joint_bandlimit(b_in, b_out, bandlimit)
        self.reduce = reduce
        self.source = SO3FourierTransform(b_in, bandlimit=kept)
        self.target = SphericalHarmonicTransform(b_out, bandlimit=kept)

    def spectral(self, coefficients: Tensor) -> Tensor:
        """Coefficients on the group to coefficients on the sphere.

        Arguments:
            coefficients: ``[..., b (4b^2 - 1) / 3]``, b the bandlimit.

        Returns:
            ``[..., b^2]``.
        """
        parts = matrices_of(coefficients, self.target.bandlimit)
        if self.reduce == "sum":
            return torch.cat([g.sum(dim=-1) for g in parts], dim=-1)
        return torch.cat([g[..., g.shape[-1] // 2] for g in parts], dim=-1)

    def forward(self, signal: Tensor) -> Tensor:
        """Samples on the group to samples on the sphere.

        Arguments:
            signal: ``[B, C, 2b, 2b, 2b]``, b the bandwidth b_in.

        Returns:
            ``[B, C, 2b, 2b]``, b the bandwidth b_out.

        Raises:
            ValueError: a grid of another bandwidth.
        """
        return self.target.to_grid(self.spectral(self.source.from_grid(signal)))

    def affine(self, shape: Shape) -> AffineMap:
        """The layer on flat signals; its bias is 0.

        Arguments:
            shape: of one signal, ``(C, 2b, 2b, 2b)``.

        Returns:
            The linear map, the bias, and the shape of the result.

        Raises:
            ValueError: the layer reads values of another shape.
        """
        channels = shape[0]
        check_shape(self, shape, (channels, *self.source.grid_shape))
        reducing = self.spectral(torch.eye(self.source.n_coefficients, dtype=torch.float64)).T
        analysis, _ = self.source.maps(channels)
        _, synthesis = self.target.maps(channels)
        inner = Composition(repeated(Dense(array(reducing)), channels), analysis)
        out_shape = (channels, *self.target.grid_shape)
        return Composition(synthesis, inner), np.zeros(prod(out_shape)), out_shape


class SO3Integrate(nn.Module):
    """The average of signals over the group, ``[B, C, 2b, 2b, 2b]`` to ``[B, C]``: what no rotation changes.

    Arguments:
        b: the bandwidth of the grid; exact for signals of bandlimit 2b.
    """

    def __init__(self, b: int):
        super().__init__()
        self.source = SO3FourierTransform(b, bandlimit=1)

    def forward(self, signal: Tensor) -> Tensor:
        """The coefficient of degree 0.

        Arguments:
            signal: ``[B, C, 2b, 2b, 2b]``.

        Returns:
            ``[B, C]``.

        Raises:
            ValueError: a grid of another bandwidth.
        """
        return self.source.from_grid(signal)[..., 0]

    def affine(self, shape: Shape) -> AffineMap:
        """The layer on flat signals; its bias is 0.

        Arguments:
            shape: of one signal, ``(C, 2b, 2b, 2b)``.

        Returns:
            The linear map, the bias, and the shape of the result.

        Raises:
            ValueError: the layer reads values of another shape.
        """
        check_shape(self, shape, (shape[0], *self.source.grid_shape))
        analysis, _ = self.source.maps(shape[0])
        return analysis, np.zeros(shape[0]), (shape[0],)


def joint_bandlimit(b_in: int, b_out: int, bandlimit: int | None) -> int:
    """The degrees kept between grids of two bandwidths."""
    most = min(check_bandlimit(b_in, "b_in"), check_bandlimit(b_out, "b_out"))
    kept = most if bandlimit is None else check_bandlimit(bandlimit)
    if kept > most:
        raise ValueError(f"bandlimit {kept} does not fit: the grids' bandwidths are {b_in} and {b_out}.")
    return kept


def matrices_of(coefficients: Tensor, bandlimit: int) -> Iterator[Tensor]:
    """The matrices ``[..., 2l+1, 2l+1]`` of flat coefficients of the group, degree by degree."""
    for l in range(bandlimit):  # noqa: E741
        part = coefficients[..., group_dim(l) : group_dim(l + 1)]
        yield part.reshape(*part.shape[:-1], 2 * l + 1, 2 * l + 1)

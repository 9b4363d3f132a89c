r"""Internal gauge symmetry on a periodic lattice: matter fields, links in Z2 or U(1), and their convolution.

A gauge transformation :math:`\Omega(x)` takes a matter field to :math:`\Omega(x) \phi(x)` and a link to
:math:`\Omega(x) U_\mu(x) \Omega(x + \mu)^*`. Links are numbers of absolute value 1, ``[D, *shape]``: real
ones (signs) for Z2, complex ones for U(1).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from polytope.equivariant.gauge.layers import EdgeConv
from polytope.equivariant.spherical.harmonics import check_bandlimit
from polytope.ir.tied import Ties, Weights

Links = NDArray[np.float64] | NDArray[np.complex128]


def checked_links(links: ArrayLike) -> Links:
    """The links, in float64 or complex128.

    Raises:
        ValueError: a wrong shape, or a number that is not in the group.
    """
    U = np.asarray(links)
    U = U.astype(np.complex128 if np.iscomplexobj(U) else np.float64)
    if U.ndim < 2 or len(U) != U.ndim - 1:
        raise ValueError(
            f"Links: expected one number for each direction and site, [D, *shape], got {U.shape}."
        )
    if not np.abs(np.abs(U) - 1).max(initial=0.0) < 1e-9:
        raise ValueError("Links: every number must have absolute value 1 (signs for Z2, phases for U(1)).")
    return U


def transform_links(links: ArrayLike, omega: ArrayLike) -> Links:
    r"""The links after a gauge transformation, :math:`\Omega(x) U_\mu(x) \Omega(x + \mu)^*`.

    Arguments:
        links: ``[D, *shape]``, numbers of absolute value 1; real for Z2, complex for U(1).
        omega: ``[*shape]``, one number of absolute value 1 for each site.

    Returns:
        ``[D, *shape]``.

    Raises:
        ValueError: a link is not in the group, or shapes differ.
    """
    U, O = checked_links(links), np.asarray(omega)  # noqa: E741
    if O.shape != U.shape[1:]:
        raise ValueError(f"transform_links: omega has shape {O.shape}, the lattice {U.shape[1:]}.")
    return np.stack([O * U[mu] * np.roll(O, -1, axis=mu).conj() for mu in range(len(U))])


def plaquettes(links: ArrayLike) -> Links:
    r"""The Wilson loops around elementary squares, which are gauge invariant.

    .. math:: U_\mu(x)\, U_\nu(x + \mu)\, U_\mu(x + \nu)^*\, U_\nu(x)^* .

    Arguments:
        links: ``[D, *shape]``, numbers of absolute value 1; real for Z2, complex for U(1).

    Returns:
        ``[D (D-1) / 2, *shape]``, pairs mu < nu in lexicographic order.

    Raises:
        ValueError: a wrong shape, or a link is not in the group.
    """
    U = checked_links(links)
    pairs = [(mu, nu) for mu in range(len(U)) for nu in range(mu + 1, len(U))]
    return np.array(
        [
            U[mu] * np.roll(U[nu], -1, axis=mu) * np.roll(U[mu], -1, axis=nu).conj() * U[nu].conj()
            for mu, nu in pairs
        ]
    ).reshape(len(pairs), *U.shape[1:])


class LatticeGaugeConv(EdgeConv):
    r"""Convolution of a matter field ``[B, *shape, C, r]`` with its neighbours, carried along the links.

    .. math:: \phi'(x) = W_0 \phi(x) + \sum_\mu W_{\mu} U_\mu(x) \phi(x + \mu)
              + W_{-\mu} U_\mu(x - \mu)^* \phi(x - \mu) .

    For Z2 links r = 1 and the weights are real; for U(1), r = 2 (real and imaginary part) and they are
    complex. The layer commutes with gauge transformations of field and links together, and has no bias. With
    the links fixed it is linear; for Z2 an odd activation (``Softshrink``, ``Hardtanh``) may follow.

    Arguments:
        links: ``[D, *shape]``.
        c_in, c_out: channels.

    Raises:
        ValueError: a link is not in the group, or a number of channels is less than 1.
    """

    carry: Tensor
    kind: Tensor

    def __init__(self, links: ArrayLike, c_in: int, c_out: int):
        U = checked_links(links)
        shape, D = U.shape[1:], len(U)
        r = 2 if np.iscomplexobj(U) else 1
        for name, count in (("c_in", c_in), ("c_out", c_out)):
            check_bandlimit(count, name)
        site = np.arange(U[0].size).reshape(shape)
        ends, carried = [site], [np.ones_like(U[0])]
        for mu in range(D):
            ends += [np.roll(site, -1, axis=mu), np.roll(site, 1, axis=mu)]
            carried += [U[mu], np.roll(U[mu], 1, axis=mu).conj()]
        edges = np.stack([np.tile(site.ravel(), 2 * D + 1), np.ravel(ends)], axis=1)
        super().__init__(edges, (*shape, c_in, r), (*shape, c_out, r))
        numbers = np.ravel(carried)
        self.register_buffer("carry", torch.from_numpy(_as_matrices(numbers)), persistent=False)
        kind = torch.arange(2 * D + 1).repeat_interleave(site.size)
        self.register_buffer("kind", kind, persistent=False)
        self._std = (r * c_in * (2 * D + 1)) ** -0.5
        self.weight = nn.Parameter(self._std * torch.randn(2 * D + 1, c_out, c_in, r, dtype=torch.float64))

    def blocks(self) -> Tensor:
        """The weight of the edge's kind times the number on its link.

        Returns:
            ``[E, C_out * r, C_in * r]``; the edges from sites to themselves come first.
        """
        weight = self.weight
        if weight.shape[-1] == 1:
            matrices = weight[..., None]
        else:
            real, imaginary = weight.unbind(-1)
            matrices = torch.stack([real, -imaginary, imaginary, real], dim=-1).reshape(*real.shape, 2, 2)
        return torch.einsum("eoiab,ebc->eoaic", matrices[self.kind], self.carry).flatten(3).flatten(1, 2)

    def ties(self) -> Ties:
        """One weight for each direction and component."""
        return Ties(-2, {"weight": Weights(1, 2, self._std)})


def _as_matrices(numbers: Links) -> NDArray[np.float64]:
    """Multiplication by each number as a real matrix, ``[n, r, r]``."""
    if not np.iscomplexobj(numbers):
        return np.asarray(numbers, dtype=np.float64)[:, None, None]
    return np.stack([numbers.real, -numbers.imag, numbers.imag, numbers.real], axis=1).reshape(-1, 2, 2)

r"""Site maps of weight-tied layers: :math:`M \mapsto \sum_k v_k S_k M S_k^T`, by reads or matrices.

A layer of independent weights w_k computes :math:`z_a = \sum_k w_k \cdot (S_k h)_a` on sites a. Convolutions
read one site with each weight, so that the diagonal of their result needs the diagonal of M alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polytope.ir.maps import FloatArray, IntArray

LARGEST_TABLE = 1 << 20  # entries


@dataclass(frozen=True, eq=False)
class Reads:
    """Slots of which each site reads one site of the input, or nothing.

    Arguments:
        index: ``int[k, A']``, the site that is read; -1 for nothing (zero padding).
        sites_in: A, number of sites of the input.
    """

    index: IntArray
    sites_in: int
    needs_diagonal_only = True

    def __len__(self) -> int:
        return len(self.index)

    @property
    def sites(self) -> int:
        """A', number of sites of the result."""
        return int(self.index.shape[1])

    def spread(self, M: Tensor, variances: FloatArray) -> Tensor:
        """The sum over slots.

        Arguments:
            M: ``[..., A, A]``.
            variances: ``[k]``.

        Returns:
            ``[..., A', A']``.
        """
        size, padded = self.sites_in, bool((self.index < 0).any())
        flat = torch.nn.functional.pad(M, (0, 1, 0, 1)) if padded else M
        side = size + padded
        flat = flat.flatten(-2)
        index = torch.as_tensor(np.where(self.index < 0, size, self.index), device=M.device)
        out = M.new_zeros(*M.shape[:-2], self.sites**2)
        for row, variance in zip(index, variances.tolist(), strict=True):
            places = (row[:, None] * side + row).reshape(-1)
            out.add_(flat.index_select(-1, places), alpha=variance)
        return out.reshape(*M.shape[:-2], self.sites, self.sites)

    def spread_diagonal(self, m: Tensor, variances: FloatArray) -> Tensor:
        """The diagonal of the sum over slots, of the diagonal of M.

        Arguments:
            m: ``[..., A]``.
            variances: ``[k]``.

        Returns:
            ``[..., A']``.
        """
        if self.sites_in == self.sites == 1:
            return m * float(variances[self.index[:, 0] >= 0].sum())
        if self.sites_in * self.sites <= LARGEST_TABLE:
            return m @ torch.from_numpy(self._counted(variances)).to(m.device)
        return self._read_one_by_one(m, variances)

    def _counted(self, variances: FloatArray) -> FloatArray:
        """How much each site reads of each, ``[A, A']``."""
        table = np.zeros((self.sites_in, self.sites))
        k, site = np.nonzero(self.index >= 0)
        np.add.at(table, (self.index[k, site], site), variances[k])
        return table

    def _read_one_by_one(self, m: Tensor, variances: FloatArray) -> Tensor:
        """The same sum without a table, slot by slot, or site by site where these are fewer."""
        padded = torch.nn.functional.pad(m, (0, 1))
        index = torch.as_tensor(np.where(self.index < 0, self.sites_in, self.index), device=m.device)
        if len(index) > self.sites:
            weights = torch.from_numpy(variances).to(m.device)
            return torch.stack([padded[..., column] @ weights for column in index.T], dim=-1)
        out = m.new_zeros(*m.shape[:-1], self.sites)
        for row, variance in zip(index, variances.tolist(), strict=True):
            out.add_(padded[..., row], alpha=variance)
        return out

    def among(self, extra: int) -> Reads:
        """The slots of a layer that takes ``extra`` sites e for channels, of sites (e, a)."""
        shifts = np.arange(extra)[:, None, None] * self.sites_in
        index = np.where(self.index < 0, -1, self.index + shifts).reshape(-1, self.sites)
        return Reads(index, extra * self.sites_in)


@dataclass(frozen=True, eq=False)
class Matrices:
    """Slots that mix sites: convolutions on the sphere and on the rotation group, of fields on a mesh.

    Arguments:
        matrices: ``[k, A', A]``.
    """

    matrices: FloatArray
    needs_diagonal_only = False

    def __len__(self) -> int:
        return len(self.matrices)

    @property
    def sites_in(self) -> int:
        """A, number of sites of the input."""
        return int(self.matrices.shape[2])

    @property
    def sites(self) -> int:
        """A', number of sites of the result."""
        return int(self.matrices.shape[1])

    @cached_property
    def _tensor(self) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(self.matrices))

    def spread(self, M: Tensor, variances: FloatArray) -> Tensor:
        """The sum over slots.

        Arguments:
            M: ``[..., A, A]``.
            variances: ``[k]``.

        Returns:
            ``[..., A', A']``.
        """
        out = M.new_zeros(*M.shape[:-2], self.sites, self.sites)
        for S, variance in zip(self._tensor.to(M.device), variances.tolist(), strict=True):
            out.add_(S @ M @ S.T, alpha=variance)
        return out

    def spread_diagonal(self, m: Tensor, variances: FloatArray) -> Tensor:
        """The same of one site, whose matrix is its diagonal.

        Arguments:
            m: ``[..., 1]``.
            variances: ``[k]``.

        Returns:
            ``[..., A']``.
        """
        shares = (variances[:, None, None] * self.matrices**2).sum(axis=0)  # [A', 1]
        return m @ torch.from_numpy(shares.T.copy()).to(m.device)

    def among(self, extra: int) -> Matrices:
        """The slots of a layer that takes ``extra`` sites e for channels, of sites (e, a)."""
        eye = np.eye(extra)[:, None, None, :, None]
        wide = eye * self.matrices[None, :, :, None, :]
        return Matrices(wide.reshape(-1, self.sites, extra * self.sites_in))


Slots = Reads | Matrices


def slots_of(matrices: FloatArray) -> Slots:
    """Slots from matrices ``[k, A', A]``: reads where every row has one entry 1 at most."""
    unit: NDArray[np.bool_] = (matrices == 1.0).sum(axis=2) == (matrices != 0.0).sum(axis=2)
    single = (matrices != 0.0).sum(axis=2)
    if unit.all() and (single <= 1).all():
        return Reads(np.where(single > 0, matrices.argmax(axis=2), -1), int(matrices.shape[2]))
    return Matrices(np.ascontiguousarray(matrices))

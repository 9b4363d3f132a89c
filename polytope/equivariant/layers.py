r"""Torch layers that commute with a group: on images for C4 and D4 (and their subgroups), and on sets.

Features on a group and a grid are images with channels ``c |G| + g``. The group acts from the left,
:math:`(\rho(h) F)(c, g, p) = F(c, h^{-1} g, h^{-1} p)`, which ``feature_grid`` writes as matrices. All layers
are affine maps whose weights are copied, not computed, so networks of them are equivariant without rounding.

References: Cohen, Welling (2016), "Group Equivariant Convolutional Networks", https://arxiv.org/abs/1602.07576;
Zaheer et al. (2017), "Deep Sets", https://arxiv.org/abs/1703.06114
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod, sqrt
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from polytope.equivariant.groups import FiniteGroup
from polytope.equivariant.representations import image_grid


class LiftingConv2d(nn.Module):
    r"""Images to features on the group.

    .. math:: F(c, g, p) = \sum_{i, q} \kappa_{ci}(g^{-1} (q - p)) \, f(i, q) + b_c

    ``[B, in, H, W]`` to ``[B, out |G|, H', W']``: a convolution with every kernel turned by every element.

    Arguments:
        group: ``cyclic`` of order 1, 2, 4 or ``dihedral`` of 2, 4: what maps a square grid to itself.
        in_channels, out_channels: numbers of channels.
        kernel_size: side of the square kernels.
        padding: zeros around the image.
        bias: whether there is b.

    Raises:
        ValueError: the group does not map the kernel's grid to itself.
    """

    index: Tensor

    def __init__(
        self,
        group: FiniteGroup,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        padding: int = 0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.padding, self.order = padding, len(group)
        self.register_buffer("index", _turned(group, kernel_size))
        shape = (out_channels, in_channels, kernel_size, kernel_size)
        self.weight = nn.Parameter(_initial(shape))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None

    def kernel(self) -> Tensor:
        """All turned kernels, ``[out |G|, in, k, k]``."""
        out, into, k, _ = self.weight.shape
        turned = self.weight.flatten(2)[:, :, self.index]
        return turned.transpose(1, 2).reshape(out * self.order, into, k, k)

    def forward(self, x: Tensor) -> Tensor:
        """The convolution."""
        return functional.conv2d(x, self.kernel(), _repeated(self.bias, self.order), padding=self.padding)


class GroupConv2d(nn.Module):
    r"""Features on the group to features on the group.

    .. math:: F'(c, g, p) = \sum_{i, h, q} \kappa_{ci}(g^{-1} h, g^{-1} (q - p)) \, F(i, h, q) + b_c

    ``[B, in |G|, H, W]`` to ``[B, out |G|, H', W']``. Arguments as for ``LiftingConv2d``.

    Raises:
        ValueError: the group does not map the kernel's grid to itself.
    """

    index: Tensor
    places: Tensor

    def __init__(
        self,
        group: FiniteGroup,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        padding: int = 0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.padding, self.order = padding, len(group)
        self.register_buffer("index", _turned(group, kernel_size))
        self.register_buffer("places", torch.as_tensor(group.table[group.inverse]))
        shape = (out_channels, in_channels, len(group), kernel_size, kernel_size)
        self.weight = nn.Parameter(_initial(shape))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None

    def kernel(self) -> Tensor:
        """All turned kernels, ``[out |G|, in |G|, k, k]``."""
        out, into, n, k, _ = self.weight.shape
        flat = self.weight.flatten(3)
        turned = torch.stack(
            [flat[:, :, h][..., pixels] for h, pixels in zip(self.places, self.index, strict=True)], 1
        )
        return turned.reshape(out * n, into * n, k, k)

    def forward(self, x: Tensor) -> Tensor:
        """The convolution."""
        return functional.conv2d(x, self.kernel(), _repeated(self.bias, self.order), padding=self.padding)


class GroupPool(nn.Module):
    """Features on the group to images, by the largest or the sum over the group.

    ``[B, c |G|, ...]`` to ``[B, c, ...]``.

    Arguments:
        group: the group.
        reduce: "max" or "sum".
    """

    def __init__(self, group: FiniteGroup, reduce: Literal["max", "sum"] = "max") -> None:
        super().__init__()
        if reduce not in ("max", "sum"):
            raise ValueError(f"GroupPool: reduce must be 'max' or 'sum', not {reduce!r}.")
        self.order, self.reduce = len(group), reduce

    def forward(self, x: Tensor) -> Tensor:
        """The pooled features."""
        grouped = x.reshape(x.shape[0], x.shape[1] // self.order, self.order, *x.shape[2:])
        return torch.amax(grouped, 2) if self.reduce == "max" else grouped.sum(2)


class SetLinear(nn.Module):
    r"""Sets of n vectors to sets of n vectors, :math:`y_i = A x_i + B \sum_{j \ne i} x_j + b`.

    ``[B, n, in]`` to ``[B, n, out]``. These are all affine maps that commute with permutations.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.own = nn.Parameter(_initial((out_features, in_features)))
        self.others = nn.Parameter(_initial((out_features, in_features)))
        self.bias = nn.Parameter(0.1 * torch.randn(out_features))

    def forward(self, x: Tensor) -> Tensor:
        """The affine map, as one matrix of copies of A and B."""
        n, out = x.shape[1], len(self.own)
        own: Tensor = self.own
        rows = [[own if i == j else self.others for j in range(n)] for i in range(n)]
        weight = torch.cat([torch.cat(row, dim=1) for row in rows])
        return functional.linear(x.flatten(1), weight, self.bias.repeat(n)).reshape(-1, n, out)


class DeepSets(nn.Module):
    """A function of sets that no order changes: ``SetLinear`` and ReLU in turn, then a sum and an affine map.

    ``[B, n, in_features]`` to ``[B, out_features]``.

    Arguments:
        in_features: coordinates of an element.
        widths: channels of the hidden layers.
        out_features: number of outputs.
    """

    def __init__(self, in_features: int, widths: Sequence[int], out_features: int) -> None:
        super().__init__()
        if not widths:
            raise ValueError("DeepSets: at least one hidden layer is needed.")
        self.hidden = nn.ModuleList(SetLinear(m, n) for m, n in pairwise([in_features, *widths]))
        self.last = nn.Linear(widths[-1], out_features)

    def forward(self, x: Tensor) -> Tensor:
        """The function."""
        for layer in self.hidden:
            x = functional.relu(layer(x))
        pooled: Tensor = self.last(x.sum(1))
        return pooled


def _turned(group: FiniteGroup, side: int) -> Tensor:
    """For every element and pixel of a kernel the pixel that is turned there, ``int[G, k k]``."""
    moved = image_grid(group, side, side).matrices
    return torch.as_tensor(moved.argmax(axis=2))


def _initial(shape: tuple[int, ...]) -> Tensor:
    """Normal weights that keep the size of ReLU features."""
    return torch.randn(shape) * sqrt(2.0 / prod(shape[1:]))


def _repeated(bias: Tensor | None, order: int) -> Tensor | None:
    """One bias for all elements of the group."""
    return None if bias is None else bias.repeat_interleave(order)

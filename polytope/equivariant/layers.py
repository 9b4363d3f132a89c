r"""Torch layers that commute with a group: on images for C4 and D4 (and their subgroups), and on sets.

Features on a group and a grid are images with channels ``c |G| + g``. The group acts from the left,
:math:`(\rho(h) F)(c, g, p) = F(c, h^{-1} g, h^{-1} p)`, which ``feature_grid`` writes as matrices. All layers
are affine maps whose weights are copied, not computed, so networks of them are equivariant without rounding,
and ``lower`` and ``adapters.from_torch`` make networks of them whose symmetry is proved.

References: Cohen, Welling (2016), "Group Equivariant Convolutional Networks", https://arxiv.org/abs/1602.07576;
Zaheer et al. (2017), "Deep Sets", https://arxiv.org/abs/1703.06114
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, pairwise
from math import prod, sqrt
from typing import ClassVar, Literal

import numpy as np
import torch
from scipy.sparse import csr_array, eye_array, kron
from torch import Tensor, nn
from torch.nn import functional

from polytope.equivariant.groups.representations import image_grid
from polytope.equivariant.groups.tables import FiniteGroup
from polytope.equivariant.lowering import AffineMap, Piecewise, Shape, array, check_shape
from polytope.equivariant.spherical.harmonics import check_bandlimit
from polytope.ir.activations import max_groups
from polytope.ir.convolution import Convolution
from polytope.ir.maps import Dense, Sparse
from polytope.ir.tied import Ties, Weights


class _TurnedConv(nn.Module):
    """A convolution with one kernel turned by every element of a group.

    ``on_group`` says whether the kernel is a function on the group and the grid, or on the grid alone.
    """

    on_group: ClassVar[bool]
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
        names = {"in_channels": in_channels, "out_channels": out_channels, "kernel_size": kernel_size}
        for name, count in names.items():
            check_bandlimit(count, name)
        if padding < 0:
            raise ValueError(f"{type(self).__name__}: padding must not be negative, as {padding!r} is.")
        self.padding, self.order = padding, len(group)
        pixels = image_grid(group, kernel_size, kernel_size).matrices.argmax(axis=2)
        if self.on_group:
            places = group.table[group.inverse]  # g^-1 h
            pixels = (places[:, :, None] * kernel_size**2 + pixels[:, None]).reshape(len(group), -1)
        self.register_buffer("index", torch.as_tensor(pixels))
        sizes = [len(group)] * self.on_group + [kernel_size] * 2
        self.weight = nn.Parameter(_initial((out_channels, in_channels, *sizes)))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None

    def kernel(self) -> Tensor:
        """All turned kernels, ``[out |G|, in, k, k]`` or ``[out |G|, in |G|, k, k]``."""
        turned = self.weight.flatten(2)[:, :, self.index].transpose(1, 2)
        return turned.reshape(len(self.weight) * self.order, -1, *self.weight.shape[-2:])

    def forward(self, x: Tensor) -> Tensor:
        """The convolution on a batch of images.

        Arguments:
            x: ``[B, C, H, W]``; C counts the group's elements where the input is on the group.

        Returns:
            ``[B, out |G|, H', W']``.
        """
        return functional.conv2d(x, self.kernel(), _repeated(self.bias, self.order), padding=self.padding)

    def affine(self, shape: Shape) -> AffineMap:
        """The convolution on flat images.

        Arguments:
            shape: of one image, ``(C, H, W)``.

        Returns:
            The linear map, the bias, and the shape of the result.

        Raises:
            ValueError: the layer reads values of another shape.
        """
        kernel, bias = array(self.kernel()), _repeated(self.bias, self.order)
        if len(shape) != 3:
            raise ValueError(f"{type(self).__name__} reads images [C, H, W], not values of shape {shape}.")
        check_shape(self, shape, (kernel.shape[1], *shape[1:]))
        linear = Convolution(kernel, shape, (1, 1), (1, 1), ((self.padding,) * 2,) * 2)
        offset = np.zeros(len(kernel)) if bias is None else array(bias)
        return linear, np.repeat(offset, prod(linear.output_shape[1:])), linear.output_shape

    def ties(self) -> Ties:
        """One kernel for all elements of the group, and one bias for each channel."""
        weight = Weights(0, 1, _initial_std(tuple(self.weight.shape)))
        parameters = {"weight": weight} | ({} if self.bias is None else {"bias": Weights(0, None, 0.0)})
        return Ties(0, parameters)


class LiftingConv2d(_TurnedConv):
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

    on_group = False


class GroupConv2d(_TurnedConv):
    r"""Features on the group to features on the group.

    .. math:: F'(c, g, p) = \sum_{i, h, q} \kappa_{ci}(g^{-1} h, g^{-1} (q - p)) \, F(i, h, q) + b_c

    ``[B, in |G|, H, W]`` to ``[B, out |G|, H', W']``.

    Arguments:
        group, kernel_size, padding, bias: as for ``LiftingConv2d``.
        in_channels, out_channels: numbers of channels for each element of the group.

    Raises:
        ValueError: the group does not map the kernel's grid to itself.
    """

    on_group = True


class GroupPool(nn.Module):
    """Features on the group to images, by the largest or the sum over the group.

    ``[B, c |G|, ...]`` to ``[B, c, ...]``.

    Arguments:
        group: the group.
        reduce: "max" or "sum".

    Raises:
        ValueError: there is no such ``reduce``.
    """

    def __init__(self, group: FiniteGroup, reduce: Literal["max", "sum"] = "max") -> None:
        super().__init__()
        if reduce not in ("max", "sum"):
            raise ValueError(f"GroupPool: reduce must be 'max' or 'sum', not {reduce!r}.")
        self.order, self.reduce = len(group), reduce

    def forward(self, x: Tensor) -> Tensor:
        """The pooled features.

        Arguments:
            x: ``[B, c |G|, ...]``.

        Returns:
            ``[B, c, ...]``.

        Raises:
            ValueError: the channels are no multiple of the group's order.
        """
        grouped = x.reshape(len(x), *self._grouped(tuple(x.shape[1:])))
        return torch.amax(grouped, 2) if self.reduce == "max" else grouped.sum(2)

    def piecewise(self, shape: Shape) -> Piecewise | None:
        """The largest over the group, as an activation.

        Arguments:
            shape: of one input, ``(c |G|, ...)``.

        Returns:
            The activation and the shape of its result; ``None`` for the sum, which is affine.

        Raises:
            ValueError: the channels are no multiple of the group's order.
        """
        channels, order, *rest = self._grouped(shape)
        if self.reduce == "sum":
            return None
        places = np.arange(prod(shape)).reshape(channels, order, -1)
        return max_groups(places.transpose(0, 2, 1).reshape(-1, order)), (channels, *rest)

    def affine(self, shape: Shape) -> AffineMap:
        """The sum over the group on flat features; its bias is 0.

        Arguments:
            shape: of one input, ``(c |G|, ...)``.

        Returns:
            The linear map, the bias, and the shape of the result.

        Raises:
            ValueError: the channels are no multiple of the group's order.
        """
        channels, order, *rest = self._grouped(shape)
        over = kron(np.ones((1, order)), eye_array(prod(rest)))
        out_shape = (channels, *rest)
        return Sparse(csr_array(kron(eye_array(channels), over))), np.zeros(prod(out_shape)), out_shape

    def _grouped(self, shape: Shape) -> Shape:
        """Features' shape with the group's axis apart."""
        if not shape or shape[0] % self.order:
            raise ValueError(
                f"GroupPool reads [c * {self.order}, ...] features, not values of shape {shape}."
            )
        return (shape[0] // self.order, self.order, *shape[1:])


class SetLinear(nn.Module):
    r"""Sets of n vectors to sets of n vectors, :math:`y_i = A x_i + B \sum_{j \ne i} x_j + b`.

    ``[B, n, in]`` to ``[B, n, out]``. These are all affine maps that commute with permutations.

    Arguments:
        in_features: coordinates of an element.
        out_features: coordinates of its image.

    Raises:
        ValueError: a number is less than 1.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        for name, count in (("in_features", in_features), ("out_features", out_features)):
            check_bandlimit(count, name)
        self.own = nn.Parameter(_initial((out_features, in_features)))
        self.others = nn.Parameter(_initial((out_features, in_features)))
        self.bias = nn.Parameter(0.1 * torch.randn(out_features))

    def matrix(self, n: int) -> Tensor:
        """The linear map of n vectors: copies of A and B.

        Arguments:
            n: number of vectors.

        Returns:
            ``[n out, n in]``.
        """
        own: Tensor = self.own
        rows = [[own if i == j else self.others for j in range(n)] for i in range(n)]
        return torch.cat([torch.cat(row, dim=1) for row in rows])

    def forward(self, x: Tensor) -> Tensor:
        """The affine map, as one matrix.

        Arguments:
            x: ``[B, n, in]``.

        Returns:
            ``[B, n, out]``.

        Raises:
            ValueError: values of another shape.
        """
        wide = self.own.shape[1]
        if x.ndim != 3 or x.shape[2] != wide or x.shape[1] < 1:
            raise ValueError(f"{type(self).__name__} reads [B, n, {wide}], not values {list(x.shape)}.")
        n = x.shape[1]
        out = functional.linear(x.flatten(1), self.matrix(n), self.bias.repeat(n))
        return out.reshape(-1, n, len(self.own))

    def affine(self, shape: Shape) -> AffineMap:
        """The layer on flat sets.

        Arguments:
            shape: of one set, ``(n, in)``.

        Returns:
            The linear map, the bias, and the shape of the result.

        Raises:
            ValueError: the layer reads values of another shape.
        """
        n = _set_size(self, shape)
        check_shape(self, shape, (n, self.own.shape[1]))
        return Dense(array(self.matrix(n))), np.tile(array(self.bias), n), (n, len(self.own))

    def ties(self) -> Ties:
        """One matrix for the elements themselves, and one for the others."""
        std = _initial_std(tuple(self.own.shape))
        parameters = {"own": Weights(0, 1, std), "others": Weights(0, 1, std), "bias": Weights(0, None, 0.1)}
        return Ties(1, parameters)


class SetSum(nn.Module):
    """The sum of a set's vectors, ``[B, n, in]`` to ``[B, in]``."""

    def forward(self, x: Tensor) -> Tensor:
        """The sum."""
        return x.sum(1)

    def affine(self, shape: Shape) -> AffineMap:
        """The sum on flat sets ``[n, in]``, no bias, and the shape of the result."""
        linear = kron(np.ones((1, _set_size(self, shape))), eye_array(shape[1]))
        return Sparse(csr_array(linear)), np.zeros(shape[1]), (shape[1],)


class DeepSets(nn.Sequential):
    """A function of sets that no order changes: ``SetLinear`` and ReLU in turn, then a sum and an affine map.

    ``[B, n, in_features]`` to ``[B, out_features]``.

    Arguments:
        in_features: coordinates of an element.
        widths: channels of the hidden layers.
        out_features: number of outputs.

    Raises:
        ValueError: no hidden layer, or ``in_features`` or a width is less than 1.
    """

    def __init__(self, in_features: int, widths: Sequence[int], out_features: int) -> None:
        if not widths:
            raise ValueError("DeepSets: at least one hidden layer is needed.")
        hidden = [(SetLinear(m, n), nn.ReLU()) for m, n in pairwise([in_features, *widths])]
        super().__init__(*chain(*hidden), SetSum(), nn.Linear(widths[-1], out_features))


def _set_size(layer: nn.Module, shape: Shape) -> int:
    """The number of vectors in sets of a shape."""
    if len(shape) != 2:
        raise ValueError(f"{type(layer).__name__} reads sets [n, in], not values of shape {shape}.")
    return shape[0]


def _initial(shape: tuple[int, ...]) -> Tensor:
    """Normal weights that keep the size of ReLU features."""
    return torch.randn(shape) * _initial_std(shape)


def _initial_std(shape: tuple[int, ...]) -> float:
    return sqrt(2.0 / prod(shape[1:]))


def _repeated(bias: Tensor | None, order: int) -> Tensor | None:
    """One bias for all elements of the group."""
    return None if bias is None else bias.repeat_interleave(order)

r"""Convolutions of fields along the edges of a mesh or a lattice, for any choice of frames.

Values are carried to a point along its edges and mixed there by kernels that commute with changes of
frame. With the transport fixed such a layer is linear, and a ReLU on samples of the circle of directions
is piecewise linear: ``lower`` makes a chain of them a ``Network``.
"""

from __future__ import annotations

from math import prod

import numpy as np
import torch
from scipy.sparse import coo_array, csr_array, eye_array, kron
from torch import Tensor, nn

from polytope.equivariant.gauge.kernels import check_order, circle_samples, order_rotation, self_basis
from polytope.equivariant.gauge.mesh import TangentBundle
from polytope.equivariant.lowering import AffineMap, Shape, array, check_shape
from polytope.equivariant.spherical.harmonics import check_bandlimit
from polytope.ir.maps import FloatArray, IntArray, Sparse
from polytope.ir.tied import Ties, Weights


class EdgeConv(nn.Module):
    """A linear map of fields, ``out[i] = sum over edges (i, j) of block @ in[j]``, by blocks of a subclass.

    Arguments:
        edges: ``int[E, 2]``, those from a point to itself included.
        field_in, field_out: the shapes of a field without the batch axis; the last two axes are channels and
            components, those before are the points.
    """

    edges: Tensor
    bias: Tensor | None

    def __init__(self, edges: IntArray, field_in: Shape, field_out: Shape):
        super().__init__()
        self.field_in, self.field_out = field_in, field_out
        self.register_buffer("edges", torch.from_numpy(edges), persistent=False)
        self.bias = None

    def blocks(self) -> Tensor:
        """The matrix of every edge, ``[E, C_out * n_out, C_in * n_in]``."""
        raise NotImplementedError

    def offset(self) -> Tensor | None:
        """What is added to the values at every point, ``[C_out, n_out]``."""
        return None

    def forward(self, field: Tensor) -> Tensor:
        """The layer on a batch of fields.

        Arguments:
            field: ``[B, *field_in]``.

        Returns:
            ``[B, *field_out]``.

        Raises:
            ValueError: a field of another shape.
        """
        if field.shape[1:] != self.field_in:
            raise ValueError(
                f"{type(self).__name__}: expected a field {['B', *self.field_in]}, got {list(field.shape)}."
            )
        values = field.reshape(len(field), -1, self.field_in[-2] * self.field_in[-1])
        blocks = self.blocks()
        terms = (blocks @ values[:, self.edges[:, 1], :, None])[..., 0]
        out = values.new_zeros(len(field), values.shape[1], blocks.shape[1])
        out = out.index_add(1, self.edges[:, 0], terms).reshape(len(field), *self.field_out)
        offset = self.offset()
        return out if offset is None else out + offset

    def affine(self, shape: Shape) -> AffineMap:
        """The layer on flat fields.

        Arguments:
            shape: of one field, ``field_in``.

        Returns:
            The linear map, the bias, and the shape of the result.

        Raises:
            ValueError: the layer reads values of another shape.
        """
        check_shape(self, shape, self.field_in)
        blocks = array(self.blocks())
        _, rows, columns = blocks.shape
        n_points = prod(self.field_in[:-2])
        i, j = self.edges.cpu().numpy().T
        row = np.broadcast_to((i[:, None] * rows + np.arange(rows))[:, :, None], blocks.shape)
        column = np.broadcast_to((j[:, None] * columns + np.arange(columns))[:, None, :], blocks.shape)
        entries = (blocks.ravel(), (row.ravel(), column.ravel()))
        matrix = csr_array(coo_array(entries, shape=(n_points * rows, n_points * columns)))
        offset = self.offset()
        bias = np.zeros(rows) if offset is None else array(offset).ravel()
        return Sparse(matrix), np.tile(bias, n_points), self.field_out


class GaugeConv(EdgeConv):
    r"""Gauge-equivariant convolution of fields ``[B, V, C, 2L+1]`` on a mesh.

    .. math:: f'_i = K_{\mathrm{self}} f_i + \frac{1}{\deg i} \sum_{j \sim i} \sum_r w_r(|v_{ij}|)\,
              \eta(\theta_{ij}) K_r \rho(-\theta_{ij})\, \rho(\mathrm{transport}_{ij}) f_j ,

    with the neighbour's logarithm v_ij of direction theta_ij, and n_rings hat functions w_r of its length,
    between the shortest and the longest edge. In another gauge the layer of the turned bundle with the same
    weights computes the same field.

    Arguments:
        bundle: the mesh, its frames and its transport.
        c_in, c_out: channels.
        order_in, order_out: highest angular orders of the fields.
        n_rings: number of radial weights.

    Raises:
        ValueError: an order, or a number of channels or rings, is out of range.

    References:
        P. de Haan, M. Weiler, T. Cohen, M. Welling, "Gauge equivariant mesh CNNs", 2021,
        https://arxiv.org/abs/2003.05425.
    """

    arriving: Tensor
    leaving: Tensor
    rings: Tensor
    self_maps: Tensor

    def __init__(
        self, bundle: TangentBundle, c_in: int, c_out: int, order_in: int, order_out: int, n_rings: int = 1
    ):
        for name, count in (("c_in", c_in), ("c_out", c_out), ("n_rings", n_rings)):
            check_bandlimit(count, name)
        n_in, n_out = 2 * check_order(order_in, "order_in") + 1, 2 * check_order(order_out, "order_out") + 1
        loops = np.repeat(np.arange(bundle.n_vertices), 2).reshape(-1, 2)
        edges = np.concatenate([bundle.edges, loops])
        super().__init__(edges, (bundle.n_vertices, c_in, n_in), (bundle.n_vertices, c_out, n_out))
        theta = bundle.directions
        degree = np.bincount(bundle.edges[:, 0])[bundle.edges[:, 0]]
        buffers = {
            "arriving": order_rotation(order_in, bundle.transport_angle - theta),
            "leaving": order_rotation(order_out, theta),
            "rings": radial_hats(bundle.lengths, n_rings) / degree[:, None],
            "self_maps": self_basis(order_in, order_out),
        }
        for name, numbers in buffers.items():
            self.register_buffer(name, torch.from_numpy(numbers), persistent=False)
        self._stds = (c_in * n_in) ** -0.5, c_in**-0.5
        self.weight = nn.Parameter(
            self._stds[0] * torch.randn(n_rings, c_out, c_in, n_out, n_in, dtype=torch.float64)
        )
        self.self_weight = nn.Parameter(
            self._stds[1] * torch.randn(c_out, c_in, len(self.self_maps), dtype=torch.float64)
        )
        self.scalar_bias = nn.Parameter(torch.zeros(c_out, dtype=torch.float64))

    def blocks(self) -> Tensor:
        """Kernel after transport for edges, the maps that commute for points.

        Returns:
            ``[E + V, C_out * n_out, C_in * n_in]``, the edges of the bundle first.
        """
        kernels = torch.einsum("er,roiab->eoaib", self.rings, self.weight)
        kernels = torch.einsum("eac,eocib,ebd->eoaid", self.leaving, kernels, self.arriving)
        own = torch.einsum("oik,kab->oaib", self.self_weight, self.self_maps)
        flat = kernels.flatten(3).flatten(1, 2), own.flatten(2).flatten(0, 1)
        return torch.cat([flat[0], flat[1].expand(self.field_in[0], -1, -1)])

    def offset(self) -> Tensor:
        """A number added to order 0 of every channel: the only constant that no change of frame sees.

        Returns:
            ``[C_out, n_out]``.
        """
        return nn.functional.pad(self.scalar_bias[:, None], (0, self.field_out[-1] - 1))

    def ties(self) -> Ties:
        """One weight for each ring and pair of components, and those of a point with itself."""
        weight, own = Weights(1, 2, self._stds[0]), Weights(0, 1, self._stds[1])
        bias = Weights(0, None, 0.0)
        return Ties(-2, {"weight": weight, "self_weight": own, "scalar_bias": bias})


class _OnComponents(nn.Module):
    """A matrix on the last axis of a field."""

    matrix: Tensor

    def __init__(self, matrix: FloatArray):
        super().__init__()
        self.register_buffer("matrix", torch.from_numpy(matrix), persistent=False)

    def forward(self, field: Tensor) -> Tensor:
        """``[..., n_in]`` to ``[..., n_out]``."""
        if field.shape[-1] != self.matrix.shape[1]:
            raise ValueError(f"Expected {self.matrix.shape[1]} components, got a field {list(field.shape)}.")
        return field @ self.matrix.T

    def affine(self, shape: Shape) -> AffineMap:
        """The linear map on flat fields, no bias, and the shape of the result."""
        if shape[-1] != self.matrix.shape[1]:
            raise ValueError(f"Expected {self.matrix.shape[1]} components, got a field of shape {shape}.")
        points, out_shape = prod(shape[:-1]), (*shape[:-1], self.matrix.shape[0])
        linear = Sparse(csr_array(kron(eye_array(points), csr_array(array(self.matrix)))))
        return linear, np.zeros(points * self.matrix.shape[0]), out_shape


class RegularNonlinearity(nn.Sequential):
    """ReLU on samples of the circle of directions: fields ``[..., 2L+1]`` to fields of the same order.

    Exact for frames turned by multiples of 2 pi / n_samples; for others up to aliasing, which falls with the
    number of samples.

    Arguments:
        order: L.
        n_samples: at least 2L + 1.

    Raises:
        ValueError: too few samples for the order.
    """

    def __init__(self, order: int, n_samples: int):
        if n_samples < 2 * check_order(order) + 1:
            raise ValueError(
                f"RegularNonlinearity: {n_samples} samples do not hold order {order}: use {2 * order + 1}."
            )
        matrix = circle_samples(order, n_samples)
        super().__init__(_OnComponents(matrix), nn.ReLU(), _OnComponents(matrix.T / n_samples))


def radial_hats(lengths: FloatArray, n_rings: int) -> FloatArray:
    """Piecewise linear weights ``[E, n_rings]`` that add up to 1, from the least length to the greatest."""
    low, high = lengths.min(), lengths.max()
    if n_rings == 1 or high <= low * (1 + 1e-9):
        return np.eye(1, n_rings).repeat(len(lengths), axis=0)
    place = (lengths - low) / (high - low) * (n_rings - 1)
    return np.asarray(np.maximum(0.0, 1 - np.abs(place[:, None] - np.arange(n_rings))))

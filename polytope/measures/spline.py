r"""The spline view: layers as max-affine operators, and the power diagrams that cut cells.

A layer of convex units is :math:`h_k = \max_r \langle A_{k,r}, u \rangle + B_{k,r}` of what it reads, u.
Inside a cell of the layers in front, where the layer's sum of outputs is the greatest of its affine pieces
:math:`\langle \mu, x \rangle + \beta`, the cells are those of a power diagram: x lies in the one whose
:math:`\|x - \mu\|^2 - \tau` is least, with :math:`\tau = \|\mu\|^2 + 2 \beta`. The centroid is a gradient,
:math:`\mu(x) = \nabla_x \sum_k h^l_k(x)`.

References: Balestriero, Cosentino, Aazhang, Baraniuk (2019), "The Geometry of Deep Networks: Power Diagram
Subdivision", https://arxiv.org/abs/1905.08443
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from polytope.given import NetworkLike, as_network
from polytope.ir import Activation, Dense, Layer, Network
from polytope.ir.activations import PatternArray
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.oneline import one_line
from polytope.regions.region import Region


@dataclass(frozen=True, eq=False)
class MaxAffine:
    r"""The units :math:`h_k(u) = \max_r \langle A_{k,r}, u \rangle + B_{k,r}` of a layer.

    Arguments:
        A: ``[units, pieces, in]``; u is all that the layer reads, in the order of its inputs.
        B: ``[units, pieces]``; ``-inf`` fills units of fewer pieces.
    """

    A: FloatArray
    B: FloatArray

    __repr__ = one_line

    def __call__(self, u: FloatArray) -> FloatArray:
        """The units' values.

        Arguments:
            u: what the layer reads, ``[N, in]``.

        Returns:
            ``[N, units]``.
        """
        values: FloatArray = (np.einsum("krn,bn->bkr", self.A, u) + self.B).max(axis=2)
        return values


def max_affine_form(layer: Layer) -> MaxAffine:
    r"""A layer of convex units as maxima of affine functions.

    Arguments:
        layer: one whose units' slopes ascend (ReLU, leaky, absolute value), or max groups.

    Raises:
        ValueError: the layer is affine, or a unit is not convex.

    Example:
        >>> import polytope as pt
        >>> form = max_affine_form(pt.mlp([([[2.0]], [1.0]), ([[1.0]], [0.0])]).layers[0])
        >>> form.A.tolist(), form.B.tolist()
        ([[[0.0], [2.0]]], [[0.0, 1.0]])
    """
    W = np.concatenate([linear.to_sparse().toarray() for linear in layer.maps], axis=1)
    activation = _convex(layer)
    counts = [activation.n_pieces(unit) for unit in range(layer.width)]
    A = np.zeros((layer.width, max(counts), W.shape[1]))
    B = np.full((layer.width, max(counts)), -np.inf)
    for r in range(max(counts)):
        there = np.array(counts) > r
        pieces = activation.affine(np.where(there, r, 0).astype(np.int8))
        A[there, r] = (pieces.slope[:, None] * W[pieces.source])[there]
        B[there, r] = (pieces.slope * layer.bias[pieces.source] + pieces.intercept)[there]
    return MaxAffine(A, B)


@dataclass(frozen=True, eq=False)
class PowerCells:
    r"""Cells of a power diagram.

    Arguments:
        centroids: :math:`\mu`, ``[R, d]``.
        radii_squared: :math:`\tau`, ``[R]``; may be negative.
        offsets: :math:`\beta = (\tau - \|\mu\|^2) / 2`, ``[R]``, without the cancellation.
    """

    centroids: FloatArray
    radii_squared: FloatArray
    offsets: FloatArray

    __repr__ = one_line

    def power(self, x: ArrayLike) -> FloatArray:
        r"""The power distances :math:`\|x - \mu\|^2 - \tau = \|x\|^2 - 2 (\langle \mu, x \rangle + \beta)`.

        Arguments:
            x: points, ``[B, d]``, or one, ``[d]``.

        Returns:
            ``[B, R]``, in squared units of the input; negative inside a cell's ball.
        """
        points = np.atleast_2d(np.asarray(x, dtype=float))
        powers: FloatArray = (points**2).sum(axis=1)[:, None] - 2 * self._heights(points)
        return powers

    def nearest(self, x: ArrayLike) -> IntArray:
        """The cell of least power distance of each point; of equal ones the first.

        Right at all scales: what all cells have in common is left out.

        Arguments:
            x: points, ``[B, d]``, or one, ``[d]``.

        Returns:
            ``int[B]``, numbers of cells.
        """
        points = np.atleast_2d(np.asarray(x, dtype=float))
        cells: IntArray = self._heights(points).argmax(axis=1)
        return cells

    def _heights(self, points: FloatArray) -> FloatArray:
        heights: FloatArray = points @ self.centroids.T + self.offsets
        return heights


def power_diagram(network: NetworkLike, region: Region | PatternArray, layer: int) -> PowerCells:
    r"""Centroid :math:`\mu` and squared radius :math:`\tau` of regions in the power diagram of one layer.

    Regions that agree in the layers in front of ``layer`` lie in one cell of these, and within it each point
    belongs to the region of least power distance.

    Arguments:
        network: the network.
        region: a region, or patterns ``int8[units]`` or ``int8[R, units]``; later layers are not read.
        layer: the layer, from 1; its units are convex.

    Raises:
        ValueError: there is no such layer, it is affine, or a unit of it is not convex.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[2.0]], [1.0]), ([[1.0]], [0.0])])
        >>> cells = power_diagram(net, np.array([[0], [1]], dtype=np.int8), 1)
        >>> cells.centroids.tolist(), cells.radii_squared.tolist()
        ([[0.0], [2.0]], [0.0, 6.0])
    """
    network = as_network(network)
    summed = _summed(network, layer)
    patterns = region.pattern if isinstance(region, Region) else np.asarray(region, dtype=np.int8)
    J, c = summed.affine(np.atleast_2d(patterns)[:, : summed.n_units])
    centroids = J[:, 0]
    return PowerCells(centroids, (centroids**2).sum(axis=1) + 2 * c[:, 0], c[:, 0])


def centroids(
    network: NetworkLike,
    x: ArrayLike,
    layer: int | None = None,
    *,
    dtype: str = "float64",
    device: str = "cpu",
    batch_size: int | None = None,
) -> FloatArray:
    r"""The centroids :math:`\mu(x) = \nabla_x \sum_k h^l_k(x)` of the cells that points lie in, ``[B, d]``.

    One backward pass for many points, on any torch device.

    Arguments:
        network: the network.
        x: points, ``[B, d]``.
        layer: the layer l, from 1; ``None`` is the last one with an activation. Its units are convex.
        dtype, device: torch type of the arithmetic, and where it is done.
        batch_size: points worked on together; ``None`` chooses.

    Raises:
        ValueError: there is no such layer, it is affine, or a unit of it is not convex.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[2.0, 0.0], [0.0, 1.0]], [1.0, 0.0]), ([[1.0, 1.0]], [0.0])])
        >>> centroids(net, [[1.0, 1.0], [1.0, -1.0]]).tolist()
        [[2.0, 1.0], [2.0, 0.0]]
    """
    network = as_network(network)
    from polytope.batched.network import BatchedNetwork

    if layer is None:
        layer = max((n for n, la in enumerate(network.layers, start=1) if la.activation), default=0)
    summed = BatchedNetwork(_summed(network, layer), dtype, device)
    gradients: FloatArray = summed.jacobian(x, batch_size=batch_size)[:, 0]
    return gradients


def _summed(network: Network, layer: int) -> Network:
    """The sum of a convex layer's outputs, as a network."""
    if not 1 <= layer <= len(network.layers):
        raise ValueError(f"There is no layer {layer}: the network has {len(network.layers)}, from 1.")
    _convex(network.layers[layer - 1])
    n = network.layers[layer - 1].width
    total = Layer((layer,), (Dense(np.ones((1, n))),), np.zeros(1))
    return replace(network, layers=(*network.layers[:layer], total), output_names=("sum",))


def _convex(layer: Layer) -> Activation:
    """The activation of a layer, if every unit is a maximum of its pieces."""
    activation = layer.activation
    if activation is None:
        raise ValueError("This layer is affine; the spline view is of layers with an activation.")
    if not activation.is_convex():
        raise ValueError("This layer has a unit that is not convex, so it is no maximum of its pieces.")
    return activation

r"""Attribution: integrated gradients piece by piece, and affine explanations of predictions with their reach.

``import polytope`` must not load torch, so the torch side is imported where it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polytope.geometry.norm_distance import DUAL
from polytope.given import NetworkLike, as_network
from polytope.ir import Network
from polytope.ir.arrays import floats
from polytope.ir.boundaries import boundaries
from polytope.ir.maps import FloatArray
from polytope.ir.oneline import one_line_of_estimates
from polytope.measures.local_complexity.inputs import checked_points


def integrated_gradients(
    network: NetworkLike,
    x: ArrayLike,
    baseline: ArrayLike,
    output: int | ArrayLike = 0,
    *,
    device: str = "cpu",
    batch_size: int | None = None,
) -> FloatArray:
    r"""Integrated gradients, :math:`(x - b)_i \int_0^1 \partial_i f(b + t (x - b)) \, dt`, piece by piece.

    On a segment a piecewise-affine network has finitely many pieces: the integral is the sum of the
    gradients between breakpoints, weighted by the lengths of the pieces. No number of steps is chosen, and
    the attributions of a point add up to f(x) - f(b) up to rounding (completeness).

    An **estimate** of high accuracy: breakpoints, and the pieces between them, are found in float64, on any
    device, and not proved. Where crossings are nearer to each other or to the segment than rounding, the
    gradient of a neighbouring piece may count.

    Arguments:
        network: the network.
        x: points, ``[B, d]``.
        baseline: where the segments start, ``[B, d]``, or one point ``[d]`` for all.
        output: the output explained: one for all points, or ``int[B]``, such as the predicted classes.
        device: a torch device name, such as ``"cpu"`` or ``"cuda"``; the arithmetic is float64.
        batch_size: segments worked on together; ``None`` takes fewer where many units can have crossings.

    Returns:
        ``[B, d]``. A segment that runs along a crossing (b and x on the same breakpoint of a unit) has the
        gradient of the piece that owns the tie.

    Raises:
        ValueError: x or the baseline is no array of points, or there is no such output.

    References:
        Sundararajan, Taly, Yan (2017), "Axiomatic Attribution for Deep Networks",
        https://arxiv.org/abs/1703.01365
        Sotoudeh, Thakur (2019), "Computing Linear Restrictions of Neural Networks",
        https://arxiv.org/abs/1908.06214

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0, 0.0], [1.0, 1.0]], [0.0, -1.0]), ([[1.0, 2.0]], [0.0])])
        >>> integrated_gradients(net, [[1.0, 1.0]], [0.0, 0.0]).tolist()  # x + 2 relu(x + y - 1)
        [[2.0, 1.0]]
    """
    network = as_network(network)
    points = checked_points(network, x)
    given = floats(baseline)
    start = checked_points(network, given[None] if given.ndim == 1 else given, "baseline")
    if len(start) == 1:
        start = np.broadcast_to(start, points.shape)
    if len(start) != len(points):
        raise ValueError(f"baseline: {len(start)} points do not fit the {len(points)} of x.")
    chosen = _outputs(network, output, len(points))

    from polytope.batched import BatchedNetwork  # loads torch
    from polytope.measures.local_complexity.segments import mean_gradients

    net = BatchedNetwork(network, device=device)
    widest = max(network.input_dim, *(len(layer.bias) for layer in network.layers))
    step = batch_size or max(1, 2**25 // (widest * (2 + network.n_units // 8)))
    mean: FloatArray = mean_gradients(net, boundaries(network), start, points, chosen, step)
    way: FloatArray = points - start
    return way * mean


@dataclass(frozen=True, eq=False)
class LinearExplanation:
    """The affine function that a network is around each point: ``f_k(y) = gradient . y + intercept``.

    Arguments:
        outputs: ``int[B]``, the output k that is explained.
        gradient: ``[B, d]``. An **estimate**: the pieces of units, and what follows from them, in float64.
        intercept: ``[B]``. An **estimate** likewise.
        reach: for the norms 1, 2 and infinity the largest radius, ``[B]``, of a ball around the point in
            which no unit changes its piece: there the function is the network. Infinite for an affine
            network. An **estimate**.
    """

    outputs: NDArray[np.int64]
    gradient: FloatArray
    intercept: FloatArray
    reach: Mapping[float, FloatArray]

    __repr__ = one_line_of_estimates


def linear_explanation(
    network: NetworkLike,
    x: ArrayLike,
    output: int | ArrayLike | None = None,
    *,
    device: str = "cpu",
    batch_size: int | None = None,
) -> LinearExplanation:
    r"""The affine map of each point's region, and how far around the point it holds.

    The region's rows :math:`r_i y + c_i \le 0` bound balls around x: in the p-norm the largest inside has the
    radius :math:`\min_i |r_i x + c_i| / \|r_i\|_q`, 1/p + 1/q = 1.

    Arguments:
        network: the network.
        x: points, ``[B, d]``.
        output: the output explained: one for all points, or ``int[B]``; ``None`` is the largest.
        device: a torch device name; the arithmetic is float64.
        batch_size: points worked on together; ``None`` keeps the working memory near 256 MB.

    Raises:
        ValueError: x is no array of points, or there is no such output.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0, 0.0], [1.0, 1.0]], [0.0, -1.0]), ([[1.0, 2.0]], [0.0])])
        >>> found = linear_explanation(net, [[1.0, 3.0]])  # x + 2 relu(x + y - 1)
        >>> found.gradient.tolist(), found.intercept.tolist(), [float(r[0]) for r in found.reach.values()]
        ([[3.0, 2.0]], [-2.0], [1.0, 1.0, 1.0])
    """
    network = as_network(network)
    points = checked_points(network, x)

    from polytope.batched import BatchedNetwork  # loads torch
    from polytope.measures.local_complexity.segments import clearances, output_gradients

    net = BatchedNetwork(network, device=device)
    values = net(points, batch_size=batch_size)
    chosen = values.argmax(axis=1) if output is None else _outputs(network, output, len(points))
    gradient = output_gradients(net, points, chosen, batch_size)
    intercept = values[np.arange(len(points)), chosen] - (gradient * points).sum(axis=1)
    norms = (1.0, 2.0, np.inf)
    tables = boundaries(network)
    reach = clearances(net, tables, points, [DUAL[norm] for norm in norms], batch_size)
    return LinearExplanation(chosen, gradient, intercept, dict(zip(norms, reach.T, strict=True)))


def _outputs(network: Network, output: int | ArrayLike, count: int) -> NDArray[np.int64]:
    """The output of every point."""
    chosen = np.asarray(output)
    if chosen.dtype.kind not in "iu" or chosen.shape not in ((), (count,)):
        raise ValueError(f"output: expected an integer, or {count} of them, one for each point.")
    if chosen.size and not (chosen.min() >= 0 and chosen.max() < network.output_dim):
        raise ValueError(f"output: the network has {network.output_dim}, counted from 0.")
    return np.broadcast_to(chosen, count).astype(np.int64)

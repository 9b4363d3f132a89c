r"""The gradient form of local complexity: :math:`\sum_j \|\nabla z_j(x)\| \varphi_s(z_j(x) - t)`, by layer.

For each point one backward pass through the layers gives the gradients of all units of a layer: the product
of the layers' matrices with the slopes of the pieces that the point is on.
"""

from __future__ import annotations

from math import pi, sqrt

import numpy as np
import torch
from torch import Tensor

from polytope.batched.network import BatchedNetwork
from polytope.ir.maps import FloatArray

_CHUNK = 2**22  # numbers held by one pulled-back block


def gradient_densities(
    net: BatchedNetwork, points: FloatArray, deviation: float, *, batch_size: int | None = None
) -> FloatArray:
    """The density of bends at every point, by layer that bends, ``[B, layers]``.

    Raises:
        ValueError: the network has a max group, whose bends lie between members and not at breakpoints.
    """
    bending = [k for k, layer in enumerate(net.layers, start=1) if layer.activation]
    for k in bending:
        activation = net.layers[k - 1].activation
        if activation and activation.kinks is None:
            raise ValueError(
                f"The gradient form needs units that bend at breakpoints; layer {k} has max groups."
            )
    widest = max(net.network.input_dim, *(len(layer.bias) for layer in net.layers))
    batch = batch_size or max(1, _CHUNK // widest**2)
    blocks = [np.zeros((0, len(bending)))]
    for start in range(0, len(points), batch):
        rows = net.place.numbers(points[start : start + batch])
        blocks.append(_densities(net, rows, deviation, bending).to("cpu", torch.float64).numpy())
    return np.concatenate(blocks)


def _densities(net: BatchedNetwork, rows: Tensor, deviation: float, bending: list[int]) -> Tensor:
    """The densities of some points, ``[N, layers]``."""
    known = list(net.bends(net.affine_parts(rows)))
    pieces = [activation.pattern(z) for activation, z in known]
    reached = net.output_gradients(pieces, len(rows))
    out = rows.new_zeros(len(rows), len(bending))
    for column, (number, (activation, z)) in enumerate(zip(bending, known, strict=True)):
        assert activation.kinks is not None, "refused before"
        chance = sum(torch.exp(-(((z - t) / deviation) ** 2) / 2) * bends for t, bends in activation.kinks)
        assert isinstance(chance, Tensor), "a layer that bends has a breakpoint"
        units = torch.eye(z.shape[1], dtype=z.dtype, device=z.device).expand(len(rows), -1, -1)
        norms = torch.linalg.vector_norm(net.gradients(number, units, pieces)[0], dim=2)
        felt = reached[number].ne(0).any(dim=1) if number in reached else norms.new_zeros(1)
        out[:, column] = (norms * felt * chance).sum(dim=1) / (deviation * sqrt(2 * pi))
    return out

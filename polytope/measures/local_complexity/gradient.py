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
    """The density of crossings at every point, by layer with an activation, ``[B, layers]``.

    Raises:
        ValueError: the network has a max group, whose crossings lie between members and not at breakpoints.
    """
    numbers = [k for k, layer in enumerate(net.layers, start=1) if layer.activation]
    for k in numbers:
        activation = net.layers[k - 1].activation
        if activation and activation.breakpoints is None:
            raise ValueError(f"The gradient form needs units with breakpoints; layer {k} has max groups.")
    widest = max(net.network.input_dim, *(len(layer.bias) for layer in net.layers))
    batch = batch_size or max(1, _CHUNK // widest**2)
    blocks = [np.zeros((0, len(numbers)))]
    for start in range(0, len(points), batch):
        rows = net.place.numbers(points[start : start + batch])
        blocks.append(_densities(net, rows, deviation, numbers).to("cpu", torch.float64).numpy())
    return np.concatenate(blocks)


def _densities(net: BatchedNetwork, rows: Tensor, deviation: float, numbers: list[int]) -> Tensor:
    """The densities of some points, ``[N, layers]``."""
    known = list(net.activations(net.affine_parts(rows)))
    pieces = [activation.pattern(z) for activation, z in known]
    reached = net.output_gradients(pieces, len(rows))
    out = rows.new_zeros(len(rows), len(numbers))
    for column, (number, (activation, z)) in enumerate(zip(numbers, known, strict=True)):
        assert activation.breakpoints is not None, "refused before"
        chance = sum(
            torch.exp(-(((z - t) / deviation) ** 2) / 2) * changes for t, changes in activation.breakpoints
        )
        assert isinstance(chance, Tensor), "an activation has a breakpoint"
        units = torch.eye(z.shape[1], dtype=z.dtype, device=z.device).expand(len(rows), -1, -1)
        norms = torch.linalg.vector_norm(net.gradients(number, units, pieces)[0], dim=2)
        felt = reached[number].ne(0).any(dim=1) if number in reached else norms.new_zeros(1)
        out[:, column] = (norms * felt * chance).sum(dim=1) / (deviation * sqrt(2 * pi))
    return out

r"""Linear bounds of pre-activations over a box: :math:`C x + \underline c \le z_l \le C x + \overline c`.

Between its ends every unit lies between two parallel lines. One backward pass for each layer carries the
combinations of units to the input, and the intercepts of the lines to an interval; interval arithmetic
through the layers bounds the same numbers, and both are intersected. Rounding has room in every product.

References: Weng et al. (2018), "Towards Fast Computation of Certified Robustness for ReLU Networks"
(Fast-Lin), https://arxiv.org/abs/1804.09699
"""

from __future__ import annotations

import numpy as np

from polytope.ir import Network
from polytope.ir.activations import Enclosure
from polytope.ir.maps import FloatArray
from polytope.measures.units import preactivation_bounds

ENTRIES = 1 << 23  # numbers in the combinations of one layer, beyond which intervals must do


def linear_bounds(network: Network, box: FloatArray) -> list[FloatArray]:
    """Low and high of every layer's pre-activations over a box ``[2, d]``, each ``[2, n]``; certified."""
    enclosures: list[Enclosure | None] = []
    sizes = [np.abs(box).max(axis=0)]  # of all values, from above
    widest = max(network.input_dim, *(max(len(la.bias), la.width) for la in network.layers))

    def tighten(number: int, z: FloatArray) -> FloatArray:
        layer = network.layers[number - 1]
        if any(k > 0 for k in layer.inputs) and len(layer.bias) * widest <= ENTRIES:
            low, high = _pulled_back(network, number, enclosures, sizes, box)
            z = np.stack([np.maximum(z[0], low), np.minimum(z[1], high)])
        size = np.abs(z).max(axis=0)
        if layer.activation is None:
            enclosures.append(None)
        else:
            lines = layer.activation.enclosure(*z)
            enclosures.append(lines)
            most = np.maximum(np.abs(lines.below), np.abs(lines.above))
            size = np.abs(lines.slope) * size[lines.source] + most
        sizes.append(size)
        return z

    return list(preactivation_bounds(network, box, tighten))


def _pulled_back(
    network: Network,
    number: int,
    enclosures: list[Enclosure | None],
    sizes: list[FloatArray],
    box: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Low and high of one layer's pre-activations, by linear bounds of all layers in front."""
    weights = np.eye(len(network.layers[number - 1].bias))
    low, high, room = (np.zeros(weights.shape[1]) for _ in range(3))
    waiting: dict[int, FloatArray] = {}
    while True:
        layer = network.layers[number - 1]
        constant = layer.bias @ weights
        low, high = low + constant, high + constant
        room = room + 2.0**-50 * (8 + len(layer.bias)) * (np.abs(layer.bias) @ np.abs(weights))
        for k, linear, absolute in zip(layer.inputs, layer.maps, layer.absolute_maps, strict=True):
            pulled = linear.apply_transpose(weights)
            room += 2.0**-50 * (8 + len(weights)) * (sizes[k] @ absolute.apply_transpose(np.abs(weights)))
            waiting[k] = waiting[k] + pulled if k in waiting else pulled
        number = max(waiting)
        weights = waiting.pop(number)
        if number == 0:
            break
        lines = enclosures[number - 1]
        if lines is not None:
            up, down = np.maximum(weights, 0.0), np.minimum(weights, 0.0)
            low = low + lines.below @ up + lines.above @ down
            high = high + lines.above @ up + lines.below @ down
            most = np.maximum(np.abs(lines.below), np.abs(lines.above))
            room += 2.0**-50 * (8 + len(weights)) * ((sizes[number] + most) @ np.abs(weights))
            before = np.zeros((len(network.layers[number - 1].bias), weights.shape[1]))
            np.add.at(before, lines.source, lines.slope[:, None] * weights)
            weights = before
    middle, radius = box.mean(axis=0), np.ptp(box, axis=0) / 2
    at, around = middle @ weights, radius @ np.abs(weights)
    room = room + 2.0**-50 * (8 + len(weights)) * (sizes[0] @ np.abs(weights) + np.abs(low) + np.abs(high))
    return low + at - around - room, high + at + around + room

r"""Linear bounds of pre-activations over a box: :math:`C x + \underline c \le z_l \le C x + \overline c`.

Between its ends every unit lies between two parallel lines. One backward pass for each layer carries the
combinations of units to the input, and the intercepts of the lines to an interval; interval arithmetic
through the layers bounds the same numbers, and both are intersected.

The pass is in floating point. What every product and sum can be off by, times the largest value that it may
be multiplied with, is added up as *room*; it holds whatever was rounded, underflow included.

References: Weng et al. (2018), "Towards Fast Computation of Certified Robustness for ReLU Networks"
(Fast-Lin), https://arxiv.org/abs/1804.09699
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from polytope.bounds.intervals import LOST, preactivation_bounds, room, unbounded_where_unknown
from polytope.ir import Layer, Network
from polytope.ir.activations import Enclosure
from polytope.ir.maps import FloatArray, LinearMap
from polytope.ir.sweep import to_input

ENTRIES = 1 << 23  # numbers in the combinations of one layer, beyond which intervals must do


@dataclass(eq=False)
class _Known:
    """Of every value h_0, h_1, ...: the lines around its units, and its largest absolute values.

    Arguments:
        box: ``[2, d]``.
        lines: for the layers; ``None`` for an affine layer.
        sizes, inner: largest absolute outputs and pre-activations.
    """

    box: FloatArray
    lines: list[Enclosure | None] = field(default_factory=lambda: [None])
    sizes: list[FloatArray] = field(default_factory=list)
    inner: list[FloatArray] = field(default_factory=list)

    def add(self, layer: Layer, z: FloatArray) -> None:
        """The next layer, whose pre-activations keep the bounds ``[2, n]``."""
        activation = layer.activation
        self.lines.append(None if activation is None else activation.enclosure(*z))
        self.inner.append(_size(*z))
        self.sizes.append(_size(*z) if activation is None else _size(*activation.value_ranges(*z)))


def linear_bounds(network: Network, box: FloatArray) -> list[FloatArray]:
    """Low and high of every layer's pre-activations over a box ``[2, d]``, each ``[2, n]``; certified."""
    found = linear_bounds_within(network, box, [])
    assert found is not None, "a box holds a point"
    return found


def linear_bounds_within(
    network: Network, box: FloatArray, within: Sequence[FloatArray | None]
) -> list[FloatArray] | None:
    """The same over the inputs at which pre-activations keep given bounds; ``None`` where there are none.

    Arguments:
        network: the network.
        box: ``[2, d]``.
        within: for the first layers ``[2, n]``, or ``None``.
    """
    known = _Known(box, sizes=[_size(*box)], inner=[_size(*box)])
    widest = max(network.input_dim, *(max(len(la.bias), la.width) for la in network.layers))
    crossed = []

    def tighten(number: int, z: FloatArray) -> FloatArray:
        layer = network.layers[number - 1]
        if any(k > 0 for k in layer.inputs) and len(layer.bias) * widest <= ENTRIES:
            with np.errstate(all="ignore"):
                low, high = _pulled_back(network, number, known)
            z = np.stack([np.maximum(z[0], low), np.minimum(z[1], high)])
        given = within[number - 1] if number <= len(within) else None
        if given is not None:
            z = np.stack([np.maximum(z[0], given[0]), np.minimum(z[1], given[1])])
            crossed.append(bool((z[0] > z[1]).any()))
            z = np.sort(z, axis=0)
        known.add(layer, z)
        return z

    found = list(preactivation_bounds(network, box, tighten))
    return None if any(crossed) else found


def _size(low: FloatArray, high: FloatArray) -> FloatArray:
    return np.maximum(np.abs(low), np.abs(high))


@dataclass(eq=False)
class _Sum:
    """What is known of the constants of m combinations: ``[m]`` each, the exact ones within ``room``."""

    low: FloatArray
    high: FloatArray
    room: FloatArray

    def add(self, least: FloatArray, most: FloatArray, weights: FloatArray) -> None:
        """``weights.T @ v`` for some v between ``least [n]`` and ``most [n]``."""
        up, down = np.maximum(weights, 0.0), np.minimum(weights, 0.0)
        self.low = self.low + (least @ up + most @ down)
        self.high = self.high + (most @ up + least @ down)
        terms = _size(least, most) @ np.abs(weights)
        n = len(weights)
        self.room = self.room + room(n) * (terms + _size(self.low, self.high)) + (8 + n) * LOST

    def ends(self) -> FloatArray:
        """Low and high, ``[2, m]``."""
        below, above = self.low - self.room, self.high + self.room
        return unbounded_where_unknown(np.nextafter(below, -np.inf), np.nextafter(above, np.inf))


def _pulled_back(network: Network, number: int, known: _Known) -> FloatArray:
    """``[2, n]``: one layer's pre-activations, by linear bounds of all layers in front."""
    n = len(network.layers[number - 1].bias)
    total = _Sum(np.zeros(n), np.zeros(n), np.zeros(n))
    weights = to_input(network, number, np.eye(n), _Combinations(known, total))
    total.add(known.box[0], known.box[1], weights)
    return total.ends()


@dataclass(frozen=True, eq=False)
class _Combinations:
    """m combinations of values, ``[width, m]``; what they leave behind is added to a sum."""

    known: _Known
    total: _Sum

    def affine(self, number: int, layer: Layer, weights: FloatArray) -> Iterator[FloatArray]:
        self.total.add(layer.bias, layer.bias, weights)
        for k, linear, absolute in zip(layer.inputs, layer.maps, layer.absolute_maps, strict=True):
            self.total.room += _product_room(linear, absolute, self.known.sizes[k], weights)
            yield linear.apply_transpose(weights)

    def activate(self, number: int, layer: Layer, weights: FloatArray) -> FloatArray:
        lines = self.known.lines[number]
        assert lines is not None, "a layer with an activation has lines around its units"
        self.total.add(lines.below, lines.above, weights)
        weights, off = _through(lines, len(layer.bias), self.known.inner[number], weights)
        self.total.room += off
        return weights

    def plus(self, k: int, a: FloatArray, b: FloatArray) -> FloatArray:
        self.total.room += room(1) * (self.known.sizes[k] @ np.abs(a + b))
        return a + b


def _product_room(
    linear: LinearMap, absolute: LinearMap, size: FloatArray, weights: FloatArray
) -> FloatArray:
    """How far the pulled back weights, times values up to ``size``, may be off."""
    share, lost, reach = 0.0, (8 + len(size)) * LOST, size
    for factor, sizes in reversed(list(zip(linear.chain(), absolute.chain(), strict=True))):
        share += room(factor.shape[0])
        lost += (8 + factor.shape[0]) * LOST * reach.sum()
        reach = sizes.apply(reach[:, None])[:, 0]
    out: FloatArray = share * (size @ absolute.apply_transpose(np.abs(weights))) + lost
    return out


def _through(
    lines: Enclosure, n: int, size: FloatArray, weights: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Combinations of a layer's outputs as those of its n pre-activations, which are at most ``size``."""
    before = np.zeros((n, weights.shape[1]))
    np.add.at(before, lines.source, lines.slope[:, None] * weights)
    steep = np.abs(lines.slope) * size[lines.source]
    off = room(len(weights)) * (steep @ np.abs(weights)) + (8 + len(weights)) * LOST * (1.0 + size.sum())
    return before, off

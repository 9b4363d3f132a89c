"""Many points at once through the layers: values, derivatives along directions, and sizes of all terms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from polytope.ir import Layer, Network
from polytope.ir.activations import PatternArray
from polytope.ir.maps import FloatArray


@dataclass(frozen=True, eq=False)
class Columns:
    """``[n, B]`` each: values, derivatives, and sums of absolute terms, which bound rounding errors."""

    value: FloatArray
    speed: FloatArray
    size: FloatArray


Choose = Callable[[int, Columns], PatternArray]  # layer number, pre-activations -> pieces [units, B]


def walk(
    network: Network, points: FloatArray, directions: FloatArray, sizes: FloatArray, choose: Choose
) -> None:
    """Go forward through the layers; ``choose`` is asked for the pieces of every bending layer.

    Arguments:
        points, directions: ``[B, d]``.
        sizes: ``[B]``, the size of the numbers that each point was computed from.
        choose: from a layer's number and pre-activations to ``int8[units, B]``.
    """
    values: list[Columns | None] = [
        Columns(points.T, directions.T, np.broadcast_to(sizes, (points.shape[1], len(points))))
    ]
    for number, layer in enumerate(network.layers, start=1):
        z = _preactivation(layer, values)
        values.append(_behind(layer, choose(number, z), z) if layer.activation else z)
        for k in {*layer.inputs, number}:
            if network.last_use[k] <= number:
                values[k] = None


def _preactivation(layer: Layer, values: list[Columns | None]) -> Columns:
    value: FloatArray = layer.bias[:, None]
    speed, size = np.zeros((1, 1)), np.abs(value)
    for k, linear, absolute in zip(layer.inputs, layer.maps, layer.absolute_maps, strict=True):
        h = values[k]
        assert h is not None, "a value was dropped before its last use"
        count = h.value.shape[1]
        both = linear.apply(np.concatenate([h.value, h.speed], axis=1))
        value, speed = value + both[:, :count], speed + both[:, count:]
        size = size + absolute.apply(h.size)
    return Columns(value, speed, size)


def _behind(layer: Layer, pieces: PatternArray, z: Columns) -> Columns:
    """The outputs, each column on its own pieces."""
    assert layer.activation is not None, "only bending layers have pieces"
    maps = layer.activation.affine(pieces)
    value, speed, size = (np.take_along_axis(a, maps.source, axis=0) for a in (z.value, z.speed, z.size))
    return Columns(
        maps.slope * value + maps.intercept,
        maps.slope * speed,
        np.abs(maps.slope) * size + np.abs(maps.intercept),
    )

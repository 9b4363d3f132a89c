"""Many points at once through the layers: values, derivatives along directions, and bounds on errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from polytope.ir import Layer, Network
from polytope.ir.activations import PatternArray
from polytope.ir.boundaries import LayerBoundaries
from polytope.ir.forward import UNDERFLOW, U
from polytope.ir.maps import FloatArray
from polytope.ir.matrix import product
from polytope.ir.sweep import outputs

FIRST = 2.0**-900  # error of a coordinate: none, but what depends on coordinates must not pass for a constant


@dataclass(frozen=True, eq=False)
class Columns:
    """``[n, B]`` each, where they are wanted.

    Arguments:
        value: the values; exact ones are these up to ``error``.
        speed: derivatives along directions, rounded.
        error: bounds on the errors of values; 0 only where no coordinate of the input has an influence.
    """

    value: FloatArray
    speed: FloatArray | None = None
    error: FloatArray | None = None

    @classmethod
    def at(cls, points: FloatArray) -> Columns:
        """Points ``[B, d]``, with bounds on errors."""
        return cls(points.T, error=np.full((points.shape[1], len(points)), FIRST))


Choose = Callable[[int, Columns], PatternArray]  # layer number, pre-activations -> pieces [units, B]


def walk(network: Network, start: Columns, choose: Choose) -> Columns:
    """Go forward through the layers, and return the outputs.

    Arguments:
        start: points, and directions or bounds on errors where they are wanted.
        choose: is asked for the pieces of every hidden layer, from its number and pre-activations.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite proves nothing
        return outputs(network, start, _OnPieces(choose))


@dataclass(frozen=True)
class _OnPieces:
    """Columns, each on the pieces that are chosen for it."""

    choose: Choose

    def affine(self, number: int, layer: Layer, reads: Sequence[Columns]) -> Columns:
        return _preactivation(layer, reads)

    def activate(self, number: int, layer: Layer, z: Columns) -> Columns:
        return _behind(layer, self.choose(number, z), z)


def boundary_values(table: LayerBoundaries, z: Columns) -> tuple[FloatArray, FloatArray]:
    """The boundary functions of a layer at columns of z, and bounds on their errors, ``[m, B]`` each."""
    assert z.error is not None, "bounds on errors were wanted"
    one, two = table.index.T
    factors, plain = np.abs(table.coefficients), table.offset == 0
    f, g = factors.T[:, :, None]
    value = table.values(z.value)
    rough, other = (np.where(plain & (size == 1), 0.0, 2 * U * size)[:, None] for size in factors.T)
    error = (
        f * z.error[one] + rough * np.abs(z.value[one]) + U * np.abs(value)
    )  # a difference of two: U alone
    if g.any():
        error += g * z.error[two] + other * np.abs(z.value[two])
    return value, error


def _preactivation(layer: Layer, reads: Sequence[Columns]) -> Columns:
    total: FloatArray = layer.bias[:, None]
    speed: FloatArray | None = None
    errors: FloatArray | None = None
    rounding = U * (layer.terms + len(layer.inputs))
    for linear, absolute, h in zip(layer.maps, layer.absolute_maps, reads, strict=True):
        if h.speed is None:
            total = total + linear.apply(h.value)
        else:
            count = h.value.shape[1]
            both = linear.apply(np.concatenate([h.value, h.speed], axis=1))
            total = total + both[:, :count]
            speed = both[:, count:] if speed is None else speed + both[:, count:]
        if h.error is not None:
            made = absolute.apply(h.error + rounding * np.abs(h.value))
            errors = made if errors is None else errors + made
    if errors is not None:
        made = errors + UNDERFLOW + (U * len(layer.inputs)) * np.abs(total)
        errors = np.where(_touched(layer, reads) if layer.has_tiny_numbers else errors != 0, made, 0.0)
    return Columns(total, speed, errors)


def _touched(layer: Layer, reads: Sequence[Columns]) -> FloatArray:
    """Where values are made of others that are not constant, ``[n, B]``."""
    count: FloatArray = np.zeros((len(layer.bias), 1))
    for places, h in zip(layer.places, reads, strict=True):
        assert h.error is not None, "bounds on errors were wanted"
        count = count + product(places, ((h.error != 0) | (h.value != 0)).astype(float))
    return count


def _behind(layer: Layer, pieces: PatternArray, z: Columns) -> Columns:
    """The outputs, each column on its own pieces."""
    maps = layer.phi.affine(pieces)

    def taken(a: FloatArray) -> FloatArray:
        out: FloatArray = np.take_along_axis(a, maps.source, axis=0)
        return out

    given = taken(z.value)
    value = maps.slope * given + maps.intercept
    speed = None if z.speed is None else maps.slope * taken(z.speed)
    if z.error is None:
        return Columns(value, speed)
    steep, known = np.abs(maps.slope), taken(z.error)
    error = steep * known
    rough = (steep != 0) & ((steep != 1) | (maps.intercept != 0)) & ((known != 0) | (given != 0))
    if rough.any():
        error += np.where(rough, 2 * U * (np.abs(value) + np.abs(maps.intercept)) + UNDERFLOW, 0.0)
    return Columns(value, speed, error)

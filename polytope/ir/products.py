"""Maps that are products of others, as layers of their own where the product's entries would be rounded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from polytope.ir.convolution import Convolution
from polytope.ir.layers import Layer
from polytope.ir.maps import FARTHEST, Composition, Dense, LinearMap, exponents
from polytope.ir.network import Network


def unfolded(network: Network) -> Network:
    """The same function, whose layers up to the last activation read by maps whose matrices are exact.

    Patterns are the same; affine layers stand for the factors.
    """
    last = max((n for n, layer in enumerate(network.layers, start=1) if layer.activation), default=0)
    factors = [
        [_factors(linear) for linear in layer.maps] if number <= last else [[m] for m in layer.maps]
        for number, layer in enumerate(network.layers, start=1)
    ]
    if all(len(maps) == 1 for of_layer in factors for maps in of_layer):
        return network
    place = [0]  # of each value of the given network in the new one
    layers: list[Layer] = []
    for layer, of_layer in zip(network.layers, factors, strict=True):
        inputs = []
        for k, maps in zip(layer.inputs, of_layer, strict=True):
            source = place[k]
            for inner in reversed(maps[1:]):
                layers.append(Layer((source,), (inner,), np.zeros(inner.shape[0])))
                source = len(layers)
            inputs.append(source)
        layers.append(replace(layer, inputs=tuple(inputs), maps=tuple(maps[0] for maps in of_layer)))
        place.append(len(layers))
    return replace(network, layers=tuple(layers))


def _factors(linear: LinearMap) -> list[LinearMap]:
    """Maps whose product, outermost first, is this one; neighbours whose product is exact are one map."""
    out: list[LinearMap] = []
    for factor in linear.chain():
        if out and (_copies(out[-1], factor, axis=1) or _copies(factor, out[-1], axis=0)):
            out[-1] = Composition(out[-1], factor)
        else:
            out.append(factor)
    return out if len(out) > 1 else [linear]


def _copies(linear: LinearMap, other: LinearMap, axis: int) -> bool:
    """Whether a product with ``other`` only moves its rows (axis 1) or columns (0), times powers of two."""
    if isinstance(linear, Convolution | Dense):
        return False
    matrix = linear.to_sparse()
    mantissa, power = np.frexp(matrix.data)
    entries = np.diff((matrix if axis else matrix.tocsc()).indptr).max(initial=0)
    if entries > 1 or not (np.abs(mantissa) == 0.5).all():
        return False
    far = int(np.abs(power - 1).max(initial=0))
    return not far or far + int(np.abs(exponents(other.to_sparse().data)).max(initial=0)) < FARTHEST

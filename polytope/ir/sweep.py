r"""The passes through the layers of a network: one from the input on, one back to it.

Forward, :math:`z_l = \sum_k A_{l,k} h_k + b_l` and :math:`h_l = \phi_l(z_l)` follow from the values that a
layer reads, from :math:`h_0 = x` on. Backward, a combination of a layer's values becomes one of each value
that it reads. What a value or a combination is, floats, intervals, affine functions, integers or names in a
file, is the business of a *domain*.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

from polytope.ir.layers import Layer, Layered
from polytope.ir.looking import look
from polytope.ir.maps import FloatArray

V = TypeVar("V")


class Domain(Protocol[V]):
    """Values of one kind, forward through the layers, which count from 1."""

    def affine(self, number: int, layer: Layer, reads: Sequence[V]) -> V:
        """The pre-activations of a layer from the values that it reads, in the order of ``layer.inputs``."""

    def activate(self, number: int, layer: Layer, z: V) -> V:
        """The outputs of a layer with an activation from its pre-activations."""


def sweep(
    network: Layered, start: V, domain: Domain[V], *, last: int | None = None
) -> Iterator[tuple[int, Layer, V, V]]:
    """The number, the layer, z and h of every layer in order; h is z in an affine layer.

    A value is dropped after its last use.

    Arguments:
        network: the network.
        start: the input, h_0.
        domain: how values follow from others.
        last: the number of the last layer to go through.
    """
    values = {0: start}
    for number, layer in enumerate(network.layers[:last], start=1):
        look()
        z = domain.affine(number, layer, [values[k] for k in layer.inputs])
        h = z if layer.activation is None else domain.activate(number, layer, z)
        values[number] = h
        yield number, layer, z, h
        del z, h  # so that no more is kept than what is still read
        for k in {*layer.inputs, number}:
            if network.last_use[k] <= number:
                del values[k]


class Floats:
    """Values in float64, columns ``[width, B]``."""

    def affine(self, number: int, layer: Layer, reads: Sequence[FloatArray]) -> FloatArray:
        """The sum of the maps of the values, and the bias."""
        return layer.preactivation(reads)

    def activate(self, number: int, layer: Layer, z: FloatArray) -> FloatArray:
        """The activation's values."""
        return layer.phi.values(z)


def outputs(network: Layered, start: V, domain: Domain[V]) -> V:
    """The outputs of the last layer of a sweep."""
    h = start
    for step in sweep(network, start, domain):
        h = step[-1]
        del step
    return h


class BackwardDomain(Protocol[V]):
    """Combinations of values, backward through the layers, which count from 1."""

    def affine(self, number: int, layer: Layer, weights: V) -> Iterable[V]:
        """Combinations of a layer's pre-activations as those of each value that it reads, in order."""

    def activate(self, number: int, layer: Layer, weights: V) -> V:
        """Combinations of an activation's outputs as combinations of its pre-activations."""

    def plus(self, k: int, a: V, b: V) -> V:
        """The sum of two combinations of the value h_k."""


def sweep_back(
    network: Layered, number: int, weights: V, domain: BackwardDomain[V]
) -> Iterator[tuple[int, V]]:
    """Combinations of a layer's pre-activations as those of every value in front, the input's at the end.

    Arguments:
        network: the network.
        number: the layer, from 1.
        weights: combinations of its pre-activations.
        domain: how combinations follow from others.

    Returns:
        the number k and the combination of h_k, from large k to 0, of all that the layer depends on.
    """
    waiting: dict[int, V] = {}
    while number:
        look()
        layer = network.layers[number - 1]
        for k, pulled in zip(layer.inputs, domain.affine(number, layer, weights), strict=True):
            waiting[k] = domain.plus(k, waiting[k], pulled) if k in waiting else pulled
        number = max(waiting)
        weights = waiting.pop(number)
        yield number, weights
        if number and (layer := network.layers[number - 1]).activation is not None:
            weights = domain.activate(number, layer, weights)


def to_input(network: Layered, number: int, weights: V, domain: BackwardDomain[V]) -> V:
    """Combinations of the pre-activations of layer ``number`` as combinations of the input."""
    [(_, found)] = deque(sweep_back(network, number, weights, domain), maxlen=1)
    return found


def outputs_to_input(network: Layered, weights: V, domain: BackwardDomain[V]) -> V:
    """Combinations of the network's outputs as combinations of the input."""
    number = len(network.layers)
    if (layer := network.layers[-1]).activation is not None:
        weights = domain.activate(number, layer, weights)
    return to_input(network, number, weights, domain)

"""Backward passes: combinations of a layer's pre-activations as affine functions of the input.

One sweep from the outputs to the input; what the combinations are made of, and what rounding does to them,
is the business of a ``Passing``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Generic, TypeVar

import numpy as np

from polytope.ir.activations import PatternArray, PieceMaps
from polytope.ir.layers import Layered
from polytope.ir.maps import FloatArray

CACHED = 1 << 17  # numbers in one array of a batch: 1 MB, that caches hold
COLUMNS = 64  # in wide networks a batch has so many, for which matrices are read once
ENTRIES = 1 << 23  # but never more numbers: 64 MB
W = TypeVar("W")


class Passing(ABC, Generic[W]):
    """Combinations of values for B patterns at once, passed from layer to layer towards the input.

    Arguments:
        network: the network.
        patterns: ``int8[B, units]``.
    """

    def __init__(self, network: Layered, patterns: PatternArray) -> None:
        self.network, self.patterns = network, patterns

    @abstractmethod
    def through_maps(self, number: int, weights: W) -> Iterator[tuple[int, W]]:
        """Combinations of a layer's pre-activations as combinations of each value that it reads."""

    @abstractmethod
    def through_bends(self, number: int, weights: W) -> W:
        """Combinations of a layer's outputs as combinations of its pre-activations."""

    @abstractmethod
    def plus(self, a: W, b: W) -> W:
        """The sum of two combinations of one value."""

    def pieces(self, number: int) -> PieceMaps:
        """The affine functions of a layer's units, ``[units, B]``."""
        activation = self.network.layers[number - 1].activation
        assert activation is not None, "only layers with an activation have pieces"
        return activation.affine(self.network.layer_pattern(number, self.patterns).T)


def sweep(passing: Passing[W], number: int, weights: W) -> W:
    """Combinations of the pre-activations of layer ``number`` as combinations of the input."""
    waiting: dict[int, W] = {}
    while True:
        for k, pulled in passing.through_maps(number, weights):
            waiting[k] = passing.plus(waiting[k], pulled) if k in waiting else pulled
        number = max(waiting)
        weights = waiting.pop(number)
        if number == 0:
            return weights
        if passing.network.layers[number - 1].activation is not None:
            weights = passing.through_bends(number, weights)


def sweep_outputs(passing: Passing[W], weights: W) -> W:
    """Combinations of the network's outputs as combinations of the input."""
    number = len(passing.network.layers)
    if passing.network.layers[-1].activation is not None:
        weights = passing.through_bends(number, weights)
    return sweep(passing, number, weights)


def batches(network: Layered, count: int, columns: int) -> Iterator[slice]:
    """Slices of ``count`` patterns with ``columns`` combinations each, so that arrays stay bounded."""
    widest = max(network.input_dim, *(max(len(layer.bias), layer.width) for layer in network.layers))
    size = columns * widest
    step = max(1, CACHED // size, min(COLUMNS // columns, ENTRIES // size))
    return (slice(i, i + step) for i in range(0, count, step))


def affine_maps(network: Layered, patterns: PatternArray) -> tuple[FloatArray, FloatArray]:
    """The affine maps of many patterns, ``int8[B, units]`` to ``(J [B, out, d], c [B, out])``, in float64."""
    count, out = len(patterns), network.output_dim
    J, c = np.empty((count, out, network.input_dim)), np.empty((count, out))
    for some in batches(network, count, out):
        passing = _Floats(network, patterns[some], out)
        J[some] = passing.rows(sweep_outputs(passing, identities(out, len(patterns[some]))))
        c[some] = passing.constant
    return J, c


def identities(out: int, count: int) -> FloatArray:
    """Every output by itself, for every pattern: ``[out, count * out]``."""
    return np.tile(np.eye(out), (1, count))


def pull_back(
    network: Layered, number: int, weights: FloatArray, patterns: PatternArray
) -> tuple[FloatArray, FloatArray]:
    """Combinations ``sum_n weights[n] z[n]`` of layer ``number``, for B patterns at once.

    Arguments:
        number: the layer, from 1.
        weights: ``[n, B, m]``, m combinations for each pattern.
        patterns: ``int8[B, units]``; entries of this layer and later ones are not read.

    Returns:
        ``(J [B, m, d], c [B, m])``.
    """
    n, count, m = weights.shape
    passing = _Floats(network, patterns, m)
    pulled = sweep(passing, number, weights.reshape(n, count * m))
    return passing.rows(pulled), passing.constant


class _Floats(Passing[FloatArray]):
    """m combinations for each pattern in float64, ``[width, B * m]``; constants ``[B, m]`` are summed up."""

    def __init__(self, network: Layered, patterns: PatternArray, m: int) -> None:
        super().__init__(network, patterns)
        self.m = m
        self.constant = np.zeros((len(patterns), m))

    def rows(self, weights: FloatArray) -> FloatArray:
        """Combinations of the input as ``[B, m, d]``."""
        return np.ascontiguousarray(weights.reshape(len(weights), -1, self.m).transpose(1, 2, 0))

    def through_maps(self, number: int, weights: FloatArray) -> Iterator[tuple[int, FloatArray]]:
        layer = self.network.layers[number - 1]
        self.constant += (layer.bias @ weights).reshape(-1, self.m)
        for k, linear in zip(layer.inputs, layer.maps, strict=True):
            yield k, linear.apply_transpose(weights)

    def through_bends(self, number: int, weights: FloatArray) -> FloatArray:
        pieces = self.pieces(number)
        each = weights.reshape(len(weights), -1, self.m)
        self.constant += np.einsum("ub,ubm->bm", pieces.intercept, each)
        n = len(self.network.layers[number - 1].bias)
        return to_sources(pieces, pieces.slope[:, :, None] * each, n).reshape(n, -1)

    def plus(self, a: FloatArray, b: FloatArray) -> FloatArray:
        return a + b


def to_sources(pieces: PieceMaps, weights: FloatArray, n: int) -> FloatArray:
    """Combinations ``[units, B, m]`` added up at the n pre-activations that the units read."""
    if pieces.own:
        return weights
    out = np.zeros((n, *weights.shape[1:]))
    np.add.at(out, (pieces.source, np.arange(weights.shape[1])), weights)
    return out

"""Backward passes: combinations of a layer's pre-activations as affine functions of the input, in float64."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from polytope.ir.activations import PatternArray, PieceMaps
from polytope.ir.layers import Layer, Layered
from polytope.ir.looking import look
from polytope.ir.maps import FloatArray
from polytope.ir.sweep import outputs, outputs_to_input, to_input

CACHED = 1 << 17  # numbers in one array of a batch: 1 MB, that caches hold
COLUMNS = 64  # in wide networks a batch has so many, for which matrices are read once
ENTRIES = 1 << 23  # but never more numbers: 64 MB


class OnPieces:
    """What a backward pass for B patterns at once knows of the pieces.

    Arguments:
        network: the network.
        patterns: ``int8[B, units]``.
    """

    def __init__(self, network: Layered, patterns: PatternArray) -> None:
        self.network, self.patterns = network, patterns

    def pieces(self, number: int) -> PieceMaps:
        """The affine functions of a layer's units, ``[units, B]``."""
        return self.network.layers[number - 1].phi.affine(self.network.layer_pattern(number, self.patterns).T)


def batches(network: Layered, count: int, columns: int) -> Iterator[slice]:
    """Slices of ``count`` patterns with ``columns`` combinations each, so that arrays stay bounded."""
    widest = max(network.input_dim, *(max(len(layer.bias), layer.width) for layer in network.layers))
    size = columns * widest
    step = max(1, CACHED // size, min(COLUMNS // columns, ENTRIES // size))
    for i in range(0, count, step):
        look(8 * step * size)
        yield slice(i, i + step)


def affine_maps(network: Layered, patterns: PatternArray) -> tuple[FloatArray, FloatArray]:
    """The affine maps of many patterns, ``int8[B, units]`` to ``(J [B, out, d], c [B, out])``, in float64.

    Backward from the outputs, or forward from the inputs where these are fewer.
    """
    count, d, out = len(patterns), network.input_dim, network.output_dim
    J, c = np.empty((count, out, d)), np.empty((count, out))
    if d + 1 < out:
        for some in batches(network, count, d + 1):
            table = outputs(network, _inputs(d, len(patterns[some])), _Columns(network, patterns[some]))
            J[some], c[some] = table[:, :d].transpose(2, 0, 1), table[:, d].T
        return J, c
    for some in batches(network, count, out):
        domain = _Combinations(network, patterns[some], out)
        weights = identities(out, len(patterns[some]))
        J[some] = domain.rows(outputs_to_input(network, weights, domain))
        c[some] = domain.constant
    return J, c


def _inputs(d: int, count: int) -> FloatArray:
    """The input as a function of itself, ``[d, d + 1, B]``: slopes, and the constant at the end."""
    return np.repeat(np.eye(d, d + 1)[:, :, None], count, axis=2)


@dataclass(frozen=True, eq=False)
class _Columns:
    """Values as affine functions of the input for B patterns, ``[width, d + 1, B]``, the constant last."""

    network: Layered
    patterns: PatternArray

    def affine(self, number: int, layer: Layer, reads: Sequence[FloatArray]) -> FloatArray:
        rest = reads[0].shape[1:]
        z = sum(linear.apply(h.reshape(len(h), -1)) for linear, h in zip(layer.maps, reads, strict=True))
        found: FloatArray = np.reshape(z, (len(layer.bias), *rest))
        found[:, -1] += layer.bias[:, None]
        return found

    def activate(self, number: int, layer: Layer, z: FloatArray) -> FloatArray:
        maps = layer.phi.affine(self.network.layer_pattern(number, self.patterns).T)
        found: FloatArray = maps.slope[:, None] * np.take_along_axis(z, maps.source[:, None], axis=0)
        found[:, -1] += maps.intercept
        return found


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
    domain = _Combinations(network, patterns, m)
    pulled = to_input(network, number, weights.reshape(n, count * m), domain)
    return domain.rows(pulled), domain.constant


class _Combinations(OnPieces):
    """m combinations for each pattern in float64, ``[width, B * m]``; constants ``[B, m]`` are summed up."""

    def __init__(self, network: Layered, patterns: PatternArray, m: int) -> None:
        super().__init__(network, patterns)
        self.m = m
        self.constant = np.zeros((len(patterns), m))

    def rows(self, weights: FloatArray) -> FloatArray:
        """Combinations of the input as ``[B, m, d]``."""
        return np.ascontiguousarray(weights.reshape(len(weights), -1, self.m).transpose(1, 2, 0))

    def affine(self, number: int, layer: Layer, weights: FloatArray) -> Iterator[FloatArray]:
        self.constant += (layer.bias @ weights).reshape(-1, self.m)
        return (linear.apply_transpose(weights) for linear in layer.maps)

    def activate(self, number: int, layer: Layer, weights: FloatArray) -> FloatArray:
        pieces = self.pieces(number)
        each = weights.reshape(len(weights), -1, self.m)
        self.constant += np.einsum("ub,ubm->bm", pieces.intercept, each)
        n = len(layer.bias)
        return to_sources(pieces, pieces.slope[:, :, None] * each, n).reshape(n, -1)

    def plus(self, k: int, a: FloatArray, b: FloatArray) -> FloatArray:
        return a + b


def to_sources(pieces: PieceMaps, weights: FloatArray, n: int) -> FloatArray:
    """Combinations ``[units, B, m]`` added up at the n pre-activations that the units read."""
    if pieces.own:
        return weights
    out = np.zeros((n, *weights.shape[1:]))
    np.add.at(out, (pieces.source, np.arange(weights.shape[1])), weights)
    return out

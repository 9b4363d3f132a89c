"""Backward passes: combinations of a layer's pre-activations as affine functions of the input."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from polytope.ir.activations import PatternArray
from polytope.ir.maps import FloatArray

if TYPE_CHECKING:
    from polytope.ir.network import Network

ENTRIES = 1 << 23  # numbers in one array of a batch: 64 MB


def affine_maps(network: Network, patterns: PatternArray) -> tuple[FloatArray, FloatArray]:
    """The affine maps of many patterns, ``int8[B, units]`` to ``(J [B, out, d], c [B, out])``."""
    count, out = len(patterns), network.output_dim
    J, c = np.empty((count, out, network.input_dim)), np.empty((count, out))
    widest = max(max(len(layer.bias), layer.width) for layer in network.layers)
    step = max(1, ENTRIES // (out * max(widest, network.input_dim)))
    chosen = np.eye(out)[:, None, :]
    for i in range(0, count, step):
        some = patterns[i : i + step]
        weights = np.broadcast_to(chosen, (out, len(some), out))
        weights, constant = _through_activation(network, len(network.layers), weights, some)
        J[i : i + step], c[i : i + step] = pull_back(network, len(network.layers), weights, some)
        c[i : i + step] += constant
    return J, c


def pull_back(
    network: Network, number: int, weights: FloatArray, patterns: PatternArray
) -> tuple[FloatArray, FloatArray]:
    """Combinations ``sum_n weights[n] z[n]`` of layer ``number``, for B patterns at once.

    Arguments:
        number: the layer, from 1.
        weights: ``[n, B, m]``, m combinations for each pattern.
        patterns: ``int8[B, units]``; entries of this layer and later ones are not read.

    Returns:
        ``(J [B, m, d], c [B, m])``.
    """
    _, count, m = weights.shape
    constant = np.zeros((count, m))
    waiting: dict[int, FloatArray] = {}
    while True:
        layer = network.layers[number - 1]
        flat = weights.reshape(len(weights), count * m)
        constant += (layer.bias @ flat).reshape(count, m)
        for k, linear in zip(layer.inputs, layer.maps, strict=True):
            pulled = linear.apply_transpose(flat)
            waiting[k] = waiting[k] + pulled if k in waiting else pulled
        number = max(waiting)
        behind = waiting.pop(number)
        weights = behind.reshape(len(behind), count, m)
        if number == 0:
            return np.ascontiguousarray(weights.transpose(1, 2, 0)), constant
        weights, extra = _through_activation(network, number, weights, patterns)
        constant += extra


def _through_activation(
    network: Network, number: int, weights: FloatArray, patterns: PatternArray
) -> tuple[FloatArray, FloatArray]:
    """Combinations of a layer's outputs as combinations of its pre-activations, and constants ``[B, m]``."""
    layer = network.layers[number - 1]
    if layer.activation is None:
        return weights, np.zeros(weights.shape[1:])
    pieces = layer.activation.affine(network.layer_pattern(number, patterns).T)
    sloped = pieces.slope[:, :, None] * weights
    constant = np.einsum("ub,ubm->bm", pieces.intercept, weights)
    if pieces.own:
        return sloped, constant
    out = np.zeros((len(layer.bias), *weights.shape[1:]))
    np.add.at(out, (pieces.source, np.arange(weights.shape[1])), sloped)
    return out, constant

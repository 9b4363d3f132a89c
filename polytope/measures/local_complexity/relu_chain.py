"""The crossing count of a chain of dense layers with ReLU on a CPU, by native steps (core/crossing.hpp)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polytope._core import crossings, last_layer, next_layer, second_layer
from polytope.batched.network import BatchedNetwork
from polytope.ir.maps import FloatArray, IntArray

Reals = NDArray[Any]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class ReluChain:
    """A network whose activations are ReLU layers one after the other, dense from the second on.

    Arguments:
        net: the network on torch; its first layer with an activation may be any affine map of the input.
        weights: the matrices of the layers from the second on, transposed, ``[n, m]``.
        biases: their biases.
        squares: the squares of the last matrix, transposed, ``[n, m]``.
    """

    net: BatchedNetwork
    weights: tuple[Reals, ...]
    biases: tuple[Reals, ...]
    squares: Reals

    @classmethod
    def of(cls, net: BatchedNetwork) -> ReluChain | None:
        """The chain that a network is, or ``None`` where it is none or not in a CPU's float types."""
        if net.place.device.type != "cpu" or net.dtype not in ("float32", "float64"):
            return None
        layers = [(k, layer) for k, layer in enumerate(net.layers, start=1) if layer.activation]
        if len(layers) < 2 or not layers[0][1].affine or layers[0][1].nonlinear:
            return None
        matrices, biases = [], []
        for (before, _), (_, layer) in pairwise(layers):
            matrix = layer.maps[0].matrix
            if layer.inputs != (before,) or matrix is None:
                return None
            matrices.append(matrix.numpy())
            biases.append(layer.bias.numpy())
        if not all(layer.activation and layer.activation.relu for _, layer in layers):
            return None
        weights = tuple(np.ascontiguousarray(W.T) for W in matrices)
        return cls(net, weights, tuple(biases), weights[-1] ** 2)

    def offsets(self, moves: FloatArray) -> Reals:
        """What directions ``[P, d]`` add to the first layer, ``[P, n]``."""
        parts = self.net.affine_parts(self.net.place.numbers(moves), linear=True)
        first = next(k for k, layer in enumerate(self.net.layers) if layer.activation)
        part = parts[first]
        assert part is not None, "the first hidden layer reads the input"
        return np.ascontiguousarray(part.numpy())

    def count(self, points: FloatArray, offsets: Reals, batch: int) -> IntArray:
        """The units of each layer that cross among the vertices, ``int[B, layers]``.

        The centres of all points go through torch together, the vertices of ``batch`` points at a time.
        """
        net = self.net
        rows = net.place.numbers(points)
        centre = [np.ascontiguousarray(z.numpy()) for _, z in net.activations(net.affine_parts(rows))]
        counts = np.zeros((len(centre), len(points)), dtype=np.int64)
        room = [
            np.empty((batch, 2 * len(offsets), len(b)), offsets.dtype)
            for b in self.biases[:-1] or self.biases
        ]
        common, noise = self._common(centre[0], offsets), self._noise(centre[0], offsets)
        for start in range(0, len(points), batch):
            here = slice(start, min(start + batch, len(points)))
            some = [z[: here.stop - here.start] for z in room]
            self._fill([z[here] for z in centre], offsets, common, noise[here], some, counts[:, here])
        return np.ascontiguousarray(counts.T)

    def _common(self, z1: Reals, offsets: Reals) -> tuple[Flags, Reals]:
        """The units that are on at most points, and what they add along the directions."""
        usual = (z1 > 0).mean(axis=0) > 0.5
        return usual, offsets[:, usual] @ self.weights[0][usual]

    def _noise(self, z1: Reals, offsets: Reals) -> Reals:
        """The rounding of the second layer at the vertices, ``[B, m]``: some units of the terms' size."""
        terms = np.maximum(z1, 0) + np.abs(offsets).max(axis=0)
        size: Reals = terms @ np.abs(self.weights[0]) + np.abs(self.biases[0])
        size *= 4 * np.finfo(size.dtype).eps
        return size

    def _fill(
        self,
        centre: list[Reals],
        offsets: Reals,
        common: tuple[Flags, Reals],
        noise: Reals,
        room: list[Reals],
        counts: IntArray,
    ) -> None:
        """Fill ``counts [layers, B]``, with room for the vertices' values of each layer but the ends."""
        second_layer(centre[0], offsets, *common, noise, self.weights[0], centre[1], room[0], counts[0])
        last = len(self.weights) - 1
        if last == 0:
            crossings(room[0], counts[1])
            return
        for k in range(1, last):
            next_layer(room[k - 1], self.weights[k], self.biases[k], room[k], counts[k])
        W, bias = self.weights[last], self.biases[last]
        slack = 8.0 * float(np.finfo(W.dtype).eps) * len(W)
        behind = (centre[last], W, bias, self.squares, centre[last + 1], slack)
        last_layer(room[last - 1], *behind, counts[last], counts[last + 1])

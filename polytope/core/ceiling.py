r"""Certified bounds on how many regions an unexplored cell can hold.

n hyperplanes cut a cell of dimension k into at most :math:`\sum_{j \le k} \binom{n}{j}` parts (Zaslavsky
1975), and on every part the next layer does the same. Where all later layers read a layer of n ReLUs, at most
:math:`\binom{n}{j}` parts have j units off, and their image has at most n - j dimensions (Serra,
Tjandraatmadja, Ramalingam 2018, arXiv 1711.02114):
:math:`T_l(k) = \sum_{j \le \min(k, n)} \binom{n}{j} T_{l+1}(\min(k, n - j))`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from polytope.ir import Network
from polytope.ir.activations import PiecewiseLinear


@dataclass(frozen=True, eq=False)
class Ceiling:
    """Bounds for the cells of one network in ``dim`` dimensions."""

    network: Network
    dim: int

    @property
    def whole(self) -> int:
        """The most regions of the network."""
        return self._later[0][self.dim]

    def cell(self, number: int, open_hyperplanes: int) -> int:
        """The most regions in a cell that ``open_hyperplanes`` of layer ``number`` (from 1) can still cut."""
        ways = _binomials(open_hyperplanes, self.dim)
        return self._cut(number, ways, self.dim, self._later[number])

    @cached_property
    def _later(self) -> list[list[int]]:
        """For every number of layers and k: the most regions that the layers behind make of k dimensions."""
        bounds = [[1] * (self.dim + 1)]
        for number, layer in reversed(list(enumerate(self.network.layers, start=1))):
            hyperplanes = layer.activation.n_hyperplanes(layer.width) if layer.activation else 0
            ways, last = _binomials(hyperplanes, self.dim), bounds[0]
            bounds.insert(0, [self._cut(number, ways, k, last) for k in range(self.dim + 1)])
        return bounds

    def _cut(self, number: int, ways: Sequence[int], k: int, later: Sequence[int]) -> int:
        rank = self._rank(number, k)
        return sum(way * later[rank(j)] for j, way in enumerate(ways[: k + 1]))

    def _rank(self, number: int, k: int) -> Callable[[int], int]:
        """The dimension of a layer's image of k dimensions, as far as later layers see it, j units off."""
        layer = self.network.layers[number - 1]
        if any(min(later.inputs) < number for later in self.network.layers[number:]):
            return lambda j: k
        width = layer.width
        narrow = min(k, width)
        if not _is_relu(layer.activation):
            return lambda j: narrow
        return lambda j: min(narrow, width - j)


def _binomials(n: int, k: int) -> list[int]:
    """The numbers of subsets of n things with 0, 1, .. min(n, k) of them."""
    ways = [1]
    for j in range(min(n, k)):
        ways.append(ways[-1] * (n - j) // (j + 1))
    return ways


def _is_relu(activation: object) -> bool:
    """Whether every unit has one breakpoint, and is constant on its first piece."""
    return (
        isinstance(activation, PiecewiseLinear)
        and activation.breakpoints.shape[1] == 1
        and not activation.slopes[:, 0].any()
    )

r"""Certified bounds on how many regions an unexplored cell can hold.

n hyperplanes cut a cell of dimension k into at most :math:`\sum_{j \le k} \binom{n}{j}` parts (Zaslavsky
1975), and on every part the next layer does the same. Where all later layers read a layer of n ReLUs, at most
:math:`\binom{n}{j}` parts have j units off, and their image has at most n - j dimensions (Serra,
Tjandraatmadja, Ramalingam 2018, arXiv 1711.02114):
:math:`T_l(k) = \sum_{j \le \min(k, n)} \binom{n}{j} T_{l+1}(\min(k, n - j))`.

In thousands of dimensions these sums take minutes. There the parts that n hyperplanes make are bounded by
:math:`\min(2^n, (n + 1)^k)`, layer by layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from math import prod

from polytope.ir import Network
from polytope.ir.activations import PiecewiseLinear

SUMMED = 1000  # dimensions up to which sums are taken


@dataclass(frozen=True, eq=False)
class Ceiling:
    """Bounds for the cells of one network in ``dim`` dimensions."""

    network: Network
    dim: int

    @property
    def whole(self) -> int:
        """The most regions of the network."""
        return self.summed if self.dim <= SUMMED else prod(self._most)

    @property
    def summed(self) -> int:
        """The same, by the sums in any dimension."""
        return self._later[0][self.dim]

    def cell(self, number: int, open_hyperplanes: int) -> int:
        """The most regions in a cell that ``open_hyperplanes`` of layer ``number`` (from 1) can still cut."""
        if self.dim > SUMMED:
            return _most_parts(open_hyperplanes, self.dim) * prod(self._most[number:])
        ways = _binomials(open_hyperplanes, self.dim)
        return self._cuts(number, ways, self.dim, self._later[number])(self.dim)

    @cached_property
    def _hyperplanes(self) -> list[int]:
        """How many hyperplanes each layer has."""
        layers = self.network.layers
        return [la.activation.n_hyperplanes(la.width) if la.activation else 0 for la in layers]

    @cached_property
    def _most(self) -> list[int]:
        """For every layer, more than the parts that it makes of a cell."""
        most, k = [], self.dim
        for number, n in enumerate(self._hyperplanes, start=1):
            most.append(_most_parts(n, k))
            k = self._rank(number, k, 0)
        return most

    @cached_property
    def _later(self) -> list[dict[int, int]]:
        """For every layer and the k that matter: the most regions that those behind make of k dimensions."""
        layers = list(enumerate(self.network.layers, start=1))
        ways = [_binomials(n, self.dim) for n in self._hyperplanes]
        reached = [{self.dim}]
        for (number, _), mine in zip(layers, ways, strict=True):
            found = {
                self._rank(number, k, j) for k in reached[-1] for j in self._falling(number, k, len(mine))
            }
            reached.append({self.dim, *found, *(self._rank(number, k, 0) for k in reached[-1])})
        bounds = [dict.fromkeys(reached[-1], 1)]
        for number, _ in reversed(layers):
            cut = self._cuts(number, ways[number - 1], max(reached[number - 1]), bounds[0])
            bounds.insert(0, {k: cut(k) for k in reached[number - 1]})
        return bounds

    def _cuts(
        self, number: int, ways: Sequence[int], most: int, later: Mapping[int, int]
    ) -> Callable[[int], int]:
        """The regions of k dimensions, k up to ``most``: sums over the ways to choose units of the layer."""
        falling = self._falling(number, most, len(ways))
        terms = (ways[j] * later[self._rank(number, most, j)] for j in falling)
        choices, falls = list(accumulate(ways)), list(accumulate(terms, initial=0))

        def cut(k: int) -> int:
            mine = self._falling(number, k, len(ways))
            total = choices[mine.start - 1] * later[self._rank(number, k, 0)]
            return total + (
                falls[mine.stop - falling.start] - falls[mine.start - falling.start] if mine else 0
            )

        return cut

    def _falling(self, number: int, k: int, ways: int) -> range:
        """The numbers of units that are off, from 1, at which the image has fewer dimensions than at 0."""
        end = min(k + 1, ways)
        if not self._shrinks[number - 1]:
            return range(end, end)
        width = self.network.layers[number - 1].width
        return range(min(max(width - min(k, width) + 1, 1), end), end)

    def _rank(self, number: int, k: int, off: int) -> int:
        """The dimension of a layer's image of k dimensions, as far as later layers see it, some units off."""
        if not self._alone[number - 1]:
            return k
        width = self.network.layers[number - 1].width
        return min(k, width - off) if self._shrinks[number - 1] else min(k, width)

    @cached_property
    def _alone(self) -> list[bool]:
        """For each layer whether all later ones read it, or what follows from it, alone."""
        first = [min(layer.inputs) for layer in self.network.layers] + [len(self.network.layers)]
        least = list(accumulate(reversed(first), min))[::-1]
        return [least[number] >= number for number in range(1, len(first))]

    @cached_property
    def _shrinks(self) -> list[bool]:
        """For each layer whether units that are off take dimensions from its image."""
        layers = zip(self.network.layers, self._alone, strict=True)
        return [alone and _is_relu(layer.activation) for layer, alone in layers]


def _binomials(n: int, k: int) -> list[int]:
    """The numbers of subsets of n things with 0, 1, .. min(n, k) of them."""
    ways = [1]
    for j in range(min(n, k)):
        ways.append(ways[-1] * (n - j) // (j + 1))
    return ways


def _most_parts(n: int, k: int) -> int:
    """At least the number of parts that n hyperplanes make of k dimensions."""
    every = 1 << n
    if k * (n + 1).bit_length() > 2 * n:
        return every  # the power is larger
    power: int = (n + 1) ** k
    return min(every, power)


def _is_relu(activation: object) -> bool:
    """Whether every unit has one breakpoint, and is constant on its first piece."""
    return (
        isinstance(activation, PiecewiseLinear)
        and activation.breakpoints.shape[1] == 1
        and not activation.slopes[:, 0].any()
    )

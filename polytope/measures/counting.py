r"""Bounds on the number of activation regions that any weights of an architecture can give.

d is the input dimension, :math:`n_l` the width of hidden layer l, :math:`d_l = \min(d, n_1, \dots, n_l)`.
Upper bounds hold for every network of these widths; the lower bound is reached by some network, so a given
one may have fewer regions.

References:
    Zaslavsky (1975), "Facing up to Arrangements", https://doi.org/10.1090/memo/0154
    Montufar, Pascanu, Cho, Bengio (2014), "On the Number of Linear Regions of Deep Neural Networks",
    https://arxiv.org/abs/1402.1869
    Montufar (2017), "Notes on the number of linear regions of deep neural networks"
    Raghu, Poole, Kleinberg, Ganguli, Sohl-Dickstein (2017), https://arxiv.org/abs/1606.05336
    Serra, Tjandraatmadja, Ramalingam (2018), "Bounding and Counting Linear Regions of Deep Neural Networks",
    https://arxiv.org/abs/1711.02114
    Hinz, van de Geer (2019), "A Framework for the Construction of Upper Bounds on the Number of Affine
    Linear Regions of ReLU Feed-Forward Neural Networks", https://arxiv.org/abs/1806.01918
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import comb, prod

import numpy as np

from polytope.core.ceiling import Ceiling
from polytope.given import NetworkLike, as_network
from polytope.ir import Layer, Network, mlp


@dataclass(frozen=True)
class RegionBounds:
    """Bounds on the number of activation regions, by author.

    Arguments:
        zaslavsky: the product over layers of the cells of a generic arrangement of ``n_l`` hyperplanes in
            ``R^d_l``; the exact maximum for one hidden layer.
        montufar: the same number: Montufar (2017) proved it for deep networks.
        raghu: the same with d in every layer.
        serra: counts that a unit that is off lowers the dimension of all later layers; needs ReLU, and is
            ``montufar`` for activations without one.
        hinz: the same idea as histograms of image dimensions, pushed through the layers.
        trivial: ``2^N`` patterns of N units.
        lower: regions that some network of these widths has; ``None`` where no construction applies
            (a layer before the last narrower than d, or activations other than ReLU).
    """

    zaslavsky: int
    montufar: int
    raghu: int
    serra: int
    hinz: int
    trivial: int
    lower: int | None

    @property
    def upper(self) -> int:
        """The least of the upper bounds."""
        return min(self.montufar, self.raghu, self.serra, self.hinz, self.trivial)


def region_bounds(network: NetworkLike | None = None, *, widths: Sequence[int] | None = None) -> RegionBounds:
    r"""Bounds on the number of activation regions in the whole input space.

    .. math:: \prod_l \sum_{j \le d_l} \binom{n_l}{j} \ge
        \sum_{(j_1, \dots, j_L)} \prod_l \binom{n_l}{j_l}, \quad
        0 \le j_l \le \min(n_0, n_1 - j_1, \dots, n_{l-1} - j_{l-1}, n_l)

    are Montufar's and Serra's; the lower bound is
    :math:`\prod_{l<L} (\lfloor n_l / d \rfloor + 1)^d \sum_{j \le d} \binom{n_L}{j}` (Serra et al.; without
    the + 1 where :math:`n_l < 3d`: Montufar et al. 2014).

    Arguments:
        network: a chain of layers whose units have two pieces each; or
        widths: input dimension and widths of the hidden layers of a ReLU network, without the output.

    Raises:
        ValueError: both or none are given, a width is not positive, the network is not a chain, or a unit has
            more than two pieces.

    Example:
        >>> found = region_bounds(widths=[4, 6, 6])
        >>> found.serra, found.raghu
        (2424, 3249)
    """
    if (network is None) == (widths is None):
        raise ValueError("region_bounds: give a network, or widths=[d, n_1, ..., n_L].")
    if network is None:
        assert widths is not None, "one of them is given"
        network = _of_widths(widths)
    network = as_network(network)
    steps = [_step(network, i) for i in range(len(network.layers))]
    d, hidden = network.input_dim, network.widths
    montufar, rank = 1, d
    for step in steps:
        rank = min(rank, step.width)
        montufar *= _cells(step.width, rank) if step.hidden else 1
    only_relu = all(step.off for step in steps[:-1]) and (steps[-1].off or not steps[-1].hidden)
    return RegionBounds(
        zaslavsky=montufar,
        montufar=montufar,
        raghu=prod(_cells(n, d) for n in hidden),
        serra=Ceiling(network, d).summed,
        hinz=_hinz(d, steps),
        trivial=2 ** sum(hidden),
        lower=_lower(d, hidden) if only_relu else None,
    )


def _of_widths(widths: Sequence[int]) -> Network:
    """A ReLU network of these widths."""
    if len(widths) < 2 or any(int(n) != n or n < 1 for n in widths):
        raise ValueError(f"widths must be d and at least one layer, positive integers, not {list(widths)}.")
    sizes = [*map(int, widths), 1]
    return mlp([(np.zeros((n, m)), np.zeros(n)) for m, n in pairwise(sizes)])


@dataclass(frozen=True)
class _Step:
    """A layer: its width, whether it has an activation, and whether a piece of every unit is constant."""

    width: int
    hidden: bool
    off: bool


def _step(network: Network, i: int) -> _Step:
    layer: Layer = network.layers[i]
    if layer.inputs != (i,):
        raise ValueError(f"region_bounds: layer {i + 1} does not read the layer before it alone.")
    if layer.activation is None:
        return _Step(layer.width, hidden=False, off=False)
    n = len(layer.bias)
    units = range(layer.width)
    low = layer.activation.affine(np.zeros(layer.width, dtype=np.int8))
    if not low.own or any(layer.activation.n_pieces(unit) > 2 for unit in units):
        raise ValueError(f"region_bounds: layer {i + 1} has units of more than two pieces.")
    return _Step(n, hidden=True, off=bool((low.slope == 0).all()))


def _cells(n: int, d: int) -> int:
    """Cells of a generic arrangement of n hyperplanes in R^d (Zaslavsky)."""
    return sum(comb(n, j) for j in range(min(n, d) + 1))


def _hinz(dimension: int, steps: Sequence[_Step]) -> int:
    """Histograms of image dimensions, pushed forward: a matrix of binomials, clipped, for each layer."""
    histogram = np.array([0] * dimension + [1], dtype=object)
    for step in steps:
        n = step.width
        clipped = np.array([0] * (dimension + 1), dtype=object)
        np.add.at(clipped, np.minimum(np.arange(dimension + 1), n), histogram)
        if not step.hidden:
            histogram = clipped
            continue
        push = np.zeros((dimension + 1, dimension + 1), dtype=object)
        for k in range(min(dimension, n) + 1):
            for j in range(k + 1):
                push[min(k, n - j) if step.off else k, k] += comb(n, j)
        histogram = push @ clipped
    return int(histogram.sum())


def _lower(d: int, hidden: Sequence[int]) -> int | None:
    """The regions of a known construction."""
    if not hidden or any(n < d for n in hidden[:-1]):
        return None
    folds = prod((n // d + int(n >= 3 * d)) ** d for n in hidden[:-1])
    return int(folds) * _cells(hidden[-1], d)

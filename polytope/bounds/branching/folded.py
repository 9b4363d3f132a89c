r"""A network on a set of inputs where most units stay on one piece: what these do becomes part of the maps.

Every value is :math:`M_0 x + \sum_k M_k h_k + c`, of the input and of the units that are left. Products and
sums are rounded; how far pre-activations may be from those of the given network, for all inputs of the set,
is added up beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from polytope.ir.activations import PatternArray, PiecewiseLinear
from polytope.ir.layers import Layer
from polytope.ir.maps import Dense, Diagonal, FloatArray, IntArray, LinearMap, Selection, Sparse
from polytope.ir.network import Network
from polytope.ir.sweep import outputs

SHARE = 2.0**-50  # eight times the relative error of one operation
LOST = 2.0**-1000  # more than what operations can lose by underflow
ENTRIES = 1 << 24  # numbers in one product
WORTH = 0.7  # of the numbers of the given maps, at most


@dataclass(frozen=True, eq=False)
class Folded:
    """A network of the units that are left.

    Arguments:
        network: the network.
        left: ``int[k]``, its units among those of the given network.
        pattern: ``int8[units]``, the piece of every unit of the given network that is not left.
        off: for every layer ``[n]``, how far pre-activations may be from those of the given network.
    """

    network: Network
    left: IntArray
    pattern: PatternArray
    off: tuple[FloatArray, ...]


def folded(
    network: Network,
    ends: Sequence[FloatArray],
    pieces: Sequence[PatternArray],
    box: FloatArray,
    *,
    worth: float = WORTH,
) -> Folded:
    """The network without the units that stay on one piece, where that makes it cheaper.

    Arguments:
        network: of units that each have breakpoints of their own; its last layer is affine.
        ends: for every layer with an activation ``[2, n]``, bounds of its pre-activations on the set.
        pieces: for each of these ``int8[2, n]``, the pieces of these bounds.
        box: ``[2, d]``, around the set.
        worth: how many numbers the new maps may have, as a share of those of the given ones.
    """
    none = np.zeros(0, dtype=np.int8)
    pattern = np.concatenate([none, *(first for first, _ in pieces)])
    left = np.flatnonzero(np.concatenate([none.astype(bool), *(first != last for first, last in pieces)]))
    if not _pays(network, pieces, worth):
        every = np.arange(network.n_units)
        return Folded(network, every, pattern, tuple(np.zeros(len(la.bias)) for la in network.layers))
    made = _Made(list(ends), list(pieces), [np.abs(box).max(axis=0)])
    with np.errstate(over="ignore", invalid="ignore"):
        start = _Value({}, np.zeros(network.input_dim), np.zeros(network.input_dim))
        made.add(outputs(network, start, made), None)
    layers = tuple(made.layers)
    return Folded(replace(network, layers=layers), left, pattern, tuple(made.off))


def error_of(small: Folded) -> FloatArray:
    """How far the outputs of a folded network may be from those of the given one on the set, ``[out]``."""
    values = [np.zeros(small.network.input_dim)]
    for layer, off in zip(small.network.layers, small.off, strict=True):
        z = off.copy()
        for k, absolute in zip(layer.inputs, layer.absolute_maps, strict=True):
            z += absolute.apply(values[k][:, None])[:, 0]
        phi = layer.activation
        steep = np.abs(phi.slopes).max(axis=1) if isinstance(phi, PiecewiseLinear) else 1.0
        values.append(z * steep * (1 + 2.0**-20))
    return values[-1]


def _pays(network: Network, pieces: Sequence[PatternArray], worth: float) -> bool:
    """Whether the maps of the units that are left have fewer numbers than those of the network."""
    maps = [linear for layer in network.layers for linear in layer.maps]
    if not all(isinstance(linear, Dense | Sparse | Diagonal | Selection) for linear in maps):
        return False
    widest = max(max(linear.shape) for linear in maps)
    left = [int((first != last).sum()) for first, last in pieces]
    before = np.cumsum([network.input_dim, *left])
    after = sum(n * int(m) for n, m in zip([*left, network.output_dim], before, strict=True))
    return widest * int(before[-1]) <= ENTRIES and after <= worth * sum(map(_numbers, maps))


def _numbers(linear: LinearMap) -> int:
    return int(np.prod(linear.shape)) if isinstance(linear, Dense) else int(linear.to_sparse().nnz)


@dataclass(frozen=True, eq=False)
class _Value:
    """A value by the input and the units that are left, ``factors[k] @ h_k + constant``, up to ``off``.

    The input itself has no factors.
    """

    factors: dict[int, FloatArray]
    constant: FloatArray
    off: FloatArray


@dataclass(eq=False)
class _Made:
    """The layers of the new network, which come into being on the way.

    Arguments:
        ends, pieces: of the layers with activations that are still to come.
        sizes: largest absolute values of the input and of the new layers' outputs.
        layers, off: the new layers, and how far their pre-activations are off.
    """

    ends: list[FloatArray]
    pieces: list[PatternArray]
    sizes: list[FloatArray]

    def __post_init__(self) -> None:
        self.layers: list[Layer] = []
        self.off: list[FloatArray] = []

    def affine(self, number: int, layer: Layer, reads: Sequence[_Value]) -> _Value:
        factors: dict[int, FloatArray] = {}
        constant, size, off = layer.bias.copy(), np.abs(layer.bias), np.zeros(len(layer.bias))
        terms = len(layer.inputs)
        for linear, absolute, h in zip(layer.maps, layer.absolute_maps, reads, strict=True):
            columns = {0: linear.to_sparse().toarray()} if not h.factors else {}
            for k, factor in h.factors.items():
                columns[k] = linear.apply(factor)
            for k, table in columns.items():
                factors[k] = factors[k] + table if k in factors else table
            constant += linear.apply(h.constant[:, None])[:, 0]
            most = self._size(h)
            size = size + absolute.apply(most[:, None])[:, 0]
            off = off + absolute.apply(h.off[:, None])[:, 0]
            terms += linear.shape[1] + sum(table.shape[1] for table in columns.values())
        return _Value(factors, constant, off * (1 + SHARE) + SHARE * (8 + terms) * size + LOST)

    def _size(self, h: _Value) -> FloatArray:
        """Sums of absolute terms of a value."""
        if not h.factors:
            return self.sizes[0]
        total: FloatArray = np.abs(h.constant) + h.off
        for k, factor in h.factors.items():
            total = total + np.abs(factor) @ self.sizes[k]
        return total * (1 + 2.0**-20)

    def activate(self, number: int, layer: Layer, z: _Value) -> _Value:
        (low, high), (first, last) = self.ends.pop(0), self.pieces.pop(0)
        maps, size = layer.phi.affine(first), self._size(z)
        slope, steep = maps.slope, np.abs(maps.slope)
        stays = np.flatnonzero(first != last)
        here = np.ones(len(first))
        here[stays] = 0.0
        factors = {k: (here * slope)[:, None] * factor for k, factor in z.factors.items()}
        constant = here * (slope * z.constant + maps.intercept)
        off = here * (steep * z.off + 8 * SHARE * (steep * size + np.abs(maps.intercept)) + LOST)
        if len(stays):
            restricted, _ = layer.phi.restricted(stays)
            some = _Value({k: f[stays] for k, f in z.factors.items()}, z.constant[stays], z.off[stays])
            self.add(some, restricted)
            self.sizes.append(np.abs(restricted.value_ranges(low[stays], high[stays])).max(axis=0))
            place = np.zeros((len(first), len(stays)))
            place[stays, np.arange(len(stays))] = 1.0
            factors[len(self.layers)] = place
        return _Value(factors, constant, off)

    def add(self, z: _Value, activation: object) -> None:
        """A layer that computes a value."""
        used = {k: f for k, f in z.factors.items() if k == 0 or f.any()}
        maps = tuple(Dense(np.ascontiguousarray(f)) for f in used.values())
        self.layers.append(Layer(tuple(used), maps, z.constant, activation))  # type: ignore[arg-type]
        self.off.append(z.off)

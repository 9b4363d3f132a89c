r"""A network as rows over its input and its units: :math:`z_l = R_l \, (x, h_1, \dots, h_{l-1}, 1)`.

Affine layers are folded away. Units that are constant, and units that are multiples of earlier
ones of their layer, are written in terms of what they are multiples of, so that equal functions of the
input have equal rows however a network spells them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.sparse import csr_array, eye_array, hstack, vstack

from polytope.equivariant.symmetry.matching import Match, UnitSearch
from polytope.equivariant.symmetry.rounding import product
from polytope.ir import Activation, Layer, Network, Sparse
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.same_activation import members
from polytope.ir.sweep import outputs

EQUAL = 2.0**-50  # rows that agree so far are those of one function


@dataclass(frozen=True, eq=False)
class NonlinearLayer:
    """One layer with an activation.

    Arguments:
        rows: ``[n, d + U + 1]``, its pre-activations over the input, all U units, and 1.
        activation: of these units.
        first: the number of its first unit in a pattern.
        read: whether units of later layers read it; otherwise only its breakpoints matter to the regions.
    """

    rows: csr_array
    activation: Activation
    first: int
    read: bool

    @property
    def n_units(self) -> int:
        """Number of units."""
        return self.activation.n_units(self.rows.shape[0])


@dataclass(frozen=True, eq=False)
class Expanded:
    """A network over its input and units.

    Arguments:
        layers: those with activations.
        output: ``[out, d + U + 1]``.
        representative: ``int[U]``, the unit that a unit is a multiple of; itself, or -1 for a constant one.
        factor: ``[U]``, that multiple.
        pieces: for units that are multiples of others, how their pieces follow.
        exact: whether all of this is proved to be free of rounding.
    """

    input_dim: int
    layers: tuple[NonlinearLayer, ...]
    output: csr_array
    representative: IntArray
    factor: FloatArray
    pieces: dict[int, tuple[int, ...]]
    exact: bool

    @property
    def most_pieces(self) -> int:
        """The largest number of pieces of a unit."""
        units = ((la.activation, unit) for la in self.layers for unit in range(la.n_units))
        return max((activation.n_pieces(unit) for activation, unit in units), default=1)


def expanded(network: Network, *, all_values: bool = True) -> Expanded:
    """The rows of a network, equal functions written alike.

    Arguments:
        all_values: whether the values of all units matter, or only the regions.
    """
    raw, output, exact = _folded(network)
    d, total = network.input_dim, network.n_units
    last = d + total
    reads = np.zeros(last + 1, dtype=bool)
    for rows in [*(rows for rows, _, _ in raw), *([output] if all_values else [])]:
        reads[rows.indices] = True
    representative, factor = np.arange(total), np.ones(total)
    pieces: dict[int, tuple[int, ...]] = {}
    reduction = csr_array(eye_array(last + 1))
    layers = []
    for rows, activation, first in raw:
        reduced, unrounded = product(rows, reduction)
        read = reads[d + first : d + first + activation.n_units(rows.shape[0])]
        layer = NonlinearLayer(reduced, activation, first, bool(read.any()))
        layers.append(layer)
        entries = [(k, k, 1.0) for k in range(last + 1)]
        constant = _constants(layer)
        for unit, value in constant.items():
            representative[first + unit] = -1
            entries[d + first + unit] = (d + first + unit, last, value)
        for unit, match in _multiples(layer, set(constant)).items() if layer.read else ():
            representative[first + unit], factor[first + unit] = first + match.unit, match.factor
            pieces[first + unit] = match.pieces
            entries[d + first + unit] = (d + first + unit, d + first + match.unit, match.factor)
            unrounded = unrounded and match.exact
        row, column, entry = (np.array(part) for part in zip(*entries, strict=True))
        reduction = csr_array(reduction @ csr_array((entry, (row, column)), shape=reduction.shape))
        exact = exact and unrounded
    output, unrounded = product(output, reduction)
    return Expanded(d, tuple(layers), output, representative, factor, pieces, exact and unrounded)


def with_outputs(network: Network, rows: csr_array) -> Network:
    """The network with other outputs, ``rows [out, d + U + 1]`` over its input, its units, and 1."""
    d, hidden = network.input_dim, [n for n, la in enumerate(network.layers, start=1) if la.activation]
    ends = [0, d, *(d + network.unit_offsets[n] for n in hidden)]
    maps = tuple(Sparse(csr_array(rows[:, a:b])) for a, b in pairwise(ends))
    last = Layer((0, *hidden), maps, rows[:, [rows.shape[1] - 1]].toarray()[:, 0])
    return replace(
        network,
        layers=(*network.layers, last),
        output_names=("outputs",),
        import_error=None,
        import_note="",
    )


def _folded(network: Network) -> tuple[list[tuple[csr_array, Activation, int]], csr_array, bool]:
    """Rows of the layers with activations, and of the output; whether nothing was rounded."""
    d = network.input_dim
    domain = _Rows(network, d + network.n_units + 1)
    last = outputs(network, _unit_rows(0, d, domain.width), domain)
    return domain.hidden, last, domain.exact


@dataclass(eq=False)
class _Rows:
    """Values as rows over the input, the units, and 1; the hidden layers; whether nothing was rounded."""

    network: Network
    width: int
    hidden: list[tuple[csr_array, Activation, int]] = field(default_factory=list)
    exact: bool = True

    def affine(self, number: int, layer: Layer, reads: Sequence[csr_array]) -> csr_array:
        maps, parts = [], []
        for linear, h in zip(layer.maps, reads, strict=True):
            outermost, *factors = linear.chain()
            for factor in reversed(factors):
                h = self._product(factor.to_sparse(), h)
            maps.append(outermost.to_sparse())
            parts.append(h)
        one = _unit_rows(self.width - 1, 1, self.width)
        return self._product(hstack([*maps, csr_array(layer.bias[:, None])]), vstack([*parts, one]))

    def activate(self, number: int, layer: Layer, z: csr_array) -> csr_array:
        first = self.network.unit_offsets[number - 1]
        self.hidden.append((z, layer.phi, first))
        return _unit_rows(self.network.input_dim + first, layer.width, self.width)

    def _product(self, A: Any, B: Any) -> csr_array:
        rows, unrounded = product(csr_array(A), csr_array(B))
        self.exact = self.exact and unrounded
        return rows


def _unit_rows(first: int, n: int, width: int) -> csr_array:
    """Rows that copy n columns."""
    return csr_array((np.ones(n), (np.arange(n), first + np.arange(n))), shape=(n, width))


def _constants(layer: NonlinearLayer) -> dict[int, float]:
    """Units whose pre-activations do not depend on the input, and their values."""
    n, width = layer.rows.shape
    bias = layer.rows[:, [width - 1]].toarray()[:, 0]
    varies = np.diff(layer.rows.indptr) > (bias != 0)
    read = members(layer.activation, n)
    fixed = ~(np.append(varies, False)[read]).any(axis=1)
    values = layer.activation.values(bias[:, None])[:, 0]
    return {int(unit): float(values[unit]) for unit in np.flatnonzero(fixed)}


def _multiples(layer: NonlinearLayer, constant: set[int]) -> dict[int, Match]:
    """Units that are multiples of an earlier one: of which, and how."""
    search = UnitSearch(layer.rows, layer.activation, EQUAL)
    found: dict[int, Match] = {}
    for unit, alike in search.all_alike(layer.rows, np.arange(layer.n_units), values=True):
        earlier = [match for match in alike if match.unit < unit and match.unit not in found]
        if earlier and unit not in constant:
            found[unit] = earlier[0]
    return found

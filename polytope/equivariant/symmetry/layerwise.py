r"""Symmetries that act on every layer: :math:`h_l(\rho(g) x) = M_l(g) \, h_l(x)` with monomial matrices M.

A unit at :math:`\rho(g) x` is a multiple of another unit at x. It is found layer by layer: the rows of a
layer behind the action on the layers before are, up to scale, rows of the same layer in another order.

References: Bökman, Kahl (2023), "Investigating how ReLU-networks encode symmetries",
https://arxiv.org/abs/2305.17017 (when symmetric networks are symmetric layer by layer)
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from polytope.equivariant.symmetry.expanded import Expanded, NonlinearLayer, expanded
from polytope.equivariant.symmetry.matching import Match, UnitSearch
from polytope.equivariant.symmetry.rounding import product
from polytope.given import NetworkLike, as_network
from polytope.ir.activations import PatternArray
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.oneline import one_line


@dataclass(frozen=True, eq=False)
class LayerwiseAction:
    """What a linear map of the input does to the units of a network.

    Arguments:
        matrix: ``[d, d]``, the map of the input, ``rho(g)``.
        source, scale: ``int[U]``, ``[U]``: unit i at rho(g) x is ``scale[i]`` times unit ``source[i]`` at x.
        pieces: ``int8[U, p]``, the piece that unit i is on at rho(g) x, for each piece of its source at x.
        widths: units of each layer with an activation.
        output: ``[out, d + U + 1]``, the outputs at rho(g) x over the input, the units at x, and 1.
        error: largest difference between rows that were matched, relative to their size.
        exact: whether all are proved to be equal in exact arithmetic, for the weights and matrix as they are.
    """

    matrix: FloatArray
    source: IntArray
    scale: FloatArray
    pieces: PatternArray
    widths: tuple[int, ...]
    output: csr_array
    error: float
    exact: bool

    __repr__ = one_line

    def matrices(self) -> list[FloatArray]:
        """The monomial matrices ``M_l [n_l, n_l]`` of the layers with activations, in order."""
        ends = np.cumsum([0, *self.widths])
        out = []
        for first, last in pairwise(ends.tolist()):
            M = np.zeros((last - first, last - first))
            M[np.arange(last - first), self.source[first:last] - first] = self.scale[first:last]
            out.append(M)
        return out

    def move(self, patterns: PatternArray) -> PatternArray:
        """The patterns at rho(g) x for patterns at x.

        Arguments:
            patterns: ``int8[R, U]``, the pieces that the U units are on.

        Returns:
            ``int8[R, U]``.
        """
        moved: PatternArray = self.pieces[np.arange(len(self.source)), patterns[:, self.source]]
        return moved


def layerwise_symmetry(
    network: NetworkLike, matrix: ArrayLike, *, tolerance: float = 1e-9, values: bool = True
) -> LayerwiseAction | None:
    """How the units of a network follow a linear map of its input; ``None`` if they do not.

    Arguments:
        network: the network.
        matrix: ``[d, d]``, the map of the input.
        tolerance: largest difference between rows, relative to their largest entry.
        values: whether all units must be multiples of units. Otherwise units that no later layer reads must
            only have the same breakpoints, up to sign: enough for the regions to be mapped to regions.

    Returns:
        The action, or ``None`` if some unit follows no unit.

    Raises:
        ValueError: the matrix does not fit the input.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0], [-2.0]], [0.0, 0.0]), ([[2.0, 1.0]], [0.0])])  # 2 |x|
        >>> action = layerwise_symmetry(net, [[-1.0]])
        >>> action.source.tolist(), action.scale.tolist()
        ([1, 0], [0.5, 2.0])
    """
    return follow(expanded(as_network(network), all_values=values), matrix, tolerance=tolerance)


def follow(net: Expanded, matrix: ArrayLike, *, tolerance: float) -> LayerwiseAction | None:
    """The same for a network that is expanded already."""
    P = np.asarray(matrix, dtype=float)
    d = net.input_dim
    if P.shape != (d, d) or not np.isfinite(P).all():
        raise ValueError(f"layerwise_symmetry: expected a finite matrix [{d}, {d}], got shape {P.shape}.")
    total = len(net.factor)
    source, scale, error, exact = np.arange(total), np.ones(total), 0.0, net.exact
    pieces = np.tile(np.arange(net.most_pieces, dtype=np.int8), (total, 1))
    action = _InputAction(P, d + total + 1)
    for layer in net.layers:
        moved, unrounded = product(layer.rows, action.matrix())
        found = _followed(net, layer, moved, tolerance)
        if found is None:
            return None
        error = max([error, *(match.error for match in found.values())])
        exact = exact and unrounded and all(match.exact for match in found.values())
        for unit, match in found.items():
            action.add(d + layer.first + unit, d + layer.first + match.unit, match.factor)
        _spread(net, layer, found, source, scale, pieces)
    widths = tuple(layer.n_units for layer in net.layers)
    output, unrounded = product(net.output, action.matrix())
    return LayerwiseAction(P, source, scale, pieces, widths, output, error, exact and unrounded)


class _InputAction:
    """The columns at rho(g) x in terms of those at x: the input, the units known so far, and 1."""

    def __init__(self, P: FloatArray, width: int) -> None:
        rows, columns = np.nonzero(P)
        self._rows, self._columns = [*rows.tolist(), width - 1], [*columns.tolist(), width - 1]
        self._values = [*P[rows, columns].tolist(), 1.0]
        self._width = width

    def add(self, row: int, column: int, value: float) -> None:
        """One more unit."""
        self._rows.append(row)
        self._columns.append(column)
        self._values.append(value)

    def matrix(self) -> csr_array:
        """As a sparse matrix."""
        shape = (self._width, self._width)
        return csr_array((self._values, (self._rows, self._columns)), shape=shape)


def _followed(
    net: Expanded, layer: NonlinearLayer, moved: csr_array, tolerance: float
) -> dict[int, Match] | None:
    """For each representative unit of a layer the one that it follows, each unit at most once."""
    own = net.representative[layer.first : layer.first + layer.n_units] == layer.first + np.arange(
        layer.n_units
    )
    search = UnitSearch(layer.rows, layer.activation, tolerance)
    found: dict[int, Match] = {}
    taken: set[int] = set()
    for unit, alike in search.all_alike(moved, np.flatnonzero(own), values=layer.read):
        free = [m for m in alike if own[m.unit] and m.unit not in taken]
        if not free:
            return None
        best = min(free, key=lambda m: (m.error > 0, m.scale < 0, m.unit != unit, m.error))
        found[unit] = best
        if layer.read:
            taken.add(best.unit)
    return found


def _spread(
    net: Expanded,
    layer: NonlinearLayer,
    found: dict[int, Match],
    source: IntArray,
    scale: FloatArray,
    pieces: PatternArray,
) -> None:
    """Write what representatives do into the tables, and let the multiples of each follow it."""
    kinds: dict[int, list[int]] = {}
    for unit in range(layer.first, layer.first + layer.n_units):
        kinds.setdefault(int(net.representative[unit]), []).append(unit)
    for unit, match in found.items():
        mine, theirs = kinds[layer.first + unit], kinds[layer.first + match.unit]
        if len(mine) != len(theirs):
            theirs = [layer.first + match.unit] * len(mine)
        for i, j in zip(mine, theirs, strict=True):
            source[i], scale[i] = j, net.factor[i] * match.factor / net.factor[j]
            back = {p: q for q, p in enumerate(net.pieces.get(j, range(len(match.pieces))))}
            forth = net.pieces.get(i, range(len(match.pieces)))
            for p in back:
                pieces[i, p] = forth[match.pieces[back[p]]]

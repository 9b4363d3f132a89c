r"""How far a network is from following a linear map of its input, layer by layer.

With :math:`v = (x, h_1, \dots, h_L, 1)`, every pre-activation is a row :math:`r_i v`. At :math:`P x` a unit
is taken for s times the unit j of its layer whose row it nearly reads. Its pre-activation is then off by
:math:`(r'_i - s \, r_j) v`, where :math:`r'_i` is its own row over the units that the layers in front were
taken for; what is off goes through the layers behind by their Jacobians (``bounds.differences``). Weights
that are symmetric but for rounding give a bound of the size of that rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array, eye_array, hstack

from polytope.bounds.differences import carried_on
from polytope.bounds.intervals import LOST, ends, middle_radius, moved, room
from polytope.bounds.linear_bounds import linear_bounds
from polytope.equivariant.symmetry.matching import Match, UnitSearch
from polytope.equivariant.symmetry.rounding import powers_of_two
from polytope.ir import Dense, Layer, Network
from polytope.ir.activations import Activation
from polytope.ir.algebra import identity
from polytope.ir.looking import look
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.same_activation import members, same_activation
from polytope.ir.sweep import outputs

TOLERANCES = (2.0**-44, 2.0**-32, 2.0**-20, 2.0**-10)  # of rows, tried in turn; any match gives a bound


def defect_bounds(network: Network, into: FloatArray, out: FloatArray, box: FloatArray) -> FloatArray | None:
    """Low and high of ``f(into x) - out f(x)`` for all x of a box, ``[2, out]``; certified.

    ``None`` where some unit reads nothing like what another reads.

    Arguments:
        network: f, without jumps.
        into, out: matrices of the input and of the outputs.
        box: ``[2, d]``.
    """
    ending = network.then(Network((len(out),), (Layer((0,), (identity(len(out)),), np.zeros(len(out))),)))
    with np.errstate(all="ignore"):
        image = ends(*moved(Dense(into), Dense(np.abs(into)), *middle_radius(box[:, :, None])))[:, :, 0]
        here, there = linear_bounds(ending, box), linear_bounds(ending, image)
        own = _Rows(ending, _sizes(ending, box, here))
        last = outputs(ending, own.start(np.eye(len(into))), own)
        following = _Following(ending, own.size, own.met, own.first)
        try:
            found = outputs(ending, following.start(into), following)
        except _UnlikeError:
            return None
        turned = csr_array(out)
        by_layer = [
            following.off.get(number, np.zeros(len(layer.bias)))
            for number, layer in enumerate(ending.layers, start=1)
        ]
        by_layer[-1] = found.less(_times(turned, abs(turned), last, own.size), own.size)
        slopes = tuple(
            None
            if layer.activation is None
            else layer.activation.slope_ranges(*following.pairs[number].hull(at, moved_to))
            for number, (layer, at, moved_to) in enumerate(
                zip(ending.layers, here, there, strict=True), start=1
            )
        )
        return carried_on(ending, slopes, [np.stack([-off, off]) for off in by_layer])


def _sizes(network: Network, box: FloatArray, known: Sequence[FloatArray]) -> FloatArray:
    """The largest absolute values of the input, of all units, and 1."""
    parts = [np.abs(box).max(axis=0)]
    for layer, z in zip(network.layers, known, strict=True):
        if layer.activation is not None:
            parts.append(np.abs(np.stack(layer.activation.value_ranges(*z))).max(axis=0))
    return np.concatenate([*parts, [1.0]])


@dataclass(frozen=True, eq=False)
class _Value:
    """Values ``rows v``, each off by no more than ``off``."""

    rows: csr_array
    off: FloatArray

    def less(self, other: _Value, size: FloatArray) -> FloatArray:
        """The largest absolute differences from other values, all that rounding may do counted."""
        apart = abs(self.rows - other.rows)
        found: FloatArray = (apart @ size) * (1 + room(len(size))) + (self.off + other.off) * (1 + room(1))
        return np.where(found != 0, found + (8 + len(size)) * LOST, 0.0)  # equal numbers differ by nothing


def _times(A: csr_array, absolute: csr_array, value: _Value, size: FloatArray) -> _Value:
    """A matrix of values."""
    found, off = csr_array(A @ value.rows), absolute @ value.off * (1 + room(A.shape[1]))
    alone = _most(value.rows.indices) <= 1 or (np.diff(A.indptr) <= 1).all()  # products, and no sums
    if alone and any((np.abs(entries) == 1).all() for entries in (A.data, value.rows.data)):
        return _Value(found, off)
    if not alone or not (powers_of_two(A.data) or powers_of_two(value.rows.data)):
        off = off + room(A.shape[1]) * (absolute @ (abs(value.rows) @ size))
    return _Value(found, off + (8 + A.shape[1]) * LOST * (1 + size.sum()))


def _most(places: NDArray[Any]) -> int:
    """How often a place occurs at most."""
    return int(np.bincount(places).max(initial=0))


def _places(rows: csr_array) -> csr_array:
    """Ones where entries are."""
    return csr_array((np.ones(rows.nnz), rows.indices, rows.indptr), shape=rows.shape)


@dataclass(eq=False)
class _Rows:
    """Values of a network over the input, the units, and 1.

    Arguments:
        network: the network.
        size: ``[d + U + 1]``, what input and units are at most.
        met: the pre-activations of the layers with activations so far, by number.
        first: the column of each such layer's first unit.
    """

    network: Network
    size: FloatArray
    met: dict[int, _Value] = field(default_factory=dict)
    first: dict[int, int] = field(default_factory=dict)

    def start(self, matrix: FloatArray) -> _Value:
        """The input times a matrix."""
        return _Value(self._columns(csr_array(matrix), 0), np.zeros(len(matrix)))

    def _columns(self, block: csr_array, first: int) -> csr_array:
        """Rows with a block from some column on."""
        rest = len(self.size) - first - block.shape[1]
        n = block.shape[0]
        return csr_array(hstack([csr_array((n, first)), block, csr_array((n, rest))]))

    def affine(self, number: int, layer: Layer, reads: Sequence[_Value]) -> _Value:
        total = _Value(
            self._columns(csr_array(layer.bias[:, None]), len(self.size) - 1), np.zeros(len(layer.bias))
        )
        for linear, absolute, value in zip(layer.maps, layer.absolute_maps, reads, strict=True):
            chains = list(zip(linear.chain(), absolute.chain(), strict=True))
            for factor, sizes in reversed(chains):
                look()
                value = _times(csr_array(factor.to_sparse()), csr_array(sizes.to_sparse()), value, self.size)
            shared = value.rows.multiply(_places(total.rows)), total.rows.multiply(_places(value.rows))
            rounded = sum(room(1) * (abs(csr_array(part)) @ self.size) for part in shared)
            total = _Value(csr_array(total.rows + value.rows), total.off + value.off + rounded)
        return total

    def activate(self, number: int, layer: Layer, z: _Value) -> _Value:
        self.met[number] = z
        column = self.network.input_dim + self.network.unit_offsets[number - 1]
        self.first[number] = column
        return _Value(self._columns(csr_array(eye_array(layer.width)), column), np.zeros(layer.width))


class _UnlikeError(Exception):
    """A unit that reads nothing like what another reads."""


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Pre-activations i that are taken for ``scale`` times pre-activations j."""

    i: IntArray
    j: IntArray
    scale: FloatArray

    def off(self, mine: _Value, theirs: _Value, size: FloatArray) -> FloatArray:
        """How far all of them are off, ``[n]``."""
        some = _Value(csr_array(mine.rows[self.i]), mine.off[self.i])
        turn, n = csr_array(diags_array(self.scale)), theirs.rows.shape[0]
        chosen = csr_array((np.ones(len(self.j)), (np.arange(len(self.j)), self.j)), shape=(len(self.j), n))
        found = np.zeros(len(mine.off))
        A = csr_array(turn @ chosen)
        np.maximum.at(found, self.i, some.less(_times(A, abs(A), theirs, size), size))
        return found

    def hull(self, here: FloatArray, there: FloatArray) -> FloatArray:
        """Between what pre-activations are at P x, and what they are taken for, ``[2, n]``."""
        low, high = there.copy()
        taken = np.sort(self.scale * here[:, self.j], axis=0)
        np.minimum.at(low, self.i, np.nextafter(taken[0], -np.inf))
        np.maximum.at(high, self.i, np.nextafter(taken[1], np.inf))
        return np.stack([low, high])


@dataclass(eq=False)
class _Following(_Rows):
    """Values at P x over what they are taken for at x.

    Arguments:
        network, size, met, first: as they are at x.
        pairs, off: by layer, what pre-activations are taken for, and how far they are off.
    """

    pairs: dict[int, _Pairs] = field(default_factory=dict)
    off: dict[int, FloatArray] = field(default_factory=dict)

    def activate(self, number: int, layer: Layer, z: _Value) -> _Value:
        own, phi = self.met[number], layer.phi
        found = _matches(phi, own.rows, z.rows)
        group = members(phi, len(layer.bias))
        pairs = [
            (int(group[unit, m.pieces[p]]), int(j), m.scale)
            for unit, m in enumerate(found)
            for p, j in enumerate(group[m.unit][group[m.unit] >= 0])
            if group.shape[1] > 1
        ] or [(unit, m.unit, m.scale) for unit, m in enumerate(found)]
        i, j, scale = (np.array(part) for part in zip(*pairs, strict=True))
        self.pairs[number] = _Pairs(i, j, scale)
        self.off[number] = self.pairs[number].off(z, own, self.size)
        sources, factors = [m.unit for m in found], [m.factor for m in found]
        shape = layer.width, layer.width
        block = csr_array((factors, (np.arange(layer.width), sources)), shape=shape)
        return _Value(self._columns(block, self.first[number]), np.zeros(layer.width))


def _matches(phi: Activation, rows: csr_array, moved: csr_array) -> list[Match]:
    """For every unit the one whose rows its own are nearest to; another one for each of several alike."""
    found: dict[int, Match] = {}
    taken: set[int] = set()
    n = phi.n_units(rows.shape[0])
    silent = _silent(phi, rows, n), _silent(phi, moved, n)
    if silent[0].any():
        quiet = int(np.flatnonzero(silent[0])[0])
        same = Match(quiet, 1.0, 1.0, tuple(range(phi.n_pieces(quiet))), 0.0, True)
        found = {int(u): same for u in np.flatnonzero(silent[1])}
    for tolerance in TOLERANCES:
        search = UnitSearch(rows, phi, tolerance)
        left = np.array([unit for unit in range(n) if unit not in found], dtype=np.int64)
        for unit, alike in search.all_alike(moved, left, values=True):
            look()
            usable = [m for m in (_exactly_alike(phi, unit, m) for m in alike) if m is not None]
            if usable:
                found[unit] = min(usable, key=lambda m: (m.unit in taken, m.error, m.unit))
                taken.add(found[unit].unit)
            elif tolerance == TOLERANCES[-1]:
                raise _UnlikeError
    return [found[unit] for unit in range(n)]


def _silent(phi: Activation, rows: csr_array, n: int) -> NDArray[np.bool_]:
    """Units that read nothing."""
    empty = np.append(np.asarray(abs(rows).sum(axis=1)).ravel() == 0, True)
    return np.asarray(empty[members(phi, rows.shape[0])].all(axis=1))


def _exactly_alike(phi: Activation, unit: int, match: Match) -> Match | None:
    """The match with a scale for which one unit is exactly a multiple of the other; ``None`` without one."""
    near = float(np.sign(match.scale) * 2.0 ** np.round(np.log2(abs(match.scale))))
    scale = near if abs(near - match.scale) <= TOLERANCES[-1] * abs(near) else match.scale
    places = np.argsort(match.pieces) if scale > 0 else match.pieces
    same = same_activation(phi, unit, match.unit, scale, list(places), values=True, tolerance=0.0)
    if same is None or not same.exact:
        return None
    return Match(match.unit, scale, same.factor, same.pieces, match.error, False)

"""Where units change pieces: every boundary between two of their pieces, once, as a function of z."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import overload

import numpy as np

from polytope.ir.activations import Activation, MaxGroups, PatternArray, PiecewiseLinear
from polytope.ir.looking import look
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.network import Network

LOOKS = 4096  # units or boundaries between two looks, at most

PieceRow = tuple[int, float, bool]  # boundary number, sign of the function, strict
UnitPieces = tuple[tuple[PieceRow, ...], ...]  # for each piece the rows that describe it


@dataclass(frozen=True)
class UniformPieces(Sequence[UnitPieces]):
    """The pieces of units that are all like the first one, made when they are asked for.

    Arguments:
        first: those of the first unit.
        step: boundaries of a unit.
        width: number of units.
    """

    first: UnitPieces
    step: int
    width: int

    def __len__(self) -> int:
        return self.width

    @overload
    def __getitem__(self, unit: int) -> UnitPieces: ...

    @overload
    def __getitem__(self, unit: slice) -> tuple[UnitPieces, ...]: ...

    def __getitem__(self, unit: int | slice) -> UnitPieces | tuple[UnitPieces, ...]:
        if isinstance(unit, slice):
            return tuple(self[i] for i in range(*unit.indices(self.width)))
        at = range(self.width)[unit] * self.step
        return tuple(tuple((at + b, sign, strict) for b, sign, strict in piece) for piece in self.first)


@dataclass(frozen=True, eq=False)
class LayerBoundaries:
    """The boundary functions ``g_k(z) = sum_i coefficients[k, i] * z[index[k, i]] - offset[k]`` of one layer.

    Arguments:
        number: the layer, from 1.
        unit: ``int[m]``, the unit that each boundary belongs to.
        index, coefficients: ``[m, 2]``; offset: ``[m]``.
        pieces: for each unit and piece the rows ``sign * g_k <= 0`` that describe it.
        first_piece, rows_end, row_boundary, row_sign: the same rows flat: the pieces of unit u are numbered
            from ``first_piece[u]``, and the rows of piece p end at ``rows_end[p + 1]``.
    """

    number: int
    unit: IntArray
    index: IntArray
    coefficients: FloatArray
    offset: FloatArray
    pieces: Sequence[UnitPieces]
    first_piece: IntArray
    rows_end: IntArray
    row_boundary: IntArray
    row_sign: FloatArray

    @cached_property
    def row_behind(self) -> IntArray:
        """For each flat row the piece that its unit is on beyond it; -1 where there may be several."""
        piece = np.searchsorted(self.rows_end, np.arange(len(self.row_boundary)), side="right") - 1
        side = 2 * self.row_boundary + (self.row_sign > 0)
        count = np.bincount(side, minlength=2 * len(self.unit))
        last = np.full(len(count), -1)
        last[side] = piece - self.first_piece[self.unit[self.row_boundary]]
        behind: IntArray = np.where(count == 1, last, -1)[side ^ 1]
        return behind

    @cached_property
    def row_index(self) -> IntArray:
        """``[rows, 2]``: which pre-activations each flat row reads."""
        return self.index[self.row_boundary]

    @cached_property
    def row_factors(self) -> FloatArray:
        """``[rows, 2]``: what each flat row multiplies them by."""
        return self.row_sign[:, None] * self.coefficients[self.row_boundary]

    @cached_property
    def row_offset(self) -> FloatArray:
        """``[rows]``: what each flat row subtracts."""
        return self.row_sign * self.offset[self.row_boundary]

    @cached_property
    def single(self) -> bool:
        """Whether one row describes each piece."""
        return bool((np.diff(self.rows_end) == 1).all())

    def rows_on(self, pieces: PatternArray) -> IntArray:
        """The flat rows that describe the pieces of all units."""
        piece = self.first_piece[:-1] + pieces
        if self.single:
            only: IntArray = self.rows_end[piece]
            return only
        start, count = self.rows_end[piece], self.rows_end[piece + 1] - self.rows_end[piece]
        before = np.cumsum(count) - count
        rows: IntArray = np.arange(int(count.sum())) + np.repeat(start - before, count)
        return rows

    def functions(self, preactivations: FloatArray, which: IntArray | slice = slice(None)) -> FloatArray:
        """Boundary functions as affine functions of x: ``[n, d + 1]`` maps of z to ``[m, d + 1]``."""
        two = preactivations[self.index[which]]
        out: FloatArray = (self.coefficients[which][:, :, None] * two).sum(axis=1)
        out[:, -1] -= self.offset[which]
        return out

    def errors(self, preactivation_errors: FloatArray, which: IntArray | slice = slice(None)) -> FloatArray:
        """Bounds on the error of ``functions``, from bounds ``[n]`` on the error of z."""
        terms = np.abs(self.coefficients[which]) * preactivation_errors[self.index[which]]
        total: FloatArray = terms.sum(axis=1)
        return total

    def rows_of(self, units: IntArray, pieces: IntArray) -> tuple[IntArray, IntArray]:
        """The rows that describe a piece of each of many units, by number, and the unit each belongs to."""
        piece = self.first_piece[units] + pieces
        start, count = self.rows_end[piece], self.rows_end[piece + 1] - self.rows_end[piece]
        owner = np.repeat(np.arange(len(units)), count)
        before = np.cumsum(count) - count
        return np.arange(len(owner)) + (start - before)[owner], owner

    def values(self, z: FloatArray, *, constant: bool = True) -> FloatArray:
        """Boundary functions at columns of z, ``[n, B]`` to ``[m, B]``; for slopes without constants."""
        two: FloatArray = self.coefficients[:, :1] * z[self.index[:, 0]]
        two += self.coefficients[:, 1:] * z[self.index[:, 1]]
        return two - self.offset[:, None] if constant else two

    def sizes(self, size: FloatArray, *, constant: bool = True) -> FloatArray:
        """Sums of the absolute terms of ``values``, from those of z."""
        weights = np.abs(self.coefficients)
        two: FloatArray = weights[:, :1] * size[self.index[:, 0]] + weights[:, 1:] * size[self.index[:, 1]]
        return two + np.abs(self.offset)[:, None] if constant else two


@lru_cache(maxsize=4)  # slices of one search ask again and again
def boundaries(network: Network) -> tuple[LayerBoundaries, ...]:
    """The boundaries of every layer; a layer without an activation has none."""
    return tuple(
        _layer_boundaries(number, layer.activation, layer.width if layer.activation else 0)
        for number, layer in enumerate(network.layers, start=1)
    )


def _layer_boundaries(number: int, activation: Activation | None, width: int) -> LayerBoundaries:
    """The boundaries of a layer; those of units that are alike are the first one's, moved on."""
    like_it = None if activation is None or width < 2 else _reads_like_the_first(activation, width)
    if activation is None or like_it is None:
        return _collected(number, activation, width)
    one = _collected(number, activation, 1)
    look(8 * width * (6 * len(one.unit) + 3 * len(one.row_boundary) + 2))
    local = np.searchsorted(like_it[0], one.index)
    m, unit = len(one.unit), np.arange(width)
    [of_unit] = one.pieces
    starts, rows = one.first_piece[-1], len(one.row_boundary)
    moved = (unit[:, None] * m + one.row_boundary).ravel()
    ends = (unit[:, None] * rows + one.rows_end[1:]).ravel()
    return LayerBoundaries(
        number=number,
        unit=np.repeat(unit, m),
        index=like_it[:, local].reshape(-1, 2),
        coefficients=np.tile(one.coefficients, (width, 1)),
        offset=_offsets(activation, one.offset, width),
        pieces=UniformPieces(of_unit, m, width),
        first_piece=np.arange(width + 1) * starts,
        rows_end=np.append(0, ends),
        row_boundary=moved,
        row_sign=np.tile(one.row_sign, width),
    )


def _reads_like_the_first(activation: Activation, width: int) -> IntArray | None:
    """The pre-activations of each unit, ascending, ``int[width, k]``, where all are alike; else none."""
    if activation.is_uniform() or (isinstance(activation, PiecewiseLinear) and _are_alike(activation)):
        return np.arange(width)[:, None]
    if isinstance(activation, MaxGroups):
        members = activation.members.astype(np.int64)
        if (members >= 0).all() and (np.diff(members, axis=1) > 0).all():
            return members
    return None


def _are_alike(activation: PiecewiseLinear) -> bool:
    """Whether all units have as many breakpoints, and no two of a unit are equal."""
    t = activation.breakpoints
    return bool(np.isfinite(t).all() and (t[:, 1:] > t[:, :-1]).all())


def _offsets(activation: Activation, first: FloatArray, width: int) -> FloatArray:
    """What the boundaries of units that are alike subtract, ``[m]``, from those of the first unit."""
    if isinstance(activation, PiecewiseLinear) and len(activation.breakpoints) > 1:
        own: FloatArray = activation.breakpoints.ravel() + 0.0
        return own
    return np.tile(first, width)


def _collected(number: int, activation: Activation | None, width: int) -> LayerBoundaries:
    """Collect the rows of all pieces; rows that differ only in sign share one boundary."""
    known: dict[tuple[int, int, int, float, float, float], int] = {}
    owners: list[int] = []
    pieces = []
    looked = 0
    for unit in range(width):
        if unit % LOOKS == 0 or len(owners) - looked > LOOKS:
            look()
            looked = len(owners)
        assert activation is not None, "a layer without units has no activation"
        of_unit = []
        for piece in range(activation.n_pieces(unit)):
            cell = activation.cell(unit, piece)
            rows = []
            for (i, j), (u, v), g, strict in zip(
                cell.index.tolist(),
                cell.coefficients.tolist(),
                cell.offset.tolist(),
                cell.strict.tolist(),
                strict=True,
            ):
                key, sign = _canonical(unit, i, j, u, v, g)
                if key not in known:
                    known[key] = len(owners)
                    owners.append(unit)
                rows.append((known[key], sign, bool(strict)))
            of_unit.append(tuple(rows))
        pieces.append(tuple(of_unit))
    table = np.array([key[1:] for key in known], dtype=float).reshape(-1, 5)
    return LayerBoundaries(
        number=number,
        unit=np.array(owners, dtype=np.int64),
        index=table[:, :2].astype(np.int64),
        coefficients=table[:, 2:4],
        offset=table[:, 4],
        pieces=tuple(pieces),
        first_piece=np.cumsum([0, *(len(of_unit) for of_unit in pieces)]),
        rows_end=np.cumsum([0, *(len(rows) for of_unit in pieces for rows in of_unit)]),
        row_boundary=np.array(
            [b for of_unit in pieces for rows in of_unit for b, _, _ in rows], dtype=np.int64
        ),
        row_sign=np.array([s for of_unit in pieces for rows in of_unit for _, s, _ in rows], dtype=float),
    )


def _canonical(
    unit: int, i: int, j: int, u: float, v: float, g: float
) -> tuple[tuple[int, int, int, float, float, float], float]:
    """A row of a piece with its first term ahead and positive, and the sign that was taken out."""
    if v != 0 and j < i:
        i, j, u, v = j, i, v, u
    sign = 1.0 if u > 0 else -1.0
    return (unit, i, j, sign * u, sign * v + 0.0, sign * g + 0.0), sign

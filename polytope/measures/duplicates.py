"""Units of a layer that are positive multiples of one another, proved in rational arithmetic."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from polytope.ir import Activation
from polytope.ir.looking import look
from polytope.ir.maps import FloatArray, IntArray
from polytope.measures.units import BoolArray


def duplicates(activation: Activation, table: csr_array, fixed: BoolArray) -> tuple[IntArray, FloatArray]:
    """For each unit an earlier one that it is a multiple of, or -1, and the factor, else 1.

    Units have the same activation and the rows of what they read are proportional; equal, where a unit of
    twice the pre-activation is not twice the unit.

    Arguments:
        activation: of the layer.
        table: its pre-activations as affine functions, one row each, constants last.
        fixed: ``bool[units]``, units to leave aside.
    """
    other, factor = np.full(len(fixed), -1, dtype=np.int64), np.ones(len(fixed))
    table.eliminate_zeros()
    table.sort_indices()
    known: dict[Any, tuple[int, float]] = {}
    for unit in _alike(activation, table, np.flatnonzero(~fixed)):
        look()
        name, size = _name(activation, table, unit)
        if name in known:
            first, its = known[name]
            other[unit], factor[unit] = first, size / its
        else:
            known[name] = unit, size
    return other, factor


def _alike(activation: Activation, table: csr_array, units: IntArray) -> list[int]:
    """Units whose rows may be proportional to others': equal up to rounding along a random direction."""
    first = activation.affine(np.zeros(units.max(initial=-1) + 1, dtype=np.int8)).source[units]
    rows = csr_array(table[first])
    if len(units) < 2:
        return []
    size = np.asarray(abs(rows).max(axis=1).todense()).ravel()
    shadow = (rows @ np.random.default_rng(0).standard_normal(table.shape[1])) / np.where(size > 0, size, 1.0)
    order = np.argsort(shadow, kind="stable")
    close = np.diff(shadow[order]) <= 1e-9
    alike = np.append(close, False) | np.append(False, close)
    return [int(unit) for unit in np.sort(units[order[alike]])]


def _name(activation: Activation, table: csr_array, unit: int) -> tuple[Any, float]:
    """A name that units share only if one is a multiple of the other, and the size that is taken out."""
    pieces = []
    homogeneous = True
    members: list[int] = []
    for piece in range(activation.n_pieces(unit)):
        cell = activation.cell(unit, piece)
        pattern = np.zeros(unit + 1, dtype=np.int8)
        pattern[unit] = piece
        maps = activation.affine(pattern)
        read = [int(maps.source[unit]), *cell.index.ravel().tolist()]
        members += [i for i in read if i not in members]
        homogeneous &= not cell.offset.any() and maps.intercept[unit] == 0
        pieces.append(
            (
                tuple(members.index(i) for i in read),
                cell.coefficients.tobytes(),
                cell.offset.tobytes(),
                cell.strict.tobytes(),
                float(maps.slope[unit]),
                float(maps.intercept[unit]),
            )
        )
    rows = [_row(table, i) for i in members]
    size = max((abs(v) for row in rows for _, v in row), default=Fraction(1)) if homogeneous else Fraction(1)
    return (tuple(pieces), tuple(tuple((k, v / size) for k, v in row) for row in rows)), float(size)


def _row(table: csr_array, i: int) -> list[tuple[int, Fraction]]:
    """The entries of a row, as rationals."""
    span = slice(int(table.indptr[i]), int(table.indptr[i + 1]))
    columns, entries = table.indices[span].tolist(), table.data[span].tolist()
    return [(k, Fraction(v)) for k, v in zip(columns, entries, strict=True)]

"""The rows that describe a region, where each comes from, and what rounding may have changed in it.

A row's gradient and constant carry bounds on their errors, of these very numbers. What a bound does not show
to have a gradient, or shows poorly, is asked in exact arithmetic and rounded once: no row is left out because
others are longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from polytope.exact.rows import Cut, ExactRows
from polytope.geometry.lp import coordinate_bounds
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Network
from polytope.ir.activations import PatternArray
from polytope.ir.boundaries import LayerBoundaries
from polytope.ir.forward import UNDERFLOW, AffineMap, U, combined, preactivation_maps
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.matrix import SMALL, Matrix, dense_rows, product, row_norms, scaled, sparse, stacked

HIGH = 64  # dimensions from which rows are kept sparse: most bound one coordinate or see a part of the input
POOR = 2.0**-24  # errors, relative to a row's own size, from which the exact row is worth its price
LARGEST = 2.0**900


@dataclass(frozen=True, eq=False)
class Origins:
    """The rows of all pieces of a network, one layer behind the other, each ``[rows]``.

    Arguments:
        number, boundary, sign: what a row's ``Cut`` holds.
        unit: its unit.
        behind: the piece that the unit is on beyond the row; -1 where there may be several.
    """

    number: IntArray
    boundary: IntArray
    sign: FloatArray
    unit: IntArray
    behind: IntArray

    def unit_of(self, origin: IntArray) -> IntArray:
        """The units that rows belong to, or ``-(k + 1)`` for row k of the domain, which is its own name."""
        if not len(self.unit):
            return origin
        return np.where(origin < 0, origin, self.unit[np.maximum(origin, 0)])


@dataclass(frozen=True, eq=False)
class RegionRows:
    """Rows ``A x + c <= 0`` of unit length, ``A [m, d]`` dense or sparse, ``c [m]``.

    Arguments:
        A, c: the rows, of unit length: positive multiples of what they are exactly, rounded.
        tilt, shift: ``[m]``, bounds on the lengths of the errors of the rows of A, and on the errors of c.
        origin: which of the rows of all pieces a row is, or ``-(k + 1)`` for row k of the domain.
        ties: units that lie on a boundary of their piece all over the region, so that they have no row there.
        outputs: the network's outputs on the region, where they were wanted.
        known: the rows of all pieces.
    """

    A: Matrix
    c: FloatArray
    tilt: FloatArray
    shift: FloatArray
    origin: IntArray
    ties: IntArray
    outputs: AffineMap | None
    known: Origins

    def __len__(self) -> int:
        return len(self.c)

    def at(self, x: FloatArray) -> FloatArray:
        """The rows' values at a point, ``[m]``: negative inside."""
        return product(self.A, x) + self.c

    def doubt(self, x: FloatArray) -> FloatArray:
        """Bounds on the errors of ``at(x)``, ``[m]``."""
        out: FloatArray = self.slope * float(np.linalg.norm(x)) + self.level
        return out

    @cached_property
    def slope(self) -> FloatArray:
        """What the error of a row's value grows by with the length of the point, ``[m]``."""
        return self.tilt + self._terms * U

    @cached_property
    def level(self) -> FloatArray:
        """What the error of a row's value is at the origin at most, ``[m]``."""
        return self.shift + self._terms * U * np.abs(self.c) + UNDERFLOW

    @cached_property
    def _terms(self) -> FloatArray:
        d = self.A.shape[1]
        entries = np.full(len(self), d) if isinstance(self.A, np.ndarray) else np.diff(self.A.indptr)
        return entries + 4.0

    def rows(self, which: IntArray | slice = slice(None)) -> FloatArray:
        """Some rows as a dense array ``[k, d + 1]``."""
        numbers = np.arange(len(self))[which]
        return np.concatenate([dense_rows(self.A, numbers), self.c[numbers, None]], axis=1)

    @cached_property
    def unit(self) -> IntArray:
        """The unit that each row belongs to, or ``-(k + 1)`` for row k of the domain."""
        return self.known.unit_of(self.origin)

    @cached_property
    def behind(self) -> IntArray:
        """The piece of its unit beyond each row; -1: several may be, or the row is the domain's."""
        if not len(self.known.behind):
            return np.full(len(self), -1)
        return np.where(self.origin < 0, -1, self.known.behind[np.maximum(self.origin, 0)])

    def cut(self, i: int) -> Cut:
        """Where a row comes from."""
        k = int(self.origin[i])
        if k < 0:
            return Cut(0, -1 - k, 1.0)
        return Cut(int(self.known.number[k]), int(self.known.boundary[k]), float(self.known.sign[k]))

    @cached_property
    def cuts(self) -> tuple[Cut, ...]:
        """Where all rows come from."""
        return tuple(self.cut(i) for i in range(len(self)))

    @cached_property
    def bounds(self) -> tuple[FloatArray, FloatArray, IntArray]:
        """Bounds ``[d]`` that rows on single coordinates set, and the column that each row bounds, or -1."""
        return coordinate_bounds(self.A, self.c, np.inf)

    def some(self, which: IntArray) -> RegionRows:
        """Some of the rows."""
        parts = self.A[which], self.c[which], self.tilt[which], self.shift[which], self.origin[which]
        return RegionRows(*parts, self.ties, self.outputs, self.known)


def region_rows(
    network: Network,
    domain: Polyhedron,
    tables: Sequence[LayerBoundaries],
    pattern: PatternArray,
    exact: ExactRows | None = None,
    *,
    outputs: bool = False,
) -> RegionRows:
    """The rows of a region: of the domain, and of the pieces that its units are on.

    Arguments:
        exact: what answers where floats are in doubt, for regions of one network to share.
        outputs: whether the network's outputs are wanted too.
    """
    maps, numbers, before, values = [_faces(domain)], [-1 - np.arange(len(domain.b))], 0, None
    with np.errstate(all="ignore"):  # what is not finite is asked exactly
        last = 0
        for number, z in preactivation_maps(network, pattern, outputs=outputs):
            if not number:
                values = z
                break
            before += sum(len(table.row_boundary) for table in tables[last : number - 1])
            table, last = tables[number - 1], number - 1
            rows = table.rows_on(network.layer_pattern(number, pattern))
            maps.append(combined(z, table.row_index[rows], table.row_factors[rows], table.row_offset[rows]))
            numbers.append(before + rows)
        length, c, tilt, shift = np.concatenate(
            [np.stack([part.length, part.c, part.tilt, part.shift]) for part in maps], axis=1
        )
        scale = 1 / np.where(length > 0, length, 1.0)
        A, c = scaled(_kind(stacked([part.J for part in maps]), domain.dim), scale), scale * c
        given = RegionRows(
            A,
            c,
            scale * tilt + 3 * U,
            scale * shift + 3 * U * np.abs(c),
            np.concatenate(numbers),
            np.zeros(0, dtype=np.int64),
            values,
            origins(tuple(tables)),
        )
        told = _well_known(given, length, domain)
        if told.all():
            return given
        constant = (length == 0) & (tilt == 0)
        tie = constant & (c == 0) & (shift == 0)
        told |= tie | (constant & (np.abs(c) > shift))
        exact = exact or ExactRows(network, domain.rows, domain.b, tables)
        return _with_exact_rows(given, ~constant, tie, np.flatnonzero(~told), pattern, exact)


@lru_cache(maxsize=4)
def origins(tables: tuple[LayerBoundaries, ...]) -> Origins:
    """The origins of the rows of all pieces of a network."""
    tables = tuple(table for table in tables if len(table.row_boundary) or table.pieces)
    before = np.cumsum([0, *(len(table.pieces) for table in tables)]).tolist()
    none = np.zeros(0, dtype=np.int64)
    return Origins(
        np.concatenate([none, *(np.full(len(t.row_boundary), t.number) for t in tables)]),
        np.concatenate([none, *(table.row_boundary for table in tables)]),
        np.concatenate([np.zeros(0), *(table.row_sign for table in tables)]),
        np.concatenate([none, *(n + t.unit[t.row_boundary] for n, t in zip(before, tables, strict=False))]),
        np.concatenate([none, *(table.row_behind for table in tables)]),
    )


@lru_cache(maxsize=4)
def _faces(domain: Polyhedron) -> AffineMap:
    """The rows of a domain."""
    none = np.zeros(len(domain.b))
    return AffineMap(domain.rows, -domain.b, row_norms(domain.rows), none, none)


def _kind(stack: Matrix, d: int) -> Matrix:
    """Sparse in many dimensions, dense in few."""
    if d > HIGH:
        return sparse(stack)
    return stack if isinstance(stack, np.ndarray) else stack.toarray()


def _well_known(rows: RegionRows, length: FloatArray, domain: Polyhedron) -> NDArray[np.bool_]:
    """Which rows have a gradient and a constant that their bounds are small next to."""
    size = np.abs(rows.c)
    reach = size[: len(domain.b)].max(initial=0.0)
    known: NDArray[np.bool_] = (rows.tilt <= POOR) & (rows.shift <= POOR * np.maximum(size, reach))
    return known & (length > 2 * SMALL) & (length < LARGEST) & (size < LARGEST)


def _with_exact_rows(
    given: RegionRows,
    real: NDArray[np.bool_],
    tie: NDArray[np.bool_],
    asked: IntArray,
    pattern: PatternArray,
    exact: ExactRows,
) -> RegionRows:
    """The rows that have a gradient; those asked about as exact arithmetic says they are."""
    rows = []
    for i in asked.tolist():
        row = exact(given.cut(i), pattern).tolist()
        real[i], tie[i] = any(row[:-1]), not any(row)
        rows.append(rounded(row) if real[i] else np.zeros(len(row)))
    place = np.arange(len(given))
    A, c, tilt, shift = given.A, given.c, given.tilt, given.shift
    if len(asked):
        place[asked] = len(place) + np.arange(len(asked))
        new = np.array(rows)
        A = stacked([A, new[:, :-1]])
        c = np.append(c, new[:, -1])
        tilt = np.append(tilt, np.full(len(asked), 4 * U))
        shift = np.append(shift, np.where(new[:, -1] < LARGEST, 4 * U * np.abs(new[:, -1]), np.inf))
    kept = np.flatnonzero(real)
    at, ties = place[kept], np.unique(given.known.unit[given.origin[tie]])
    parts = A[at], c[at], tilt[at], shift[at], given.origin[kept], ties
    return RegionRows(*parts, given.outputs, given.known)


def rounded(row: Sequence[int]) -> FloatArray:
    """A row of integers as a unit row of floats, rounded at most four times; huge constants are cut off."""
    size = 1 << max(abs(v) for v in row[:-1]).bit_length()
    most = int(LARGEST) * size
    out = np.array([*(v / size for v in row[:-1]), max(-most, min(row[-1], most)) / size])
    return out / float(np.linalg.norm(out[:-1]))

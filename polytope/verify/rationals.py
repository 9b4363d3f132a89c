r"""The verifier's own rational arithmetic, in Python integers: nothing of the search is imported here.

A float64 is :math:`m 2^e`. A table of numbers is an array of integers with one power of two for all; a row
of a cell is d + 1 integers, ``row[:d] . x + row[d] <= 0``, without a common factor.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import gcd
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from polytope.ir.activations import PatternArray
from polytope.ir.layers import Layer
from polytope.ir.maps import FloatArray, LinearMap
from polytope.ir.network import Network
from polytope.verify.effort import Effort, bits, bits_of

Integers = NDArray[Any]  # Python integers
Row = tuple[int, ...]
KEPT = 1 << 27  # bytes of functions and of rows that are remembered, each
NUMBER = 40  # bytes of an integer, besides its bits
ROW = 200  # products of small integers that take as long as making a row
DENSE = 0.25  # share of entries from which a matrix is multiplied as a dense one


class Table(NamedTuple):
    """The numbers ``integers * 2**power``."""

    integers: Integers
    power: int

    def to(self, power: int) -> Integers:
        """The integers over a lower power of two."""
        return self.integers * (1 << (self.power - power))


class CellRow(NamedTuple):
    """A row of a cell.

    Arguments:
        owner: the place of its unit in a pattern, or -(k + 1) for row k of the domain.
        strict: whether zero is excluded.
        row: d coefficients and the constant.
    """

    owner: int
    strict: bool
    row: Row


def table(values: FloatArray, effort: Effort | None = None) -> Table:
    """Floats as they are; ``effort`` counts those that stay."""
    mantissa, power = np.frexp(np.asarray(values, dtype=float))
    whole = (mantissa * 2.0**53).astype(np.int64)
    power = np.where(whole == 0, 0, power.astype(np.int64) - 53)
    least = int(power.min(initial=0))
    if effort is not None:
        effort.keep(whole.size, int(power.max(initial=0)) - least + 53)
    out = np.empty(whole.size, dtype=object)
    pairs = zip(whole.ravel().tolist(), (power - least).ravel().tolist(), strict=True)
    out[:] = [m << up for m, up in pairs]
    return Table(out.reshape(whole.shape), least)


def total(a: Table, b: Table, effort: Effort) -> Table:
    """The sum, entry by entry."""
    power = min(a.power, b.power)
    for part in (a, b):
        if part.power > power:
            size = part.integers.size
            effort.spend(size, bits_of(part.integers), part.power - power, size)
    return Table(a.to(power) + b.to(power), power)


def reduced(numbers: list[int]) -> Row:
    """Divided by their greatest common divisor: equal for positive multiples."""
    divisor = gcd(*numbers)
    return tuple(n // divisor for n in numbers) if divisor > 1 else tuple(numbers)


class _Factor:
    """A matrix that functions ``[n, d + 1]`` are multiplied by."""

    def __init__(self, linear: LinearMap, effort: Effort) -> None:
        sparse = linear.to_sparse()
        sparse.sum_duplicates()
        self.effort, self.entries = effort, sparse.nnz
        entries = table(sparse.data, effort)
        self.bits = bits_of(entries.integers)
        self.power, (m, n) = entries.power, sparse.shape
        ends = zip(sparse.indptr[:-1].tolist(), sparse.indptr[1:].tolist(), strict=True)
        self.rows = [(sparse.indices[i:j], entries.integers[i:j]) for i, j in ends]
        self.dense: Integers | None = None
        if sparse.nnz > DENSE * m * n:
            self.dense = np.full((m, n), 0, dtype=object)
            for place, (columns, numbers) in enumerate(self.rows):
                self.dense[place, columns] = numbers

    def times(self, functions: Table) -> Table:
        """The product."""
        F = functions.integers
        wide = F.shape[1]
        self.effort.spend(self.entries * wide, bits_of(F), self.bits, len(self.rows) * wide)
        if self.dense is not None:
            return Table(self.dense @ F, functions.power + self.power)
        out = np.full((len(self.rows), F.shape[1]), 0, dtype=object)
        for place, (columns, numbers) in enumerate(self.rows):
            if len(columns):
                out[place] = numbers @ F[columns]
        return Table(out, functions.power + self.power)


class Cells:
    """The rows of every cell of a network in a domain ``A x <= b``, and what lies behind its facets."""

    def __init__(self, network: Network, A: FloatArray, b: FloatArray) -> None:
        self.network, self.effort = network, Effort()
        self.domain = [
            CellRow(-k - 1, False, reduced(table(row).integers.tolist()))
            for k, row in enumerate(np.concatenate([A, -b[:, None]], axis=1))
        ]
        layers = [layer for layer in network.layers if layer.activation]
        self._pieces = [a.n_pieces(u) for la in layers if (a := la.activation) for u in range(la.width)]
        self._factors = [
            [[_Factor(factor, self.effort) for factor in m.chain()] for m in layer.maps]
            for layer in network.layers
        ]
        self._biases = [table(layer.bias, self.effort) for layer in network.layers]
        self.most_rows = sum(max(n, 3) - 1 for n in self._pieces)  # of a cell, besides the domain's
        self._held = [0, 0]  # bytes of functions, and of rows
        self._functions: dict[tuple[bool, int, bytes], Table] = {}
        self._rows: dict[tuple[int, bytes], dict[tuple[int, int], list[CellRow]]] = {}

    def has_pieces(self, pattern: PatternArray) -> bool:
        """Whether every unit has the piece that a pattern names."""
        return all(0 <= p < n for p, n in zip(pattern.tolist(), self._pieces, strict=True))

    def rows(self, pattern: PatternArray) -> list[CellRow]:
        """The domain's rows, then those of each unit's piece."""
        out = list(self.domain)
        for number, layer in enumerate(self.network.layers, start=1):
            if layer.activation is not None:
                out += self._rows_of(number, pattern)
        return out

    def behind(self, pattern: PatternArray, facet: Row, units: Iterable[int]) -> PatternArray:
        """The pattern next to a facet's relative interior on its other side.

        Arguments:
            facet: a row of the cell that is not zero.
            units: all that have a row equal to the facet's, or zero: no other can change.
        """
        out, row = pattern.copy(), np.array(facet, dtype=object)
        axis = next(t for t, c in enumerate(facet) if c)
        size, side = abs(facet[axis]), 1 if facet[axis] > 0 else -1
        changing = np.unique(np.fromiter(units, dtype=np.int64))
        for number, layer in enumerate(self.network.layers, start=1):
            first, last = self.network.unit_offsets[number - 1 : number + 1]
            mine = changing[(first <= changing) & (changing < last)]
            if layer.activation is None or not len(mine):
                continue
            z = self._preactivations(number, out)
            self.effort.spend(4 * z.integers.size, bits_of(z.integers), bits(facet), z.integers.size)
            rise = z.integers[:, axis] * side  # slopes across the hyperplane, times size
            level = z.integers * size - rise[:, None] * row  # on it: without the coordinate of the axis
            unit_scale = size << -z.power
            for unit in mine.tolist():
                piece = int(pattern[unit])
                out[unit] = layer.activation.beyond(unit - first, piece, level, rise, unit_scale)
        return out

    def _rows_of(self, number: int, pattern: PatternArray) -> Iterator[CellRow]:
        first = self.network.unit_offsets[number - 1]
        if self._held[1] >= KEPT:
            self._rows.clear()
            self._held[1] = 0
        known = self._rows.setdefault((number, pattern[:first].tobytes()), {})
        for unit, piece in enumerate(self.network.layer_pattern(number, pattern).tolist()):
            if (unit, piece) not in known:
                known[unit, piece] = self._piece(number, unit, piece, pattern)
                self._held[1] += NUMBER + sum(_bytes(row.row) for row in known[unit, piece])
            yield from known[unit, piece]

    def _piece(self, number: int, unit: int, piece: int, pattern: PatternArray) -> list[CellRow]:
        """The rows of one piece: combinations of two pre-activations, minus an offset."""
        activation = self.network.layers[number - 1].activation
        assert activation is not None, "only layers with an activation have pieces"
        cell, z = activation.cell(unit, piece), self._preactivations(number, pattern)
        owner, out = self.network.unit_offsets[number - 1] + unit, []
        for members, pair, offset, strict in zip(
            cell.index.tolist(), cell.coefficients, cell.offset, cell.strict.tolist(), strict=True
        ):
            weights, level = table(pair), table(np.array([-offset]))
            size = z.integers.shape[1] * len(members)
            self.effort.spend(size, bits_of(z.integers[members]), bits_of(weights.integers), size)
            combined = weights.integers @ z.integers[members]
            constant = np.full(combined.shape, 0, dtype=object)
            constant[-1] = level.integers[0]
            row = total(Table(combined, weights.power + z.power), Table(constant, level.power), self.effort)
            length = bits_of(row.integers)
            self.effort.spend(ROW + size, length, length, 1)  # for the greatest common divisor
            out.append(CellRow(owner, strict, reduced(row.integers.tolist())))
        return out

    def _preactivations(self, number: int, pattern: PatternArray) -> Table:
        """A layer's z as functions of x, ``[n, d + 1]``; only earlier layers' pieces are read."""
        key = (False, number, pattern[: self.network.unit_offsets[number - 1]].tobytes())
        if key not in self._functions:
            layer, bias = self.network.layers[number - 1], self._biases[number - 1]
            z = _constants(bias, self.network.input_dim)
            for k, factors in zip(layer.inputs, self._factors[number - 1], strict=True):
                h = self._values(k, pattern)
                for factor in reversed(factors):
                    h = factor.times(h)
                z = total(z, h, self.effort)
            self._keep(key, z)
        return self._functions[key]

    def _values(self, number: int, pattern: PatternArray) -> Table:
        """A layer's outputs h as functions of x; 0 is the input."""
        d = self.network.input_dim
        if number == 0:
            return table(np.eye(d, d + 1))
        key = (True, number, pattern[: self.network.unit_offsets[number]].tobytes())
        if key not in self._functions:
            layer = self.network.layers[number - 1]
            pieces = self.network.layer_pattern(number, pattern)
            self._keep(key, _activated(layer, self._preactivations(number, pattern), pieces, self.effort))
        return self._functions[key]

    def _keep(self, key: tuple[bool, int, bytes], value: Table) -> None:
        if self._held[0] >= KEPT:
            self._functions.clear()
            self._held[0] = 0
        self._held[0] += _bytes(value.integers.ravel().tolist())
        self._functions[key] = value


def _bytes(numbers: Sequence[int]) -> int:
    return sum(NUMBER + number.bit_length() // 8 for number in numbers)


def _constants(values: Table, d: int) -> Table:
    """Constant functions, ``[n, d + 1]``."""
    out = np.full((len(values.integers), d + 1), 0, dtype=object)
    out[:, d] = values.integers
    return Table(out, values.power)


def _activated(layer: Layer, z: Table, pieces: PatternArray, effort: Effort) -> Table:
    """``slope * z + intercept`` of each unit's piece."""
    if layer.activation is None:
        return z
    maps = layer.activation.affine(pieces)
    slope, size = table(maps.slope), z.integers.size
    effort.spend(size, bits_of(z.integers), bits_of(slope.integers), size)
    sloped = Table(z.integers[maps.source] * slope.integers[:, None], z.power + slope.power)
    return total(sloped, _constants(table(maps.intercept), z.integers.shape[1] - 1), effort)


def holds_strictly(rows: Sequence[CellRow], point: FloatArray, effort: Effort) -> bool:
    """Whether a point satisfies every row strictly, or a row that is zero everywhere and may be met."""
    x = table(np.append(point, 1.0)).integers.tolist()
    length = bits(x)
    for row in rows:
        effort.spend(len(x), bits(row.row), length, 1)
        value = sum(c * t for c, t in zip(row.row, x, strict=True))
        if value > 0 or (value == 0 and (row.strict or any(row.row))):
            return False
    return True


class Span(NamedTuple):
    """d rows of independent gradients F: ``inverse = determinant * F^-1`` by columns, and constants.

    Arguments:
        effort: what its use is counted by.
    """

    inverse: tuple[Row, ...]
    determinant: int
    constants: Row
    effort: Effort

    def implies(self, row: Row) -> bool:
        """Whether ``row`` is a sum of the d rows with factors >= 0, minus a constant >= 0."""
        self.effort.spend(len(row) ** 2, max(map(bits, self.inverse)), bits(row), len(row))
        factors = [sum(r * t for r, t in zip(row, column, strict=False)) for column in self.inverse]
        if min(factors) < 0:
            return False
        most = sum(f * c for f, c in zip(factors, self.constants, strict=True))
        return most >= row[-1] * self.determinant


def span(rows: Sequence[Row], effort: Effort) -> Span | None:
    """Of d rows, by elimination without fractions; ``None`` if their gradients are dependent."""
    d = len(rows)
    work = [[*row[:d], *(int(i == j) for j in range(d))] for i, row in enumerate(rows)]
    before = 1
    for k in range(d):
        pivot = next((i for i in range(k, d) if work[i][k]), None)
        if pivot is None:
            return None
        work[k], work[pivot] = work[pivot], work[k]
        main, lead = work[k], work[k][k]
        length = max(map(bits, work))
        effort.spend(6 * d * d, length, length, d * d)
        for i in range(d):
            if i != k:
                factor = work[i][k]
                work[i] = [(lead * a - factor * c) // before for a, c in zip(work[i], main, strict=True)]
        before = lead
    sign = 1 if before > 0 else -1
    columns = tuple(tuple(sign * work[t][d + j] for t in range(d)) for j in range(d))
    return Span(columns, abs(before), tuple(row[d] for row in rows), effort)

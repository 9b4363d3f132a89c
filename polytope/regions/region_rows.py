"""The rows that describe a region, and where each comes from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_array

from polytope.exact.rows import Cut
from polytope.geometry.lp import coordinate_bounds
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Network
from polytope.ir.activations import PatternArray
from polytope.ir.boundaries import LayerBoundaries
from polytope.ir.forward import preactivation_maps
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.matrix import (
    Matrix,
    dense_rows,
    largest,
    lengths,
    product,
    scaled,
    sparse,
    stacked,
)

HIGH = 64  # dimensions from which rows are kept sparse: most bound one coordinate or see a part of the input
FORWARD = (
    1 << 15
)  # numbers in the rows of units from which all units together are cheaper than those asked for


@dataclass(frozen=True, eq=False)
class RegionRows:
    """Rows ``A x + c <= 0`` of unit length, ``A [m, d]`` dense or sparse, ``c [m]``.

    ``unit[i]`` is the unit whose boundary row i is, or ``-(row + 1)`` for a row of the domain. ``number``,
    ``boundary``, ``sign``: what its ``Cut`` holds. ``ties``: whether some unit lies on a boundary of its
    piece all over the region, so that it has no row there.
    """

    A: Matrix
    c: FloatArray
    unit: IntArray
    number: IntArray
    boundary: IntArray
    sign: FloatArray
    ties: bool

    def __len__(self) -> int:
        return len(self.c)

    def at(self, x: FloatArray) -> FloatArray:
        """The rows' values at a point, ``[m]``: negative inside."""
        return product(self.A, x) + self.c

    def rows(self, which: IntArray | slice = slice(None)) -> FloatArray:
        """Some rows as a dense array ``[k, d + 1]``."""
        numbers = np.arange(len(self))[which]
        return np.concatenate([dense_rows(self.A, numbers), self.c[numbers, None]], axis=1)

    def cut(self, i: int) -> Cut:
        """Where a row comes from."""
        return Cut(int(self.number[i]), int(self.boundary[i]), float(self.sign[i]))

    @cached_property
    def cuts(self) -> tuple[Cut, ...]:
        """Where all rows come from."""
        return tuple(self.cut(i) for i in range(len(self)))

    @cached_property
    def bounds(self) -> tuple[FloatArray, FloatArray, IntArray]:
        """Bounds ``[d]`` that rows on single coordinates set, and the column that each row bounds, or -1."""
        return coordinate_bounds(self.A, self.c, np.inf)


def region_rows(
    network: Network,
    domain: Polyhedron,
    tables: Sequence[LayerBoundaries],
    pattern: PatternArray,
    carriers: IntArray | None = None,
) -> RegionRows:
    """The rows of a region: of the domain, and of the pieces that its units (or ``carriers``) are on."""
    units = np.arange(network.n_units) if carriers is None else np.sort(carriers[carriers >= 0])
    faces = np.arange(len(domain.A)) if carriers is None else np.sort(-1 - carriers[carriers < 0])
    maps = _all_rows if domain.dim * len(units) > FORWARD else _some_rows
    found = list(maps(network, tables, pattern, units))
    stack = stacked([np.zeros((0, domain.dim)), *(A for A, *_ in found)])
    constants = np.concatenate([np.zeros(0), *(c for _, c, *_ in found)])
    rows: Matrix = domain.unit_rows[faces, :-1]
    if domain.dim > HIGH:
        rows, stack = sparse(rows), sparse(stack)
    elif not isinstance(stack, np.ndarray):
        stack = stack.toarray()
    length = lengths(stack)
    reach = float(np.abs(domain.unit_rows[:, -1]).max(initial=0.0)) or 1.0  # size of the domain's points
    level = float(np.abs(constants).max(initial=0.0))
    size = max(largest(stack), level / max(reach, 1.0))
    real = length > 2.0**-44 * size
    owner, number, boundary = (
        np.concatenate([np.zeros(0, np.int64), *(parts[k] for parts in found)])[real] for k in (2, 3, 4)
    )
    sign = np.concatenate([np.zeros(0), *(parts[5] for parts in found)])[real]
    return RegionRows(
        stacked([rows, scaled(stack[real], 1 / length[real])]),
        np.concatenate([domain.unit_rows[faces, -1], constants[real] / length[real]]),
        np.concatenate([-1 - faces, owner]),
        np.concatenate([np.zeros(len(faces), np.int64), number]),
        np.concatenate([faces, boundary]),
        np.concatenate([np.ones(len(faces)), sign]),
        bool((np.abs(constants[~real]) <= 2.0**-40 * max(size * reach, level)).any()),
    )


Part = tuple[Matrix, FloatArray, IntArray, IntArray, IntArray, FloatArray]  # rows and where they come from


def _some_rows(
    network: Network, tables: Sequence[LayerBoundaries], pattern: PatternArray, units: IntArray
) -> Iterator[Part]:
    """Rows of some units, layer by layer, by backward passes."""
    for table in tables:
        boundary, sign, owner = _wanted(network, table, pattern, units)
        if len(boundary):
            weights = np.zeros((len(network.layers[table.number - 1].bias), len(boundary)))
            columns = np.arange(len(boundary))
            for term in range(2):
                np.add.at(
                    weights, (table.index[boundary, term], columns), sign * table.coefficients[boundary, term]
                )
            J, c = network.pull_back(table.number, weights, pattern)
            numbers = np.full(len(boundary), table.number)
            yield J, c - sign * table.offset[boundary], owner, numbers, boundary, sign


def _all_rows(
    network: Network, tables: Sequence[LayerBoundaries], pattern: PatternArray, units: IntArray
) -> Iterator[Part]:
    """Rows of all units, layer by layer, by one forward pass."""
    for number, J, constant in preactivation_maps(network, pattern):
        table = tables[number - 1]
        boundary, sign, owner = _wanted(network, table, pattern, units)
        entries = sign[:, None] * table.coefficients[boundary]
        place = np.repeat(np.arange(len(boundary)), 2), table.index[boundary].ravel()
        chosen = csr_array((entries.ravel(), place), shape=(len(boundary), len(constant)))
        chosen.eliminate_zeros()
        A: Matrix = product(chosen, J) if isinstance(J, np.ndarray) else csr_array(chosen @ J)
        numbers = np.full(len(boundary), number)
        yield A, product(chosen, constant) - sign * table.offset[boundary], owner, numbers, boundary, sign


def _wanted(
    network: Network, table: LayerBoundaries, pattern: PatternArray, units: IntArray
) -> tuple[IntArray, FloatArray, IntArray]:
    """Boundaries with signs and units: the rows of the pieces that the units of one layer are on."""
    first, last = network.unit_offsets[table.number - 1], network.unit_offsets[table.number]
    here = units[(units >= first) & (units < last)]
    rows, owner = table.rows_of(here - first, pattern[here].astype(np.int64))
    return table.row_boundary[rows], table.row_sign[rows], here[owner]

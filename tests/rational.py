"""A slow twin: regions of small networks and their graph in rational arithmetic, to hold the library against.

Cells are split unit by unit, layer by layer, into the pieces on which exact programs find a point strictly
inside. Only the reading of a network's numbers is shared with the library.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from polytope import Network, Polyhedron
from polytope.ir import Layer, LinearMap
from tests.rational_programs import (
    ZERO,
    Affine,
    Point,
    Row,
    ascend,
    coordinates,
    deepest,
    dot,
    origin,
    primitive,
    row_of,
)

Condition = tuple[list[tuple[int, Fraction]], Fraction, bool]
Open = tuple[
    tuple[int, ...], tuple[Row, ...], Point, list[list[Affine]]
]  # pattern, rows, point, values so far


class Piece(NamedTuple):
    """A unit's piece, ``h = slope * z[source] + intercept``, where all its conditions hold.

    A condition ``([(i, c), ..], limit, strict)`` is ``sum of c * z[i] <= limit``, or < where strict.
    """

    conditions: list[Condition]
    source: int
    slope: Fraction
    intercept: Fraction


class TwinLayer(NamedTuple):
    """``z = sum of matrices @ inputs + bias``; no ``units`` in an affine layer."""

    inputs: tuple[int, ...]
    matrices: list[list[Affine]]
    bias: list[Fraction]
    units: list[list[Piece]] | None


class Cell(NamedTuple):
    """A region: its pattern, its rows (the domain's first), a point strictly inside, its outputs."""

    pattern: tuple[int, ...]
    rows: tuple[Row, ...]
    point: Point
    outputs: tuple[Affine, ...]


class Twin(NamedTuple):
    """All regions; of each the rows that carry facets; the pairs that share a facet."""

    layers: list[TwinLayer]
    domain: tuple[Row, ...]
    cells: list[Cell]
    facets: list[list[Row]]
    edges: set[tuple[int, int]]


def read(network: Network) -> list[TwinLayer]:
    """The layers of a network in fractions."""
    return [
        TwinLayer(
            layer.inputs,
            [_matrix(linear) for linear in layer.maps],
            [Fraction(b) for b in layer.bias.tolist()],
            _units(layer) if layer.activation else None,
        )
        for layer in network.layers
    ]


def _matrix(linear: LinearMap) -> list[Affine]:
    """The rows of a map, multiplied out."""
    tables = [factor.to_sparse().toarray().tolist() for factor in linear.chain()]
    *outer, rows = [[tuple(map(Fraction, row)) for row in table] for table in tables]
    for table in reversed(outer):
        rows = [combined(zip(row, rows, strict=True), ZERO, len(rows[0])) for row in table]
    return rows


def _units(layer: Layer) -> list[list[Piece]]:
    """The pieces of the units of a layer, as its activation describes them."""
    activation = layer.activation
    assert activation is not None, "the layer has an activation"
    units = []
    for unit in range(activation.n_units(len(layer.bias))):
        pieces = []
        for piece in range(activation.n_pieces(unit)):
            cell = activation.cell(unit, piece)
            conditions = [
                ([(i, Fraction(c)) for i, c in zip(index, uv, strict=True) if c], Fraction(g), strict)
                for index, uv, g, strict in zip(
                    cell.index.tolist(),
                    cell.coefficients.tolist(),
                    cell.offset.tolist(),
                    cell.strict.tolist(),
                    strict=True,
                )
            ]
            at = np.zeros(layer.width, dtype=np.int8)
            at[unit] = piece
            maps = activation.affine(at)
            numbers = (Fraction(float(v[unit])) for v in (maps.slope, maps.intercept))
            pieces.append(Piece(conditions, int(maps.source[unit]), *numbers))
        units.append(pieces)
    return units


def combined(terms: Iterable[tuple[Fraction, Affine]], constant: Fraction, size: int) -> Affine:
    """A constant plus a linear combination of affine functions of ``size`` numbers."""
    out = [ZERO] * (size - 1) + [constant]
    for factor, function in terms:
        if factor:
            for t, v in enumerate(function):
                if v:
                    out[t] += factor * v
    return tuple(out)


def preactivations(layer: TwinLayer, values: list[list[Affine]]) -> list[Affine]:
    """The pre-activations z of a layer, from the values of earlier layers."""
    out, size = [], len(values[0][0])
    for i, bias in enumerate(layer.bias):
        terms = (
            pair
            for k, matrix in zip(layer.inputs, layer.matrices, strict=True)
            for pair in zip(matrix[i], values[k], strict=True)
        )
        out.append(combined(terms, bias, size))
    return out


def activated(units: list[list[Piece]], z: list[Affine], pattern: Sequence[int]) -> list[Affine]:
    """What a layer puts out, h, on the pieces of a pattern."""
    chosen = [pieces[p] for pieces, p in zip(units, pattern, strict=True)]
    return [combined([(c.slope, z[c.source])], c.intercept, len(z[0])) for c in chosen]


def excess(condition: Condition, z: list[Affine]) -> Affine:
    """The left side minus the right side of a condition."""
    terms, limit, _ = condition
    return combined(((c, z[i]) for i, c in terms), -limit, len(z[0]))


def along(
    layers: list[TwinLayer], x: Point, direction: Sequence[int]
) -> tuple[tuple[int, ...], list[Affine]]:
    """The pattern at ``x + t direction`` for small t > 0, and the outputs there: ``(slope, value)`` in t."""
    values: list[list[Affine]] = [[(Fraction(a), v) for a, v in zip(direction, coordinates(x), strict=True)]]
    pattern: tuple[int, ...] = ()
    for layer in layers:
        z = preactivations(layer, values)
        if layer.units is not None:
            here = tuple(_piece_ahead(pieces, z) for pieces in layer.units)
            pattern += here
            z = activated(layer.units, z, here)
        values.append(z)
    return pattern, values[-1]


def _piece_ahead(pieces: list[Piece], z: list[Affine]) -> int:
    """The piece of a unit for small t > 0: signs are those of the values, then of the slopes."""
    for number, piece in enumerate(pieces):
        signs = [(excess(c, z)[::-1], c[-1]) for c in piece.conditions]
        if all(v < (ZERO, ZERO) or (v == (ZERO, ZERO) and not strict) for v, strict in signs):
            return number
    raise AssertionError("the pieces of a unit cover every value")


def rows_of(domain: Polyhedron) -> tuple[Row, ...]:
    """The rows of ``A x <= b``."""
    both = zip(domain.A.tolist(), domain.b.tolist(), strict=True)
    return tuple(row_of([*map(Fraction, a), -Fraction(b)]) for a, b in both)


def regions(
    layers: list[TwinLayer], domain: Sequence[Row], d: int, most: int | None = None
) -> list[Cell] | None:
    """The regions in a polyhedron, split layer by layer; ``None`` if there are more than ``most``."""
    sign, x = deepest(domain, [], origin(d))
    if sign <= 0:
        return []
    identity: list[Affine] = [tuple(Fraction(i == j) for j in range(d + 1)) for i in range(d)]
    open_cells: list[Open] = [((), tuple(domain), x, [identity])]
    done: list[Cell] = []
    while open_cells:
        pattern, rows, x, values = open_cells.pop()
        if len(values) > len(layers):
            done.append(Cell(pattern, rows, x, tuple(values[-1])))
        elif (units := layers[len(values) - 1].units) is None:
            z = preactivations(layers[len(values) - 1], values)
            open_cells.append((pattern, rows, x, [*values, z]))
        else:
            z = preactivations(layers[len(values) - 1], values)
            for part, new, y in split(units, z, rows, x):
                open_cells.append((pattern + part, rows + new, y, [*values, activated(units, z, part)]))
        if most is not None and len(done) + len(open_cells) > most:
            return None
    return done


def split(
    units: list[list[Piece]], z: list[Affine], rows: tuple[Row, ...], x: Point
) -> list[tuple[tuple[int, ...], tuple[Row, ...], Point]]:
    """The parts of a cell on which units have one pattern: the pattern, the rows to add, a point inside."""
    parts: list[tuple[tuple[int, ...], tuple[Row, ...], Point]] = [((), (), x)]
    for pieces in units:
        choices = [
            (number, new) for number, piece in enumerate(pieces) if (new := _rows(piece, z)) is not None
        ]
        found = []
        for pattern, old, y in parts:
            for number, new in choices:
                inside = y if all(dot(row, y) < 0 for row in new) else None
                if inside is None:
                    sign, deep = deepest([*rows, *old, *new], [], y)
                    inside = deep if sign > 0 else None
                if inside is not None:
                    found.append(((*pattern, number), old + new, inside))
        parts = found
    return parts


def _rows(piece: Piece, z: list[Affine]) -> tuple[Row, ...] | None:
    """The rows of a piece; ``None`` where a condition without a gradient fails."""
    functions = [(excess(c, z), c[-1]) for c in piece.conditions]
    if any(not any(f[:-1]) and (f[-1] > 0 or (f[-1] == 0 and strict)) for f, strict in functions):
        return None
    return tuple(row_of(f) for f, _ in functions if any(f[:-1]))


def facets(cell: Cell, n_domain: int) -> list[tuple[Row, Point, bool]]:
    """The rows that carry facets, a point inside each facet, and whether it is one of the domain's."""
    first = {row: i for i, row in reversed(list(enumerate(cell.rows)))}
    found = []
    for row, i in first.items():
        far, _ = ascend([r for r in first if r != row], cell.point, row, enough=True)
        beyond, below = dot(row, far), -dot(row, cell.point)
        if beyond > 0:
            on = primitive([beyond * a + below * b for a, b in zip(cell.point, far, strict=True)])
            found.append((row, on, i < n_domain))
    return found


def twin_of(network: Network, domain: Polyhedron, most: int | None = None) -> Twin | None:
    """The regions and their graph; ``None`` if there are more than ``most`` regions."""
    layers, rows = read(network), rows_of(domain)
    cells = regions(layers, rows, domain.dim, most)
    if cells is None:
        return None
    numbers = {cell.pattern: i for i, cell in enumerate(cells)}
    faces = [facets(cell, len(rows)) for cell in cells]
    edges = set()
    for i, some in enumerate(faces):
        for row, on, outer in some:
            if not outer:
                j = numbers[along(layers, on, row[:-1])[0]]
                edges.add((min(i, j), max(i, j)))
    return Twin(layers, rows, cells, [[row for row, _, _ in some] for some in faces], edges)

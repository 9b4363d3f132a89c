r"""Float affine functions of the input on a cell, with proved bounds on their rounding errors.

A function f is off by at most :math:`e_0 |x|_\infty + e_1` at a point x, the rounding of its evaluation there
included; so the bounds hold in unbounded domains too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from polytope.exact.rows import Cut
from polytope.ir import Layer
from polytope.ir.activations import PatternArray
from polytope.ir.boundaries import LayerBoundaries
from polytope.ir.looking import look
from polytope.ir.maps import FloatArray

UNIT = 2.0**-53
TOGETHER = 256  # rows between two looks at the budget
UNKNOWN = 2.0**500  # the error of a function of which floats tell nothing
LOST = 2.0**-1022  # more than a sum of products, or of their errors, can lose by underflow, for each term


@dataclass(frozen=True, eq=False)
class Function:
    """An affine function ``row[:d] . x + row[d]`` of unit length, its errors ``e_0, e_1``, and its origin."""

    row: FloatArray
    errors: tuple[float, float]
    origin: Cut

    def error_at(self, size: float) -> float:
        """What it can be off by where coordinates are of such size."""
        return self.errors[0] * size + self.errors[1]

    def negated(self) -> Function:
        """The function with the other sign."""
        return Function(
            -self.row, self.errors, Cut(self.origin.number, self.origin.boundary, -self.origin.sign)
        )


@dataclass(frozen=True, eq=False)
class AffineValue:
    """A hidden value on a cell: ``[n, d + 1]``, affine in x, with bounds on errors and sums of terms.

    Both are ``[n, 2]``: the first times the greatest absolute coordinate of x, plus the second.
    """

    map: FloatArray
    errors: FloatArray
    sizes: FloatArray


def inputs(d: int) -> AffineValue:
    """The input itself."""
    look(16 * d * d)
    return AffineValue(np.eye(d, d + 1), np.zeros((d, 2)), np.tile([1.0, 0.0], (d, 1)))


def preactivation(layer: Layer, values: Sequence[AffineValue | None]) -> AffineValue:
    """The layer's pre-activations on the cell, with running bounds on all rounding errors.

    A sum of n products is off by n roundings of the sum of their sizes at most; so is each factor of a
    composition, for the sizes that the product of the absolute factors gives.
    """
    n = len(layer.bias)
    errors, sizes = np.zeros((n, 2)), np.stack([np.zeros(n), np.abs(layer.bias)], axis=1)
    z: FloatArray = np.zeros((n, 0))
    terms = len(layer.inputs) + 4
    for k, linear, absolute in zip(layer.inputs, layer.maps, layer.absolute_maps, strict=True):
        h = values[k]
        assert h is not None, "a value was dropped before its last use"
        part = linear.apply(h.map)
        z = z + part if z.shape[1] else part
        both = absolute.apply(np.concatenate([h.errors, h.sizes], axis=1))
        errors, sizes = errors + both[:, :2], sizes + both[:, 2:]
        terms += sum(factor.shape[1] + 2 for factor in linear.chain())
    z[:, -1] += layer.bias
    return AffineValue(z, errors + terms * (UNIT * sizes + LOST), sizes)


def behind(layer: Layer, z: AffineValue, pattern: PatternArray) -> AffineValue:
    """The layer's outputs on the cell, from its pre-activations; ``pattern`` is that of its units."""
    if layer.activation is None:
        return z
    pieces = layer.activation.affine(pattern)
    h = pieces.slope[:, None] * z.map[pieces.source]
    h[:, -1] += pieces.intercept
    steep = np.abs(pieces.slope)[:, None]
    sizes = steep * z.sizes[pieces.source]
    sizes[:, 1] += np.abs(pieces.intercept)
    return AffineValue(h, steep * z.errors[pieces.source] + 2 * UNIT * sizes + LOST, sizes)


def boundary_functions(table: LayerBoundaries, z: AffineValue) -> tuple[FloatArray, FloatArray]:
    """The layer's boundaries as functions ``[m, d + 1]`` of unit length, and their errors ``[m, 2]``."""
    functions, errors = table.functions(z.map), table.sizes(z.errors, constant=False)
    sizes = table.sizes(z.sizes, constant=False)
    sizes[:, 1] += np.abs(table.offset)
    return _unit_length(functions, errors + 4 * UNIT * sizes + LOST)


def _unit_length(functions: FloatArray, errors: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Functions scaled to gradients of length 1; one that has none, or is not finite, has unknown errors.

    The errors have room for those of evaluating the functions, and for their own.
    """
    top = np.abs(functions[:, :-1]).max(axis=1, initial=0.0)
    usable = (top > 0) & np.isfinite(functions).all(axis=1) & np.isfinite(errors).all(axis=1)
    power = -np.frexp(np.where(usable, top, 1.0))[1][:, None]
    with np.errstate(over="ignore"):
        near = np.ldexp(np.where(usable[:, None], functions, 0.0), power)
        length = np.where(usable, np.linalg.norm(near[:, :-1], axis=1), 1.0)[:, None]
        scaled, around = near / length, np.ldexp(errors, power) / length
    usable &= np.isfinite(scaled).all(axis=1)
    out = np.where(usable[:, None], scaled, 0.0)
    return out, np.minimum(np.where(usable[:, None], 1.001 * around + rounding_of(out), np.inf), UNKNOWN)


def rounding_of(rows: FloatArray) -> FloatArray:
    """The errors ``[m, 2]`` of rows that were rounded, and of their values at points."""
    d = rows.shape[1] - 1
    sizes = np.zeros((len(rows), 2))
    for i in range(0, len(rows), TOGETHER):
        look()
        size = np.abs(rows[i : i + TOGETHER])
        sizes[i : i + TOGETHER] = np.stack([size[:, :-1].sum(axis=1), size[:, -1]], axis=1)
    errors: FloatArray = (d + 12) * UNIT * sizes
    return errors

r"""A network's values and patterns at rational points, exactly: :math:`z_l = \sum_k A_{l,k} h_k + b_l`.

All numbers of a layer are integers over one common denominator ``scale * 2^exponent``, where ``scale`` is the
least common denominator of the point's coordinates. A direction goes along as a column of scale 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

import numpy as np

from polytope.errors import InternalError
from polytope.exact.dyadic import Dyadic, IntegerVector, add, dyadic
from polytope.exact.network import ExactNetwork
from polytope.ir.activations import Activation, PatternArray
from polytope.ir.layers import Layer
from polytope.ir.sweep import outputs

Choose = Callable[[int, Dyadic], PatternArray]  # layer, pre-activations [n, B] -> pieces


def values_at(network: ExactNetwork, x: Sequence[Fraction]) -> tuple[Fraction, ...]:
    """The outputs at a rational point.

    Where a point lies on a breakpoint, the piece that owns it counts.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[3.0], [-3.0]], [-1.0, 1.0]), ([[1.0, 1.0]], [0.0])])  # |3 x - 1|
        >>> values_at(ExactNetwork(net), [Fraction(1, 3)]), values_at(ExactNetwork(net), [Fraction(1, 2)])
        ((Fraction(0, 1),), (Fraction(1, 2),))
    """
    point, scale = _integers(x)
    last = _forward(network, point[:, None], [scale], lambda number, z: _owners(network, number, z, scale))
    return tuple(Fraction(v, scale << last.exponent) for v in last.integers[:, 0].tolist())


def pattern_at(network: ExactNetwork, x: Sequence[Fraction]) -> PatternArray:
    """The pattern ``int8[units]`` at a rational point; on a breakpoint the piece that owns it."""
    point, scale = _integers(x)
    out = np.zeros(network.network.n_units, dtype=np.int8)

    def choose(number: int, z: Dyadic) -> PatternArray:
        pieces = _owners(network, number, z, scale)
        network.network.layer_pattern(number, out)[:] = pieces
        return pieces

    _forward(network, point[:, None], [scale], choose)
    return out


def pattern_beside(
    network: ExactNetwork, x: Sequence[Fraction], direction: Sequence[Fraction]
) -> PatternArray | None:
    """The pattern ``int8[units]`` of the region that a direction leads into from a rational point.

    ``None`` if it runs along a boundary: then another direction is needed.
    """
    point, scale = _integers(x)
    along, _ = _integers(direction)
    out = np.zeros(network.network.n_units, dtype=np.int8)

    def choose(number: int, z: Dyadic) -> PatternArray:
        activation = network.network.layers[number - 1].phi
        pieces = network.network.layer_pattern(number, out)
        for unit, guess in enumerate(_guess(activation, z, scale).tolist()):
            piece = _ahead(network, number, unit, guess, z, scale, out)
            if piece is None:
                raise _AlongBoundaryError
            pieces[unit] = piece
        return pieces

    try:
        _forward(network, np.stack([point, along], axis=1), [scale, 0], choose)
    except _AlongBoundaryError:
        return None
    return out


class _AlongBoundaryError(Exception):
    """A direction runs along a boundary."""


def _integers(x: Sequence[Fraction]) -> tuple[IntegerVector, int]:
    """Rationals as integers over their least common denominator."""
    scale = lcm(*(v.denominator for v in x))
    out: IntegerVector = np.empty(len(x), dtype=object)
    out[:] = [int(v * scale) for v in x]
    return out, scale


def _forward(network: ExactNetwork, columns: IntegerVector, scales: Sequence[int], choose: Choose) -> Dyadic:
    """The outputs of ``[d, B]`` columns, each times its scale."""
    domain = _Columns(network, np.array(scales, dtype=object), choose)
    return outputs(network.network, Dyadic(columns, 0), domain)


@dataclass(frozen=True, eq=False)
class _Columns:
    """Values, each column times its factor, on the pieces that are chosen."""

    exact: ExactNetwork
    factors: IntegerVector
    choose: Choose

    def affine(self, number: int, layer: Layer, reads: Sequence[Dyadic]) -> Dyadic:
        bias = dyadic(layer.bias)
        z = Dyadic(bias.integers[:, None] * self.factors, bias.exponent)
        for linear, h in zip(layer.maps, reads, strict=True):
            z = add(z, self.exact.apply(linear, h))
        return z

    def activate(self, number: int, layer: Layer, z: Dyadic) -> Dyadic:
        return _activated(layer.phi, z, self.choose(number, z), self.factors)


def _activated(activation: Activation, z: Dyadic, pattern: PatternArray, factors: IntegerVector) -> Dyadic:
    """The outputs of a layer from its pre-activations, columns times their factors."""
    pieces = activation.affine(pattern)
    slope, intercept = dyadic(pieces.slope), dyadic(pieces.intercept)
    sloped = Dyadic(slope.integers[:, None] * z.integers[pieces.source], slope.exponent + z.exponent)
    return add(sloped, Dyadic(intercept.integers[:, None] * factors, intercept.exponent))


def _owners(network: ExactNetwork, number: int, z: Dyadic, scale: int) -> PatternArray:
    """The pieces that own a point: all their rows hold, strict ones strictly."""
    activation = network.network.layers[number - 1].phi
    pieces = [
        _owner(activation, unit, guess, z, scale)
        for unit, guess in enumerate(_guess(activation, z, scale).tolist())
    ]
    return np.array(pieces, dtype=np.int8)


def _owner(activation: Activation, unit: int, guess: int, z: Dyadic, scale: int) -> int:
    """The piece of a unit that owns a point."""
    for piece in _pieces(activation, unit, guess):
        rows = _rows(activation, unit, piece, z, scale)
        if all(at < 0 or (at == 0 and not strict) for at, _, strict, _ in rows):
            return piece
    raise InternalError("The pieces of a unit do not cover a point.")


def _ahead(
    network: ExactNetwork,
    number: int,
    unit: int,
    guess: int,
    z: Dyadic,
    scale: int,
    pattern: PatternArray,
) -> int | None:
    """The piece that a unit is on just ahead; ``None`` if a boundary that is not zero all over stays zero."""
    activation = network.network.layers[number - 1].phi
    for piece in _pieces(activation, unit, guess):
        for at, rate, strict, (index, factors, offset) in _rows(activation, unit, piece, z, scale):
            if at == 0 and rate == 0:
                if any(network.row(number, index, factors, offset, pattern)):
                    return None
                if strict:
                    break
            elif at > 0 or (at == 0 and rate > 0):
                break
        else:
            return piece
    raise InternalError("The pieces of a unit do not cover a direction from a point.")


_Row = tuple[Fraction, Fraction, bool, tuple[list[int], list[float], float]]


def _rows(activation: Activation, unit: int, piece: int, z: Dyadic, scale: int) -> list[_Row]:
    """Of each row of a piece: value, slope along the direction (both scaled), strictness, and what it is."""
    cell = activation.cell(unit, piece)
    out = []
    for index, factors, offset, strict in zip(
        cell.index.tolist(),
        cell.coefficients.tolist(),
        cell.offset.tolist(),
        cell.strict.tolist(),
        strict=True,
    ):
        weights = [Fraction(v) for v in factors]
        at, *rates = (
            sum((w * column[i] for w, i in zip(weights, index, strict=True)), Fraction(0))
            for column in z.integers.T
        )
        at -= Fraction(offset) * (scale << z.exponent)
        out.append((at, rates[0] if rates else Fraction(0), strict, (index, factors, offset)))
    return out


def _pieces(activation: Activation, unit: int, guess: int) -> list[int]:
    """All pieces of a unit, a likely one first."""
    return [guess, *(p for p in range(activation.n_pieces(unit)) if p != guess)]


def _guess(activation: Activation, z: Dyadic, scale: int) -> PatternArray:
    """The pieces by floats."""
    values = [_near(Fraction(v, scale << z.exponent)) for v in z.integers[:, 0].tolist()]
    return activation.pattern(np.array(values)[:, None])[:, 0]


def _near(q: Fraction) -> float:
    try:
        return float(q)
    except OverflowError:
        return float("inf") if q > 0 else float("-inf")

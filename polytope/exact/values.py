r"""A network's values at a rational point, exactly: :math:`z_l = \sum_k A_{l,k} h_k + b_l` in fractions.

All numbers of a layer are integers over one common denominator ``scale * 2^exponent``, where ``scale`` is the
least common denominator of the point's coordinates.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import lcm

import numpy as np

from polytope.exact.dyadic import Dyadic, IntegerVector, add, dyadic, times
from polytope.exact.network import ExactNetwork
from polytope.ir.activations import Activation


def values_at(network: ExactNetwork, x: Sequence[Fraction]) -> tuple[Fraction, ...]:
    """The outputs at a rational point.

    Where a point lies on a breakpoint, the piece that owns it counts.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[3.0], [-3.0]], [-1.0, 1.0]), ([[1.0, 1.0]], [0.0])])  # |3 x - 1|
        >>> values_at(ExactNetwork(net), [Fraction(1, 3)]), values_at(ExactNetwork(net), [Fraction(1, 2)])
        ((Fraction(0, 1),), (Fraction(1, 2),))
    """
    scale = lcm(*(v.denominator for v in x))
    values = [_integers([int(v * scale) for v in x], 0)]
    for layer in network.network.layers:
        z = _scaled(dyadic(layer.bias), scale)
        for k, linear in zip(layer.inputs, layer.maps, strict=True):
            moved = network.apply(linear, Dyadic(values[k].integers[:, None], values[k].exponent))
            z = add(z, Dyadic(moved.integers[:, 0], moved.exponent))
        values.append(z if layer.activation is None else _bent(layer.activation, z, scale))
    last = values[-1]
    return tuple(Fraction(v, scale << last.exponent) for v in last.integers.tolist())


def _integers(numbers: list[int], exponent: int) -> Dyadic:
    out: IntegerVector = np.empty(len(numbers), dtype=object)
    out[:] = numbers
    return Dyadic(out, exponent)


def _scaled(a: Dyadic, factor: int) -> Dyadic:
    return Dyadic(a.integers * factor, a.exponent)


def _bent(activation: Activation, z: Dyadic, scale: int) -> Dyadic:
    """The outputs of a layer from ``scale`` times its pre-activations, times ``scale``."""
    guess = activation.pattern(np.array(_floats(z, scale))[:, None])[:, 0]
    pattern = np.array([_piece(activation, unit, p, z, scale) for unit, p in enumerate(guess.tolist())])
    pieces = activation.affine(pattern.astype(np.int8))
    sloped = times(dyadic(pieces.slope), Dyadic(z.integers[pieces.source], z.exponent))
    return add(sloped, _scaled(dyadic(pieces.intercept), scale))


def _floats(z: Dyadic, scale: int) -> list[float]:
    """Pre-activations near enough to guess pieces from."""
    return [_near(Fraction(v, scale << z.exponent)) for v in z.integers.tolist()]


def _near(q: Fraction) -> float:
    try:
        return float(q)
    except OverflowError:
        return float("inf") if q > 0 else float("-inf")


def _piece(activation: Activation, unit: int, guess: int, z: Dyadic, scale: int) -> int:
    """The piece that owns the point: all its rows hold, strict ones strictly."""
    order = [guess, *(p for p in range(activation.n_pieces(unit)) if p != guess)]
    return next(p for p in order if _holds(activation, unit, p, z, scale))


def _holds(activation: Activation, unit: int, piece: int, z: Dyadic, scale: int) -> bool:
    cell = activation.cell(unit, piece)
    for (i, j), uv, offset, strict in zip(
        cell.index.tolist(),
        cell.coefficients.tolist(),
        cell.offset.tolist(),
        cell.strict.tolist(),
        strict=True,
    ):
        at = Fraction(uv[0]) * z.integers[i] + Fraction(uv[1]) * z.integers[j]
        limit = Fraction(offset) * (scale << z.exponent)
        if at > limit or (strict and at == limit):
            return False
    return True

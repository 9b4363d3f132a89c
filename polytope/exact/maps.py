"""Affine maps in float64 that rounding did not spoil: where a bound is poor, exact ones, rounded once."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from polytope.errors import GeometryError
from polytope.exact.dyadic import Dyadic
from polytope.exact.network import ExactNetwork
from polytope.ir.activations import PatternArray
from polytope.ir.bounded import BoundedMaps, bounded_maps
from polytope.ir.maps import FloatArray
from polytope.ir.network import Network

BoolArray = NDArray[np.bool_]
POOR = 2.0**-24  # errors, relative to the number itself or to the greatest of its row, that are not accepted


class RightMaps(NamedTuple):
    """Affine maps f(x) = J x + c, ``J [B, out, d]`` and ``c [B, out]``."""

    J: FloatArray
    c: FloatArray


def right_maps(network: Network, patterns: PatternArray) -> RightMaps:
    """The affine maps of patterns ``int8[B, units]``, right to within 2^-24.

    Every constant is right relative to itself, and every row of J relative to its greatest entry: proved by
    an error bound of that row, else computed exactly and rounded once.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0], [1.0], [1.0]], [0.0, 5.0, 0.0]), ([[1e17, 0.3, -1e17]], [0.0])])
        >>> always_on = np.ones((1, 3), dtype=np.int8)
        >>> net.affine(always_on)[0].tolist(), right_maps(net, always_on).J.tolist()
        ([[[0.0]]], [[[0.3]]])
    """
    found = bounded_maps(network, patterns)
    poor = found.J_error.max(axis=2) > POOR * np.abs(found.J).max(axis=2)
    poor |= found.c_error > POOR * np.abs(found.c)
    settle(ExactNetwork(network), patterns, found, poor)
    return RightMaps(found.J, found.c)


def settle(exact: ExactNetwork, patterns: PatternArray, maps: BoundedMaps, poor: BoolArray) -> None:
    """Put exact rows, rounded once, in the place of those marked ``[B, out]``."""
    for b, k in np.argwhere(poor).tolist():
        row, error = rounded(exact.output(np.eye(exact.network.output_dim)[k].tolist(), patterns[b]))
        maps.J[b, k], maps.c[b, k] = row[:-1], row[-1]
        maps.J_error[b, k], maps.c_error[b, k] = error[:-1], error[-1]


def rounded(values: Dyadic) -> tuple[FloatArray, FloatArray]:
    """The nearest float64 numbers, and bounds on what rounding changed: 0 where it changed nothing.

    Raises:
        GeometryError: a number is beyond the range of float64.
    """
    scale = 1 << values.exponent
    try:
        out: FloatArray = np.array([v / scale for v in values.integers.tolist()])
    except OverflowError as error:
        raise GeometryError(
            "An affine map of the network has an entry above 1.8e308, beyond the range of float64: scale its "
            "weights down."
        ) from error
    changed = [Fraction(x) * scale != v for x, v in zip(out.tolist(), values.integers.tolist(), strict=True)]
    return out, np.where(changed, np.spacing(np.abs(out)), 0.0)

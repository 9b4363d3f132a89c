r"""Dyadic numbers: a float64 is :math:`m 2^{-e}`, and so are sums and products of float64 numbers.

A vector is a numpy object array of Python integers with one common exponent. Sums and products stay
integers, without the greatest common divisors that make rationals slow.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polytope.ir.maps import FloatArray

IntegerVector = NDArray[Any]

FEW = 256  # numbers that are converted one by one


@dataclass(frozen=True, eq=False)
class Dyadic:
    """The numbers ``integers * 2**-exponent``, exactly."""

    integers: IntegerVector
    exponent: int


def dyadic(values: ArrayLike) -> Dyadic:
    """A float64 array, exactly: each value is an integer over a common power of two."""
    array = np.asarray(values, dtype=float)
    if array.size > FEW and np.isfinite(array).all():
        return _many(array)
    flat = [float(v).as_integer_ratio() for v in array.ravel().tolist()]
    exponent = max((q.bit_length() - 1 for _, q in flat), default=0)
    out = np.empty(len(flat), dtype=object)
    out[:] = [p << (exponent - (q.bit_length() - 1)) for p, q in flat]
    return Dyadic(out.reshape(array.shape), exponent)


def _many(array: FloatArray) -> Dyadic:
    """The same of many finite numbers: all as int64 at once where they fit."""
    mantissa, power = np.frexp(array.ravel())
    odd = np.ldexp(mantissa, 53).astype(np.int64)
    nonzero = odd != 0
    zeros_behind = np.where(nonzero, np.frexp((odd & -odd).astype(float))[1] - 1, 0)
    odd >>= zeros_behind
    power = np.where(nonzero, power - 53 + zeros_behind, 0)
    exponent = max(int(-power.min(initial=0)), 0)
    shift = np.where(nonzero, power + exponent, 0)
    if (np.frexp(np.abs(odd).astype(float))[1] + shift).max(initial=0) < 63:
        return Dyadic((odd << shift).astype(object).reshape(array.shape), exponent)
    out = np.empty(len(odd), dtype=object)
    out[:] = [v << s for v, s in zip(odd.tolist(), shift.tolist(), strict=True)]
    return Dyadic(out.reshape(array.shape), exponent)


def add(a: Dyadic, b: Dyadic) -> Dyadic:
    """The sum."""
    exponent = max(a.exponent, b.exponent)
    return Dyadic(
        a.integers * (1 << (exponent - a.exponent)) + b.integers * (1 << (exponent - b.exponent)), exponent
    )


def times(a: Dyadic, b: Dyadic) -> Dyadic:
    """The product, entry by entry."""
    return Dyadic(a.integers * b.integers, a.exponent + b.exponent)


def zeros(*shape: int) -> Dyadic:
    """Nothing but zeros."""
    return Dyadic(np.full(shape, 0, dtype=object), 0)


def primitive(row: IntegerVector | list[int]) -> tuple[int, ...]:
    """A row divided by the greatest common divisor of its numbers: equal for positive multiples."""
    numbers = row if isinstance(row, list) else row.tolist()
    divisor = gcd(*numbers)
    return tuple(c // divisor for c in numbers) if divisor > 1 else tuple(numbers)

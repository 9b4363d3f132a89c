"""Whether a rational input is a counterexample, and the float64 input to report for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import product

import numpy as np

from polytope.exact.network import ExactNetwork
from polytope.exact.values import values_at
from polytope.ir.maps import FloatArray
from polytope.properties.vnnlib_property import Case

MOST_ROUNDED = 6  # dimensions in which every way to round a point is tried


def is_counterexample(network: ExactNetwork, case: Case, x: Sequence[Fraction]) -> bool:
    """Whether an input satisfies all constraints of a case, in rational arithmetic."""
    inside = all(a <= v <= b for a, v, b in zip(case.low.tolist(), x, case.high.tolist(), strict=True))
    if not inside or any(_above(a, b, x) > 0 for a, b in zip(case.A, case.b.tolist(), strict=True)):
        return False
    both = [*x, *values_at(network, x)]
    for c, e, strict in zip(case.C, case.e.tolist(), case.strict.tolist(), strict=True):
        above = _above(c, e, both)
        if above > 0 or (strict and above == 0):
            return False
    return True


def nearest_float(network: ExactNetwork, case: Case, x: Sequence[Fraction]) -> tuple[FloatArray, bool]:
    """A float64 input next to a counterexample, and whether it is one itself."""
    for rounded in _roundings(x):
        if is_counterexample(network, case, [Fraction(v) for v in rounded]):
            return np.array(rounded), True
    return np.array([float(v) for v in x]), False


def _above(coefficients: FloatArray, limit: float, v: Sequence[Fraction]) -> Fraction:
    """``coefficients . v - limit``."""
    places = np.flatnonzero(coefficients).tolist()
    return sum((Fraction(float(coefficients[i])) * v[i] for i in places), -Fraction(limit))


def _roundings(x: Sequence[Fraction]) -> Iterator[tuple[float, ...]]:
    """The nearest float64 point, and in few dimensions all that have a float64 next to each coordinate."""
    nearest = tuple(float(v) for v in x)
    yield nearest
    if len(x) <= MOST_ROUNDED:
        away = [np.inf if v > near else -np.inf for v, near in zip(x, nearest, strict=True)]
        ends = [
            (near,) if near == v else (near, float(np.nextafter(near, end)))
            for v, near, end in zip(x, nearest, away, strict=True)
        ]
        yield from (corner for corner in product(*ends) if corner != nearest)

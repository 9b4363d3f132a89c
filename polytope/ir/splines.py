r"""Smooth activations as splines whose distance to the function is proved.

On a cell of width w the chord of a function is at most :math:`w^2/8 \sup |\phi''|` away from it, its slope at
most :math:`w/2 \sup |\phi''|` from the function's. Cells are as wide as the same error allows everywhere;
left and right of all of them the spline goes on along the asymptotes. All suprema and values are enclosed in
ball arithmetic, of which only upper ends are used.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import numpy as np
from flint import arb, arb_series

from polytope.ir.maps import FloatArray
from polytope.ir.unit_pieces import MOST_PIECES, PiecewiseLinear, Spline

_Series = Callable[[arb_series], arb_series]
# bits behind the point of breakpoints and of slopes: their products are float64 numbers
_STEPS, _SLOPES = 10, 36
_PARTS = 256  # cells of a unit length, in each of which derivatives are enclosed
# From here on outwards value, slope and curvature of every function approach the asymptote's steadily.
_TAIL = 4
_WIDEST, _FARTHEST = 2, 40


def _sigmoid(x: arb_series) -> arb_series:
    return 1 / (1 + (-x).exp())


def _tanh(x: arb_series) -> arb_series:
    return 1 - 2 / (1 + (2 * x).exp())


def _softplus(x: arb_series) -> arb_series:
    return (1 + x.exp()).log()


def _gelu_tanh(x: arb_series) -> arb_series:
    return x / 2 * (1 + _tanh((x + x * x * x * arb("0.044715")) * (2 / arb.pi()).sqrt()))


@dataclass(frozen=True)
class _Smooth:
    """A function with its asymptotes on both sides (slope, value at 0), and how far models may be from it."""

    series: _Series
    left: tuple[int, int]
    right: tuple[int, int]
    more: float = 0.0


_RELU_LIKE = ((0, 0), (1, 0))
SMOOTH: Mapping[str, _Smooth] = {
    "gelu": _Smooth(
        lambda x: x / 2 * (1 + (x / arb(2).sqrt()).erf()), *_RELU_LIKE, more=5e-8
    ),  # rounded constants
    "gelu_tanh": _Smooth(_gelu_tanh, *_RELU_LIKE, more=5e-8),
    "silu": _Smooth(lambda x: x * _sigmoid(x), *_RELU_LIKE),
    "mish": _Smooth(lambda x: x * _tanh(_softplus(x)), *_RELU_LIKE),
    "softplus": _Smooth(_softplus, *_RELU_LIKE, more=2.1e-9),  # PyTorch takes x itself beyond 20
    "tanh": _Smooth(_tanh, (0, -1), (0, 1)),
    "sigmoid": _Smooth(_sigmoid, (0, 0), (0, 1)),
}
"""The functions that have splines, by their names in PyTorch."""


@cache
def smooth_spline(name: str, spacing: float) -> PiecewiseLinear:
    r"""A continuous spline of a smooth activation, with a proved bound on its distance.

    Arguments:
        name: gelu, gelu_tanh, silu, mish, softplus, tanh or sigmoid.
        spacing: width h of the cells where the function bends most; the error is at most
            :math:`h^2/8 \sup |\phi''|` and what rounding and the tails add: 0.1 h^2 for GELU.

    Raises:
        ValueError: there is no such function, or so small a spacing needs too many pieces.
    """
    if name not in SMOOTH:
        raise ValueError(f"smooth_spline: {name!r} is not one of {', '.join(SMOOTH)}.")
    if not 2.0**-_STEPS <= spacing <= 1:
        raise ValueError(f"smooth: the spacing must be between {2.0**-_STEPS:.2g} and 1, not {spacing!r}.")
    smooth, bends = SMOOTH[name], _bends(name)
    nodes = _nodes(smooth, bends, spacing**2 * float(bends.bend.max()))
    if len(nodes) >= MOST_PIECES:
        raise ValueError(
            f"smooth: {name} with the spacing {spacing:g} needs more than {MOST_PIECES} pieces. "
            "Take a larger one."
        )
    return _through(name, spacing, smooth, bends, nodes)


def _nodes(smooth: _Smooth, bends: _Bends, allowed: float) -> list[Fraction]:
    """Breakpoints, so near each other that width^2 times curvature is allowed between any two."""
    left = _outwards(smooth, bends, allowed, -1)
    return [-t for t in reversed(left)] + [Fraction(0), *_outwards(smooth, bends, allowed, 1)]


def _outwards(smooth: _Smooth, bends: _Bends, allowed: float, side: int) -> list[Fraction]:
    """Breakpoints on one side of 0, as distances, until the asymptote is near enough."""
    found: list[Fraction] = []
    t, unit = Fraction(0), Fraction(1, 2**_STEPS)
    while t < _TAIL or _upper(abs(_off_asymptote(smooth, side * t))) > allowed / 8000:
        if len(found) == MOST_PIECES or t > _FARTHEST - _WIDEST:
            break  # too many, or far enough: errors are counted for the nodes that there are
        width = Fraction(_WIDEST)
        while width > unit:
            ends = sorted((side * t, side * (t + width)))
            if float(width) ** 2 * bends.curvature(*ends) <= allowed:
                break
            width = max(unit, Fraction(int(width * Fraction(31, 32) / unit)) * unit)
        t += width
        found.append(t)
    return found


@dataclass(frozen=True, eq=False)
class _Bends:
    """Upper bounds of the first and the second derivative's sizes, in cells of equal width around 0."""

    slope: FloatArray
    bend: FloatArray

    @staticmethod
    def of(smooth: _Smooth) -> _Bends:
        """Enclosed in balls, one for each cell."""
        middle, half = Fraction(1, 2 * _PARTS), arb(1) / (2 * _PARTS)
        found = []
        for k in range(-_FARTHEST * _PARTS, _FARTHEST * _PARTS):
            ball = arb(_arb(Fraction(k, _PARTS) + middle), half)
            series = smooth.series(arb_series([ball, 1], prec=3))
            found.append((_upper(abs(series[1])), _upper(2 * abs(series[2]))))
        slope, bend = np.array(found).T
        assert np.isfinite(found).all(), "balls so small are bounded"
        return _Bends(slope, bend)

    def curvature(self, low: Fraction, high: Fraction) -> float:
        """A bound of the second derivative's size between two points."""
        first, last = (
            _FARTHEST * _PARTS + end for end in (math.floor(low * _PARTS), math.ceil(high * _PARTS))
        )
        return float(self.bend[max(first, 0) : max(last, first + 1)].max())


def _arb(x: Fraction) -> arb:
    return arb(x.numerator) / x.denominator


def _upper(x: arb) -> float:
    """A float64 number that is not below a ball."""
    return float(np.nextafter(float(x.upper()), np.inf))


def _value(smooth: _Smooth, t: Fraction, derivative: int = 0) -> arb:
    series = smooth.series(arb_series([_arb(t), 1], prec=derivative + 1))
    return series[derivative]


def _off_asymptote(smooth: _Smooth, t: Fraction) -> arb:
    slope, constant = smooth.right if t > 0 else smooth.left
    return _value(smooth, t) - _arb(slope * t + constant)


@cache
def _bends(name: str) -> _Bends:
    return _Bends.of(SMOOTH[name])


def _through(
    name: str, spacing: float, smooth: _Smooth, bends: _Bends, nodes: list[Fraction]
) -> PiecewiseLinear:
    """The spline through a function's values at the nodes, rounded so that pieces meet exactly."""
    slope, constant = smooth.left
    slopes, heights = [Fraction(slope)], [slope * nodes[0] + Fraction(constant)]
    for a, b in itertools.pairwise(nodes):
        rise = (Fraction(float(_value(smooth, b).mid())) - heights[-1]) / (b - a)
        slopes.append(Fraction(round(rise * 2**_SLOPES), 2**_SLOPES))
        heights.append(heights[-1] + slopes[-1] * (b - a))
    slopes.append(Fraction(smooth.right[0]))
    at = [nodes[0], *nodes]
    intercepts = [h - s * t for h, s, t in zip([heights[0], *heights], slopes, at, strict=True)]
    error, slope_error = _errors(smooth, bends, nodes, slopes, heights)
    facts = Spline(
        name=name,
        spacing=spacing,
        error=_more(error + smooth.more),
        slope_error=_more(slope_error + smooth.more),
        steepest=max(float(bends.slope.max()), *map(abs, (smooth.left[0], smooth.right[0]))),
    )
    table = [np.array([[float(x) for x in row]]) for row in (nodes, slopes, intercepts)]
    made = PiecewiseLinear(table[0], table[1], table[2], spline=facts)
    assert made.jump() is None, "breakpoints and slopes have few enough bits"
    return made


def _errors(
    smooth: _Smooth, bends: _Bends, nodes: list[Fraction], slopes: list[Fraction], heights: list[Fraction]
) -> tuple[float, float]:
    """How far values and slopes of the spline are from the function's, at most."""
    off = [_upper(abs(_value(smooth, t) - _arb(h))) for t, h in zip(nodes, heights, strict=True)]
    error = slope_error = 0.0
    for k, (a, b) in enumerate(itertools.pairwise(nodes)):
        bend, width = bends.curvature(a, b), float(b - a)
        error = max(error, _more(max(off[k], off[k + 1]) + width**2 / 8 * bend))
        slope_error = max(slope_error, _more((off[k] + off[k + 1]) / width + width / 2 * bend))
    for t, h, slope, (_, constant) in (
        (nodes[0], heights[0], slopes[0], smooth.left),
        (nodes[-1], heights[-1], slopes[-1], smooth.right),
    ):
        aside = _upper(abs(_arb(h - slope * t - constant)))
        error = max(error, _more(_upper(abs(_off_asymptote(smooth, t))) + aside))
        slope_error = max(slope_error, _upper(abs(_value(smooth, t, 1) - _arb(slope))))
    return error, slope_error


def _more(x: float) -> float:
    """Above the rounding of a few operations with positive numbers."""
    return x * (1 + 2.0**-48)

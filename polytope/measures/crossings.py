r"""Where a segment leaves its activation regions: the parameters at which units change their piece."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from polytope.engines.amounts import Seconds
from polytope.engines.budget import Budget
from polytope.engines.named import EngineLike
from polytope.exact.dyadic import IntegerVector
from polytope.exact.maps import right_maps
from polytope.exact.polytope import nearest_float
from polytope.exact.rows import Cut
from polytope.geometry.polyhedron import Polyhedron
from polytope.given import NetworkLike, as_network, described
from polytope.ir import Network, mlp
from polytope.ir.arrays import floats
from polytope.ir.maps import FloatArray, IntArray
from polytope.labelled import in_words, interval
from polytope.regions.complex import RegionComplex
from polytope.runs.enumerate import enumerate_regions


@dataclass(frozen=True, eq=False)
class Crossings:
    r"""The crossings on the segment :math:`x(t) = (1 - t) a + t b`, and the affine maps between them.

    Arguments:
        t: the parameters of the crossings, ``[C]``, ascending. **Exact**: rational, and rounded once.
        units: the units whose piece changes at each crossing, by their places in a pattern, ``int[k]`` each.
        points: the inputs at the crossings, ``[C, d]``, rounded.
        ends: first and last parameter of every stretch between two crossings, ``[S, 2]``, rounded once.
        J, c: the network's affine map on every stretch, ``[S, out, d]`` and ``[S, out]``: f(x) = J x + c.
        complete: whether these are all crossings, so that S = C + 1 and the stretches cover the segment. If
            not, crossings are known only between two stretches that were found.
        upper: certified bound on the number of parameters at which units change their piece.
        exact: the parameters again, as fractions.
    """

    t: FloatArray
    units: tuple[IntArray, ...]
    points: FloatArray
    ends: FloatArray
    J: FloatArray
    c: FloatArray
    complete: bool
    upper: int
    exact: tuple[Fraction, ...] = field(repr=False, default=())

    def __len__(self) -> int:
        return len(self.t)

    def __repr__(self) -> str:
        count = in_words(interval(len(self), self.upper)) + (", complete" if self.complete else "")
        return f"Crossings({count}, on a segment in {self.J.shape[2]:,} dimensions)"


def crossings(
    network: NetworkLike,
    a: ArrayLike,
    b: ArrayLike,
    engine: EngineLike | None = None,
    *,
    max_regions: int | None = None,
    max_seconds: Seconds | None = None,
) -> Crossings:
    r"""The parameters at which units change their piece on the way from a to b.

    The regions of the network on the segment are enumerated like those of any domain, of one dimension; no
    product is rounded. Where a unit touches its breakpoint without passing it there is no crossing.

    Arguments:
        network: a piecewise-affine network.
        a, b: the ends of the segment, ``[d]`` each, or of the input's shape.
        engine, max_regions, max_seconds: as for ``enumerate_regions``; the time holds the exact parameters
            too, two passes back through the layers for each region.

    Raises:
        ValueError: a or b is not a finite point of the input space, or they are equal.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0], [3.0]], [0.0, -1.0]), ([[1.0, 1.0]], [0.0])])  # relu(x) + relu(3 x - 1)
        >>> found = crossings(net, [-1.0], [1.0])
        >>> found.t.tolist(), [units.tolist() for units in found.units], found.exact[1]
        ([0.5, 0.6666666666666666], [[0], [1]], Fraction(2, 3))
        >>> found.J[:, 0, 0].tolist()
        [0.0, 1.0, 4.0]
    """
    network = as_network(network)
    start, end = _end(network, "a", a), _end(network, "b", b)
    if np.array_equal(start, end):
        raise ValueError("crossings: a and b are one point, not a segment.")
    budget = Budget(max_regions, max_seconds)
    complex = enumerate_regions(
        _on_segment(network, start, end),
        Polyhedron.box([0.0], [1.0]),
        engine,
        max_regions=max_regions,
        max_seconds=budget.rest,
    )
    return _read(network, complex, start, end, budget)


def _end(network: Network, name: str, point: ArrayLike) -> FloatArray:
    try:
        end = floats(point).ravel()
    except (TypeError, ValueError) as error:
        said = f"crossings: {name} must be a point, {network.input_dim} numbers, not {described(point)}."
        raise TypeError(said) from error
    if len(end) != network.input_dim or not np.isfinite(end).all():
        raise ValueError(f"crossings: {name} must be a finite point of R^{network.input_dim}.")
    return end


def _on_segment(network: Network, a: FloatArray, b: FloatArray) -> Network:
    """The network of t: two affine layers more, t to (1 - t, t) to (1 - t) a + t b, and nothing rounded."""
    weights = mlp([([[-1.0], [1.0]], [1.0, 0.0])])
    return weights.then(mlp([(np.stack([a, b], axis=1), np.zeros(len(a)))])).then(network)


def _read(
    network: Network, complex: RegionComplex, a: FloatArray, b: FloatArray, budget: Budget
) -> Crossings:
    """The regions of the segment in their order, and what changes between two that meet."""
    stretches = []
    for i, rows in enumerate(_rows(complex)):
        stretches.append((*_ends(rows), i))
        if budget.late():
            break
    stretches.sort()
    exact, units = [], []
    for (_, end, i), (start, _, k) in pairwise(stretches):
        if end == start:
            exact.append(end)
            units.append(np.flatnonzero(complex.patterns[i] != complex.patterns[k]).astype(np.int64))
    J, c = right_maps(network, complex.patterns[[i for *_, i in stretches]])
    return Crossings(
        t=np.array([nearest_float(t) for t in exact], dtype=float),
        units=tuple(units),
        points=np.array([_at(t, a, b) for t in exact]).reshape(-1, len(a)),
        ends=np.array([[nearest_float(t) for t in pair[:2]] for pair in stretches]).reshape(-1, 2),
        J=J,
        c=c,
        complete=complex.complete and len(stretches) == len(complex),
        upper=complex.upper - 1,
        exact=tuple(exact),
    )


def _rows(complex: RegionComplex) -> Iterator[list[IntegerVector]]:
    """The exact rows of the two units at the ends of each region, or of the domain: all of their pieces.

    A unit's function is the same on both sides of its crossing, so that it is asked for once.
    """
    tables, before = complex._boundaries, complex.network.unit_offsets
    for region, pattern in enumerate(complex.patterns):
        rows = []
        for unit in complex.facets.unit[complex._span(region)].tolist():
            if unit < 0:
                rows.append(complex._exact(Cut(0, -1 - unit, 1.0), pattern))
                continue
            number = int(np.searchsorted(before, unit, side="right")) - 1
            table = tables[number]
            piece = table.first_piece[unit - before[number]] + pattern[unit]
            for row in range(table.rows_end[piece], table.rows_end[piece + 1]):
                cut = Cut(number + 1, int(table.row_boundary[row]), 1.0)
                rows.append(int(table.row_sign[row]) * complex._exact(cut, pattern))
        yield rows


def _ends(rows: list[IntegerVector]) -> tuple[Fraction, Fraction]:
    """The ends of an interval: the rows say ``slope t + offset <= 0``."""
    low = max(Fraction(-offset, slope) for slope, offset in rows if slope < 0)
    high = min(Fraction(-offset, slope) for slope, offset in rows if slope > 0)
    return low, high


def _at(t: Fraction, a: FloatArray, b: FloatArray) -> list[float]:
    """The point of a parameter, each coordinate rounded once."""
    pairs = zip(a.tolist(), b.tolist(), strict=True)
    return [nearest_float((1 - t) * Fraction(p) + t * Fraction(q)) for p, q in pairs]

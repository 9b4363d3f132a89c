r"""Signs of affine functions at vertices in rational arithmetic, for decisions that rounding leaves open.

The compiled searches name rows by the flat network's numbers; here these become exact rows of the network
that was flattened (``ExactNetwork``), and vertices are the solutions of d of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from polytope import _core
from polytope.core.flat_network import UNIT_PIECES, FlatNetwork, used_layers
from polytope.errors import SolverError
from polytope.exact.dyadic import Dyadic, add, dyadic, zeros
from polytope.exact.implied import solve
from polytope.exact.network import ExactNetwork
from polytope.ir.activations import PatternArray
from polytope.ir.network import Network

Uncertain = tuple[list[Fraction], list[Fraction]]  # numbers, and bounds on their errors
Row = tuple[int, int, float]  # see ExactSigns
TINY = 2.0**-1000  # what is smaller is only known to be
HUGE = 2.0**900  # sums of sizes beyond which pairs of floats may overflow
CACHE_ROWS = 20_000


class ExactSigns:
    """Exact rows and vertices of one flat network, with what was computed before kept for reuse.

    Rows are triples (a, b, brk): ``z_a - z_b``, ``z_a - brk`` for b = -1, domain row a for b = -2; a may be
    -1 too, for zero.
    """

    def __init__(self, network: Network, net: FlatNetwork) -> None:
        self.net, self.exact = net, ExactNetwork(network)
        self.d, self.n_units = network.input_dim, network.n_units
        self._numbers = used_layers(network)
        self._named_units = np.flatnonzero(net.pat >= 0)
        self._known: dict[tuple[int, bytes], Dyadic] = {}
        self._double: dict[tuple[int, int, float, bytes], Uncertain] = {}
        self._vertices: dict[tuple[object, ...], tuple[list[int], int]] = {}

    def value(self, facets: Sequence[Row], row: Row, seg: NDArray[np.int64]) -> float:
        """The value of a row at the vertex on all the facets: the nearest float but for d = 2.

        Of the right sign; values that are closer to zero than ``TINY`` are given as that.

        Arguments:
            seg: pieces of the units on the present cell, as the flat network numbers them.
        """
        facets = [self._named(*facet, seg) for facet in facets]
        quick = self._quick(facets, self._named(*row, seg), seg) if self.d == 2 else 0.0
        if quick:
            return quick
        g = self.row(*row, seg)
        if not any(g.integers[:-1]):
            return _nearest(Fraction(g.integers[-1], 1 << g.exponent))
        keys = tuple(sorted((a, b, brk, self._prefix(a, b, seg)) for a, b, brk in facets))
        point = self._vertices.get(keys)
        if point is None:
            if len(self._vertices) > CACHE_ROWS:
                self._vertices.clear()
            point = solve([self.row(*facet, seg).integers.tolist() for facet in facets])
            assert point is not None, "the facets of a vertex determine it"
            self._vertices[keys] = point
        numerators, denominator = point
        total = g.integers[-1] * denominator
        total += sum(c * x for c, x in zip(g.integers.tolist(), numerators, strict=False))
        return _nearest(Fraction(total, denominator << g.exponent))

    def row(self, a: int, b: int, brk: float, seg: NDArray[np.int64]) -> Dyadic:
        """The affine function of a row, ``[d + 1]``: d coefficients and the constant."""
        a, b, brk = self._named(a, b, brk, seg)
        if b == -2:
            return dyadic(self.net.dom[a])
        pattern = self._pattern(seg)
        out = self._preactivation(a, pattern) if a >= 0 else zeros(self.d + 1)
        if b >= 0:
            second = self._preactivation(b, pattern)
            return add(out, Dyadic(-second.integers, second.exponent))
        return add(out, dyadic([*[0.0] * self.d, -brk])) if brk else out

    def _preactivation(self, r: int, pattern: PatternArray) -> Dyadic:
        """A pre-activation as a function of the input."""
        layer = self._layer(r)
        number = self._numbers[layer - 1]
        key = (r, pattern[: self.exact.network.unit_offsets[number - 1]].tobytes())
        if key not in self._known:
            if len(self._known) > CACHE_ROWS:
                self._known.clear()
            unit = r - int(self.net.pre_off[layer])
            self._known[key] = self.exact.function(number, [unit], [1.0], 0.0, pattern)
        return self._known[key]

    def _pattern(self, seg: NDArray[np.int64]) -> PatternArray:
        """The pattern of the present cell, whose pieces the flat network numbers without the empty ones."""
        net, units = self.net, self._named_units
        pieces = seg[units]
        out = np.zeros(self.n_units, dtype=np.int8)
        plain = net.kind[units] == UNIT_PIECES
        of_table = net.label[np.where(plain, net.tab[units] + pieces, 0)] if len(net.label) else pieces
        out[net.pat[units]] = np.where(plain, of_table, pieces)
        return out

    def _layer(self, r: int) -> int:
        return int(np.searchsorted(self.net.pre_off, r, side="right")) - 1

    def _prefix(self, a: int, b: int, seg: NDArray[np.int64]) -> bytes:
        """The pieces that decide what a row is: those of the layers in front."""
        if b == -2 or max(a, b) < 0:
            return b""
        start, end = int(self.net.unit_off[1]), int(self.net.unit_off[self._layer(max(a, b))])
        return seg[start:end].astype(np.int8).tobytes()

    def _named(self, a: int, b: int, brk: float, seg: NDArray[np.int64]) -> Row:
        """The same row by the first pre-activations that its members copy; -1 for those that are zero."""
        if b == -2:
            return a, b, brk
        return self._first(a, seg), self._first(b, seg), brk

    def _first(self, r: int, seg: NDArray[np.int64]) -> int:
        """The first pre-activation that r equals on the cell; -1 if r is zero, or was -1."""
        net = self.net
        while r >= 0:
            r = int(net.same[r])
            u = int(net.alias[r])
            if u < 0:
                return r
            at = int(net.tab[u] + seg[u])
            if net.kind[u] != UNIT_PIECES:
                r = int(net.mem[at])
            elif net.icept[at] == 0 and net.slope[at] in (0.0, 1.0):
                r = int(net.src[u]) if net.slope[at] else -1
            else:
                return r
        return r

    def _quick(self, facets: Sequence[Row], row: Row, seg: NDArray[np.int64]) -> float:
        """The value in the plane where pairs of floats prove its sign; else 0."""
        rows = [self._double_row(*r, seg) for r in (row, *facets)]
        value = _surely(rows, [(i, (i + 1) % 3, (i + 2) % 3) for i in range(3)])
        scale = _surely([([Fraction(1)], [Fraction(0)]), *rows[1:]], [(0, 0, 1)])
        return _nearest(value / scale) if value and scale else 0.0

    def _double_row(self, a: int, b: int, brk: float, seg: NDArray[np.int64]) -> Uncertain:
        """A row in pairs of floats, as rational numbers with bounds on their errors."""
        if b == -2:
            return [Fraction(float(x)) for x in self.net.dom[a]], [Fraction(0)] * 3
        key = (a, b, brk, self._prefix(a, b, seg))
        if key not in self._double:
            if len(self._double) > CACHE_ROWS:
                self._double.clear()
            self._double[key] = self._pull_back_double(a, b, brk, seg)
        return self._double[key]

    def _pull_back_double(self, a: int, b: int, brk: float, seg: NDArray[np.int64]) -> Uncertain:
        """One backward pass in pairs of floats (see core/double_double.hpp for the bound)."""
        out = _core.double_row(self.net, a, b, seg)
        if not (np.isfinite(out).all() and (out[:, 2] < HUGE).all()):
            return [Fraction(0)] * 3, [Fraction(1)] * 3
        values = [Fraction(float(x)) + Fraction(float(y)) for x, y, _ in out]
        values[self.d] -= Fraction(brk)
        share = _error_share(self.net)
        return values, [Fraction(float(x)) * share for x in out[:, 2]]


def _error_share(net: FlatNetwork) -> Fraction:
    """The error of a row in pairs of floats, as a share of the sum of sizes that comes with it.

    Additions: of each pre-activation to a unit's coefficient, of each unit to a pre-activation's, of both to
    the constant. One more for each bounds terms of higher order and the rounding of the sizes.
    """
    additions, layers = 2 * (net.Z0.shape[1] + len(net.kind)), int(net.par[1])
    return Fraction(4 * additions + 32 * layers, 2**106)


def _surely(rows: Sequence[Uncertain], terms: Sequence[tuple[int, int, int]]) -> Fraction:
    """The sum of g_i (f_j e_k - f_k e_j) over some (i, j, k), or 0 if its sign is not proved."""
    (g, u), (f, v), (e, w) = rows
    total = error = Fraction(0)
    for i, *jk in terms:
        for (j, k), sign in ((jk, 1), (jk[::-1], -1)):
            total += sign * g[i] * f[j] * e[k]
            sizes = abs(g[i]), abs(f[j]), abs(e[k])
            error += (sizes[0] + u[i]) * (sizes[1] + v[j]) * (sizes[2] + w[k]) - sizes[0] * sizes[1] * sizes[
                2
            ]
    return total if abs(total) > error else Fraction(0)


def _nearest(value: Fraction) -> float:
    """The nearest float, but not closer to zero than ``TINY`` unless it is zero."""
    try:
        out = float(value)
    except OverflowError as error:
        raise SolverError(
            "A pre-activation at a vertex of a region is beyond 1.8e308, the largest float64 number: scale "
            "the weights of the network down."
        ) from error
    if abs(out) >= TINY or not value:
        return out
    return TINY if value > 0 else -TINY

r"""Signs of affine functions at vertices in rational arithmetic, for decisions that rounding leaves open.

Weights are float64 numbers, that is integers times powers of two; so are the affine functions that a pattern
makes of them. A vertex is the solution of d such equations, found by elimination without fractions.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from polytope.ir.maps import FloatArray
from polytope.regions.flat_network import UNIT_PIECES, FlatNetwork

Uncertain = tuple[list[Fraction], list[Fraction]]  # numbers, and bounds on their errors
Dyadic = tuple[list[int], int]  # integers, and the exponent of the power of two that multiplies them
TINY = 1e-290
HUGE = 2.0**900  # sums of sizes beyond which pairs of floats may overflow
TINY_ERROR = Fraction(2) ** -700  # more than what underflow can amount to
CACHE_ROWS = 20_000


def dyadic(values: Sequence[float] | FloatArray) -> Dyadic:
    """Floats as integers with one common power of two, exactly."""
    mantissa, exponent = np.frexp(np.asarray(values, dtype=float))
    whole = (mantissa * 2.0**53).astype(np.int64)
    used = exponent[whole != 0]
    low = int(used.min()) if len(used) else 0
    shifts = np.maximum(exponent - low, 0)
    return [int(m) << int(s) for m, s in zip(whole.ravel(), shifts.ravel(), strict=True)], low - 53


def add(x: Dyadic, y: Dyadic, sign: int = 1) -> Dyadic:
    """``x + sign * y``."""
    low = min(x[1], y[1])
    up, down = x[1] - low, y[1] - low
    return [(a << up) + sign * (b << down) for a, b in zip(x[0], y[0], strict=True)], low


def solve(rows: Sequence[Sequence[int]], d: int) -> tuple[list[int], int]:
    """The point (numerators, common positive denominator) where rows ``a.x + c`` of rank d vanish."""
    table = [list(row) for row in rows]
    previous, place = 1, []
    for column in range(d):
        pivot = next((i for i in range(column, len(table)) if table[i][column]), -1)
        if pivot < 0:
            raise ArithmeticError("The facets of a vertex do not determine it.")
        table[column], table[pivot] = table[pivot], table[column]
        head = table[column]
        for i, row in enumerate(table):
            if i != column:
                factor = row[column]
                table[i] = [
                    (head[column] * r - factor * h) // previous for r, h in zip(row, head, strict=True)
                ]
        previous = head[column]
        place.append(column)
    denominator = table[d - 1][d - 1]
    sign = 1 if denominator > 0 else -1
    return [-sign * table[i][d] for i in range(d)], sign * denominator


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


class ExactSigns:
    """Exact rows and vertices of one network, with what was computed before kept for reuse."""

    def __init__(self, net: FlatNetwork) -> None:
        self.net = net
        self.d = int(net.par[0])
        n_layers = int(net.par[1])
        sources = np.repeat(np.arange(n_layers), np.diff(net.rd_ptr))
        self._into: list[list[tuple[int, int]]] = [[] for _ in range(n_layers)]
        for e, (source, target) in enumerate(zip(sources, net.rd_layer, strict=True)):
            self._into[int(target)].append((int(source), e))
        self._weights: dict[int, tuple[NDArray[np.object_], int]] = {}
        self._sparse: dict[int, object] = {}
        self._rows: dict[tuple[int, bytes], tuple[int, Dyadic]] = {}
        self._double: dict[tuple[int, int, float, bytes], Uncertain] = {}
        self._vertices: dict[tuple[object, ...], tuple[list[int], int]] = {}

    def value(
        self, facets: Sequence[tuple[int, int, float]], row: tuple[int, int, float], seg: NDArray[np.int64]
    ) -> float:
        """The value of a row at the vertex on all the facets: of the right sign; the nearest float if d > 2.

        Rows are triples (a, b, brk): ``z_a - z_b``, ``z_a - brk`` for b = -1, domain row a for b = -2.
        """
        facets = [self._named(*facet, seg) for facet in facets]
        quick = self._quick(facets, self._named(*row, seg), seg) if self.d == 2 else 0.0
        if quick:
            return quick
        if not any(self.row(*row, seg)[0]):
            return 0.0
        keys = tuple(sorted((a, b, brk, self._prefix(max(a, b), b, seg)) for a, b, brk in facets))
        point = self._vertices.get(keys)
        if point is None:
            if len(self._vertices) > CACHE_ROWS:
                self._vertices.clear()
            point = solve([self.row(a, b, brk, seg)[0] for a, b, brk in facets], self.d)
            self._vertices[keys] = point
        g, power = self.row(*row, seg)
        numerators, denominator = point
        total = g[self.d] * denominator + sum(c * x for c, x in zip(g, numerators, strict=False))
        if total == 0:
            return 0.0
        exact = Fraction(total, denominator) * Fraction(2) ** power
        nearest = float(exact)
        return nearest if abs(nearest) > TINY else (TINY if total > 0 else -TINY)

    def _quick(
        self,
        facets: Sequence[tuple[int, int, float]],
        row: tuple[int, int, float],
        seg: NDArray[np.int64],
    ) -> float:
        """The value in the plane where pairs of floats prove its sign; else 0."""
        rows = [self._double_row(*r, seg) for r in (row, *facets)]
        value = _surely(rows, [(i, (i + 1) % 3, (i + 2) % 3) for i in range(3)])
        scale = _surely([([Fraction(1)], [Fraction(0)]), *rows[1:]], [(0, 0, 1)])
        return float(value / scale) if value and scale else 0.0

    def _double_row(self, a: int, b: int, brk: float, seg: NDArray[np.int64]) -> Uncertain:
        """A row in pairs of floats, as rational numbers with bounds on their errors."""
        if b == -2:
            return [Fraction(float(x)) for x in self.net.dom[a]], [Fraction(0)] * 3
        key = (a, b, brk, self._prefix(max(a, b), b, seg))
        if key not in self._double:
            if len(self._double) > CACHE_ROWS:
                self._double.clear()
            self._double[key] = self._pull_back_double(a, b, brk, seg)
        return self._double[key]

    def _pull_back_double(self, a: int, b: int, brk: float, seg: NDArray[np.int64]) -> Uncertain:
        """One backward pass in pairs of floats."""
        from polytope.regions.kernels_double import pull_back

        n = self.net.Z0.shape[1]
        weights, out = np.zeros((n, 3)), np.zeros((self.d + 1, 3))
        for r, sign in ((a, 1.0), (b, -1.0)):
            if r >= 0:
                weights[r] += (sign, 0.0, 1.0)
        pull_back(self.net, seg, weights, np.zeros(3), out)
        if not (out[:, 2] < HUGE).all():
            return [Fraction(0)] * 3, [Fraction(1)] * 3
        values = [Fraction(float(x)) + Fraction(float(y)) for x, y, _ in out]
        values[self.d] -= Fraction(brk)
        factor = (2 * n + 64) * Fraction(2) ** -102
        return values, [Fraction(float(x)) * factor + TINY_ERROR for x in out[:, 2]]

    def row(self, a: int, b: int, brk: float, seg: NDArray[np.int64]) -> Dyadic:
        """The affine function of a row: d coefficients and the constant."""
        a, b, brk = self._named(a, b, brk, seg)
        if b == -2:
            return dyadic(self.net.dom[a])
        first = self._preactivation(a, seg) if a >= 0 else ([0] * (self.d + 1), 0)
        if b >= 0:
            return add(first, self._preactivation(b, seg), -1)
        if brk:
            return add(first, dyadic([*[0.0] * self.d, brk]), -1)
        return first

    def _named(self, a: int, b: int, brk: float, seg: NDArray[np.int64]) -> tuple[int, int, float]:
        """The same row by the first pre-activations that its members copy; a is -1 if that is zero."""
        if b == -2:
            return a, b, brk
        a, b = self._first(a, seg), self._first(b, seg)
        return a, b, brk

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

    def _layer(self, r: int) -> int:
        return int(np.searchsorted(self.net.pre_off, r, side="right")) - 1

    def _prefix(self, a: int, b: int, seg: NDArray[np.int64]) -> bytes:
        """The pattern that decides what the rows are: that of the layers in front."""
        if b == -2 or a < 0:
            return b""
        start, end = int(self.net.unit_off[1]), int(self.net.unit_off[self._layer(a)])
        return seg[start:end].astype(np.int8).tobytes()

    def _preactivation(self, r: int, seg: NDArray[np.int64]) -> Dyadic:
        key = (r, self._prefix(r, 0, seg))
        known = self._rows.get(key)
        if known is None:
            if len(self._rows) > CACHE_ROWS:
                self._rows.clear()
            known = (len(self._rows), self._pull_back(r, seg))
            self._rows[key] = known
        return known[1]

    def _pull_back(self, r: int, seg: NDArray[np.int64]) -> Dyadic:
        """One pre-activation as a function of the input, by one backward pass over integers."""
        net, d = self.net, self.d
        total: Dyadic = ([0] * (d + 1), 0)
        waiting: dict[int, dict[int, Fraction | int]] = {}
        waiting[self._layer(r)] = {r: 1}
        scale: dict[int, int] = {self._layer(r): 0}
        while waiting:
            layer = max(waiting)
            weights, power = waiting.pop(layer), scale.pop(layer)
            pres = np.fromiter(weights, dtype=np.int64, count=len(weights))
            c = np.array(list(weights.values()), dtype=object)
            constants, low = dyadic(net.Z0[: d + 1, pres])
            table = np.array(constants, dtype=object).reshape(d + 1, len(pres))
            total = add(total, ([int(x) for x in table @ c], power + low))
            for source, e in self._into[layer]:
                pulled, shift = self._through(e, source, layer, pres, c, seg)
                into, base = waiting.setdefault(source, {}), scale.get(source)
                self._merge(source, into, base, pulled, power + shift, scale, seg, total)
                total = self._constant(source, pulled, power + shift, seg, total)
        return total

    def _through(
        self,
        e: int,
        source: int,
        layer: int,
        pres: NDArray[np.int64],
        c: NDArray[np.object_],
        seg: NDArray[np.int64],
    ) -> tuple[list[tuple[int, int]], int]:
        """Coefficients of the units of a source layer, ``(unit, integer)``, and their power of two."""
        net = self.net
        first, r0 = int(net.unit_off[source]), int(net.pre_off[layer])
        n_in, n_out = int(net.unit_off[source + 1]) - first, int(net.pre_off[layer + 1]) - r0
        if net.rd_dense[e] >= 0:
            if e not in self._weights:
                at = int(net.rd_dense[e])
                whole, low = dyadic(net.dense[at : at + n_in * n_out])
                self._weights[e] = np.array(whole, dtype=object).reshape(n_in, n_out), low
            matrix, low = self._weights[e]
            units = np.arange(first, first + n_in)
            alive = self._alive(units, seg)
            out = matrix[np.ix_(alive, pres - r0)] @ c
            return [(int(first + j), int(x)) for j, x in zip(alive, out, strict=True) if x], low
        if e not in self._sparse:
            at = int(net.rd_sparse[e])
            ptr = net.sp_ptr[at : at + n_in + 1]
            part = slice(int(ptr[0]), int(ptr[-1]))
            entries = (net.sp_val[part], net.sp_idx[part] - r0, ptr - ptr[0])
            self._sparse[e] = csc_array(entries, shape=(n_out, n_in)).tocsr()
        rows = self._sparse[e][pres - r0].tocoo()  # type: ignore[index]
        whole, low = dyadic(rows.data)
        sums: dict[int, int] = {}
        for i, j, x in zip(rows.row, rows.col, whole, strict=True):
            sums[int(j)] = sums.get(int(j), 0) + x * c[i]
        return [(first + j, x) for j, x in sums.items() if x], low

    def _alive(self, units: NDArray[np.int64], seg: NDArray[np.int64]) -> NDArray[np.int64]:
        """Places of the units that are not identically zero on their piece."""
        net = self.net
        if len(units) and net.kind[units[0]] == UNIT_PIECES:
            at = net.tab[units] + seg[units]
            return np.flatnonzero((net.slope[at] != 0) | (net.icept[at] != 0))
        return np.arange(len(units))

    def _merge(
        self,
        source: int,
        into: dict[int, Fraction | int],
        base: int | None,
        pulled: list[tuple[int, int]],
        power: int,
        scale: dict[int, int],
        seg: NDArray[np.int64],
        total: Dyadic,
    ) -> None:
        """Add coefficients of units, taken to the pre-activations that they read."""
        net = self.net
        terms = []
        slopes, low = dyadic([self._slope(u, seg) for u, _ in pulled])
        for (u, x), s in zip(pulled, slopes, strict=True):
            if s:
                terms.append((self._source(u, seg), x * s))
        power += low
        if base is not None and base < power:
            terms = [(r, x << (power - base)) for r, x in terms]
            power = base
        elif base is not None and base > power:
            for r in into:
                into[r] = int(into[r]) << (base - power)
        scale[source] = power
        for r, x in terms:
            into[r] = int(into.get(r, 0)) + x
        assert net.kind.size > 0

    def _constant(
        self, source: int, pulled: list[tuple[int, int]], power: int, seg: NDArray[np.int64], total: Dyadic
    ) -> Dyadic:
        """Add the intercepts of the pieces."""
        net = self.net
        with_constant = [
            (x, float(net.icept[net.tab[u] + seg[u]])) for u, x in pulled if net.kind[u] == UNIT_PIECES
        ]
        with_constant = [(x, t) for x, t in with_constant if t]
        if not with_constant:
            return total
        whole, low = dyadic([t for _, t in with_constant])
        value = sum(x * t for (x, _), t in zip(with_constant, whole, strict=True))
        return add(total, ([0] * self.d + [value], power + low))

    def _slope(self, u: int, seg: NDArray[np.int64]) -> float:
        net = self.net
        return float(net.slope[net.tab[u] + seg[u]]) if net.kind[u] == UNIT_PIECES else 1.0

    def _source(self, u: int, seg: NDArray[np.int64]) -> int:
        net = self.net
        return int(net.src[u] if net.kind[u] == UNIT_PIECES else net.mem[net.tab[u] + seg[u]])

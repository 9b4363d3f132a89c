r"""The point of a polyhedron nearest to a given one, in rational arithmetic, by the norms 1, 2 and infinity.

By the norm 2 a dual active-set method (Goldfarb and Idnani): rows are held at zero, with multipliers
:math:`\lambda \ge 0`, at the point :math:`x - A^T \lambda` nearest to x where they vanish; broken rows enter,
and rows whose multipliers would become negative leave. By the other norms a linear program. In both, the rows
that a caller expects to be tight come first, so that a right guess is only verified.

References: Goldfarb, Idnani (1983), "A numerically stable dual method for solving strictly convex quadratic
    programs", https://doi.org/10.1007/BF02591962
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import inf, isqrt, lcm, nextafter

import flint
from flint import fmpq

from polytope.errors import SolverError
from polytope.exact.program import Row, maximise
from polytope.ir.looking import look

ZERO = fmpq(0)


@dataclass(frozen=True)
class NearestPoint:
    """The nearest point of a polyhedron.

    Arguments:
        size: its distance; by the norm 2 the square of that.
        point: ``[d]``.
        tight: numbers of rows that alone have the same nearest point.
    """

    size: Fraction
    point: tuple[Fraction, ...]
    tight: tuple[int, ...]


def nearest_point(
    rows: Sequence[Row],
    x: Sequence[Fraction],
    norm: float,
    *,
    first: Sequence[int] = (),
    ahead: Sequence[float] = (),
    work: float = inf,
) -> NearestPoint | None:
    """The point where all rows hold that is nearest to x; ``None`` where there is none.

    Arguments:
        rows: ``d + 1`` integers each, ``row[:d] . y + row[d] <= 0``.
        x: ``[d]``.
        norm: 1, 2 or infinity.
        first: numbers of rows that are likely tight there.
        ahead: likely signs of the step from x to the point, ``[d]``; for the max norm.
        work: give up after about so many products.

    Raises:
        SolverError: the work is done without a decision.

    Example:
        >>> above = [(-1, -1, 3)]  # x + y >= 3
        >>> [str(nearest_point(above, [Fraction(0)] * 2, norm).size) for norm in (1, 2, inf)]
        ['3', '9/2', '3/2']
    """
    scale = lcm(*(v.denominator for v in x))
    at = [
        sum((a * int(v * scale) for a, v in zip(row, x, strict=False) if a), row[-1] * scale) for row in rows
    ]
    if norm == 2:
        found = _projected(rows, [fmpq(v, scale) for v in at], first, work)
    else:
        moved = [[*(a * scale for a in row[:-1]), v] for row, v in zip(rows, at, strict=True)]
        shortest = _least_greatest if norm == inf else _least_sum
        found = shortest(moved, len(x), first, ahead, work)
    if found is None:
        return None
    size, step, tight = found
    return NearestPoint(size, tuple(v + s for v, s in zip(x, step, strict=True)), tight)


def enclosed(size: Fraction, norm: float) -> tuple[float, float]:
    """Neighbouring float64 numbers, or one, that enclose the distance whose ``size`` is given."""

    def exceeds(v: float) -> bool:
        return v == inf or (Fraction(v) ** 2 if norm == 2 else Fraction(v)) > size

    p, q = size.numerator, size.denominator
    try:
        if norm == 2:
            shift = max(0, 110 + q.bit_length() - p.bit_length()) // 2
            low = isqrt((p << 2 * shift) // q) / (1 << shift)
        else:
            low = p / q
    except OverflowError:
        low = inf
    while exceeds(low):
        low = nextafter(low, -inf)
    while not exceeds(up := nextafter(low, inf)):
        low = up
    return low, low if (Fraction(low) ** 2 if norm == 2 else Fraction(low)) == size else up


_Found = tuple[Fraction, list[Fraction], tuple[int, ...]]  # size, step, tight rows


def _least_greatest(
    rows: Sequence[Row], d: int, first: Sequence[int], ahead: Sequence[float], work: float
) -> _Found | None:
    """The shortest step s by the max norm t, with ``s_i = sign_i (t - w_i)`` and ``0 <= w_i <= 2 t``."""
    signs = [-1 if i < len(ahead) and ahead[i] < 0 else 1 for i in range(d)]
    lifted = []
    for row in rows:
        turned = [a * s for a, s in zip(row, signs, strict=False)]
        lifted.append([*(-a for a in turned), sum(turned), row[-1]])
    for i in range(d):
        lifted.append([*(-int(i == k) for k in range(d)), 0, 0])
        lifted.append([*(int(i == k) for k in range(d)), -2, 0])
    lifted.append([*[0] * d, -1, 0])
    best = maximise(lifted, [*[0] * d, -1, 0], first=first, work=work)
    if best is None or best.value is None:
        return None
    t = best.point[-1]
    step = [s * (t - w) for s, w in zip(signs, best.point, strict=False)]
    return t, step, tuple(k for k in best.tight if k < len(rows))


def _least_sum(
    rows: Sequence[Row], d: int, first: Sequence[int], ahead: Sequence[float], work: float
) -> _Found | None:
    """The shortest step ``u - v`` by the 1-norm, the sum of u and v, both nonnegative."""
    lifted = [[*row[:-1], *(-a for a in row[:-1]), row[-1]] for row in rows]
    lifted += [[*(-int(i == k) for k in range(2 * d)), 0] for i in range(2 * d)]
    best = maximise(lifted, [*[-1] * (2 * d), 0], first=first, work=work)
    if best is None or best.value is None:
        return None
    step = [u - v for u, v in zip(best.point[:d], best.point[d:], strict=True)]
    return -best.value, step, tuple(k for k in best.tight if k < len(rows))


def _projected(rows: Sequence[Row], at: Sequence[fmpq], first: Sequence[int], work: float) -> _Found | None:
    """The shortest step by the norm 2."""
    state = _Held(rows, at)
    state.begin(first)
    while (k := state.broken()) is not None:
        look()
        held = False
        while not held:
            if state.work > work:
                raise SolverError(f"No nearest point after {work:g} products; there are {len(rows)} rows.")
            held = state.enter(k)
            if state.is_empty:
                return None
    step = [Fraction(int(v.p), int(v.q)) for v in state.step]
    return sum((v * v for v in step), Fraction(0)), step, tuple(sorted(state.multipliers))


class _Held:
    """Rows held at zero with their multipliers, and the shortest step to where they vanish."""

    def __init__(self, rows: Sequence[Row], at: Sequence[fmpq]) -> None:
        self.rows, self.at = rows, at
        self.d = len(rows[0]) - 1
        self.multipliers: dict[int, fmpq] = {}
        self.step = [ZERO] * self.d
        self.entering = ZERO  # the multiplier of the row that is on its way in
        self.is_empty = False
        self.work = 0

    def begin(self, first: Sequence[int]) -> None:
        """Hold the rows that are expected to be tight, but those with negative multipliers."""
        held = list(dict.fromkeys(first))
        while held:
            found = self._combination(held, [self.at[i] for i in held])
            if found is None:
                return  # dependent rows: begin with none
            if all(v >= 0 for v in found):
                self.multipliers = dict(zip(held, found, strict=True))
                self.step = [-v for v in self._sum(self.multipliers)]
                return
            held = [i for i, v in zip(held, found, strict=True) if v >= 0]

    def broken(self) -> int | None:
        """A row that does not hold at the step's end: the farthest one."""
        self.work += self.d * len(self.rows)
        worst, chosen = 0.0, None
        for i in range(len(self.rows)):
            value = self._value(i)
            if value > 0 and i not in self.multipliers:
                square = (
                    value * value / sum(a * a for a in self.rows[i][:-1]) if any(self.rows[i][:-1]) else 1
                )
                size = _about(square)
                if chosen is None or size > worst:
                    worst, chosen = size, i
        self.entering = ZERO
        return chosen

    def enter(self, k: int) -> bool:
        """Towards holding a broken row: whether it is held now; else a row has left, or nothing can help."""
        row, held = self.rows[k], list(self.multipliers)
        target = [fmpq(self._product(i, k)) for i in held]
        found = self._combination(held, target) if held else []
        assert found is not None, "held rows are independent"
        away = dict(zip(held, found, strict=True))
        left = [a - b for a, b in zip(row, self._sum(away), strict=False)]
        square = sum((v * v for v in left), ZERO)
        full = self._value(k) / square if square else None
        ratios = [(self.multipliers[i] / r, i) for i, r in away.items() if r > 0]
        if full is None and not ratios:
            self.is_empty = True
            return False
        out = min(ratios) if ratios else None
        whole = out is None or (full is not None and full <= out[0])
        t = full if whole or out is None else out[0]
        assert t is not None, "one of both ends the step"
        self.multipliers = {i: v - t * away[i] for i, v in self.multipliers.items()}
        self.entering += t
        self.step = [s - t * v for s, v in zip(self.step, left, strict=True)]
        if whole:
            self.multipliers[k] = self.entering
        elif out is not None:
            del self.multipliers[out[1]]
        return whole

    def _value(self, i: int) -> fmpq:
        """A row at the step's end."""
        return self.at[i] + sum(
            (a * s for a, s in zip(self.rows[i], self.step, strict=False) if a and s), ZERO
        )

    def _product(self, i: int, k: int) -> int:
        return sum(a * b for a, b in zip(self.rows[i][:-1], self.rows[k][:-1], strict=True) if a and b)

    def _sum(self, factors: dict[int, fmpq]) -> list[fmpq]:
        """The sum of gradients times factors."""
        out = [ZERO] * self.d
        for i, factor in factors.items():
            for j, a in enumerate(self.rows[i][:-1]):
                if a:
                    out[j] += a * factor
        return out

    def _combination(self, held: Sequence[int], target: Sequence[fmpq]) -> list[fmpq] | None:
        """Factors r with ``A A^T r = target`` for the held rows A; ``None`` if these are dependent.

        Rows on one coordinate are eliminated by hand: what is left is small where most coordinates are at
        bounds.
        """
        single: dict[int, int] = {}  # coordinate -> row
        general = []
        for i in held:
            entries = [j for j, a in enumerate(self.rows[i][:-1]) if a]
            if len(entries) == 1:
                if entries[0] in single:
                    return None
                single[entries[0]] = i
            else:
                general.append(i)
        wanted = dict(zip(held, target, strict=True))
        fixed = {j: wanted[i] / self.rows[i][j] for j, i in single.items()}  # A^T r at these coordinates
        free = [j for j in range(self.d) if j not in fixed]
        factors: dict[int, fmpq] = {}
        if general:
            B = flint.fmpz_mat([[self.rows[i][j] for j in free] for i in general]) if free else None
            if B is None:
                return None
            rest = [
                wanted[i] - sum((self.rows[i][j] * v for j, v in fixed.items() if self.rows[i][j]), ZERO)
                for i in general
            ]
            self.work += len(general) ** 2 * (len(free) + len(general))
            try:
                solved = flint.fmpq_mat(B * B.transpose()).solve(flint.fmpq_mat(len(rest), 1, rest))
            except ZeroDivisionError:
                return None
            factors = dict(zip(general, solved.entries(), strict=True))
        across = self._sum(factors)
        for j, i in single.items():
            factors[i] = (fixed[j] - across[j]) / self.rows[i][j]
        return [factors[i] for i in held]


def _about(q: fmpq | int) -> float:
    """A float near a positive rational, however large."""
    value = fmpq(q)
    try:
        return int(value.p) / int(value.q)
    except OverflowError:
        return inf

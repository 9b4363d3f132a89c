r"""Linear programs in rational arithmetic: :math:`\max a^T x` over :math:`A x \le b` with integer data.

A dual simplex on the dictionary of the coordinates that have left their bounds: as many rows as there are
tight rows that are not bounds, so that three half-spaces in a box of R^784 are a small program. Rows enter
when the vertex at hand violates them, those that a caller expects to be tight first; coordinates between two
bounds change sides many at a time.

A coordinate without a bound is bounded by an infinite number M: values are pairs ``(m, r)`` for
:math:`m M + r`, compared in this order. So nothing that is true only inside some large box is ever taken for
true; and what is empty, unbounded or attained at infinity is told apart. Of the coordinates without bounds
only as many are kept as the rows are independent on: the others add nothing to what the rows can be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import inf

import numpy as np
from flint import fmpq

from polytope.errors import SolverError
from polytope.exact.dyadic import IntegerVector
from polytope.ir.looking import look

Row = Sequence[int]
Pair = tuple[fmpq, fmpq]  # a multiple of infinity, and the rest
ZERO, ONE = fmpq(0), fmpq(1)
NOTHING: Pair = (ZERO, ZERO)


@dataclass(frozen=True)
class Optimum:
    """The maximum, and a point that attains it.

    Arguments:
        value: the maximum; ``None`` where there is none: the objective is unbounded.
        point: where it is attained; where it is unbounded, a point where the objective is positive, one
            length of its gradient (in the max norm) away from where it vanishes, or more.
        tight: the numbers of the rows that determine the point, as multiples of which (with nonnegative
            factors) the objective is bounded; fewer than d where coordinates are free.
    """

    value: Fraction | None
    point: tuple[Fraction, ...]
    tight: tuple[int, ...]


def maximise(
    rows: Sequence[Row], objective: Row, *, first: Sequence[int] = (), work: float = inf
) -> Optimum | None:
    """The maximum of an affine function over a polyhedron, exactly; ``None`` if the polyhedron is empty.

    Arguments:
        rows: ``d + 1`` integers each, ``row[:d] . x + row[d] <= 0``; those on one coordinate cost nothing.
        objective: ``d + 1`` integers, ``objective[:d] . x + objective[d]``.
        first: numbers of rows that are likely tight at the optimum.
        work: give up after about so many products.

    Raises:
        SolverError: the work is done without a decision.

    Example:
        >>> square = [(1, 0, -1), (-1, 0, 0), (0, 1, -1), (0, -1, 0)]
        >>> maximise(square, (1, 2, 0)).value
        Fraction(3, 1)
        >>> maximise(square[1:], (1, 2, 0)).value is None, maximise([*square, (1, 1, 1)], (1, 2, 0)) is None
        (True, True)
    """
    return _solve(rows, objective, first, work, only_positive=False)


def positive_point(
    rows: Sequence[Row], objective: Row, *, first: Sequence[int] = (), work: float = inf
) -> tuple[Fraction, ...] | None:
    """A point of a polyhedron where an affine function is positive; ``None`` where it never is.

    As ``maximise``, but done as soon as the function is known to be nowhere positive.

    Example:
        >>> square = [(1, 0, -1), (-1, 0, 0), (0, 1, -1), (0, -1, 0)]
        >>> positive_point(square, (1, 1, -2)), positive_point(square, (2, 2, -3))
        (None, (Fraction(1, 1), Fraction(1, 1)))
    """
    best = _solve(rows, objective, first, work, only_positive=True)
    return None if best is None else best.point


def _solve(
    rows: Sequence[Row], objective: Row, first: Sequence[int], work: float, *, only_positive: bool
) -> Optimum | None:
    bounds = _bounds(rows, len(objective) - 1)
    if bounds is None:
        return None
    state = _Dictionary(rows, objective, bounds, first)
    while state.work <= work:
        look()
        if only_positive and state.goal_value() <= NOTHING:
            return None
        found = state.violated()
        if found is None:
            return _optimum(state, rows, objective)
        if not state.exchange(*found):
            return None
    raise SolverError(f"No decision after {work:g} products; the program has {len(rows)} rows.")


@dataclass(frozen=True, eq=False)
class _Bounds:
    """Bounds that rows on one coordinate set, ``None`` where there are none, and the rows that set them."""

    low: list[fmpq | None]
    high: list[fmpq | None]
    low_row: list[int]
    high_row: list[int]
    general: list[int]  # the other rows, by number


def _bounds(rows: Sequence[Row], d: int) -> _Bounds | None:
    """The bounds; ``None`` if one of them, or a row without coefficients, cannot hold."""
    found = _Bounds([None] * d, [None] * d, [-1] * d, [-1] * d, [])
    for number, row in enumerate(rows):
        entries = [j for j in range(d) if row[j]]
        if len(entries) > 1:
            found.general.append(number)
            continue
        if not entries:
            if row[d] > 0:
                return None
            continue
        [j] = entries
        limit = fmpq(-row[d], row[j])
        low, high = found.low[j], found.high[j]
        if row[j] > 0:
            if high is None or limit < high:
                found.high[j], found.high_row[j] = limit, number
        elif low is None or limit > low:
            found.low[j], found.low_row[j] = limit, number
    for least, greatest in zip(found.low, found.high, strict=True):
        if least is not None and greatest is not None and least > greatest:
            return None
    return found


class _Form:
    """``coefficients . v + constant`` over the nonbasic variables v."""

    __slots__ = ("coefficients", "constant")

    def __init__(self, coefficients: list[fmpq], constant: fmpq) -> None:
        self.coefficients, self.constant = coefficients, constant

    def substituted(self, n: int, form: _Form) -> _Form:
        """With the form in the place of variable n, whose coefficient there stands for a new one."""
        factor = self.coefficients[n]
        if not factor:
            return self
        out = [c + factor * e if e else c for c, e in zip(self.coefficients, form.coefficients, strict=True)]
        out[n] = factor * form.coefficients[n]
        return _Form(out, self.constant + factor * form.constant)


class _Dictionary:
    """Variables 0 .. d - 1 are the kept coordinates, d + i is the slack of general row i."""

    def __init__(self, rows: Sequence[Row], objective: Row, bounds: _Bounds, first: Sequence[int]) -> None:
        wanted = {number: place for place, number in enumerate(first)}
        self.numbers = sorted(bounds.general, key=lambda number: (wanted.get(number, len(wanted)), number))
        d = len(objective) - 1
        free = [a is None and b is None for a, b in zip(bounds.low, bounds.high, strict=True)]
        self.kept = _telling([*(rows[i] for i in self.numbers), objective], free)
        whole = len(self.kept) == d
        self.rows = [
            [fmpq(a) for a in (rows[i] if whole else [*(rows[i][j] for j in self.kept), rows[i][d]])]
            for i in self.numbers
        ]
        self.low = [bounds.low[j] for j in self.kept]
        self.high = [bounds.high[j] for j in self.kept]
        self.low_row = [bounds.low_row[j] for j in self.kept]
        self.high_row = [bounds.high_row[j] for j in self.kept]
        self.d = len(self.kept)
        self.goal = _Form([fmpq(objective[j]) for j in self.kept], fmpq(objective[d]))
        self.nonbasic = list(range(self.d))
        self.upper = [c >= 0 for c in self.goal.coefficients]
        self.basic: dict[int, _Form] = {}
        self.work = 0

    def values(self) -> list[Pair]:
        """What the nonbasic variables are at this vertex."""
        return [
            NOTHING if v >= self.d else self._end(v, up)
            for v, up in zip(self.nonbasic, self.upper, strict=True)
        ]

    def _end(self, v: int, upper: bool) -> Pair:
        limit = self.high[v] if upper else self.low[v]
        return (ZERO, limit) if limit is not None else (ONE if upper else -ONE, ZERO)

    def goal_value(self) -> Pair:
        """The objective at this vertex: a bound on what it can be."""
        return _at(self.goal.coefficients, self.goal.constant, self.values())

    def point(self) -> list[Pair]:
        """The coordinates of this vertex."""
        v = self.values()
        x = [NOTHING] * self.d
        for variable, value in zip(self.nonbasic, v, strict=True):
            if variable < self.d:
                x[variable] = value
        for variable, form in self.basic.items():
            x[variable] = _at(form.coefficients, form.constant, v)
        return x

    def violated(self) -> tuple[int, bool] | None:
        """The first variable outside its bounds, and whether it is above them."""
        x = self.point()
        for variable in sorted(self.basic):
            high, low = self.high[variable], self.low[variable]
            if high is not None and x[variable] > (ZERO, high):
                return variable, True
            if low is not None and x[variable] < (ZERO, low):
                return variable, False
        for i, row in enumerate(self.rows):
            self.work += self.d
            look()
            if _at(row, row[-1], x) > NOTHING:
                return self.d + i, False
        return None

    def exchange(self, leaving: int, above: bool) -> bool:
        """The leaving variable goes to its bound; the objective's bound falls as little as possible.

        False if nothing can bring it there: the polyhedron is empty.
        """
        form = self.basic.pop(leaving) if leaving < self.d else self._slack(leaving - self.d)
        m, r = _at(form.coefficients, form.constant, self.values())
        bound = (self.high[leaving] if above else self.low[leaving]) if leaving < self.d else ZERO
        assert bound is not None, "a variable leaves to a bound that it has passed"
        n = self._entering(form, max((m, r - bound), (-m, bound - r)), above)
        if n < 0:
            return False
        entering, factor = self.nonbasic[n], form.coefficients[n]
        solved = [-c / factor for c in form.coefficients]
        solved[n] = 1 / factor
        solution = _Form(solved, -form.constant / factor)
        self.goal = self.goal.substituted(n, solution)
        for v, known in self.basic.items():
            look()
            self.basic[v] = known.substituted(n, solution)
        self.work += self.d * (len(self.basic) + 2)
        if entering < self.d:
            self.basic[entering] = solution
        self.nonbasic[n], self.upper[n] = leaving, above
        return True

    def _entering(self, form: _Form, missing: Pair, above: bool) -> int:
        """The variable that takes the place; those in front of it in the order of ratios change sides."""
        candidates = [
            (abs(self.goal.coefficients[n] / e), self.nonbasic[n], n)
            for n, (e, up) in enumerate(zip(form.coefficients, self.upper, strict=True))
            if e and (e > 0) != (above != up)
        ]
        for ratio, variable, n in sorted(candidates):
            if variable >= self.d or not ratio:  # without progress, Bland's rule alone: it does not cycle
                return n
            (high_m, high), (low_m, low) = self._end(variable, True), self._end(variable, False)
            step = abs(form.coefficients[n])
            missing = missing[0] - step * (high_m - low_m), missing[1] - step * (high - low)
            if missing <= NOTHING:
                return n
            self.upper[n] = not self.upper[n]
        return -1

    def _slack(self, i: int) -> _Form:
        """``-(row . x) - constant`` over the nonbasic variables."""
        row = self.rows[i]
        total, constant = [ZERO] * self.d, -row[-1]
        for n, variable in enumerate(self.nonbasic):
            if variable < self.d:
                total[n] = -row[variable]
        for variable, form in self.basic.items():
            factor = row[variable]
            if factor:
                look()
                total = [t - factor * c if c else t for t, c in zip(total, form.coefficients, strict=True)]
                constant -= factor * form.constant
        return _Form(total, constant)

    def tight(self) -> list[int]:
        """The rows that hold with equality here because their slacks or coordinates are nonbasic."""
        out = []
        for v, up in zip(self.nonbasic, self.upper, strict=True):
            number = self.numbers[v - self.d] if v >= self.d else (self.high_row if up else self.low_row)[v]
            if number >= 0:
                out.append(number)
        return sorted(out)


def _at(coefficients: Sequence[fmpq], constant: fmpq, v: Sequence[Pair]) -> Pair:
    """An affine function of pairs; further coefficients than values are not read."""
    m, r = ZERO, constant
    for c, (far, near) in zip(coefficients, v, strict=False):
        if c:
            if near:
                r += c * near
            if far:
                m += c * far
    return m, r


def _optimum(state: _Dictionary, rows: Sequence[Row], objective: Row) -> Optimum:
    """The result at an optimal vertex: infinity becomes a number that is large enough for every row."""
    d = len(objective) - 1
    x = [NOTHING] * d
    for j, value in zip(state.kept, state.point(), strict=True):
        x[j] = value
    rate, most = _at([fmpq(a) for a in objective], fmpq(objective[d]), x)
    large = ZERO
    if any(m for m, _ in x):
        for row in rows:
            m, r = _at([fmpq(a) for a in row], fmpq(row[d]), x)
            if m < 0 and r > 0:
                large = max(large, -r / m)
        if rate:
            large = max(large, (max(abs(a) for a in objective[:-1]) - most) / rate)
    point = [_fraction(r + m * large) for m, r in x]
    return Optimum(None if rate else _fraction(most), tuple(point), tuple(state.tight()))


def _fraction(q: fmpq) -> Fraction:
    return Fraction(int(q.p), int(q.q))


def _telling(matrix: Sequence[Row], free: Sequence[bool]) -> list[int]:
    """All columns that are not free, and free ones that span the same space as all of them."""
    columns = np.flatnonzero(np.array(free)).tolist()
    if len(columns) <= len(matrix):
        return list(range(len(free)))
    table: IntegerVector = np.array([[row[j] for j in columns] for row in matrix], dtype=object)
    before, chosen = 1, []
    for i in range(len(table)):
        look()
        at = np.flatnonzero(table[i] != 0)
        if not len(at):
            continue
        chosen.append(int(at[0]))
        pivot, head = table[i, at[0]], table[i].copy()
        table[i + 1 :] = (pivot * table[i + 1 :] - table[i + 1 :, at[0], None] * head) // before
        before = pivot
    dropped = set(columns) - {columns[k] for k in chosen}
    return [j for j in range(len(free)) if j not in dropped]

r"""Is an affine function positive in a polyhedron? Exact arithmetic, for few rows in any dimension.

A dual simplex on the dictionary of the coordinates that have left their bounds: as many rows as there are
tight rows that are not bounds, so that three half-spaces in a box of R^784 are a small program. Rows enter
when the vertex at hand violates them; coordinates between two bounds change sides many at a time. Of the
coordinates without bounds only as many are kept as the rows are independent on: the others add nothing to
what the rows can be.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import gcd, inf, lcm

import numpy as np
from numpy.typing import NDArray

from polytope.errors import SolverError
from polytope.geometry.rational_lp import HUGE, Row

Integers = NDArray[np.object_]


class _Form:
    """``(coefficients . v + constant) / denominator`` in integers over the nonbasic variables v."""

    def __init__(self, coefficients: Integers, constant: int, denominator: int) -> None:
        common = gcd(denominator, constant, *coefficients.tolist())
        self.coefficients = coefficients // common if common > 1 else coefficients
        self.constant, self.denominator = constant // common, denominator // common

    def at(self, v: Integers) -> Fraction:
        return (Fraction(_dot(self.coefficients, v)) + self.constant) / self.denominator

    def substituted(self, n: int, form: _Form) -> _Form:
        """With the form in the place of variable n, whose coefficient there stands for a new one."""
        factor = self.coefficients[n]
        if not factor:
            return self
        rest = self.coefficients * form.denominator
        rest[n] = 0
        return _Form(
            rest + form.coefficients * factor,
            self.constant * form.denominator + form.constant * factor,
            self.denominator * form.denominator,
        )


class _Dictionary:
    """Variables 0 .. d - 1 are the coordinates, d + i is the slack of row i."""

    def __init__(self, rows: Sequence[Row], objective: Row) -> None:
        self.rows, low, high = _without_bounds(rows, len(objective) - 1)
        self.matrix = np.array([row[:-1] for row in self.rows], dtype=object).reshape(-1, len(low))
        both = np.concatenate([self.matrix, np.array(objective[:-1], dtype=object)[None]])
        self.kept = _telling(both, [a == -HUGE and b == HUGE for a, b in zip(low, high, strict=True)])
        self.matrix, goal = self.matrix[:, self.kept], both[-1, self.kept]
        self.low, self.high = [low[j] for j in self.kept], [high[j] for j in self.kept]
        self.d = len(self.kept)
        self.goal = _Form(goal, objective[-1], 1)
        self.nonbasic = list(range(self.d))
        self.upper = [c >= 0 for c in goal.tolist()]
        self.basic: dict[int, _Form] = {}
        self.work = 0

    def values(self) -> Integers:
        """What the nonbasic variables are at this vertex."""
        out = np.empty(self.d, dtype=object)
        out[:] = [
            0 if v >= self.d else self.high[v] if up else self.low[v]
            for v, up in zip(self.nonbasic, self.upper, strict=True)
        ]
        return out

    def point(self, v: Integers) -> Integers:
        """The coordinates of this vertex."""
        x = np.empty(self.d, dtype=object)
        for variable, value in zip(self.nonbasic, v.tolist(), strict=True):
            if variable < self.d:
                x[variable] = value
        for variable, form in self.basic.items():
            x[variable] = form.at(v)
        return x

    def violated(self, x: Integers) -> tuple[int, bool] | None:
        """The first variable outside its bounds, and whether it is above them."""
        for variable in sorted(self.basic):
            if x[variable] > self.high[variable]:
                return variable, True
            if x[variable] < self.low[variable]:
                return variable, False
        for i, row in enumerate(self.rows):
            self.work += self.d
            if Fraction(_dot(self.matrix[i], x)) + row[-1] > 0:
                return self.d + i, False
        return None

    def exchange(self, leaving: int, above: bool) -> None:
        """The leaving variable goes to its bound; the objective's bound falls as little as possible."""
        form = self.basic.pop(leaving) if leaving < self.d else self._slack(leaving - self.d)
        bound = 0 if leaving >= self.d else self.high[leaving] if above else self.low[leaving]
        n = self._entering(form, abs(form.at(self.values()) - bound) * form.denominator, above)
        entering, factor = self.nonbasic[n], form.coefficients[n]
        sign = 1 if factor > 0 else -1
        solved = form.coefficients * -sign
        solved[n] = form.denominator * sign
        solution = _Form(solved, -sign * form.constant, abs(factor))
        self.goal = self.goal.substituted(n, solution)
        self.basic = {v: known.substituted(n, solution) for v, known in self.basic.items()}
        self.work += self.d * (len(self.basic) + 2)
        if entering < self.d:
            self.basic[entering] = solution
        self.nonbasic[n], self.upper[n] = leaving, above

    def _entering(self, form: _Form, missing: Fraction, above: bool) -> int:
        """The variable that takes the place; those in front of it in the order of ratios change sides."""
        candidates = [
            (Fraction(abs(self.goal.coefficients[n]), abs(e)), self.nonbasic[n], n)
            for n, (e, up) in enumerate(zip(form.coefficients.tolist(), self.upper, strict=True))
            if e and (e > 0) != (above != up)
        ]
        for _, variable, n in sorted(candidates):
            if variable >= self.d:
                return n
            missing -= abs(form.coefficients[n]) * (self.high[variable] - self.low[variable])
            if missing <= 0:
                return n
            self.upper[n] = not self.upper[n]
        raise SolverError("The polyhedron is empty: its rows contradict each other in exact arithmetic.")

    def _slack(self, i: int) -> _Form:
        """``-(row . x) - constant`` over the nonbasic variables."""
        common = lcm(*(form.denominator for form in self.basic.values()))
        row, constant = self.matrix[i], -self.rows[i][-1] * common
        total = np.full(self.d, 0, dtype=object)
        for n, variable in enumerate(self.nonbasic):
            if variable < self.d:
                total[n] = -row[variable] * common
        for variable, form in self.basic.items():
            factor = -row[variable] * (common // form.denominator)
            total = total + form.coefficients * factor
            constant += form.constant * factor
        return _Form(total, constant, common)


def positive_point(rows: Sequence[Row], objective: Row, work: float = inf) -> tuple[Fraction, ...] | None:
    """A point of a polyhedron where an affine function is positive and largest; ``None`` where it never is.

    Arguments:
        rows: ``d + 1`` integers each, ``row[:d] . x + row[d] <= 0``; those on one coordinate cost nothing.
        objective: ``d + 1`` integers, ``objective[:d] . x + objective[d]``.
        work: give up after about so many products of integers.

    Raises:
        SolverError: the polyhedron is empty, or the work is done without a decision.

    Example:
        >>> square = [(1, 0, -1), (-1, 0, 0), (0, 1, -1), (0, -1, 0)]
        >>> positive_point(square, (1, 1, -2)), positive_point(square, (2, 2, -3))
        (None, (Fraction(1, 1), Fraction(1, 1)))
    """
    state = _Dictionary(rows, objective)
    while state.work <= work:
        v = state.values()
        if state.goal.at(v) <= 0:
            return None
        x = state.point(v)
        found = state.violated(x)
        if found is None:
            out = [Fraction(0)] * (len(objective) - 1)
            for j, value in zip(state.kept, x.tolist(), strict=True):
                out[j] = Fraction(value)
            return tuple(out)
        state.exchange(*found)
    raise SolverError(f"No decision after {work:g} products; the program has {len(state.rows)} rows.")


def _without_bounds(
    rows: Sequence[Row], d: int
) -> tuple[list[Row], list[int | Fraction], list[int | Fraction]]:
    """The rows on more than one coordinate, and the bounds that the others set."""
    low: list[int | Fraction] = [-HUGE] * d
    high: list[int | Fraction] = [HUGE] * d
    general = []
    for row in rows:
        entries = [j for j, a in enumerate(row[:-1]) if a]
        if len(entries) != 1:
            general.append(row)
            continue
        [j] = entries
        limit = Fraction(-row[-1], row[j])
        if row[j] > 0:
            high[j] = min(high[j], limit)
        else:
            low[j] = max(low[j], limit)
    if any(a > b for a, b in zip(low, high, strict=True)):
        raise SolverError("The polyhedron is empty: bounds of a coordinate contradict each other.")
    return general, low, high


def _telling(matrix: Integers, free: Sequence[bool]) -> list[int]:
    """All columns that are not free, and free ones that span the same space as all of them."""
    columns = np.flatnonzero(np.array(free))
    if len(columns) <= len(matrix):
        return list(range(len(free)))
    table, before, chosen = matrix[:, columns], 1, []
    for i in range(len(table)):
        at = np.flatnonzero(table[i] != 0)
        if not len(at):
            continue
        chosen.append(int(at[0]))
        pivot, head = table[i, at[0]], table[i].copy()
        table[i + 1 :] = (pivot * table[i + 1 :] - table[i + 1 :, at[0], None] * head) // before
        before = pivot
    dropped = set(columns.tolist()) - set(columns[chosen].tolist())
    return [j for j in range(len(free)) if j not in dropped]


def _dot(a: Integers, b: Integers) -> int | Fraction:
    """The inner product, zeros left out."""
    total: int | Fraction = sum(p * q for p, q in zip(a.tolist(), b.tolist(), strict=True) if p and q)
    return total

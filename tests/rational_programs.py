"""Rational points and rows, and one exact linear program: the arithmetic of the slow twin.

Integers decide every sign, by a primal simplex method with Bland's rule; nothing is shared with the library.
An affine function is ``d + 1`` numbers, the constant last. A *row* is one in integers without a common
factor, and says ``row . (x, 1) <= 0``. A point is ``d + 1`` integers ``(w x, w)`` with w > 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import gcd, lcm
from typing import NamedTuple

import numpy as np

Affine = tuple[Fraction, ...]


Row = tuple[int, ...]


Point = tuple[int, ...]


ZERO, ONE = Fraction(0), Fraction(1)


def dot(a: Sequence[int], b: Sequence[int]) -> int:
    """The scalar product."""
    return sum(map(int.__mul__, a, b))


def primitive(numbers: Sequence[int]) -> tuple[int, ...]:
    """Integers without a common factor."""
    divisor = gcd(*numbers) or 1
    return tuple(v // divisor for v in numbers)


def row_of(function: Sequence[Fraction]) -> Row:
    """The row of an affine function: a positive multiple in integers."""
    scale = lcm(*(v.denominator for v in function))
    return primitive([v.numerator * (scale // v.denominator) for v in function])


def rational(x: Sequence[float | Fraction]) -> Point:
    """A point, exactly."""
    return row_of([*(Fraction(v) for v in x), ONE])


def coordinates(x: Point) -> tuple[Fraction, ...]:
    """The coordinates of a point."""
    return tuple(Fraction(v, x[-1]) for v in x[:-1])


def value(function: Sequence[Fraction | int], x: Point) -> Fraction:
    """An affine function at a point."""
    return sum((Fraction(a) * b for a, b in zip(function, x, strict=True)), ZERO) / x[-1]


class Dictionary(NamedTuple):
    """``det * basic = level - table . nonbasic`` in integers, the goal in the last line.

    Variables from 0 are what the rows leave below zero; those below zero are the coordinates, from ``-n``, as
    steps away from where the climb began.
    """

    table: list[list[int]]
    level: list[int]
    basic: list[int]
    nonbasic: list[int]
    det: int


def ascend(rows: Sequence[Row], x: Point, goal: Sequence[int], *, enough: bool = False) -> tuple[Point, bool]:
    """The point of a polyhedron where a goal is greatest, from a point in it, and whether there is one.

    Where there is none, the point is one where the goal is positive; with ``enough`` the climb ends as soon
    as it is. By Bland's rule the least number enters and leaves; coordinates never leave.
    """
    n = len(x) - 1
    table = [list(row[:n]) for row in rows] + [[-c for c in goal[:n]]]
    level = [-dot(row, x) for row in rows] + [dot(goal, x)]
    now = Dictionary(table, level, list(range(len(rows))), list(range(-n, 0)), 1)
    while True:
        slope = now.table[-1]
        rising = [j for j in range(n) if slope[j] < 0 or (slope[j] and now.nonbasic[j] < 0)]
        if not rising or (enough and now.level[-1] > 0):
            return _reached(x, now, 0, 1, 0), True
        e = min(rising, key=now.nonbasic.__getitem__)
        sign = 1 if slope[e] < 0 else -1
        stops = [
            (Fraction(now.level[i], sign * line[e]), now.basic[i], i)
            for i, line in enumerate(now.table[:-1])
            if now.basic[i] >= 0 and sign * line[e] > 0
        ]
        if not stops:
            return _reached(x, now, sign * (abs(now.level[-1]) + 1), abs(slope[e]), e), False
        now = _exchanged(now, min(stops)[-1], e)


def _exchanged(now: Dictionary, r: int, e: int) -> Dictionary:
    """The dictionary with two variables exchanged; its numbers are minors of the first: no remainders."""
    chosen, top, p = now.table[r], now.level[r], now.table[r][e]
    lines = zip(now.table, now.level, strict=True)
    level = [(p * v - line[e] * top) // now.det for line, v in lines]
    table = [
        [(p * t - line[e] * c) // now.det for t, c in zip(line, chosen, strict=True)] for line in now.table
    ]
    for new, old in zip(table, now.table, strict=True):
        new[e] = -old[e]
    table[r], level[r] = [*chosen[:e], now.det, *chosen[e + 1 :]], top
    basic, nonbasic = now.basic.copy(), now.nonbasic.copy()
    basic[r], nonbasic[e] = nonbasic[e], basic[r]
    if p < 0:
        table, level = [[-t for t in line] for line in table], [-v for v in level]
    return Dictionary(table, level, basic, nonbasic, abs(p))


def _reached(x: Point, now: Dictionary, step: int, over: int, e: int) -> Point:
    """The dictionary's point, and from there ``step / over`` along a nonbasic variable."""
    at = [v * now.det * over for v in x]
    for i, number in enumerate(now.basic):
        if number < 0:
            at[number - 1] += now.level[i] * over - now.table[i][e] * step
    if now.nonbasic[e] < 0:
        at[now.nonbasic[e] - 1] += step * now.det
    return primitive(at)


def deepest(strict: Sequence[Row], weak: Sequence[Row], x: Point) -> tuple[int, Point]:
    """Sign of the greatest t with ``row + t <= 0`` for strict rows, and a point that shows it.

    Arguments:
        strict: 1 says that all can be negative at once, 0 that they can hold, -1 that they cannot.
        weak: rows that hold, at x too.
        x: where to begin.
    """
    lifted = [(*row[:-1], 1, row[-1]) for row in strict] + [(*row[:-1], 0, row[-1]) for row in weak]
    lowest = -max((dot(row, x) for row in strict), default=-1)
    goal = [*[0] * (len(x) - 1), 1, 0]
    top, _ = ascend(lifted, (*x[:-1], lowest, x[-1]), goal, enough=True)
    return (top[-2] > 0) - (top[-2] < 0), primitive((*top[:-2], top[-1]))


def origin(d: int) -> Point:
    """The point zero."""
    return (*[0] * d, 1)


def highest(rows: Sequence[Row], goal: Affine, x: Point) -> Fraction | None:
    """The greatest value of an affine function over a polyhedron around x; ``None`` where there is none."""
    top, bounded = ascend(rows, x, row_of(goal))
    return value(goal, top) if bounded else None


def random_program(seed: int) -> tuple[list[list[int]], list[int]]:
    """Small integers: ties, rows that repeat, empty and unbounded polyhedra."""
    rng = np.random.default_rng(seed)
    d = int(rng.integers(1, 7))
    rows = rng.integers(-3, 4, (int(rng.integers(0, 9)), d + 1))
    for sign in (1, -1):
        some = np.eye(d, dtype=int)[rng.random(d) < rng.choice([0.0, 0.8])]
        rows = np.concatenate([rows, np.c_[sign * some, -rng.integers(0, 5, len(some))]])
    rows = rows[np.abs(rows[:, :-1]).max(axis=1, initial=0) > 0]
    return rows.tolist(), rng.integers(-3, 4, d + 1).tolist()

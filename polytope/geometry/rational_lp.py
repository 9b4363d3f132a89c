r"""Linear programs in exact arithmetic: :math:`\max a^T x` over :math:`A x \le b` with integer data.

A dual simplex with Bland's rule: it starts from any dual feasible basis (a floating-point solver's,
or a huge box), adds the first violated row, and ends at the exact optimum. It is slow, and only asked
what floating point could not decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from polytope.errors import SolverError

Row = Sequence[int]
HUGE = 1 << 400  # beyond every vertex that rows of float64 numbers of ordinary size can have


@dataclass(frozen=True)
class ExactOptimum:
    """The maximum and a point that attains it; ``bounded`` is false if only the huge box stops it.

    ``basis`` are d rows whose multiples with nonnegative factors add up to the objective.
    """

    value: Fraction
    point: tuple[Fraction, ...]
    bounded: bool
    basis: tuple[int, ...] = ()


def maximise(rows: Sequence[Row], objective: Row, basis: Sequence[int] = ()) -> ExactOptimum:
    """The maximum of an affine function over a polyhedron with interior, exactly.

    Arguments:
        rows: ``d + 1`` integers each, ``row[:d] . x + row[d] <= 0``.
        objective: ``d + 1`` integers, ``objective[:d] . x + objective[d]``.
        basis: d row numbers to start from, where they are known; checked before use.

    Raises:
        SolverError: the polyhedron is empty.
    """
    d = len(objective) - 1
    everything = [*rows, *_huge_box(d)]
    start = list(basis)
    state = _basis_state(everything, objective, start) if len(start) == d else None
    if state is None:
        start = [len(rows) + 2 * i + (0 if objective[i] >= 0 else 1) for i in range(d)]
        state = _basis_state(everything, objective, start)
    assert state is not None, "the huge box is dual feasible for every objective"
    inverse, multipliers = state
    while True:
        x = [_dot(inverse[i], [-everything[r][d] for r in start]) for i in range(d)]
        entering = next((r for r, row in enumerate(everything) if _value(row, x) > 0), None)
        if entering is None:
            bounded = all(r < len(rows) or not multipliers[k] for k, r in enumerate(start))
            return ExactOptimum(_value(objective, x), tuple(x), bounded, tuple(start))
        _pivot(everything[entering], entering, start, inverse, multipliers)


def _huge_box(d: int) -> list[Row]:
    return [[sign * int(i == j) for j in range(d)] + [-HUGE] for i in range(d) for sign in (1, -1)]


def _value(row: Row, x: Sequence[Fraction]) -> Fraction:
    return Fraction(row[-1]) + _dot(x, row[:-1])


def _dot(x: Sequence[Fraction], y: Sequence[int]) -> Fraction:
    return sum((v * a for v, a in zip(x, y, strict=True) if a), Fraction(0))


def _basis_state(
    rows: Sequence[Row], objective: Row, basis: Sequence[int]
) -> tuple[list[list[Fraction]], list[Fraction]] | None:
    """Inverse of the matrix of the basis rows, and the multipliers, if none is negative."""
    d = len(objective) - 1
    inverse = _inverse([rows[r][:d] for r in basis])
    if inverse is None:
        return None
    multipliers = [sum((objective[i] * inverse[i][k] for i in range(d)), Fraction(0)) for k in range(d)]
    return (inverse, multipliers) if min(multipliers, default=Fraction(0)) >= 0 else None


def _inverse(matrix: Sequence[Row]) -> list[list[Fraction]] | None:
    """Gauss-Jordan; ``None`` for a singular matrix."""
    d = len(matrix)
    work = [
        [Fraction(v) for v in row] + [Fraction(int(i == j)) for j in range(d)] for i, row in enumerate(matrix)
    ]
    for c in range(d):
        pivot = next((r for r in range(c, d) if work[r][c]), None)
        if pivot is None:
            return None
        work[c], work[pivot] = work[pivot], work[c]
        head = work[c][c]
        work[c] = [v / head for v in work[c]]
        for r in range(d):
            if r != c and work[r][c]:
                factor = work[r][c]
                work[r] = [v - factor * w for v, w in zip(work[r], work[c], strict=True)]
    return [row[d:] for row in work]


def _pivot(
    row: Row, entering: int, basis: list[int], inverse: list[list[Fraction]], multipliers: list[Fraction]
) -> None:
    """Exchange a basis row for the violated one; multipliers stay non-negative (Bland: smallest number)."""
    d = len(basis)
    w = [sum((row[i] * inverse[i][k] for i in range(d)), Fraction(0)) for k in range(d)]
    ratios = [(multipliers[k] / w[k], basis[k], k) for k in range(d) if w[k] > 0]
    if not ratios:
        raise SolverError("The polyhedron is empty: its rows contradict each other in exact arithmetic.")
    step, _, leaving = min(ratios)
    for k in range(d):
        multipliers[k] = step if k == leaving else multipliers[k] - step * w[k]
    for i in range(d):
        head = inverse[i][leaving] / w[leaving]
        for k in range(d):
            inverse[i][k] = head if k == leaving else inverse[i][k] - head * w[k]
    basis[leaving] = entering

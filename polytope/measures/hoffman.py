r"""Hoffman constants, and the radius around the origin within which all linear regions are met.

Infinity norms throughout. A set J of rows of A is *surjective* where some x has :math:`A_J x < 0`; then
:math:`H(A) = \max_J 1 / \min \{\|A_J^T v\|_1 : v \ge 0, \sum v = 1\}`, and every point is within
:math:`H(A) \|(A x - b)_+\|_\infty` of a non-empty :math:`\{A x \le b\}`. Programs are
solved in rationals.

References: Pena, Vera, Zuluaga (2021), "New characterizations of Hoffman constants for systems of linear
constraints", https://doi.org/10.1007/s10107-020-01473-6; Lezeau, Walker et al. (2024), "Tropical Expressivity
of Neural Networks" (effective radius), https://arxiv.org/abs/2405.20174
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import product

import numpy as np
from numpy.typing import ArrayLike

from polytope.errors import SolverError
from polytope.exact.cells import ExactCells
from polytope.exact.program import Row, maximise
from polytope.labelled import Bound, Exact, Labelled, enclosing, nearest
from polytope.measures.signomial import Signomial, in_fractions, pruned, whole_numbers
from polytope.regions.asked import require_regions
from polytope.regions.complex import RegionComplex


def hoffman_constant(A: ArrayLike, *, max_programs: int = 10_000) -> Labelled:
    r"""The Hoffman constant :math:`H(A)` of a system :math:`A x \le b`, in infinity norms.

    Row sets are searched from the largest: where one is not surjective, every surjective subset misses a row
    of the combination that shows it. **Exact**: found in rational arithmetic, and rounded once.

    Arguments:
        A: rows, ``[m, d]``, in float64 or as an object array of fractions.
        max_programs: the most linear programs; their number can grow exponentially with m.

    Raises:
        ValueError: A has no row but zeros, is not finite, or the search needs more programs.
        SolverError: the constant is beyond the numbers of float64.

    Example:
        >>> [hoffman_constant(A) for A in (np.eye(3), np.vstack([np.eye(3), -np.ones(3)]))]
        [1.0, 3.0]
    """
    given = np.atleast_2d(np.asarray(A))
    try:
        rows = [[Fraction(v) for v in row] for row in given.tolist()]
    except (OverflowError, ValueError, TypeError) as error:  # infinite, not a number, or a deeper list
        raise ValueError(
            f"hoffman_constant: A must be a finite matrix [m, d], not of shape {given.shape}."
        ) from error
    found = enclosing(_greatest(rows, max_programs))
    if not isinstance(found.number, Exact):
        raise SolverError("hoffman_constant: the constant is beyond the numbers of float64.")
    return found


def _greatest(A: Sequence[Sequence[Fraction]], max_programs: int) -> Fraction:
    """The Hoffman constant, in rationals."""
    rows = [list(row) for row in {tuple(row) for row in A if any(row)}]
    if not rows:
        raise ValueError("hoffman_constant: every row of A is zero.")
    waiting, seen, least = [frozenset(range(len(rows)))], set(), None
    while waiting:
        chosen = waiting.pop()
        if chosen in seen or not chosen:
            continue
        seen.add(chosen)
        if len(seen) > max_programs:
            raise ValueError(
                f"hoffman_constant: {len(rows)} rows need more than max_programs={max_programs} programs."
            )
        J = sorted(chosen)
        value, tight = _smallest_norm([rows[j] for j in J])
        if value:
            least = value if least is None else min(least, value)
        else:
            waiting += [chosen - {J[t]} for t in tight]
    assert least is not None, "one row alone is surjective"
    return 1 / least


def _smallest_norm(rows: Sequence[Sequence[Fraction]]) -> tuple[Fraction, list[int]]:
    r"""The least 1-norm of a convex combination of rows, and numbers of rows that one combination is of.

    By duality it is the greatest t with :math:`A_J x \le -t` for some x in the unit cube.
    """
    m, d = len(rows), len(rows[0])
    program: list[Row] = [whole_numbers([*row, 1, 0]) for row in rows]
    program += [[s * (i == j) for i in range(d)] + [0, -1] for j in range(d) for s in (1, -1)]
    best = maximise(program, [*[0] * d, 1, 0])
    assert best is not None, "0 is in the cube"
    assert best.value is not None, "a row bounds t in the cube"
    return best.value, [number for number in best.tight if number < m]


def effective_radius(complex: RegionComplex) -> Labelled:
    r"""The least r such that the ball :math:`\|x\|_\infty \le r` meets every linear region, one program each.

    **Exact**: rational programs over the exact rows of the regions; the result is rounded once.

    Arguments:
        complex: all regions of a domain; ``Polyhedron.whole_space(d)`` for the radius of the network.

    Raises:
        IncompleteComplexError: not all regions are there: a linear region may have parts nearer to 0.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0], [1.0]], [-2.0, 3.0]), ([[1.0, 1.0]], [0.0])])  # breakpoints at 2 and -3
        >>> effective_radius(pt.enumerate_regions(net, pt.Polyhedron.whole_space(1)))
        3.0
    """
    require_regions(complex, "effective_radius")
    complex.require_complete("The effective radius")
    cells = ExactCells(complex.network, complex.domain.rows, complex.domain.b)
    least: dict[int, Fraction] = {}
    for pattern, label in zip(complex.patterns, complex.merged().tolist(), strict=True):
        if label not in least or least[label]:
            distance = _distance_from_origin([row.row for row in cells.rows(pattern)], complex.domain.dim)
            least[label] = min(least.get(label, distance), distance)
    return enclosing(max(least.values()))


def _distance_from_origin(rows: Sequence[Row], d: int) -> Fraction:
    """The least infinity norm of a point where all rows are at most 0."""
    if all(row[-1] <= 0 for row in rows):
        return Fraction(0)
    cube = [[s * (i == j) for i in range(d)] + [-1, 0] for j in range(d) for s in (1, -1)]
    best = maximise([*([*row[:-1], 0, row[-1]] for row in rows), *cube], [*[0] * d, -1, 0])
    assert best is not None, "a region is not empty"
    assert best.value is not None, "a norm is not negative"
    return -best.value


def radius_bound(F: Signomial, G: Signomial | None = None, *, max_programs: int = 10_000) -> Labelled:
    r"""The published bound :math:`R_f \le H(f) (\max b - \min b)` on the effective radius of ``F - G``.

    H(f) is the greatest Hoffman constant of the systems
    :math:`\langle a_j - a_i, x \rangle \le b_i - b_j` that say where monomial i of F (and k of G) is the
    greatest. An upper bound, of the function that the numbers of F and G make as they are.

    Arguments:
        F, G: signomials; ``None`` for G is 0.
        max_programs: the most linear programs for each system.

    Raises:
        ValueError: a system needs more programs.
    """
    forms = [pruned(in_fractions(F))] + ([] if G is None else [pruned(in_fractions(G))])
    tables = [form.exponents for form in forms]
    spread: Fraction = max(max(form.coefficients) - min(form.coefficients) for form in forms)
    greatest = Fraction(0)
    for pair in product(*[range(len(table)) for table in tables]):
        system = np.concatenate([a - a[i] for a, i in zip(tables, pair, strict=True)]).tolist()
        if any(map(any, system)):
            greatest = max(greatest, _greatest(system, max_programs))
    _, upper = nearest(greatest * spread)[1:]
    return Labelled(upper, Bound(0.0, upper))

r"""Hoffman constants, and the radius around the origin within which all linear regions are met.

Infinity norms throughout. A set J of rows of A is *surjective* where some x has :math:`A_J x < 0`; then
:math:`H(A) = \max_J 1 / \min \{\|A_J^T v\|_1 : v \ge 0, \sum v = 1\}`, and every point is within
:math:`H(A) \|(A x - b)_+\|_\infty` of a non-empty :math:`\{A x \le b\}`.

References: Pena, Vera, Zuluaga (2021), "New characterizations of Hoffman constants for systems of linear
constraints", https://doi.org/10.1007/s10107-020-01473-6; Lezeau, Walker et al. (2024), "Tropical Expressivity
of Neural Networks" (effective radius), https://arxiv.org/abs/2405.20174
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linprog

from polytope.errors import SolverError
from polytope.exact.program import maximise
from polytope.ir.maps import FloatArray
from polytope.measures.labelled import Labelled
from polytope.measures.signomial import Signomial, pruned, whole_numbers
from polytope.regions.complex import RegionComplex

UNSURE = 1e-7  # a smallest norm below this, of rows of greatest entry 1, is checked in rationals


def hoffman_constant(A: ArrayLike, *, max_programs: int = 10_000) -> float:
    r"""The Hoffman constant :math:`H(A)` of a system :math:`A x \le b`, in infinity norms.

    Row sets are searched from the largest: where one is not surjective, every surjective subset misses a row
    of the combination that shows it.

    Arguments:
        A: rows, ``[m, d]``, in float64 or as an object array of fractions: which rows are surjective is then
            decided for these.
        max_programs: the most linear programs; their number can grow exponentially with m.

    Raises:
        ValueError: A has no row but zeros, is not finite, or the search needs more programs.
        SolverError: the constant is too large for float64 programs.

    Example:
        >>> [round(hoffman_constant(A), 9) for A in (np.eye(3), np.vstack([np.eye(3), -np.ones(3)]))]
        [1.0, 3.0]
    """
    given = np.atleast_2d(np.asarray(A))
    if given.ndim != 2 or not np.isfinite(given.astype(float)).all():
        raise ValueError(f"hoffman_constant: A must be a finite matrix [m, d], not of shape {given.shape}.")
    distinct = {tuple(row): whole_numbers(row) for row in given.tolist() if any(row)}
    if not distinct:
        raise ValueError("hoffman_constant: every row of A is zero.")
    rows, integers = np.array([*distinct], dtype=float), [*distinct.values()]
    scale = float(np.abs(rows).max())
    waiting, seen, least, programs = [frozenset(range(len(rows)))], set(), np.inf, 0
    while waiting:
        chosen = waiting.pop()
        if chosen in seen or not chosen:
            continue
        seen.add(chosen)
        if programs >= max_programs:
            raise ValueError(
                f"hoffman_constant: {len(rows)} rows need more than max_programs={max_programs} programs."
            )
        programs += 1
        J = np.array(sorted(chosen))
        value, v = _smallest_norm(rows[J] / scale)
        if value > UNSURE:
            least = min(least, value)
        elif _surjective([integers[j] for j in J.tolist()]):
            raise SolverError(
                f"hoffman_constant: {len(J)} rows are so nearly not surjective that the constant, above "
                f"{1 / (UNSURE * scale):.0e}, is beyond what float64 programs resolve."
            )
        else:
            waiting += [chosen - {int(j)} for j in J[v > 1e-9]]
    return float(1.0 / (least * scale))


def _smallest_norm(rows: FloatArray) -> tuple[float, FloatArray]:
    """The least 1-norm of a convex combination of rows, and its weights."""
    m, d = rows.shape
    costs = np.append(np.zeros(m), np.ones(2 * d))
    table = np.concatenate([rows.T, -np.eye(d), np.eye(d)], axis=1)
    total = np.append(np.ones(m), np.zeros(2 * d))
    found = linprog(costs, A_eq=np.vstack([table, total]), b_eq=np.append(np.zeros(d), 1.0), method="highs")
    if found.fun is None or found.x is None:
        raise SolverError(f"HiGHS found no combination of {m} rows of least norm.")
    return float(found.fun), np.asarray(found.x[:m])


def _surjective(rows: list[list[int]]) -> bool:
    """Whether some x has ``rows @ x < 0``, in rational arithmetic."""
    return maximise([[*row, 1] for row in rows], [0] * (len(rows[0]) + 1)) is not None


def effective_radius(complex: RegionComplex) -> Labelled:
    r"""The least r such that the ball :math:`\|x\|_\infty \le r` meets every linear region, one program each.

    Arguments:
        complex: all regions of a domain; ``Polyhedron.whole_space(d)`` for the radius of the network.

    Raises:
        IncompleteComplexError: not all regions are there: a linear region may have parts nearer to 0.
        SolverError: HiGHS could not solve a program.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0], [1.0]], [-2.0, 3.0]), ([[1.0, 1.0]], [0.0])])  # bends at 2 and -3
        >>> effective_radius(pt.enumerate_regions(net, pt.Polyhedron.whole_space(1)))
        3.0
    """
    complex.require_complete("The effective radius")
    labels = complex.merged()
    nearest = np.full(int(labels.max()) + 1, np.inf)
    for region, label in zip(complex, labels.tolist(), strict=True):
        nearest[label] = min(nearest[label], _distance_from_origin(*region.halfspaces))
    return Labelled(float(nearest.max()), "exact")


def _distance_from_origin(A: FloatArray, b: FloatArray) -> float:
    """The least infinity norm of a point of ``{A x <= b}``."""
    if (b >= 0).all():
        return 0.0
    m, d = A.shape
    scale = float(np.abs(b).max())
    below = -np.ones((d, 1))
    rows = np.block([[A, np.zeros((m, 1))], [np.eye(d), below], [-np.eye(d), below]])
    limits = np.append(b / scale, np.zeros(2 * d))
    costs = np.append(np.zeros(d), 1.0)
    found = linprog(costs, A_ub=rows, b_ub=limits, bounds=(None, None), method="highs")
    if found.status != 0 or found.fun is None:
        raise SolverError(f"HiGHS found no nearest point of a region of {m} rows: {found.message}")
    return float(found.fun) * scale


def radius_bound(F: Signomial, G: Signomial | None = None, *, max_programs: int = 10_000) -> Labelled:
    r"""The published bound :math:`R_f \le H(f) (\max b - \min b)` on the effective radius of ``F - G``.

    H(f) is the greatest Hoffman constant of the systems
    :math:`\langle a_j - a_i, x \rangle \le b_i - b_j` that say where monomial i of F (and k of G) is the
    greatest. An upper bound.

    Arguments:
        F, G: signomials; ``None`` for G is 0.
        max_programs: the most linear programs for each system.

    Raises:
        ValueError: a system needs more programs.
    """
    forms = [pruned(F)] + ([] if G is None else [pruned(G)])
    tables = [form.exponents for form in forms]
    spread = max(float(np.ptp(form.coefficients.astype(float))) for form in forms)
    greatest = 0.0
    for pair in product(*[range(len(table)) for table in tables]):
        system = np.concatenate([a - a[i] for a, i in zip(tables, pair, strict=True)])
        if system.any():
            greatest = max(greatest, hoffman_constant(system, max_programs=max_programs))
    return Labelled(greatest * spread, "upper bound")

r"""Domains and groups: whether a polyhedron is preserved, and a polyhedron that meets every orbit.

References: Ratcliffe (2019), "Foundations of Hyperbolic Manifolds", section 6.6 (Dirichlet domains)
"""

from __future__ import annotations

from fractions import Fraction
from math import lcm

import numpy as np
from numpy.typing import ArrayLike

from polytope.equivariant.groups.representations import Representation
from polytope.exact.program import positive_point
from polytope.geometry.lp import WarmProgram
from polytope.geometry.polyhedron import UNBOUNDED, Polyhedron
from polytope.ir.maps import FloatArray


def fundamental_domain(rho: Representation, point: ArrayLike | None = None) -> Polyhedron:
    r"""The Dirichlet cell :math:`\{x : \langle x, p \rangle \ge \langle x, \rho(g) p \rangle \; \forall g\}`.

    Its images under the group cover the space, and their interiors are disjoint up to elements that act as
    the identity. The inner product is one that the group preserves, the ordinary one for orthogonal matrices.
    Rows that others imply are left out.

    Arguments:
        rho: the action on R^d.
        point: p, ``[d]``, moved by every element that moves anything. By default (1, ..., d), with which
            permutations give :math:`x_1 \le \dots \le x_d`; a random point if some element fixes that.

    Returns:
        A polyhedral cone; the whole space if all elements act as the identity.

    Raises:
        ValueError: the point is fixed by an element that moves others.

    Example:
        >>> from polytope.equivariant import cyclic, permutation
        >>> swap = permutation(cyclic(2), [[0, 1], [1, 0]])
        >>> fundamental_domain(swap).A.tolist()  # x_1 <= x_2
        [[1.0, -1.0]]
    """
    p = _generic_point(rho) if point is None else np.asarray(point, dtype=float).ravel()
    if p.shape != (rho.dim,) or not _moved(rho, p):
        raise ValueError(
            f"fundamental_domain: the point must lie in R^{rho.dim}, and be moved by every element that "
            "moves anything."
        )
    inner = np.eye(rho.dim) if rho.is_orthogonal else _invariant_product(rho)
    others = np.delete(np.arange(len(rho)), rho.kernel)
    rows = (rho.matrices[others] @ p - p) @ inner
    if not len(rows):
        return Polyhedron.whole_space(rho.dim)
    rows = rows / np.exp2(np.floor(np.log2(np.abs(rows).max(axis=1, keepdims=True))))
    return _irredundant(np.unique(rows, axis=0))


def _generic_point(rho: Representation) -> FloatArray:
    """(1, ..., d) or a random integer point that every element moves."""
    rng = np.random.default_rng(0)
    p = np.arange(1.0, rho.dim + 1)
    while not _moved(rho, p):
        p = rng.integers(-1000, 1001, rho.dim).astype(float)
    return p


def _moved(rho: Representation, p: FloatArray) -> bool:
    """Whether all elements outside the kernel move a point, by more than rounding."""
    away = np.abs(rho.matrices @ p - p).max(axis=1)
    away[rho.kernel] = np.inf
    return bool(away.min() > 1e-6 * np.abs(p).max())


def _invariant_product(rho: Representation) -> FloatArray:
    """The sum of the Gram matrices, an inner product that the group preserves: integers where they are."""
    total: FloatArray = np.einsum("gki,gkj->ij", rho.matrices, rho.matrices)
    return total


def _irredundant(rows: FloatArray) -> Polyhedron:
    """The cone ``rows @ x <= 0`` without rows that others imply."""
    d = rows.shape[1]
    kept = list(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    order = list(range(len(rows)))
    for k in reversed(range(len(rows))):
        others = [np.append(row, 0.0) for i, row in enumerate(kept) if i != k]
        if others and WarmProgram(d, 1.0).maximise(others, np.append(kept[k], 0.0)).value <= 1e-9:
            del kept[k], order[k]
    return Polyhedron(rows[order], np.zeros(len(order)))


def require_invariant(domain: Polyhedron, rho: Representation, *, tolerance: float = 1e-9) -> None:
    """Refuse a domain that the group does not map to itself.

    Integer matrices are checked in exact arithmetic, others up to rounding.

    Arguments:
        tolerance: for matrices that are not integers, how far an image may stick out, relative to the
            domain's numbers.

    Raises:
        ValueError: dimensions differ, or an element maps a point of the domain outside, as the message says.
        SolverError: the domain is empty, and the matrices are not integers.
    """
    if domain.dim != rho.dim:
        raise ValueError(f"The domain lies in R^{domain.dim}, the group acts on R^{rho.dim}.")
    exact = bool((rho.matrices == np.round(rho.matrices)).all())
    rows = {_key(row) for row in integer_rows(domain)} if exact else set()
    for g in rho.group.generators:
        for i, row in enumerate(domain.A):
            if exact:
                moved = moved_row(row, float(domain.b[i]), rho.matrices[g])
                if _key(moved) not in rows:
                    _check_exactly(domain, moved, g, i)
            else:
                _check(domain, row @ rho.matrices[g], float(domain.b[i]), g, i, tolerance)


def invariant_part(domain: Polyhedron, rho: Representation) -> Polyhedron:
    """The points whose images all lie in a domain: its largest part that the group preserves.

    Arguments:
        domain: a polyhedron in R^d.
        rho: the group's action on R^d.

    Returns:
        The intersection of the domain's images, which may be empty.

    Raises:
        ValueError: dimensions differ.
    """
    if domain.dim != rho.dim:
        raise ValueError(f"The domain lies in R^{domain.dim}, the group acts on R^{rho.dim}.")
    rows = np.concatenate([np.column_stack([domain.A @ M, domain.b]) for M in rho.matrices])
    rows = np.unique(rows + 0.0, axis=0)
    return Polyhedron(rows[:, :-1], rows[:, -1])


def _outside(g: int, i: int, point: FloatArray) -> ValueError:
    return ValueError(
        f"The group does not preserve the domain: element {g} maps {point.tolist()} beyond row {i}. "
        "invariant_part(domain, rho) is the part that it preserves."
    )


def _integers(entries: list[Fraction]) -> list[int]:
    """A row as integers, times a positive number."""
    scale = lcm(*(v.denominator for v in entries))
    return [int(v * scale) for v in entries]


def integer_rows(domain: Polyhedron) -> list[list[int]]:
    """The rows ``(A, -b)``, each as integers."""
    rows = np.column_stack([domain.A, -domain.b]).tolist()
    return [_integers([Fraction(v) for v in row]) for row in rows]


def moved_row(row: FloatArray, limit: float, matrix: FloatArray) -> list[int]:
    """The row ``row @ matrix`` with its limit, for a matrix of integers."""
    entries = [Fraction(v) for v in row.tolist()]
    moved = [sum((e * int(m) for e, m in zip(entries, c, strict=True)), Fraction(0)) for c in matrix.T]
    return _integers([*moved, -Fraction(limit)])


def _key(row: list[int]) -> tuple[Fraction, ...]:
    """The row up to positive multiples."""
    size = max(abs(v) for v in row[:-1])
    return tuple(Fraction(v, size) for v in row)


def _check_exactly(domain: Polyhedron, row: list[int], g: int, i: int) -> None:
    """The maximum of a row over the domain, in rational arithmetic."""
    point = positive_point(integer_rows(domain), row)
    if point is not None:
        raise _outside(g, i, np.array([float(v) for v in point]))


def _check(domain: Polyhedron, row: FloatArray, limit: float, g: int, i: int, tolerance: float) -> None:
    """The maximum of a row over the domain, in float64."""
    length = float(np.linalg.norm(row))
    scale = float(np.abs(domain.unit_rows[:, -1]).max(initial=0.0)) or 1.0
    rows = [np.append(r[:-1], r[-1] / scale) for r in domain.unit_rows]
    best = WarmProgram(domain.dim, UNBOUNDED).maximise(rows, np.append(row, -limit / scale) / length)
    if not best.bounded or best.value > tolerance:
        raise _outside(g, i, best.point * scale)

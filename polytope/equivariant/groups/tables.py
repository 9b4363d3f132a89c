r"""Finite groups by their multiplication tables, ``table[g, h] = gh``.

Elements are the numbers 0 .. |G| - 1, and 0 is the identity in every group that is made here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import permutations as tuples

import numpy as np
from numpy.typing import ArrayLike

from polytope.ir.maps import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class FiniteGroup:
    """A finite group.

    Arguments:
        table: ``int[G, G]``, the number of the product ``gh`` in row g and column h.
        name: what it is called, for messages.

    Raises:
        ValueError: the table is not that of a group; the message names the law that fails.
    """

    table: IntArray
    name: str = "group"

    def __post_init__(self) -> None:
        table = np.asarray(self.table)
        object.__setattr__(self, "table", table)
        if table.ndim != 2 or table.shape[0] != table.shape[1] or not table.size:
            raise ValueError(f"FiniteGroup: the table must be square, not of shape {table.shape}.")
        every = np.arange(len(table))
        if table.dtype.kind not in "iu" or any(
            (np.sort(table, axis=k) != _along(every, k)).any() for k in (0, 1)
        ):
            raise ValueError("FiniteGroup: every row and column of the table must hold each element once.")
        if not (table == every).all(axis=1).any():
            raise ValueError("FiniteGroup: the table has no identity.")
        for g in range(len(table)):
            if (table[table[g]] != table[g][table]).any():
                raise ValueError(f"FiniteGroup: the table is not associative at element {g}.")

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        return f"FiniteGroup({self.name}, order {len(self)})"

    @cached_property
    def identity(self) -> int:
        """The element e with eg = g."""
        return int((self.table == np.arange(len(self))).all(axis=1).argmax())

    @cached_property
    def inverse(self) -> IntArray:
        """``int[G]``: the element h with gh = e."""
        inverse: IntArray = (self.table == self.identity).argmax(axis=1)
        return inverse

    @cached_property
    def conjugacy_classes(self) -> list[IntArray]:
        r"""The sets :math:`\{h g h^{-1}\}`, ``int[n]`` each, in the order of their first elements."""
        every = np.arange(len(self))
        labels = self.table[self.table, self.inverse[:, None]].min(axis=0)  # least conjugate of each g
        return [every[labels == first] for first in np.unique(labels)]

    @cached_property
    def generators(self) -> list[int]:
        """A few elements whose products are the group, found greedily."""
        chosen: list[int] = []
        reached = np.zeros(len(self), dtype=bool)
        reached[self.identity] = True
        while not reached.all():
            chosen.append(int(reached.argmin()))
            grown = True
            while grown:
                products = np.unique(self.table[np.flatnonzero(reached)][:, chosen])
                grown = not reached[products].all()
                reached[products] = True
        return chosen


def _along(every: IntArray, axis: int) -> IntArray:
    """The elements in order along one axis."""
    return every[:, None] if axis == 0 else every[None]


def _at_least(n: int, least: int, name: str) -> None:
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < least:
        raise ValueError(f"{name}: n must be a whole number of at least {least}, not {n!r}.")


def cyclic(n: int) -> FiniteGroup:
    """The rotations of a regular n-gon: element k turns by 2 pi k / n.

    Arguments:
        n: order of the group, at least 1.

    Returns:
        The group C_n; element 0 is the identity.

    Raises:
        ValueError: n is less than 1.

    Example:
        >>> cyclic(4).table[3].tolist()
        [3, 0, 1, 2]
    """
    _at_least(n, 1, "cyclic")
    k = np.arange(n)
    return FiniteGroup((k[:, None] + k) % n, f"C{n}")


def dihedral(n: int) -> FiniteGroup:
    """The 2n symmetries of a regular n-gon: element k + n s is r^k m^s, r a turn by 2 pi / n, m a reflection.

    Arguments:
        n: number of corners, at least 2.

    Returns:
        The group D_n, of order 2n; element 0 is the identity.

    Raises:
        ValueError: n is less than 2.
    """
    _at_least(n, 1, "dihedral")
    if n < 2:
        raise ValueError(f"dihedral: n must be at least 2, not {n}; one reflection makes cyclic(2).")
    k, s = np.arange(2 * n) % n, np.arange(2 * n) // n
    turn = k[:, None] + np.where(s[:, None] == 1, -k, k)  # m r = r^-1 m
    return FiniteGroup(turn % n + n * ((s[:, None] + s) % 2), f"D{n}")


def symmetric(n: int) -> FiniteGroup:
    """All permutations p of n things, in the order of ``itertools.permutations``; (pq)[i] = p[q[i]].

    Arguments:
        n: how many things, 1 to 6.

    Returns:
        The group S_n, of order n!; element 0 is the identity.

    Raises:
        ValueError: n lies outside 1..6.
    """
    _at_least(n, 1, "symmetric")
    if not 1 <= n <= 6:
        raise ValueError(f"symmetric: n must lie in 1..6, not {n}; larger tables do not fit into memory.")
    return from_permutations(list(tuples(range(n))), f"S{n}")


def from_permutations(perms: ArrayLike, name: str = "group") -> FiniteGroup:
    """The group of given permutations, with composition as product: (pq)[i] = p[q[i]].

    Arguments:
        perms: ``int[G, n]``, distinct permutations of 0 .. n - 1, closed under composition.
        name: what the group is called, for messages.

    Returns:
        The group; element g is row g.

    Raises:
        ValueError: a row repeats, or a product is missing.
    """
    rows = np.asarray(perms, dtype=np.int64)
    number = {row.tobytes(): g for g, row in enumerate(rows)}
    if rows.ndim != 2 or len(number) < len(rows):
        raise ValueError("from_permutations: the rows must be distinct permutations.")
    try:
        table = [[number[p[q].tobytes()] for q in rows] for p in rows]
    except (KeyError, IndexError):
        raise ValueError("from_permutations: the rows are not closed under composition.") from None
    return FiniteGroup(np.array(table, dtype=np.int64), name)


def icosahedral() -> FiniteGroup:
    """The 60 rotations of an icosahedron; ``rotation3d`` gives their matrices.

    Returns:
        The group, of order 60; element 0 is the identity.
    """
    return FiniteGroup(generate(icosahedral_generators())[0].table, "icosahedral")


def icosahedral_generators() -> FloatArray:
    """A turn by a third about (1, 1, 1) and one by a half that swaps (0, 1, phi) and (1, phi, 0)."""
    phi = (1 + 5**0.5) / 2
    third = [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    half = 0.5 * np.array([[-phi, 1.0, phi - 1], [1.0, phi - 1, phi], [phi - 1, phi, -1.0]])
    return np.array([third, half])


def direct_product(first: FiniteGroup, second: FiniteGroup) -> FiniteGroup:
    """Pairs (g, h), numbered g |H| + h, with products in each place.

    Arguments:
        first: the group G of the g.
        second: the group H of the h.

    Returns:
        The group, of order ``|G| |H|``.
    """
    n = len(second)
    g, h = np.divmod(np.arange(len(first) * n), n)
    table = first.table[g[:, None], g] * n + second.table[h[:, None], h]
    return FiniteGroup(table, f"{first.name}x{second.name}")


def generate(
    matrices: ArrayLike, *, limit: int = 10_000, tolerance: float = 1e-6
) -> tuple[FiniteGroup, FloatArray]:
    """The finite group that matrices generate, and its elements as matrices; the identity comes first.

    Arguments:
        matrices: ``[n, d, d]``.
        limit: a larger group is refused, and so are matrices that generate an infinite one.
        tolerance: entries closer than this are the same.

    Returns:
        ``(group, elements [G, d, d])``: element g of the group is the matrix ``elements[g]``.

    Raises:
        ValueError: the matrices are not ``[n, d, d]``, or more than ``limit`` products are distinct.
    """
    given = np.asarray(matrices, dtype=float)
    if given.ndim != 3 or given.shape[1] != given.shape[2]:
        raise ValueError(f"generate: expected matrices [n, d, d], got shape {given.shape}.")
    found, number = [np.eye(given.shape[1])], {}
    number[_key(found[0], tolerance)] = 0
    for g in range(limit):
        if g == len(found):
            break
        for matrix in given:
            new = found[g] @ matrix
            if number.setdefault(_key(new, tolerance), len(found)) == len(found):
                found.append(new)
    if len(found) > limit:
        raise ValueError(f"generate: the matrices generate more than {limit} elements, or infinitely many.")
    elements = np.array(found)
    table = [[number[_key(a @ b, tolerance)] for b in elements] for a in elements]
    return FiniteGroup(np.array(table, dtype=np.int64)), elements


def _key(matrix: FloatArray, tolerance: float) -> bytes:
    """The entries, rounded."""
    return (np.round(matrix / tolerance).astype(np.int64)).tobytes()

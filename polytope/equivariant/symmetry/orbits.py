r"""Orbits of regions: the group acts on a list of them by numbers, ``action[g, i]`` the number of g R_i.

References: Burnside (1897), "Theory of Groups of Finite Order", section 145 (the counting lemma)
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from polytope.equivariant.groups.representations import Representation
from polytope.equivariant.symmetry.domains import require_invariant
from polytope.equivariant.symmetry.unit_action import unit_action
from polytope.errors import SymmetryError
from polytope.ir.activations import PatternArray
from polytope.ir.maps import IntArray
from polytope.ir.oneline import one_line
from polytope.regions.complex import RegionComplex


@dataclass(frozen=True, eq=False)
class Orbits:
    """Which regions the group maps to each other.

    Arguments:
        label: ``int[R]``, the orbit of every region.
        representative: ``int[O]``, one region of every orbit.
        size: ``int[O]``, how many regions the orbit has in the whole domain.
        stabilizer: for every orbit ``int[S]``, the elements that map its representative to itself.
    """

    label: IntArray
    representative: IntArray
    size: IntArray
    stabilizer: tuple[IntArray, ...]

    __repr__ = one_line

    def __len__(self) -> int:
        return len(self.representative)


def orbits(action: IntArray) -> Orbits:
    """Orbits of a list on which a group acts.

    Arguments:
        action: ``int[G, R]``, the number of g R_i, or -1 where it is not in the list.

    Returns:
        The orbits, in the order of their first members.

    Example:
        >>> found = orbits(np.array([[0, 1, 2], [1, 0, 2]]))  # a swap, and one region that it keeps
        >>> found.label.tolist(), found.size.tolist()
        ([0, 0, 1], [2, 1])
    """
    lowest = np.where(action >= 0, action, action.shape[1]).min(axis=0, initial=action.shape[1])
    representative, label = np.unique(lowest, return_inverse=True)
    fixed = tuple(np.flatnonzero(action[:, r] == r) for r in representative.tolist())
    size = np.array([len(action) // len(elements) for elements in fixed], dtype=np.int64)
    return Orbits(label.ravel(), representative, size, fixed)


def burnside_count(action: IntArray) -> int:
    r"""The number of orbits, :math:`\frac{1}{|G|} \sum_g |\{i : g R_i = R_i\}|`.

    Arguments:
        action: ``int[G, R]``, a group's action on a whole list.

    Raises:
        ValueError: the rows are not permutations, or no group's.
    """
    if (np.sort(action, axis=1) != np.arange(action.shape[1])).any():
        raise ValueError("burnside_count: every row of an action must be a permutation.")
    count = Fraction(int((action == np.arange(action.shape[1])).sum()), len(action))
    if count.denominator != 1:
        raise ValueError("burnside_count: these permutations are not the action of a group.")
    return int(count)


def region_action(complex: RegionComplex, rho: Representation, *, tolerance: float = 1e-9) -> IntArray:
    """How a group permutes the regions of a complete complex, by their patterns alone.

    Arguments:
        complex: all regions of a network in a domain that the group preserves, R of them.
        rho: the group's action on the input.
        tolerance: largest difference between rows of units that follow each other, relative to their size.

    Returns:
        ``int[G, R]``, the number of the region g R_i in row g and column i.

    Raises:
        ValueError: the group does not preserve the domain, or acts on another space.
        IncompleteComplexError: the enumeration was stopped.
        SymmetryError: an element does not permute the units of the network.
    """
    complex.require_complete("The action on regions")
    require_invariant(complex.domain, rho)
    action = unit_action(complex.network, rho, tolerance=tolerance)
    index = PatternIndex(complex.patterns)
    rows = np.stack([index.find(action.move(g, complex.patterns)) for g in range(len(rho))])
    if (rows < 0).any():
        raise SymmetryError(
            "The image of a region is not a region: units that follow each other have rows that differ by "
            f"{action.error:.3g}. Make the network exactly symmetric, or lower the tolerance."
        )
    return rows


class PatternIndex:
    """Places of patterns in a list, by 64-bit words; every answer is compared with the pattern itself."""

    def __init__(self, patterns: PatternArray) -> None:
        self._patterns = patterns
        rng = np.random.default_rng(0)
        while True:
            self._factors = rng.integers(0, 1 << 63, patterns.shape[1], dtype=np.uint64) * 2 + 1
            words = self._words(patterns)
            self._order = np.argsort(words, kind="stable")
            self._sorted = words[self._order]
            if (self._sorted[1:] != self._sorted[:-1]).all():
                break

    def _words(self, patterns: PatternArray) -> NDArray[np.uint64]:
        """A sum of random multiples of the entries."""
        words: NDArray[np.uint64] = patterns.astype(np.uint64) @ self._factors
        return words

    def find(self, patterns: PatternArray) -> IntArray:
        """The place of each pattern ``int8[n, U]``, or -1."""
        words = self._words(patterns)
        place = np.minimum(np.searchsorted(self._sorted, words), len(self._sorted) - 1)
        found = self._order[place]
        same = (self._patterns[found] == patterns).all(axis=1)
        return np.where(same, found, -1)

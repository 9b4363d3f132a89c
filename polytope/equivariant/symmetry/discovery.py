r"""The symmetries of a trained network: all (signed) permutations of its input that its layers follow.

Candidates are found like the automorphisms of a weighted graph. Sums over the first units,
:math:`\sum_r K_{ri}^a K_{rj}^b c_r^e` with rows (K, c) whose largest entry is 1, must be the same for the
images of coordinates i and j; whatever passes that for all pairs is verified on the whole network. Searching
images of one coordinate after the other, with those before it fixed, gives generators and the order.

References: Seress (2003), "Permutation Group Algorithms", chapter 9 (searches along chains of stabilisers)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from typing import Literal

import numpy as np
from scipy.sparse import csr_array

from polytope.equivariant.groups.representations import Representation, trivial
from polytope.equivariant.groups.tables import FiniteGroup, cyclic
from polytope.equivariant.symmetry.expanded import Expanded, expanded
from polytope.equivariant.symmetry.layerwise import LayerwiseAction, follow
from polytope.equivariant.symmetry.matching import UnitSearch
from polytope.errors import SymmetryError
from polytope.given import NetworkLike, as_network
from polytope.ir import piecewise_linear
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.same_activation import members, same_activation

Signed = tuple[tuple[int, ...], tuple[int, ...]]  # coordinate i goes to places[i], times signs[i]
POWERS = ((1, 0, 0), (2, 0, 0), (1, 0, 1), (2, 0, 1), (1, 1, 0), (2, 1, 0), (1, 1, 1), (2, 2, 0), (3, 1, 0))


def input_symmetry_group(
    network: NetworkLike,
    candidates: Literal["permutations", "signed_permutations"] | Representation = "permutations",
    *,
    tolerance: float = 1e-9,
    limit: int = 2000,
    max_checks: int = 10_000,
) -> tuple[FiniteGroup, Representation]:
    r"""The group of transformations of the input that the layers follow, and its action on the input.

    A transformation counts if it permutes the units of every layer up to scale, and the outputs up to sign.
    ``layerwise_symmetry(network, matrix).exact`` tells whether an element is proved in exact arithmetic.

    Arguments:
        network: the network.
        candidates: all permutations of the coordinates, all signed ones, or the elements of a group.
        tolerance: largest difference between rows that are matched, relative to their size.
        limit: the largest group that is listed.
        max_checks: candidates that may be verified on the whole network.

    Returns:
        ``(group, rho)``; rho acts on R^d by (signed) permutation matrices, or as the candidates do.

    Raises:
        ValueError: the candidates act on another space.
        SymmetryError: the group is larger than ``limit``, or too many candidates fail.

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0, 2.0], [2.0, 1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])
        >>> group, rho = input_symmetry_group(net)
        >>> len(group), rho.matrices[1].tolist()
        (2, [[0.0, 1.0], [1.0, 0.0]])
    """
    net = expanded(as_network(network))
    if isinstance(candidates, Representation):
        return _subgroup(net, candidates, tolerance)
    if candidates not in ("permutations", "signed_permutations"):
        raise ValueError(
            "input_symmetry_group: candidates must be 'permutations', 'signed_permutations' or a "
            f"representation, not {candidates!r}."
        )
    signs = (1, -1) if candidates == "signed_permutations" else (1,)
    search = _Search(net, *_invariants(net), signs, tolerance, max_checks)
    generators, order = search.run()
    if order > limit:
        raise SymmetryError(
            f"The symmetry group has {order} elements, more than limit={limit}: the network may not read "
            "some coordinates, or only their sum. Pass the group to test as candidates."
        )
    return _listed(generators, net.input_dim)


def output_representation(
    network: NetworkLike, rho_in: Representation, *, tolerance: float = 1e-9
) -> Representation:
    """How the outputs of a network are permuted up to sign when a group acts on its input.

    Arguments:
        network: from R^d to R^out.
        rho_in: the group and its action on R^d.
        tolerance: largest difference between rows that are matched, relative to their size.

    Returns:
        The same group acting on R^out, by signed permutation matrices.

    Raises:
        ValueError: the group acts on another space.
        SymmetryError: units or outputs do not follow an element.
    """
    network = as_network(network)
    net = expanded(network)
    known = {}
    for g in rho_in.group.generators:
        action = follow(net, rho_in.matrices[g], tolerance=tolerance)
        matrix = None if action is None else _outputs(net, action, tolerance)
        if matrix is None:
            raise SymmetryError(f"Units or outputs of the network do not follow element {g}.")
        known[g] = matrix
    matrices = np.tile(np.eye(network.output_dim), (len(rho_in), 1, 1))
    reached, queue = {rho_in.group.identity}, [rho_in.group.identity]
    for h in queue:
        for g, matrix in known.items():
            gh = int(rho_in.group.table[g, h])
            if gh not in reached:
                matrices[gh] = matrix @ matrices[h]
                reached.add(gh)
                queue.append(gh)
    return Representation(rho_in.group, matrices)


def _outputs(net: Expanded, action: LayerwiseAction, tolerance: float) -> FloatArray | None:
    """The signed permutation of the outputs that an element makes, or ``None``."""
    n = net.output.shape[0]
    identity = piecewise_linear([], [1.0], [0.0])
    search = UnitSearch(net.output, identity, tolerance)
    matrix = np.zeros((n, n))
    taken: set[int] = set()
    zero = np.diff(net.output.indptr) == 0
    for i, alike in search.all_alike(action.output, np.arange(n), values=True):
        free = [m for m in alike if m.unit not in taken and abs(abs(m.scale) - 1) <= tolerance]
        if zero[i]:
            matrix[i, i] = 1.0
        elif not free:
            return None
        else:
            best = min(free, key=lambda m: (m.error > 0, m.scale < 0, m.unit != i))
            taken.add(best.unit)
            matrix[i, best.unit] = np.sign(best.scale)
    return matrix


def _follows(net: Expanded, matrix: FloatArray, tolerance: float) -> bool:
    """Whether units and outputs follow a map of the input."""
    action = follow(net, matrix, tolerance=tolerance)
    return action is not None and _outputs(net, action, tolerance) is not None


def _subgroup(net: Expanded, rho: Representation, tolerance: float) -> tuple[FiniteGroup, Representation]:
    """The elements of a group that the network follows."""
    if rho.dim != net.input_dim:
        raise ValueError(f"The candidates act on R^{rho.dim}, the network's input lies in R^{net.input_dim}.")
    kept = np.array([g for g, matrix in enumerate(rho.matrices) if _follows(net, matrix, tolerance)])
    place = np.full(len(rho), -1)
    place[kept] = np.arange(len(kept))
    table = place[rho.group.table[np.ix_(kept, kept)]]
    group = FiniteGroup(table, f"subgroup of {rho.group.name}")
    return group, Representation(group, rho.matrices[kept])


def _invariants(net: Expanded) -> tuple[FloatArray, IntArray]:
    """Sums over the first units for pairs of coordinates, ``[m, d, d]``, and their powers, ``int[m, 2]``."""
    d = net.input_dim
    parts, flips = [], False
    for layer in net.layers:
        read = members(layer.activation, layer.rows.shape[0])
        early = ~_reads_units(layer.rows, d)
        for unit in np.flatnonzero(np.append(early, True)[read].all(axis=1)).tolist():
            rows = layer.rows[read[unit][read[unit] >= 0]].toarray()[:, [*range(d), -1]]
            size = np.abs(rows).max()
            if rows[:, :-1].any() and net.representative[layer.first + unit] == layer.first + unit:
                parts.append(rows / size)
                turned = same_activation(
                    layer.activation, unit, unit, -1.0, [0], values=False, tolerance=1e-9
                )
                flips = flips or turned is not None
    if not parts:
        parts, flips = [net.output[:, [*range(d), net.output.shape[1] - 1]].toarray()], True
    K, c = np.concatenate(parts)[:, :-1], np.concatenate(parts)[:, -1]
    powers = [p for p in POWERS if not (flips and sum(p) % 2)]
    tables = [(K**a).T @ (K**b * c[:, None] ** e) for a, b, e in powers]
    sizes = [(np.abs(K) ** a).sum(axis=0).max() for a, _, _ in powers]  # entries of K and c are at most 1
    return np.array(tables) / np.array(sizes)[:, None, None], np.array([p[:2] for p in powers])


def _reads_units(rows: csr_array, d: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which rows read units, not only the input."""
    units = csr_array(rows[:, d:-1])
    return np.asarray(np.diff(units.indptr) > 0)


@dataclass(eq=False)
class _Search:
    """Backtracking over images of coordinates, one after the other."""

    net: Expanded
    tables: FloatArray
    powers: IntArray
    signs: tuple[int, ...]
    tolerance: float
    max_checks: int
    checks: int = 0
    generators: list[Signed] = field(default_factory=list)

    def run(self) -> tuple[list[Signed], int]:
        """Generators and order: the product of the orbits of each coordinate with those before it fixed."""
        d = self.net.input_dim
        orbits = []
        for k in reversed(range(d)):
            fixing = [g for g in self.generators if _fixes(g, k)]
            orbit = _orbit(k, fixing)
            for p in range(k, d):
                for s in self.signs:
                    if (p, s) not in orbit:
                        found = self._extend(k, p, s)
                        if found is not None:
                            self.generators.append(found)
                            fixing.append(found)
                            orbit = _orbit(k, fixing)
            orbits.append(len(orbit))
        return self.generators, prod(orbits)

    def _extend(self, k: int, place: int, sign: int) -> Signed | None:
        """A symmetry that fixes the coordinates before k and maps k as said, or ``None``."""
        d = self.net.input_dim
        places, signs = [*range(k)], [1] * k
        if not self._fits(places, signs, place, sign):
            return None
        places, signs = [*places, place], [*signs, sign]
        waiting = [self._images(places, signs)]
        while waiting:
            if len(places) == d and self._verified(places, signs):
                return tuple(places), tuple(signs)
            following = next(waiting[-1], None) if len(places) < d else None
            if following is not None:
                places.append(following[0])
                signs.append(following[1])
                waiting.append(self._images(list(places), list(signs)))
            else:
                waiting.pop()
                places.pop()
                signs.pop()
        return None

    def _images(self, places: list[int], signs: list[int]) -> Iterator[tuple[int, int]]:
        """Images of the next coordinate that agree with those chosen; itself first."""
        k = len(places)
        for place in sorted(set(range(self.net.input_dim)) - set(places), key=lambda p: p != k):
            for sign in self.signs:
                if self._fits(places, signs, place, sign):
                    yield place, sign

    def _fits(self, places: list[int], signs: list[int], place: int, sign: int) -> bool:
        """Whether the sums over the next coordinate and those chosen are those over their images."""
        k = len(places)
        to, by = np.array([*places, place]), np.array([*signs, sign], dtype=float)
        a, b = self.powers[:, :1], self.powers[:, 1:]
        first = self.tables[:, place, to] * float(sign) ** a * by**b
        second = self.tables[:, to, place] * by**a * float(sign) ** b
        off = np.abs(first - self.tables[:, k, : k + 1]), np.abs(second - self.tables[:, : k + 1, k])
        return bool(max(off[0].max(), off[1].max()) <= 1e-6 + self.tolerance)

    def _verified(self, places: list[int], signs: list[int]) -> bool:
        """Whether the whole network follows."""
        self.checks += 1
        if self.checks > self.max_checks:
            raise SymmetryError(
                f"More than max_checks={self.max_checks} candidates agree with the first layer and had to be "
                "verified on the whole network. Pass the group to test as candidates."
            )
        return _follows(self.net, _matrix((tuple(places), tuple(signs))), self.tolerance)


def _fixes(g: Signed, k: int) -> bool:
    """Whether a signed permutation fixes the first k coordinates."""
    return g[0][:k] == tuple(range(k)) and g[1][:k] == (1,) * k


def _orbit(k: int, generators: list[Signed]) -> set[tuple[int, int]]:
    """The images of coordinate k, with signs."""
    orbit, queue = {(k, 1)}, [(k, 1)]
    for place, sign in queue:
        for places, signs in generators:
            image = places[place], sign * signs[place]
            if image not in orbit:
                orbit.add(image)
                queue.append(image)
    return orbit


def _matrix(g: Signed) -> FloatArray:
    """The matrix that maps coordinate i to ``signs[i]`` times coordinate ``places[i]``."""
    places, signs = g
    M = np.zeros((len(places), len(places)))
    M[list(places), range(len(places))] = signs
    return M


def _listed(generators: list[Signed], d: int) -> tuple[FiniteGroup, Representation]:
    """The group that signed permutations generate, and its matrices."""
    if not generators:
        return cyclic(1), trivial(cyclic(1), d)
    identity: Signed = (tuple(range(d)), (1,) * d)
    elements, number = [identity], {identity: 0}
    for g in elements:
        for h in generators:
            gh = _product(h, g)
            if gh not in number:
                number[gh] = len(elements)
                elements.append(gh)
    table = np.array([[number[_product(g, h)] for h in elements] for g in elements])
    group = FiniteGroup(table, "symmetry group")
    return group, Representation(group, np.array([_matrix(g) for g in elements]))


def _product(g: Signed, h: Signed) -> Signed:
    """First h, then g."""
    return (
        tuple(g[0][p] for p in h[0]),
        tuple(s * g[1][p] for p, s in zip(h[0], h[1], strict=True)),
    )

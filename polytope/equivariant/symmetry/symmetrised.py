r"""The exactly symmetric network next to one that is symmetric but for rounding.

Where a unit i at :math:`\rho(g) x` is a unit j at x, up to sign, and what it reads does the same, the weight
from a to i is tied to the one from the place that a follows to j. Weights that are tied to each other, by all
elements of the group, are replaced by their mean, rounded once: one number, up to sign, in all their places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from polytope.bounds.differences import bounds_of_difference
from polytope.equivariant.groups.representations import Representation
from polytope.equivariant.symmetry.defect import require_fit
from polytope.equivariant.symmetry.expanded import expanded
from polytope.equivariant.symmetry.layerwise import LayerwiseAction, follow
from polytope.equivariant.symmetry.unit_action import unit_action
from polytope.errors import SymmetryError, UnboundedDomainError
from polytope.geometry.polyhedron import Polyhedron
from polytope.given import DomainLike, NetworkLike, as_domain, as_network
from polytope.ir import Dense, Layer, Network
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.oneline import one_line
from polytope.ir.same_activation import members

NEAR = 1e-6  # how far from 1 a factor between units may be, or the tolerance: ties are proved in any case
Signed = tuple[IntArray, IntArray, FloatArray]  # value i at rho(g) x is sign times value j at x
NO_TIES: Signed = (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0))
ONE: Signed = (np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64), np.ones(1))


@dataclass(frozen=True, eq=False)
class Symmetrised:
    """A network that follows a group exactly, and how far it is from the given one.

    Arguments:
        network: the symmetric network, of the given one's architecture.
        difference: ``[out]``, for each output a **bound** on how far both are apart on the domain.
    """

    network: Network
    difference: FloatArray

    __repr__ = one_line


def symmetrised(
    network: NetworkLike,
    rho: Representation,
    domain: DomainLike,
    *,
    rho_out: Representation | None = None,
    tolerance: float = 1e-9,
) -> Symmetrised:
    """The network with weights tied by a group, which its units follow but for rounding, and a bound.

    Regions and orbits of the result can be counted exactly up to symmetry. The result is **exact** in that
    its units are proved to follow the group in rational arithmetic.

    Arguments:
        network: every unit follows a unit up to sign and to the tolerance; only the last layer may be affine.
        rho: the group's action on the input, by signed permutations.
        domain: bounded; the bound on the difference holds there.
        rho_out: the action on the outputs, by signed permutations: they are tied too. ``None`` leaves the
            weights of an affine last layer as they are.
        tolerance: largest difference between rows of units that follow each other, relative to their size.

    Returns:
        The tied network and the bound.

    Raises:
        ValueError: dimensions differ, matrices are no signed permutations, or a layer between is affine.
        SymmetryError: an element does not permute the units up to sign.
        UnboundedDomainError: the domain is unbounded.

    Example:
        >>> import polytope as pt
        >>> from polytope.equivariant import cyclic, permutation, symmetrised
        >>> swap = permutation(cyclic(2), [[0, 1], [1, 0]])
        >>> net = pt.mlp([([[1.0, 0.25], [0.25, 1.0 + 2**-52]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])
        >>> found = symmetrised(net, swap, pt.Polyhedron.box([-1, -1], [1, 1]))
        >>> bool(0 < found.difference[0] < 1e-15), found.network.layers[0].maps[0].to_sparse().toarray()[1, 1]
        (True, np.float64(1.0))
    """
    network = as_network(network)
    domain = as_domain(domain, network.input_dim)
    _require_fit(network, rho, domain, rho_out)
    actions = _actions(network, rho, rho_out, tolerance)
    tied = replace(network, layers=tuple(_tied(layer, n, actions) for n, layer in enumerate(network.layers)))
    if not unit_action(tied, rho, tolerance=tolerance).exact:
        raise SymmetryError(
            "The tied weights are not proved to follow the group: units follow it in two ways."
        )
    off = bounds_of_difference(network, tied, domain.bounds)
    return Symmetrised(tied, np.abs(off).max(axis=0))


def _require_fit(
    network: Network, rho: Representation, domain: Polyhedron, rho_out: Representation | None
) -> None:
    """Refuse what cannot be tied."""
    if rho.dim != network.input_dim:
        raise ValueError(
            f"symmetrised: the group acts on R^{rho.dim}, the network's input is R^{network.input_dim}."
        )
    if rho_out is not None:
        require_fit(network, rho, rho_out)
    if not rho.is_signed_permutation or not (rho_out is None or rho_out.is_signed_permutation):
        raise ValueError("symmetrised: weights can be tied by signed permutations only; others round them.")
    if any(layer.activation is None for layer in network.layers[:-1]):
        raise ValueError("symmetrised: only the last layer of the network may be affine.")
    if not domain.is_bounded:
        raise UnboundedDomainError("symmetrised: networks may differ by any amount on an unbounded domain.")


@dataclass(frozen=True, eq=False)
class _Action:
    """What one element does: to the input and the values of all layers, and to their pre-activations."""

    values: tuple[Signed, ...]
    rows: tuple[Signed, ...]


def _actions(
    network: Network, rho: Representation, rho_out: Representation | None, tolerance: float
) -> list[_Action]:
    """What generators do."""
    net, found = expanded(network), []
    for g in rho.group.generators:
        action = follow(net, rho.matrices[g], tolerance=tolerance)
        if action is None:
            raise SymmetryError(f"symmetrised: element {g} does not permute the units, even up to rounding.")
        values, rows = [_of_matrix(rho.matrices[g])], []
        for number, layer in enumerate(network.layers):
            if layer.activation is None:
                rows.append(NO_TIES if rho_out is None else _of_matrix(rho_out.matrices[g]))
                continue
            rows.append(_of_preactivations(network, number, action))
            values.append(_of_units(network, number, g, action, max(NEAR, tolerance)))
        found.append(_Action(tuple(values), tuple(rows)))
    return found


def _of_matrix(matrix: FloatArray) -> Signed:
    """A signed permutation."""
    i, j = np.nonzero(matrix)
    return i, j, matrix[i, j]


def _of_units(network: Network, number: int, g: int, action: LayerwiseAction, near: float) -> Signed:
    """What an element does to the units of a layer."""
    first, last = network.unit_offsets[number : number + 2]
    source, scale = action.source[first:last] - first, action.scale[first:last]
    sign = np.sign(scale)
    if not np.array_equal(np.sort(source), np.arange(len(source))) or (np.abs(scale - sign) > near).any():
        raise SymmetryError(f"symmetrised: element {g} does not permute the units of a layer up to signs.")
    return np.arange(len(source)), source, sign


def _of_preactivations(network: Network, number: int, action: LayerwiseAction) -> Signed:
    """What an element does to the pre-activations of a layer: to all those that a unit reads."""
    layer, first = network.layers[number], int(network.unit_offsets[number])
    assert layer.activation is not None, "units have an activation"
    read = members(layer.activation, len(layer.bias))
    ties: list[tuple[int, int, float]] = []
    for unit, group in enumerate(read):
        pieces, other = action.pieces[first + unit], read[action.source[first + unit] - first]
        if len(group) == 1:
            turned = layer.activation.n_pieces(unit) > 1 and pieces[0] > pieces[1]
            ties.append((int(group[0]), int(other[0]), -1.0 if turned else 1.0))
        else:
            ties += [(int(group[pieces[p]]), int(j), 1.0) for p, j in enumerate(other) if j >= 0]
    i, j, sign = (np.array(part) for part in zip(*ties, strict=True))
    return i, j, sign


def _tied(layer: Layer, number: int, actions: Sequence[_Action]) -> Layer:
    """A layer with its weights tied."""
    maps = tuple(
        Dense(_means(linear.to_sparse().toarray(), [(a.rows[number], a.values[k]) for a in actions]))
        for linear, k in zip(layer.maps, layer.inputs, strict=True)
    )
    bias = _means(layer.bias[:, None], [(a.rows[number], ONE) for a in actions])[:, 0]
    return replace(layer, maps=maps, bias=bias)


def _means(W: FloatArray, ties: Sequence[tuple[Signed, Signed]]) -> FloatArray:
    """A matrix whose entry (i, a) is, up to their signs, (j, b) for rows i, j and columns a, b that are tied.

    A component of the graph of ties holds entries or their negatives; its mirror image the others. An entry
    that is tied to its own negative is 0.
    """
    n, one, other = W.size, [np.zeros(0, int)], [np.zeros(0, int)]
    for (i, j, s), (a, b, t) in ties:
        left, right = ((r[:, None] * W.shape[1] + c).ravel() for r, c in ((i, a), (j, b)))
        turned = n * (np.multiply.outer(s, t).ravel() < 0)
        one += [left, left + n]
        other += [right + turned, right + n - turned]
    edges = np.concatenate(one), np.concatenate(other)
    graph = csr_array((np.ones(len(edges[0]), dtype=bool), edges), shape=(2 * n, 2 * n))
    _, label = connected_components(graph, directed=False)
    entries = np.concatenate([W.ravel(), -W.ravel()])
    _, first = np.unique(label, return_index=True)
    mean, alike = np.bincount(label, entries) / np.bincount(label), entries[first]
    mean = np.where(np.bincount(label, entries != alike[label]) == 0, alike, mean)
    plain, mirror = label[:n], label[n:]
    found = np.where(plain < mirror, mean[plain], -mean[mirror])
    return np.where(plain == mirror, 0.0, found).reshape(W.shape)

"""What a group does to the units of a network, and to patterns."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from polytope.equivariant.groups.representations import Representation
from polytope.equivariant.symmetry.expanded import expanded
from polytope.equivariant.symmetry.layerwise import LayerwiseAction, follow
from polytope.errors import SymmetryError
from polytope.exact.cells import ExactCells
from polytope.ir import Network
from polytope.ir.activations import PatternArray
from polytope.ir.maps import IntArray
from polytope.ir.same_activation import members


@dataclass(frozen=True, eq=False)
class UnitAction:
    """The units of a network permuted by a group.

    Arguments:
        network: the network.
        source: ``int[G, U]``, the unit at x that unit i at rho(g) x follows.
        pieces: ``int8[G, U, p]``, the piece that it is on, for each piece of its source.
        error: largest difference between rows that were matched, relative to their size.
        exact: whether the symmetry is proved in exact arithmetic.
    """

    network: Network
    source: IntArray
    pieces: PatternArray
    error: float
    exact: bool

    def move(self, g: int, patterns: PatternArray) -> PatternArray:
        """The patterns of the regions g R for patterns of regions R, ``int8[R, U]``."""
        units = np.arange(self.source.shape[1])
        moved: PatternArray = self.pieces[g][units, patterns[:, self.source[g]]]
        turned = units[(self.pieces[g] != np.arange(self.pieces.shape[2])).any(axis=1)]
        return settle_ties(self.network, moved, turned) if len(turned) else moved


def unit_action(network: Network, rho: Representation, *, tolerance: float = 1e-9) -> UnitAction:
    """How a group permutes the units of a network, as far as the regions depend on them.

    Raises:
        ValueError: the group acts on another space than the network's input.
        SymmetryError: an element does not permute the units.
    """
    if rho.dim != network.input_dim:
        raise ValueError(f"The group acts on R^{rho.dim}, the network's input lies in R^{network.input_dim}.")
    net = expanded(network, all_values=False)
    known: dict[int, LayerwiseAction] = {}
    for g in rho.group.generators:
        found = follow(net, rho.matrices[g], tolerance=tolerance)
        if found is None:
            raise SymmetryError(
                f"Element {g} does not permute the units of the network layer by layer: its regions cannot "
                "be counted up to symmetry. certify_equivariance tells whether the function is symmetric; if "
                "so, pieces_up_to_symmetry counts its affine pieces."
            )
        known[g] = found
    return _closed(network, net.most_pieces, rho, known)


def _closed(
    network: Network, most_pieces: int, rho: Representation, known: dict[int, LayerwiseAction]
) -> UnitAction:
    """The action of all elements from that of generators."""
    source = np.tile(np.arange(network.n_units), (len(rho), 1))
    pieces = np.tile(np.arange(most_pieces, dtype=np.int8), (len(rho), network.n_units, 1))
    reached, queue = {rho.group.identity}, [rho.group.identity]
    for h in queue:
        for g, action in known.items():
            gh = int(rho.group.table[g, h])
            if gh not in reached:
                source[gh] = source[h][action.source]
                inner = pieces[h][action.source]
                pieces[gh] = np.take_along_axis(action.pieces, inner.astype(np.int64), axis=1)
                reached.add(gh)
                queue.append(gh)
    error = max([0.0, *(action.error for action in known.values())])
    return UnitAction(network, source, pieces, error, all(action.exact for action in known.values()))


def settle_ties(network: Network, patterns: PatternArray, units: IntArray) -> PatternArray:
    """Patterns in which units on a breakpoint all over a region own the piece that the convention says.

    A unit whose pieces a symmetry exchanges may be constant, or tie with another member of its group, on a
    whole region; the piece that counts there is then not the image of the piece before.

    Arguments:
        patterns: ``int8[R, U]``.
        units: ``int[n]``, the units to look at.
    """
    settled = patterns.copy()
    cells = ExactCells(network, np.zeros((0, network.input_dim)), np.zeros(0))
    for row in settled:
        for number, layer in enumerate(network.layers, start=1):
            first, last = network.unit_offsets[number - 1 : number + 1]
            for unit in units[(units >= first) & (units < last)].tolist():
                assert layer.activation is not None, "units have an activation"
                read = members(layer.activation, len(layer.bias))[unit - first]
                z = cells.preactivations(number, row)
                maps = z.integers[read[read >= 0]]
                if len(maps) > 1:
                    row[unit] = (maps == maps[row[unit]]).all(axis=1).argmax()
                elif not maps[0, :-1].any():
                    value = float(Fraction(maps[0, -1], 1 << z.exponent))
                    small, _ = layer.activation.restricted(np.array([unit - first]))
                    row[unit] = small.pattern(np.array([[value]]))[0, 0]
    return settled

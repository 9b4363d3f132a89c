r"""What a stopped search leaves: the open cells, and the most regions that they can still hold.

The bound of a node is the least of what it could hold when it was split, less what was found in it since, and
of what its parts can hold. So it never grows while the search goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from polytope.ir.network import Network
from polytope.regions import kernels_layer as layout
from polytope.regions.ceiling import Ceiling
from polytope.regions.flat_network import UNIT_MAX, UNIT_PIECES, FlatNetwork, used_layers
from polytope.regions.found import Path
from polytope.regions.kernels_handle import Handle

KIND, NEXT, NUMBER, FOUND = range(layout.N_NODE, layout.N_NODE + 4)  # of a frame


@dataclass(frozen=True, eq=False)
class Bounds:
    """How many regions the nodes of one search can hold; nothing is computed until it is asked for."""

    network: Network
    net: FlatNetwork

    @cached_property
    def ceiling(self) -> Ceiling:
        """The bounds for cells."""
        return Ceiling(self.network, self.network.input_dim)

    @cached_property
    def numbers(self) -> list[int]:
        """The network's layers that the search splits by."""
        return used_layers(self.network)

    def node(self, layer: int, bends: int) -> int:
        """A cell of a layer (0: the domain's rows) in which so many bends are open."""
        return self.ceiling.whole if layer == 0 else self.ceiling.cell(self.numbers[layer - 1], bends)

    def bends(self, u: int, lo: int, hi: int) -> int:
        """The boundaries of unit u between its pieces lo and hi; all those of a group."""
        n = int(self.net.n_seg[u])
        return {UNIT_PIECES: hi - lo, UNIT_MAX: n * (n - 1) // 2}.get(int(self.net.kind[u]), 0)

    def listed(self, w: Handle, at: int, n: int) -> int:
        """The boundaries of the units in a list."""
        items = w.lists[at : at + 2 * n].reshape(-1, 2).tolist()
        return sum(self.bends(u, item & 0xFFFFF, item >> 20 & 0xFFFFF) for u, item in items)


def open_cells(w: Handle, bounds: Bounds, *, current: bool) -> tuple[list[tuple[Path, int]], int]:
    """The nodes still to do, as steps from the root in the order of the search, each with its bound.

    And the bound for all of them, which may be smaller than the sum.

    Arguments:
        current: whether the present node is one of them.
    """
    R = w.R
    prefix = tuple(w.path[: R[layout.PLEN]].tolist())
    depth = int(R[layout.DEPTH])
    taken = tuple(((w.frames[:depth, layout.PU] << layout.UNIT) + w.frames[:depth, NEXT] - 1).tolist())
    nodes = [(prefix + taken, present_bound(w, bounds))] if current else []
    most = sum(bound for _, bound in nodes)
    for f in range(depth - 1, -1, -1):
        frame = w.frames[f]
        rest = bounds.listed(w, int(frame[layout.LOFF]), int(frame[layout.LLEN]))
        u, lo, hi = (int(frame[i]) for i in (layout.PU, layout.LO, layout.HI))
        layer, split = int(frame[layout.LAYER]), int(frame[layout.OPP])
        for c in range(int(frame[NEXT]), int(frame[NUMBER])):
            of_unit = bounds.bends(u, *((lo, split) if c == 0 else (split + 1, hi)))
            bound = bounds.node(layer, rest + of_unit)
            nodes.append(((*prefix, *taken[:f], (u << layout.UNIT) + c), bound))
            most += bound
        since = int(R[layout.COUNT] - frame[FOUND])
        most = min(most, bounds.node(layer, rest + bounds.bends(u, lo, hi)) - since)
    return nodes, most


def present_bound(w: Handle, bounds: Bounds) -> int:
    """The most regions in the present node, in which the retained units and those not yet met are open."""
    R = w.R
    bends = bounds.listed(w, int(R[layout.NOFF]), int(R[layout.NLEN]))
    at, left = int(R[layout.LOFF] + 2 * R[layout.POS]), int(R[layout.LLEN] - R[layout.POS])
    bends += bounds.listed(w, at, left)
    if R[layout.PU] >= 0:
        bends += bounds.bends(int(R[layout.PU]), int(R[layout.LO]), int(R[layout.HI]))
    return bounds.node(int(R[layout.LAYER]), bends)

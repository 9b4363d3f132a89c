r"""What a stopped search leaves: the open cells, and the most regions that they can still hold.

The bound of a node is the least of what it could hold when it was split, less what was found in it since, and
of what its parts can hold. So it never grows while the search goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from polytope.ir.maps import IntArray
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
        units, items = w.lists[at : at + 2 * n].reshape(-1, 2).T
        kind, members = self.net.kind[units], self.net.n_seg[units].astype(np.int64)
        pieces = (items >> 20 & 0xFFFFF) - (items & 0xFFFFF)
        pairs = members * (members - 1) // 2
        return int(np.where(kind == UNIT_PIECES, pieces, np.where(kind == UNIT_MAX, pairs, 0)).sum())


def open_cells(w: Handle, bounds: Bounds, *, current: bool) -> tuple[list[tuple[Path, int]], int]:
    """The nodes still to do, as steps from the root in the order of the search, each with its bound.

    And the bound for all of them, which may be smaller than the sum.

    Arguments:
        current: whether the present node is one of them.
    """
    prefix, taken = _prefix(w), _taken(w)
    nodes = []
    if current:
        path, cell = present(w, bounds)
        nodes = [(path, bounds.node(*cell))]
    most = sum(bound for _, bound in nodes)
    for f in range(len(taken) - 1, -1, -1):
        frame = w.frames[f]
        unit = int(frame[layout.PU]) << layout.UNIT
        for c in range(int(frame[NEXT]), int(frame[NUMBER])):
            bound = bounds.node(*_branch(frame, c, w, bounds))
            nodes.append(((*prefix, *taken[:f], unit + c), bound))
            most += bound
        since = int(w.R[layout.COUNT] - frame[FOUND])
        most = min(most, bounds.node(*_branch(frame, None, w, bounds)) - since)
    return nodes, most


def given_away(w: Handle, bounds: Bounds) -> tuple[Path, tuple[int, int]] | None:
    """The last branch of the node highest up that has one left, no more to be done here; layer and bends."""
    for f, frame in enumerate(w.frames[: w.R[layout.DEPTH]]):
        if frame[NEXT] < frame[NUMBER]:
            frame[NUMBER] -= 1
            c = int(frame[NUMBER])
            path = (*_prefix(w), *_taken(w)[:f], (int(frame[layout.PU]) << layout.UNIT) + c)
            return path, _branch(frame, c, w, bounds)
    return None


def _branch(frame: IntArray, c: int | None, w: Handle, bounds: Bounds) -> tuple[int, int]:
    """Layer and open bends of a branch of a node that was split; of the whole node."""
    u, lo, hi, split = (int(frame[i]) for i in (layout.PU, layout.LO, layout.HI, layout.OPP))
    ends = (lo, hi) if c is None else (lo, split) if c == 0 else (split + 1, hi)
    rest = bounds.listed(w, int(frame[layout.LOFF]), int(frame[layout.LLEN]))
    return int(frame[layout.LAYER]), rest + bounds.bends(u, *ends)


def present(w: Handle, bounds: Bounds) -> tuple[Path, tuple[int, int]]:
    """The present node, and its layer and bends that are open: those retained and those not yet met."""
    R = w.R
    bends = bounds.listed(w, int(R[layout.NOFF]), int(R[layout.NLEN]))
    at, left = int(R[layout.LOFF] + 2 * R[layout.POS]), int(R[layout.LLEN] - R[layout.POS])
    bends += bounds.listed(w, at, left)
    if R[layout.PU] >= 0:
        bends += bounds.bends(int(R[layout.PU]), int(R[layout.LO]), int(R[layout.HI]))
    return _prefix(w) + _taken(w), (int(R[layout.LAYER]), bends)


def _prefix(w: Handle) -> Path:
    """The path that the search was given to begin with."""
    return tuple(w.path[: w.R[layout.PLEN]].tolist())


def _taken(w: Handle) -> Path:
    """The branches taken since, one for each frame."""
    frames = w.frames[: w.R[layout.DEPTH]]
    return tuple(((frames[:, layout.PU] << layout.UNIT) + frames[:, NEXT] - 1).tolist())

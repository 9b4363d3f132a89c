r"""What a stopped search leaves: the open cells, and the most regions that they can still hold.

The bound of a node is the least of what it could hold when it was split, less what was found in it since, and
of what its parts can hold. So it never grows while the search goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from polytope.core.ceiling import Ceiling
from polytope.core.flat_network import used_layers
from polytope.ir.network import Network

Path = tuple[int, ...]  # steps from the root of a search: units that were split, and branches taken


class ForeignBranchError(ValueError):
    """A branch to start from is not one of this network on this domain."""

    def __init__(
        self, said: str = "A branch to start from is not one of this network on this domain."
    ) -> None:
        super().__init__(said)


@dataclass(frozen=True, eq=False)
class Bounds:
    """How many regions the nodes of one search can hold; nothing is computed until it is asked for."""

    network: Network

    @cached_property
    def ceiling(self) -> Ceiling:
        """The bounds for cells."""
        return Ceiling(self.network, self.network.input_dim)

    @cached_property
    def numbers(self) -> list[int]:
        """The network's layers that the search splits by."""
        return used_layers(self.network)

    def node(self, layer: int, crossings: int) -> int:
        """A cell of a layer (0 and less: the domain's rows) that so many breakpoints can still cut."""
        return self.ceiling.whole if layer <= 0 else self.ceiling.cell(self.numbers[layer - 1], crossings)


class Open(NamedTuple):
    """The cells that a search left, in its order, each with its bound, and the bound for all of them."""

    cells: tuple[Path, ...]
    bounds: tuple[int, ...]
    bound: int


def open_cells(raw: Mapping[str, Any], bounds: Bounds) -> Open:
    """What is open after a search.

    Arguments:
        raw: what the core returned: ``done`` holds, for each branch that was begun, layer and crossings of
            its cell, the regions found in it, and what it left: cells not entered (layer, crossings), and
            behind the cells of each split the same of the whole node with the number of regions found in it;
            ``untouched`` the branches that were not begun.
    """
    cells: list[Path] = []
    each: list[int] = []
    total = 0
    for layer, crossings, regions, left in raw["done"]:
        most = 0
        for whole, path, at, open_crossings, found in left:
            bound = bounds.node(at, open_crossings)
            if whole:
                most = min(most, bound - found)
                continue
            cells.append(path)
            each.append(bound)
            most += bound
        if left:
            total += min(most, bounds.node(layer, crossings) - regions)
    for path, layer, crossings in raw["untouched"]:
        cells.append(path)
        each.append(bounds.node(layer, crossings))
        total += each[-1]
    if cells:
        total = min(total, bounds.ceiling.whole - raw["regions"])
    return Open(tuple(cells), tuple(each), total)

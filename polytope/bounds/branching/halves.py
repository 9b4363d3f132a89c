"""The units of the halves of nodes: those of the nodes, but for the unit that is split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

import torch
from torch import Tensor

from polytope.bounds.branching.nodes import Nodes, Units, finite
from polytope.bounds.branching.relaxed import Lines, Tables, lines_around, piece_of


def told_units(tables: Tables, ends: Tensor, low: Tensor, high: Tensor, first: Tensor, last: Tensor) -> Units:
    """Ends and pieces of the units of a layer, from what bounds and splits say.

    Arguments:
        tables: breakpoints, slopes and intercepts.
        ends: ``[1 or n, k + 2]``, the breakpoints between minus and plus infinity.
        low, high: ``[1, n]``, bounds of the pre-activations.
        first, last: ``int[N, n]``, the pieces that splits leave.
    """
    most, table = ends.shape[1] - 1, ends.expand(first.shape[1], -1).T
    floor, ceiling = table.gather(0, first.clamp_max(most)), table.gather(0, (last + 1).clamp_max(most))
    low, high = torch.maximum(low, floor), torch.minimum(high, ceiling)
    first = torch.maximum(first, piece_of(tables[0], low))
    last = torch.maximum(torch.minimum(last, piece_of(tables[0], high)), first)
    return Units(tables, low, high, first, last, finite(floor), finite(ceiling))


def lines_of(units: Units) -> Lines:
    """Lines around them."""
    return lines_around(units.tables, units.low, units.high, units.first, units.last)


def of_halves(
    units: Units,
    children: Nodes,
    place: Tensor,
    number: Tensor,
    ends: Tensor,
    bounds: tuple[Tensor, Tensor],
) -> tuple[Units, Lines]:
    """The units of a layer in the halves of nodes, and lines around them.

    Arguments:
        units: of the layer in the N nodes.
        children: the halves, ``c N`` of them, where those of one node stand together, in two blocks.
        place: ``int[c N]``, which of the layer's units was split; -1 where it was another layer's.
        number: ``int[c N]``, its number among all.
        ends, bounds: as of ``told_units``, for all units of the layer.
    """
    count = len(units.low)
    tried = len(place) // (2 * count)
    from_node = torch.arange(count, device=place.device).repeat_interleave(tried).repeat(2)
    rows = torch.nonzero(place >= 0)[:, 0]
    at = place[rows]
    first, last = (pieces[rows, number[rows]].long()[None] for pieces in (children.first, children.last))
    t, s, c = (_rows(table, at) for table in units.tables)
    alone = told_units((t, s, c), _rows(ends, at), bounds[0][:, at], bounds[1][:, at], first, last)
    names = [f.name for f in fields(Units)[1:]]
    whole = [getattr(units, name)[from_node] for name in names]
    _put(whole, [getattr(alone, name) for name in names], rows, at)
    lines = lines_of(units).parts()
    spread = [part[from_node] for part in lines]
    _put(spread, lines_of(alone).parts(), rows, at)
    return replace(units, **dict(zip(names, whole, strict=True))), Lines.joined(spread)


def _rows(table: Tensor, at: Tensor) -> Tensor:
    return table[at] if len(table) > 1 else table


def _put(whole: Sequence[Tensor], few: Sequence[Tensor], rows: Tensor, at: Tensor) -> None:
    """Write the entries of the units that were split."""
    for big, small in zip(whole, few, strict=True):
        big[rows, at] = small[0].to(big.dtype)

"""Parts of a search by branch and bound, as rows of tensors."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from polytope.bounds.branching.relaxed import Tables
from polytope.ir.maxima import Unrolled


@dataclass(eq=False)
class Nodes:
    """Parts of the search, one row each.

    Arguments:
        bound: ``[N]``, no input of the node at which its output is not positive is nearer.
        output: ``int[N]``.
        first, last: ``int8[N, units]``, the pieces that each unit may be on.
        share: ``[N, units]``, of free slopes; negative where it is not known yet.
        push: ``[N, 2, units]``, multipliers.
        unit, piece: ``int[N, k]``, what to split next, the first the most promising: the unit, up to this
            piece or from the next one on; -1 where there is none: every unit is on one piece.
        slope: ``[N, d]``, of the affine function below the output, rounded.
    """

    bound: Tensor
    output: Tensor
    first: Tensor
    last: Tensor
    share: Tensor
    push: Tensor
    unit: Tensor
    piece: Tensor
    slope: Tensor

    def take(self, which: Tensor | slice) -> Nodes:
        """Some of the nodes."""
        return Nodes(**{f.name: getattr(self, f.name)[which] for f in fields(self)})

    def plus(self, other: Nodes) -> Nodes:
        """The nodes of both."""
        return Nodes(
            **{f.name: torch.cat([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)}
        )

    def __len__(self) -> int:
        return len(self.bound)


@dataclass(frozen=True, eq=False)
class Units:
    """The units of a layer in nodes, ``[N, n]`` each: ends, pieces, and what splits say, or 0."""

    tables: Tables
    low: Tensor
    high: Tensor
    first: Tensor
    last: Tensor
    floor: Tensor
    ceiling: Tensor

    def take(self, which: Tensor) -> Units:
        """Those of some of the nodes."""
        numbers = (getattr(self, f.name)[which] for f in fields(self)[1:])
        return Units(self.tables, *numbers)


def finite(t: Tensor) -> Tensor:
    """The numbers, 0 in the place of those that are infinite."""
    return torch.where(t.isfinite(), t, 0.0)


def wanted(trees: Unrolled, first: Tensor, last: Tensor) -> Tensor:
    """Which units are not known to decide among the losers of a group, ``bool[N, units]``.

    Arguments:
        trees: how the groups were unrolled.
        first, last: ``int[N, units]``, the pieces that units may be on.
    """
    out = torch.ones(first.shape, dtype=torch.bool, device=first.device)
    for rounds in trees.rounds:
        asked = out.new_ones(len(out), len(rounds[0]) if rounds else 0, 1)
        for numbers in reversed(rounds or ()):
            units = torch.from_numpy(numbers).to(first.device)
            there = units >= 0
            out[:, units[there]] = asked[:, there]
            pieces = first[:, units.clamp_min(0)], last[:, units.clamp_min(0)]
            one, other = asked & ~(there & (pieces[0] > 0)), asked & ~(there & (pieces[1] < 1))
            asked = torch.stack([one, other], -1).flatten(2)
    return out

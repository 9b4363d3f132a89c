"""Units that are the largest of several pre-activations: max pooling, maxout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polytope.ir.components import connected_components
from polytope.ir.maps import FloatArray, IntArray
from polytope.ir.oneline import one_line
from polytope.ir.pieces import (
    Activation,
    Enclosure,
    PatternArray,
    PieceCell,
    PieceMaps,
    SlopeRanges,
    unit_index,
)


@dataclass(frozen=True, eq=False)
class MaxGroups(Activation):
    """Each unit the largest of a group of pre-activations; the piece is the winner's place in the group.

    Arguments:
        members: ``int[groups, size]``, indices of pre-activations; -1 fills shorter groups at the end.
    """

    members: IntArray

    __repr__ = one_line

    def __post_init__(self) -> None:
        m = self.members
        if m.ndim != 2 or not m.size or (m[:, 0] < 0).any():
            raise ValueError("MaxGroups: every group needs a member, in the first place of its row.")
        if m.shape[1] > 127:
            raise ValueError(f"MaxGroups: groups of {m.shape[1]} are larger than the limit of 127.")
        if ((m[:, 1:] >= 0) & (m[:, :-1] < 0)).any():
            raise ValueError("MaxGroups: -1 may only fill the end of a row.")

    def n_units(self, n: int) -> int:
        """One for each group."""
        return len(self.members)

    def n_hyperplanes(self, n: int) -> int:
        """One for each pair of members of each group."""
        size = (self.members >= 0).sum(axis=1)
        return int((size * (size - 1) // 2).sum())

    def n_pieces(self, unit: int) -> int:
        """The size of the group."""
        return int((self.members[unit] >= 0).sum())

    def _gathered(self, z: FloatArray, place: int) -> FloatArray:
        member = self.members[:, place]
        return np.where((member >= 0)[:, None], z[member], -np.inf)

    def pattern(self, z: FloatArray) -> PatternArray:
        """The first place where the largest value stands."""
        best = self._gathered(z, 0)
        winner = np.zeros(best.shape, dtype=np.int8)
        for place in range(1, self.members.shape[1]):
            other = self._gathered(z, place)
            winner[other > best] = place
            best = np.maximum(best, other)
        return winner

    def values(self, z: FloatArray) -> FloatArray:
        """The largest value of each group."""
        best = self._gathered(z, 0)
        for place in range(1, self.members.shape[1]):
            best = np.maximum(best, self._gathered(z, place))
        return best

    def affine(self, pattern: PatternArray) -> PieceMaps:
        """Each unit copies its winner."""
        source = self.members[unit_index(pattern), pattern]
        return PieceMaps(source, np.ones(pattern.shape), np.zeros(pattern.shape))

    def slope_ranges(self, low: FloatArray, high: FloatArray) -> SlopeRanges:
        """0 to 1 for members that may win, 1 for one that always does."""
        there = self.members.T >= 0
        ends = np.where(there, np.stack([low[self.members.T], high[self.members.T]]), -np.inf)
        may_win = there & (ends[1] >= ends[0].max(axis=0))
        alone = may_win & (may_win.sum(axis=0) == 1)
        return SlopeRanges(np.maximum(self.members.T, 0), alone.astype(float), may_win.astype(float))

    def value_ranges(self, low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The largest of the least values, and of the greatest."""
        least, greatest = np.where(
            self.members >= 0, np.stack([low[self.members], high[self.members]]), -np.inf
        )
        return least.max(axis=1), greatest.max(axis=1)

    def enclosure(self, low: FloatArray, high: FloatArray) -> Enclosure:
        """At least the member that is surely large, and above it by no more than others can be."""
        ends = np.where(self.members >= 0, np.stack([low[self.members], high[self.members]]), -np.inf)
        place = ends[0].argmax(axis=1)
        source = np.take_along_axis(self.members, place[:, None], axis=1)[:, 0]
        others = ends[1].copy()
        np.put_along_axis(others, place[:, None], -np.inf, axis=1)
        most = others.max(axis=1)
        with np.errstate(all="ignore"):
            above = np.where(most > low[source], np.nextafter(most - low[source], np.inf), 0.0)
        return Enclosure(source, np.ones(len(source)), np.zeros(len(source)), above)

    def cell(self, unit: int, piece: int) -> PieceCell:
        """No other member is larger; members in front are smaller."""
        group = self.members[unit]
        group = group[group >= 0]
        others = np.delete(np.arange(len(group)), piece)
        index = np.stack([group[others], np.full(len(others), group[piece])], axis=1)
        return PieceCell(
            index=index.astype(np.int64),
            coefficients=np.tile([1.0, -1.0], (len(others), 1)),
            offset=np.zeros(len(others)),
            strict=others < piece,
        )

    def beyond(self, unit: int, piece: int, level: NDArray[Any], rise: NDArray[Any], scale: int) -> int:
        """The first of those that rise most among the members equal to the winner on the hyperplane."""
        group = self.members[unit].tolist()
        tied = [p for p, m in enumerate(group) if m >= 0 and (level[m] == level[group[piece]]).all()]
        return max(tied, key=lambda p: rise[group[p]])

    def restricted(self, units: IntArray) -> tuple[MaxGroups, IntArray]:
        """Some groups, of the pre-activations that they hold."""
        groups = self.members[units]
        held = np.unique(groups[groups >= 0])
        return MaxGroups(np.where(groups >= 0, np.searchsorted(held, groups), -1)), held

    def scale_classes(self, n: int) -> IntArray:
        """Members of one group, and of groups that overlap."""
        own = np.broadcast_to(self.members[:, :1], self.members.shape)
        there = self.members >= 0
        _, classes = connected_components(np.stack([own[there], self.members[there]], axis=1), n)
        return classes

    def scaled(self, power: IntArray) -> MaxGroups:
        """The same: the maximum of scaled members is scaled."""
        return self

    def jump(self) -> tuple[int, int] | None:
        """Nowhere: a maximum is continuous."""
        return None

    def is_convex(self) -> bool:
        """A maximum is."""
        return True

    def is_uniform(self) -> bool:
        """Never: groups read different pre-activations."""
        return False

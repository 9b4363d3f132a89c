r"""Crossings on many segments at once, in float64 on any device, in networks too large for fractions."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from polytope.engines.amounts import Bytes, Seconds, in_bytes
from polytope.engines.budget import Budget, BudgetSpent
from polytope.given import NetworkLike, as_network
from polytope.ir import Network
from polytope.ir.arrays import floats
from polytope.ir.boundaries import boundaries
from polytope.ir.looking import watched
from polytope.ir.maps import FloatArray, IntArray
from polytope.measures.local_complexity.inputs import checked_points

if TYPE_CHECKING:
    from polytope.batched import BatchedNetwork
    from polytope.measures.local_complexity.segments import BoundaryTensors

SHRINK = 0.45
"""Of an interval on which too many cuts are found, at most, and the inverse of its growth. Not 1/2, so that
intervals seldom end where data that are symmetric put a crossing."""
SHORTEST = 2.0**-40
"""Of a segment: what is found on so short an interval is kept whatever room it takes."""
NUMBER = 16
"""Bytes a value at a cut takes, with the copies that are made when others are put in between."""
Columns = tuple[IntArray, FloatArray, IntArray]
"""Segments, parameters and units of crossings."""


@dataclass(frozen=True, eq=False)
class SegmentCrossings:
    r"""The crossings on segments :math:`x(t) = (1 - t) a_i + t b_i`, as float64 finds them.

    Arguments:
        segment, t, units: of every change of a piece the segment, the parameter and the unit, by its place in
            a pattern: ``int[C]``, ``[C]``, ``int[C]``, by segment and parameter. **Estimates.**
        reach: ``[B]``: how far from a each segment was searched, from 0 to 1. Of what lies behind nothing is
            known.
    """

    segment: IntArray
    t: FloatArray
    units: IntArray
    reach: FloatArray

    def __len__(self) -> int:
        return len(self.t)

    @property
    def complete(self) -> bool:
        """Whether every segment was searched from end to end."""
        return bool((self.reach == 1).all())

    @property
    def counts(self) -> IntArray:
        """The number of crossings found on each segment, ``int[B]``: estimates."""
        found: IntArray = np.bincount(self.segment, minlength=len(self.reach))
        return found

    def __repr__(self) -> str:
        n, searched = len(self.reach), self.reach.mean() if len(self.reach) else 1.0
        part = "all of" if self.complete else f"{searched:.3g} of the length of"
        return f"SegmentCrossings({len(self):,} on {part} {n:,} segment{'s' * (n != 1)}, estimate in float64)"


def segment_crossings(
    network: NetworkLike,
    a: ArrayLike,
    b: ArrayLike,
    *,
    device: str = "cpu",
    max_seconds: Seconds | None = None,
    memory: Bytes = "256MB",
) -> SegmentCrossings:
    r"""Where units change their piece on the way from each a to its b, on any device.

    Layer after layer each segment is cut where units of the layer change their piece; in between every value
    is affine, so that values at the ends decide, and nothing in between is sampled. What decides is float64:
    crossings closer together than its rounding may be taken for one or change places. `crossings` has them
    as fractions, one segment at a time, in networks small enough for it.

    A segment is searched in intervals from a on, as long as memory allows.

    Arguments:
        network: a piecewise-affine network.
        a, b: the ends, ``[B, d]`` or ``[B, *input_shape]``, or one point for all.
        device: a torch device name.
        max_seconds: time limit; what was searched by then is kept, and `reach` says how far that is.
        memory: about how much the values at cuts may take, but those at a few always fit; the network and a
            layer's own work come on top.

    Raises:
        ValueError: a or b is no array of finite points, or their numbers differ.

    References:
        Sotoudeh, Thakur (2019), "Computing Linear Restrictions of Neural Networks",
        https://arxiv.org/abs/1908.06214

    Example:
        >>> import polytope as pt
        >>> net = pt.mlp([([[1.0], [3.0]], [0.0, -1.0]), ([[1.0, 1.0]], [0.0])])  # relu(x) + relu(3 x - 1)
        >>> found = segment_crossings(net, [[-1.0], [0.25]], [[1.0], [0.5]])
        >>> found.segment.tolist(), found.t.round(3).tolist(), found.units.tolist(), found.complete
        ([0, 0, 1], [0.5, 0.667, 0.333], [0, 1, 1], True)
    """
    network = as_network(network)
    room, budget = in_bytes(memory, "memory"), Budget(max_seconds=max_seconds)
    start, end = _ends(network, a, b)
    from polytope.batched import BatchedNetwork  # loads torch

    found: list[Columns] = []
    reach = np.zeros(len(start))
    with suppress(BudgetSpent), watched(budget.look):
        walk = _Walk.over(BatchedNetwork(network, device=device), start, end)
        _search(walk, reach, found, (room or 2**62) // NUMBER)
    columns = [np.concatenate(c) for c in zip(*found, strict=True)] or [np.zeros(0)] * 3
    order = np.lexsort((columns[1], columns[0]))
    segment, t, units = (column[order] for column in columns)
    return SegmentCrossings(segment.astype(np.int64), t, units.astype(np.int64), reach)


def _ends(network: Network, a: ArrayLike, b: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Both ends of every segment, ``[B, d]``."""
    given = {name: floats(x) for name, x in (("a", a), ("b", b))}
    one = network.input_dim
    points = [
        checked_points(network, x[None] if x.size == one and (x.ndim == 1 or len(x) != 1) else x, name)
        for name, x in given.items()
    ]
    if len({len(p) for p in points} - {1}) > 1:
        raise ValueError(f"a and b: {len(points[0])} and {len(points[1])} points are no ends of segments.")
    start, end = np.broadcast_arrays(*points)
    return start, end


@dataclass(frozen=True, eq=False)
class _Walk:
    """A network on a device, its boundaries, and the segments.

    Arguments:
        offsets: the place in a pattern of each layer's first unit, of layers with an activation.
    """

    net: BatchedNetwork
    tables: list[BoundaryTensors | None]
    offsets: list[int]
    start: FloatArray
    end: FloatArray

    @classmethod
    def over(cls, net: BatchedNetwork, start: FloatArray, end: FloatArray) -> _Walk:
        """The walk along segments."""
        from polytope.measures.local_complexity.segments import BoundaryTensors

        network = net.network
        tables = [BoundaryTensors.of(net, table) for table in boundaries(network)]
        offsets = [network.unit_offsets[i] for i, table in enumerate(tables) if table is not None]
        return cls(net, tables, offsets, start, end)

    def at(self, which: IntArray, t: FloatArray) -> FloatArray:
        """Points of segments, ``[k, d]``; the ends are those that were given."""
        t = t[:, None]
        points: FloatArray = (1 - t) * self.start[which] + t * self.end[which]
        return points

    def crossed(self, which: IntArray, low: FloatArray, high: FloatArray, room: int | None) -> list[Columns]:
        """The crossings on intervals of segments: segments, parameters, units, by layer."""
        from polytope.measures.local_complexity.segments import cuts

        numbers = self.net.place.numbers
        ends = numbers(self.at(which, low)), numbers(self.at(which, high))
        found = cuts(self.net, self.tables, *ends, room)
        out = []
        for offset, columns in zip(self.offsets, found.crossed, strict=True):
            owner, t, unit = (column.cpu().numpy() for column in columns)
            out.append((which[owner], low[owner] + t * (high - low)[owner], unit + offset))
        return out


def _search(walk: _Walk, reach: FloatArray, found: list[Columns], room: int) -> None:
    """Search all segments from their beginnings on, as many together as there is room for.

    Arguments:
        reach: how far each was searched, kept up to date; likewise ``found``.
        room: the most numbers that values at cuts may be.
    """
    from polytope.measures.local_complexity.segments import TooManyCutsError

    together, length = len(reach), 1.0
    while len(left := np.flatnonzero(reach < 1)):
        which = left[:together]
        low = reach[which]
        high = np.minimum(low + length, 1.0)
        try:
            new = walk.crossed(which, low, high, room if len(which) > 1 or length > SHORTEST else None)
        except TooManyCutsError as error:
            fewer = min(SHRINK, 0.9 * error.share)
            if len(which) > 1:
                together = max(1, int(fewer * len(which)))
            else:
                length = fewer * min(length, 1.0 - float(low[0]))
            continue
        found += new
        reach[which] = high
        if (high < 1).any():
            length /= SHRINK
        else:
            together = min(len(reach), int(together / SHRINK) + 1)

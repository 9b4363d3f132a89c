r"""The next checkpoint of a training run: its complex, and which regions stayed, came and went."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from polytope.engines.amounts import Seconds
from polytope.engines.budget import Progress
from polytope.engines.named import EngineLike
from polytope.given import NetworkLike, as_network
from polytope.ir import Network
from polytope.ir.archive import fingerprint
from polytope.ir.maps import IntArray
from polytope.regions.asked import require_regions
from polytope.regions.complex import RegionComplex
from polytope.runs.enumerate import enumerate_regions


@dataclass(frozen=True, eq=False)
class Tracked:
    """The complex of a checkpoint next to that of the one before it.

    A region *stayed* if some region of both has its pattern: the same units on the same pieces, wherever the
    set has moved. It was *born* if only the later complex has the pattern, and *died* if only the earlier.

    Arguments:
        previous: the earlier complex.
        regions: the later one, exactly what ``enumerate_regions`` would find.
        searched: whether it was searched; otherwise no unit had changed, and the search was spared.
    """

    previous: RegionComplex
    regions: RegionComplex
    searched: bool

    @cached_property
    def stayed(self) -> IntArray:
        """Pairs ``int[S, 2]``: the numbers of a pattern in the earlier and in the later complex.

        Exact where both are complete, otherwise some of them.
        """
        number = {pattern.tobytes(): i for i, pattern in enumerate(self.previous.patterns)}
        before = [number.get(pattern.tobytes(), -1) for pattern in self.regions.patterns]
        pairs = np.array([before, range(len(before))], dtype=np.int64).T
        return pairs[pairs[:, 0] >= 0]

    @property
    def born(self) -> IntArray:
        """The numbers of the later regions whose pattern no earlier region has, ``int[n]``.

        Raises:
            IncompleteComplexError: not all earlier regions are known.
        """
        self.previous.require_complete("Which regions were born")
        return np.setdiff1d(np.arange(len(self.regions)), self.stayed[:, 1])

    @property
    def died(self) -> IntArray:
        """The numbers of the earlier regions whose pattern no later region has, ``int[n]``.

        Raises:
            IncompleteComplexError: not all later regions are known.
        """
        self.regions.require_complete("Which regions died")
        return np.setdiff1d(np.arange(len(self.previous)), self.stayed[:, 0])


def track(
    previous: RegionComplex,
    network: NetworkLike,
    engine: EngineLike | None = None,
    *,
    max_regions: int | None = None,
    max_seconds: Seconds | None = None,
    progress: Progress | bool | None = None,
) -> Tracked:
    """The regions of the next checkpoint in the same domain, and what changed.

    ========================================= ==========================================================
    what changed since ``previous``           what is done
    ========================================= ==========================================================
    nothing up to the last layer with an      the earlier regions, if complete, are taken over: they do
    activation (a head that is trained alone) not depend on what comes behind
    anything else                             searched as if there were no earlier result
    ========================================= ==========================================================

    Elsewhere no use of an earlier result was found that makes a complete search faster (figures in
    benchmarks/results/tracking.md). The search shares its work among neighbours in the tree and takes 1-10 us
    a region; the units' pieces at its earlier interior point take 2-20 us and say nothing about new regions,
    and its facets take milliseconds. Layers in front that did not change are a thin part of the tree. With
    HiGHS the earlier points spared 20 % of the programs and no time: most prove that units do *not* cross.

    Arguments:
        previous: a complex of another checkpoint of the same architecture, in the same window.
        network: the checkpoint, in the window.
        engine, max_regions, max_seconds, progress: as for ``enumerate_regions``.

    Raises:
        ValueError: the networks have other inputs or numbers of units, so that patterns mean other things.

    Example:
        >>> import polytope as pt
        >>> before, after = (pt.mlp([([[1.0], [1.0]], [0.0, b]), ([[1.0, 1.0]], [0.0])]) for b in (-1.0, 2.0))
        >>> regions = pt.enumerate_regions(before, pt.Polyhedron.box([-3], [3]))  # breakpoints at 0 and 1
        >>> tracked = pt.track(regions, after)  # breakpoints at -2 and 0
        >>> len(tracked.stayed), len(tracked.born), len(tracked.died)
        (2, 1, 1)
    """
    require_regions(previous, "track")
    network = as_network(network)
    old = previous.network
    if (old.input_dim, old.unit_offsets) != (network.input_dim, network.unit_offsets):
        raise ValueError(
            f"The earlier network has {old.input_dim} inputs and layers of {old.widths} units, the later one "
            f"{network.input_dim} and {network.widths}: their patterns cannot be compared."
        )
    if previous.complete and _same_pieces(old, network):
        same = RegionComplex(network, previous.domain, previous.found)
        return Tracked(previous, same, searched=False)
    found = enumerate_regions(
        network,
        previous.domain,
        engine,
        max_regions=max_regions,
        max_seconds=max_seconds,
        progress=progress,
    )
    return Tracked(previous, found, searched=True)


def _same_pieces(one: Network, other: Network) -> bool:
    """Whether all layers up to the last with an activation are equal, number by number."""
    last = max((i for i, layer in enumerate(one.layers, start=1) if layer.activation), default=0)
    pairs = zip(one.layers[:last], other.layers[:last], strict=True)
    return all(fingerprint(a) == fingerprint(b) for a, b in pairs)

"""What every engine returns, and the budget it works under."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path as File
from time import monotonic
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Network
from polytope.ir.activations import PatternArray
from polytope.ir.maps import FloatArray, IntArray
from polytope.regions.packed import takes_packed

Progress = Callable[[int, int], None]  # regions found, open cells
Path = tuple[int, ...]  # steps from the root of a search: units that were split, and branches taken


@dataclass(frozen=True, eq=False)
class Facets:
    """Irredundant facets of all regions, in the order of the regions.

    Arguments:
        offsets: ``int[R + 1]``; region i has the facets ``offsets[i] .. offsets[i + 1] - 1``.
        unit: ``int[F]``, a unit whose boundary carries the facet, or ``-(row + 1)`` for a row of the domain.
        points: ``[F, d]``, a point in the relative interior of each facet, where known.
        origin: ``int[F]``, which of all rows (see ``RegionRows``) each lies on, where known.
        behind: ``int[F]``, the region behind each facet, -1 where none was found, where known.
    """

    offsets: IntArray
    unit: NDArray[np.signedinteger]
    points: FloatArray | None
    origin: IntArray | None = None
    behind: IntArray | None = None


def resident_bytes() -> int:
    """The memory of this process that is in use now; where the system does not say, the most so far."""
    pages = File("/proc/self/statm")
    if pages.exists():
        return int(pages.read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@dataclass(frozen=True)
class Budget:
    """Limits of a search; ``None`` is no limit.

    Arguments:
        max_regions, max_seconds: what they say.
        max_memory: bytes of this process. Putting results together takes about as much as the search added,
            so it is stopped when half of what was left at its start is used.
        started, occupied: the clock, and the bytes in use, at the start.
    """

    max_regions: int | None = None
    max_seconds: float | None = None
    max_memory: int | None = None
    started: float = field(default_factory=monotonic)
    occupied: int = field(default_factory=resident_bytes)

    def __post_init__(self) -> None:
        for name in ("max_regions", "max_seconds", "max_memory"):
            limit = getattr(self, name)
            if limit is not None and not limit > 0:
                raise ValueError(f"{name} must be positive, not {limit}.")

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        return any(limit is not None for limit in (self.max_regions, self.max_seconds, self.max_memory))

    def full(self) -> bool:
        """Whether the search must stop for want of memory."""
        return self.max_memory is not None and 2 * resident_bytes() - self.occupied >= self.max_memory

    def spent(self, regions: int) -> bool:
        """Whether the search must stop now."""
        if self.max_regions is not None and regions >= self.max_regions:
            return True
        return (self.max_seconds is not None and self.seconds >= self.max_seconds) or self.full()

    @property
    def seconds(self) -> float:
        """Time since the search was started."""
        return monotonic() - self.started


@takes_packed
@dataclass(frozen=True, eq=False)
class Found:
    """The outcome of a search.

    Arguments:
        engine: what found them, as reports call it.
        n_regions: regions found, each once.
        open_bound: certified bound on the regions not found; 0 where the search is complete.
        patterns, interior_points: ``int8[R, units]`` and ``[R, d]``; empty where only a count was asked.
        candidates: per region, units (or ``-(row + 1)``) that include all carriers of its facets, if known.
        facets: exact facets, where the engine has them anyway.
        neighbours: ``int[E, 2]``, the pairs of regions that share a facet, where the engine knows them.
        statistics: how many signs each test decided, programs solved, seconds in the solver.
        open_cells, open_bounds: branches of the search that are still to do, where the engine names them, and
            the most regions in each.
    """

    engine: str
    n_regions: int
    open_bound: int
    patterns: PatternArray
    interior_points: FloatArray
    candidates: Sequence[IntArray] | None = None
    facets: Facets | None = None
    neighbours: IntArray | None = None
    statistics: Mapping[str, float] = field(default_factory=dict)
    open_cells: tuple[Path, ...] = ()
    open_bounds: tuple[int, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether nothing can be missing."""
        return self.open_bound == 0


class Engine(Protocol):
    """A frozen dataclass of options that can search a domain."""

    def search(
        self,
        network: Network,
        domain: Polyhedron,
        *,
        budget: Budget,
        keep: bool,
        progress: Progress | None,
    ) -> Found:
        """Find the regions in the domain; with ``keep=False`` only count them."""

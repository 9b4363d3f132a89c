"""What makes an engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

from polytope.core.open_cells import Path
from polytope.core.result import ROOT, Keep, SearchResult
from polytope.engines.budget import Budget, Progress
from polytope.geometry.polyhedron import Polyhedron
from polytope.ir import Network


class Engine(Protocol):
    """A frozen dataclass of options that can search a domain."""

    def search(
        self,
        network: Network,
        domain: Polyhedron,
        *,
        start: Sequence[Path] = ROOT,
        budget: Budget,
        keep: Keep,
        progress: Progress | None,
    ) -> SearchResult:
        """Find the regions in the domain.

        Arguments:
            network: the network.
            domain: a polyhedron with interior in its input space.
            start: open cells of an earlier, stopped search of the same network and domain.
            budget: limits on regions, seconds and bytes; a search that one of them stops is not complete.
            keep: what of the regions; vertices are found by engines that have them.
            progress: called with the numbers of regions found and of open cells.

        Returns:
            The regions found, a certified bound on the number of all, and the cells that were left open.

        Raises:
            ValueError: the engine cannot go on from ``start``.
        """


@runtime_checkable
class Divisible(Engine, Protocol):
    """An engine whose searches can go on from any of their open cells: in batches, here or elsewhere.

    A frozen dataclass; ``name`` is what reports and directories call it.

    Arguments:
        workers: threads.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]
    name: ClassVar[str]
    workers: int


def at_the_root(start: Sequence[Path], engine: Engine) -> None:
    """Refuse to go on from open cells, for engines that have none."""
    if tuple(start) != ROOT:
        raise ValueError(f"{type(engine).__name__} searches a whole domain: it cannot go on from open cells.")

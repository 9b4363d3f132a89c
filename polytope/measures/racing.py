"""Branch and bound that races the walk: whoever proves the distance to the decision boundary first.

A mixed-integer program by HiGHS is no third one: it proves nothing, and was worth little where it was tried,
on three networks of two layers of 32 units, max norm. After 7 to 8 s of CPU it had no point in 6 dimensions
and a farther one in 8, where the searches here were done in 0.3 and 3 s; in 16 it had one that was nearer by
0.7 % than what was known here after 3 s, and by 0.01 % after 13 s.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic

import numpy as np

from polytope.bounds.branching.search import Branching
from polytope.engines.walk import Walk
from polytope.ir.activations import PatternArray
from polytope.ir.maps import FloatArray

SLIGHTLY = 1 + 2.0**-20  # so that what is as far as the best is within
LARGER = 4.0  # by how much one looks farther where nothing bounds the search


@dataclass(eq=False)
class Race:
    """The search by nodes, and the time that both searches have taken.

    Arguments:
        walk: through the regions.
        start: x, ``[d]``.
        box: ``[2, d]``, in which to look; may be unbounded.
        norm: what distances are measured by.
        size: how far the box reaches.
        best: the distance of the nearest point known.
        shared: whether the walk has a share of the time; else it goes no farther.

    Attributes:
        branch: the search by nodes, within a radius.
    """

    walk: Walk
    start: FloatArray
    box: FloatArray
    norm: float
    size: float
    best: float
    shared: bool
    taken: float = 0.0
    walked: float = 0.0
    branch: Branching = field(init=False)

    def __post_init__(self) -> None:
        self._within(min(self.best, self.size))

    def _within(self, radius: float) -> None:
        """Begin a search within a radius, or some radius where there is none."""
        if not np.isfinite(radius):
            self.shared = True  # the walk sees where there is nothing to be found
            radius = LARGER * max(1.0, float(np.linalg.norm(self.start, self.norm)))
        self.radius = radius
        spent = self.walk.budget.spent
        self.branch = Branching(
            self.walk.network, self.start, self.box, self.norm, radius * SLIGHTLY, lambda: spent(0)
        )

    def least(self, best: float) -> float:
        """No point of another class is nearer, but for the regions that were handed out."""
        least = self.branch.least
        if least < np.inf or self.radius >= min(best, self.size):
            return least
        return self.radius  # all that is within was seen, and there may be more

    @property
    def behind(self) -> bool:
        """Whether nodes had less of the time than the walk."""
        return not self.shared or self.taken <= self.walked

    @contextmanager
    def other(self) -> Iterator[None]:
        """The walk's turn."""
        begun = monotonic()
        yield
        self.walked += monotonic() - begun

    def step(self, best: float) -> tuple[list[tuple[float, int, PatternArray]], FloatArray]:
        """Split nodes of the smallest bounds; without any within the radius, begin within a larger one.

        Arguments:
            best: the distance of the nearest point known.

        Returns:
            regions with their bounds, outputs and patterns; and inputs that may be nearer.
        """
        begun = monotonic()
        try:
            if self.branch.least == np.inf:
                self._within(min(LARGER * self.radius, best, self.size))
                return [], np.zeros((0, len(self.start)))
            return self.branch.step(min(best, self.radius) * SLIGHTLY)
        finally:
            self.taken += monotonic() - begun

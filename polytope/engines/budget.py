"""What a search may spend: regions, seconds, bytes; and whom it tells how far it is."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path as File
from time import monotonic

import numpy as np

Progress = Callable[[int, int], None]  # regions found, open cells


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
            if limit is not None and not isinstance(limit, int | float | np.number):
                raise TypeError(f"{name}: a number is expected, not {limit!r}.")
            if limit is not None and name != "max_seconds" and not float(limit).is_integer():
                raise TypeError(f"{name}: a whole number is expected, not {limit!r}.")
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

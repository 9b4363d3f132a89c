"""What a search may spend: regions, seconds, bytes; and whom it tells how far it is."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path as File
from time import monotonic

from polytope.core.limits import BETWEEN, Limit
from polytope.core.limits import BudgetSpent as BudgetSpent
from polytope.engines.amounts import Bytes, Seconds, in_bytes, in_seconds, whole

Progress = Callable[[int, int], None]  # regions found, open cells

LARGE = 1 << 24  # bytes
WRITTEN = 1 << 29  # bytes of new memory that are written in a second, at least
LOADING = 1.5  # seconds that loading torch may take
GRACE = 0.5  # seconds more than were asked, if that is enough for a first answer


def resident_bytes() -> int:
    """The memory of this process that is in use now; where the system does not say, the most so far."""
    pages = File("/proc/self/statm")
    if pages.exists():
        return int(pages.read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def free_bytes() -> int | None:
    """The memory that the machine, or the container, has for new work; ``None`` where it is not known."""
    table, group = File("/proc/meminfo"), File("/sys/fs/cgroup")
    if not table.exists():
        return None
    lines = dict(line.split(":") for line in table.read_text().splitlines())
    free = int(lines.get("MemAvailable", lines["MemFree"]).split()[0]) * 1024
    try:
        most = (group / "memory.max").read_text().strip()
        used = int((group / "memory.current").read_text())
        kinds = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except OSError:
        return free
    used -= int(kinds.get("inactive_file", 0))  # read from files, and dropped when others want the room
    return free if most == "max" else min(free, max(int(most) - used, 0))


@dataclass(eq=False, init=False)
class Budget:
    """Limits of a search, one object for all its steps; ``None`` is no limit.

    Arguments:
        max_regions: what it says.
        max_seconds: seconds, or a text such as "20s" or "5m".
        max_memory: bytes of this process, or a text such as "500MB"; by default what is in use at the start
            and half of what is free. Putting results together takes about as much as the search added, so it
            is stopped when half of what was left at its start is used.
        patience: seconds after which also what has to be made before the search is given up; by default
            ``max_seconds``. A part of a longer search has more patience than time.
        started, occupied: the clock, and the bytes in use, at the start; by default now.

    Attributes:
        stopped_by: the first limit that stopped the search, ``None`` so far.
    """

    max_regions: int | None
    max_seconds: float | None
    max_memory: int | None
    patience: float | None
    started: float
    occupied: int
    stopped_by: Limit | None
    interrupted: bool

    def __init__(
        self,
        max_regions: int | None = None,
        max_seconds: Seconds | None = None,
        max_memory: Bytes | None = None,
        patience: float | None = None,
        started: float | None = None,
        occupied: int | None = None,
    ) -> None:
        self.max_regions = whole(max_regions, "max_regions", "a whole number is expected")
        self.max_seconds, self.max_memory = in_seconds(max_seconds), in_bytes(max_memory)
        self.patience = patience
        self.started = monotonic() if started is None else started
        self.occupied = resident_bytes() if occupied is None else occupied
        self.stopped_by = None
        self.interrupted = False
        self.limited = any(
            limit is not None for limit in (self.max_regions, self.max_seconds, self.max_memory)
        )
        self._again = self.started
        free = free_bytes() if self.max_memory is None else None
        self._most = self.max_memory if free is None else self.occupied + free // 2

    def interrupt(self) -> None:
        """End the search as soon as it looks: all of the budget is used up."""
        self.interrupted, self.max_seconds, self.patience = True, self.seconds, None
        self.stopped_by = self.stopped_by or "interrupt"

    def full(self, wanted: int = 0) -> bool:
        """Whether the search must stop for want of memory, or since it was interrupted.

        Arguments:
            wanted: bytes that the next step takes.
        """
        if self.interrupted:
            return True
        if self._most is None or 2 * (resident_bytes() + wanted) - self.occupied < self._most:
            return False
        self.stopped_by = self.stopped_by or "memory"
        return True

    def spent(self, regions: int) -> bool:
        """Whether the search must stop now."""
        if self.max_regions is not None and regions >= self.max_regions:
            self.stopped_by = self.stopped_by or "regions"
            return True
        return self.late() or self.full()

    def late(self) -> bool:
        """Whether the time is used up."""
        if self.max_seconds is None or self.seconds < self.max_seconds:
            return False
        self.stopped_by = self.stopped_by or "seconds"
        return True

    def has_time_for_torch(self) -> bool:
        """Whether what needs torch may begin: it is loaded, or there is time to load it."""
        return "torch" in sys.modules or self.left is None or self.left >= LOADING

    def look(self, wanted: int = 0) -> None:
        """Called between the small steps of what has to be made before a search, or behind it.

        Arguments:
            wanted: bytes that the next step takes: they take time too.

        Raises:
            BudgetSpent: there is no time, or no memory, for the next step.
        """
        self._look(wanted, 0.0)

    def first(self, wanted: int = 0) -> None:
        """The same before the first answer, for which there is a little more time than was asked."""
        self._look(wanted, GRACE)

    def _look(self, wanted: int, grace: float) -> None:
        patience = self.max_seconds if self.patience is None else self.patience
        late = patience is not None and self.seconds + wanted / WRITTEN >= patience + grace
        if late:
            self.stopped_by = self.stopped_by or "seconds"
        if late or (self._memory_is_due(wanted) and self.full(wanted)):
            raise BudgetSpent

    def _memory_is_due(self, wanted: int) -> bool:
        """Whether to ask the system for the memory in use: before large steps, else now and then."""
        now = monotonic()
        if wanted < LARGE and now < self._again:
            return False
        self._again = now + BETWEEN
        return True

    def reason(self, regions: int) -> Limit | None:
        """The limit that ended a search that found so many regions, if one did."""
        if self.stopped_by is None and self.max_regions is not None and regions >= self.max_regions:
            return "regions"
        self.late()
        return self.stopped_by

    @property
    def seconds(self) -> float:
        """Time since the search was started."""
        return monotonic() - self.started

    @property
    def left(self) -> float | None:
        """Seconds left; ``None`` where there is no limit."""
        return None if self.max_seconds is None else max(self.max_seconds - self.seconds, 0.0)

    @property
    def rest(self) -> float | None:
        """The same as the limit of another search: positive."""
        return None if self.left is None else max(self.left, 1e-3)

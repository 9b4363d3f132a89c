"""A progress bar in a terminal or a notebook, and a first Ctrl-C that ends a search with what it has."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from time import monotonic
from types import FrameType
from typing import TYPE_CHECKING, Any

from polytope.engines.budget import Budget, Progress
from polytope.given import described

if TYPE_CHECKING:
    from rich.console import Console

PATIENCE = 1.0
"""Seconds after which a running question shows a bar."""
LONG = 5.0
"""Seconds of a question without a search that leave a line of their own."""
STEP = 0.1


class Bar:
    """A progress bar that appears only if the work lasts.

    Arguments:
        console: where it is drawn; by default where errors go, or the notebook.
        moving: whether it shows every question at once, and wipes out those that were short.
    """

    def __init__(self, console: Console | None = None, *, moving: bool = False) -> None:
        self._console, self._moving = console, moving
        self._line: _Terminal | _Notebook | None = None
        self._began(monotonic(), "")

    def _began(self, now: float, words: str) -> None:
        self._started, self._drawn, self._words, self._last = now, 0.0, words, (0, 0)

    def regions(self, found: int, open_cells: int) -> None:
        """What the search has found: ``regions``, and ``open_cells`` that it still has to search."""
        self._last = (found, open_cells)
        now = monotonic()
        if now - self._started >= PATIENCE and now - self._drawn >= STEP:
            self._drawn = now
            self._show(self._counts(now))

    def stage(self, words: str) -> None:
        """A new question is begun."""
        now = monotonic()
        lasted, searched = now - self._started, bool(self._last[0])
        keep = lasted >= (PATIENCE if searched else LONG) if self._moving else self._line is not None
        if searched and (self._line or keep):
            self._show(self._counts(now))
        elif self._moving and self._words and (self._line or keep):
            self._show(f"{lasted:.0f} s")
        if self._line:
            self._line.close(keep=keep)
        self._line = None
        self._began(monotonic(), words)
        if self._moving and words and self._console and self._console.is_terminal:
            self._line = _line(self._console)
            self._line.write(words)

    def _counts(self, now: float) -> str:
        found, open_cells = self._last
        rate = found / max(now - self._started, 1e-9)
        opened = f"{open_cells:,} open cell{'' if open_cells == 1 else 's'}"
        return f"{found:,} found, {rate:,.0f}/s, {opened}, {now - self._started:.0f} s"

    def _show(self, detail: str) -> None:
        if self._line is None:
            self._line = _line(self._console)
        self._line.write(f"{self._words}: {detail}")


def _line(console: Console | None) -> _Terminal | _Notebook:
    """A line that can be rewritten, where the user looks."""
    from rich.console import Console

    chosen = console or Console(stderr=True)
    return _Notebook() if chosen.is_jupyter else _Terminal(chosen)


class _Terminal:
    """A spinner and a text in a terminal."""

    def __init__(self, console: Console) -> None:
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
        self._bar = Progress(*columns, console=console)
        self._bar.start()  # a thread draws it, also while the work is in compiled code
        self._task = self._bar.add_task("", total=None)

    def write(self, text: str) -> None:
        """Show another text."""
        self._bar.update(self._task, description=text)

    def close(self, *, keep: bool) -> None:
        """End the line: it stays as it is, or is wiped out."""
        self._bar.columns = self._bar.columns[:2]  # its text says how long it took
        self._bar.live.transient = not keep
        self._bar.stop()


class _Notebook:
    """A text in the output of a notebook's cell; it stays when the work is done."""

    def __init__(self) -> None:
        display: Any = import_module("IPython.display").display  # there is one where there is a notebook
        self._handle = display({"text/plain": ""}, raw=True, display_id=True)

    def write(self, text: str) -> None:
        """Show another text."""
        self._handle.update({"text/plain": text}, raw=True)

    def close(self, *, keep: bool) -> None:
        """The last text stays."""


@contextmanager
def told(
    progress: Progress | bool | None, words: str, budget: Budget | None = None
) -> Iterator[Progress | None]:
    """Whom a search tells how far it is: with ``True`` a bar, and Ctrl-C ends the search with what it has.

    Arguments:
        progress: what the caller gave: ``True``, a function, or nothing.
        words: what is done, in front of the bar.
        budget: of the search, which Ctrl-C ends.

    Raises:
        TypeError: something else is given.
    """
    if progress is None or progress is False:
        yield None
    elif progress is True:
        bar = Bar()
        bar.stage(words)
        try:
            with _interruptible(budget):
                yield bar.regions
        finally:
            bar.stage("")
    elif callable(progress):
        yield progress
    else:
        raise TypeError(
            "progress: True for a bar, or a function of the numbers of regions found and of open cells, not "
            f"{described(progress)}."
        )


@contextmanager
def _interruptible(budget: Budget | None) -> Iterator[None]:
    """Let the first Ctrl-C use the budget up, and the second one interrupt."""
    if budget is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        budget.interrupt()

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)

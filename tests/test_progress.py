"""Bars in terminals and notebooks, and what Ctrl-C leaves of a search that shows one."""

import os
import signal
import threading
from collections.abc import Iterator
from io import StringIO
from time import sleep
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import polytope as pt
from polytope.engines import bars
from polytope.engines.bars import Bar, told
from polytope.engines.budget import Budget
from tests.networks import seeded

NETWORK, BOX = seeded(0, 2, 8, 2), [[-1, 1], [-1, 1]]


def test_a_bar_appears_once_the_work_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Console(file=StringIO(), force_terminal=True, width=100)
    bar = Bar(screen)
    bar.stage("regions")
    bar.regions(10, 3)
    assert screen.file.getvalue() == ""  # type: ignore[attr-defined]
    monkeypatch.setattr(bars, "PATIENCE", 0.0)
    bar.regions(1000, 3)
    bar.stage("")
    shown = screen.file.getvalue()  # type: ignore[attr-defined]
    assert "regions: 1,000 found" in shown
    assert "3 open cells" in shown


def test_a_search_with_a_bar_finds_the_same(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(bars, "PATIENCE", 0.0)
    found = pt.enumerate_regions(NETWORK, BOX, progress=True)
    assert np.array_equal(found.patterns, pt.enumerate_regions(NETWORK, BOX).patterns)
    assert pt.count_regions(NETWORK, BOX, progress=True).upper == len(found)
    assert "found" in capsys.readouterr().err
    seen: list[tuple[int, int]] = []
    pt.count_regions(NETWORK, BOX, progress=lambda *numbers: seen.append(numbers))
    assert seen
    with pytest.raises(TypeError, match=r"progress: True for a bar, or a function.*not 3 \(int\)"):
        pt.count_regions(NETWORK, BOX, progress=3)  # type: ignore[arg-type]


def test_in_a_notebook_a_bar_is_a_text_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []

    class Handle:
        def update(self, data: dict[str, str], *, raw: bool) -> None:
            assert raw
            texts.append(data["text/plain"])

    monkeypatch.setattr("IPython.display.display", lambda *_, **__: Handle())
    monkeypatch.setattr(bars, "PATIENCE", 0.0)
    bar = Bar(Console(force_jupyter=True))
    bar.stage("regions")
    bar.regions(7, 1)
    bar.stage("")
    assert texts
    assert all(text.startswith("regions: 7 found") for text in texts)


@pytest.fixture(autouse=True)
def interrupts() -> Iterator[None]:
    """Python's own handler: processes that a shell starts in the background ignore interrupts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


LARGE = seeded(0, 5, 300, 300, 300, 1)  # whose search takes hours
WIDE = pt.Polyhedron.box([-1.0] * 5, [1.0] * 5)
ENGINES = [pt.LayerSplit(), pt.LayerSplit(cells="lp"), pt.FacetFlip()]


@pytest.mark.parametrize("engine", ENGINES, ids=repr)
@pytest.mark.parametrize("verb", [pt.enumerate_regions, pt.count_regions])
def test_the_first_interrupt_ends_a_search_with_what_it_has(verb: Any, engine: Any) -> None:
    """The interrupt comes when regions were found, so that there is something to keep."""
    before = signal.getsignal(signal.SIGINT)

    def interrupt() -> None:
        while signal.getsignal(signal.SIGINT) is before:  # an interrupt that nothing waits for ends all tests
            sleep(0.01)
        sleep(1)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()
    found = verb(LARGE, WIDE, engine, progress=True)
    thread.join()
    assert (found.complete, found.stopped_by) == (False, "interrupt")
    assert 0 < found.lower < found.upper
    assert signal.getsignal(signal.SIGINT) is before


def test_the_second_interrupt_interrupts() -> None:
    budget = Budget()
    with told(True, "regions", budget):
        signal.raise_signal(signal.SIGINT)
        assert budget.late()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_without_a_bar_an_interrupt_interrupts() -> None:
    def interrupt(found: int, open_cells: int) -> None:
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        pt.count_regions(LARGE, WIDE, progress=interrupt)


def test_other_threads_have_a_bar_without_interrupts() -> None:
    before, found = signal.getsignal(signal.SIGINT), []
    thread = threading.Thread(
        target=lambda: found.append(pt.count_regions(NETWORK, BOX, progress=True).complete)
    )
    thread.start()
    thread.join()
    assert found == [True]
    assert signal.getsignal(signal.SIGINT) is before

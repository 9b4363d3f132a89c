"""Disks that fill up, users who may not write, clocks that jump, kills and pauses: sentences, and no loss."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from polytope import Polyhedron, count_regions, enumerate_regions, load_complex
from tests.broken_runs import ATTEMPTS, NotHereError, lost
from tests.networks import seeded, seeds
from tests.run_cases import case

ROOT = Path(__file__).parents[1]


LONG = {
    "paused and continued",
    "workers killed while they write",
    "disk full",
    "a cluster's scheduler killed",
}


@pytest.mark.parametrize("seed", seeds(20, 1))
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in LONG else []) for name in ATTEMPTS]
)
def test_whatever_happens_the_directory_goes_on(name: str, seed: int, tmp_path: Path) -> None:
    try:
        assert ATTEMPTS[name](tmp_path, np.random.default_rng([list(ATTEMPTS).index(name), seed])) == ""
    except NotHereError as error:
        pytest.skip(str(error))


UNGUARDED = """
import polytope as pt
from tests.run_cases import case
print(len(pt.enumerate_regions(*case(), pt.LayerSplit(workers=2), directory={place!r})))
"""


def test_workers_that_never_begin_are_explained_soon(tmp_path: Path) -> None:
    """A script without a guard begins itself again in each worker."""
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED.format(place=str(tmp_path / "run")))
    around = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(script)], env=around, capture_output=True, text=True, timeout=200
    )
    last = done.stderr.splitlines()[-1]
    assert "Worker processes died 3 times before one of them had done anything" in last
    assert "if __name__ == '__main__'" in last
    assert lost(tmp_path / "run") == ""


def test_a_search_in_a_thread_is_interrupted() -> None:
    """As who runs a notebook's cells in threads does it: the thread is told to raise."""
    network, raised = seeded(0, 4, 192, 192, 1), list[type[BaseException]]()

    def search() -> None:
        try:
            count_regions(network, Polyhedron.box([-1.0] * 4, [1.0] * 4), max_seconds=100)
        except KeyboardInterrupt as error:
            raised.append(type(error))

    thread = threading.Thread(target=search)
    thread.start()
    time.sleep(1.0)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread.ident or 0), ctypes.py_object(KeyboardInterrupt)
    )
    thread.join(60)
    assert not thread.is_alive()
    assert raised == [KeyboardInterrupt]


def test_who_may_not_read_is_told_so(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    enumerate_regions(*case(), directory=tmp_path)
    (tmp_path / "network.npz").chmod(0)
    with pytest.raises(Exception, match=r"network.npz cannot be read: Permission denied\."):
        load_complex(tmp_path)

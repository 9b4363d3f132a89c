"""The compiled searches are made once for all workers of the suite, while tests without them run."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.exact_laws")

MARKER = "POLYTOPE_TESTS_COMPILED"
COMPILE = """
import sys
from pathlib import Path
try:
    from polytope import LayerSplit, Polyhedron, enumerate_regions
    from tests.networks import seeded

    for cells in ("vertices", "lp"):
        enumerate_regions(seeded(0, 2, 3, 1), Polyhedron.box([-1, -1], [1, 1]), LayerSplit(cells=cells))
finally:
    Path(sys.argv[1]).touch()
"""


def pytest_configure(config: pytest.Config) -> None:
    """Begin to compile, unless this is one of several workers, or the only process."""
    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        folder = tempfile.TemporaryDirectory()
        os.environ[MARKER] = marker = str(Path(folder.name) / "done")
        compiling = subprocess.Popen([sys.executable, "-c", COMPILE, marker], cwd=config.rootpath)
        config.add_cleanup(lambda: (compiling.kill(), compiling.wait(), folder.cleanup()))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Wait for compiled code, where a test may need it; not for ever, should its process be killed."""
    marker = os.environ.get(MARKER)
    if marker and not item.path.name.startswith("test_adapters"):
        deadline = time.monotonic() + 600
        while not Path(marker).exists():
            if time.monotonic() > deadline:
                del os.environ[MARKER]
                break
            time.sleep(0.2)

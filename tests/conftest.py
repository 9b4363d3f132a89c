"""Fixtures that several files of tests share, and one thread for linear algebra."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.guarded_readers import Reader

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import LoadFileScheduling

for library in ("OMP", "OPENBLAS", "MKL"):  # read when numpy or torch is loaded; tests run side by side
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    """With ``-n`` alone a file's tests stay in one process: what they share is made once."""
    from xdist.scheduler import LoadFileScheduling

    return LoadFileScheduling(config, log) if config.getoption("dist") == "load" else None


@pytest.fixture
def tent(tmp_path: Path) -> Path:
    """The tent map of depth 3: 8 linear pieces on [0, 1]."""
    import numpy as np

    first, inner = ([[1.0], [1.0]], [0.0, -0.5]), ([[2.0, -4.0], [2.0, -4.0]], [0.0, -0.5])
    layers = [first, inner, inner, ([[2.0, -4.0]], [0.0])]
    file = tmp_path / "tent.npz"
    np.savez(file, **{f"{k}{i}": v for i, pair in enumerate(layers) for k, v in zip("Wb", pair, strict=True)})
    return file


@pytest.fixture(scope="session")
def read() -> Iterator[Reader]:
    """A process that reads directories, with its time and memory measured."""
    reader = Reader()
    yield reader
    reader.close()

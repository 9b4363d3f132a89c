"""Fixtures that several files of tests share, and one thread for linear algebra."""

import os
from pathlib import Path

import pytest

for library in ("OMP", "OPENBLAS", "MKL"):  # read when numpy or torch is loaded; tests run side by side
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")


@pytest.fixture
def tent(tmp_path: Path) -> Path:
    """The tent map of depth 3: 8 linear pieces on [0, 1]."""
    import numpy as np

    first, inner = ([[1.0], [1.0]], [0.0, -0.5]), ([[2.0, -4.0], [2.0, -4.0]], [0.0, -0.5])
    layers = [first, inner, inner, ([[2.0, -4.0]], [0.0])]
    file = tmp_path / "tent.npz"
    np.savez(file, **{f"{k}{i}": v for i, pair in enumerate(layers) for k, v in zip("Wb", pair, strict=True)})
    return file

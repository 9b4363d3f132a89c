"""Fixtures that several files of tests share."""

from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def tent(tmp_path: Path) -> Path:
    """The tent map of depth 3: 8 linear pieces on [0, 1]."""
    first, inner = ([[1.0], [1.0]], [0.0, -0.5]), ([[2.0, -4.0], [2.0, -4.0]], [0.0, -0.5])
    layers = [first, inner, inner, ([[2.0, -4.0]], [0.0])]
    file = tmp_path / "tent.npz"
    np.savez(file, **{f"{k}{i}": v for i, pair in enumerate(layers) for k, v in zip("Wb", pair, strict=True)})
    return file

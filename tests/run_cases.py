"""Runs for tests: a small case, and scripts that are stopped."""

from __future__ import annotations

from pathlib import Path

from polytope import (
    Network,
    Polyhedron,
)
from tests.networks import seeded, unit_box_of

CASE = (0, 3, 16, 16, 1)  # 676 regions


def case() -> tuple[Network, Polyhedron]:
    network = seeded(*CASE)
    return network, Polyhedron.box(*unit_box_of(network))


def shards(directory: Path) -> int:
    return len(list(directory.rglob("shard-*.parquet")))

"""Runs for tests: a small case, and scripts that are stopped."""

from __future__ import annotations

from pathlib import Path

from polytope import Network, Polyhedron
from tests.networks import seeded, unit_box_of

CASE = (0, 3, 16, 16, 1)  # 676 regions


def case() -> tuple[Network, Polyhedron]:
    return in_its_box(*CASE)


def small_case() -> tuple[Network, Polyhedron]:
    """35 regions, where it does not matter how many they are."""
    return in_its_box(0, 2, 8, 8, 1)


def in_its_box(*case: int) -> tuple[Network, Polyhedron]:
    network = seeded(*case)
    return network, Polyhedron.box(*unit_box_of(network))


def shards(directory: Path) -> int:
    return len(list(directory.rglob("shard-*.parquet")))

"""The compiled simplex search: the same cells as HiGHS and as vertex cells, on every kind of network."""

from __future__ import annotations

import numpy as np
import pytest

from polytope import LayerSplit, Polyhedron, count_regions, enumerate_regions, mlp
from polytope.ir import absolute, hard_tanh, max_groups, relu
from tests.networks import KNOWN_REGIONS, file_network, integer, needs_shared, seeded, unit_box_of
from tests.test_vertex_cells import random_case

SIMPLEX = LayerSplit(cells="lp", solver="simplex")
HIGHS = LayerSplit(cells="lp", solver="highs")
VERTICES = LayerSplit(cells="vertices")

HIGHER = {"8-16-16-1": 501_023, "10-12-12-1": 70_102, "20-16-1": 65_536}
SMALL = [name for name, count in KNOWN_REGIONS.items() if count < 30_000]


@needs_shared
@pytest.mark.parametrize("name", [*SMALL, *HIGHER])
def test_known_counts(name: str) -> None:
    network = file_network(name)
    count = count_regions(network, Polyhedron.box(*unit_box_of(network)), SIMPLEX)
    assert (count.lower, count.upper) == 2 * ((KNOWN_REGIONS | HIGHER)[name],)


@needs_shared
@pytest.mark.parametrize("name", [*SMALL, "10-12-12-1"])
def test_regions_are_found_once_and_hold_their_points(name: str) -> None:
    network = file_network(name)
    regions = enumerate_regions(network, Polyhedron.box(*unit_box_of(network)), SIMPLEX)
    assert len(np.unique(regions.patterns, axis=0)) == len(regions) == (KNOWN_REGIONS | HIGHER)[name]
    assert (regions.locate(regions.interior_points) == np.arange(len(regions))).mean() > 0.999

"""Which rows of a polyhedron carry facets, decided in compiled code."""

from __future__ import annotations

import numpy as np
import pytest

from polytope import LayerSplit, Polyhedron, enumerate_regions
from polytope.regions.kernels_facets import FACET, IMPLIED, UNCLEAR, decided
from tests.networks import seeded


@pytest.mark.parametrize("d", [2, 5, 10])
@pytest.mark.parametrize("distance", [1.01, 30.0, 3e5])
def test_rows_beyond_the_others_are_implied(d: int, distance: float) -> None:
    """A cube, its corners cut off along the diagonal, and two rows far behind its faces."""
    cube = np.concatenate([np.eye(d), -np.eye(d)])
    diagonal = np.full(d, d**-0.5)
    normals = np.concatenate([cube, [diagonal, -diagonal, diagonal]])
    offsets = np.concatenate([np.full(2 * d, distance), [0.9 * distance * d**0.5, 1.1 * distance * d**0.5]])
    rows = np.concatenate([normals, -np.append(offsets, 2 * distance * d**0.5)[:, None]], axis=1)
    state, beyond = decided(rows, np.arange(len(rows)))
    # the third diagonal row is implied by the first, the second one cuts no corner
    assert state.tolist() == [FACET] * (2 * d + 1) + [IMPLIED] * 2
    for i in range(2 * d + 1):
        excess = rows[:, :-1] @ beyond[i] + rows[:, -1]
        assert excess[i] > 0
        assert np.delete(excess, i).max() <= 1e-8  # the tolerance of the simplex method there


def test_equal_rows_stay_unclear() -> None:
    rows = np.array([[1.0, 0, -2], [1, 0, -2], [-1, 0, -2], [0, 1, -2], [0, -1, -2]])
    state, _ = decided(rows, np.arange(5))
    assert state.tolist() == [UNCLEAR, UNCLEAR, FACET, FACET, FACET]


def test_both_sides_of_facets_in_eight_dimensions() -> None:
    """Every facet between two regions is found from both."""
    network = seeded(0, 8, 6, 4, 1)
    regions = enumerate_regions(network, Polyhedron.box([-1] * 8, [1] * 8), LayerSplit(cells="lp"))
    inner = int((regions.facets.unit >= 0).sum())
    assert 2 * regions.adjacency().number_of_edges() == inner

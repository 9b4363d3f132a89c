"""Bounds on the distances of cells: never above points of the cells, and what they are for cubes."""

from __future__ import annotations

import numpy as np
import pytest

import polytope as pt
from polytope.core.vertex_cells import explore
from polytope.regions.cell_distances import cell_distances
from tests.networks import seeded


@pytest.mark.parametrize(("norm", "right"), [(1, 3.0), (2, 3**0.5), (np.inf, 1.0)])
def test_of_a_cube(norm: float, right: float) -> None:
    """Eight cubes around (0, 0, 0): of the point (-1, -1, -1) the last is 1 away on every coordinate."""
    net = pt.mlp([(np.eye(3), np.zeros(3)), (np.ones((1, 3)), [0.0])])
    cells = explore(net, pt.Polyhedron.box([-2] * 3, [2] * 3), keep="vertices")
    last = np.flatnonzero(cells.patterns.all(axis=1))
    found = cell_distances(cells.vertices, last, np.full(3, -1.0), norm)
    assert found[0] == pytest.approx(right, rel=1e-12)
    assert found[0] <= right


@pytest.mark.parametrize("norm", [1, 2, np.inf])
@pytest.mark.parametrize("far", [0.0, 1e6])
def test_no_point_of_a_cell_is_nearer(norm: float, far: float) -> None:
    net, x, rng = seeded(0, 4, 6, 6, 2), np.full(4, far + 0.3), np.random.default_rng(1)
    moved = pt.mlp([(np.eye(4), np.full(4, -far))]).then(net)
    cells = explore(moved, pt.Polyhedron.box([far - 2] * 4, [far + 2] * 4), keep="vertices")
    which = np.arange(cells.n_regions)[::-1]
    bounds, ends = cell_distances(cells.vertices, which, x, norm), cells.vertices.offsets
    near = []
    for i, bound in zip(which, bounds, strict=True):
        corners = cells.vertices.points[ends[i] : ends[i + 1]] - x
        inside = rng.dirichlet(np.full(len(corners), 0.2), 100) @ corners
        least = np.linalg.norm(np.concatenate([corners, inside]), norm, axis=1).min()
        assert bound <= least * (1 + 1e-9) + 1e-9
        near.append(bound / least)
    assert (bounds == 0).sum() >= 1  # the cell of x
    assert np.median(near) > 0.7

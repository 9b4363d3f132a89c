"""Volumes of cells from vertices and incidences: against Qhull, and as parts of the domain."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from polytope import Network, Polyhedron, enumerate_regions
from polytope.regions.kernels_volume import volumes
from polytope.regions.vertex_cell import explore
from tests.networks import integer, seeded, unit_box_of

NETWORKS = {
    **{f"generic in R^{d}": seeded(d, d, 6, 4, 1) for d in (1, 2, 3, 4, 5)},
    **{f"integer in R^{d}, seed {s}": integer(s, d, 5, 4, 1) for d in (2, 3, 4) for s in range(3)},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_cells_have_the_volume_of_their_hull(name: str) -> None:
    network: Network = NETWORKS[name]
    box = Polyhedron.box(*unit_box_of(network))
    found = explore(network, box.A, box.b, keep="vertices")
    sizes = volumes(found.vertex_offsets, found.vertices, found.incidences, found.facet_offsets)
    # the cells tile the box; a few hundred sums of rounded determinants
    assert sizes.sum() == pytest.approx(box.volume(), rel=1e-12)
    if network.input_dim > 1:
        for i in range(0, found.n_regions, 7):
            corners = found.vertices[found.vertex_offsets[i] : found.vertex_offsets[i + 1]]
            assert sizes[i] == pytest.approx(ConvexHull(corners).volume, rel=1e-7)


def test_a_complex_gives_the_volumes_of_its_regions_in_their_order() -> None:
    network = seeded(3, 3, 6, 4, 1)
    regions = enumerate_regions(network, Polyhedron.box(*unit_box_of(network)))
    one_by_one = np.array([region.volume() for region in regions])
    np.testing.assert_allclose(regions.volumes(), one_by_one, rtol=1e-6)

"""Volumes of cells from vertices and incidences: against Qhull, and as parts of the domain."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from polytope import Network, Polyhedron, _core, enumerate_regions, mlp, region_volumes
from polytope.core.vertex_cells import explore
from polytope.errors import UnboundedDomainError
from tests.networks import integer, seeded, unit_box_of

NETWORKS = {
    **{f"generic in R^{d}": seeded(d, d, 6, 4, 1) for d in (1, 2, 3, 4, 5)},
    **{f"integer in R^{d}, seed {s}": integer(s, d, 5, 4, 1) for d in (2, 3, 4) for s in range(3)},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_cells_have_the_volume_of_their_hull(name: str) -> None:
    network: Network = NETWORKS[name]
    box = Polyhedron.box(*unit_box_of(network))
    found = explore(network, box, keep="vertices")
    sizes, errors = _core.volumes(
        found.vertices.offsets,
        found.vertices.points,
        found.vertices.errors,
        found.vertices.incidences.view(np.uint64),
        found.facets.offsets,
    )
    assert (errors <= 2.0**-8 * sizes).mean() > 0.9  # floats are enough for most cells
    # the cells tile the box; a few hundred sums of rounded determinants
    assert sizes.sum() == pytest.approx(box.volume(), rel=1e-12)
    if network.input_dim > 1:
        for i in range(0, found.n_regions, 7):
            corners = found.vertices.points[found.vertices.offsets[i] : found.vertices.offsets[i + 1]]
            assert sizes[i] == pytest.approx(ConvexHull(corners).volume, rel=1e-7)


def test_a_complex_gives_the_volumes_of_its_regions_in_their_order() -> None:
    network = seeded(3, 3, 6, 4, 1)
    regions = enumerate_regions(network, Polyhedron.box(*unit_box_of(network)))
    one_by_one = np.array([region.volume() for region in regions])
    np.testing.assert_allclose(regions.volumes(), one_by_one, rtol=1e-9)
    found = region_volumes(regions)
    assert found.label == "bound"
    assert ((found.lower <= one_by_one) & (one_by_one <= found.upper)).all()


def test_above_six_dimensions_volumes_are_estimates_with_intervals() -> None:
    """Three cuts along coordinates of a 7-dimensional box: volumes are products, known by hand."""
    cuts = np.eye(7)[:3]
    network = mlp([(cuts, [0.5, 0.0, -0.5]), (np.ones((1, 3)), [0.0])])
    regions = enumerate_regions(network, Polyhedron.box([-1] * 7, [1] * 7))
    assert len(regions) == 8
    shares = np.array([[0.25, 0.75], [0.5, 0.5], [0.75, 0.25]])
    exact = 2.0**7 * shares[np.arange(3), regions.patterns].prod(axis=1)
    found = region_volumes(regions, samples=20_000, confidence=0.999)
    assert found.label == "estimate"
    assert ((found.lower <= exact) & (exact <= found.upper)).all()
    assert (found.lower < found.values).all()
    # the smallest share is 1/32: about 2 * 3.29 / sqrt(20,000 / 32) = 0.26 of the value wide
    assert (found.upper - found.lower < 0.3 * found.values).all()
    assert found.values.sum() == pytest.approx(2.0**7, rel=1e-12)  # each point falls into one region
    half = Polyhedron(np.vstack([np.eye(7), -np.eye(7), np.ones(7)]), np.array([1.0] * 14 + [0.0]))
    below = region_volumes(enumerate_regions(network, half), samples=20_000, confidence=0.999)
    assert below.lower.sum() <= 2.0**6 <= below.upper.sum()  # half of the box


def test_an_estimate_covers_the_exact_volume_as_often_as_it_says() -> None:
    """95 % intervals, 200 times: a binomial of 5 % exceeds 24 misses less than once in 10,000 times."""
    network = mlp([(np.eye(7)[:1], [0.9]), ([[1.0]], [0.0])])
    regions = enumerate_regions(network, Polyhedron.box([-1] * 7, [1] * 7))
    exact = 2.0**7 * np.where(regions.patterns[:, 0] == 1, 0.95, 0.05)
    missed = 0
    for seed in range(200):
        found = region_volumes(regions, samples=200, confidence=0.95, rng=np.random.default_rng(seed))
        missed += int(((exact < found.lower) | (found.upper < exact)).any())
    assert missed <= 24


def test_volumes_of_few_dimensions_are_exact_and_infinite_ones_refused() -> None:
    network = seeded(3, 2, 6, 4, 1)
    regions = enumerate_regions(network, Polyhedron.box(*unit_box_of(network)))
    found = region_volumes(regions)
    assert (found.label, found.confidence) == ("exact", 1.0)
    assert (found.upper - found.lower <= 1e-8 * found.values).all()
    assert found.values.sum() == pytest.approx(4, rel=1e-12)
    with pytest.raises(UnboundedDomainError):
        region_volumes(enumerate_regions(seeded(0, 2, 3, 1), Polyhedron.whole_space(2)))
    wide = enumerate_regions(seeded(0, 7, 2, 1), Polyhedron.whole_space(7))
    with pytest.raises(UnboundedDomainError):
        region_volumes(wide)
    with pytest.raises(ValueError, match="samples"):
        region_volumes(wide, samples=0)

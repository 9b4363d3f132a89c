"""Images: hand-worked ones, those of samples, hulls by Qhull, projections and pictures."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import ConvexHull, Delaunay

import polytope as pt
from polytope import errors
from polytope.plots.planar import area
from tests.networks import NETWORKS, box, integer, seeded


@pytest.mark.parametrize("name", ["relu_3-5-4-2", "residual", "grouped"])
def test_every_output_lies_in_the_image_of_its_region(name: str) -> None:
    network = NETWORKS[name]()
    regions = pt.enumerate_regions(network, box(network.input_dim, 1.0))
    found = pt.image(regions)
    assert (len(found), found.complete) == (len(regions), True)
    x = np.random.default_rng(0).uniform(-1, 1, (500, network.input_dim))
    y, place = network(x), regions.locate(x)
    low, high = found.bounds
    assert ((low - 1e-9 <= y) & (y <= high + 1e-9)).all()
    checked = 0
    for i in np.unique(place[place >= 0]).tolist():
        points, k = found.points[i], int(found.dimensions[i])
        J, _ = regions[i].jacobian
        assert k == np.linalg.matrix_rank(J)
        if k == points.shape[1] and k > 1:
            size = np.ptp(points, axis=0)
            grown = points.mean(axis=0) + (points - points.mean(axis=0)) * (1 + 1e-6)  # rounding of y
            assert (Delaunay(grown / size).find_simplex(y[place == i] / size) >= 0).all()
            checked += 1
        elif k == points.shape[1]:
            low, high = points.min() - 1e-9, points.max() + 1e-9
            assert ((low <= y[place == i]) & (y[place == i] <= high)).all()
            checked += 1
    assert checked > 3


@pytest.mark.parametrize("network", [seeded(1, 2, 6, 5, 2), integer(1, 2, 6, 5, 2)], ids=["real", "integer"])
def test_polygons_are_the_hulls_of_mapped_vertices(network: pt.Network) -> None:
    regions = pt.enumerate_regions(network, box(2, 1.0))
    found = pt.image(regions)
    planes = 0
    for region, polygon, k in zip(regions, found.points, found.dimensions.tolist(), strict=True):
        mapped = network(region.vertices())
        J, _ = region.jacobian
        if k == 2:
            hull = ConvexHull(mapped)
            assert len(polygon) == len(hull.vertices)
            assert area(polygon) == pytest.approx(hull.volume, rel=1e-9)
            assert area(polygon) == pytest.approx(abs(np.linalg.det(J)) * region.volume(), rel=1e-9)
            side = np.roll(polygon, -1, 0) - polygon
            turn = side[:, 0] * np.roll(side[:, 1], -1) - side[:, 1] * np.roll(side[:, 0], -1)
            assert (turn > 0).all()
            planes += 1
        elif k == 1:
            ends = mapped[np.argsort(mapped @ J.T @ np.ones(2))]
            assert len(polygon) == 2
            assert np.ptp(polygon, axis=0) == pytest.approx(np.ptp(ends, axis=0), abs=1e-12)
        else:
            np.testing.assert_allclose(polygon, mapped[:1], atol=1e-12)
    assert planes


def test_images_of_lower_dimension_say_so() -> None:
    """relu(x), relu(y), relu(x) + relu(y): a triangle's plane, two segments and a point."""
    network = pt.mlp([(np.eye(2), [0.0, 0.0]), ([[1.0, 0], [0, 1], [1, 1]], [0.0] * 3)])
    found = pt.image(pt.enumerate_regions(network, box(2, 1.0)))
    assert sorted(found.dimensions.tolist()) == [0, 1, 1, 2]
    square = found.points[int(found.dimensions.argmax())]
    assert {tuple(p) for p in square.tolist()} == {(0, 0, 0), (1, 0, 1), (1, 1, 2), (0, 1, 1)}
    assert [len(p) for p in found.points] == [{0: 1, 1: 2, 2: 4}[k] for k in found.dimensions.tolist()]
    low, high = found.bounds
    assert (low.tolist(), high.tolist()) == ([0, 0, 0], [1, 1, 2])


def test_a_projection_is_the_image_of_fewer_outputs() -> None:
    network = seeded(2, 3, 6, 4)
    regions = pt.enumerate_regions(network, box(3, 1.0))
    whole, flat = pt.image(regions), pt.image(regions, outputs=(3, 1))
    assert flat.outputs == (3, 1)
    for points, polygon in zip(whole.points, flat.points, strict=True):
        hull = ConvexHull(points[:, [3, 1]])
        assert area(polygon) == pytest.approx(hull.volume, rel=1e-9)
    assert (whole.dimensions == 3).any()


def test_what_has_no_image_is_refused() -> None:
    network = seeded(0, 2, 4, 2)
    regions = pt.enumerate_regions(network, box(2, 1.0))
    for outputs in ((), (2,), (-1, 0)):
        with pytest.raises(ValueError, match="outputs must be some of 0 to 1"):
            pt.image(regions, outputs=outputs)
    with pytest.raises(errors.UnboundedDomainError):
        pt.image(pt.enumerate_regions(network, pt.Polyhedron.whole_space(2)))
    some = pt.image(pt.enumerate_regions(network, box(2, 1.0), max_regions=2))
    assert not some.complete
    with pytest.raises(ValueError, match="draws two outputs"):
        pt.plot_image(pt.image(regions, outputs=(1,)))
    with pytest.raises(ValueError, match="one number for each"):
        pt.plot_image(pt.image(regions), values=[1.0])

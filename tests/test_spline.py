"""The spline view: layers as maxima, regions as least power distances, centroids as gradients."""

import numpy as np
import pytest

import polytope as pt
from polytope.ir import absolute, hard_tanh, prelu
from tests.networks import NETWORKS, integer, seeded, unit_box_of

CONVEX = [n for n in NETWORKS if not any(w in n for w in ("hard_tanh", "clip", "prelu"))]


@pytest.mark.parametrize("name", CONVEX)
def test_layers_are_maxima(name: str) -> None:
    network = NETWORKS[name]()
    rng = np.random.default_rng(0)
    for layer in network.layers:
        if layer.activation is None:
            continue
        parts = [rng.standard_normal((9, linear.shape[1])) for linear in layer.maps]
        z = layer.bias[:, None] + sum(m.apply(u.T) for m, u in zip(layer.maps, parts, strict=True))
        expected = layer.activation.values(z).T
        found = pt.max_affine_form(layer)(np.concatenate(parts, axis=1))
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", [n for n in CONVEX if NETWORKS[n]().input_dim < 4])
def test_inside_a_parent_cell_the_region_has_the_least_power_distance(name: str) -> None:
    network = NETWORKS[name]()
    box = pt.Polyhedron.box(*unit_box_of(network))
    regions = pt.enumerate_regions(network, box)
    x = np.concatenate(
        [np.random.default_rng(1).uniform(-1, 1, (100, network.input_dim)), regions.interior_points]
    )
    home = regions.locate(x)
    for number, layer in enumerate(network.layers, start=1):
        if layer.activation is None:
            continue
        front, here = network.unit_offsets[number - 1], network.unit_offsets[number]
        cells = pt.power_diagram(network, regions.patterns, number)
        powers = cells.power(x)
        siblings = (regions.patterns[home][:, None, :front] == regions.patterns[None, :, :front]).all(axis=2)
        least = np.where(siblings, powers, np.inf).min(axis=1)
        own = powers[np.arange(len(x)), home]
        size = 1 + np.abs(powers).max()
        assert (own <= least + 1e-10 * size).all()  # least, up to rounding
        # and only regions of the same cell of this layer come as near, at points well inside
        nearest = np.where(siblings, powers, np.inf).argmin(axis=1)
        same = (regions.patterns[nearest][:, front:here] == regions.patterns[home][:, front:here]).all(axis=1)
        tied = np.abs(powers[np.arange(len(x)), nearest] - own) <= 1e-10 * size
        assert (same | tied).all()
        np.testing.assert_allclose(
            pt.centroids(network, x, number), cells.centroids[home], rtol=1e-9, atol=1e-9 * size
        )
        one = pt.power_diagram(network, regions[0], number)
        np.testing.assert_allclose(one.centroids[0], cells.centroids[0], rtol=1e-12, atol=1e-12 * size)


@pytest.mark.parametrize("exponent", [-27, 27])
def test_the_nearest_cell_inside_a_parent_is_the_region_at_every_scale(exponent: int) -> None:
    """Inputs of size 1e-8 and 1e8: centroids are as many times larger or smaller."""
    size = 2.0**exponent
    network = pt.mlp([(np.eye(2) / size, [0, 0])]).then(seeded(0, 2, 6, 5, 1))
    regions = pt.enumerate_regions(network, pt.Polyhedron.box([-size] * 2, [size] * 2))
    for number, layer in enumerate(network.layers, start=1):
        if layer.activation is None:
            continue
        front, here = network.unit_offsets[number - 1], network.unit_offsets[number]
        _, parent = np.unique(regions.patterns[:, :front], axis=0, return_inverse=True)
        for cell in range(parent.max() + 1):
            inside = np.flatnonzero(parent == cell)
            cells = pt.power_diagram(network, regions.patterns[inside], number)
            own = regions.patterns[inside, front:here]
            np.testing.assert_array_equal(own[cells.nearest(regions.interior_points[inside])], own)


def test_two_lines_by_hand() -> None:
    """Units x and y: four quadrants; on all four mu is in {0, 1}^2 and tau = |mu|^2."""
    network = pt.mlp([(np.eye(2), [0, 0]), ([[1.0, 1.0]], [0])])
    codes = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], dtype=np.int8)
    cells = pt.power_diagram(network, codes, 1)
    np.testing.assert_array_equal(cells.centroids, codes)
    np.testing.assert_array_equal(cells.radii_squared, [0, 1, 1, 2])
    assert cells.power([[0.5, -2.0]]).argmin() == cells.nearest([[0.5, -2.0]]).item() == 1
    np.testing.assert_array_equal(cells.power([[0.5, -2.0]]), [[4.25, 3.25, 8.25, 7.25]])  # |x - mu|^2 - tau
    np.testing.assert_array_equal(pt.centroids(network, [[0.5, -2.0]], dtype="float32"), [[1.0, 0.0]])


def test_what_is_no_maximum_is_refused() -> None:
    for activation in (hard_tanh(), prelu([2.0, 0.0, 0.0])):
        network = seeded(0, 2, 3, 1, activation=activation)
        with pytest.raises(ValueError, match="not convex"):
            pt.max_affine_form(network.layers[0])
        with pytest.raises(ValueError, match="not convex"):
            pt.centroids(network, [[0.0, 0.0]])
    network = integer(0, 2, 3, 1, activation=absolute())
    with pytest.raises(ValueError, match="is affine"):
        pt.max_affine_form(network.layers[1])
    with pytest.raises(ValueError, match="no layer 3"):
        pt.power_diagram(network, np.zeros(3, dtype=np.int8), 3)

"""Exact local complexity: closed forms, the crossing count as a lower bound, budgets as intervals."""

from fractions import Fraction

import numpy as np
import pytest

import polytope as pt
from polytope.measures.local_complexity.neighbourhood import crossing_volume
from tests.networks import NETWORKS, seeded


@pytest.mark.parametrize("shape", ["cross-polytope", "box"])
def test_one_layer_in_a_window_is_the_hyperplanes_that_meet_it(shape: str) -> None:
    """Exact equals the closed form: a hyperplane meets the polytope if it separates its vertices."""
    network = seeded(1, 5, 12, 1)
    x = np.random.default_rng(2).normal(size=(6, 5))
    frame = np.linalg.qr(np.random.default_rng(3).normal(size=(5, 3)))[0].T
    layer = network.layers[0]
    W = frame @ layer.maps[0].apply_transpose(np.eye(12))
    reach = 0.4 * (np.abs(W).max(axis=0) if shape == "cross-polytope" else np.abs(W).sum(axis=0))
    expected = (np.abs(layer.preactivation([x.T]).T) < reach).sum(axis=1)
    found = pt.exact_local_complexity(network, x, 0.4, frames=frame, shape=shape)
    assert found.complete.all()
    np.testing.assert_array_equal(found.units_lower[:, 0], expected)
    np.testing.assert_array_equal(found.units_upper, found.units_lower)
    if shape == "cross-polytope":
        counted = pt.local_complexity(network, x, 0.4, frames=frame)
        np.testing.assert_array_equal(counted.total, expected)
        exactly = pt.local_complexity(network, x, 0.4, frames=frame, method="exact")
        np.testing.assert_array_equal(exactly.per_layer, found.units_lower)


@pytest.mark.parametrize("name", [n for n in NETWORKS if NETWORKS[n]().input_dim < 4])
def test_the_crossing_count_is_a_lower_bound(name: str) -> None:
    network = NETWORKS[name]()
    x = np.random.default_rng(4).normal(size=(5, network.input_dim))
    counted = pt.local_complexity(network, x, 0.7, frames=np.eye(network.input_dim))
    found = pt.exact_local_complexity(network, x, 0.7)
    assert found.complete.all()
    if "integer" not in name:  # ties at vertices count as crossings without one inside
        assert (counted.per_layer <= found.units_lower).all()
    assert (found.regions_lower >= 1 + (found.units_lower.sum(axis=1) > 0)).all()


def test_crossings_of_a_line_are_its_breakpoints() -> None:
    network = seeded(5, 1, 6, 6, 1)
    [found] = pt.exact_local_complexity(network, [[0.1]], 1.5).crossing_volume
    [regions] = pt.exact_local_complexity(network, [[0.1]], 1.5).regions_lower
    assert found == regions - 1


def test_area_of_the_crossings_in_a_cube() -> None:
    """Two planes: a square of area 4, and a rectangle along a diagonal."""
    network = pt.mlp([([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])
    area = crossing_volume(pt.enumerate_regions(network, pt.Polyhedron.box([-1] * 3, [1] * 3)))
    assert area == pytest.approx(4 + 4 * np.sqrt(2), rel=1e-9)


@pytest.mark.parametrize("shape", ["cross-polytope", "box"])
@pytest.mark.parametrize("d", [2, 3, 4])
def test_crossings_within_rounding_of_each_other(d: int, shape: str) -> None:
    """A row, and rounded thirds and tenths of it: planes 1e-17 apart that meet, each measured."""
    rng = np.random.default_rng(d)
    row = rng.integers(1, 5, d + 1).astype(float)
    W = np.stack([row, row / 3, row / 10, 7 * (row / 7)])
    for x in 0.1 * rng.standard_normal((3, d)):
        one = pt.mlp([(W[:1, :d], W[:1, d] - W[:1, :d] @ x - W[:1, d]), (np.ones((1, 1)), [0.0])])
        several = pt.mlp([(W[:, :d], W[:, d] - W[:, :d] @ x - W[:, d]), (np.ones((1, 4)), [0.0])])
        [area] = pt.exact_local_complexity(one, x[None], 0.5, shape=shape).crossing_volume
        found = pt.exact_local_complexity(several, x[None], 0.5, shape=shape)
        n = found.units_lower.sum()
        assert found.complete.all()
        assert 1 <= n <= 4
        # crossings that coincide exactly are measured once; the others lie within 1e-15 of the first
        assert any(found.crossing_volume[0] == pytest.approx(k * area, rel=1e-9) for k in range(1, n + 1))
        partial = pt.exact_local_complexity(several, x[None], 0.5, shape=shape, max_regions=2)
        assert 0 <= partial.crossing_volume[0] <= found.crossing_volume[0] * (1 + 1e-9)


def test_points_and_directions_are_taken_as_they_are() -> None:
    """The crossing of relu(x - 3 y) goes through (0.3, 0.1) if 3 * 0.1 is rounded; it is off by 2e-17."""
    network = pt.mlp([([[1.0, -3.0]], [0.0]), ([[1.0]], [0.0])])
    x = np.array([[0.3, 0.1]])
    near = float(abs(Fraction(0.3) - 3 * Fraction(0.1)))
    for radius, units in ((near / 4, 0), (near / 2, 1)):
        assert pt.exact_local_complexity(network, x, radius).units_lower.tolist() == [[units]]


def test_a_budget_gives_intervals() -> None:
    network = seeded(6, 2, 20, 20, 1)
    whole = pt.exact_local_complexity(network, [[0.0, 0.0]], 2.0)
    partial = pt.exact_local_complexity(network, [[0.0, 0.0]], 2.0, max_regions=5)
    assert whole.complete.all()
    assert not partial.complete.any()
    assert (partial.regions_lower <= whole.regions_lower).all()
    assert (whole.regions_upper <= partial.regions_upper).all()
    assert (partial.units_lower <= whole.units_lower).all()
    assert (whole.units_upper <= partial.units_upper).all()
    assert (partial.crossing_volume <= whole.crossing_volume).all()


def test_wrong_arguments_are_named() -> None:
    network = seeded(7, 2, 3, 1)
    with pytest.raises(ValueError, match="orthonormal directions"):
        pt.exact_local_complexity(network, [[0.0, 0.0]], 1.0, frames=[[1.0, 1.0]])
    with pytest.raises(ValueError, match="'cross-polytope' or 'box'"):
        pt.exact_local_complexity(network, [[0.0, 0.0]], 1.0, shape="ball")
    with pytest.raises(ValueError, match="positive finite"):
        pt.exact_local_complexity(network, [[0.0, 0.0]], 0.0)

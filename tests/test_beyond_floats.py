"""Numbers beyond the range of float64 are refused by name or bounded, and never called exact."""

from __future__ import annotations

from fractions import Fraction
from math import inf

import numpy as np
import pytest

from polytope import (
    Network,
    Polyhedron,
    effective_radius,
    enumerate_regions,
    hoffman_constant,
    lipschitz_bounds,
    lipschitz_constant,
    mlp,
    simplify,
)
from polytope.errors import GeometryError
from polytope.geometry.inside import radius_around

pytestmark = pytest.mark.filterwarnings("ignore:.*(overflow|invalid value):RuntimeWarning")

SQUARE = Polyhedron.box([-1, -1], [1, 1])
LARGE = mlp([([[1e308, 1e308]], [0.0]), ([[1.0]], [-1.0])])  # slopes of 1e308 each
LARGER = mlp([([[1e200, 0], [0, 1e200]], [0.0, 0.0]), ([[1e200, -1e200]], [0.0])])  # of 1e400


@pytest.mark.parametrize("network", [LARGE, LARGER])
def test_constants_beyond_floats_are_refused(network: Network) -> None:
    with pytest.raises(GeometryError, match="beyond the range of float64"):
        lipschitz_constant(enumerate_regions(network, SQUARE), inf, inf)  # 2e308, 2e400


def test_bounds_on_constants_beyond_floats_hold() -> None:
    found = lipschitz_bounds(LARGE, SQUARE, inf, inf)  # 2e308
    assert 0 <= found.lower < inf
    assert found.upper == inf


def test_slopes_beyond_floats_are_refused() -> None:
    region = enumerate_regions(LARGER, SQUARE)[3]
    with pytest.raises(GeometryError, match="beyond the range of float64"):
        _ = region.jacobian


def test_a_radius_beyond_floats_is_bounded_from_below() -> None:
    network = mlp([([[1e-200], [1.0]], [-1e200, 0]), ([[1.0, 1]], [0.0])])
    found = effective_radius(enumerate_regions(network, Polyhedron.whole_space(1)))  # 1e400
    assert (found.label, found.upper) == ("bound", inf)
    assert 1e308 < found.lower == float(found) < inf


def test_fractions_beyond_floats_have_constants() -> None:
    rows = np.array([[Fraction(1, 3)], [Fraction(10**400)]], dtype=object)
    assert hoffman_constant(rows) == 3.0
    for wrong in (np.array([[inf]]), np.array([[np.nan]])):
        with pytest.raises(ValueError, match="must be a finite matrix"):
            hoffman_constant(wrong)


def test_a_slack_beyond_floats_does_not_bound_a_ball() -> None:
    A, b = np.array([[1.0], [-1.0], [-1.0]]), np.array([1.7e308, 1.7e308, -1e308])
    assert radius_around(A, b, np.array([1.35e308])) == pytest.approx(3.5e307)


def test_networks_that_overflow_are_not_called_equal() -> None:
    """Their outputs differ by NaN, which is no more than any tolerance."""
    layers = [(np.full((3, 2), 1e200), [0.0, 1.0, 2.0]), (np.full((3, 3), 1e200), [0.0, 1.0, 2.0])]
    with pytest.raises(GeometryError, match="beyond the range of float64"):
        simplify(mlp([*layers, (np.ones((1, 3)), [0.0])]), SQUARE)

"""Crossings on a segment: what enumeration of a slice finds, what sampling finds, and by hand."""

from fractions import Fraction

import numpy as np
import pytest

import polytope as pt
from tests.networks import NETWORKS, integer, seeded


def segment(network: pt.Network, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two random points."""
    a, b = np.random.default_rng(seed).uniform(-2, 2, (2, network.input_dim))
    return a, b


@pytest.mark.parametrize("name", NETWORKS)
def test_crossings_are_those_of_the_slice_and_of_samples(name: str) -> None:
    network = NETWORKS[name]()
    a, b = segment(network, 3)
    found = pt.crossings(network, a, b)
    window = pt.Slice.through(a, b)
    regions = pt.enumerate_regions(network.restrict(window), pt.Polyhedron.box([0], [1]))
    corners = np.unique(np.concatenate([region.vertices() for region in regions]))
    assert found.complete
    assert len(found) == len(regions) - 1 == found.upper
    # the slice rounds its first layer: ends move by about 1e-15 over the smallest slope of a unit along it
    assert np.abs(corners[1:-1] - found.t).max(initial=0) < 1e-9
    t = np.random.default_rng(0).uniform(0, 1, 400)
    clear = np.abs(t[:, None] - found.t).min(axis=1, initial=1) > 1e-9
    place = np.searchsorted(found.t, t)
    x = a + t[:, None] * (b - a)
    values = np.einsum("sod,sd->so", found.J[place], x) + found.c[place]
    np.testing.assert_allclose(values[clear], network(x)[clear], rtol=1e-9, atol=1e-9)
    assert (found.ends[:-1, 1] == found.ends[1:, 0]).all()
    assert (found.ends[0, 0], found.ends[-1, 1]) == (0, 1)
    for i, units in enumerate(found.units):
        before, after = network.pattern(a + found.ends[i : i + 2].mean(axis=1)[:, None] * (b - a))
        assert np.flatnonzero(before != after).tolist() == units.tolist() != []


def test_parameters_are_fractions_of_the_network_as_it_is() -> None:
    """A unit of the first layer is zero where it is zero in fractions, at the end b too."""
    network = integer(1, 2, 5, 4, 1)
    a, b = np.array([-1.5, 0.1]), np.array([1.0, 1 / 3])
    found = pt.crossings(network, a, b)
    (W,) = (m.to_sparse().toarray() for m in network.layers[0].maps)
    for t, units in zip(found.exact, found.units, strict=True):
        x = [(1 - t) * Fraction(p) + t * Fraction(q) for p, q in zip(a.tolist(), b.tolist(), strict=True)]
        for unit in units[units < 5]:
            row = [Fraction(w) for w in W[unit].tolist()]
            z = sum(w * v for w, v in zip(row, x, strict=True)) + Fraction(
                float(network.layers[0].bias[unit])
            )
            assert z == 0
        assert float(t) in found.t
    assert sum((units < 5).sum() for units in found.units) > 0


def test_units_that_change_together_are_one_crossing() -> None:
    network = pt.mlp([([[1.0], [2.0], [1.0]], [0.0, 0.0, -0.5]), ([[1.0, 1.0, 1.0]], [0.0])])
    found = pt.crossings(network, [-1.0], [1.0])
    assert found.t.tolist() == [0.5, 0.75]
    assert [units.tolist() for units in found.units] == [[0, 1], [2]]
    assert found.points.tolist() == [[0.0], [0.5]]
    assert repr(found) == "Crossings(2, complete, on a segment in 1 dimensions)"
    back = pt.crossings(network, [1.0], [-1.0])
    assert back.t.tolist() == [0.25, 0.5]


def test_close_crossings_are_apart_as_fractions() -> None:
    """Breakpoints at 1/3 as it is in float64, and at the float64 number behind it."""
    third = 1 / 3
    network = pt.mlp([([[1.0], [1.0]], [-third, -np.nextafter(third, 1)]), ([[1.0, 1.0]], [0.0])])
    found = pt.crossings(network, [0.0], [1e6])
    assert len(found) == 2
    assert found.exact[0] == Fraction(third) / 10**6 < found.exact[1]


def test_a_budget_leaves_crossings_between_known_stretches() -> None:
    network = seeded(0, 6, 40, 40, 1)
    a, b = segment(network, 0)
    whole, part = pt.crossings(network, a, b), pt.crossings(network, a, b, max_regions=6)
    assert whole.complete
    assert not part.complete
    assert len(part) <= len(whole) <= part.upper
    assert set(part.exact) <= set(whole.exact)
    assert len(part.ends) >= 6
    assert {tuple(pair) for pair in part.ends.tolist()} <= {tuple(pair) for pair in whole.ends.tolist()}


def test_time_holds_the_exact_parameters_too() -> None:
    """Some hundred regions are found in a moment, and their ends take longer."""
    network = seeded(0, 6, 150, 150, 1)
    a, b = segment(network, 0)
    whole, part = pt.crossings(network, a, b), pt.crossings(network, a, b, max_seconds=1e-6)
    assert not part.complete
    assert len(part.ends) < len(whole.ends) <= part.upper + 1
    assert {tuple(pair) for pair in part.ends.tolist()} <= {tuple(pair) for pair in whole.ends.tolist()}


def test_ends_that_are_no_points_are_named() -> None:
    network = seeded(0, 2, 3, 1)
    with pytest.raises(ValueError, match=r"b must be a finite point of R\^2"):
        pt.crossings(network, [0, 0], [1, 2, 3])
    with pytest.raises(ValueError, match=r"a must be a finite point of R\^2"):
        pt.crossings(network, [0, np.nan], [1, 2])
    with pytest.raises(ValueError, match="one point, not a segment"):
        pt.crossings(network, [1, 2], [1, 2])

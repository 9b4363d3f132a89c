"""Enumeration up to symmetry: the same regions as without, from fewer; orbits; what is refused."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from polytope import (
    FacetFlip,
    Layer,
    LayerSplit,
    Network,
    Polyhedron,
    RegionComplex,
    Sampling,
    enumerate_regions,
    mlp,
)
from polytope.engines.engine import Engine
from polytope.equivariant import (
    Orbits,
    Representation,
    SymmetricComplex,
    burnside_count,
    cyclic,
    dihedral,
    enumerate_up_to_symmetry,
    fundamental_domain,
    invariant_part,
    orbits,
    permutation,
    region_action,
    rotation2d,
    trivial,
)
from polytope.errors import IncompleteComplexError, SymmetryError
from polytope.ir import Dense, absolute, relu
from tests.networks import seeded
from tests.symmetric_networks import C4, D4, LINE, SYMMETRIC, domain_of, group_network, natural, signed


@cache
def whole(name: str) -> RegionComplex:
    rho, make = SYMMETRIC[name]
    return enumerate_regions(make(), domain_of(rho))


@cache
def reduced(name: str) -> SymmetricComplex:
    rho, make = SYMMETRIC[name]
    return enumerate_up_to_symmetry(make(), rho, domain_of(rho))


def as_set(complex: RegionComplex) -> set[bytes]:
    return {pattern.tobytes() for pattern in complex.patterns}


@pytest.mark.parametrize("name", SYMMETRIC)
def test_the_count_is_that_of_full_enumeration(name: str) -> None:
    full, found = whole(name), reduced(name)
    assert found.complete
    assert found.n_regions == found.lower == found.upper == len(full)
    assert len(found.part) <= len(full)
    assert found.exact == (name != "C4 sheared")  # whose matrices are rounded


@pytest.mark.parametrize("name", SYMMETRIC)
def test_unfolding_gives_all_regions_with_points_inside(name: str) -> None:
    full, unfolded = whole(name), reduced(name).unfold()
    assert unfolded.complete
    assert len(unfolded) == len(full)
    assert as_set(unfolded) == as_set(full)
    seen = full.locate(unfolded.interior_points)
    np.testing.assert_array_equal(full.patterns[seen], unfolded.patterns)


@pytest.mark.parametrize("name", SYMMETRIC)
def test_orbits_are_those_of_the_whole_complex(name: str) -> None:
    full, found = whole(name), reduced(name)
    rho, _ = SYMMETRIC[name]
    action = region_action(full, rho)
    assert len(found.orbits) == len(orbits(action)) == burnside_count(action)
    assert sorted(found.orbits.size) == sorted(orbits(action).size)
    assert sorted(np.bincount(orbits(action).label)) == sorted(found.orbits.size)
    for size, elements in zip(found.orbits.size.tolist(), found.orbits.stabilizer, strict=True):
        assert size * len(elements) == len(rho)
        assert set(rho.group.table[elements][:, elements].ravel()) == set(elements)  # a subgroup
    points = full.interior_points
    for g in range(len(rho)):  # gR is where g takes the points of R
        np.testing.assert_array_equal(full.locate(points @ rho.matrices[g].T), action[g])


ENGINES: dict[str, Engine] = {
    "lp": LayerSplit(cells="lp"),
    "flip": FacetFlip([0.3, 0.1], order="hops"),
    "flip elsewhere": FacetFlip([-1.5, 0.2], order="hops"),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["C4 deep", "one-sided", "D4 leaky"])
def test_every_engine_gives_the_count(engine: str, name: str) -> None:
    rho, make = SYMMETRIC[name]
    found = enumerate_up_to_symmetry(make(), rho, domain_of(rho), ENGINES[engine])
    assert found.complete
    assert found.n_regions == len(whole(name))
    assert as_set(found.unfold()) == as_set(whole(name))


def test_the_whole_space_is_a_domain_too() -> None:
    net, space = group_network(C4, 20, blocks=1), Polyhedron.whole_space(2)
    full = enumerate_regions(net, space)
    found = enumerate_up_to_symmetry(net, C4, space, FacetFlip())
    assert found.n_regions == len(full)
    assert as_set(found.unfold()) == as_set(full)


def test_a_hand_count() -> None:
    """Four half-planes |x| > 1, |y| > 1 make nine cells: corners, sides, and the middle, that D4 keeps."""
    axes = np.concatenate([np.eye(2), -np.eye(2)])
    net = mlp([(axes, [-1.0] * 4), (np.ones((1, 4)), [0.0])])
    found = enumerate_up_to_symmetry(net, D4, Polyhedron.box([-2, -2], [2, 2]))
    assert found.n_regions == 9
    assert len(found.part) == 3
    assert sorted(found.orbits.size.tolist()) == [1, 4, 4]
    assert sorted(found.multiplicity.tolist()) == [2, 2, 8]
    assert sorted(len(s) for s in found.orbits.stabilizer) == [2, 2, 8]


def test_a_unit_on_its_breakpoint_all_over_a_region() -> None:
    """|relu(x - 1) - relu(-x - 1)| is 0 on [-1, 1]: x -> -x exchanges the pieces of |z|, but not there."""
    net = Network(
        (1,),
        (
            Layer((0,), (Dense(np.array([[1.0], [-1.0]])),), np.array([-1.0, -1.0]), relu()),
            Layer((1,), (Dense(np.array([[1.0, -1.0]])),), np.zeros(1), absolute()),
            Layer((2,), (Dense(np.ones((1, 1))),), np.zeros(1)),
        ),
    )
    full = enumerate_regions(net, Polyhedron.box([-2], [2]))
    found = enumerate_up_to_symmetry(net, LINE, Polyhedron.box([-2], [2]))
    assert (found.n_regions, found.orbits.size.tolist()) == (3, [1, 2])
    assert as_set(found.unfold()) == as_set(full)


def test_any_fundamental_domain_gives_the_count() -> None:
    """Walls that cut regions, walls that do not, and a domain that is larger than it needs to be."""
    rho, make = SYMMETRIC["C4"]
    for point in ([1.0, 0.0], [0.3, -1.0], [5.0, 4.9]):
        cone = fundamental_domain(rho, point)
        assert enumerate_up_to_symmetry(make(), rho, domain_of(rho), fundamental=cone).n_regions == len(
            whole("C4")
        )
    half = Polyhedron(np.array([[1.0, 0.0]]), np.zeros(1))
    found = enumerate_up_to_symmetry(make(), rho, domain_of(rho), fundamental=half)
    assert found.n_regions == len(whole("C4")) > len(found.part) > len(reduced("C4").part)


def test_images_of_the_fundamental_domain_tile() -> None:
    rng = np.random.default_rng(0)
    for rho in (C4, D4, natural(4), signed(3), SYMMETRIC["C4 sheared"][0], rotation2d(dihedral(5))):
        cone = fundamental_domain(rho)
        points = rng.standard_normal((300, rho.dim))
        inside = np.array([cone.contains(points @ M.T) for M in rho.matrices])
        assert (inside.sum(axis=0) == 1).all()
        assert len(cone.A) <= len(rho) - 1
    assert len(fundamental_domain(natural(5)).A) == 4  # x1 <= ... <= x5, out of 119 rows
    assert len(fundamental_domain(D4).A) == 2
    assert len(fundamental_domain(trivial(cyclic(3), 2)).A) == 0
    assert fundamental_domain(LINE).contains([[1.0], [-1.0]]).tolist() == [True, False]
    # (1, 2) lies on no mirror of D4, but (1, 2, 0, ...) may be fixed: then another point is taken
    rows = [[0, 1, 2, 3], [1, 0, 2, 3], [0, 1, 3, 2], [1, 0, 3, 2]]
    assert len(fundamental_domain(permutation(dihedral(2), rows)).A) == 2


def test_a_budget_gives_an_interval() -> None:
    rho, make = SYMMETRIC["D4"]
    for limit in (1, 5, 12):
        part = enumerate_up_to_symmetry(make(), rho, domain_of(rho), max_regions=limit)
        assert not part.complete
        assert not part.exact
        assert limit <= part.lower < len(whole("D4")) <= part.upper
        unfolded = part.unfold()
        assert not unfolded.complete
        assert as_set(unfolded) <= as_set(whole("D4"))
        with pytest.raises(IncompleteComplexError):
            region_action(unfolded, rho)
    sampled = enumerate_up_to_symmetry(make(), rho, domain_of(rho), Sampling(300))
    assert not sampled.complete
    assert sampled.lower <= len(whole("D4")) <= sampled.upper


def test_domains_that_the_group_does_not_preserve_are_refused() -> None:
    rho, make = SYMMETRIC["C4"]
    for domain in (
        Polyhedron.box([-1, -1], [1, 1.001]),
        Polyhedron.box([-1, -1], [1, np.nextafter(1, 2)]),
        Polyhedron.cross_polytope([0.1, 0.0], 1.0),
    ):
        with pytest.raises(ValueError, match=r"does not preserve the domain.*invariant_part"):
            enumerate_up_to_symmetry(make(), rho, domain)
        kept = invariant_part(domain, rho)
        assert enumerate_up_to_symmetry(make(), rho, kept).n_regions == len(enumerate_regions(make(), kept))
    half = Polyhedron(np.array([[1.0, 0.0]]), np.zeros(1))
    with pytest.raises(ValueError, match="does not preserve"):
        enumerate_up_to_symmetry(make(), rho, half)
    with pytest.raises(ValueError, match=r"R\^3"):
        enumerate_up_to_symmetry(make(), rho, Polyhedron.box([-1] * 3, [1] * 3))
    with pytest.raises(ValueError, match=r"R\^3"):
        enumerate_up_to_symmetry(make(), natural(3), Polyhedron.box([-1] * 3, [1] * 3))


def test_the_same_domain_may_be_described_otherwise() -> None:
    rho, make = SYMMETRIC["C4"]
    rows = np.array([[1.0, 0.0], [0.0, 3.0], [-2.0, 0.0], [0.0, -0.1], [1.0, 1.0]])
    square = Polyhedron(rows, np.array([2.0, 6.0, 4.0, 0.2, 9.0]))
    assert enumerate_up_to_symmetry(make(), rho, square).n_regions == len(whole("C4"))


def test_rounded_matrices_are_checked_up_to_rounding() -> None:
    rho = rotation2d(cyclic(3))
    triangle = invariant_part(Polyhedron.box([-1, -1], [1, 1]), rho)
    net = group_network(rho, 1, blocks=1, depth=1)
    found = enumerate_up_to_symmetry(net, rho, triangle)
    assert not found.exact
    assert found.action.error < 1e-15
    assert found.n_regions == len(enumerate_regions(net, triangle))
    with pytest.raises(ValueError, match="does not preserve"):
        enumerate_up_to_symmetry(net, rho, Polyhedron.box([-1, -1], [1, 1]))


def test_networks_without_the_symmetry_are_refused() -> None:
    square = Polyhedron.box([-1, -1], [1, 1])
    with pytest.raises(SymmetryError, match=r"does not permute the units.*certify_equivariance"):
        enumerate_up_to_symmetry(seeded(0, 2, 5, 5, 1), C4, square)
    almost = group_network(C4, 0)
    almost.layers[1].bias[3] += 1e-6
    with pytest.raises(SymmetryError):
        enumerate_up_to_symmetry(almost, C4, square)


def test_actions_on_lists() -> None:
    found = orbits(np.array([[0, 1, 2, 3], [1, 0, 2, -1]]))
    assert isinstance(found, Orbits)
    assert found.label.tolist() == [0, 0, 1, 2]
    assert found.size.tolist() == [2, 1, 2]
    assert burnside_count(np.array([[0, 1, 2], [1, 2, 0], [2, 0, 1]])) == 1
    with pytest.raises(ValueError, match="permutation"):
        burnside_count(np.array([[0, 0]]))
    with pytest.raises(ValueError, match="no"):
        burnside_count(np.array([[0, 1], [1, 0], [1, 0]]))


def test_a_representation_need_not_be_of_the_right_group() -> None:
    """A map of infinite order is no representation of a finite group."""
    with pytest.raises(ValueError, match="left actions"):
        Representation(cyclic(2), np.array([np.eye(2), [[0.6, -0.8], [0.8, 0.6]]]))

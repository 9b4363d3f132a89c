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
from polytope.engines.sampling import random_points
from polytope.equivariant import (
    Orbits,
    Representation,
    SymmetricComplex,
    burnside_count,
    certify_equivariance,
    cyclic,
    dihedral,
    enumerate_up_to_symmetry,
    fundamental_domain,
    invariant_part,
    orbits,
    permutation,
    region_action,
    rotation2d,
    symmetrised,
    trivial,
)
from polytope.equivariant.symmetry.covering import require_covering
from polytope.equivariant.symmetry.unit_action import unit_action
from polytope.errors import IncompleteComplexError, SymmetryError, UnboundedDomainError
from polytope.ir import Dense, absolute, relu
from tests.networks import seeded
from tests.symmetric_networks import C4, D4, LINE, SYMMETRIC, domain_of, group_network, natural, noisy, signed


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
    assert found.n_regions == len(full)
    assert found.lower <= len(full) <= found.upper
    assert len(found.part) <= len(full)
    assert found.exact == found.complete == (name != "C4 sheared")  # whose matrices are rounded


@pytest.mark.parametrize("name", SYMMETRIC)
def test_unfolding_gives_all_regions_with_points_inside(name: str) -> None:
    full, unfolded = whole(name), reduced(name).unfold()
    assert unfolded.complete == reduced(name).exact
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


def test_a_polyhedron_that_misses_orbits_is_refused() -> None:
    """A quarter of the square meets every orbit of quarter turns; a bit less counted too few as exact."""
    rho, make = SYMMETRIC["C4"]
    square = domain_of(rho)
    ((_, side), _) = square.bounds.T
    found = enumerate_up_to_symmetry(make(), rho, square, fundamental=[[0.0, side], [0.0, side]])
    assert found.exact
    assert found.n_regions == len(whole("C4"))
    for less in (0.1, side - 2**-50):
        with pytest.raises(ValueError, match="must meet every orbit"):
            enumerate_up_to_symmetry(make(), rho, square, fundamental=[[0.0, less], [0.0, side]])


def test_a_polyhedron_that_rounded_rotations_do_not_move_everywhere_is_refused() -> None:
    rho = rotation2d(dihedral(5))
    disc = invariant_part(Polyhedron.box([-1, -1], [1, 1]), rho)
    cone = fundamental_domain(rho, [0.3, -1.0])
    require_covering(cone, disc, rho)
    with pytest.raises(ValueError, match="must meet every orbit"):
        require_covering(Polyhedron(cone.A, cone.b - 0.1), disc, rho)


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


ROUNDED = {name: SYMMETRIC[name] for name in ("C4", "D4 leaky", "C4 hard_tanh", "C4 max", "S3", "line")}


@pytest.mark.parametrize("name", ROUNDED)
def test_tied_weights_are_symmetric_and_near(name: str) -> None:
    rho, make = ROUNDED[name]
    domain, exact = domain_of(rho), make()
    rough = noisy(exact, 2e-16)
    found = symmetrised(rough, rho, domain)
    assert unit_action(found.network, rho).exact
    x = np.concatenate([domain.vertices(), *random_points(domain, 1000, np.random.default_rng(0))])
    apart = np.abs(rough(x) - found.network(x)).max(axis=0)
    assert (apart <= found.difference + 1e-13 * np.abs(exact(x)).max()).all()  # evaluation rounds
    assert 0 < found.difference.max() < 1e-14 * (1 + np.abs(exact(x)).max()) * sum(exact.widths)
    wide = symmetrised(noisy(exact, 1e-5), rho, domain, tolerance=1e-3)  # as far as is asked for
    assert unit_action(wide.network, rho).exact
    again = symmetrised(exact, rho, domain)  # nothing to tie
    assert not again.difference.any()
    for la, lb in zip(exact.layers, again.network.layers, strict=True):
        np.testing.assert_array_equal(la.bias, lb.bias)
        np.testing.assert_array_equal(la.maps[0].to_sparse().toarray(), lb.maps[0].to_sparse().toarray())


@pytest.mark.parametrize("seed", [0, 1])
def test_bounds_hold_where_the_symmetry_is_rounded(seed: int) -> None:
    """Planes through one line are none any more when they are off by 2e-16: there are more regions."""
    rho, domain = natural(3), Polyhedron.box([-2] * 3, [2] * 3)
    net = noisy(group_network(rho, seed, blocks=1), 2e-16)
    full, found = enumerate_regions(net, domain), enumerate_up_to_symmetry(net, rho, domain)
    assert not found.exact
    assert not found.complete
    assert found.n_regions != len(full)  # an estimate
    assert len(found.part) <= found.lower <= len(full) <= found.upper
    unfolded = found.unfold()
    assert not unfolded.complete
    assert as_set(unfolded) <= as_set(full)
    assert (len(unfolded), unfolded.upper) == (found.lower, found.upper)
    tied = symmetrised(net, rho, domain).network
    counted = enumerate_up_to_symmetry(tied, rho, domain)
    assert counted.exact
    assert counted.lower == counted.upper == len(enumerate_regions(tied, domain)) < len(full)


def test_outputs_are_tied_too_where_that_is_asked() -> None:
    rho = D4
    net = group_network(rho, 0)
    weights = np.repeat(np.array([[1.0, 1.0]]), 8, axis=1)
    weights[0, 0] += 2.0**-52
    last = Layer((2,), (Dense(weights),), np.zeros(1))
    rough = Network((2,), (*net.layers[:-1], last))
    box = domain_of(rho)
    left = symmetrised(rough, rho, box).network.layers[-1].maps[0].to_sparse().toarray()
    np.testing.assert_array_equal(left, weights)
    tied = symmetrised(rough, rho, box, rho_out=trivial(rho.group)).network
    assert all(certify_equivariance(tied, rho, trivial(rho.group), box).proved)


def test_what_cannot_be_tied_is_refused() -> None:
    square = Polyhedron.box([-1, -1], [1, 1])
    with pytest.raises(SymmetryError, match="does not permute the units"):
        symmetrised(seeded(0, 2, 5, 1), C4, square)
    with pytest.raises(ValueError, match="signed permutations"):
        symmetrised(group_network(rotation2d(cyclic(3)), 0), rotation2d(cyclic(3)), square)
    with pytest.raises(ValueError, match="only the last layer"):
        symmetrised(SYMMETRIC["C4 skip"][1](), C4, square)
    with pytest.raises(UnboundedDomainError):
        symmetrised(group_network(C4, 0), C4, Polyhedron.whole_space(2))
    with pytest.raises(ValueError, match=r"R\^3"):
        symmetrised(group_network(C4, 0), C4, Polyhedron.box([-1] * 3, [1] * 3))


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

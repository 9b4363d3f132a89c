"""Networks that follow a group but for rounding: what their weights are off by bounds their defect."""

from __future__ import annotations

from dataclasses import replace
from time import process_time

import numpy as np
import pytest

from polytope import Network, Polyhedron, mlp
from polytope.equivariant import Representation, certify_equivariance, cyclic, equivariance_error, trivial
from polytope.equivariant.symmetry.mismatch import defect_bounds
from polytope.ir import Dense, prelu
from tests.networks import seeded
from tests.symmetric_networks import C2, SYMMETRIC, domain_of, group_network, noisy

NEAR = [name for name in SYMMETRIC if name not in ("C4 degenerate", "not faithful", "one-sided", "B3")]


def quarter_turns(n: int) -> Representation:
    """Images of n x n pixels, turned."""
    turn = np.eye(n * n)[np.rot90(np.arange(n * n).reshape(n, n)).ravel()]
    return Representation(cyclic(4), np.array([np.linalg.matrix_power(turn, k) for k in range(4)]))


def image_network(rho: Representation) -> Network:
    """Two group convolutions with weights of the usual size."""
    net = group_network(rho, 0, blocks=4)
    maps = [Dense(la.maps[0].to_sparse().toarray() / np.sqrt(la.maps[0].shape[1])) for la in net.layers]
    return replace(net, layers=tuple(replace(la, maps=(m,)) for la, m in zip(net.layers, maps, strict=True)))


@pytest.mark.parametrize("eps", [1e-15, 1e-7])
@pytest.mark.parametrize("name", NEAR)
def test_bounds_are_of_the_size_of_the_noise_and_hold(name: str, eps: float) -> None:
    rho, make = SYMMETRIC[name]
    net, domain = noisy(make(), eps), domain_of(rho)
    out = trivial(rho.group, net.output_dim)
    rng = np.random.default_rng(1)
    low, high = domain.bounds
    x = np.concatenate([low + (high - low) * rng.random((4000, len(low))), domain.vertices()])
    seen = equivariance_error(net, rho, out, x).max(axis=1)
    exact = make()
    size = np.abs(exact(x)).max() * sum(la.width for la in net.layers) * 100  # of what noise is a share of
    for g, (into, turned) in enumerate(zip(rho.matrices, out.matrices, strict=True)):
        ends = defect_bounds(net, into, turned, domain.bounds)
        assert ends is not None
        bound = np.abs(ends).max()
        assert bound >= seen[g] - 1e-12  # evaluation rounds
        assert bound <= (eps + 1e-15) * max(size, 100.0)


def test_the_bound_holds_where_it_is_attained() -> None:
    """relu(x) + (1 + e) relu(y) is off by e |relu(x) - relu(y)|, at most e."""
    e = 2.0**-20
    net = mlp([(np.eye(2), np.zeros(2)), (np.array([[1.0, 1.0 + e]]), [0.0])])
    ends = defect_bounds(net, C2.matrices[1], np.eye(1), np.array([[-1.0, -1.0], [1.0, 1.0]]))
    assert ends is not None
    assert e <= ends[1, 0] <= 2 * e * (1 + 1e-9)
    assert -2 * e * (1 + 1e-9) <= ends[0, 0] <= -e


def test_equal_rows_are_off_by_nothing() -> None:
    rho = quarter_turns(3)
    net = image_network(rho)
    for into in rho.matrices:
        ends = defect_bounds(net, into, np.eye(1), np.array([[0.0] * 9, [1.0] * 9]))
        assert ends is not None
        assert not ends.any()


def test_units_that_are_unlike_are_not_bounded() -> None:
    box = np.array([[-1.0, -1.0], [1.0, 1.0]])
    assert defect_bounds(seeded(0, 2, 6, 1), C2.matrices[1], np.eye(1), box) is None
    both = mlp([(np.eye(2), np.zeros(2)), (np.ones((1, 2)), [0.0])], prelu([0.1, 0.2]))
    assert defect_bounds(both, C2.matrices[1], np.eye(1), box) is None


@pytest.mark.parametrize("n", [4, 8])
def test_noise_in_many_dimensions_is_bounded_first(n: int) -> None:
    rho, box = quarter_turns(n), Polyhedron.box([0] * n * n, [1] * n * n)
    out = trivial(rho.group)
    proof = certify_equivariance(noisy(image_network(rho), 1e-15), rho, out, box)
    assert proof.exact
    assert (proof.max_error <= 1e-12).all()
    assert proof.regions == 0
    begun = process_time()
    rough = certify_equivariance(noisy(image_network(rho), 1e-7), rho, out, box, max_seconds=1)
    assert process_time() - begun < 20  # two cores, and what is loaded at first
    assert not rough.exact
    assert (rough.lower <= rough.max_error).all()
    assert 0 < rough.max_error[1:].max() < 1e-4


def test_branch_and_bound_finds_defects_in_many_dimensions() -> None:
    """Between what is attained and what is proved there is no more than a millionth."""
    net = seeded(0, 9, 3, 1)
    swap = np.eye(9)[[1, 0, *range(2, 9)]]
    rho = Representation(C2.group, np.array([np.eye(9), swap]))
    box = Polyhedron.box([-1] * 9, [1] * 9)
    proof = certify_equivariance(net, rho, trivial(C2.group), box)
    x = np.random.default_rng(0).uniform(-1, 1, (20_000, 9))
    assert proof.exact
    assert proof.max_error[1] >= equivariance_error(net, rho, trivial(C2.group), x)[1].max()
    np.testing.assert_allclose(proof.lower[1], proof.max_error[1], rtol=1e-6)
    assert box.contains(proof.witness[1][None])[0]

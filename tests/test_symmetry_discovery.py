"""Symmetries found in weights: planted ones behind shuffled and rescaled units, and none elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from polytope import Network, mlp
from polytope.equivariant import (
    Representation,
    certify_equivariance,
    cyclic,
    dihedral,
    image_grid,
    input_symmetry_group,
    layerwise_symmetry,
    output_representation,
    permutation,
    trivial,
)
from polytope.errors import SymmetryError
from polytope.ir import absolute
from polytope.runs.enumerate import enumerate_regions
from tests.networks import layer_values, seeded
from tests.symmetric_networks import C4, D4, LINE, SYMMETRIC, domain_of, group_network, natural, signed


def hidden(net: Network, seed: int, *, binary: bool) -> Network:
    """The same function with the units of every layer shuffled and rescaled, by powers of two or not."""
    rng = np.random.default_rng(seed)
    layers = []
    order, scale = np.arange(net.input_dim), np.ones(net.input_dim)
    for layer in net.layers:
        W = layer.maps[0].to_sparse().toarray()[:, order] / scale
        n = len(W)
        order, scale = np.arange(n), np.ones(n)
        if layer is not net.layers[-1]:
            order = rng.permutation(n)
            scale = 2.0 ** rng.integers(-3, 4, n) if binary else rng.uniform(0.5, 2, n)
        layers.append((W[order] * scale[:, None], layer.bias[order] * scale))
    return mlp(layers)


TURN = permutation(cyclic(6), [np.roll(range(6), k) for k in range(6)])
PLANTED = {
    "C4": (C4, "signed_permutations"),
    "D4": (D4, "signed_permutations"),
    "S4": (natural(4), "permutations"),
    "B2": (signed(2), "signed_permutations"),
    "C6": (TURN, "permutations"),
    "D4 on images": (image_grid(dihedral(4), 4, 4), "permutations"),
    "sign": (LINE, "signed_permutations"),
}


def as_set(matrices: np.ndarray) -> set[bytes]:
    return {(M + 0.0).tobytes() for M in matrices}


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("name", PLANTED)
def test_planted_symmetries_are_found_and_no_other(name: str, binary: bool) -> None:
    rho, candidates = PLANTED[name]
    net = hidden(group_network(rho, 31, blocks=1), 5, binary=binary)
    group, found = input_symmetry_group(net, candidates)  # type: ignore[arg-type]
    assert as_set(found.matrices) == as_set(rho.matrices)
    assert len(group) == len(rho)
    for M in found.matrices[1:4]:
        action = layerwise_symmetry(net, M)
        assert action is not None
        assert action.error < 1e-12
        assert action.exact == binary  # other factors round the weights


@pytest.mark.parametrize("candidates", ["permutations", "signed_permutations"])
def test_random_networks_have_no_symmetry(candidates: str) -> None:
    for seed in range(3):
        group, rho = input_symmetry_group(seeded(seed, 4, 8, 8, 1), candidates)  # type: ignore[arg-type]
        assert len(group) == 1
        assert rho.matrices.tolist() == [np.eye(4).tolist()]


def test_a_small_change_breaks_the_symmetry() -> None:
    net = group_network(natural(3), 1)
    net.layers[1].bias[4] += 1e-5
    assert len(input_symmetry_group(net)[0]) < 6
    assert len(input_symmetry_group(net, tolerance=1e-3)[0]) == 6


def test_the_first_layer_may_have_more_symmetry_than_the_network() -> None:
    """Rows of a dihedral orbit, joined by a layer that only keeps the turns."""
    net = group_network(C4, 4, blocks=1)
    W, b = net.layers[0].maps[0].to_sparse().toarray(), net.layers[0].bias
    axes = np.array([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]])
    group, _ = input_symmetry_group(mlp([(axes, b), *layers_of(net)[1:]]), "signed_permutations")
    assert W.shape == axes.shape
    assert len(group) == 4
    assert (
        len(input_symmetry_group(mlp([(axes, b), (np.ones((1, 4)), [0.0])]), "signed_permutations")[0]) == 8
    )


def layers_of(net: Network) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(layer.maps[0].to_sparse().toarray(), layer.bias) for layer in net.layers]


def test_candidates_may_be_a_group() -> None:
    """Of the square's symmetries, those that a network with turns only follows."""
    group, rho = input_symmetry_group(group_network(C4, 2), D4)
    assert as_set(rho.matrices) == as_set(C4.matrices)
    assert len(group.generators) == 1
    with pytest.raises(ValueError, match=r"R\^3"):
        input_symmetry_group(group_network(C4, 2), natural(3))


def test_the_hidden_action_is_monomial() -> None:
    net = hidden(group_network(D4, 3), 1, binary=True)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((50, 2))
    for M in D4.matrices:
        action = layerwise_symmetry(net, M)
        assert action is not None
        here = [h for _, h in layer_values(net, x.T)]
        there = [h for _, h in layer_values(net, M @ x.T)]
        for matrix, h, moved in zip(action.matrices(), here, there, strict=False):
            assert (np.count_nonzero(matrix, axis=0) == 1).all()
            assert (np.count_nonzero(matrix, axis=1) == 1).all()
            np.testing.assert_allclose(matrix @ h, moved, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", SYMMETRIC)
def test_patterns_move_with_points(name: str) -> None:
    rho, make = SYMMETRIC[name]
    net = make()
    x = enumerate_regions(net, domain_of(rho)).interior_points
    for g in rho.group.generators:
        action = layerwise_symmetry(net, rho.matrices[g], values=False)
        assert action is not None
        same = action.move(net.pattern(x)) == net.pattern(x @ rho.matrices[g].T)
        assert same.mean() > 0.99  # units on a breakpoint all over a region own a tie by convention


def test_outputs_are_permuted_too() -> None:
    """Two outputs that the exchange of coordinates exchanges, one that it keeps, one that it negates."""
    swap = permutation(cyclic(2), [[0, 1], [1, 0]])
    W = np.array([[1.0, 0.5], [0.5, 1.0], [1.0, 1.0]])
    V = np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [1.0, -1.0, 0]])
    net = mlp([(W, [0.1, 0.1, 0.0]), (V, np.zeros(4))])
    out = output_representation(net, swap)
    assert out.matrices[1].tolist() == [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, -1]]
    from polytope import Polyhedron

    assert all(certify_equivariance(net, swap, out, Polyhedron.box([-1, -1], [1, 1])).proved)
    with pytest.raises(SymmetryError, match="element 1"):
        output_representation(seeded(0, 2, 4, 1), swap)


def test_other_activations() -> None:
    """|x| + |y| + |z| has all 48 signed permutations, max(x, 0) + ... only the 6 permutations."""
    eye = (np.eye(3), np.zeros(3))
    total = (np.ones((1, 3)), [0.0])
    assert len(input_symmetry_group(mlp([eye, total], absolute()), "signed_permutations")[0]) == 48
    assert len(input_symmetry_group(mlp([eye, total]), "signed_permutations")[0]) == 6
    assert len(input_symmetry_group(mlp([eye]), "signed_permutations")[0]) == 48  # x itself


def test_groups_that_are_too_large_are_refused() -> None:
    sum_of_nine = mlp([(np.ones((1, 9)), [0.0]), ([[1.0]], [0.0])])
    with pytest.raises(SymmetryError, match="362880 elements"):
        input_symmetry_group(sum_of_nine)
    with pytest.raises(SymmetryError, match="max_checks"):
        input_symmetry_group(seeded_behind_a_sum(), max_checks=50)
    with pytest.raises(ValueError, match="candidates"):
        input_symmetry_group(sum_of_nine, "rotations")  # type: ignore[arg-type]
    group, rho = input_symmetry_group(sum_of_nine, trivial(cyclic(2), 9))
    assert isinstance(rho, Representation)
    assert len(group) == 2


def seeded_behind_a_sum() -> Network:
    """A first layer with every symmetry, and a second one with none."""
    rng = np.random.default_rng(0)
    return mlp(
        [(np.eye(7), np.zeros(7)), (rng.standard_normal((5, 7)), np.zeros(5)), (np.ones((1, 5)), [0.0])]
    )

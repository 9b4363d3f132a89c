"""Layers of groups and sets: they commute with the group, lower to networks, and are proved symmetric."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from torch import nn

from adapters import from_torch
from polytope import Polyhedron, count_regions
from polytope.equivariant import (
    DeepSets,
    FiniteGroup,
    GroupConv2d,
    GroupPool,
    LiftingConv2d,
    SetLinear,
    certify_equivariance,
    cyclic,
    dihedral,
    enumerate_up_to_symmetry,
    equivariance_error,
    feature_grid,
    image_grid,
    input_symmetry_group,
    permutation,
    symmetric,
    tensor_product,
    trivial,
)
from polytope.equivariant.representations import Representation


class Total(nn.Module):
    """The sum over pixels."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Both axes."""
        return x.sum((2, 3))


def group_cnn(group: FiniteGroup, reduce: str) -> nn.Module:
    """Lifting, a group convolution, pooling over the group, the sum over pixels."""
    torch.manual_seed(0)
    model = nn.Sequential(
        LiftingConv2d(group, 1, 1, 3, padding=1),
        nn.ReLU(),
        GroupConv2d(group, 1, 2, 3),
        nn.ReLU(),
        GroupPool(group, reduce),  # type: ignore[arg-type]
        Total(),
    )
    for layer in model:
        if isinstance(layer, LiftingConv2d | GroupConv2d):
            nn.init.normal_(layer.bias)
    return model.double()


def error_of(
    layer: nn.Module, rho_in: Representation, rho_out: Representation, shape: tuple[int, ...]
) -> float:
    def run(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return layer.double()(torch.as_tensor(x).reshape(-1, *shape)).flatten(1).numpy()

    points = np.random.default_rng(0).standard_normal((3, rho_in.dim))
    return float(equivariance_error(run, rho_in, rho_out, points).max())


@pytest.mark.parametrize("group", [cyclic(2), cyclic(4), dihedral(2), dihedral(4)], ids=lambda g: g.name)
@pytest.mark.parametrize("kernel", [2, 3])
def test_layers_commute_with_the_group(group: FiniteGroup, kernel: int) -> None:
    torch.manual_seed(1)
    n, k = len(group), 6 - kernel
    image, lifted = image_grid(group, 5, 5, channels=2), feature_grid(group, k, k, channels=3)
    # sums of at most 2 * 8 * 9 products
    assert error_of(LiftingConv2d(group, 2, 3, kernel), image, lifted, (2, 5, 5)) < 1e-13
    into, out = feature_grid(group, 5, 5), feature_grid(group, k, k, channels=2)
    assert error_of(GroupConv2d(group, 1, 2, kernel), into, out, (n, 5, 5)) < 1e-13
    for reduce in ("max", "sum"):
        pool = GroupPool(group, reduce)  # type: ignore[arg-type]
        assert error_of(pool, into, image_grid(group, 5, 5), (n, 5, 5)) < 1e-13
    shifted = error_of(LiftingConv2d(group, 2, 3, kernel), image, trivial(group, lifted.dim), (2, 5, 5))
    assert shifted > 0.1


@pytest.mark.parametrize(
    ("group", "reduce"),
    [(cyclic(4), "max"), pytest.param(dihedral(4), "sum", marks=pytest.mark.slow)],
)
def test_a_lowered_group_cnn_is_proved_invariant(group: FiniteGroup, reduce: str) -> None:
    model, rho = group_cnn(group, reduce), image_grid(group, 4, 4)
    net = from_torch(model, torch.zeros(1, 1, 4, 4, dtype=torch.float64))
    proof = certify_equivariance(net, rho, trivial(group, 2), Polyhedron.box([0] * 16, [1] * 16))
    assert all(proof.proved)
    assert proof.max_error.max() == 0.0
    points = np.random.default_rng(0).random((200, 16))
    sampled = equivariance_error(net, rho, trivial(group, 2), points).max(axis=1)
    assert (sampled <= proof.max_error + proof.rounding).all()
    kept, _ = input_symmetry_group(net, image_grid(dihedral(4), 4, 4))
    assert len(kept) == len(group)


@pytest.mark.parametrize(("n", "features", "widths"), [(3, 1, [2, 1]), (3, 2, [2])])
def test_lowered_deep_sets_have_all_permutations(n: int, features: int, widths: list[int]) -> None:
    torch.manual_seed(2)
    net = from_torch(DeepSets(features, widths, 1).double(), torch.zeros(1, n, features, dtype=torch.float64))
    group = symmetric(n)
    rho = tensor_product(permutation(group, list(permutations(range(n)))), trivial(group, features))
    assert all(certify_equivariance(net, rho, trivial(group), Polyhedron.whole_space(rho.dim)).proved)
    if features == 1:
        cube = Polyhedron.box([-1] * n, [1] * n)
        found = enumerate_up_to_symmetry(net, rho, cube)
        assert found.exact
        assert found.n_regions == count_regions(net, cube).upper
        assert len(input_symmetry_group(net)[0]) == len(group)


def test_maps_of_sets_are_all_that_commute() -> None:
    """Own and other elements: the two orbits of pairs, for every pair of channels."""
    torch.manual_seed(3)
    group = symmetric(4)
    natural = permutation(group, list(permutations(range(4))))
    rho_in, rho_out = (tensor_product(natural, trivial(group, c)) for c in (2, 3))
    assert error_of(SetLinear(2, 3), rho_in, rho_out, (4, 2)) < 1e-13
    from polytope.equivariant import intertwiner_basis

    weights = sum(p.numel() for name, p in SetLinear(2, 3).named_parameters() if name != "bias")
    assert len(intertwiner_basis(rho_in, rho_out)) == weights == 12


def test_training_keeps_the_symmetry() -> None:
    torch.manual_seed(4)
    model = DeepSets(1, [4], 1).double()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    x = torch.rand(64, 3, 1, dtype=torch.float64)
    target = x.amax(1)
    losses = []
    for _ in range(40):
        loss = ((model(x) - target) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    net = from_torch(model, x[:1])
    natural = permutation(symmetric(3), list(permutations(range(3))))
    assert all(certify_equivariance(net, natural, trivial(natural.group), Polyhedron.whole_space(3)).proved)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="grid"):
        LiftingConv2d(cyclic(3), 1, 1, 3)
    with pytest.raises(ValueError, match="neither"):
        GroupConv2d(symmetric(4), 1, 1, 3)
    with pytest.raises(ValueError, match="reduce"):
        GroupPool(cyclic(4), "mean")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="hidden layer"):
        DeepSets(1, [], 1)

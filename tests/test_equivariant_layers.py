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
    lower,
    permutation,
    symmetric,
    tensor_product,
    trivial,
)
from polytope.equivariant.groups.representations import Representation
from polytope.errors import NotPiecewiseLinearError


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


def chains() -> list[tuple[nn.Module, tuple[int, ...]]]:
    """Layers alone and in a row, with the shape of one input."""
    torch.manual_seed(5)
    C4, D4 = cyclic(4), dihedral(4)
    cnn = nn.Sequential(
        LiftingConv2d(D4, 2, 1, 3, padding=1),
        nn.LeakyReLU(0.1),
        GroupConv2d(D4, 1, 2, 2, bias=False),
        GroupPool(D4, "max"),
        nn.Flatten(),
        nn.Linear(24, 3),
    )
    sums = nn.Sequential(
        LiftingConv2d(C4, 1, 2, 2), nn.ReLU(), GroupPool(C4, "sum"), nn.ReLU(), nn.Identity()
    )
    return [
        (LiftingConv2d(D4, 2, 3, 2, padding=2), (2, 3, 4)),
        (GroupConv2d(C4, 2, 1, 3, bias=False), (8, 3, 5)),
        (GroupPool(C4), (8, 2, 3)),
        (GroupPool(C4, "sum"), (8, 2, 3)),
        (GroupPool(symmetric(3)), (12,)),
        (SetLinear(2, 3), (4, 2)),
        (DeepSets(2, [3, 4], 2), (5, 2)),
        (cnn, (2, 4, 5)),
        (sums, (1, 5, 4)),
    ]


@pytest.mark.parametrize("number", range(9))
def test_lowered_layers_compute_what_the_modules_do(number: int) -> None:
    module, shape = chains()[number]
    for name, value in module.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(value)
    net = lower(module, shape)
    x = np.random.default_rng(number).standard_normal((20, *shape))
    with torch.no_grad():
        wanted = module.double()(torch.as_tensor(x)).flatten(1).numpy()
    assert np.abs(net(x) - wanted).max() < 1e-12
    assert net.input_shape == shape
    traced = from_torch(module, torch.as_tensor(x[:1]))
    assert np.abs(net(x) - traced(x.reshape(20, *traced.input_shape))).max() < 1e-12
    assert sum(net.widths) == sum(traced.widths)


def test_lowered_chains_are_proved_symmetric() -> None:
    """Weights are copied, and lowering rounds nothing: the layers follow the group exactly."""
    torch.manual_seed(6)
    C4 = cyclic(4)
    model = nn.Sequential(LiftingConv2d(C4, 1, 1, 2), nn.ReLU(), GroupPool(C4), nn.ReLU())
    rho_in, rho_out = image_grid(C4, 3, 3), image_grid(C4, 2, 2)
    everywhere = Polyhedron.whole_space(9)
    assert all(certify_equivariance(lower(model, (1, 3, 3)), rho_in, rho_out, everywhere).proved)
    natural = permutation(symmetric(3), list(permutations(range(3))))
    sets = lower(DeepSets(1, [3], 1), (3, 1))
    assert all(certify_equivariance(sets, natural, trivial(natural.group), Polyhedron.whole_space(3)).proved)


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
    with pytest.raises(ValueError, match="out_channels must be a whole number of at least 1"):
        LiftingConv2d(cyclic(4), 1, 0, 3)
    with pytest.raises(ValueError, match="padding must not be negative"):
        LiftingConv2d(cyclic(4), 1, 1, 3, padding=-1)
    with pytest.raises(ValueError, match="in_features must be"):
        SetLinear(0, 1)
    for shape in ((1, 4, 5), (4, 2), (1, 0, 2), (1, 4, 2, 1)):
        with pytest.raises(ValueError, match=r"SetLinear reads \[B, n, 2\]"):
            SetLinear(2, 3)(torch.zeros(shape))
    with pytest.raises(ValueError, match=r"GroupPool reads \[c \* 4"):
        GroupPool(cyclic(4))(torch.zeros(1, 6, 2, 2))


class Doubled(nn.Sequential):
    """A chain that computes something else than its layers in a row."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Twice the chain."""
        return 2 * super().forward(x)


class Shifted(nn.Linear):
    """A linear layer that adds to its input."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One more."""
        return super().forward(x + 1)


@pytest.mark.parametrize(
    ("module", "shape", "message"),
    [
        (LiftingConv2d(cyclic(4), 2, 1, 3), (3, 5, 5), r"reads values of shape \(2, 5, 5\)"),
        (LiftingConv2d(cyclic(4), 2, 1, 3), (50,), "reads images"),
        (LiftingConv2d(cyclic(4), 2, 1, 3), (2, 2, 5), "impossible output shape"),
        (GroupConv2d(cyclic(4), 1, 1, 3), (1, 5, 5), r"reads values of shape \(4, 5, 5\)"),
        (GroupPool(cyclic(4)), (6, 2, 2), "GroupPool reads"),
        (GroupPool(cyclic(4), "sum"), (), "GroupPool reads"),
        (SetLinear(2, 1), (3, 1), r"reads values of shape \(3, 2\)"),
        (DeepSets(2, [2], 1), (6,), "SetLinear reads sets"),
        (nn.Sequential(SetLinear(1, 2), nn.Linear(6, 1)), (3, 1), "'1' .Linear. reads 6 numbers"),
        (nn.Sequential(nn.Flatten(2), nn.Linear(6, 1)), (3, 2), "'0' .Flatten. is not known"),
        (Doubled(nn.Linear(2, 1)), (2,), "Doubled.* is not known"),
        (nn.Sequential(Shifted(2, 1)), (2,), "Shifted.* is not known"),
    ],
)
def test_what_does_not_lower_is_refused(module: nn.Module, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises((ValueError, NotPiecewiseLinearError), match=message):
        lower(module, shape)

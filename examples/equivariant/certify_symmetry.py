"""Prove or refute symmetry: Deep Sets, a plain network, one trained on all orders, and a group convolution.

    python examples/equivariant/certify_symmetry.py

The task is the largest of three numbers, which no permutation of them changes.
"""

from itertools import permutations

import numpy as np
import torch
from torch import nn

import polytope as pt
from adapters import from_torch
from polytope import equivariant as eq

CUBE = pt.Polyhedron.box([0.0] * 3, [1.0] * 3)


class Flat(nn.Module):
    """A plain network on the three numbers in their order."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Flatten(),
            nn.Linear(3, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, 1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[B, 3, 1]`` to ``[B, 1]``."""
        return self.body(x)


def train(model: nn.Module, *, augment: bool, steps: int = 300) -> pt.Network:
    """Fit the maximum on points with x1 <= x2 <= x3; with ``augment`` in all six orders."""
    generator = torch.Generator().manual_seed(0)
    model = model.double()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    orders = torch.tensor(list(permutations(range(3))))
    for _ in range(steps):
        x = torch.rand(64, 3, 1, generator=generator, dtype=torch.float64).sort(dim=1).values
        if augment:
            x = x[:, orders].flatten(0, 1)
        loss = ((model(x) - x.amax(1)) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return from_torch(model, torch.zeros(1, 3, 1, dtype=torch.float64))


def report(name: str, network: pt.Network, rho: eq.Representation) -> None:
    """Certified and sampled defect of the worst element."""
    invariant = eq.trivial(rho.group)
    proof = eq.certify_equivariance(network, rho, invariant, CUBE)
    points = np.random.default_rng(0).random((10_000, 3))
    sampled = eq.equivariance_error(network, rho, invariant, points).max()
    worst = int(proof.max_error.argmax())
    kind = "proved for all inputs" if all(proof.proved) else f"exact: {proof.exact}"
    print(f"{name:26} {proof.max_error[worst]:<12.3g} {sampled:<12.3g} {kind}, {proof.regions} regions")
    if proof.max_error[worst]:
        x = proof.witness[worst]
        moved = rho.matrices[worst] @ x
        values = network(np.stack([x, moved]))[:, 0]
        print(f"    f({np.round(x, 3)}) = {values[0]:.3f}, f({np.round(moved, 3)}) = {values[1]:.3f}")


def main() -> None:
    """Three models of a set, and a group convolution on images."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rho = eq.permutation(eq.symmetric(3), list(permutations(range(3))))
    print(f"{'invariance under S3':26} {'certified':12} {'sampled':12}")
    report("Deep Sets", train(eq.DeepSets(1, [4, 4], 1), augment=False), rho)
    report("plain", train(Flat(8), augment=False), rho)
    report("plain, all orders seen", train(Flat(8), augment=True), rho)

    group = eq.dihedral(4)
    images = eq.image_grid(group, 4, 4)
    model = nn.Sequential(
        eq.LiftingConv2d(group, 1, 1, 3, padding=1),
        nn.ReLU(),
        eq.GroupConv2d(group, 1, 2, 4),
        nn.ReLU(),
        eq.GroupPool(group, "max"),
        nn.Flatten(),
    )
    network = from_torch(model.double(), torch.zeros(1, 1, 4, 4, dtype=torch.float64))
    whole = pt.Polyhedron.whole_space(16)
    proof = eq.certify_equivariance(network, images, eq.trivial(group, 2), whole)
    print(
        f"a D4 convolution with max pooling on 4 x 4 images: defect {proof.max_error.max()} everywhere,",
        end=" ",
    )
    print(f"proved for {sum(proof.proved)} of {len(group)} elements")


if __name__ == "__main__":
    main()

"""Turn signals on the sphere: what a spherical network keeps exactly, and what only nearly.

    python examples/equivariant/spherical_network.py

Convolutions are linear on grid samples and exactly equivariant. A ReLU on samples is exact for turns by
grid steps about the polar axis, and otherwise up to aliasing, which falls with oversampling. The network
lowers to one that the engine reads.
"""

import numpy as np
import torch
from torch import nn

import polytope as pt
from polytope.equivariant import (
    S2Conv,
    SO3Conv,
    SO3FourierTransform,
    SO3ToS2,
    SphericalHarmonicTransform,
    WignerD,
    euler_angles,
    group_action,
    lower,
    random_rotations,
    rotation_matrix,
    sphere_action,
)

BANDLIMIT = 3


def largest(difference: np.ndarray | torch.Tensor) -> float:
    """The largest absolute entry."""
    return float(abs(difference).max())


def wigner_identity(rng: np.random.Generator) -> float:
    """D(R1) D(R2) - D(R1 R2) over degrees below 8."""
    first, second = random_rotations(2, rng)
    angles = [euler_angles(R) for R in (first, second, first @ second)]
    one, two, both = ([WignerD(degree, *a) for degree in range(8)] for a in angles)
    return max(largest(a @ b - c) for a, b, c in zip(one, two, both, strict=True))


def defect(layer: nn.Module, b: int, rotation: np.ndarray) -> float:
    """Largest difference of turning before and after a layer from the sphere to the group, relative."""
    angles = tuple(float(angle) for angle in euler_angles(rotation))
    before = torch.from_numpy(sphere_action(BANDLIMIT, *angles))
    after = torch.from_numpy(group_action(BANDLIMIT, *angles))
    signals = SphericalHarmonicTransform(b, bandlimit=BANDLIMIT)
    outputs = SO3FourierTransform(b, bandlimit=BANDLIMIT)
    f = torch.from_numpy(np.random.default_rng(0).normal(size=(20, 1, BANDLIMIT**2)))
    with torch.no_grad():
        turned_first = outputs(layer(signals.to_grid(f @ before.T)))
        turned_last = outputs(layer(signals.to_grid(f))) @ after.T
    return largest(turned_first - turned_last) / largest(turned_last)


def main() -> None:
    """Print the identities, the defect by oversampling, and count regions on a line of signals."""
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    print(f"D(R1) D(R2) = D(R1 R2) to {wigner_identity(rng):.1e}")
    R = random_rotations(1, rng)[0]
    for oversampling in (1, 2, 4, 8):
        b = BANDLIMIT * oversampling
        linear = S2Conv(1, 2, b, b, bandlimit=BANDLIMIT)
        errors = [defect(layer, b, R) for layer in (linear, nn.Sequential(linear, nn.ReLU()))]
        print(f"oversampling {oversampling}: convolution {errors[0]:.1e}, with ReLU {errors[1]:.1e}")
    b = BANDLIMIT
    step = rotation_matrix(np.pi / b, 0.0, 0.0)
    layer = nn.Sequential(S2Conv(1, 2, b, b), nn.ReLU())
    print(f"ReLU, one grid step about the polar axis: {defect(layer, b, step):.1e}")

    net = nn.Sequential(S2Conv(1, 2, b, 2), nn.ReLU(), SO3Conv(2, 2, 2, 2), nn.ReLU(), SO3ToS2(2, 2))
    network = lower(net, (1, 2 * b, 2 * b))
    signals = rng.normal(size=(3, 1, 2 * b, 2 * b))
    with torch.no_grad():
        same = largest(network(signals) - net(torch.from_numpy(signals)).flatten(1).numpy())
    line = pt.Slice.through(signals[0].ravel(), signals[1].ravel())
    regions = pt.enumerate_regions(network.restrict(line), pt.Polyhedron.box([0.0], [1.0]))
    print(f"lowered: {network.n_units} units, same values to {same:.1e}")
    print(f"between two signals: {len(regions)} regions, complete: {regions.complete}")


if __name__ == "__main__":
    main()

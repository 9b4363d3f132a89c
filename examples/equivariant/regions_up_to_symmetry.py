"""Find a network's symmetry in its weights, then enumerate its regions up to symmetry.

python examples/equivariant/regions_up_to_symmetry.py
"""

import numpy as np
import torch

import polytope as pt
from adapters import from_torch
from polytope import equivariant as eq


def main() -> None:
    """A set function of four numbers, with its units shuffled and rescaled."""
    torch.set_num_threads(1)
    torch.manual_seed(6)
    network = shuffled(
        from_torch(eq.DeepSets(1, [2, 1], 1).double(), torch.zeros(1, 4, 1, dtype=torch.float64))
    )
    group, rho = eq.input_symmetry_group(network, "signed_permutations")
    print(f"symmetries found among 384 signed permutations: {len(group)}")
    exact = all(eq.layerwise_symmetry(network, M).exact for M in rho.matrices)
    print(f"proved in exact arithmetic: {exact}")

    cube = pt.Polyhedron.box([-1.0] * 4, [1.0] * 4)
    found = eq.enumerate_up_to_symmetry(network, rho, cube)
    full = pt.count_regions(network, cube)
    walls = len(found.fundamental.A)
    print(f"regions {found.n_regions}, from {len(found.part)} in a fundamental domain with {walls} walls")
    print(f"full enumeration {full.upper}; ratio of regions touched {found.n_regions / len(found.part):.1f}")
    sizes, counts = np.unique(found.orbits.size, return_counts=True)
    print("orbits by size:", ", ".join(f"{n} of {size}" for size, n in zip(sizes, counts, strict=True)))

    whole = found.unfold()
    action = eq.region_action(whole, rho)
    print(
        f"unfolded {len(whole)}, orbits by Burnside's lemma {eq.burnside_count(action)} = {len(found.orbits)}"
    )

    points = np.random.default_rng(1).uniform(-1, 1, (200, 4))
    values = network(points)[:, 0]
    network.layers[-1].bias[:] -= np.median(values)
    x = points[values.argmax()]
    radii = [pt.robustness_radius(network, M @ x).value for M in rho.matrices[:6]]
    print(f"distance to f = 0: {radii[0]:.6f} at x, and on its orbit up to {np.ptp(radii):.1e}")


def shuffled(network: pt.Network) -> pt.Network:
    """The same function: units of every hidden layer in another order, times powers of two."""
    rng = np.random.default_rng(0)
    order, scale, layers = np.arange(network.input_dim), np.ones(network.input_dim), []
    for layer in network.layers:
        weights = layer.maps[0].to_sparse().toarray()[:, order] / scale
        n = len(weights)
        last = layer is network.layers[-1]
        order = np.arange(n) if last else rng.permutation(n)
        scale = np.ones(n) if last else 2.0 ** rng.integers(-3, 4, n)
        layers.append((weights[order] * scale[:, None], layer.bias[order] * scale))
    return pt.mlp(layers)


if __name__ == "__main__":
    main()

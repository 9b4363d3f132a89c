"""Networks whose units a group permutes, of every kind, with their actions and domains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import permutations

import numpy as np

from polytope import Network, Polyhedron, mlp
from polytope.equivariant import (
    Representation,
    cyclic,
    dihedral,
    direct_sum,
    generate,
    permutation,
    rotation2d,
    symmetric,
    trivial,
)
from polytope.ir import Activation, Dense, Layer, absolute, hard_tanh, leaky_relu, max_groups, relu


def natural(n: int) -> Representation:
    """S_n permuting coordinates."""
    return permutation(symmetric(n), list(permutations(range(n))))


def signed(n: int) -> Representation:
    """All signed permutations of n coordinates."""
    swaps = [np.eye(n)[np.roll(range(n), 1)], np.eye(n)[[1, 0, *range(2, n)]]]
    return Representation(*generate([*swaps, np.diag([-1.0] + [1.0] * (n - 1))]))


def convolution(rho: Representation, blocks_in: int, blocks: int, rng: np.random.Generator) -> np.ndarray:
    """A linear map between copies of the regular representation that commutes with the group."""
    group = rho.group
    kernel = rng.standard_normal((blocks, blocks_in, len(group)))
    placed = kernel[:, :, group.table[group.inverse]]  # [out, in, g, h]: kernel at g^-1 h
    return placed.transpose(0, 2, 1, 3).reshape(blocks * len(group), blocks_in * len(group))


def lifted(rho: Representation, normals: np.ndarray) -> np.ndarray:
    """Rows w rho(g)^-1, every w with all elements: unit g at rho(h) x is unit h^-1 g at x."""
    inverse = rho.matrices[rho.group.inverse]
    return np.concatenate([w @ inverse for w in normals])


def group_network(
    rho: Representation,
    seed: int,
    *,
    blocks: int = 2,
    depth: int = 2,
    outputs: int = 1,
    activation: Activation | None = None,
    whole: bool = False,
) -> Network:
    """A lifting layer, group convolutions, and invariant outputs; ``whole`` rounds weights to halves."""
    rng = np.random.default_rng(seed)
    n = len(rho)
    normals = rng.standard_normal((blocks, rho.dim))
    layers = [(lifted(rho, normals), np.repeat(rng.standard_normal(blocks), n))]
    layers += [
        (convolution(rho, blocks, blocks, rng), np.repeat(rng.standard_normal(blocks), n))
        for _ in range(depth - 1)
    ]
    layers.append((np.repeat(rng.standard_normal((outputs, blocks)), n, axis=1), np.zeros(outputs)))
    if whole:
        layers = [(np.round(W * 2) / 2, np.round(b * 2) / 2) for W, b in layers]
    return mlp(layers, activation)


def pooled(rho: Representation, seed: int) -> Network:
    """A lifting layer, then the largest of each orbit of units and of each single unit."""
    net = group_network(rho, seed, depth=1)
    n = len(rho)
    rows = [list(range(n)), list(range(n, 2 * n)), *[[k, n + k] + [-1] * (n - 2) for k in range(n)]]
    weights = np.random.default_rng(seed).standard_normal((1, 3))
    last = Dense(np.concatenate([weights[:, :2], np.repeat(weights[:, 2:], n, axis=1)], axis=1))
    layers = (
        net.layers[0],
        Layer((1,), (Dense(np.eye(2 * n)),), np.zeros(2 * n), max_groups(rows)),
        Layer((2,), (last,), np.zeros(1)),
    )
    return replace(net, layers=layers)


def with_skip(rho: Representation, seed: int) -> Network:
    """The second layer reads the input too, through an affine layer in between."""
    rng = np.random.default_rng(seed)
    net = group_network(rho, seed, whole=True)
    n = net.layers[0].width
    again = lifted(rho, rng.integers(-3, 4, (2, rho.dim)) / 4)
    copy = Layer((0,), (Dense(again),), np.repeat([0.25, -0.5], len(rho)))
    second = Layer((1, 2), (*net.layers[1].maps, Dense(2.0 * np.eye(n))), net.layers[1].bias, relu())
    last = Layer((3,), net.layers[2].maps, net.layers[2].bias)
    return replace(net, layers=(net.layers[0], copy, second, last))


def degenerate(rho: Representation, seed: int) -> Network:
    """Units twice, units three times as large, and constant units, all of them read."""
    net = group_network(rho, seed, whole=True)
    W, b = net.layers[0].maps[0].to_sparse().toarray(), net.layers[0].bias
    V = net.layers[1].maps[0].to_sparse().toarray()
    more = np.concatenate([W, W[:2], 3 * W[2:3], np.zeros((2, rho.dim))])
    bias = np.concatenate([b, b[:2], 3 * b[2:3], [1.0, -1.0]])
    read = np.concatenate([V, 0.5 * V[:, :2], V[:, 2:3], np.ones((len(V), 2))], axis=1)
    read[:, :2] *= 0.5
    read[:, 2:3] *= -2.0
    tail = net.layers[2]
    return mlp([(more, bias), (read, net.layers[1].bias), (tail.maps[0].to_sparse().toarray(), tail.bias)])


def one_sided(rho: Representation, seed: int) -> Network:
    """|w x| spelled 2 relu(w x) - w x: breakpoints in symmetric places, on units that are not permuted."""
    W = np.unique(lifted(rho, np.random.default_rng(seed).standard_normal((1, rho.dim))), axis=0)
    half = np.array([row for row in W if tuple(row) > tuple(-row)])
    return Network(
        (rho.dim,),
        (
            Layer((0,), (Dense(half),), np.zeros(len(half)), relu()),
            Layer((1, 0), (Dense(np.full((1, len(half)), 2.0)), Dense(-half.sum(axis=0)[None])), np.zeros(1)),
        ),
    )


def noisy(net: Network, eps: float) -> Network:
    """The network with every weight off by a share of itself."""
    rng = np.random.default_rng(0)
    layers = []
    for la in net.layers:
        maps = tuple(
            Dense(m.to_sparse().toarray() * (1 + eps * rng.standard_normal(m.shape))) for m in la.maps
        )
        bias = la.bias * (1 + eps * rng.standard_normal(la.bias.shape))
        layers.append(replace(la, maps=maps, bias=bias))
    return replace(net, layers=tuple(layers))


def cross(n: int) -> Network:
    """Cells |x_i| < 1/2 and > 1/2, each crossing made by many equal units: 3^n regions."""
    rho = signed(n)
    first = lifted(rho, np.eye(n)[:1])
    return mlp([(first, np.full(len(rho), -0.5)), (np.ones((1, len(rho))), [0.0])])


C4, D4 = rotation2d(cyclic(4)), rotation2d(dihedral(4))
C2 = permutation(cyclic(2), [[0, 1], [1, 0]])
LINE = Representation(cyclic(2), np.array([[[1.0]], [[-1.0]]]))
UNFAITHFUL = Representation(cyclic(4), C2.matrices[[0, 1, 0, 1]])
SHEAR = np.array([[1.0, 0.5], [0.0, 1.0]])
SHEARED = Representation(cyclic(4), SHEAR @ C4.matrices @ np.linalg.inv(SHEAR))

SYMMETRIC: dict[str, tuple[Representation, Callable[[], Network]]] = {
    "C4": (C4, lambda: group_network(C4, 0)),
    "C4 deep": (C4, lambda: group_network(C4, 1, blocks=1, depth=3)),
    "D4": (D4, lambda: group_network(D4, 0, outputs=3)),
    "D4 leaky": (D4, lambda: group_network(D4, 2, blocks=1, activation=leaky_relu(0.1))),
    "C4 absolute": (C4, lambda: group_network(C4, 3, activation=absolute())),
    "C4 hard_tanh": (C4, lambda: group_network(C4, 4, activation=hard_tanh())),
    "C4 halves": (C4, lambda: group_network(C4, 5, whole=True)),
    "C4 halves absolute": (C4, lambda: group_network(C4, 6, whole=True, activation=absolute())),
    "C4 halves hard_tanh": (C4, lambda: group_network(C4, 7, whole=True, activation=hard_tanh())),
    "C4 degenerate": (C4, lambda: degenerate(C4, 8)),
    "C4 max": (C4, lambda: pooled(C4, 9)),
    "C4 skip": (C4, lambda: with_skip(C4, 10)),
    "one-sided": (D4, lambda: one_sided(D4, 11)),
    "S3": (natural(3), lambda: group_network(natural(3), 12, blocks=1, depth=1)),
    "B3": (signed(3), lambda: cross(3)),
    "C4 sheared": (SHEARED, lambda: group_network(SHEARED, 14)),
    "line": (LINE, lambda: group_network(LINE, 15, blocks=4)),
    "not faithful": (UNFAITHFUL, lambda: group_network(UNFAITHFUL, 16, whole=True)),
    "plane in space": (
        direct_sum(C4, trivial(cyclic(4))),
        lambda: group_network(direct_sum(C4, trivial(cyclic(4))), 17, blocks=1),
    ),
    "no symmetry": (trivial(cyclic(1), 2), lambda: group_network(trivial(cyclic(1), 2), 18, blocks=6)),
}


def domain_of(rho: Representation) -> Polyhedron:
    """A box that the group preserves, or what it preserves of one."""
    from polytope.equivariant import invariant_part

    box = Polyhedron.box([-2.0] * rho.dim, [2.0] * rho.dim)
    return box if rho.is_signed_permutation else invariant_part(box, rho)

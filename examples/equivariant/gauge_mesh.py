"""Carry vectors around the faces of a mesh, and convolve fields in any choice of frames.

    python examples/equivariant/gauge_mesh.py [MESH.ply]

Without a file the mesh is a torus. Holonomies of the faces add up to 2 pi times the Euler characteristic in
every gauge; a gauge-equivariant convolution computes the same field in every gauge, and lowers to a network.
A file is read by trimesh (the extra ``mesh``).
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import nn

from polytope.equivariant import (
    GaugeConv,
    RegularNonlinearity,
    TangentBundle,
    gauge_transform,
    kernel_basis,
    lower,
    self_basis,
)


def torus(n: int = 24, m: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces of a torus."""
    u, v = np.meshgrid(np.arange(n), np.arange(m), indexing="ij")
    a, b = 2 * np.pi * u / n, 2 * np.pi * v / m
    radius = 2 + np.cos(b)
    x = np.stack([radius * np.cos(a), radius * np.sin(a), np.sin(b)], axis=-1).reshape(-1, 3)
    here, right = u * m + v, (u + 1) % n * m + v
    up, both = u * m + (v + 1) % m, (u + 1) % n * m + (v + 1) % m
    triangles = [np.stack(corners, axis=-1) for corners in ((here, right, both), (here, both, up))]
    return x, np.concatenate([t.reshape(-1, 3) for t in triangles])


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces of a mesh file."""
    import trimesh

    mesh = trimesh.load(path, process=False)
    return np.asarray(mesh.vertices, dtype=float), np.asarray(mesh.faces)


def main() -> None:
    """Print what holds in two gauges."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mesh", type=Path, nargs="?", help="a closed triangle mesh")
    options = parser.parse_args()
    bundle = TangentBundle(*(read(options.mesh) if options.mesh else torus()))
    turns = np.random.default_rng(0).uniform(-np.pi, np.pi, bundle.n_vertices)
    other = bundle.turned(turns)
    print(f"{bundle.n_vertices} vertices, Euler characteristic {bundle.euler_characteristic}")
    for name, gauge in (("default frames", bundle), ("random frames", other)):
        print(f"{name}: the holonomies add up to {gauge.holonomy.sum() / np.pi:.12f} pi")
    print(f"kernels of order 2: {len(kernel_basis(2, 2))} for neighbours, {len(self_basis(2, 2))} at a point")

    torch.manual_seed(0)
    shape = (bundle.n_vertices, 1, 3)
    layer, turned = GaugeConv(bundle, 1, 1, 1, 2), GaugeConv(other, 1, 1, 1, 2)
    turned.load_state_dict(layer.state_dict())
    field = np.random.default_rng(1).normal(size=shape)
    out = lower(layer, shape)(field[None]).reshape(bundle.n_vertices, 1, 5)
    out_turned = lower(turned, shape)(gauge_transform(field, turns)[None]).reshape(out.shape)
    print(f"convolution in both gauges: equal to {abs(out_turned - gauge_transform(out, turns)).max():.1e}")
    for samples in (5, 9, 17, 33):
        nonlinearity = RegularNonlinearity(2, samples)
        first = nonlinearity(torch.from_numpy(gauge_transform(out, turns))).numpy()
        last = gauge_transform(nonlinearity(torch.from_numpy(out)).numpy(), turns)
        print(f"ReLU on {samples} directions, both gauges: equal to {abs(first - last).max():.1e}")
    network = lower(nn.Sequential(layer, RegularNonlinearity(2, 7), GaugeConv(bundle, 1, 1, 2, 0)), shape)
    print(f"lowered: a network of {network.n_units} units")


if __name__ == "__main__":
    main()

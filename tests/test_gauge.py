"""Tangent bundles of meshes, gauge-equivariant convolutions, lattices: identities, gauges, refusals."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial import ConvexHull
from torch import Tensor, nn

from polytope.equivariant import (
    GaugeConv,
    LatticeGaugeConv,
    RegularNonlinearity,
    TangentBundle,
    gauge_transform,
    kernel_basis,
    lower,
    order_rotation,
    plaquettes,
    self_basis,
    transform_links,
)
from polytope.errors import GeometryError
from tests.examples import run_example
from tests.networks import SHARED, needs_shared

Array = NDArray[Any]


def icosphere(subdivisions: int) -> tuple[Array, Array]:
    """Vertices and faces of an icosahedron whose edges are halved so often; all on the unit sphere."""
    golden = (1 + 5**0.5) / 2
    x = np.array([p for s in (1, -1) for t in (golden, -golden) for p in ((0, s, t), (s, t, 0), (t, 0, s))])
    for _ in range(subdivisions):
        faces = ConvexHull(x).simplices
        halves = np.concatenate([x[faces[:, k]] + x[faces[:, k - 1]] for k in range(3)])
        x = np.concatenate(
            [x, np.unique((halves / np.linalg.norm(halves, axis=1)[:, None]).round(12), axis=0)]
        )
        x = x / np.linalg.norm(x, axis=1)[:, None]
    x = x / np.linalg.norm(x, axis=1)[:, None]
    faces = ConvexHull(x).simplices
    inward = np.linalg.det(x[faces]) < 0
    faces[inward] = faces[inward][:, ::-1]
    return x, faces.astype(np.int64)


def torus(n: int, m: int) -> tuple[Array, Array]:
    u, v = np.meshgrid(np.arange(n), np.arange(m), indexing="ij")
    a, b = 2 * np.pi * u / n, 2 * np.pi * v / m
    x = np.stack([(2 + np.cos(b)) * np.cos(a), (2 + np.cos(b)) * np.sin(a), np.sin(b)], axis=-1).reshape(
        -1, 3
    )
    at = [[((u + i) % n) * m + (v + j) % m for j in (0, 1)] for i in (0, 1)]
    first, second = (at[0][0], at[1][0], at[1][1]), (at[0][0], at[1][1], at[0][1])
    return x, np.concatenate([np.stack(corner, axis=-1).reshape(-1, 3) for corner in (first, second)])


def turns(n: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).uniform(-np.pi, np.pi, n)


MESHES = {"icosahedron": (icosphere(0), 2), "icosphere": (icosphere(2), 2), "torus": (torus(12, 9), 0)}


@pytest.mark.parametrize("name", MESHES)
def test_holonomies_add_up_to_the_euler_characteristic_in_any_gauge(name: str) -> None:
    (x, faces), chi = MESHES[name]
    bundle = TangentBundle(x, faces)
    assert bundle.euler_characteristic == chi
    for gauge in (np.zeros(len(x)), turns(len(x)), 100 * turns(len(x), 1)):
        holonomy = bundle.turned(gauge).holonomy
        assert abs(holonomy.sum() - 2 * np.pi * chi) < 1e-12
        assert np.abs(holonomy - bundle.holonomy).max() < 1e-12
        # the transports give the curvature that the angles give
        assert np.abs(holonomy - (bundle.scaled_angles.sum(axis=1) - np.pi)).max() < 1e-12


def bunny() -> tuple[Array, Array]:
    trimesh = pytest.importorskip("trimesh")
    mesh = trimesh.load(SHARED / "data" / "bunny_small.ply", process=False)
    return np.asarray(mesh.vertices, dtype=float), np.asarray(mesh.faces)


@needs_shared
def test_a_scanned_surface_is_a_sphere_too() -> None:
    x, faces = bunny()
    bundle = TangentBundle(x, faces, turns(len(x)))
    assert (len(x), len(faces), bundle.euler_characteristic) == (1241, 2478, 2)
    assert abs(bundle.holonomy.sum() - 4 * np.pi) < 1e-12
    assert np.abs(bundle.holonomy - (bundle.scaled_angles.sum(axis=1) - np.pi)).max() < 1e-12
    torch.manual_seed(0)
    assert commutation_defect(bundle, orders=(2, 2), channels=(1, 1)) < 1e-12


@pytest.mark.parametrize("surface", [lambda: icosphere(2), pytest.param(bunny, marks=needs_shared)])
def test_transport_is_that_of_geometry_centrals_connection_laplacian(surface: Any) -> None:
    """The entry [j, i] is minus a weight times the transport from i to j, in a gauge of its own."""
    potpourri3d = pytest.importorskip("potpourri3d")
    x, faces = surface()
    laplacian = potpourri3d.MeshVectorHeatSolver(x, faces).get_connection_laplacian().tocsr()
    i, j, k = faces.T
    around = -np.prod([np.ravel(laplacian[a, b]) for a, b in ((j, i), (k, j), (i, k))], axis=0)
    assert np.abs(np.angle(around * np.exp(-1j * TangentBundle(x, faces).holonomy))).max() < 1e-12


def test_transport_is_orthogonal_and_undone_on_the_way_back() -> None:
    (x, faces), _ = MESHES["icosphere"]
    bundle = TangentBundle(x, faces, turns(len(x)))
    back = {(i, j): t for (i, j), t in zip(bundle.edges.tolist(), bundle.transport_angle, strict=True)}
    assert len(back) == 960
    sums = [back[i, j] + back[j, i] for i, j in back]
    assert np.abs(np.exp(1j * np.array(sums)) - 1).max() < 1e-12


def test_frames_are_orthonormal_and_vectors_in_space_do_not_see_the_gauge() -> None:
    (x, faces), _ = MESHES["torus"]
    bundle, k = TangentBundle(x, faces), turns(len(x))
    other = bundle.turned(k)
    gram = other.frames @ other.frames.swapaxes(1, 2)
    assert np.abs(gram - np.eye(2)).max() < 1e-14
    assert np.abs(np.cross(other.frames[:, 0], other.frames[:, 1]) - bundle.normals).max() < 1e-14
    vectors = np.random.default_rng(1).normal(size=(len(x), 1, 3))
    vectors[..., 0] = 0.0
    moved = gauge_transform(vectors, k)
    in_space = [
        np.einsum("va,vax->vx", v[:, 0, 1:], b.frames) for v, b in ((vectors, bundle), (moved, other))
    ]
    assert np.abs(in_space[0] - in_space[1]).max() < 1e-14
    assert np.abs(np.hypot(*other.log_map.T) - bundle.lengths).max() < 1e-14


def sphere_log_error(subdivisions: int) -> float:
    """The largest difference of logarithms along edges to those of the sphere, over the edge's length."""
    bundle = TangentBundle(*icosphere(subdivisions))
    i, j = bundle.edges.T
    x, y = bundle.vertices[i], bundle.vertices[j]
    cosine = (x * y).sum(axis=1, keepdims=True)
    tangent = y - cosine * x
    tangent *= np.arccos(cosine) / np.linalg.norm(tangent, axis=1, keepdims=True)
    ours = np.einsum("ea,eax->ex", bundle.log_map, bundle.frames[i])
    return float((np.linalg.norm(ours - tangent, axis=1) / bundle.lengths).max())


def test_the_log_map_tends_to_the_spheres() -> None:
    errors = [sphere_log_error(n) for n in (0, 1, 2, 3)]
    assert all(fine < 0.6 * coarse for coarse, fine in pairwise(errors[1:]))
    assert errors[3] < 0.02


@pytest.mark.parametrize(("order_in", "order_out"), [(0, 0), (1, 1), (2, 2), (0, 2), (2, 1)])
def test_kernel_bases_are_the_null_space_of_the_constraint(order_in: int, order_out: int) -> None:
    """The constraint on Fourier series of two more frequencies, solved by a singular value decomposition."""
    basis = kernel_basis(order_in, order_out)
    rows, columns = 2 * order_out + 1, 2 * order_in + 1
    highest = order_in + order_out + 2
    size = rows * columns * (2 * highest + 1)
    constraint = []
    for k in (0.7, 1.9):
        eta, rho = order_rotation(order_out, -k), order_rotation(order_in, k)
        shift = order_rotation(highest, k)  # the factors of the waves in kappa(theta - k)
        left = np.einsum("ac,bd,ts->abtcds", np.eye(rows), np.eye(columns), shift)
        right = np.einsum("ac,db,ts->abtcds", eta, rho, np.eye(2 * highest + 1))
        constraint.append((left - right).reshape(size, size))
    values = np.linalg.svd(np.concatenate(constraint), compute_uv=False)
    assert (values < 1e-10).sum() == len(basis) == rows * columns
    padded = np.zeros((len(basis), rows, columns, 2 * highest + 1))
    padded[..., : basis.shape[-1]] = basis
    assert np.abs(np.concatenate(constraint) @ padded.reshape(len(basis), -1).T).max() < 1e-12
    assert np.linalg.matrix_rank(padded.reshape(len(basis), -1)) == len(basis)


@pytest.mark.parametrize(("order_in", "order_out"), [(0, 0), (2, 2), (0, 2), (3, 1)])
def test_self_maps_are_all_that_commute(order_in: int, order_out: int) -> None:
    basis = self_basis(order_in, order_out)
    rho, eta = order_rotation(order_in, 0.7), order_rotation(order_out, 0.7)
    commutator = np.kron(eta, np.eye(len(rho))) - np.kron(np.eye(len(eta)), rho.T)
    assert (np.linalg.svd(commutator, compute_uv=False) < 1e-10).sum() == len(basis)
    assert len(basis) == 2 * min(order_in, order_out) + 1
    assert np.abs(basis @ rho - eta @ basis).max() < 1e-14


def commutation_defect(bundle: TangentBundle, orders: tuple[int, int], channels: tuple[int, int]) -> float:
    """The lowered convolution in two gauges: largest difference of the fields that they compute."""
    k = turns(bundle.n_vertices, 5)
    first = GaugeConv(bundle, *channels, *orders, n_rings=2)
    nn.init.normal_(first.scalar_bias)
    second = GaugeConv(bundle.turned(k), *channels, *orders, n_rings=2)
    second.load_state_dict(first.state_dict())
    shape = (bundle.n_vertices, channels[0], 2 * orders[0] + 1)
    field = np.random.default_rng(3).normal(size=shape)
    out = [lower(layer, shape) for layer in (first, second)]
    expected = gauge_transform(out[0](field[None]).reshape(bundle.n_vertices, channels[1], -1), k)
    return float(np.abs(out[1](gauge_transform(field, k)[None]).reshape(expected.shape) - expected).max())


@pytest.mark.parametrize("orders", [(0, 0), (1, 2), (2, 2), (2, 0)])
@pytest.mark.parametrize("name", MESHES)
def test_the_lowered_convolution_commutes_with_changes_of_frame(name: str, orders: tuple[int, int]) -> None:
    torch.manual_seed(0)
    assert commutation_defect(TangentBundle(*MESHES[name][0]), orders, (2, 3)) < 1e-12


def test_the_convolution_of_torch_is_the_lowered_one() -> None:
    torch.manual_seed(1)
    bundle = TangentBundle(*icosphere(1))
    net = nn.Sequential(
        GaugeConv(bundle, 1, 2, 0, 2), RegularNonlinearity(2, 7), GaugeConv(bundle, 2, 1, 2, 1, n_rings=3)
    )
    field = torch.randn(3, 42, 1, 1, dtype=torch.float64)
    network = lower(net, (42, 1, 1))
    assert network.widths == (42 * 2 * 7,)
    with torch.no_grad():
        assert np.abs(network(field.numpy()) - net(field).flatten(1).numpy()).max() < 1e-12


def nonlinearity_defect(n_samples: int, angles: Array) -> float:
    """How far the regular nonlinearity at order 2 is from commuting with turns of the frame."""
    layer = RegularNonlinearity(2, n_samples)
    field = np.random.default_rng(7).normal(size=(len(angles), 4, 5))

    def activated(values: Array) -> Array:
        return np.asarray(layer(torch.from_numpy(values)))

    return float(
        np.abs(activated(gauge_transform(field, angles)) - gauge_transform(activated(field), angles)).max()
    )


def test_the_nonlinearity_is_exact_for_its_own_turns_and_nearly_for_others() -> None:
    samples = (5, 9, 17, 33, 101)
    for n in samples:
        assert nonlinearity_defect(n, 2 * np.pi * np.arange(2 * n) / n) < 1e-13
    defects = [nonlinearity_defect(n, turns(200)) for n in samples]
    assert defects[0] > 0.05
    assert defects[-1] < 2e-3
    assert all(fine < coarse for coarse, fine in pairwise(defects))


def phases(kind: str, *shape: int) -> Array:
    rng = np.random.default_rng(11)
    return (
        np.where(rng.random(shape) < 0.5, 1.0, -1.0)
        if kind == "Z2"
        else np.exp(1j * rng.uniform(-3, 3, shape))
    )


def act(omega: Array, field: Tensor) -> Tensor:
    """Omega(x) phi(x) for fields [B, *shape, C, r]."""
    phi = field.numpy()
    if not np.iscomplexobj(omega):
        return torch.from_numpy(omega[..., None, None] * phi)
    out = omega[..., None] * (phi[..., 0] + 1j * phi[..., 1])
    return torch.from_numpy(np.stack([out.real, out.imag], axis=-1))


@pytest.mark.parametrize("kind", ["Z2", "U1"])
def test_lattice_convolutions_commute_with_gauge_transformations(kind: str) -> None:
    torch.manual_seed(0)
    shape = (4, 3, 5)
    links, omega = phases(kind, 3, *shape), phases(kind, 2, *shape)[1]
    moved = transform_links(links, omega)
    assert np.abs(plaquettes(moved) - plaquettes(links)).max() < 1e-14
    assert np.abs(moved - links).max() > 1
    first, second = (LatticeGaugeConv(U, 2, 3) for U in (links, moved))
    second.load_state_dict(first.state_dict())
    phi = torch.randn(2, *shape, 2, 2 if kind == "U1" else 1, dtype=torch.float64)
    with torch.no_grad():
        expected = act(omega, first(phi))
        assert (second(act(omega, phi)) - expected).abs().max() < 1e-14
        lowered = lower(first, tuple(phi.shape[1:]))(phi.numpy())
        assert np.abs(lowered - first(phi).flatten(1).numpy()).max() < 1e-14


def test_a_neighbour_is_carried_along_its_link() -> None:
    """Two sites on a circle, by hand: phi'(0) = w+ U(0) phi(1) + w- U(1)^* phi(1)."""
    layer = LatticeGaugeConv([[1.0, -1.0]], 1, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([0.5, 2.0, 3.0]).reshape(3, 1, 1, 1))
        out = layer(torch.tensor([1.0, 10.0], dtype=torch.float64).reshape(1, 2, 1, 1)).flatten()
    assert out.tolist() == [0.5 + 20.0 - 30.0, 5.0 - 2.0 + 3.0]


def test_a_chain_of_z2_convolutions_with_odd_activations_is_equivariant_and_piecewise_linear() -> None:
    torch.manual_seed(2)
    links, omega = phases("Z2", 2, 3, 4), phases("Z2", 2, 3, 4)[1]

    def chain(U: Array) -> nn.Sequential:
        torch.manual_seed(3)
        first, second = LatticeGaugeConv(U, 1, 2), LatticeGaugeConv(U, 2, 2)
        return nn.Sequential(first, nn.Softshrink(0.3), second, nn.Hardtanh(), LatticeGaugeConv(U, 2, 1))

    phi = 2 * torch.randn(5, 3, 4, 1, 1, dtype=torch.float64)
    net = lower(chain(links), (3, 4, 1, 1))
    turned = lower(chain(transform_links(links, omega)), (3, 4, 1, 1))
    expected = act(omega, torch.from_numpy(net(phi.numpy())).reshape(5, 3, 4, 1, 1)).flatten(1).numpy()
    assert np.abs(turned(act(omega, phi).numpy()) - expected).max() < 1e-14
    with torch.no_grad():
        assert np.abs(net(phi.numpy()) - chain(links)(phi).flatten(1).numpy()).max() < 1e-14
    assert net.n_units == 48


X, FACES = icosphere(0)


@pytest.mark.parametrize(
    ("x", "faces", "words"),
    [
        (X, FACES[1:], "boundary"),
        (X, np.concatenate([FACES, FACES[:1]]), "twice in the same direction"),
        (X, np.concatenate([FACES[:1, ::-1], FACES[1:]]), "twice in the same direction"),
        (np.concatenate([X, [[5.0, 0, 0]]]), FACES, "vertex 12 belongs to no face"),
        (X * [1, 1, 0] + X[:, :1] * [0, 1, 0], np.array([[0, 0, 1], [1, 0, 0]]), "has no area"),
        (
            np.concatenate([X, X[1:] + 9]),
            np.concatenate([FACES, np.where(FACES > 0, FACES + 11, 0)]),
            "more than one fan",
        ),
    ],
    ids=["boundary", "doubled", "flipped", "unused", "flat", "pinched"],
)
def test_meshes_that_are_no_closed_surfaces_are_refused(x: Array, faces: Array, words: str) -> None:
    with pytest.raises(GeometryError, match=words):
        TangentBundle(x, faces)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: TangentBundle(X[:, :2], FACES), "vertices"),
        (lambda: TangentBundle(X, FACES.astype(float)), "whole numbers"),
        (lambda: TangentBundle(X, FACES + 1), "outside"),
        (lambda: TangentBundle(X, FACES, np.zeros(3)), "gauge"),
        (lambda: gauge_transform(np.zeros((12, 1, 2)), np.zeros(12)), "2L"),
        (lambda: RegularNonlinearity(2, 4), "do not hold"),
        (lambda: kernel_basis(-1, 0), "order_in"),
        (lambda: GaugeConv(TangentBundle(X, FACES), 1, 0, 1, 1), "c_out"),
        (
            lambda: GaugeConv(TangentBundle(X, FACES), 1, 1, 1, 1)(torch.zeros(2, 12, 1, 1)),
            "expected a field",
        ),
        (lambda: lower(GaugeConv(TangentBundle(X, FACES), 1, 1, 1, 1), (12, 1, 1)), "reads values"),
        (lambda: LatticeGaugeConv(np.ones(4), 1, 1), "shape"),
        (lambda: LatticeGaugeConv(np.full((1, 4), 2.0), 1, 1), "absolute value"),
        (lambda: transform_links(np.ones((1, 4)), np.ones(3)), "omega"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


def test_the_example_shows_two_gauges() -> None:
    printed = run_example("equivariant/gauge_mesh.py")
    assert printed.count("add up to") == 2
    sums = [float(line.split()[-2]) for line in printed.splitlines() if "add up to" in line]
    assert np.abs(sums).max() < 1e-11
    assert "25 for neighbours, 5 at a point" in printed

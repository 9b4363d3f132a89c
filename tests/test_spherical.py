"""Signals on the sphere and the rotation group: identities in float64, equivariance, lowering, refusals."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from scipy.special import sph_harm_y
from torch import Tensor, nn

from polytope.equivariant import (
    S2Conv,
    SO3Conv,
    SO3FourierTransform,
    SO3Integrate,
    SO3ToS2,
    SphericalHarmonicTransform,
    WignerD,
    euler_angles,
    group_action,
    group_harmonics,
    icosahedral,
    lower,
    near_identity,
    polar_quadrature,
    rotation3d,
    rotation_matrix,
    sphere_action,
    spherical_harmonics,
)
from polytope.errors import NotPiecewiseLinearError
from tests.examples import run_example

ANGLES = (0.3, 1.1, -2.0)
TURNS = ANGLES, (2.5, 0.4, 0.7), (-1.0, 3.0, 1.3)
GRIDS = ["driscoll-healy", "gauss-legendre"]


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def sphere(bandlimit: int, angles: tuple[float, float, float] = ANGLES) -> Tensor:
    return torch.from_numpy(sphere_action(bandlimit, *angles))


def group(bandlimit: int, angles: tuple[float, float, float] = ANGLES) -> Tensor:
    return torch.from_numpy(group_action(bandlimit, *angles))


@pytest.mark.parametrize("degree", [0, 1, 2, 5, 20])
def test_wigner_matrices_are_an_orthogonal_representation(degree: int) -> None:
    first, second = np.random.default_rng(degree).uniform(-4, 4, size=(2, 3, 10))
    product = euler_angles(rotation_matrix(*first) @ rotation_matrix(*second))
    D = WignerD(degree, *first)
    assert np.abs(D @ WignerD(degree, *second) - WignerD(degree, *product)).max() < 1e-12
    assert np.abs(D @ D.swapaxes(1, 2) - np.eye(2 * degree + 1)).max() < 1e-12


def test_degree_one_is_the_rotation_itself() -> None:
    order = [1, 2, 0]  # (y, z, x)
    assert np.abs(WignerD(1, *ANGLES) - rotation_matrix(*ANGLES)[np.ix_(order, order)]).max() < 1e-15


def test_harmonics_turn_by_wigner_matrices() -> None:
    """Y(R x) = D(R) Y(x) for all degrees below 8."""
    x = np.random.default_rng(1).normal(size=(50, 3))
    x /= np.linalg.norm(x, axis=1)[:, None]
    R = rotation_matrix(*ANGLES)
    Y, turned = (at(8, points) for points in (x, x @ R.T))
    assert np.abs(turned - Y @ sphere_action(8, *ANGLES).T).max() < 1e-12


def at(bandlimit: int, points: np.ndarray[Any, np.dtype[np.float64]]) -> Any:
    beta = np.arccos(points[..., 2])
    return spherical_harmonics(bandlimit, beta, np.arctan2(points[..., 1], points[..., 0]))


def test_harmonics_are_scipys_up_to_the_phase() -> None:
    beta, alpha = np.random.default_rng(2).uniform([[0], [-3]], [[np.pi], [3]], size=(2, 30))
    Y = spherical_harmonics(6, beta, alpha)
    for l in range(6):  # noqa: E741
        for m in range(-l, l + 1):
            complex_one = sph_harm_y(l, abs(m), beta, alpha) * (-1) ** m * np.sqrt(4 * np.pi)
            real = complex_one.imag if m < 0 else complex_one.real
            factor = 1.0 if m == 0 else np.sqrt(2)
            assert np.abs(Y[:, l * l + l + m] - factor * real).max() < 1e-12


@pytest.fixture
def _double() -> Iterator[None]:
    """e3nn makes its generators in torch's default type."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("_double")
def test_wigner_matrices_are_e3nns_with_its_polar_axis() -> None:
    """e3nn measures beta from the y axis: its (z, x, y) are our (x, y, z), and the matrices are the same."""
    from e3nn import o3

    angles = [torch.tensor(a, dtype=torch.float64) for a in ANGLES]
    for degree in range(5):
        theirs = o3.wigner_D(degree, *angles).numpy()
        assert np.abs(WignerD(degree, *ANGLES) - theirs).max() < 1e-12
    x = numbers(20, 3)
    theirs = o3.spherical_harmonics(list(range(5)), x, normalize=True, normalization="component")
    ours = (x / x.norm(dim=1, keepdim=True)).numpy()[:, [2, 0, 1]]
    assert np.abs(at(5, ours) - theirs.numpy()).max() < 1e-12


def test_euler_angles_of_every_rotation_also_at_the_poles() -> None:
    R = Rotation.random(50, rng=np.random.default_rng(3)).as_matrix()
    flips = np.array([np.eye(3), np.diag([1.0, -1, -1]), np.diag([-1.0, 1, -1]), np.diag([-1.0, -1, 1])])
    for some in (R, flips):
        assert np.abs(rotation_matrix(*euler_angles(some)) - some).max() < 1e-12


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize(("b", "bandlimit"), [(1, 1), (4, 4), (5, 3), (6, 6)])
def test_the_transforms_undo_each_other(grid: str, b: int, bandlimit: int) -> None:
    for transform in (
        SphericalHarmonicTransform(b, grid, bandlimit=bandlimit),
        SO3FourierTransform(b, grid, bandlimit=bandlimit),
    ):
        c = numbers(3, 2, transform.n_coefficients)
        samples = transform.to_grid(c)
        assert (transform(samples) - c).abs().max() < 1e-12
        from_grid, to_grid = transform.maps(2)
        columns = c.flatten(1).T.numpy()
        assert np.abs(to_grid.apply(columns) - samples.flatten(1).T.numpy()).max() < 1e-12
        assert np.abs(from_grid.apply(samples.flatten(1).T.numpy()) - columns).max() < 1e-12


def test_the_group_transform_sums_the_basis() -> None:
    """Its three factors are the Wigner matrices at every grid point."""
    transform = SO3FourierTransform(4, bandlimit=3)
    beta, _ = polar_quadrature(4)
    alpha, beta, gamma = np.meshgrid(np.arange(8) * np.pi / 4, beta, np.arange(8) * np.pi / 4)
    D = group_harmonics(3, alpha, beta, gamma)
    coefficients = torch.eye(transform.n_coefficients, dtype=torch.float64)
    assert np.abs(np.moveaxis(D, -1, 0) - transform.to_grid(coefficients).numpy()).max() < 1e-12


@pytest.mark.parametrize("grid", GRIDS)
def test_quadratures_are_exact_below_twice_the_bandwidth(grid: str) -> None:
    beta, weights = polar_quadrature(5, grid)
    for degree in range(10):
        exact = 0.0 if degree % 2 else 1 / (degree + 1)
        assert weights @ np.cos(beta) ** degree == pytest.approx(exact, abs=1e-15)
    assert abs(weights @ np.cos(beta) ** 40 - 1 / 41) > 1e-9 or grid == "gauss-legendre"


@pytest.mark.parametrize("points", [None, near_identity(0.6, 2, 4, 3)], ids=["free", "local"])
@pytest.mark.parametrize("angles", TURNS)
def test_linear_parts_are_equivariant(
    points: np.ndarray[Any, np.dtype[np.float64]] | None, angles: tuple[float, float, float]
) -> None:
    torch.manual_seed(0)
    b, c = 5, 4
    first, second = S2Conv(2, 3, b, c, points=points), SO3Conv(3, 2, c, b, points=points)
    nn.init.normal_(first.bias)
    f = numbers(4, 2, b * b)
    transform, middle, last = SphericalHarmonicTransform(b), SO3FourierTransform(c), SO3FourierTransform(b)
    x, turned = transform.to_grid(f), transform.to_grid(f @ sphere(b, angles).T)
    y, y_turned = first(x), first(turned)
    assert (middle(y_turned) - middle(y) @ group(c, angles).T).abs().max() < 1e-12
    z, z_turned = second(y), second(y_turned)
    assert (last(z_turned) - last(z) @ group(b, angles).T).abs().max() < 1e-12
    for reduce in ("integrate", "sum"):
        to_sphere, out = SO3ToS2(b, c, reduce), SphericalHarmonicTransform(c)
        assert (out(to_sphere(z_turned)) - out(to_sphere(z)) @ sphere(c, angles).T).abs().max() < 1e-12
    integrate = SO3Integrate(b)
    assert (integrate(z_turned) - integrate(z)).abs().max() < 1e-12
    assert (integrate(z) - last(z)[..., 0]).abs().max() < 1e-14


def test_convolution_is_the_integral_of_its_definition() -> None:
    """(k * f)(R) = <f, L_R k>, by quadrature on a finer grid: pins the order of the indices."""
    torch.manual_seed(1)
    b, fine = 3, 6
    layer = S2Conv(1, 1, b, b)
    f = numbers(b * b)
    signal = layer.target(layer(SphericalHarmonicTransform(b).to_grid(f)[None, None]))[0, 0].detach()
    kernel = layer.weight[0, 0].detach()
    dense = SphericalHarmonicTransform(fine, bandlimit=b)
    product = dense.to_grid(f) * dense.to_grid(sphere(b) @ kernel)
    integral = SphericalHarmonicTransform(fine, bandlimit=1)(product)
    at_turn = signal.numpy() @ (group_harmonics(b, *ANGLES) / degrees(b))
    assert at_turn == pytest.approx(float(integral), abs=1e-12)


def degrees(bandlimit: int) -> Any:
    """sqrt(2l+1) for every coefficient of the group: the factor between D^l and the orthonormal basis."""
    return np.concatenate([np.full(n * n, np.sqrt(n)) for n in range(1, 2 * bandlimit, 2)])


def test_a_local_kernel_reads_the_signal_at_its_points() -> None:
    """With one point S the layer is R -> w g(R S^-1), and with the identity it is w g."""
    b, g = 3, numbers(1, 1, 35)
    transform = SO3FourierTransform(b)
    layer = SO3Conv(1, 1, b, b, points=[[0.0, 0.0, 0.0]])
    nn.init.ones_(layer.weight)
    assert (layer(transform.to_grid(g)) - transform.to_grid(g)).abs().max() < 1e-12
    layer = SO3Conv(1, 1, b, b, points=[ANGLES])
    nn.init.ones_(layer.weight)
    R = rotation_matrix(0.4, 1.9, 2.2)
    moved = euler_angles(R @ rotation_matrix(*ANGLES).T)
    expected = group_harmonics(b, *moved) @ g[0, 0].numpy()
    out = transform(layer(transform.to_grid(g)))[0, 0].detach().numpy()
    assert group_harmonics(b, *euler_angles(R)) @ out == pytest.approx(expected, abs=1e-12)


def test_integrating_over_gamma_is_the_mean_of_the_samples() -> None:
    g = SO3FourierTransform(4).to_grid(numbers(2, 3, 84))
    assert (SO3ToS2(4, 4)(g) - g.mean(dim=-1)).abs().max() < 1e-12


def relu_defect(oversampling: int) -> float:
    """How far ReLU on samples of the group is from commuting with a rotation, in the mean square."""
    bandlimit = 3
    transform = SO3FourierTransform(bandlimit * oversampling, bandlimit=bandlimit)
    g, T = numbers(20, transform.n_coefficients), group(bandlimit)
    then = transform(transform.to_grid(g @ T.T).relu())
    return float((then - transform(transform.to_grid(g).relu()) @ T.T).norm() / then.norm())


def test_the_relus_defect_falls_with_oversampling() -> None:
    defects = [relu_defect(k) for k in (1, 2, 4, 8)]
    assert all(fine < coarse / 2 for coarse, fine in pairwise(defects))
    assert defects[0] > 0.01
    assert defects[3] < 1e-3


def network(b: int) -> nn.Sequential:
    torch.manual_seed(2)
    return nn.Sequential(S2Conv(1, 2, b, 3), nn.ReLU(), SO3Conv(2, 2, 3, 2), nn.ReLU(), SO3ToS2(2, b, "sum"))


def test_a_step_about_the_polar_axis_is_exact_also_with_relu() -> None:
    b = 4
    net = network(b)
    x = SphericalHarmonicTransform(b).to_grid(numbers(3, 1, b * b))
    step = 2  # of the input grid; the grids of bandwidth 2 are turned by whole steps too, those of 3 are not
    assert (net(x.roll(step, -1)) - net(x).roll(step, -1)).abs().max() > 1e-6
    net = nn.Sequential(S2Conv(1, 3, b, b), nn.ReLU(), SO3Conv(3, 2, b, b), nn.ReLU(), SO3ToS2(b, b))
    for turn in range(2 * b):
        assert (net(x.roll(turn, -1)) - net(x).roll(turn, -1)).abs().max() < 1e-12


def test_the_icosahedrons_points_are_exact_for_its_rotations() -> None:
    """ReLU on 42 points, the vertices and the edges' middles of the icosahedron."""
    turns = rotation3d(icosahedral()).matrices
    axes = [np.linalg.eigh(R + R.T)[1][:, -1] for R in turns if np.isclose(np.trace(R), (1 + np.sqrt(5)) / 2)]
    axes += [np.linalg.eigh(R + R.T)[1][:, -1] for R in turns if np.isclose(np.trace(R), -1)]
    points = np.unique(np.concatenate([axes, -np.array(axes)]).round(9), axis=0)
    assert len(points) == 42
    points = points / np.linalg.norm(points, axis=1)[:, None]
    transform = SphericalHarmonicTransform(4, points)
    f = numbers(5, 16)

    def defect(R: Any) -> float:
        D = sphere(4, tuple(float(a) for a in euler_angles(R)))  # type: ignore[arg-type]
        return float(
            (transform(transform.to_grid(f @ D.T).relu()) - transform(transform.to_grid(f).relu()) @ D.T)
            .abs()
            .max()
        )

    assert max(defect(R) for R in turns) < 1e-7  # the points are rounded to nine digits
    assert defect(rotation_matrix(*ANGLES)) > 1e-3


def test_lowering_gives_the_same_function() -> None:
    net = network(3)
    nn.init.normal_(net[0].bias)
    nn.init.normal_(net[2].bias)
    lowered = lower(net, (1, 6, 6))
    assert lowered.widths == (2 * 6**3, 2 * 4**3)
    x = numbers(4, 1, 6, 6)
    with torch.no_grad():
        expected = net(x).flatten(1).numpy()
    assert np.abs(lowered(x.numpy()) - expected).max() < 1e-12
    invariant = nn.Sequential(S2Conv(1, 3, 3, 2), nn.ReLU(), SO3Integrate(2), nn.Linear(3, 2).double())
    with torch.no_grad():
        expected = invariant(x).numpy()
    assert np.abs(lower(invariant, (1, 6, 6))(x.numpy()) - expected).max() < 1e-12


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: WignerD(-1, 0, 0, 0), "degree"),
        (lambda: SphericalHarmonicTransform(0), "whole number"),
        (lambda: SphericalHarmonicTransform(3, "healpix"), "driscoll-healy"),
        (lambda: SphericalHarmonicTransform(3, bandlimit=4), "cannot hold"),
        (lambda: SphericalHarmonicTransform(3, np.eye(3)), "do not determine"),
        (lambda: SphericalHarmonicTransform(3)(numbers(2, 4, 4)), "6, 6"),
        (lambda: SO3FourierTransform(2).to_grid(numbers(3)), "10 coefficients"),
        (lambda: S2Conv(1, 1, 4, 2, bandlimit=3), "does not fit"),
        (lambda: S2Conv(1, 1, 4, 2, points=[[0.0, 0.0]]), "Euler angles"),
        (lambda: S2Conv(0, 1, 4, 2), "c_in"),
        (lambda: S2Conv(2, 1, 2, 2)(numbers(1, 3, 4, 4)), "expected"),
        (lambda: SO3ToS2(2, 2, "max"), "integrate"),
        (lambda: near_identity(4.0, 1, 1), "max_beta"),
        (lambda: euler_angles(2 * np.eye(3)), "not a rotation"),
        (lambda: lower(S2Conv(2, 1, 2, 2), (1, 4, 4)), "reads values of shape"),
    ],
)
def test_what_does_not_fit_is_refused(call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


def test_a_layer_that_is_not_piecewise_linear_is_named() -> None:
    with pytest.raises(NotPiecewiseLinearError, match=r"'1' \(Sigmoid\)"):
        lower(nn.Sequential(nn.Linear(2, 2), nn.Sigmoid()), (2,))


def test_the_example_shows_what_is_exact() -> None:
    printed = run_example("equivariant/spherical_network.py")
    rows = [line.split() for line in printed.splitlines() if line.startswith("oversampling")]
    assert all(float(row[3].rstrip(",")) < 1e-12 for row in rows)
    assert all(float(fine[6]) < float(coarse[6]) for coarse, fine in pairwise(rows))
    assert "complete: True" in printed

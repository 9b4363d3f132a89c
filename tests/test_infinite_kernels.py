"""Kernels of infinite width: values of neural-tangents, closed forms, quadrature, sampling; refusals."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import owens_t
from scipy.stats import norm
from torch import nn

from polytope import equivariant as eq
from polytope import infinite
from polytope.infinite.gaussian import both_above, by_quadrature
from polytope.infinite.gaussian import owens_t as our_owens_t
from polytope.infinite.propagate import whole_matrices
from tests.infinite_cases import Residual, SkipOfReLU, convolutional, dense, package_layers, sampled

FIXTURE = Path(__file__).parents[2] / "shared" / "data" / "nt_values.npz"
needs_fixture = pytest.mark.skipif(not FIXTURE.exists(), reason="the values of neural-tangents are not here")

BENDS = {"relu": infinite.relu(), "leaky": infinite.leaky_relu(0.2), "abs": infinite.absolute()}
PADDING = {"CIRCULAR": {"padding": 1, "padding_mode": "circular"}, "SAME": {"padding": 1}, "VALID": {}}
GENERAL = {
    "hard_tanh": infinite.hard_tanh(-1.0, 0.7),
    "relu6": infinite.hard_tanh(0.0, 6.0),
    "soft_shrink": infinite.piecewise([-0.5, 0.5], [1.0, 0.0, 1.0]),
    "hard_sigmoid": infinite.piecewise([-3.0, 3.0], [0.0, 1 / 6, 0.0], 0.5),
    "shifted": infinite.Bend((0.0,), (0.3, 1.0), 0.4),
}


def architectures() -> dict[str, infinite.Architecture]:
    """The architectures of the fixture: steps by hand, and modules that are read."""
    found = {
        f"mlp_{name}_{depth}": infinite.mlp(6, depth, bend, weight_std=1.5, bias_std=0.3)
        for name, bend in BENDS.items()
        for depth in (1, 3)
    }
    found["mlp_nobias"] = infinite.mlp(6, 2, weight_std=1.5)
    for padding, options in PADDING.items():
        for head in ("gap", "flat"):
            module = convolutional(head, **options)
            read = infinite.architecture(module, (2, 5, 5), weight_std=1.4, bias_std=0.2)
            found[f"cnn_{padding}_{head}"] = read
    found["res"] = infinite.architecture(Residual(), weight_std=1.5, bias_std=0.3)
    return found


ARCHITECTURES = architectures()


@needs_fixture
@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_kernels_are_those_of_neural_tangents(name: str) -> None:
    """To 1e-12: both sides round, the largest difference seen is 3e-14 of values up to 50."""
    with np.load(FIXTURE) as values:
        images = [values[key].transpose(0, 3, 1, 2) for key in ("im", "im2")]
        x, y = images if name.startswith("cnn") else (values["x"], values["y"])
        found = infinite.kernel(ARCHITECTURES[name], x, y)
        np.testing.assert_allclose(found.nngp, values[f"{name}_nngp"], rtol=0, atol=1e-12)
        np.testing.assert_allclose(found.ntk, values[f"{name}_ntk"], rtol=0, atol=1e-12)


def test_he_keeps_the_size_and_the_tangent_kernel_counts_layers() -> None:
    """With weights of variance 2 / fan_in and no bias K(x, x) is that of the input, and Theta = L K."""
    x = np.random.default_rng(0).standard_normal((3, 5))
    found = infinite.kernel(infinite.mlp(5, 5), x)
    expected = 2 * (x**2).sum(axis=1) / 5
    np.testing.assert_allclose(found.nngp.diagonal(), expected, rtol=1e-14)
    np.testing.assert_allclose(found.ntk.diagonal(), 6 * expected, rtol=1e-14)


def test_relu_at_right_angles_has_the_arc_cosine_value() -> None:
    """E relu(u) relu(v) = 1 / 2 pi for independent standard normals; E step step = 1 / 4."""
    found = infinite.kernel(infinite.mlp(2, 1, weight_std=1.0), np.eye(2) * 2**0.5)
    assert found.nngp[0, 1] == pytest.approx(1 / (2 * np.pi), rel=1e-14)
    assert found.ntk[0, 1] == pytest.approx(
        1 / (2 * np.pi), rel=1e-14
    )  # K, and 0 through the weights in front


def test_owens_function_is_scipys_on_every_device() -> None:
    """The quadrature that runs on other devices, here on the CPU: to ten roundings."""
    rng = np.random.default_rng(0)
    h, a = 3 * rng.standard_normal(2000), 4 * rng.standard_normal(2000)
    h[:40], a[:10], a[10:20] = 0.0, np.inf, -np.inf
    a[20:60] = np.repeat([0.0, 1.0, -1.0, 1e-12], 10)
    tensors = torch.tensor(h), torch.tensor(a)
    np.testing.assert_allclose(by_quadrature(*tensors), owens_t(h, a), rtol=0, atol=2e-15)
    np.testing.assert_array_equal(our_owens_t(*tensors), owens_t(h, a))


@pytest.mark.parametrize("rho", [-1.0, -0.3, 0.0, 0.8, 1.0])
def test_both_above_at_zero_is_the_known_angle(rho: float) -> None:
    """P(X > 0, Y > 0) = 1/4 + arcsin(rho) / 2 pi; with a threshold of 1 and rho = 1 the tail of 1."""
    zero, one = torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64)
    assert float(both_above(zero, zero, rho * one)) == pytest.approx(
        0.25 + np.arcsin(rho) / (2 * np.pi), abs=1e-15
    )
    assert float(both_above(zero, one, one)) == pytest.approx(0.15865525393145707, abs=1e-15)


@pytest.mark.parametrize("slope", [0.0, 0.2, -1.0])
def test_owens_way_is_the_closed_form_for_one_breakpoint_at_zero(slope: float) -> None:
    """A breakpoint of 1e-300 takes the general way; correlations of +-1 among the pairs."""
    rng = np.random.default_rng(0)
    factors = rng.standard_normal((300, 2, 3))
    first, second = (torch.tensor(np.linalg.norm(factors[:, i], axis=1)) for i in (0, 1))
    rho = torch.tensor((factors[:, 0] * factors[:, 1]).sum(axis=1)) / (first * second)
    rho[:2] = torch.tensor([1.0, -1.0])
    covariance = rho * first * second
    closed = infinite.leaky_relu(slope).products(covariance, first, second, rho)
    for tiny in (1e-300, -1e-300):
        general = infinite.Bend((tiny,), (slope, 1.0)).products(covariance, first, second, rho)
        for a, b in zip(closed, general, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-13)


def by_conditioning(bend: infinite.Bend, a: float, b: float, rho: float, derivative: bool) -> float:
    """The mean of a product: of phi(v) given u in closed form, then Gauss-Legendre over u, by pieces."""
    ends = [-12.0, *(t / a for t in bend.breakpoints), 12.0]
    nodes, weights = np.polynomial.legendre.leggauss(80)
    total, spread = 0.0, b * (1 - rho**2) ** 0.5
    for low, high in pairwise(ends):
        x = (low + high + (high - low) * nodes) / 2
        u, density = a * x, (high - low) / 2 * weights * norm.pdf(x)
        first, second = np.full(len(x), bend.slopes[0]), np.full(len(x), bend.slopes[0])
        if not derivative:
            first, second = bend.offset + first * u, bend.offset + second * b * rho * x
        for t, d in bend.hinges:
            z = (b * rho * x - t) / spread
            first = first + d * ((u > t) if derivative else np.maximum(u - t, 0))
            second = second + d * (norm.cdf(z) if derivative else spread * (norm.pdf(z) + z * norm.cdf(z)))
        total += float(density @ (first * second))
    return total


@pytest.mark.parametrize("rho", [-0.7, 0.0, 0.6, 0.97])
@pytest.mark.parametrize("name", sorted(GENERAL))
def test_products_are_those_of_quadrature(name: str, rho: float) -> None:
    bend, a, b = GENERAL[name], 1.3, 0.8
    numbers = [torch.tensor(v, dtype=torch.float64) for v in (rho * a * b, a, b, rho)]
    products, slopes = bend.products(*numbers)
    assert float(products) == pytest.approx(by_conditioning(bend, a, b, rho, False), abs=1e-13)
    assert float(slopes) == pytest.approx(by_conditioning(bend, a, b, rho, True), abs=1e-13)


@pytest.mark.parametrize("name", sorted(GENERAL))
def test_means_are_those_of_quadrature(name: str) -> None:
    bend, std = GENERAL[name], 1.3
    nodes, weights = np.polynomial.legendre.leggauss(80)
    total = 0.0
    for low, high in pairwise([-16.0, *bend.breakpoints, 16.0]):
        u = (low + high + (high - low) * nodes) / 2
        value = bend.offset + bend.slopes[0] * u + sum(d * np.maximum(u - t, 0) for t, d in bend.hinges)
        total += float((high - low) / 2 * weights @ (value * norm.pdf(u, scale=std)))
    assert float(bend.mean(torch.tensor(std**2, dtype=torch.float64))) == pytest.approx(total, abs=1e-13)


@pytest.mark.parametrize("name", [*sorted(package_layers()), "skip_of_relu", "residual"])
def test_layers_of_the_package_are_those_of_sampling(name: str) -> None:
    """Mean products of outputs of 400 draws of width 48, within 4 standard errors and the 1 / width bias.

    The bias of a network of L hidden layers is of relative order L / width: 2 / 48 here.
    """
    width = 48
    others = {"skip_of_relu": SkipOfReLU, "residual": Residual}

    def make() -> nn.Module:
        return others[name](width=width) if name in others else package_layers(width)[name][0]

    shape = (6,) if name in others else package_layers()[name][1]
    x = np.random.default_rng(1).standard_normal((3, *shape))
    expected = infinite.kernel(infinite.architecture(make(), shape), x).nngp
    expected = expected if expected.ndim == 2 else np.einsum("nmaa->nm", expected) / expected.shape[-1]
    mean, error = sampled(make, x, 400)
    room = 4 * error + 2 / width * np.sqrt(np.outer(expected.diagonal(), expected.diagonal()))
    assert (np.abs(mean - expected) <= room).all(), (mean, expected, error)


@pytest.mark.parametrize("head", ["gap", "flat"])
def test_blocks_give_the_same_numbers(head: str) -> None:
    """To the rounding of sums in another order; NTK near equal points by its square root."""
    read = infinite.architecture(convolutional(head, padding=1), (2, 5, 5))
    x = np.random.default_rng(0).standard_normal((7, 2, 5, 5))
    whole = infinite.kernel(read, x)
    seen: list[tuple[int, int]] = []
    for found in (
        infinite.kernel(read, x, batch=2, progress=lambda done, of: seen.append((done, of))),
        infinite.kernel(read, x, x, batch=3),
        infinite.kernel(read, x, memory="1MB"),
    ):
        np.testing.assert_allclose(found.nngp, whole.nngp, rtol=1e-13)
        np.testing.assert_allclose(found.ntk, whole.ntk, rtol=1e-12)
    assert seen[-1] == (49, 49)
    assert seen == sorted(seen)
    np.testing.assert_allclose(infinite.variances(read, x), whole.nngp.diagonal(), rtol=1e-13)
    np.testing.assert_allclose(whole.nngp, whole.nngp.T, rtol=1e-14)


@pytest.mark.parametrize("head", ["gap", "flat"])
def test_sites_are_read_alike_with_and_without_a_table(head: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read = infinite.architecture(convolutional(head, padding=1), (2, 5, 5))
    x = np.random.default_rng(0).standard_normal((3, 2, 5, 5))
    with_table = infinite.kernel(read, x)
    monkeypatch.setattr("polytope.infinite.slots.LARGEST_TABLE", 1)
    np.testing.assert_allclose(infinite.kernel(read, x).ntk, with_table.ntk, rtol=1e-12)


def test_flat_readouts_need_the_diagonal_alone() -> None:
    flat, gap = (infinite.architecture(convolutional(h, padding=1), (2, 5, 5)) for h in ("flat", "gap"))
    assert not any(whole_matrices(flat, output=True))
    assert whole_matrices(gap, output=True)[0]
    large = infinite.architecture(
        nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 64**2, 1)),
        (1, 64, 64),
    )
    x = np.random.default_rng(0).standard_normal((2, 1, 64, 64))
    assert np.isfinite(infinite.kernel(large, x, memory="64MB").ntk).all()  # a matrix of one pair: 134 MB


def test_a_thousand_points_take_a_second_or_so_of_the_processor() -> None:
    """The promise is 2 s on two cores; a wide margin for machines under load."""
    from time import process_time

    x = np.random.default_rng(0).standard_normal((1000, 20))
    started = process_time()
    assert infinite.kernel(infinite.mlp(20, 3), x, x[::-1]).ntk.shape == (1000, 1000)
    assert process_time() - started < 12


def test_equal_points_correlate_exactly() -> None:
    """Rows of equal points are equal, in one call and in two."""
    x = np.random.default_rng(0).standard_normal((5, 4))
    x[3] = x[1]
    read = infinite.mlp(4, 4, bias_std=0.1)
    for found in (infinite.kernel(read, x), infinite.kernel(read, x, x.copy(), batch=2)):
        own = [found.ntk[1, 1], found.ntk[3, 3], found.ntk[1, 3], found.ntk[3, 1]]
        np.testing.assert_allclose(own, own[0], rtol=1e-14)


def test_symmetric_layers_have_symmetric_kernels() -> None:
    """Turned images and reordered sets; 1e-9 of the NTK, whose slope at a correlation of 1 has no bound."""
    rng = np.random.default_rng(0)
    module, shape = package_layers()["group"]
    x = rng.standard_normal((3, *shape))
    read = infinite.architecture(module, shape)
    straight, turned = infinite.kernel(read, x), infinite.kernel(read, x, np.rot90(x, axes=(2, 3)))
    np.testing.assert_allclose(turned.nngp, straight.nngp, rtol=1e-13)
    np.testing.assert_allclose(turned.ntk, straight.ntk, rtol=1e-7)
    module, shape = package_layers()["sets"]
    x = rng.standard_normal((3, *shape))
    read = infinite.architecture(module, shape)
    np.testing.assert_allclose(
        infinite.kernel(read, x, x[:, ::-1]).nngp, infinite.kernel(read, x).nngp, rtol=1e-13
    )


def test_outputs_on_sites_have_matrices() -> None:
    """A group convolution without readout: turning an image turns the sites."""
    group = eq.cyclic(4)
    read = infinite.architecture(eq.LiftingConv2d(group, 1, 4, 3), (1, 3, 3))
    x = np.random.default_rng(0).standard_normal((2, 1, 3, 3))
    found = infinite.kernel(read, x).nngp
    assert found.shape == (2, 2, 4, 4)
    turned = infinite.kernel(read, x, np.rot90(x, axes=(2, 3))).nngp
    shifts = [np.abs(turned - np.roll(found, s, axis=3)).max() for s in range(4)]
    assert min(shifts) < 1e-13


def test_deeper_dense_modules_are_read_like_steps_by_hand() -> None:
    x = np.random.default_rng(0).standard_normal((4, 6))
    module = dense(6, 8, 8, 1, between=lambda: nn.Hardtanh(-1.0, 0.7))
    read = infinite.architecture(module, weight_std=1.2, bias_std=0.1)
    by_hand = infinite.mlp(6, 2, infinite.hard_tanh(-1.0, 0.7), weight_std=1.2, bias_std=0.1)
    np.testing.assert_array_equal(infinite.kernel(read, x).ntk, infinite.kernel(by_hand, x).ntk)


def test_points_at_the_origin_have_finite_kernels() -> None:
    x = np.array([[0.0, 0.0], [1.0, 2.0]])
    for bend in (*BENDS.values(), *GENERAL.values()):
        found = infinite.kernel(infinite.mlp(2, 2, bend), x)
        assert np.isfinite(found.nngp).all()
        assert np.isfinite(found.ntk).all()


@pytest.mark.parametrize(
    ("points", "said"),
    [
        (np.zeros((2, 5)), r"expected points of shape \[B, 6\]"),
        (np.zeros(6), r"expected points of shape \[B, 6\]"),
        (np.full((2, 6), np.nan), "not a finite number"),
        (np.full((2, 6), np.inf), "not a finite number"),
    ],
)
def test_wrong_points_are_refused(points: np.ndarray, said: str) -> None:
    read = infinite.mlp(6, 1)
    with pytest.raises(ValueError, match=said):
        infinite.kernel(read, points)
    with pytest.raises(ValueError, match="y: "):
        infinite.kernel(read, np.zeros((1, 6)), points)


def test_kernels_larger_than_memory_say_how_large_and_what_to_do() -> None:
    gap = infinite.architecture(convolutional("gap", padding=1), (2, 5, 5))
    x = np.zeros((3, 50))
    with pytest.raises(ValueError, match=r"A block of 3 x 3 points takes 0 MB, .* batch=1 fits"):
        infinite.kernel(gap, x, batch=3, memory=60_000)
    with pytest.raises(ValueError, match="one pair of points does not fit"):
        infinite.kernel(gap, x, memory=1000)
    with pytest.raises(
        ValueError, match=r"take 1[\d,]+ MB, and [\d,]+ MB are free: take some rows at a time"
    ):
        infinite.kernel(infinite.mlp(1, 1), np.zeros((10_000_000, 1)))
    with pytest.raises(ValueError, match="at least one point"):
        infinite.kernel(gap, x, batch=0)
    assert infinite.kernel(gap, np.zeros((0, 50)), x).ntk.shape == (0, 3)


def test_wrong_activations_and_steps_are_refused() -> None:
    with pytest.raises(ValueError, match="1 breakpoints need 2 slopes"):
        infinite.Bend((0.0,), (1.0,))
    with pytest.raises(ValueError, match="do not ascend"):
        infinite.piecewise([1.0, 0.0], [0.0, 1.0, 0.0])
    with pytest.raises(ValueError, match="finite"):
        infinite.leaky_relu(np.nan)
    with pytest.raises(ValueError, match="must not be negative"):
        infinite.dense(-1.0)
    with pytest.raises(ValueError, match="make no network"):
        infinite.mlp(0, 1)
    with pytest.raises(ValueError, match="reads 4 sites"):
        infinite.chain([infinite.dense(), infinite.dense(sites=4)], (3,))
    shared = (
        infinite.Step(infinite.dense(), (0,)),
        infinite.Step(infinite.relu(), (1,)),
        infinite.Step(infinite.Sum(), (1, 2)),
    )
    with pytest.raises(ValueError, match="depend on the same weights"):
        infinite.Architecture(shared, (3,))
    raw = (
        infinite.Step(infinite.dense(), (0,)),
        infinite.Step(infinite.relu(), (1,)),
        infinite.Step(infinite.Sum(), (0, 2)),
    )
    with pytest.raises(ValueError, match="adds the input to values with a mean"):
        infinite.Architecture(raw, (3,))
    with pytest.raises(ValueError, match="at least one step"):
        infinite.Architecture((), (3,))

"""Flows: change of variables, inverses, lowered networks, training, adapters, and what is refused."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

import polytope as pt
from polytope import flows
from polytope.errors import FlowError, NotPiecewiseLinearError
from tests.flow_cases import FLOWS, PIECEWISE_LINEAR, SMOOTH, autograd_jacobians, disturbed, points

NARROW = flows.Flow([flows.AdditiveCoupling([True, False, False], nn.Linear(1, 1).double())])


@pytest.mark.parametrize("name", FLOWS)
def test_change_of_variables(name: str) -> None:
    """The inverse undoes the map; log-determinants are those of autograd's Jacobian, and of each other."""
    flow = disturbed(FLOWS[name]())
    z = points(4, flow.dim)
    x, logdet = flow.forward(z)
    back, inverse_logdet = flow.inverse(x)
    assert (back - z).abs().max() < 1e-10
    assert (logdet + inverse_logdet).abs().max() < 1e-10
    assert (torch.linalg.slogdet(autograd_jacobians(flow, z))[1] - logdet).abs().max() < 1e-10
    expected = flow.base.log_density(z) - logdet
    assert (flow.log_prob(x) - expected).abs().max() < 1e-10


@pytest.mark.parametrize("name", PIECEWISE_LINEAR)
@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_the_lowered_network_is_the_flow(name: str, direction: flows.Direction) -> None:
    flow = disturbed(FLOWS[name]())
    network = flows.lower(flow, direction)
    x = 2 * points(50, flow.dim)
    expected, logdet = flow.forward(x) if direction == "forward" else flow.inverse(x)
    np.testing.assert_allclose(network(x.numpy()), expected.detach().numpy(), atol=1e-10)
    jacobians = network.jacobian(x.numpy())
    np.testing.assert_allclose(np.linalg.slogdet(jacobians)[1], logdet.detach().numpy(), atol=1e-10)
    assert flow.is_piecewise_linear


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_flows_are_not_lowered(name: str) -> None:
    flow = SMOOTH[name]()
    assert not flow.is_piecewise_linear
    with pytest.raises(NotPiecewiseLinearError, match=r"Layer \d+ of the flow .*AffineCoupling"):
        flows.lower(flow)


@pytest.mark.parametrize("base", ["normal", "laplace", "uniform"])
@pytest.mark.parametrize("make", [flows.nice, flows.realnvp])
def test_densities_integrate_to_one(make: Callable[..., flows.Flow], base: str) -> None:
    """By the midpoint rule on a fine grid over all but 1e-5 of the mass."""
    flow = disturbed(make(2, couplings=2, hidden=(6,), base=base), size=0.1)
    reach, n = (14.0, 701) if base != "uniform" else (3.0, 801)
    ticks = (np.arange(n) + 0.5) / n * 2 * reach - reach
    grid = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    with torch.no_grad():
        total = float(flow.log_prob(grid).exp().sum()) * (2 * reach / n) ** 2
    assert total == pytest.approx(1, abs=1e-3)


def test_couplings_are_their_formulas() -> None:
    """x_b = z_b exp(s(z_a)) + t(z_a), a lower block-triangular Jacobian, log-determinant sum s."""
    s, t = nn.Linear(1, 2, dtype=torch.float64), nn.Linear(1, 2, dtype=torch.float64)
    flow = flows.Flow([flows.AffineCoupling([True, False, False], s, t)])
    z = points(3, 3)
    x, logdet = flow.forward(z)
    a = z[:, :1]
    np.testing.assert_allclose(x[:, :1].detach(), a, atol=0)
    np.testing.assert_allclose(x[:, 1:].detach(), (z[:, 1:] * s(a).exp() + t(a)).detach(), rtol=1e-14)
    np.testing.assert_allclose(logdet.detach(), s(a).sum(dim=1).detach(), rtol=1e-14)
    assert (autograd_jacobians(flow, z)[:, 0, 1:] == 0).all()
    additive = flows.Flow([flows.AdditiveCoupling([True, False, False], t)])
    assert (additive.forward(z)[1] == 0).all()
    np.testing.assert_allclose(torch.linalg.det(autograd_jacobians(additive, z)), 1.0, atol=1e-15)


def test_a_coupling_by_hand() -> None:
    """One ReLU unit: x = (z_1, z_2 + 3 relu(2 z_1 - 1)), two regions, both of determinant 1."""
    net = nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1)).double()
    for values, number in zip(net.parameters(), (2.0, -1.0, 3.0, 0.0), strict=True):
        values.data.fill_(number)
    network = flows.lower(flows.Flow([flows.AdditiveCoupling([True, False], net)]))
    assert network([[1.0, 5.0], [0.0, 5.0]]).tolist() == [[1.0, 8.0], [0.0, 5.0]]
    assert len(pt.enumerate_regions(network, pt.Polyhedron.box([-1, -1], [1, 1]))) == 2


def test_a_spline_by_hand() -> None:
    """Slopes 1/2, 3, 1 with knots 0 and 1: a leaky ReLU with one breakpoint more."""
    layer = flows.MonotoneLinearSpline(1, [0.0, 1.0], [0.5, 3.0, 1.0])
    layer.offset.data.fill_(10.0)
    flow = flows.Flow([layer])
    x, logdet = flow.forward([[-2.0], [0.5], [4.0]])
    assert x[:, 0].tolist() == pytest.approx([9.0, 11.5, 16.0], abs=1e-14)
    assert logdet.tolist() == pytest.approx(np.log([0.5, 3.0, 1.0]), abs=1e-14)
    for direction, at in (("forward", [[-2.0], [0.5], [4.0]]), ("inverse", [[9.0], [11.5], [16.0]])):
        network = flows.lower(flow, direction)
        assert network.n_units == 2
        assert np.sort(network.pattern(at).sum(axis=1)).tolist() == [0, 1, 2]
        assert all(la.activation is None or la.activation.is_continuous() for la in network.layers)


def test_squeezing_is_a_permutation() -> None:
    squeeze = flows.Squeeze2d((1, 2, 4))
    image = torch.arange(8.0)[None]
    deep, _ = squeeze.inverse(image)
    assert deep.reshape(4, 1, 2)[:, 0].tolist() == [[0, 2], [1, 3], [4, 6], [5, 7]]
    assert squeeze.forward(deep)[0].tolist() == image.tolist()


def test_latents_of_all_scales_are_one_vector() -> None:
    """The rest of a split is latent as it is: half of the channels are unchanged."""
    split = flows.Split2d((2, 1, 2), [flows.ActNorm(1, 2)])
    split.chain.ordered[0].shift.data.fill_(5.0)
    z = torch.arange(4.0, dtype=torch.float64)[None]
    assert split.forward(z)[0].tolist() == [[5.0, 6.0, 2.0, 3.0]]


def test_image_layers_count_positions() -> None:
    """A 1x1 convolution: H W log |det W|; ActNorm: H W sum log |s|."""
    conv = flows.InvertibleConv1x1((3, 2, 4), np.random.default_rng(3))
    disturbed(flows.Flow([conv]))
    expected = 8 * torch.linalg.slogdet(conv.matrix())[1].item()
    assert conv.forward(points(1, 24))[1].item() == pytest.approx(expected, abs=1e-12)
    norm = flows.ActNorm(3, 8)
    norm.log_scale.data += torch.tensor([0.1, -0.3, 0.5], dtype=torch.float64)
    assert norm.forward(points(1, 24))[1].item() == pytest.approx(8 * 0.3, abs=1e-12)


def test_actnorm_takes_mean_and_deviation_from_the_first_batch() -> None:
    layer = flows.ActNorm(2, 3)
    x = 3 * points(40, 6) + 7
    x[:, 3:] = 2.0
    layer.initialise(x)
    z = layer.inverse(x)[0].reshape(40, 2, 3)
    assert z.mean(dim=(0, 2)).abs().max() < 1e-12
    assert z[:, 0].std(unbiased=False).item() == pytest.approx(1, abs=1e-12)
    layer.initialise(x + 1)
    assert layer.inverse(x)[0].reshape(40, 2, 3)[:, 1].tolist() == z[:, 1].tolist()


def test_points_keep_their_form() -> None:
    flow = flows.glow((1, 4, 4), additive=True, levels=1, steps=1, hidden=2)
    image = np.zeros((3, 1, 4, 4), dtype=np.float32)
    z, logdet = flow.inverse(image)
    assert z.shape == (3, 1, 4, 4)
    assert z.dtype == torch.float64
    assert logdet.shape == (3,)
    assert flow.forward(z.reshape(3, 16))[0].shape == (3, 16)
    assert flow.sample(2, np.random.default_rng(0)).shape == (2, 1, 4, 4)


def test_training_reaches_the_entropy_of_a_gaussian() -> None:
    """The mean of -log q falls to the entropy of the data's distribution, and not below."""
    rng = np.random.default_rng(0)
    mix = np.array([[2.0, 0.0], [1.5, 0.5]])
    flow, told = flows.nice(2, couplings=2, hidden=(8,), linear=True), []
    done = flows.fit(
        flow,
        lambda rng, n: rng.standard_normal((n, 2)) @ mix.T + 4,
        steps=150,
        learning_rate=1e-2,
        rng=rng,
        progress=lambda step, steps, loss: told.append(step),
    )
    entropy = 1 + np.log(2 * np.pi) + np.log(np.linalg.det(mix))
    assert done.losses[-30:].mean() == pytest.approx(entropy, abs=0.1)
    assert done.losses[0] > entropy + 0.1
    assert told == list(range(1, 151))


def test_bits_of_uniform_bytes() -> None:
    """Uniform noise over 16 levels has 4 bits, whatever the number of dimensions."""
    flow = flows.Flow([flows.Permute([2, 0, 1])], base="uniform")
    x = np.random.default_rng(0).integers(0, 16, (50, 3)) / 16
    noise = np.random.default_rng(1).random((50, 3))
    for levels in (0, 2.5):
        with pytest.raises(ValueError, match="levels must be a whole number"):
            flows.bits_per_dimension(flow, x, levels=levels)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"base_points: expected a flows\.Flow"):
        flows.jacobian_spectrum(None, x)  # type: ignore[arg-type]
    assert flows.bits_per_dimension(flow, x, levels=16, noise=noise) == pytest.approx(4, abs=1e-12)


def test_the_first_coupling_of_a_smooth_flow() -> None:
    """Its conditioners on the base space, behind the affine layers in front, without their bounded ends."""
    couplings = flows.realnvp(3, couplings=2, hidden=(6,)).ordered
    first = couplings[0]
    flow = flows.Flow(
        [flows.LULinear(3, matrix=np.random.default_rng(2).standard_normal((3, 3))), *couplings]
    )
    network = flows.first_coupling_network(flow)
    z = points(20, 3)
    a = flow.ordered[0].forward(z)[0][:, first.passing]
    expected = torch.cat([first.scale[:-1](a), first.shift(a)], dim=1)
    np.testing.assert_allclose(network(z.numpy()), expected.detach().numpy(), atol=1e-12)
    with pytest.raises(ValueError, match="no affine coupling"):
        flows.first_coupling_network(flows.nice(2))


@pytest.mark.parametrize("additive", [True, False])
def test_zuko_flows(additive: bool) -> None:
    zuko = pytest.importorskip("zuko")
    torch.manual_seed(0)
    kind = {"univariate": zuko.transforms.AdditiveTransform, "shapes": ((),)} if additive else {}
    theirs = zuko.flows.NICE(4, transforms=3, hidden_features=(8, 8), randmask=True, **kind).double()
    ours = flows.from_zuko(theirs)
    x = points(10, 4)
    with torch.no_grad():
        assert (ours.log_prob(x) - theirs().log_prob(x)).abs().max() < 1e-10
        assert (ours.inverse(x)[0] - theirs().transform(x)).abs().max() < 1e-10
        assert (ours.forward(x)[0] - theirs().transform.inv(x)).abs().max() < 1e-10
    assert ours.is_piecewise_linear == additive


@pytest.mark.filterwarnings("ignore:torch.lu is deprecated")
def test_normflows_vectors() -> None:
    nf = pytest.importorskip("normflows")
    torch.manual_seed(0)
    parts = []
    for mask in ([1.0, 0, 1], [0.0, 1, 0]):
        bounded = nf.nets.MLP([3, 8, 3], output_fn="tanh")
        parts.append(nf.flows.MaskedAffineFlow(torch.tensor(mask), nf.nets.MLP([3, 8, 3]), bounded))
        parts += [nf.flows.LULinearPermute(3), nf.flows.Permute(3), nf.flows.ActNorm((3,))]
    theirs = nf.NormalizingFlow(nf.distributions.DiagGaussian(3), parts).double()
    theirs.q0.loc.data += 0.3
    x = points(10, 3)
    with pytest.raises(ValueError, match="seen no data"):
        flows.from_normflows(theirs)
    with torch.no_grad():
        expected = theirs.log_prob(x)
        assert (flows.from_normflows(theirs).log_prob(x) - expected).abs().max() < 1e-10


@pytest.mark.filterwarnings("ignore:torch.lu is deprecated")
@pytest.mark.parametrize("additive", [True, False])
def test_normflows_glow(additive: bool) -> None:
    nf = pytest.importorskip("normflows")
    torch.manual_seed(0)
    scales = [
        [
            *(nf.flows.GlowBlock(c, 4, scale=not additive, init_zeros=False) for _ in range(2)),
            nf.flows.Squeeze(),
        ]
        for c in (8, 4)
    ]
    bases = [nf.distributions.DiagGaussian(shape) for shape in ((8, 1, 1), (2, 2, 2))]
    theirs = nf.MultiscaleFlow(bases, scales, [nf.flows.Merge()], class_cond=False).double()
    images = points(6, 16).reshape(6, 1, 4, 4)
    with torch.no_grad():
        theirs.log_prob(images, None)
        theirs.q0[1].loc.data += 0.2
        ours = flows.from_normflows(theirs, (1, 4, 4))
        assert (ours.log_prob(images) - theirs.log_prob(images, None)).abs().max() < 1e-9
    if additive:
        network = flows.lower(ours, "inverse")
        expected = ours.inverse(images)[0].detach().numpy().reshape(6, -1)
        np.testing.assert_allclose(network(images.numpy()), expected, atol=1e-10)


def test_what_is_no_flow_of_another_library_is_refused() -> None:
    pytest.importorskip("zuko"), pytest.importorskip("normflows")
    with pytest.raises(TypeError, match="zuko Flow"):
        flows.from_zuko(flows.nice(2))
    with pytest.raises(TypeError, match="NormalizingFlow"):
        flows.from_normflows(flows.nice(2))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: flows.Permute([0, 0]), "no permutation"),
        (lambda: flows.LULinear(2, matrix=[[1, 2], [2, 4]]), "singular"),
        (lambda: flows.MonotoneLinearSpline(1, [0.0], [1.0, 0.0]), "not invertible"),
        (lambda: flows.MonotoneLinearSpline(1, [1.0, 0.0]), "ascend"),
        (lambda: flows.AdditiveCoupling([True, True], nn.Identity()), "mask"),
        (lambda: NARROW.forward(np.zeros((4, 3))), r"map \[B, 1\] to \[B, 2\]"),
        (lambda: flows.lower(NARROW), r"gives \['B', 1\]"),
        (lambda: flows.Squeeze2d((1, 3, 4)), "even"),
        (lambda: flows.Split2d((3, 2, 2), [flows.ActNorm(6)]), "half of 3 channels"),
        (lambda: flows.Flow([flows.ActNorm(2), flows.ActNorm(3)]), "one dimension"),
        (lambda: flows.Flow([flows.ActNorm(2)], base="cauchy"), "must be one of"),
        (lambda: flows.Flow([]), "at least one layer"),
        (lambda: flows.nice(1), "two coordinates"),
        (lambda: flows.glow((1, 6, 6)), "halved 2 times"),
        (lambda: flows.nice(2).forward(np.zeros((4, 3))), "expects points"),
        (lambda: flows.nice(2).log_prob([[np.nan, 0.0]]), "not finite"),
        (lambda: flows.lower(flows.nice(2), "backward"), "direction must be"),
        (lambda: flows.fit(flows.nice(2), np.zeros((0, 2))), "no data"),
        (lambda: flows.fit(flows.nice(2), [[0.0, np.nan]]), "not finite"),
        (lambda: flows.fit(flows.nice(2), np.zeros((5, 2)), steps=0), "positive"),
    ],
)
def test_what_is_no_flow_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_layers_that_became_singular_are_refused() -> None:
    """A scale that underflows to 0 or overflows: the flow says so, and its network is not given out."""
    flow = flows.nice(2)
    flow.ordered[-1].log_scale.data.fill_(-800.0)
    with pytest.raises(FlowError, match="not invertible"):
        flow.inverse([[1.0, 1.0]])
    with pytest.raises(FlowError, match=r"Layer 6 of the flow \(ActNorm\)"):
        flows.lower(flow)
    with pytest.raises(TypeError, match="give the flow itself"):
        flows.lower(flows.lower(flows.nice(2)))
    with pytest.raises(TypeError, match="own layers"):
        flows.Flow([nn.Linear(2, 2)])
    smooth = nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    with pytest.raises(NotPiecewiseLinearError, match="Tanh"):
        flows.lower(flows.Flow([flows.AdditiveCoupling([True, False], smooth)]))


def test_training_that_diverges_is_refused() -> None:
    flow = flows.nice(2, couplings=2, hidden=(8,))
    with pytest.raises(FlowError, match="diverged at step 1"):
        flows.fit(flow, points(50, 2).numpy(), steps=200, learning_rate=1e200)

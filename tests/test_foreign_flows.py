"""Any flow in: wrapped functions, flows of zuko and normflows, their bases and classes; what is refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import polytope as pt
from polytope import flows
from polytope.errors import FlowError, NotPiecewiseLinearError, UnsupportedOpError
from tests.flow_cases import points


def agrees(ours: flows.Flow, expected: Tensor, x: Tensor, within: float = 1e-10) -> None:
    """The density is the library's; inverses, log-determinants and spectra agree with each other."""
    assert (ours.log_prob(x) - expected).abs().max() < within
    z, logdet = ours.inverse(x)
    assert (ours.forward(z)[0] - x).abs().max() < within
    spectrum = flows.jacobian_spectrum(ours, x)
    np.testing.assert_allclose(-np.log(spectrum).sum(axis=1), logdet.detach().numpy(), atol=within)


def cubic(x: Tensor) -> Tensor:
    return x + x**3 / 3


@torch.no_grad()
def cubic_back(y: Tensor) -> Tensor:
    """By bisection: no gradients go through it."""
    low, high = torch.full_like(y, -16.0), torch.full_like(y, 16.0)
    for _ in range(58):
        middle = (low + high) / 2
        low, high = torch.where(cubic(middle) < y, middle, low), torch.where(cubic(middle) < y, high, middle)
    return (low + high) / 2


def test_wrapped_functions_have_densities_and_jacobians() -> None:
    """dx/dz = 1 + z^2, also where only the way back can be differentiated."""
    z = points(5, 2)
    expected = (1 + z**2).log().sum(dim=1)
    for flow in (flows.wrap(cubic, cubic_back, 2), flows.wrap(cubic_back, cubic, 2)):
        there = flow.forward(z)[1] if flow.ordered[0].there is cubic else flow.inverse(z)[1]
        np.testing.assert_allclose(there.detach(), expected, atol=1e-12)
    turned = flows.wrap(cubic_back, cubic, 2)
    diagonal = np.diagonal(flows.jacobian(turned, cubic(z)), axis1=1, axis2=2)
    np.testing.assert_allclose(diagonal, 1 / (1 + z.numpy() ** 2), atol=1e-12)
    found = flows.counterfactual(lambda x: x[:, 0], turned, z, 2.0, learning_rate=0.5, steps=30)
    assert found.success.all()
    assert found.value.min() >= 2.0
    assert flows.intrinsic_dimension(z, "jacobian_gap", flows=turned).local.tolist() == [1.0] * 5


def test_wrapped_flows_can_be_trained() -> None:
    """Through log-determinants that come from Jacobians: the scale of normal data is found."""

    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.log_scale = nn.Parameter(torch.zeros(2, dtype=torch.float64))

        def forward(self, z: Tensor) -> Tensor:
            return z * self.log_scale.exp()

    scale = Scale()
    flow = flows.wrap(scale, lambda x: x * (-scale.log_scale).exp(), 2)
    x = np.random.default_rng(0).standard_normal((500, 2)) * [2.0, 0.5]
    flows.fit(flow, x, steps=40, learning_rate=0.2)
    np.testing.assert_allclose(scale.log_scale.detach().exp(), x.std(axis=0), rtol=0.1)


def test_methods_of_a_module_bring_its_parameters() -> None:
    """A float32 module's methods read float32 points."""

    class Shifted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Linear(1, 1)

        def turned(self, z: Tensor) -> Tensor:
            return torch.cat([z[:, :1], z[:, 1:] + self.net(z[:, :1])], dim=1)

        def back(self, x: Tensor) -> Tensor:
            return torch.cat([x[:, :1], x[:, 1:] - self.net(x[:, :1])], dim=1)

    module = Shifted()
    flow = flows.wrap(module.turned, module.back, 2)
    assert [p.data_ptr() for p in flow.parameters()] == [p.data_ptr() for p in module.parameters()]
    assert flow.log_prob(np.zeros((1, 2))).dtype == torch.float32


def test_wrapped_flows_have_no_exact_regions() -> None:
    flow = flows.wrap(torch.sinh, torch.asinh, 2)
    assert not flow.is_piecewise_linear
    with pytest.raises(NotPiecewiseLinearError, match=r"Layer 0 of the flow \(Wrapped\)"):
        flows.lower(flow)


def turned_logdet(factor: float) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """A scaling of the plane that gives minus its log-determinant."""
    return lambda x: (factor * x, torch.full((len(x),), -2 * np.log(factor)))


NARROW = nn.Linear(2, 2)  # of torch's own type


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: flows.wrap(cubic, cubic, 2), ValueError, "do not undo each other"),
        (lambda: flows.wrap(lambda z: z[:, :1], cubic, 2), ValueError, "must give real points"),
        (lambda: flows.wrap(lambda z: (z, z), cubic, 2), ValueError, "log-determinants"),
        (lambda: flows.wrap(lambda z: NARROW(z), cubic, 2), FlowError, "fails on torch.float64 points"),
        (lambda: flows.wrap(torch.log, torch.exp, 2), FlowError, "not finite"),
        (lambda: flows.wrap(lambda z: (z, z, z), cubic, 2), ValueError, "must give real points"),
        (lambda: flows.wrap(lambda z: z.to(torch.complex128), cubic, 2), ValueError, "must give real points"),
        (lambda: flows.wrap(turned_logdet(2.0), turned_logdet(0.5), 2), ValueError, "those of the Jacobians"),
        (lambda: flows.wrap(lambda z: z + z.mean(0), lambda x: x - x.mean(0) / 2, 2), ValueError, "alone"),
        (lambda: flows.wrap(cubic, cubic_back, 2.5), TypeError, "dim must be the dimension or the shape"),
        (
            lambda: flows.wrap(cubic, cubic_back, 2, tolerance=np.nan),
            ValueError,
            "tolerance must be positive",
        ),
        (lambda: flows.wrap(3, cubic, 2), TypeError, "functions or modules"),
        (lambda: flows.wrap(cubic, cubic_back, 0), ValueError, "positive"),
        (lambda: flows.wrap(cubic, cubic_back, 2).log_prob(points(3, 4)), ValueError, "expects points"),
    ],
)
def test_what_is_no_invertible_function_is_refused(
    make: Callable[[], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("name", ["MAF", "NSF", "NCSF", "SOSPF-2"])
def test_zuko_flows_that_are_no_couplings_are_wrapped(name: str) -> None:
    zuko = pytest.importorskip("zuko")
    torch.manual_seed(0)
    kind, number = [*name.split("-"), "1"][:2]  # of several polynomials there are bounds between them
    theirs = getattr(zuko.flows, kind)(2, transforms=int(number), hidden_features=(6,))
    ours, x = flows.from_zuko(theirs), points(4, 2).clamp(-2, 2)
    with torch.no_grad():
        expected = theirs.double()().log_prob(x)
    agrees(ours, expected, x, 1e-10 if number == "1" else 1e-5)  # zuko inverts polynomials by bisection
    with pytest.raises(NotPiecewiseLinearError, match="Wrapped"):
        flows.lower(ours)


def test_inverses_that_end_at_their_bounds_are_refused() -> None:
    """What zuko looks for lies between -10 and 10; samples beyond were those ends."""
    zuko = pytest.importorskip("zuko")
    torch.manual_seed(0)
    ours = flows.from_zuko(zuko.flows.GF(1, transforms=1, components=2))
    x = torch.tensor([[-9.0], [9.0]], dtype=torch.float64)
    low, high = ours.inverse(x)[0].detach().ravel().tolist()
    assert (ours.forward([[low], [high]])[0] - x).abs().max() < 1e-4
    with pytest.raises(FlowError, match="does not lead back at 1 of 2 points"):
        ours.forward([[low], [high + 10]])


@pytest.mark.parametrize("kind", ["additive", "affine", "autoregressive"])
def test_a_context_says_which_flow_of_a_family(kind: str) -> None:
    """An additive coupling with the context fixed is piecewise linear."""
    zuko = pytest.importorskip("zuko")
    torch.manual_seed(0)
    added = {"univariate": zuko.transforms.AdditiveTransform, "shapes": ((),)} if kind == "additive" else {}
    make = zuko.flows.MAF if kind == "autoregressive" else zuko.flows.NICE
    theirs = make(2, context=3, transforms=2, hidden_features=(6,), **added)
    with pytest.raises(UnsupportedOpError, match="context= says which one"):
        flows.from_zuko(theirs)
    with pytest.raises(ValueError, match="does not read a context of 2 numbers"):
        flows.from_zuko(theirs, [1.0, 2.0])
    with pytest.raises(ValueError, match="finite"):
        flows.from_zuko(theirs, [1.0, np.nan, 0.0])
    context, x = torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64), points(4, 2)
    ours = flows.from_zuko(theirs, context)
    with torch.no_grad():
        expected = theirs.double()(context).log_prob(x)
    agrees(ours, expected, x)
    assert ours.is_piecewise_linear == (kind == "additive")


def additive_parts(nf: object) -> list[nn.Module]:
    parts = []
    for _ in range(2):
        net = nf.nets.MLP([1, 6, 1], init_zeros=False)
        parts += [nf.flows.AffineCouplingBlock(net, scale=False), nf.flows.Permute(2, mode="swap")]
    return parts


def test_normflows_bases_that_are_not_normal() -> None:
    """Exact maps, and masses by samples, whose intervals hold those of the density on a fine grid."""
    nf = pytest.importorskip("normflows")
    torch.manual_seed(0)
    mixture = nf.distributions.GaussianMixture(3, 2, loc=[[0, 0], [2, 1], [-1, 2]], weights=[1.0, 2, 3])
    mixed = nf.distributions.UniformGaussian(2, [0], torch.tensor([3.0, 0.5]))
    sides = np.linspace(-2, 1, 301)
    grid = np.stack(np.meshgrid(*[(sides[1:] + sides[:-1]) / 2] * 2), axis=-1).reshape(-1, 2)
    for base in (mixture, mixed):
        theirs = nf.NormalizingFlow(base, additive_parts(nf)).double()
        ours, x = flows.from_normflows(theirs), points(5, 2).clamp(-1, 1)
        with torch.no_grad():
            agrees(ours, theirs.log_prob(x), x)
            total = float(ours.base.log_density(torch.as_tensor(grid)).exp().sum()) * 1e-4
        assert ours.base.box_mass(np.full(2, -2.0), np.full(2, 1.0)) == pytest.approx(total, abs=3e-3)
        square = pt.Polyhedron.box([-2, -2], [1, 1])
        found = flows.class_mass(pt.mlp([([[1.0, 0.5]], [0.0])]), ours, square, samples=20_000)
        assert found.label == "estimate"
        assert found.values.sum() == pytest.approx(1 - found.outside, abs=0.02)
    outside = torch.tensor([[4.0, 0.0]], dtype=torch.float64)
    assert ours.base.log_density(outside).item() == -np.inf  # the uniform coordinate ends at 1.5


def test_normflows_layers_without_a_rule_are_wrapped() -> None:
    nf = pytest.importorskip("normflows")
    torch.manual_seed(0)
    x = points(4, 2)
    spline = nf.flows.CoupledRationalQuadraticSpline(2, 1, 6)
    theirs = nf.NormalizingFlow(nf.distributions.DiagGaussian(2), [spline]).double()
    with torch.no_grad():
        expected = theirs.log_prob(x)
    agrees(flows.from_normflows(theirs), expected, x)
    net = nf.nets.LipschitzMLP([2, 6, 2], init_zeros=False, lipschitz_const=0.9)
    residual = nf.flows.Residual(net, reduce_memory=False)
    theirs = nf.NormalizingFlow(nf.distributions.DiagGaussian(2), [residual]).double().eval()
    ours = flows.from_normflows(theirs)
    for row, logdet in zip(x, ours.inverse(x)[1], strict=True):  # where theirs is a random estimate
        J = torch.autograd.functional.jacobian(lambda v: theirs.inverse(v[None])[0], row)
        assert logdet.item() == pytest.approx(torch.linalg.slogdet(J)[1].item(), abs=1e-10)
    found = flows.counterfactual(lambda y: y[:, 0], ours, x, 2.5, steps=60, learning_rate=0.1)
    assert found.success.all()


@pytest.mark.filterwarnings("ignore:torch.lu is deprecated")
def test_normflows_classes_and_preprocessing() -> None:
    nf = pytest.importorskip("normflows")
    torch.manual_seed(0)
    vectors = nf.ClassCondFlow(nf.distributions.ClassCondDiagGaussian(2, 3), additive_parts(nf)).double()
    vectors.q0.loc.data.normal_()
    x, images = points(4, 2), torch.rand(3, 1, 4, 4, dtype=torch.float64)
    scales = [[nf.flows.GlowBlock(4, 4, init_zeros=False), nf.flows.Squeeze()]]
    base = nf.distributions.GlowBase((4, 2, 2), num_classes=3)
    logit = nf.transforms.Logit(0.05)
    glow = nf.MultiscaleFlow([base], scales, [], transform=logit, class_cond=True).double()
    with torch.no_grad():
        glow.log_prob(images, torch.full((3,), 2))  # sets what depends on data
        base.loc_cc.data.normal_()
        agrees(flows.from_normflows(vectors, label=1), vectors.log_prob(x, torch.full((4,), 1)), x)
        expected = glow.log_prob(images, torch.full((3,), 2))
        ours = flows.from_normflows(glow, (1, 4, 4), label=2)
        assert (ours.log_prob(images) - expected).abs().max() < 1e-9
        glow.transform = nf.transforms.Shift()
        expected = glow.log_prob(images.clone(), torch.full((3,), 2))  # it shifts what it is given
        moved = flows.from_normflows(glow, (1, 4, 4), label=2)
        assert (moved.log_prob(images) - expected).abs().max() < 1e-9
    plain = nf.NormalizingFlow(nf.distributions.DiagGaussian(2), [nf.flows.LULinearPermute(2)])
    with pytest.raises(ValueError, match=r"a layer LULinearPermute does not read points of shape \(3,\)"):
        flows.from_normflows(plain, (3,))
    for shape in ("ab", (), (2.0,), 2):
        with pytest.raises(TypeError, match="the shape must be of positive whole numbers"):
            flows.from_normflows(plain, shape)
    for label in (None, 3, -1, "1"):
        with pytest.raises(ValueError, match=r"classes 0 \.\. 2"):
            flows.from_normflows(vectors, label=label)


def test_normflows_parts_that_are_no_flows_are_refused() -> None:
    nf = pytest.importorskip("normflows")
    normal = nf.distributions.DiagGaussian(2)
    with pytest.raises(UnsupportedOpError, match=r"Planar.* not supported"):
        flows.from_normflows(nf.NormalizingFlow(normal, [nf.flows.Planar((2,))]))
    with pytest.raises(UnsupportedOpError, match="density is not normalised"):
        flows.from_normflows(nf.NormalizingFlow(nf.distributions.RingMixture(), additive_parts(nf)))
    with pytest.raises(UnsupportedOpError, match="no base"):
        flows.from_normflows(nf.NormalizingFlow(None, additive_parts(nf)))
    with pytest.raises(TypeError, match="not Linear"):
        flows.from_normflows(nn.Linear(2, 2))


def test_normflows_with_a_context() -> None:
    """The flow of one context has the densities that the family says for it, by every kind of layer."""
    nf = pytest.importorskip("normflows")
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 4))
    parts = [
        nf.flows.MaskedAffineAutoregressive(2, 6, context_features=3, num_blocks=1),
        nf.flows.LULinearPermute(2),
        nf.flows.CoupledRationalQuadraticSpline(2, 1, 6, num_context_channels=3),
    ]
    x, row = points(4, 2), torch.tensor([[0.5, -1.0, 2.0]], dtype=torch.float64)
    for base in (nf.distributions.base.ConditionalDiagGaussian(2, encoder), nf.distributions.DiagGaussian(2)):
        theirs = nf.ConditionalNormalizingFlow(base, parts).double().eval()
        for context in (row, -row):
            ours = flows.from_normflows(theirs, context=context[0].tolist())
            with torch.no_grad():
                agrees(ours, theirs.log_prob(x, context=context.expand(4, -1)), x)
    found = flows.counterfactual(lambda y: y[:, 0], ours, x, 1.0, steps=200, learning_rate=0.05)
    assert found.success.all()
    with pytest.raises(ValueError, match="context= says which one"):
        flows.from_normflows(theirs)
    with pytest.raises(ValueError, match="does not read a context of 2 numbers"):
        flows.from_normflows(theirs, context=[0.5, 1.0])
    with pytest.raises(ValueError, match="must be finite"):
        flows.from_normflows(theirs, context=[0.5, 1.0, np.nan])
    with pytest.raises(ValueError, match="has no context"):
        flows.from_normflows(nf.NormalizingFlow(base, parts[1:2]), context=[1.0])


def test_normflows_two_moons_are_normalised() -> None:
    """Their density over the integral that a plain grid gives; masses and samples follow it."""
    nf = pytest.importorskip("normflows")
    torch.manual_seed(0)
    moons = nf.distributions.TwoMoons()
    theirs = nf.NormalizingFlow(moons, additive_parts(nf)).double()
    ours, x = flows.from_normflows(theirs), points(5, 2)
    side = np.arange(-4, 4, 0.01)
    grid = torch.as_tensor(np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2))
    weight = moons.log_prob(grid).exp().numpy() * 1e-4
    with torch.no_grad():
        agrees(ours, theirs.log_prob(x) - np.log(weight.sum()), x)
    whole, half = np.full(2, np.inf), np.array([0.0, np.inf])
    assert ours.base.box_mass(-whole, whole) == pytest.approx(1, abs=1e-13)
    assert ours.base.box_mass(-whole, half) == pytest.approx(0.5, abs=1e-13)
    low, high = np.array([1.0, -0.5]), np.array([2.0, 1.5])
    drawn = ours.base.draw(np.random.default_rng(0), (40_000, 2))
    share = ((drawn >= low) & (drawn <= high)).all(axis=1).mean()
    mass = ours.base.box_mass(low, high)
    assert abs(share - mass) < 4 * np.sqrt(mass * (1 - mass) / len(drawn))  # four standard errors
    square = pt.Polyhedron.box([-4, -4], [4, 4])
    masses = flows.region_mass(ours, square, samples=20_000)
    assert (masses.label, masses.outside) == ("estimate", pytest.approx(0, abs=1e-13))
    assert masses.values.sum() == pytest.approx(1, abs=0.02)


def test_modules_of_another_number_type_are_read() -> None:
    """A float32 classifier behind a float64 flow, and a float32 flow."""
    torch.manual_seed(0)
    f = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))
    x = points(3, 2)
    target = 1 - f(x.float()).argmax(dim=1).numpy()
    for flow in (flows.nice(2, couplings=2, hidden=(4,)), flows.nice(2, couplings=2, hidden=(4,)).float()):
        found = flows.counterfactual(f, flow, x, target, stop=0.6, steps=60)
        assert found.x.dtype == np.float64
        assert flows.exact_counterfactual(f, flow, x[0].numpy(), int(target[0])).certified
        assert flows.jacobian(flow, x).dtype == np.float64
    half = f.bfloat16()  # a type that numpy does not have
    assert flows.exact_counterfactual(half, flow, x[0].numpy(), 0, max_seconds=5).distance >= 0
    with torch.no_grad():  # gradients are needed, and asked for
        assert flows.jacobian(flow, x).shape == (3, 2, 2)
    with pytest.raises(ValueError, match=r"the model fails on torch.float32 points \['B', 2\]"):
        flows.counterfactual(nn.Linear(5, 2), flow, x, target)
    with pytest.raises(ValueError, match="must give a tensor"):
        flows.counterfactual(lambda y: 3, flow, x, target)

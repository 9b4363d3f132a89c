"""Counterfactuals: closed forms for affine flows, exact ones never farther than those by gradients."""

import numpy as np
import pytest
import torch
from torch import nn

import polytope as pt
from adapters import from_torch
from polytope import flows
from polytope.errors import NotPiecewiseLinearError
from tests.flow_cases import disturbed, points
from tests.networks import seeded

STRETCH = np.array([[2.0, 0.0], [1.0, 0.5]])


def affine_flow() -> flows.Flow:
    return flows.Flow([flows.LULinear(2, matrix=STRETCH, bias=[1.0, -1.0])])


def module(*widths: int, seed: int = 0) -> nn.Sequential:
    """A classifier in torch with the weights of the seeded network."""
    parts: list[nn.Module] = []
    for layer in seeded(seed, *widths).layers:
        W = torch.tensor(layer.maps[0].to_sparse().toarray())
        linear = nn.Linear(W.shape[1], W.shape[0]).double()
        linear.weight.data, linear.bias.data = W, torch.tensor(layer.bias)
        parts += [linear, nn.ReLU()]
    return nn.Sequential(*parts[:-1])


def bent_flow(seed: int = 0, dim: int = 2) -> flows.Flow:
    return disturbed(flows.nice(dim, couplings=2, hidden=(5,), knots=2), seed, 0.3)


def test_steps_follow_the_metric() -> None:
    """Plain ascent of w x: along J^T w in base space, along w in data space."""
    flow, w = affine_flow(), torch.tensor([1.0, 2.0], dtype=torch.float64)
    x = np.array([[0.3, 0.7], [-1.0, 0.0]])
    for space, direction in (("base", STRETCH @ STRETCH.T @ w.numpy()), ("data", w.numpy())):
        found = flows.counterfactual(
            lambda y: y @ w, flow, x, 9.0, space=space, optimiser="ascent", learning_rate=0.01
        )
        assert found.success.all()
        step = found.x - x
        along = step @ direction / (direction @ direction)
        np.testing.assert_allclose(step, along[:, None] * direction, atol=1e-12)
        overshoot = (found.value - 9.0) / (0.01 * (w.numpy() @ direction))
        assert ((overshoot >= 0) & (overshoot < 1)).all()


def test_values_are_reached_from_both_sides() -> None:
    found = flows.counterfactual(
        lambda y: y[:, 0], affine_flow(), [[0.0, 0.0], [4.0, 0.0]], 2.0, record=True, learning_rate=0.01
    )
    assert found.value.tolist() == pytest.approx([2.0, 2.0], abs=0.05)
    assert found.path is not None
    assert (np.diff(found.path[:, :, 0], axis=0) * [1, -1] >= -1e-12).all()
    assert len(found.path) == found.steps.max() + 1


@pytest.mark.parametrize("space", ["base", "data"])
def test_classes_are_reached(space: flows.Space) -> None:
    """Points stop at their own first success, and do not change what the others do."""
    flow, f = bent_flow(3), module(2, 6, 3, seed=6)
    x = flow.sample(12, np.random.default_rng(0)).numpy()
    target = (f(torch.tensor(x)).argmax(dim=1).numpy() + 1) % 3
    found = flows.counterfactual(f, flow, x, target, space=space, stop=0.8, steps=300)
    assert 4 <= found.success.sum() < 12
    p = torch.softmax(f(torch.tensor(found.x)), dim=1).detach().numpy()
    np.testing.assert_allclose(p[np.arange(12), target], found.value, atol=1e-12)
    assert (found.value[found.success] >= 0.8).all()
    alone = flows.counterfactual(f, flow, x[3:4], target[3:4], space=space, stop=0.8, steps=300)
    np.testing.assert_allclose(alone.x[0], found.x[3], atol=1e-9)
    np.testing.assert_allclose(flow.forward(found.z)[0].detach().numpy(), found.x, atol=1e-9)


def test_evaluation() -> None:
    flow = affine_flow()
    found = flows.counterfactual(
        lambda y: y[:, 0], flow, [[1.0, -1.0]], 3.0, space="data", optimiser="ascent", learning_rate=0.5
    )
    report = flows.evaluate_counterfactual(
        found, flow, manifold=[[3.0, 0.0], [9.0, 9.0]], oracle=lambda y: (y[:, 0] > 2).astype(int), target=1
    )
    assert found.x.round(9).tolist() == [[3.0, -1.0]]
    assert report.valid.tolist() == [True]
    assert report.agrees is not None
    assert report.agrees.tolist() == [True]
    assert report.distance.tolist() == pytest.approx([1.0], abs=1e-9)
    z = np.linalg.solve(STRETCH, [2.0, 0.0])
    assert report.moved[0].tolist() == pytest.approx([2.0, np.linalg.norm(z)], abs=1e-9)
    assert report.log_density[0] == pytest.approx(-z @ z / 2 - np.log(2 * np.pi), abs=1e-9)
    own = flows.evaluate_counterfactual(found, flow, manifold=lambda y: np.abs(y[:, 1]))
    assert own.distance.tolist() == pytest.approx([1.0], abs=1e-9)
    with pytest.raises(ValueError, match="needs the target"):
        flows.evaluate_counterfactual(found, flow, oracle=lambda y: y[:, 0])


@pytest.mark.parametrize("norm", [1, 2, np.inf])
def test_exact_for_affine_flows(norm: float) -> None:
    """The distance to a half-plane: |w x + b - level| / |J^T w|_q, 1/p + 1/q = 1."""
    w, x = np.array([1.0, 2.0]), np.array([0.3, 0.7])
    found = flows.exact_counterfactual(pt.mlp([(w[None], [0.5])]), affine_flow(), x, -7.0, norm=norm)
    dual = {1: np.inf, 2: 2, np.inf: 1}[norm]
    assert found.certified
    assert found.distance == pytest.approx((w @ x + 0.5 + 7) / np.linalg.norm(STRETCH.T @ w, dual), rel=1e-12)
    assert found.distance in (found.lower_bound, np.nextafter(found.lower_bound, np.inf))
    assert w @ found.x + 0.5 == pytest.approx(-7, abs=1e-12)


@pytest.mark.parametrize("outputs", [2, 3])
@pytest.mark.parametrize("margin", [0.0, 1.0])
def test_exact_is_never_farther_than_gradients(outputs: int, margin: float) -> None:
    """And its logits lead by the margin; no sampled base point that is nearer does."""
    flow, f = bent_flow(3), module(2, 6, outputs, seed=6)
    network = seeded(6, 2, 6, outputs)
    x = flow.sample(2, np.random.default_rng(2)).numpy()
    target = network(x).argsort(axis=1)[:, -2]
    z0 = flows.base_points(flow, x)
    near = flows.counterfactual(f, flow, x, target, stop=1 / (1 + np.exp(-margin)), steps=400)
    rng = np.random.default_rng(0)
    for i in range(len(x)):
        found = flows.exact_counterfactual(f, flow, x[i], target[i], margin=margin, max_regions=2000)
        assert found.certified
        values = network(found.x)
        lead = values[target[i]] - np.delete(values, target[i]).max()
        assert lead == pytest.approx(margin, abs=1e-9)
        assert found.distance == pytest.approx(np.linalg.norm(found.z - z0[i]), rel=1e-12)
        if near.success[i]:
            assert found.distance <= np.linalg.norm(near.z[i] - z0[i]) + 1e-9
        ball = rng.standard_normal((2000, 2))
        ball *= (found.distance * 0.999 * rng.random((2000, 1)) ** 0.5) / np.linalg.norm(
            ball, axis=1, keepdims=True
        )
        images = network(flow.forward(z0[i] + ball)[0].detach().numpy())
        others = np.delete(images, target[i], axis=1).max(axis=1)
        assert (images[:, target[i]] - others < margin).all()


def test_a_budget_leaves_an_honest_interval() -> None:
    """The lower bound is below the exact distance, a known point above; more regions only narrow it."""
    flow, network = bent_flow(3), seeded(6, 2, 6, 2)
    x = flow.sample(1, np.random.default_rng(2)).numpy()[0]
    target = int(network(x).argmin())
    exact = flows.exact_counterfactual(network, flow, x, target, margin=2.0)
    z0 = flows.base_points(flow, x[None])[0]
    known = z0 + 1.5 * (exact.z - z0)
    part = flows.exact_counterfactual(network, flow, x, target, margin=2.0, max_regions=1)
    assert part.lower_bound <= exact.distance <= part.distance
    values = network(flow.forward(known[None])[0].detach().numpy())[0]
    if values[target] - values[1 - target] >= 2.0:
        helped = flows.exact_counterfactual(network, flow, x, target, margin=2.0, max_regions=1, known=known)
        least = exact.distance * (1 - 2.0**-50)  # distances are rounded
        assert least <= helped.distance <= 1.5 * exact.distance + 1e-9
    there = flows.exact_counterfactual(network, flow, exact.x, target, margin=1.0)
    assert (there.distance, there.certified) == (0.0, True)


@pytest.mark.parametrize("norm", [1, 2, np.inf])
def test_terms_that_cancel_do_not_hide_the_target(norm: float) -> None:
    """1e17 x + 0.3 y - 1e17 x reaches 0.3 at y = 1; -|x| touches 0 at x = 0, and never reaches 2^-1000."""
    still = flows.Flow([flows.ActNorm(2)])
    cancelling = pt.mlp([([[1e17, 0.0], [0.0, 0.3], [1e17, 0.0]], [0.0] * 3), ([[1.0, 1.0, -1.0]], [0.0])])
    found = flows.exact_counterfactual(cancelling, still, [0.3, 0.5], 0.3, norm=norm)
    assert (found.certified, found.distance) == (True, 0.5)
    folded = pt.mlp([([[1.0, 0.0], [-1.0, 0.0]], [0.0, 0.0]), ([[-1.0, -1.0]], [0.0])])  # -|x|: touches 0
    found = flows.exact_counterfactual(folded, still, [0.5, 0.25], 0.0, norm=norm)
    assert (found.certified, found.distance) == (True, 0.5)
    assert found.z is not None
    assert found.z[0] == 0.0
    never = flows.exact_counterfactual(
        folded, still, [0.5, 0.25], 2.0**-1000, norm=norm, domain=pt.Polyhedron.box([-1, -1], [1, 1])
    )
    assert (never.certified, never.distance) == (True, np.inf)


def test_any_module_behind_a_flow_is_read() -> None:
    """A float32 module whose forward is no Sequential, and a convolution of images: as networks give."""

    class Skip(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = torch.nn.Linear(2, 4), torch.nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(torch.relu(self.first(x))) + x

    torch.manual_seed(1)
    flow, f = bent_flow(2), Skip()
    x = flow.sample(1, np.random.default_rng(2)).numpy()[0]
    with torch.no_grad():
        target = int(f(torch.as_tensor(x).float()).argmin())
    found = flows.exact_counterfactual(f, flow, x, target)
    network = from_torch(f, torch.zeros(1, 2))
    assert found.certified
    assert found.distance == flows.exact_counterfactual(network, flow, x, target).distance
    image = flows.Flow([flows.ActNorm(4)], shape=(1, 2, 2))
    sums = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 2, bias=False), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
    )
    sums[0].weight.data = torch.stack([torch.ones(1, 2, 2), torch.zeros(1, 2, 2)])
    found = flows.exact_counterfactual(sums, image, [1.0, 0.5, 0.0, 0.5], 1)
    assert (found.certified, round(found.distance, 12)) == (True, 1.0)  # |sum| / |(1, 1, 1, 1)|


def test_batches_are_the_points_one_by_one() -> None:
    """Of a float32 module; with a target and a box for each point, and for all."""
    flow, f = bent_flow(3, 3), module(3, 6, 3, seed=6).float()
    x = flow.sample(3, np.random.default_rng(2)).numpy()
    with torch.no_grad():
        targets = f(torch.tensor(x).float()).numpy().argsort(axis=1)[:, -2]
    boxes = np.stack([x - 4, x + 4], axis=1)
    for target, box in ((targets, boxes), (1, [[-9.0] * 3, [9.0] * 3]), (targets, None)):
        found = flows.exact_counterfactuals(f, flow, x, target, box=box, max_seconds=60)
        for i, one in enumerate(found):
            own = None if box is None else np.broadcast_to(box, (3, 2, 3))[i]
            alone = flows.exact_counterfactual(f, flow, x[i], np.broadcast_to(target, 3)[i], box=own)
            assert one.certified
            assert (one.distance, one.lower_bound) == (alone.distance, alone.lower_bound)
    assert flows.exact_counterfactuals(f, flow, x[:0], 1) == ()
    for wrong, message in (
        ({"x": x[0], "target": 0}, r"points \[B, 3\]"),
        ({"x": x, "target": [0, 1]}, "3 targets, not 2"),
        ({"x": x, "target": 0, "box": boxes[:2]}, "3 boxes, not 2"),
    ):
        with pytest.raises(ValueError, match=message):
            flows.exact_counterfactuals(f, flow, **wrong)
    with pytest.raises(TypeError, match="x must be of real numbers"):
        flows.exact_counterfactuals(f, flow, [["a", "b", "c"]], 0)


@pytest.mark.parametrize("dim", [3, 4])
def test_small_flows_are_certified_and_pixels_can_be_fixed(dim: int) -> None:
    """No corner of a region within the distance reaches the target; a fixed pixel stays as it is."""
    flow, network = disturbed(flows.nice(dim, couplings=2, hidden=(5,)), 0, 0.2), seeded(3, dim, 8, 2)
    x = flow.sample(1, np.random.default_rng(1)).numpy()[0]
    target = int(network(x).argmin())
    found = flows.exact_counterfactual(network, flow, x, target)
    assert found.certified
    z0 = flows.base_points(flow, x[None])[0]
    leads = flows.lower(flow).then(network)
    half = found.distance * (1 - 1e-6) / dim**0.5  # a box inside the ball
    inner = pt.enumerate_regions(leads, pt.Polyhedron.box(z0 - half, z0 + half))
    corners = np.concatenate([region.vertices() for region in inner])
    values = leads(corners)
    assert (values[:, target] < values[:, 1 - target]).all()
    assert found.z is not None
    ends = network(found.x)
    assert ends[target] == pytest.approx(ends.max(), abs=1e-9)
    free = np.full(dim, np.inf)
    free[0] = 0.0
    fixed = flows.exact_counterfactual(network, flow, x, target, box=np.stack([x - free, x + free]))
    assert fixed.certified
    assert fixed.distance >= found.distance
    assert fixed.x is not None
    assert fixed.x[0] == pytest.approx(x[0], abs=1e-9)


def test_pixels_stay_in_their_box() -> None:
    """x_1 + x_2 >= 2 from the origin: at (1, 1); with x_1 <= 1/4 at (1/4, 7/4); in a small box nowhere."""
    still, line = flows.Flow([flows.ActNorm(2)]), pt.mlp([([[1.0, 1.0]], [0.0])])
    free = flows.exact_counterfactual(line, still, [0.0, 0.0], 2.0)
    assert free.distance == pytest.approx(2**0.5, rel=1e-12)
    box = [[-np.inf, -np.inf], [0.25, np.inf]]
    found = flows.exact_counterfactual(line, still, [0.0, 0.0], 2.0, box=box)
    assert found.certified
    assert found.x.tolist() == pytest.approx([0.25, 1.75], abs=1e-12)
    near = pt.Polyhedron.box([-4, -4], [4, 4])
    nowhere = flows.exact_counterfactual(
        line, still, [0.0, 0.0], 2.0, box=[[0, 0], [0.25, 0.25]], domain=near
    )
    assert (nowhere.certified, nowhere.distance) == (True, np.inf)
    flow, network = bent_flow(3), seeded(6, 2, 6, 3)
    x = flow.sample(1, np.random.default_rng(2)).numpy()[0]
    target = int(network(x).argsort()[-2])
    anywhere = flows.exact_counterfactual(network, flow, x, target)
    wide = flows.exact_counterfactual(network, flow, x, target, box=np.stack([x - 9, x + 9]))
    assert wide.distance == pytest.approx(anywhere.distance, rel=1e-12)
    tight = np.stack([x - 0.5, x + 0.5])
    inside = flows.exact_counterfactual(network, flow, x, target, box=tight, max_regions=8)
    assert inside.distance >= anywhere.distance * (1 - 1e-12)
    if inside.x is not None:
        assert (np.abs(inside.x - x) <= 0.5 + 1e-9).all()
    nan, inf = [[np.nan, 0.0], [1.0, 1.0]], [[np.inf, 0.0], [np.inf, 1.0]]
    for wrong in ([[0.0], [1.0]], [[1.0, 0.0], [0.0, 1.0]], nan, inf, np.negative(inf)[::-1]):
        with pytest.raises(ValueError, match="the box"):
            flows.exact_counterfactual(line, still, [0.0, 0.0], 2.0, box=wrong)


def test_targets_out_of_reach() -> None:
    """A constant model never says the other class: the search ends with an infinite, certified distance."""
    constant = pt.mlp([(np.zeros((2, 2)), [1.0, 0.0])])
    found = flows.exact_counterfactual(constant, affine_flow(), [0.0, 0.0], 1)
    assert (found.z, found.x, found.distance, found.lower_bound) == (None, None, np.inf, np.inf)
    short = flows.counterfactual(lambda y: torch.tanh(y[:, 0]), affine_flow(), [[0.0, 0.0]], 2.0, steps=5)
    assert short.success.tolist() == [False]
    assert short.steps.tolist() == [5]


def test_bad_questions_are_refused() -> None:
    flow, f = bent_flow(), module(2, 6, 3)
    x = points(2, 2).numpy()
    with pytest.raises(ValueError, match="space is"):
        flows.counterfactual(f, flow, x, 0, space="latent")
    with pytest.raises(ValueError, match="stop lies in"):
        flows.counterfactual(f, flow, x, 0, stop=1.0)
    with pytest.raises(ValueError, match=r"classes 0\.\.2"):
        flows.counterfactual(f, flow, x, 3)
    with pytest.raises(ValueError, match=r"\[B, K\] or \[B\]"):
        flows.counterfactual(lambda y: y[:1, :], flow, np.zeros((3, 2)), 0)
    with pytest.raises(ValueError, match=r"class 0\.\.2"):
        flows.exact_counterfactual(f, flow, x[0], 0.5)
    with pytest.raises(ValueError, match="one point"):
        flows.exact_counterfactual(f, flow, x, 0)
    for margin in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="the margin must be a finite number"):
            flows.exact_counterfactual(f, flow, x[0], 0, margin=margin)
    for target in (None, "a"):
        with pytest.raises(TypeError, match="the target must be of real numbers"):
            flows.exact_counterfactual(f, flow, x[0], target)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="one finite number"):
        flows.exact_counterfactual(f, flow, x[0], np.nan)
    with pytest.raises(TypeError, match="x must be of real numbers"):
        flows.exact_counterfactual(f, flow, x[0] + 0j, 0)
    with pytest.raises(TypeError, match=r"expected a flows\.Flow, not NoneType"):
        flows.exact_counterfactual(f, None, x[0], 0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="norm must be 1, 2 or"):
        flows.exact_counterfactual(f, flow, x[0], 0, norm=3)


def test_what_is_known_and_where_one_looks_are_checked_also_where_nothing_is_to_do() -> None:
    """A known point outside of the domain was an answer outside of it, where a budget ended the search."""
    flow, line = flows.Flow([flows.LULinear(2, matrix=np.eye(2))]), pt.mlp([([[1.0, 0.0]], [0.0])])
    box = pt.Polyhedron.box([-1, -1], [1, 1])
    with pytest.raises(ValueError, match="known base point is no point of the domain"):
        flows.exact_counterfactual(line, flow, [0.0, 0.0], 0.5, domain=box, known=[2.0, 0.0])
    with pytest.raises(ValueError, match="base point of x is no point of the domain"):
        flows.exact_counterfactual(line, flow, [2.0, 0.0], 2.0, domain=box)
    with pytest.raises(ValueError, match="does not reach the target"):
        flows.exact_counterfactual(line, flow, [0.0, 0.0], 0.5, known=[np.nan, 0.0])
    wide, values = flows.Flow([flows.LULinear(3, matrix=np.eye(3))]), pt.mlp([(np.eye(3), np.zeros(3))])
    pairs = [[-1, 1]] * 3
    with pytest.raises(ValueError, match=r"the box must be numbers \[2, 3\], not \(3, 2\)"):
        flows.exact_counterfactual(values, wide, np.zeros(3), 1, box=pairs)
    found = flows.exact_counterfactual(line, flow, [0.0, 0.0], 0.5, norm="inf", domain=box)
    assert (found.certified, found.distance) == (True, 0.5)


def test_flows_without_regions_are_refused() -> None:
    f, x = module(2, 6, 3), points(2, 2).numpy()
    with pytest.raises(NotPiecewiseLinearError, match="exact_counterfactual needs the regions"):
        flows.exact_counterfactual(f, flows.realnvp(2, hidden=(4,)), x[0], 0)


@pytest.mark.parametrize("norm", [1, 2, np.inf])
def test_squares_in_the_plane_and_the_walk_agree(norm: float) -> None:
    """Two searches that share nothing but the network, in a domain that cuts off part of the target."""
    flow, network = bent_flow(3), seeded(6, 2, 6, 2)
    x = flow.sample(1, np.random.default_rng(2)).numpy()[0]
    target = int(network(x).argmin())
    domain = pt.Polyhedron.box([-3, -3], [3, 3])
    found = flows.exact_counterfactual(network, flow, x, target, norm=norm, domain=domain)
    rows = np.array([[1.0, -1.0], [-1.0, 1.0]])[[target]]
    margin = flows.lower(flow).then(network).then(pt.mlp([(rows, [0.0])]))
    start = flows.base_points(flow, x[None])[0]
    walk = pt.robustness_radius(margin, start, norm, domain=domain)
    assert found.certified
    assert walk.exact
    assert found.distance == pytest.approx(walk.value, rel=1e-9)

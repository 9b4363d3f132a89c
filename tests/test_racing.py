"""The listing, the walk and branch and bound find one distance; exact counterfactuals in many dimensions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import polytope as pt
from polytope import flows
from polytope.measures import robustness
from tests.flow_cases import disturbed
from tests.networks import seeded


@pytest.mark.parametrize(("seed", "norm", "box"), [(4, 1, True), (4, np.inf, True), (2, 2, False)])
def test_the_listing_and_the_race_find_the_distance_of_the_walk(
    seed: int, norm: float, box: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, x = seeded(seed, 3, 6, 6, 2), np.array([0.1, -0.3, 0.2])
    domain = pt.Polyhedron.box([-2] * 3, [2] * 3) if box else None
    found = [pt.robustness_radius(net, x, norm, domain=domain)]
    monkeypatch.setattr(robustness, "LISTED_DIMENSIONS", 0)
    for few in (10**9, 1):
        monkeypatch.setattr(robustness, "FEW_REGIONS", few)
        found.append(pt.robustness_radius(net, x, norm, domain=domain))
    assert all(one.exact for one in found)
    assert len({one.value for one in found}) == 1


@pytest.mark.parametrize("dim", [2, 3, 4])
def test_few_regions_are_listed(dim: int) -> None:
    """Of small networks every distance is exact at once, also where a class is nowhere in the whole space."""
    found = []
    for seed in range(3):
        net, x = seeded(seed, dim, 8, 5, 3), np.random.default_rng(seed).standard_normal(dim)
        for norm in (1, 2, np.inf):
            radius = pt.robustness_radius(net, x, norm, max_seconds=60)
            assert radius.exact
            found.append(radius)
            if radius.witness is not None:
                values = np.sort(net(radius.witness[None])[0])
                assert values[-1] - values[-2] < 1e-9
    never = pt.mlp([(np.eye(dim), np.zeros(dim)), (np.stack([np.ones(dim), -np.ones(dim)]), [1.0, 0.0])])
    assert pt.robustness_radius(never, np.ones(dim)).value == np.inf
    assert any(np.isfinite(radius.value) for radius in found)


def test_a_margin_that_only_touches_is_listed() -> None:
    """|x_1 - 1| + |x_2| touches 0 at (1, 0) alone, |x_1 - 1| on a line."""
    W = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    net = pt.mlp([(W, [-1.0, 1.0, 0.0, 0.0]), (np.ones((1, 4)), [0.0])])
    found = pt.robustness_radius(net, [0.0, 1.0])
    assert found.exact
    assert found.value == pytest.approx(2**0.5, rel=1e-15)
    line = pt.mlp([(W[:2], [-1.0, 1.0]), (np.ones((1, 2)), [0.0])])
    assert pt.robustness_radius(line, [0.0, 1.0]).value == 1.0


def test_nothing_to_be_found_ends_in_many_dimensions() -> None:
    """|x_1| + 1 and 0: the second class is nowhere."""
    W = np.zeros((2, 8))
    W[:, 0] = 1.0, -1.0
    net = pt.mlp([(W, [0.0, 0.0]), ([[1.0, 1.0], [0.0, 0.0]], [1.0, 0.0])])
    found = pt.robustness_radius(net, np.full(8, 0.5))
    assert found.exact
    assert found.value == np.inf


@pytest.mark.parametrize("norm", [2, np.inf])
def test_counterfactuals_in_many_dimensions_are_certified(norm: float) -> None:
    flow = disturbed(flows.nice(12, couplings=2, hidden=(5,)), 0, 0.1)
    model = seeded(1, 12, 6, 3)
    x = flow.sample(1, np.random.default_rng(0)).numpy()[0]
    target = int(model(x[None])[0].argsort()[-2])
    found = flows.exact_counterfactual(model, flow, x, target, norm=norm)
    assert found.certified
    assert 0 < found.lower_bound <= found.distance < np.inf
    assert found.z is not None
    start = flows.base_points(flow, x[None])[0]
    np.testing.assert_allclose(np.linalg.norm(found.z - start, norm), found.distance, rtol=1e-12)
    rng = np.random.default_rng(1)
    z = start + found.distance * rng.uniform(-1, 1, (20_000, 12))
    with torch.no_grad():
        values = model(flow.forward(torch.tensor(z))[0].numpy())
    others = np.delete(values, target, axis=1).max(axis=1)
    reached = values[:, target] >= others + 1e-9  # evaluation rounds
    assert (np.linalg.norm(z[reached] - start, norm, axis=1) >= found.lower_bound).all()
    ends = model(flow.forward(torch.tensor(found.z[None]))[0].detach().numpy())[0]
    assert ends[target] == pytest.approx(ends.max(), abs=1e-9)


def test_a_far_target_has_both_ends_from_the_first_on() -> None:
    """A random base point that reaches the target bounds the distance where descent finds none."""
    flow = disturbed(flows.nice(12, couplings=2, hidden=(5,)), 0, 0.1)
    model = seeded(2, 12, 6, 3)
    x = flow.sample(1, np.random.default_rng(2)).numpy()[0]
    target = int(model(x[None])[0].argmin())
    found = flows.exact_counterfactual(model, flow, x, target, max_seconds=4)
    assert 0 < found.lower_bound <= found.distance < np.inf

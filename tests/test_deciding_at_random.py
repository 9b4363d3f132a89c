"""What is decided without listing regions, on random small networks: as all regions say.

Two hundred networks of every kind of activation; all but the first few are marked slow, and so are a million
samples of larger ones.
"""

from __future__ import annotations

import numpy as np
import pytest

import adapters
import polytope as pt
from polytope.ir import Network
from polytope.measures import robustness
from tests.command_line import MODEL
from tests.networks import ACTIVATIONS, box, changed, grouped, integer, residual, seeded, seeds


def drawn(seed: int) -> Network:
    """A network of two or three inputs: of some activation, of whole weights, with a skip, or with maxima."""
    rng = np.random.default_rng(seed)
    kinds = [kind for name, kind in ACTIVATIONS.items() if name != "prelu"]
    d, n, m, out = (int(k) for k in rng.integers((2, 3, 2, 2), (4, 6, 5, 4)))
    activation = kinds[seed % len(kinds)]
    match seed % 9:
        case 7:
            return residual(seed)
        case 8:
            return grouped(seed)
        case 6:
            return integer(seed, d, n, m, out, activation=activation)
    return seeded(seed, d, n, m, out, activation=activation)


@pytest.mark.parametrize("seed", seeds(200, 2))
def test_as_all_regions_say(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    network, rng = drawn(seed), np.random.default_rng(seed)
    domain = box(network.input_dim, 1.0)
    regions = pt.enumerate_regions(network, domain)
    assert regions.complete
    corners = np.concatenate([pt.Polyhedron(*region.halfspaces).vertices() for region in regions])
    y = network(corners)

    found = pt.output_range(network, domain)
    assert found.complete
    np.testing.assert_allclose([found.low, found.high], [y.min(axis=0), y.max(axis=0)], rtol=1e-9, atol=1e-9)

    level = y[:, 0].min() + rng.uniform(-0.1, 1.1) * np.ptp(y[:, 0])
    sizes = {"X": network.input_dim, "Y": network.output_dim}
    names = [f"(declare-const {v}_{i} Real)" for v, k in sizes.items() for i in range(k)]
    inside = [f"(assert (<= X_{i} 1)) (assert (>= X_{i} -1))" for i in range(network.input_dim)]
    text = "\n".join([*names, *inside, f"(assert (>= Y_0 {level:.9f}))"])
    status = pt.check_property(network, text).status
    assert status == ("violated" if y[:, 0].max() >= float(f"{level:.9f}") else "holds")

    pieces = regions.patterns
    fixed = (pieces == pieces[0]).all(axis=0)
    monkeypatch.setattr(robustness, "FEW_DIMENSIONS", 0)
    use = pt.prove_units(network, domain)
    assert not (use.fixed & ~fixed).any()
    assert not (use.varying & fixed).any()

    x = rng.uniform(-1, 1, network.input_dim)
    label = int(network(x[None])[0].argmax()) if network.output_dim > 1 else None
    listed = pt.robustness_radius(network, x, np.inf, domain=domain)
    monkeypatch.setattr(robustness, "LISTED_DIMENSIONS", 0)
    branched = pt.robustness_radius(network, x, np.inf, domain=domain)
    monkeypatch.setattr(robustness, "FEW_DIMENSIONS", 10**9)
    walked = pt.robustness_radius(network, x, np.inf, domain=domain)
    assert (branched.lower, branched.value) == (walked.lower, walked.value) == (listed.lower, listed.value)
    assert label is None or branched.exact

    other = changed(network, 10.0 ** rng.integers(-9, 0), seed)
    apart = pt.enumerate_regions(pt.ir.stack(network, other), domain)
    ends = np.concatenate([pt.Polyhedron(*region.halfspaces).vertices() for region in apart])
    most = float(np.abs(network(ends) - other(ends)).max())
    bounds = pt.difference_bounds(network, other, domain, gap=0.1)
    assert bounds.lower * (1 - 1e-6) <= most <= bounds.upper * (1 + 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("radius", [0.02, 0.2])
def test_a_million_samples_keep_every_bound(radius: float) -> None:
    network = adapters.load(MODEL)
    other = changed(network, 1e-3)
    rng = np.random.default_rng(1)
    center = rng.uniform(0.3, 0.7, network.input_dim)
    domain = pt.Polyhedron.box(center - radius, center + radius)
    found = pt.output_range(network, domain, max_seconds=20)
    bounds = pt.difference_bounds(network, other, domain, max_seconds=20)
    use = pt.prove_units(network, domain, max_seconds=20)
    distance = pt.robustness_radius(network, center, np.inf, max_seconds=20)
    label = int(network(center[None]).argmax())
    for _ in range(20):
        x = center + radius * rng.uniform(-1, 1, (50_000, network.input_dim))
        corner = rng.random(len(x)) < 0.5
        x[corner] = center + radius * np.sign(x[corner] - center)
        y = network(x)
        assert (found.low <= y).all()
        assert (y <= found.high).all()
        apart = y - other(x)
        assert (bounds.low <= apart).all()
        assert (apart <= bounds.high).all()
        assert np.abs(apart).max() <= bounds.upper
        seen = network.pattern(x)
        assert (seen[:, use.fixed] == use.piece[use.fixed]).all()
        near = center + distance.lower * (1 - 1e-9) / radius * (x - center)
        assert (network(near).argmax(axis=1) == label).all()

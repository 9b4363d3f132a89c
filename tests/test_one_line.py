"""What holds arrays is shown in one line, whatever its size."""

from typing import Any

import numpy as np
import pytest

import polytope as pt
from polytope import equivariant, flows
from tests.networks import seeded

NETWORK, BOX = seeded(0, 2, 8, 3), pt.Polyhedron.box([-1, -1], [1, 1])
REGIONS = pt.enumerate_regions(NETWORK, BOX)
POINTS = np.random.default_rng(0).uniform(-1, 1, (50, 2))

SHOWN: list[Any] = [
    pt.count_regions(NETWORK, BOX, max_regions=9),
    pt.crossings(NETWORK, [-1, -1], [1, 1]),
    pt.decision_boundary(REGIONS),
    pt.difference_bounds(NETWORK, NETWORK, BOX),
    pt.dual_graph(REGIONS),
    pt.equivalent(NETWORK, NETWORK, BOX),
    pt.exact_local_complexity(NETWORK, POINTS[:9], 1e-3),
    pt.image(REGIONS, [0, 1]),
    pt.level_set(NETWORK, BOX),
    pt.linear_explanation(NETWORK, POINTS),
    pt.lipschitz_bounds(NETWORK, BOX),
    pt.local_complexity(NETWORK, POINTS, 0.1),
    pt.max_affine_form(NETWORK.layers[0]),
    pt.output_range(NETWORK, BOX),
    pt.power_diagram(NETWORK, REGIONS[0], 1),
    pt.preimage(NETWORK, BOX, pt.Polyhedron.box(-1, 1, dim=3)),
    pt.prove_units(NETWORK, BOX),
    pt.region_volumes(REGIONS),
    pt.robustness_radius(NETWORK, POINTS[0]),
    pt.simplify(NETWORK, BOX),
    pt.track(REGIONS, NETWORK),
    pt.tropical_form(seeded(0, 2, 3, 1)),
    pt.Data(POINTS),
    pt.ModelFile(NETWORK),
    pt.Scope.of(BOX),
    NETWORK.layers[0].activation,
    REGIONS[3],
    equivariant.rotation2d(equivariant.cyclic(24)),
    flows.flow_regions(flows.nice(2, couplings=2, hidden=(4,), rng=np.random.default_rng(0)), BOX),
]


@pytest.mark.parametrize("thing", SHOWN, ids=lambda thing: type(thing).__name__)
def test_it_fits_in_a_line(thing: Any) -> None:
    text = repr(thing)
    assert text.startswith(f"{type(thing).__name__}(")
    assert "\n" not in text
    assert len(text) < 400


def test_small_numbers_are_shown_and_large_arrays_by_their_shapes() -> None:
    assert repr(pt.Data(np.zeros((50, 2)))) == "Data(points=float64[50, 2], labels=None, radius=None)"
    assert "witness=[" in repr(pt.robustness_radius(NETWORK, POINTS[0]))
    assert f"patterns=int8[{len(pt.level_set(NETWORK, BOX).patterns)}, 8]" in repr(pt.level_set(NETWORK, BOX))

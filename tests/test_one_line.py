"""What holds arrays is shown in one line, whatever its size."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import polytope as pt
from polytope import equivariant, flows
from tests.networks import seeded

NETWORK, BOX = seeded(2, 2, 5, 3), pt.Polyhedron.box([-1, -1], [1, 1])
REGIONS = pt.enumerate_regions(NETWORK, BOX)
POINTS = np.random.default_rng(0).uniform(-1, 1, (50, 2))

SHOWN: dict[str, Callable[[], Any]] = {
    "RegionCount": lambda: pt.count_regions(NETWORK, BOX, max_regions=9),
    "Crossings": lambda: pt.crossings(NETWORK, [-1, -1], [1, 1]),
    "DecisionBoundary": lambda: pt.decision_boundary(REGIONS),
    "DifferenceBounds": lambda: pt.difference_bounds(NETWORK, NETWORK, BOX),
    "DualGraph": lambda: pt.dual_graph(REGIONS),
    "Equivalence": lambda: pt.equivalent(NETWORK, NETWORK, BOX),
    "ExactComplexity": lambda: pt.exact_local_complexity(NETWORK, POINTS[:9], 1e-3),
    "Image": lambda: pt.image(REGIONS, [0, 1]),
    "LevelSet": lambda: pt.level_set(NETWORK, BOX),
    "LinearExplanation": lambda: pt.linear_explanation(NETWORK, POINTS),
    "LipschitzBounds": lambda: pt.lipschitz_bounds(NETWORK, BOX),
    "LocalComplexity": lambda: pt.local_complexity(NETWORK, POINTS, 0.1),
    "MaxAffine": lambda: pt.max_affine_form(NETWORK.layers[0]),
    "OutputRange": lambda: pt.output_range(NETWORK, BOX),
    "PowerCells": lambda: pt.power_diagram(NETWORK, REGIONS[0], 1),
    "Preimage": lambda: pt.preimage(NETWORK, BOX, pt.Polyhedron.box(-1, 1, dim=3)),
    "UnitUse": lambda: pt.prove_units(NETWORK, BOX),
    "Volumes": lambda: pt.region_volumes(REGIONS),
    "Radius": lambda: pt.robustness_radius(NETWORK, POINTS[0]),
    "Simplified": lambda: pt.simplify(NETWORK, BOX),
    "Tracked": lambda: pt.track(REGIONS, NETWORK),
    "TropicalForm": lambda: pt.tropical_form(seeded(0, 2, 3, 1)),
    "Data": lambda: pt.Data(POINTS),
    "ModelFile": lambda: pt.ModelFile(NETWORK),
    "Scope": lambda: pt.Scope.of(BOX),
    "PiecewiseLinear": lambda: NETWORK.layers[0].activation,
    "Region": lambda: REGIONS[3],
    "Representation": lambda: equivariant.rotation2d(equivariant.cyclic(24)),
    "FlowRegions": lambda: flows.flow_regions(
        flows.nice(2, couplings=2, hidden=(4,), rng=np.random.default_rng(0)), BOX
    ),
}


@pytest.mark.parametrize("kind", SHOWN)
def test_it_fits_in_a_line(kind: str) -> None:
    text = repr(SHOWN[kind]())
    assert text.startswith(f"{kind}(")
    assert "\n" not in text
    assert len(text) < 400


def test_small_numbers_are_shown_and_large_arrays_by_their_shapes() -> None:
    assert repr(pt.Data(np.zeros((50, 2)))) == "Data(points=float64[50, 2], labels=None, radius=None)"
    assert "witness=[" in repr(pt.robustness_radius(NETWORK, POINTS[0]))
    assert f"patterns=int8[{len(pt.level_set(NETWORK, BOX).patterns)}, 5]" in repr(pt.level_set(NETWORK, BOX))

"""Crossings on segments between data points, beside what is expected at initialisation."""

import json
from importlib.resources import files

import jsonschema
import numpy as np
import pytest

import polytope as pt
from polytope import infinite
from polytope.labelled import Estimate, Exact, Missing
from polytope.report.clock import Clock
from polytope.report.data_sections import Density
from polytope.report.density import density_facts
from polytope.report.expected import Counted, crossing_facts
from polytope.report.findings import glance
from polytope.report.subject import subject_of
from tests.networks import seeded

SCHEMA = json.loads((files("polytope.report") / "templates" / "report.schema.json").read_text())
PLANE = pt.Polyhedron.box([-1, -1], [1, 1])


def density(network: pt.Network, x: np.ndarray) -> Density:
    """The section, without a limit of time."""
    clock = Clock(float("inf"), {"density": 1.0})
    clock.begin("density")
    found = density_facts(subject_of(pt.ModelFile(network), PLANE, pt.Data(x)), 0.0, clock)
    assert found is not None
    return found


def test_expected_crossings_stand_beside_every_exact_count() -> None:
    """The counts are those of the engine on the same segment, the estimates those of its architecture."""
    net = seeded(3, 2, 16, 16, 2)
    x = np.random.default_rng(0).uniform(-1, 1, (4, 2))
    x[2] = x[1]  # no segment between them
    found = density(net, x).crossings
    assert found is not None
    assert [row.point for row in found.segments] == [0, 2]
    read, counts, estimates = infinite.architecture(net), [], []
    for row in found.segments:
        ends = x[row.point], x[row.point + 1]
        count = pt.count_regions(net.restrict(pt.Slice.through(*ends)), pt.Polyhedron.box([0], [1]))
        assert row.crossings == Exact(count.lower - 1)
        assert isinstance(row.expected, Estimate)
        expected = infinite.expected_crossings(read, *ends).total.value
        assert row.expected.value == pytest.approx(expected, rel=1e-7)
        counts.append(count.lower - 1)
        estimates.append(expected)
    assert found.mean == Exact(np.mean(counts))
    assert isinstance(found.expected, Estimate)
    assert found.expected.value == pytest.approx(np.mean(estimates), rel=1e-7)


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (pt.mlp([([[1.0, 1.0], [1.0, -1.0]], [0.5, 0.5]), ([[1.0, 1.0]], [0.0])]), "weights are shared"),
        (pt.mlp([([[1.0, 0.3], [0.2, -0.7]], [0.0, 0.0]), ([[1.0, 0.4]], [0.0])]), "pre-activations are 0"),
    ],
    ids=["shared weights", "through zero without biases"],
)
def test_a_network_that_says_too_little_has_counts_and_the_reason(network: pt.Network, reason: str) -> None:
    found = density(network, np.array([[-1.0, -1.0], [1.0, 1.0]])).crossings
    assert found is not None
    [row] = found.segments
    assert isinstance(row.crossings, Exact)
    assert found.mean == row.crossings
    for number in (row.expected, found.expected):
        assert isinstance(number, Missing)
        assert reason in number.reason


def test_expected_crossings_keep_to_the_clock() -> None:
    """Without time the counts stay, and what is missing is named."""
    segment = Counted(0, np.array([[0.0, 0.1], [1.0, 0.3]]), 5)
    clock = Clock(1e-9, {"density": 1.0})
    clock.begin("density")
    found = crossing_facts(seeded(3, 2, 8, 2), [segment, segment], clock)
    assert found is not None
    assert [row.crossings for row in found.segments] == [Exact(4), Exact(4)]
    assert found.expected == Missing("the time allowed was used before")
    assert [row.what for row in clock.left_out] == ["crossings expected at initialisation on 2 of 2 segments"]
    assert crossing_facts(seeded(3, 2, 8, 2), [], clock) is None


@pytest.mark.parametrize("bias", [0.5, 0.0])
def test_the_page_and_the_table_show_both(bias: float) -> None:
    """Of |x| with a bias; without one all units cross at 0, and the table shows the count alone."""
    net = pt.mlp([([[1.0], [-1.0]], [bias, 0.0]), ([[1.0, 1.0]], [-1.0])])
    done = pt.audit(net, pt.Polyhedron.box([-2], [2]), data=pt.Data([[-1.0], [1.5]]), budget=10)
    report = done.as_dict()
    jsonschema.validate(json.loads(json.dumps(report, allow_nan=False)), SCHEMA)
    crossings = report["density"]["crossings"]
    count, expected = 2 if bias else 1, crossings["expected"]
    assert crossings["mean"] == {"label": "exact", "value": count}
    assert crossings["segments"][0]["crossings"]["value"] == count
    [row] = [row for row in glance(done.report) if row.title == "crossings on a segment, mean"]
    beside = f"; expected at initialisation: {expected['value']:.4g} (estimate)" if bias else ""
    assert (row.value, row.label) == (f"{count}{beside}", "exact")
    page = " ".join(done._repr_html_().split())
    assert "Crossings on this segment" in page
    assert "; expected at initialisation: " in page
    assert ("pre-activations are 0" in page) == (not bias)

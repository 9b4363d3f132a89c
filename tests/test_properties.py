"""VNN-LIB properties: hand-worked cases, touching sets, a law against dense sampling, and ACAS Xu."""

from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

import polytope as pt
from polytope import errors
from polytope.bounds.intervals import preactivation_bounds
from polytope.bounds.linear_bounds import linear_bounds
from tests.networks import NETWORKS, SHARED, integer, layer_values, needs_shared, seeded, unit_box_of

ABSOLUTE = pt.mlp([([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])


def text(d: int, out: int, *asserts: str, low: float = -1, high: float = 1) -> str:
    """A property over a box, in VNN-LIB."""
    lines = [f"(declare-const X_{i} Real)" for i in range(d)]
    lines += [f"(declare-const Y_{i} Real)" for i in range(out)]
    lines += [f"(assert (<= X_{i} {high})) (assert (>= X_{i} {low}))" for i in range(d)]
    return "\n".join([*lines, *(f"(assert {a})" for a in asserts)])


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ("(>= Y_0 0.5)", "violated"),
        ("(<= Y_0 -0.000001)", "holds"),
        ("(<= Y_0 0)", "violated"),  # met at x = 0 alone
        ("(< Y_0 0)", "holds"),  # 0 is the least value
        ("(> Y_0 1)", "holds"),
        ("(> Y_0 0.9999999999999999)", "violated"),
        ("(and (< X_0 -0.5) (<= Y_0 0.5))", "holds"),  # met at -0.5 alone, if that were allowed
        ("(and (<= X_0 -0.5) (<= Y_0 0.5))", "violated"),
        ("(>= Y_0 1)", "violated"),  # met at the ends alone
        ("(>= Y_0 1.0000000000000002)", "holds"),  # one unit in the last place above the greatest value
        ("(>= Y_0 (+ X_0 2.1))", "holds"),
        ("(>= Y_0 (+ X_0 1.9))", "violated"),
        ("(= Y_0 0.25)", "violated"),
        ("(or (>= Y_0 2) (and (>= Y_0 0.75) (<= Y_0 0.8)))", "violated"),
        ("(or (>= Y_0 2) (and (>= Y_0 0.8) (<= Y_0 0.75)))", "holds"),
        ("(<= (* 2 Y_0) (- X_0 0.5))", "holds"),
        ("(>= X_0 3)", "holds"),  # no such input
        ("(<= X_0 3)", "violated"),  # any input
    ],
)
def test_conditions_on_the_absolute_value(condition: str, status: str) -> None:
    found = pt.check_property(ABSOLUTE, text(1, 1, condition))
    assert found.status == status
    assert (found.witness is not None) == (status == "violated")
    if found.witness is not None and found.outputs is not None:
        assert found.outputs == pytest.approx(abs(found.witness))
        assert abs(found.witness[0]) <= 1


def test_inputs_on_a_line_and_at_a_point() -> None:
    net = pt.mlp([([[1.0, 1.0], [-1.0, -1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.0])])  # |x + y|
    line = text(2, 1, "(= X_0 X_1)", "(>= Y_0 1.9)")
    assert pt.check_property(net, line).status == "violated"
    opposite = text(2, 1, "(= X_0 (- X_1))", "(>= Y_0 0.001)")
    assert pt.check_property(net, opposite).status == "holds"
    point = text(2, 1, "(= X_0 0.25)", "(= X_1 0.25)", "(>= Y_0 0.4)")
    found = pt.check_property(net, point)
    assert found.status == "violated"
    assert found.witness is not None
    assert found.witness.tolist() == [0.25, 0.25]
    with pytest.raises(ValueError, match="declares 3 inputs"):
        pt.check_property(net, text(3, 1, "(>= Y_0 0)"))


HALF = pt.mlp([([[1.0, 1.0]], [-0.5]), ([[1.0]], [-0.5])])  # relu(x + y - 1/2) - 1/2


@pytest.mark.parametrize("prove", ["any", "enumeration"])
@pytest.mark.parametrize(
    ("condition", "along_a_line", "at_a_point"),
    [
        ("(<= Y_0 -0.6)", "holds", "holds"),
        ("(<= Y_0 -0.5)", "violated", "holds"),
        ("(< Y_0 -0.5)", "holds", "holds"),
        ("(>= Y_0 0)", "violated", "violated"),
        ("(<= Y_0 0)", "violated", "violated"),
        ("(> Y_0 0)", "violated", "holds"),
        ("(>= Y_0 0.1)", "violated", "holds"),
        ("(>= Y_0 0.5)", "violated", "holds"),
        ("(> Y_0 0.5)", "holds", "holds"),
    ],
)
def test_inputs_that_are_fixed(
    condition: str, along_a_line: str, at_a_point: str, prove: Literal["any", "enumeration"]
) -> None:
    """With y = 1/2 the network is relu(x) - 1/2 for x in [-1, 1]; with x = 1/2 too it is 0."""
    line = text(2, 1, "(= X_1 0.5)", condition)
    assert pt.check_property(HALF, line, prove=prove).status == along_a_line
    point = text(2, 1, "(= X_0 0.5)", "(<= X_1 0.5)", "(>= X_1 0.5)", condition)
    assert pt.check_property(HALF, point, prove=prove).status == at_a_point
    implied = text(2, 1, "(>= X_1 0.5)", "(<= (+ X_0 X_1) 1)", "(>= X_0 0.5)", condition)
    assert pt.check_property(HALF, implied, prove=prove).status == at_a_point


@pytest.mark.parametrize("prove", ["any", "enumeration"])
@pytest.mark.parametrize(
    ("condition", "status"), [("<=", "violated"), ("<", "holds"), (">=", "violated"), (">", "holds")]
)
def test_terms_that_cancel_inside_the_network(
    condition: str, status: str, prove: Literal["any", "enumeration"]
) -> None:
    """0.3 + 0.1 - 0.5 + 0.1 is 0 in rationals, and 3e-17 in float64: at a point, and on the whole box."""
    weights = [0.3, 0.1, -0.5, 0.1]
    assert sum(map(Fraction, weights)) == 0
    assert ((weights[0] + weights[1]) + weights[2]) + weights[3] > 0
    network = pt.mlp([(np.ones((4, 2)), np.zeros(4)), ([weights], [0.0])])
    for fixed in ("(= X_0 0.5)", "(and (= X_0 0.5) (= X_1 0.25))", "(<= X_0 1)"):
        stated = text(2, 1, fixed, f"({condition} Y_0 0)")
        assert pt.check_property(network, stated, prove=prove).status == status


def test_a_counterexample_that_no_float_is() -> None:
    """-|3 x - 1| is 0 at 1/3 alone; the line 3 x = y + 1 has no window in float64 numbers."""
    network = pt.mlp([([[3.0], [-3.0]], [-1.0, 1.0]), ([[-1.0, -1.0]], [0.0])])
    found = pt.check_property(network, text(1, 1, "(>= Y_0 0)"))
    assert (found.status, found.rounded) == ("violated", True)
    assert found.witness is not None
    assert found.witness.tolist() == [1 / 3]
    assert pt.check_property(network, text(1, 1, "(>= Y_0 0)", high=1 / 3)).status == "holds"
    assert pt.check_property(network, text(1, 1, "(> Y_0 0)")).status == "holds"
    assert pt.check_property(network, text(1, 1, "(>= Y_0 -0.1)")).rounded is False
    for condition, right in (("(>= Y_0 1)", "violated"), ("(> Y_0 1)", "holds"), ("(<= Y_0 0.99)", "holds")):
        difference = pt.mlp([([[3.0, -1.0]], [0.0])])
        found = pt.check_property(difference, text(2, 1, "(= (* 3 X_0) (+ X_1 1))", condition))
        assert found.status == right
    found = pt.check_property(ABSOLUTE, text(1, 1, "(>= (* 3 X_0) 1)", "(<= (* 3 X_0) 1)", "(>= Y_0 0.3)"))
    assert (found.status, found.rounded) == ("violated", True)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("(>= Y_0 (+ 0.1 0.2))", "not a float64"),
        ("(>= (* X_0 Y_0) 1)", "not linear"),
        ("(>= Z_0 1)", "neither"),
        ("(>= Y_7 1)", "does not declare"),
        ("(not (>= Y_0 1))", "unknown form"),
    ],
)
def test_texts_that_say_something_else_are_refused(bad: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pt.read_property(text(1, 1, bad))


def test_an_input_without_a_bound_and_too_many_cases_are_refused() -> None:
    with pytest.raises(ValueError, match="X_0 without a bound"):
        pt.read_property("(declare-const X_0 Real) (declare-const Y_0 Real) (assert (<= X_0 1))")
    with pytest.raises(ValueError, match="cases"):
        pt.read_property(text(1, 1, *["(or (>= Y_0 1) (<= Y_0 0))"] * 20))


@pytest.mark.parametrize("name", [n for n in NETWORKS if n != "convolutional"])
def test_thresholds_around_the_greatest_value(name: str) -> None:
    """Above the greatest output over all regions the property holds, below it is violated."""
    network = NETWORKS[name]()
    d, out = network.input_dim, network.output_dim
    box = pt.Polyhedron.box(*unit_box_of(network))
    regions = pt.enumerate_regions(network, box)
    most = max(float(network(region.vertices())[:, 0].max()) for region in regions)
    low, high = pt.output_bounds(network, box)
    sampled = network(np.random.default_rng(0).uniform(-1, 1, size=(2000, d)))
    assert (low <= sampled.min(axis=0)).all()
    assert (sampled.max(axis=0) <= high).all()
    assert most <= high[0] + 1e-9
    gap = 1e-6 * (1 + abs(most))
    above = pt.check_property(network, text(d, out, f"(>= Y_0 {most + gap:.17f})"))
    below = pt.check_property(network, text(d, out, f"(>= Y_0 {most - gap:.17f})"))
    assert (above.status, below.status) == ("holds", "violated")
    assert below.witness is not None
    assert network(below.witness[None])[0, 0] >= most - gap
    assert (np.abs(below.witness) <= 1).all()


def test_a_budget_leaves_it_undecided() -> None:
    network = seeded(0, 3, 24, 24, 1)
    box = pt.Polyhedron.box([-1] * 3, [1] * 3)
    most = float(network(np.random.default_rng(0).uniform(-1, 1, size=(20_000, 3))).max())
    _, high = pt.output_bounds(network, box)
    stated = text(3, 1, f"(>= Y_0 {(most + 9 * high[0]) / 10:.12f})")
    found = pt.check_property(network, stated, max_seconds=1e-6)
    assert found.status == "undecided"
    assert pt.check_property(network, stated).status == "holds"


def test_a_proof_says_what_it_rests_on() -> None:
    """|x| <= 1 on the interval: bounds show Y < 3; two regions do too, cut once by the watched condition."""
    stated = text(1, 1, "(>= Y_0 3)")
    found = pt.check_property(ABSOLUTE, stated)
    assert (found.status, found.proof, found.regions) == ("holds", "bounds", 0)
    found = pt.check_property(ABSOLUTE, stated, prove="enumeration")
    assert (found.status, found.proof, found.regions) == ("holds", "enumeration", 2)
    assert pt.check_property(ABSOLUTE, text(1, 1, "(>= Y_0 0.5)"), prove="enumeration").proof == "witness"
    with pytest.raises(ValueError, match="'any' or 'enumeration'"):
        pt.check_property(ABSOLUTE, stated, prove="all")


def test_the_runtime_confirms_a_counterexample() -> None:
    network = integer(3, 2, 4, 1)
    stated = text(2, 1, f"(>= Y_0 {network([[0.0, 0.0]])[0, 0] - 0.5})")
    assert pt.check_property(network, stated, runtime=network).confirmed is True
    assert pt.check_property(network, stated, runtime=lambda x: network(x) - 100).confirmed is False
    with pytest.raises(errors.UnboundedDomainError):
        pt.output_bounds(network, pt.Polyhedron.whole_space(2))


@needs_shared
@pytest.mark.parametrize(
    ("net", "number"), [("2_9", 3), ("2_9", 4), ("3_3", 4), pytest.param("2_9", 2, marks=pytest.mark.slow)]
)
def test_collision_avoidance_properties(net: str, number: int) -> None:
    """As published (Katz et al. 2017): 3 and 4 hold on these networks; 2 is violated on 2_9."""
    from adapters import load, runtime

    stated = Path(SHARED / "models" / "vnnlib" / f"acasxu_prop_{number}.vnnlib")
    network = load(SHARED / "models" / f"acasxu_{net}.onnx")
    found = pt.check_property(network, stated, prove="enumeration", runtime=runtime(network))
    assert found.status == ("violated" if number == 2 else "holds")
    assert found.confirmed is (True if number == 2 else None)
    assert found.proof == ("witness" if number == 2 else "enumeration")
    if number == 3:  # the proof is the count: every region of the box, some cut once more by a condition
        box = pt.read_input_box(stated.read_text())
        all_regions = pt.count_regions(network, pt.Polyhedron.box(box.low, box.high))
        assert found.regions >= all_regions.lower == all_regions.upper


@needs_shared
def test_published_properties_are_read() -> None:
    for file in sorted((SHARED / "models" / "vnnlib").glob("*.vnnlib")):
        stated = pt.read_property(file.read_text())
        assert stated.cases, file.name
        box = pt.read_input_box(file.read_text())
        low = np.min([case.low for case in stated.cases], axis=0)
        high = np.max([case.high for case in stated.cases], axis=0)
        np.testing.assert_array_equal(low, box.low, file.name)
        np.testing.assert_array_equal(high, box.high, file.name)


@pytest.mark.parametrize("name", NETWORKS)
def test_linear_bounds_hold_for_every_preactivation(name: str) -> None:
    """At 3000 points, the corners among them, over boxes of three sizes and one that is flat."""
    network = NETWORKS[name]()
    rng = np.random.default_rng(0)
    for size in (1.0, 0.1, 1e-6, 0.0):
        center = rng.uniform(-1, 1, size=network.input_dim)
        box = np.stack([center - size, center + size * (np.arange(network.input_dim) > 0)])
        x = box[0] + (box[1] - box[0]) * rng.choice([0.0, 1.0, rng.random()], (3000, network.input_dim))
        plain = preactivation_bounds(network, box)
        for z, (low, high), (least, most) in zip(
            (z for z, _ in layer_values(network, x.T)), linear_bounds(network, box), plain, strict=True
        ):
            room = 1e-13 * (1 + np.abs(z).max())  # the points' own rounding
            assert (low - room <= z.min(axis=1)).all()
            assert (z.max(axis=1) <= high + room).all()
            assert (least <= low + room).all()
            assert (high <= most + room).all()


@pytest.mark.parametrize(("threshold", "status"), [(6.5, "violated"), (7, "violated"), (7.0000001, "holds")])
def test_seven_inputs_by_linear_programs(threshold: float, status: str) -> None:
    """The sum of positive parts of 7 inputs is 7 at one corner of the box, and less elsewhere."""
    network = pt.mlp([(np.eye(7), np.zeros(7)), (np.ones((1, 7)), [0.0])])
    assert pt.check_property(network, text(7, 1, f"(>= Y_0 {threshold})")).status == status
    # positive and negative parts apart: 4 and 3 at a corner are 7 together, two times 3.5 cannot be
    W, V = np.concatenate([np.eye(7), -np.eye(7)]), np.kron(np.eye(2), np.ones(7))
    both = pt.mlp([(W, np.zeros(14)), (V, [0.0, 0.0])])
    large = f"(>= (+ Y_0 Y_1) {threshold})"
    assert pt.check_property(both, text(7, 2, large, "(>= Y_0 3)", "(>= Y_1 3)")).status == status
    assert pt.check_property(both, text(7, 2, large, "(>= Y_0 3.5)", "(>= Y_1 3.5)")).status == "holds"

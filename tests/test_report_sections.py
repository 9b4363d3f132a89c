"""The sections of the audit, each with answers worked by hand, and the sharing out of its time."""

import json
from dataclasses import dataclass, make_dataclass
from functools import partial
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import jsonschema
import numpy as np
import pytest
from numpy.typing import ArrayLike

import polytope as pt
from polytope.engines.budget import BudgetSpent
from polytope.labelled import Bound, Estimate, Exact, Missing, Number, ends, interval, share
from polytope.measures import simplify
from polytope.measures.units import unit_use
from polytope.report.asked import Runtime
from polytope.report.checks import METRICS, judged, read_check
from polytope.report.clock import FLOOR, Clock
from polytope.report.conversion import conversion_facts
from polytope.report.data_sections import Compared
from polytope.report.density import LEAST_SHARE, _affordable, _segments, _squares, density_facts
from polytope.report.fields import About, leaves, number_at, plain, value_at
from polytope.report.redundancy import domain_units, redundancy_facts
from polytope.report.sections import Report
from polytope.report.slopes import lipschitz_facts
from polytope.report.subject import subject_of, to_distances
from tests.networks import seeded

SCHEMA = json.loads((files("polytope.report") / "templates" / "report.schema.json").read_text())
ABSOLUTE = pt.mlp([([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [-1.0])])  # |x| - 1
LINE = pt.Polyhedron.box([-2], [2])
PLANE = pt.Polyhedron.box([-1, -1], [1, 1])
HALF = pt.mlp([([[1.0, 0.0]], [0.0]), ([[1.0], [-1.0]], [0.0, 0.0])])  # relu(x) and -relu(x) of (x, y)


def audited(*arguments: object, **options: object) -> dict[str, Any]:
    """The report, which fits its schema."""
    report = pt.audit(*arguments, **options).as_dict()  # type: ignore[arg-type]
    jsonschema.validate(json.loads(json.dumps(report, allow_nan=False)), SCHEMA)
    return report


def test_distances_and_slopes_of_the_absolute_value() -> None:
    report = audited(ABSOLUTE, LINE, data=pt.Data([[0.25], [-0.5], [1.5]]))
    found = report["distances"]
    assert [row["distance"]["value"] for row in found["points"]] == pytest.approx([0.75, 0.5, 0.5])
    assert [row["class"] for row in found["points"]] == [0, 0, 1]
    assert found["exact"] == 3
    assert found["least"] == {"label": "exact", "value": pytest.approx(0.5)}
    assert found["median"]["value"] == pytest.approx(0.5)
    assert report["lipschitz"]["domain"]["value"] == pytest.approx(1.0)
    assert report["lipschitz"]["domain"]["label"] == "exact"
    assert report["lipschitz"]["data"]["largest"]["value"] == pytest.approx(1.0)
    assert "point 1, is 0.5 away from the other sign of the output" in report["verdict"][-1]


def test_the_time_of_a_question_brings_the_ends_of_a_slope_together() -> None:
    """Around the constant of all regions, and nearer to it than bounds without a clock."""
    net, box = seeded(3, 2, 8, 8, 1), pt.Polyhedron.box([-1, -1], [1, 1])
    truth = pt.lipschitz_constant(pt.enumerate_regions(net, box))
    part = pt.enumerate_regions(net, box, max_regions=3)
    found = []
    for budget in (60.0, float("inf")):
        clock = Clock(budget, {"slopes": 1.0})
        clock.begin("slopes")
        found.append(ends(lipschitz_facts(subject_of(pt.ModelFile(net), box, None), part, clock).domain))
    (low, high), (_, wide) = found
    assert low <= truth <= high
    assert high < wide
    assert high - low <= 1e-6 * truth


def test_lengths_in_a_window_are_those_of_the_input_space() -> None:
    """The slope of relu(x) is 1, also in a window whose first coordinate runs twice as fast, and skew."""
    window = pt.Slice.through([0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [3.0, 5.0, 1.0])
    K = to_distances(window, 2)
    u = np.random.default_rng(0).standard_normal((5, 2))
    lengths = np.linalg.norm((u @ K.T) @ window.directions, axis=1)
    np.testing.assert_allclose(lengths, np.linalg.norm(u, axis=1))
    net = pt.mlp([([[1.0, 0.0, 0.0]], [0.0]), ([[1.0]], [0.0])])
    done = pt.audit(net, pt.Scope.of(PLANE, window))
    assert done.as_dict()["lipschitz"]["domain"]["value"] == pytest.approx(1.0)
    assert sorted(done.windows[0].norms) == pytest.approx([0.0, 1.0])


def test_density_on_segments_and_in_squares() -> None:
    report = audited(ABSOLUTE, LINE, data=pt.Data([[-1.0], [1.5]]))
    segments = report["density"]["segments"]
    assert segments["regions"] == {"label": "exact", "value": 2.0}
    assert segments["density"] == {"label": "exact", "value": pytest.approx(2 / 2.5)}
    assert report["density"]["squares"] is None
    # squares of side 0.4 (a twentieth of the median distance 4, twice) around three points; x = 0 cuts two
    report = audited(HALF, PLANE, data=pt.Data([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]]))
    squares = report["density"]["squares"]
    assert report["density"]["side"] == pytest.approx(0.4)
    assert squares["complete"] == squares["places"] == 3
    assert squares["regions"]["value"] == pytest.approx(5 / 3)
    assert squares["densest"]["value"] == pytest.approx(2 / 0.16)
    assert report["data"]["points"] == 3


def test_pieces_of_segments_and_squares_lie_in_them() -> None:
    x = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 3.0]])
    for part in (1.0, 0.25):
        pieces = [window.lift(domain.vertices()) for window, domain, _ in _segments(x, part)]
        assert [size for _, _, size in _segments(x, part)] == pytest.approx([4 * part, 3 * part])
        lengths = [np.ptp(corners, axis=0).tolist() for corners in pieces]
        np.testing.assert_allclose(lengths, [[4 * part, 0], [0, 3 * part]], atol=1e-12)
        for corners, (a, b) in zip(pieces, pairwise(x), strict=True):
            assert (np.minimum(a, b) - 1e-12 <= corners).all()
            assert (corners <= np.maximum(a, b) + 1e-12).all()
        areas = [(domain.volume(), size) for _, domain, size in _squares(x, 0.5, part)]
        np.testing.assert_allclose(areas, part)  # a square of side 1
        for window, domain, _ in _squares(x, 0.5, part):  # around a data point
            assert np.abs(window.lift(domain.vertices().mean(axis=0)[None]) - x).max(axis=1).min() < 1e-12


def test_with_little_time_a_piece_of_each_place_is_looked_at() -> None:
    """What time allows is a piece, with all of it in the report; without a limit it is the whole."""
    x = np.random.default_rng(0).uniform(-1, 1, (5, 2))
    subject = subject_of(pt.ModelFile(HALF), PLANE, pt.Data(x))
    places = partial(_segments, x)
    assert _affordable(subject, places, float("inf")) == 1.0
    assert _affordable(subject, places, 1e6) == 1.0
    assert _affordable(subject, places, 1e-9) == LEAST_SHARE
    clock = Clock(float("inf"), {"density": 1.0})
    clock.begin("density")
    found = density_facts(subject, 0.1, clock)
    assert found is not None
    assert [(part.share, part.complete) for part in (found.segments, found.squares) if part] == [
        (1.0, 4),
        (1.0, 5),
    ]


def test_redundancy_worked_by_hand() -> None:
    """Of relu(x), x + 3, relu(2 x), relu(x - 5) on [-1, 1] one crosses, one repeats it, two are fixed."""
    net = pt.mlp([([[1.0], [1.0], [2.0], [1.0]], [0.0, 3.0, 0.0, -5.0]), ([[1.0, 1, 1, 1]], [0.0])])
    found = audited(net, pt.Polyhedron.box([-1], [1]))["redundancy"]
    assert {name: n["value"] for name, n in found["domain"]["total"].items()} == {
        "units": 4,
        "dead": 1,
        "always_on": 1,
    }
    assert found["simplify"]["removed"] == {"label": "exact", "value": 3}
    assert found["simplify"]["duplicates"]["value"] == 1
    assert found["simplify"]["where"] == "the domain"
    assert found["data_box"] is None


def test_a_window_is_not_the_box_of_the_data() -> None:
    """A unit that is dead in a plane need not be dead in the data's box, which is what simplify looks at."""
    rng = np.random.default_rng(0)
    net = pt.mlp([(rng.standard_normal((12, 9)), rng.standard_normal(12)), (np.ones((2, 12)), [0.0, 1.0])])
    x = rng.uniform(-0.1, 0.1, (40, 9))
    subject = subject_of(pt.ModelFile(net), None, pt.Data(x))
    assert subject.scope.kind == "window"
    complex = pt.enumerate_regions(subject.inside, subject.scope.domain)
    clock = Clock(float("inf"), {})
    found = redundancy_facts(subject, domain_units(subject.inside, complex, None), complex, clock)
    assert found.domain is not None
    assert found.data_box is not None
    assert found.data is not None
    assert found.domain.total.dead == Exact(int(unit_use(complex).dead()[0]))
    total = found.data_box.total
    fixed = sum(ends(number)[0] for number in (total.dead, total.always_on))
    assert 0 < fixed == ends(found.simplify.removed)[0]
    assert ends(found.data.one_piece)[0] >= fixed
    assert "data" in found.simplify.where


def converted(network: pt.Network, x: ArrayLike, runtime: Runtime | None) -> dict[str, Compared]:
    """The comparison by kind of points."""
    subject = subject_of(pt.ModelFile(network, runtime=runtime), PLANE, pt.Data(x))
    return {kind.points: kind for kind in conversion_facts(subject, Clock(float("inf"), {})).kinds}


@pytest.mark.parametrize("error", [0.0, 1e-3])
def test_the_conversion_is_measured_at_data_random_points_and_crossings(error: float) -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (50, 2))
    kinds = converted(HALF, x, lambda rows: HALF(rows) + error)
    assert kinds.keys() == {"data", "random", "near a crossing"}
    for kind in kinds.values():
        assert kind.largest == Estimate(pytest.approx(error))
        assert kind.other_class == Estimate(0)
        assert kind.tried > 0
    assert converted(HALF, x + 2, lambda rows: -HALF(rows))["data"].other_class == Estimate(50)
    assert isinstance(converted(HALF, x, None)["data"].largest, Missing)


def test_inputs_are_rounded_to_the_type_of_the_file() -> None:
    seen = []
    net = pt.Network(HALF.input_shape, HALF.layers, dtype="float32")

    def runtime(x: np.ndarray) -> np.ndarray:
        seen.append(x)
        return np.full((len(x), 2), np.inf)

    kinds = converted(net, [[0.1, 0.2], [0.3, 0.7]], runtime)
    assert all((x == x.astype(np.float32)).all() for x in seen)
    assert {type(kind.largest) for kind in kinds.values()} == {Missing}  # beyond the range


def test_properties_are_checked_and_confirmed(tmp_path: Path) -> None:
    box = "(declare-const X_0 Real)(declare-const Y_0 Real)(assert (<= X_0 1))(assert (>= X_0 -1))"
    texts = {"violated": "(assert (>= Y_0 -0.5))", "holds": "(assert (>= Y_0 0.001))", "not checked": "(oops"}
    names = [tmp_path / f"{status}.vnnlib" for status in texts]
    for name, text in zip(names, texts.values(), strict=True):
        name.write_text(box + text)
    report = audited(
        pt.ModelFile(ABSOLUTE, runtime=ABSOLUTE),
        LINE,
        required=pt.Requirements(names, fail_on=["violated>1", "undecided>0"]),
    )
    rows = report["properties"]
    assert [row["status"] for row in rows] == list(texts)
    [x], [y] = rows[0]["counterexample"], rows[0]["outputs"]
    assert y == pytest.approx(abs(x) - 1)
    assert y >= -0.5
    assert rows[0]["confirmed"] is True
    assert rows[1]["counterexample"] is None
    assert any("not checked" in item["what"] for item in report["not_done"])
    assert [check["result"] for check in report["checks"]] == ["passes", "fails"]


def test_a_share_is_of_what_is_left_and_flows_on() -> None:
    clock = Clock(8.0, {"first": 1.0, "second": 3.0, "third": 4.0})
    assert clock.begin("first") == pytest.approx(1.0, rel=0.01)
    clock.end()
    assert clock.begin("second") == pytest.approx(8.0 * 3 / 7, rel=0.01)
    clock.end()
    assert clock.begin("third") == pytest.approx(8.0, rel=0.01)
    assert clock.limit is not None
    assert Clock(float("inf"), {"all": 1.0}).limit is None
    late = Clock(8.0, {"first": 1.0, "second": 3.0}, started=clock.started - 100)
    assert late.begin("first") == pytest.approx(FLOOR * 2.0)  # though the budget was used before
    assert [row.question for row in clock.spent] == ["first", "second", "third"]


def test_time_is_kept_by_every_question() -> None:
    """The whole takes about the budget, also where there is more to do; a wide margin for busy machines."""
    rng = np.random.default_rng(0)
    widths = [30, 60, 60, 4]
    net = pt.mlp([(rng.standard_normal((m, n)), rng.standard_normal(m)) for n, m in pairwise(widths)])
    report = audited(
        net, data=pt.Data(rng.standard_normal((400, 30))), budget=pt.AuditBudget(max_seconds=1.0)
    )
    questions = report["budget"]["questions"]
    assert sum(row["used"] for row in questions) < 30
    assert {row["question"] for row in questions} >= {"regions", "windows", "distances"}
    assert report["not_done"]


@pytest.mark.parametrize(
    ("check", "number", "result"),
    [
        ("dead_units>0.1", Exact(0.2), "fails"),
        ("dead_units > 0.2", Exact(0.2), "passes"),
        ("dead_units>=.2", Exact(0.2), "fails"),
        ("distance<1e-1", interval(0.2, 0.4), "passes"),
        ("distance<0.3", interval(0.2, 0.4), "undecided"),
        ("distance<=0.4", interval(0.2, 0.4), "fails"),
        ("regions>10", Bound(11, 10**400), "fails"),
        ("regions>12", Bound(11, 10**400), "undecided"),
        ("regions<10", Bound(11, 10**400), "passes"),
        ("lipschitz>50", Bound(20.0), "undecided"),
        ("lipschitz>10", Bound(20.0), "fails"),
        ("accuracy<0.9", Estimate(0.95), "passes"),
        ("accuracy<0.9", Missing("no labels"), "undecided"),
    ],
)
def test_a_check_passes_only_if_it_is_sure(check: str, number: Number, result: str) -> None:
    found = judged(read_check(check), number)
    assert found.result == result
    assert found.metric == number
    assert read_check(check).metric in found.reason


def test_every_figure_is_in_every_report() -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (20, 2))
    full = pt.audit(pt.ModelFile(HALF, runtime=HALF), data=pt.Data(x, np.zeros(20)))
    bare = pt.audit(pt.mlp([([[1.0, 1.0]], [0.0])]), pt.Polyhedron.box([0, 0], [1, 1]))
    for metric in METRICS.values():
        for report in (full.report, bare.report):
            assert isinstance(metric.read(report), Number)
            assert metric.meaning
    needs = {name for name, metric in METRICS.items() if isinstance(metric.read(full.report), Missing)}
    assert needs == {"violated", "undecided", "rmse"}
    right = (HALF(x).argmax(axis=1) == 0).mean()
    accuracy = METRICS["accuracy"].read(full.report)
    assert isinstance(accuracy, Estimate)
    assert accuracy.value == pytest.approx(right)
    assert share(Bound(1, 3), 4) == Bound(0.25, 0.75)


def test_a_figure_without_its_section_says_why() -> None:
    bare = pt.audit(pt.mlp([([[1.0, 1.0]], [0.0])]), pt.Polyhedron.box([0, 0], [1, 1])).report
    said = {name: metric.read(bare) for name, metric in METRICS.items()}
    for name in ("distance", "density", "local_complexity", "data_slope"):
        assert said[name] == Missing("it needs data points"), name
    assert said["accuracy"] == Missing("it needs data points with labels")
    assert said["dead_units"] == Missing("no unit has an activation")


@pytest.mark.parametrize(
    "text", ["dead_units", "dead_units=1", "dead_units>x", ">1", "dead_units>1;", "speed>3"]
)
def test_what_is_no_check_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="--fail-on"):
        read_check(text)


def test_what_fields_say_of_each_other_is_so() -> None:
    """Names of checks and rows are met once; shares are of whole numbers beside them."""
    met = list(leaves(Report))
    for said in ([leaf.about.check for leaf in met], [leaf.about.row for leaf in met]):
        assert len(set(filter(None, said))) == len(list(filter(None, said))) > 5
    report = pt.audit(HALF, PLANE, data=pt.Data([[0.0, 0.5], [0.5, 0.25]], [0, 1])).report
    for leaf in met:
        if leaf.about.check or leaf.about.row:
            assert value_at(report, leaf.path) is None or isinstance(value_at(report, leaf.path), Number)
            assert bool(leaf.about.check) <= bool(leaf.about.checked)
        if leaf.about.share_of:
            whole = value_at(report, (*leaf.path[:-1], leaf.about.share_of))
            assert isinstance(whole, int | Exact), leaf.path
            assert ends(number_at(report, leaf))[1] <= 1


def test_a_new_field_is_met_by_schema_table_and_checks() -> None:
    """Nothing but the field has to be written, in a section that stands anywhere in another."""

    @dataclass(frozen=True)
    class Inner:
        speed: Annotated[
            Number, About("how fast", row="speed", check="speed", checked="m/s", share_of="limit")
        ]
        limit: int

    declared_here = {"inner": (Inner | None, About(missing="no engine")), "more": (tuple[int, ...], About())}
    outer = make_dataclass(
        "Outer", [(name, Annotated[kind, about]) for name, (kind, about) in declared_here.items()]
    )
    leaf = next(leaves(outer))
    assert (leaf.path, leaf.about.row) == (("inner", "speed"), "speed")
    assert number_at(outer(Inner(Estimate(3.0), 4), ()), leaf) == Estimate(0.75)
    assert number_at(outer(None, ()), leaf) == Missing("no engine")
    assert plain(outer(Inner(Bound(1), 4), (1, 2)))["inner"]["speed"] == {
        "label": "bound",
        "lower": 1,
        "upper": None,
    }


def test_a_network_that_time_does_not_allow_to_rebuild_has_no_smaller_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A budget that ends while simplify rebuilds the network says so, and claims no number of units."""

    def stop(*_: object) -> None:
        raise BudgetSpent

    monkeypatch.setattr(simplify, "_rebuilt", stop)
    subject = subject_of(pt.ModelFile(ABSOLUTE), LINE, None)
    complex = pt.enumerate_regions(ABSOLUTE, LINE)
    clock = Clock(60.0, {"redundancy": 1.0})
    clock.begin("redundancy")
    found = redundancy_facts(subject, domain_units(subject.inside, complex, None), complex, clock)
    assert isinstance(found.simplify.units_after, Missing)
    assert found.simplify.units_after.reason == "the budget was spent"
    assert [left.what for left in clock.left_out] == ["what simplify would save"]


def test_units_of_the_datas_box_are_proved_where_time_allows() -> None:
    """Intervals leave units open that bounds on parts of the box decide; what is decided agrees."""
    rng = np.random.default_rng(3)
    shapes = pairwise([9, 12, 12, 2])
    net = pt.mlp([(rng.standard_normal((m, n)), rng.standard_normal(m)) for n, m in shapes])
    subject = subject_of(pt.ModelFile(net), None, pt.Data(rng.uniform(-0.2, 0.2, (40, 9))))
    complex = pt.enumerate_regions(subject.inside, subject.scope.domain)
    assert subject.data_box is not None
    truth = pt.prove_units(net, subject.data_box)
    assert truth.complete
    clock = Clock(float("inf"), {"redundancy": 1.0})
    clock.begin("redundancy")
    found = redundancy_facts(subject, domain_units(subject.inside, complex, None), complex, clock).data_box
    assert found is not None
    assert found.total.dead == Exact(truth.dead()[0])
    assert found.total.always_on == Exact(truth.always_on()[0])
    assert not clock.left_out

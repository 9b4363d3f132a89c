"""The audit's report: labels that hold, a schema that fits, a page that is safe and self-contained."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

import polytope as pt
from polytope.errors import UnboundedDomainError
from polytope.ir import Activation, absolute, clip, leaky_relu, max_groups, relu
from polytope.labelled import (
    Bound,
    Estimate,
    Exact,
    Missing,
    Number,
    in_words,
    interval,
    log10,
    to_json,
)
from polytope.plots.planar import area, outlines
from polytope.report.html import shown
from polytope.report.model import activation_name
from polytope.report.schema import schema
from polytope.report.scope import box_scope, default_scope, picked, window_scope

SCHEMA = json.loads((files("polytope.report") / "templates" / "report.schema.json").read_text())
PLANE = pt.Polyhedron.box([-1, -1], [1, 1])


def network(*widths: int, seed: int = 0) -> pt.Network:
    rng = np.random.default_rng(seed)
    return pt.mlp([(rng.standard_normal((m, n)), rng.standard_normal(m)) for n, m in pairwise(widths)])


def check_schema(report: dict[str, Any]) -> None:
    """The report as written, read back, fits its schema; no number stands without a label."""
    jsonschema.validate(json.loads(json.dumps(report, allow_nan=False)), SCHEMA)


def test_schema_is_a_schema_and_that_of_the_fields() -> None:
    """Written by ``python -m polytope.report.schema`` after a field has changed."""
    assert schema() == SCHEMA
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_complete_audit_is_exact(tmp_path: Path) -> None:
    net = network(2, 5, 5, 3)
    data = np.random.default_rng(1).standard_normal((30, 2))
    labelled = pt.Data(data, np.arange(30) % 3, radius=0.1)
    done = pt.audit(net, PLANE, data=labelled, budget=pt.AuditBudget(max_seconds=None))
    check_schema(done.as_dict())
    regions = pt.enumerate_regions(net, PLANE)
    assert done.as_dict()["regions"]["activation"] == {"label": "exact", "value": len(regions)}
    assert done.as_dict()["regions"]["linear"]["value"] == len(np.unique(regions.merged()))
    assert done.as_dict()["regions"]["pieces"]["value"] == regions.pieces()
    assert done.as_dict()["adjacency"]["edges"]["value"] == regions.adjacency().number_of_edges()
    assert done.as_dict()["adjacency"]["components"]["value"] == 1
    assert done.as_dict()["coverage"]["value"] == pytest.approx(1, abs=1e-9)  # rounding of hull volumes
    complexity = done.as_dict()["local_complexity"]
    assert complexity["layers"][0]["label"] == "estimate"  # by signs in float64
    assert complexity["layers"][1]["label"] == "estimate"
    counts = pt.local_complexity(net, data, 0.1, frames=2)
    assert complexity["total"]["value"] == pytest.approx(counts.total.mean())
    assert sum(row["points"] for row in complexity["classes"]) == 30
    written = json.loads(done.write_json(tmp_path / "report.json").read_text())
    assert written == done.as_dict()
    [left] = done.as_dict()["not_done"]
    assert left["what"] == "the distance to the decision boundary at the other 20 data points"
    assert len(done.pictures) == 1
    assert repr(done) == f"Audit({len(regions)} activation regions (exact) in the box [-1, 1]^2)"
    assert [len(window.complex) for window in done.windows] == [len(regions)]


@pytest.mark.parametrize("limit", [1, 5, 40])
def test_partial_audit_never_passes_for_complete(limit: int) -> None:
    net = network(2, 16, 16, 1)
    truth = pt.audit(net, PLANE).as_dict()
    report = pt.audit(net, PLANE, budget=pt.AuditBudget(5.0, max_regions=limit)).as_dict()
    check_schema(report)
    assert not report["search"]["complete"]
    for name, number in report["regions"].items():
        assert number["label"] == "bound"
        assert number["lower"] <= truth["regions"][name]["value"] <= number["upper"]
    for name in ("dead", "always_on"):
        number = report["redundancy"]["domain"]["total"][name]
        exact = truth["redundancy"]["domain"]["total"][name]["value"]
        low, high = (
            (number["value"],) * 2 if number["label"] == "exact" else (number["lower"], number["upper"])
        )
        assert low <= exact <= high
    labels = {n["label"] for name, n in report["adjacency"].items() if name != "degrees"}
    assert labels <= {"bound", "not computed"}
    assert report["lipschitz"]["domain"]["lower"] <= truth["lipschitz"]["domain"]["value"]
    assert report["lipschitz"]["domain"]["upper"] >= truth["lipschitz"]["domain"]["value"]
    page = "\n".join(report["verdict"])
    assert "exactly" not in page
    assert "interval" in page


def test_what_would_cost_too_much_is_left_out_and_said() -> None:
    report = pt.audit(network(2, 32, 32, 1), PLANE, budget=pt.AuditBudget(max_seconds=None)).as_dict()
    assert [item["why"] for item in report["not_done"]] == ["no data points were given"]
    report = pt.audit(network(2, 32, 32, 1), PLANE, budget=pt.AuditBudget(max_seconds=1e-6)).as_dict()
    check_schema(report)
    assert report["not_done"]
    for item in report["not_done"]:
        assert item["what"]
        assert item["why"]


def test_an_audit_without_time_knows_the_region_around_a_point_and_says_what_is_left_out() -> None:
    report = pt.audit(
        network(40, 64, 64, 1), pt.Polyhedron.whole_space(40), budget=pt.AuditBudget(max_seconds=1e-9)
    ).as_dict()
    check_schema(report)
    assert report["regions"]["activation"]["lower"] == 1
    assert report["regions"]["activation"]["label"] == "bound"
    assert not report["search"]["complete"]
    assert report["not_done"]


class _Outside(HTMLParser):
    """Collects what a page would load or run."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("link", "iframe", "object", "embed", "form", "base"):
            self.found.append(tag)
        self.scripts += tag == "script"
        self.found += [f"{k}={v}" for k, v in attrs if k.startswith("on")]
        self.found += [
            v
            for k, v in attrs
            if k in ("src", "href") and v and not v.startswith(("data:image/svg+xml", "#"))
        ]


def test_page_escapes_names_and_loads_nothing(tmp_path: Path) -> None:
    hostile = "</code><script>alert(1)</script>\u202e\x1b[31m" + "x" * 5000
    net = network(2, 4, 2)
    net = pt.Network(
        net.input_shape, net.layers, input_names=(hostile,), output_names=("{{ 7*7 }}",), dtype=hostile
    )
    file = tmp_path / "<img src=x onerror=alert(1)>.onnx"
    file.write_bytes(b"not a model")
    prop = tmp_path / "<svg onload=alert(1)>.vnnlib"
    prop.write_text("(assert (<script>alert(1)</script>))")
    done = pt.audit(pt.ModelFile(net, file), PLANE, required=pt.Requirements([prop]))
    done = replace(done, report=replace(done.report, command=f"polytope audit {hostile}"))
    assert done.as_dict()["properties"][0]["status"] == "not checked"
    check_schema(done.as_dict())
    page = done.write_html(tmp_path / "report.html").read_text()
    outside = _Outside()
    outside.feed(page)
    assert outside.found == []
    assert outside.scripts == 2  # the data of the windows, and the page's own script, which runs by its hash
    [allowed] = re.findall(r"script-src '(sha256-[^']+)'", page)
    own = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    assert [_sha256(text) for text in own] == [allowed]
    assert "default-src 'none'" in page
    assert "alert(1)</script>" not in page
    assert "onload=alert(1)>" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert "{{ 7*7 }}" in page
    assert "x" * 2500 not in page
    assert not re.search(r"https?://", re.sub(r'"data:[^"]*"', "", page))


def _sha256(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_every_number_of_the_page_has_its_label(tmp_path: Path) -> None:
    done = pt.audit(network(2, 8, 8, 1), PLANE, budget=pt.AuditBudget(4.0, max_regions=3))
    page = done.write_html(tmp_path / "report.html").read_text()
    assert "stopped by its limit of 3 regions" in page
    assert "stopped by its limit of regions" in page
    assert page.count('class="label bound"') >= 4
    assert page.count('class="label exact"') >= 4


def test_bad_arguments_are_named() -> None:
    net = network(2, 4, 1)
    window = pt.Slice.through([0, 0], [1, 0], [0, 1])
    for domain, data, reason in [
        (pt.Polyhedron.box([0], [1]), None, "1 coordinates"),
        (pt.Scope.of(pt.Polyhedron.box([0], [1]), window), None, "1 coordinates"),
        (None, pt.Data([[1.0, 2.0, 3.0]]), "shape"),
        (None, pt.Data([[1.0, 2.0]], [1, 2]), "labels must"),
    ]:
        with pytest.raises(ValueError, match=reason):
            pt.audit(net, domain, data=data)
    for make, reason in [
        (lambda: pt.AuditBudget(max_seconds=-1.0), "max_seconds must be positive"),
        (lambda: pt.AuditBudget(max_regions=0), "max_regions must be positive"),
        (lambda: pt.Data([[1.0, 2.0]], radius=0.0), "radius must be"),
        (lambda: pt.Data([[1.0, np.nan]]), "finite"),
        (lambda: pt.Requirements(fail_on=["speed>3"]), "no metric 'speed'"),
    ]:
        with pytest.raises(ValueError, match=reason):
            make()


def test_scopes() -> None:
    scope = box_scope(3, [0, 5, -1], [1, 5, 1])
    assert scope.window is not None
    np.testing.assert_array_equal(scope.window.lift([[0.5, 0.25]]), [[0.5, 5, 0.25]])
    assert "1 of 3 coordinates are fixed" in scope.description
    assert scope.restricted(network(3, 4, 1)).input_dim == 2
    for low, high, reason in [
        (1, 0, "above"),
        ([0, 0], [1, 1], "2 numbers"),
        (0, 0, "single point"),
        (np.nan, 1, "finite"),
        (0, np.inf, "finite"),
    ]:
        with pytest.raises(ValueError, match=reason):
            box_scope(3, low, high)
    with pytest.raises(ValueError, match="No window"):
        window_scope(np.zeros((3, 5)), names="three equal points")
    with pytest.raises(ValueError, match="no data point 9"):
        picked(np.zeros((3, 5)), [9])


@pytest.mark.parametrize(
    ("d", "points", "kind"), [(3, 0, "box"), (3, 9, "box"), (64, 9, "window"), (64, 0, "window")]
)
def test_default_scope_says_that_it_is_one(d: int, points: int, kind: str) -> None:
    data = np.random.default_rng(0).standard_normal((points, d)) if points else None
    scope = default_scope(network(d, 4, 1), data)
    assert scope.chosen_by == "default"
    assert scope.kind == kind
    report = pt.audit(network(d, 4, 1), data=None if data is None else pt.Data(data)).as_dict()
    check_schema(report)
    assert report["domain"]["chosen_by"] == "default"


def test_numbers_in_words() -> None:
    assert in_words(interval(3, 3)) == "3"
    assert in_words(interval(3, 9)) == "3 to 9"
    assert in_words(Bound(3)) == "at least 3"
    assert in_words(Bound(12345, 10**400)) == "12,345 to 10^400"
    assert in_words(Missing("no time")) == "not computed"
    assert log10(10**5000) == pytest.approx(5000)  # rounding of log10(2) * bits


WRITTEN = [
    (Exact(3, "counted"), {"label": "exact", "value": 3, "note": "counted"}),
    (Exact(0.5), {"label": "exact", "value": 0.5}),
    (Estimate(0.25, "sampled"), {"label": "estimate", "value": 0.25, "note": "sampled"}),
    (Bound(1.5, 2.5, "enclosed"), {"label": "bound", "lower": 1.5, "upper": 2.5, "note": "enclosed"}),
    (Bound(7), {"label": "bound", "lower": 7, "upper": None}),
    (Bound(3, 10**400), {"label": "bound", "lower": 3, "upper": None, "log10_upper": pytest.approx(400)}),
    (Missing("no data"), {"label": "not computed", "reason": "no data"}),
]


@pytest.mark.parametrize(("number", "written"), WRITTEN, ids=lambda case: type(case).__name__)
def test_a_number_is_written_with_its_label(number: Number, written: dict[str, object]) -> None:
    """An end that is not known is null, and one too large to write is its logarithm."""
    assert json.loads(json.dumps(to_json(number), allow_nan=False)) == written


def test_activations_are_called_by_their_names() -> None:
    names = {
        "ReLU": relu(),
        "leaky ReLU, slope 0.1": leaky_relu(0.1),
        "absolute value": absolute(),
        "clip": clip(-1, 2),
        "maximum of 2": max_groups([[0, 1], [2, 3]]),
    }
    assert [activation_name(activation, 4) for activation in names.values()] == list(names)


@pytest.mark.parametrize(
    "activation", [relu(), absolute(), clip(-0.5, 0.5), max_groups([[0, 1, 2], [3, 4, 5], [6, 7, -1]])]
)
def test_outlines_have_the_areas_of_the_regions(activation: Activation) -> None:
    rng = np.random.default_rng(0)
    width = activation.n_units(8)
    weights = [(rng.standard_normal((8, n)), rng.standard_normal(8)) for n in (2, width)]
    net = pt.mlp([*weights, (np.ones((1, width)), [0.0])], activation)
    regions = pt.enumerate_regions(net, pt.Polyhedron([[1, 1], [-1, 0], [0, -1.0]], [1, 1, 1.0]))
    areas = [area(outline) for outline in outlines(regions)]
    np.testing.assert_allclose(areas, regions.volumes(), atol=1e-12, rtol=1e-7)  # rounding, also of hulls
    assert sum(areas) == pytest.approx(4.5)


def test_shown_is_printable_and_short() -> None:
    assert shown("a\nb\x07") == "a\ufffdb\ufffd"
    assert len(shown("y" * 999)) == 80


def test_plot_regions_draws_every_region_of_a_plane() -> None:
    import matplotlib.pyplot as plt

    regions = pt.enumerate_regions(network(2, 8, 8, 1), PLANE)
    ax = pt.plot_regions(regions, values=np.arange(len(regions)), label="number")
    assert len(ax.collections[0].get_paths()) == len(regions)
    assert pt.plot_regions(regions, ax) is ax
    plt.close(ax.figure)
    with pytest.raises(ValueError, match="one number for each"):
        pt.plot_regions(regions, values=[1.0])
    with pytest.raises(UnboundedDomainError):
        pt.plot_regions(pt.enumerate_regions(network(2, 2, 1), pt.Polyhedron.whole_space(2)))
    with pytest.raises(ValueError, match="3 dimensions"):
        pt.plot_regions(pt.enumerate_regions(network(3, 2, 1), pt.Polyhedron.box([0] * 3, [1] * 3)))

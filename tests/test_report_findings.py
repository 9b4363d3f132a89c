"""What a report says first: violated properties, accuracy, the task, and where every number holds."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import adapters
import polytope as pt
from polytope.cli.terminal import watching
from polytope.core.packed import PackedPatterns, differing
from polytope.labelled import Exact, Missing
from polytope.report import questions
from polytope.report.distances import nearest_first, tighter
from polytope.report.findings import glance, standing
from polytope.report.points import points_from_file
from polytope.report.subject import subject_of
from polytope.report.task import task_of
from tests.command_line import polytope

ABSOLUTE = pt.mlp([([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [-1.0])])  # |x| - 1
TWO = pt.mlp([([[1.0, 0.0]], [0.0]), ([[1.0], [-1.0]], [0.0, 0.5])])  # relu(x) against 0.5 - relu(x)
SQUARE = pt.Polyhedron.box([-1, -1], [1, 1])
X = np.array([[0.75, 0.0], [0.5, 0.5], [-0.5, 0.25], [0.1, -0.5]])  # classes 0, 0, 1, 1


def stated(folder: Path, name: str, unsafe: str) -> Path:
    """A property of ``ABSOLUTE`` on [-2, 2]."""
    box = "(declare-const X_0 Real)(declare-const Y_0 Real)(assert (<= X_0 2))(assert (>= X_0 -2))"
    file = folder / f"{name}.vnnlib"
    file.write_text(box + f"(assert {unsafe})")
    return file


def test_a_violated_property_is_the_first_sentence_the_first_row_red_and_code_1(tmp_path: Path) -> None:
    model = tmp_path / "absolute.onnx"
    adapters.to_onnx(ABSOLUTE, model)
    good, bad = stated(tmp_path, "good", "(<= Y_0 -1.5)"), stated(tmp_path, "bad", "(>= Y_0 0.5)")
    done = polytope("audit", model, "--vnnlib", good, "--vnnlib", bad, "--out", tmp_path / "report")
    assert done.returncode == 1
    assert done.stdout.startswith("The property bad.vnnlib is violated, as the file's own runtime confirms")
    [there] = json.loads((tmp_path / "report" / "report.json").read_text())["properties"][1]["outputs"]
    assert f"where the output is {there:.4g}." in done.stdout.splitlines()[0]
    assert f"where the output is {there:.4g}." in polytope("check", model, bad).stdout
    assert "bad.vnnlib: violated" in done.stderr
    page = (tmp_path / "report" / "report.html").read_text()
    assert '<div class="verdict failed">' in page
    only = polytope("audit", model, "--vnnlib", good, "--out", tmp_path / "report")
    assert only.returncode == 0
    assert only.stdout.startswith("The property good.vnnlib holds")
    assert '<div class="verdict complete">' in (tmp_path / "report" / "report.html").read_text()
    open_ = polytope("audit", model, "--vnnlib", stated(tmp_path, "odd", "(oops"), "--box", -2, 2)
    assert open_.returncode == 4
    assert "odd.vnnlib is not decided" in open_.stdout


def test_a_counterexample_says_which_outputs_are_the_largest_and_the_least(tmp_path: Path) -> None:
    file = stated(tmp_path, "first", "(>= Y_0 Y_1)")
    file.write_text(file.read_text() + "(declare-const X_1 Real)(declare-const Y_1 Real)")
    file.write_text(file.read_text() + "(assert (<= X_1 0))(assert (>= X_1 0))")
    found = pt.audit(TWO, SQUARE, required=pt.Requirements([file]))
    first, second = found.report.properties[0].outputs or ()
    said = f"where output 0 is the largest ({first:.4g}) and output 1 the least ({second:.4g})."
    assert said in found.report.verdict[0]


def test_standing_and_the_rows_at_a_glance(tmp_path: Path) -> None:
    wanted = pt.Requirements([stated(tmp_path, "bad", "(>= Y_0 0.5)")])
    found = pt.audit(ABSOLUTE, pt.Polyhedron.box([-2], [2]), required=wanted)
    assert standing(found.report) == "failed"
    assert found.failed == ("bad.vnnlib: violated",)
    rows = glance(found.report)
    assert (rows[0].title, rows[0].value) == ("property bad.vnnlib", "violated")
    assert all(row.place for row in rows)
    stopped = pt.audit(ABSOLUTE, pt.Polyhedron.box([-2], [2]), budget=pt.AuditBudget(4.0, max_regions=1))
    assert standing(stopped.report) == "partial"
    assert any("ended by its limit of regions" in left.why for left in stopped.report.not_done)


def test_accuracy_and_misclassified_points_come_early() -> None:
    model = pt.ModelFile(TWO, runtime=TWO, classes=("cat", "dog"))
    found = pt.audit(model, SQUARE, data=pt.Data(X, [0, 1, 1, 1]))
    data = found.report.data
    assert data is not None
    assert [(row.point, row.label, row.predicted) for row in data.wrong] == [(1, 1, 0)]
    assert "It classifies 3 of 4 data points as labelled; misclassified: 1." in found.report.verdict
    assert data.names == ("cat", "dog")
    titles = [row.title for row in glance(found.report)]
    assert titles.index("correctly classified") < titles.index("activation regions")
    with pytest.raises(ValueError, match="3 class names are given"):
        pt.audit(pt.ModelFile(TWO, classes=("a", "b", "c")), SQUARE)


def test_one_conversion_error_the_larger() -> None:
    model = pt.ModelFile(TWO, runtime=lambda x: TWO(x) + 1e-3)
    found = pt.audit(model, SQUARE)
    [row] = [row for row in glance(found.report) if "conversion" in row.title]
    assert float(row.value) == pytest.approx(1e-3)
    assert not [row for row in glance(found.report) if "import error" in row.title]
    assert "difference to its own runtime 0.001" in found.report.verdict[0]


def test_a_regression_has_no_classes(tmp_path: Path) -> None:
    x = np.linspace(-2, 2, 9)[:, None]
    found = pt.audit(pt.ModelFile(ABSOLUTE, runtime=ABSOLUTE), data=pt.Data(x, np.abs(x[:, 0]) - 0.5))
    report = found.report
    assert report.data is not None
    assert (report.data.task, report.data.right, report.distances) == ("regression", None, None)
    assert report.data.error is not None
    assert report.data.error.value == pytest.approx(0.5)  # type: ignore[union-attr]
    page = found.write_html(tmp_path / "report.html").read_text()
    assert "root mean squared error is 0.5" in page
    assert "predicted class" not in page
    assert "Another class" not in page
    assert any("values" in left.why for left in report.not_done)


def test_labels_say_what_the_outputs_are() -> None:
    assert task_of(None, 3, 2).kind == "not known"
    assert task_of([0, 1, 1], 3, 2).kind == "classification"
    assert task_of([0.0, 2.0], 2, 3).classes is not None
    for binary in ([0, 1], [-1, 1], [[0], [1]]):
        classes = task_of(binary, 2, 1).classes
        assert classes is not None
        assert classes.tolist() == [0, 1]
    assert task_of([151, 75, 141], 3, 1).kind == "regression"
    assert task_of([[0.5, 1.0], [2.0, 3.0]], 2, 2).kind == "regression"
    for labels, outputs, reason in (
        ([0, 3], 2, "label 3 of point 1 names no output"),
        ([0.5, 1.5], 2, "values"),
        ([0, 1, 2], 2, "shape"),
        ([0, np.nan], 2, "finite"),
        (["a", "b"], 2, "finite numbers"),
    ):
        with pytest.raises(ValueError, match=reason):
            task_of(labels, 2, outputs)  # type: ignore[arg-type]


def test_distances_are_those_of_the_points_nearest_by_slope() -> None:
    """Of |x| - 1 the distance to the boundary is ||x| - 1|, and the slope is right everywhere."""
    x = np.linspace(-2.95, 2.95, 40)[:, None]
    subject = subject_of(pt.ModelFile(ABSOLUTE), None, pt.Data(x))
    expected = np.argsort(np.abs(np.abs(x[:, 0]) - 1), kind="stable")[:10]
    assert sorted(nearest_first(subject).tolist()) == sorted(expected.tolist())
    assert tighter(pt.Bound(1.0, 3.0), pt.Bound(0.5, 2.0)) == pt.Bound(1.0, 2.0)
    assert tighter(pt.Bound(1.0, 3.0), Exact(2.0)) == Exact(2.0)


def test_points_from_every_kind_of_file(tmp_path: Path) -> None:
    y = np.array([0, 0, 1, 1])
    np.savez(tmp_path / "a.npz", X=X, y=y)
    np.save(tmp_path / "a.npy", X)
    np.savetxt(tmp_path / "named.csv", np.c_[y, X], delimiter=",", header="label,a,b", comments="")
    np.savetxt(tmp_path / "bare.csv", np.c_[X, y], delimiter=",")
    np.savetxt(tmp_path / "inputs.csv", X, delimiter=",")
    for name, labelled in (("a.npz", 1), ("a.npy", 0), ("named.csv", 1), ("bare.csv", 1), ("inputs.csv", 0)):
        found = points_from_file(tmp_path / name, TWO)
        np.testing.assert_allclose(found.x, X)
        assert (found.labels is not None) == labelled
        assert found.labels is None or found.labels.tolist() == y.tolist()
    np.save(tmp_path / "object.npy", np.array([{}], dtype=object))
    (tmp_path / "ragged.csv").write_text("1,2\n3\n")
    (tmp_path / "words.csv").write_text("a,b\n1,x\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "text.npz").write_text("no archive")
    for name, reason in (
        ("object.npy", "not an .npy array of numbers"),
        ("ragged.csv", "not a table of numbers"),
        ("words.csv", "not a table of numbers"),
        ("empty.csv", "not a table of numbers"),
        ("text.npz", "not an .npz archive, which numpy.savez writes"),
        ("none.csv", "There is no file"),
    ):
        with pytest.raises(ValueError, match=reason):
            points_from_file(tmp_path / name, TWO)


def test_codes_of_checks_that_pass_while_the_count_is_open(tmp_path: Path) -> None:
    model = tmp_path / "absolute.onnx"
    adapters.to_onnx(ABSOLUTE, model)
    stopped = ["audit", model, "--box", -2, 2, "--max-regions", 1, "--out", tmp_path]
    assert polytope(*stopped).returncode == 4
    assert polytope(*stopped, "--accept-intervals").returncode == 0
    assert polytope(*stopped, "--fail-on", "conversion_error>1e-3").returncode == 0  # decided
    interval = [*stopped, "--fail-on", "regions<1"]
    assert polytope(*interval).returncode == 4
    assert polytope(*interval, "--accept-intervals").returncode == 0
    assert polytope(*stopped, "--fail-on", "regions>1", "--accept-intervals").returncode == 1


def test_the_report_of_another_model_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("one.onnx", "other.onnx"):
        adapters.to_onnx(ABSOLUTE, tmp_path / name)
        assert polytope("audit", name, "--box", -2, 2).returncode == 0
    for folder, name in (("audit", "one.onnx"), ("audit-other", "other.onnx")):
        report = json.loads((tmp_path / folder / "report.json").read_text())
        assert report["model"]["file"]["name"] == name


def test_class_names_reach_the_page(tmp_path: Path) -> None:
    model, points = tmp_path / "two.onnx", tmp_path / "points.npz"
    adapters.to_onnx(TWO, model)
    np.savez(points, X=X, y=[0, 1, 1, 1])
    (tmp_path / "names.txt").write_text("small\nlarge\n")
    for names in ("small,large", tmp_path / "names.txt"):
        done = polytope("audit", model, "--data", points, "--names", names, "--out", tmp_path)
        assert done.returncode == 0, done.stderr
        assert "1 large" in (tmp_path / "report.html").read_text()
    assert polytope("audit", model, "--names", "a,b,c", "--out", tmp_path).returncode == 2


def test_an_interrupted_audit_reports_what_it_found(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    net = pt.mlp(
        [(rng.standard_normal((m, n)), rng.standard_normal(m)) for n, m in ((2, 24), (24, 24), (24, 2))]
    )
    search = questions.enumerate_regions

    def impatient(*arguments: Any, **options: Any) -> pt.RegionComplex:
        if options.get("max_regions", 1) != 1:
            raise KeyboardInterrupt
        return search(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(questions, "enumerate_regions", impatient)
        with pytest.raises(KeyboardInterrupt):
            pt.audit(net, SQUARE)
        found = pt.audit(net, SQUARE, partial=True)
    assert found.interrupted
    assert not found.report.search.complete
    assert standing(found.report) == "partial"
    assert any("interrupted" in left.why for left in found.report.not_done)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(questions, "lipschitz_facts", interrupted)
    later = pt.audit(net, SQUARE, partial=True)
    assert later.interrupted
    assert later.report.search.complete  # what came before is kept
    assert isinstance(later.report.regions.linear, Exact)
    assert isinstance(later.report.lipschitz.domain, Missing)


def test_a_lasting_stage_moves_in_a_terminal_and_leaves_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("polytope.engines.bars.monotonic", lambda: now[0])
    for terminal in (True, False):
        console = Console(file=StringIO(), force_terminal=terminal, width=80)
        with watching(console) as watch:
            for words, seconds in (("conversion", 1.0), ("density", 9.0), ("regions", 3.0)):
                watch.stage(words)
                now[0] += seconds
                if words == "regions":
                    watch.regions(7, 1)
        said = console.file.getvalue()  # type: ignore[attr-defined]
        assert "density: 9 s" in said
        assert "7 found, 2/s, 1 open cell, 3 s" in said
        assert ("conversion" in said) == terminal


def test_options_that_would_do_nothing_are_refused(tmp_path: Path) -> None:
    model = tmp_path / "absolute.onnx"
    adapters.to_onnx(ABSOLUTE, model)
    for options, reason in (
        (["--scale", 0], "--scale must be a positive number"),
        (["--scale", 255], "--scale divides the points"),
        (["--window-indices", "1,2,3"], "--window-indices chooses points"),
        (["--workers", 2, "--engine", "sampling"], "--workers has no meaning"),
    ):
        done = polytope("count", model, *options)
        assert done.returncode == 2
        assert reason in done.stderr
    assert polytope("count", model, "--box", -2, 2, "--workers", 2).returncode == 0
    assert polytope("verify", tmp_path / "nowhere").returncode == 2


@pytest.mark.parametrize("packed", [True, False])
def test_units_that_differ_are_seen_without_unpacking(packed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 2, (50, 19)).astype(np.int8)
    patterns[:, [3, 18]] = 1
    monkeypatch.setattr("polytope.core.packed.BYTES", 7)  # several steps
    bits = np.packbits(patterns, axis=1, bitorder="little")
    found = differing(PackedPatterns(bits, 19) if packed else patterns)
    assert found.tolist() == (patterns != patterns[0]).any(axis=0).tolist()
    assert (PackedPatterns(bits, 19)[np.array([4, 2])].unpacked() == patterns[[4, 2]]).all()


def test_a_picture_of_all_regions_is_code_4_where_a_budget_stopped_the_search(tmp_path: Path) -> None:
    model = tmp_path / "two.onnx"
    adapters.to_onnx(TWO, model)
    options = ["plot", model, "--box", -1, 1, "--what", "boundary", "--out", tmp_path / "boundary.svg"]
    assert polytope(*options).returncode == 0
    stopped = polytope(*options, "--max-regions", 1)
    assert stopped.returncode == 4
    assert "needs all regions" in stopped.stderr

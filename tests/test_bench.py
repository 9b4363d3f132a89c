"""Architecture benchmarks: networks that are what was trained, rows that survive a kill, honest tables."""

import json
import math
import re
import tomllib
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from scipy.stats import t as student
from torch import nn
from typer.testing import CliRunner

import polytope as pt
from polytope.__main__ import app
from polytope.studies.data import planes, read_data
from polytope.studies.log import append_row, read_rows
from polytope.studies.run import run_bench, run_name
from polytope.studies.segments import expected_on_segments, segments
from polytope.studies.spec import (
    ACTIVATIONS,
    INITIALISATIONS,
    Architecture,
    DataSpec,
    MeasureSpec,
    TrainingSpec,
    read_spec,
)
from polytope.studies.summary import markdown, mean_of, summary
from polytope.studies.training import _forward, checkpoints
from tests.command_line import polytope

ROOT = Path(__file__).parents[1]
STUDIES = sorted((ROOT / "benchmarks" / "architectures").glob("*.toml"))
TINY = """
title = "tiny"
seeds = 2
[data]
train = 150
test = 40
[training]
epochs = [0, 2]
[measure]
windows = 1
points = 5
[architectures]
depth = [1, 2]
width = 4
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A benchmark of four runs that take a moment."""
    file = tmp_path / "tiny.toml"
    file.write_text(TINY)
    return file


def test_a_benchmark_measures_what_the_engine_measures(tiny: Path, tmp_path: Path) -> None:
    """The rows hold the counts, complexities and accuracies that the public functions give."""
    spec = read_spec(tiny)
    data = read_data(spec)
    bench = run_bench(spec, data, tmp_path / "out")
    assert bench.complete
    assert [(row["depth"], row["seed"]) for row in bench.rows] == [(1, 0), (1, 1), (2, 0), (2, 1)]
    row = bench.rows[3]
    [plane] = planes(data, 1)
    for epoch, network in checkpoints(Architecture(2, 4), data, spec.training, seed=1):
        moment = row["epochs"][str(epoch)]
        on_plane = network.restrict(plane)
        regions = pt.enumerate_regions(on_plane, pt.Polyhedron.box([-1, -1], [2, 2]))
        [window] = moment["windows"]
        assert window == {
            "lower": len(regions),
            "upper": len(regions),
            "linear": len(np.unique(regions.merged())),
        }
        assert moment["accuracy"] == (network(data.x_test).argmax(axis=1) == data.y_test).mean()
        assert moment["log10_bound"] == pytest.approx(math.log10(pt.region_bounds(widths=[2, 4, 4]).upper))
        radius = 0.05 * np.median(
            [np.linalg.norm(a - b) for i, a in enumerate(data.x_test[:100]) for b in data.x_test[i + 1 : 100]]
        )
        counted = pt.local_complexity(network, data.x_test[:5], radius).per_layer.mean(axis=0)
        assert moment["local_complexity"] == counted.tolist()


def test_a_stopped_benchmark_goes_on_and_a_changed_one_keeps_what_did_not_change(
    tiny: Path, tmp_path: Path
) -> None:
    spec, out = read_spec(tiny), tmp_path / "out"
    data = read_data(spec)
    begun = run_bench(spec, data, out, max_seconds=1e-9)
    assert (len(begun.rows), begun.complete) == (1, False)
    file = out / "rows.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole + b'{"run": "killed while wri')
    told: list[str] = []
    done = run_bench(spec, data, out, tell=lambda i, n, run: told.append(f"{i + 1}/{n} {run}"))
    assert told == ["2/4 1 x 4, seed 1", "3/4 2 x 4, seed 0", "4/4 2 x 4, seed 1"]
    assert file.read_bytes().startswith(whole)
    assert file.read_bytes().count(b"\n") == 4
    again = run_bench(spec, data, out, tell=lambda *_: pytest.fail("nothing is left to run"))
    assert again.rows == done.rows

    tiny.write_text(TINY.replace("seeds = 2", "seeds = 1").replace("[1, 2]", "[1, 3]"))
    told.clear()
    changed = run_bench(read_spec(tiny), data, out, tell=lambda i, n, run: told.append(run))
    assert told == ["3 x 4, seed 0"]
    assert [row["depth"] for row in changed.rows] == [1, 3]
    tiny.write_text(TINY.replace("train = 150", "train = 151"))
    other = read_spec(tiny)
    assert not run_bench(other, read_data(other), out, max_seconds=1e-9).complete, "other images, other runs"


@pytest.mark.parametrize(
    ("activation", "initialisation"), [("relu", "torch"), ("relu", "glorot"), ("hard_tanh", "he")]
)
def test_crossings_at_initialisation_are_near_what_is_expected(activation: str, initialisation: str) -> None:
    """Means of exact counts over networks lie within three standard errors, and a tenth of finite width."""
    data, measure = read_data(read_spec(STUDIES[0])), MeasureSpec(windows=1)
    architecture = Architecture(2, 40, initialisation, activation)
    counts = []
    for seed in range(8):
        [(_, network)] = checkpoints(architecture, data, TrainingSpec((0,)), seed)
        own = [
            pt.count_regions(network.restrict(pt.Slice.through(a, b)), pt.Polyhedron.box([0], [1]))
            for a, b in segments(data, measure)
        ]
        assert all(found.lower == found.upper for found in own)
        counts.append(np.mean([found.lower - 1 for found in own]))
    expected = expected_on_segments(architecture, data, measure)
    assert expected is not None
    error = np.std(counts, ddof=1) / len(counts) ** 0.5
    assert abs(np.mean(counts) - expected) < 3 * error + 0.1 * expected
    for other in (replace(architecture, skip=True), replace(architecture, initialisation="orthogonal")):
        assert expected_on_segments(other, data, measure) is None


def test_rows_without_crossings_stay_readable(tiny: Path, tmp_path: Path) -> None:
    """Runs of before keep their names; their lines have no crossings, and what is expected all the same."""
    spec = read_spec(tiny)
    data = read_data(spec)
    bench = run_bench(spec, data, tmp_path / "out")
    for line, row in zip(summary(bench)[::2], bench.rows[::2], strict=True):
        own = [r["epochs"]["0"]["segments"] for r in bench.rows if r["depth"] == row["depth"]]
        assert line.crossings is not None
        assert line.crossings.value == pytest.approx(np.mean([[s["lower"] for s in one] for one in own]))
        assert line.expected == expected_on_segments(line.architecture, data, spec.measure)
    for row in bench.rows[:2]:
        for moment in row["epochs"].values():
            del moment["segments"]
    bench.rows[2]["epochs"]["2"]["segments"][0]["upper"] += 1
    lines = summary(bench)
    assert [line.crossings is None for line in lines] == [True, True, False, True]
    table = [line.split(" | ") for line in markdown(bench, lines, 1.0).splitlines() if line.startswith("| ")]
    assert {len(cells) for cells in table} == {len(table[0])}
    assert all(cells[8] == f"{line.expected:,.1f}" for cells, line in zip(table[1:], lines, strict=True))


def test_a_damaged_row_is_named(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    append_row(file, {"run": "a", "value": 1})
    append_row(file, {"run": "b"})
    assert list(read_rows(file)) == ["a", "b"]
    file.write_text('{"run": "a"}\nnot json\n{"run": "b"}\n')
    with pytest.raises(ValueError, match="line 2"):
        read_rows(file)


def test_the_command_writes_all_files_and_exits_4_when_stopped(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["bench", str(tiny), "--out", str(out)]
    stopped = CliRunner().invoke(app, [*command, "--max-seconds", "1e-9"])
    assert stopped.exit_code == 4, stopped.stderr
    assert "**1 of 4 runs: not finished**" in (out / "table.md").read_text()
    done = CliRunner().invoke(app, [*command, "--json"])
    assert done.exit_code == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["complete"]
    assert (facts["runs"], len(facts["summary"])) == (4, 4)
    rows = pq.read_table(out / "rows.parquet").to_pylist()
    assert len(rows) == 4 * 2
    for line in facts["summary"]:
        own = [
            row["regions_lower"]
            for row in rows
            if (row["depth"], row["epoch"]) == (line["architecture"]["depth"], line["epoch"])
        ]
        assert line["regions"]["value"] == np.mean(own)
        assert line["crossings"]["value"] == pytest.approx(
            np.mean(
                [
                    row["crossings"]
                    for row in rows
                    if (row["depth"], row["epoch"]) == (line["architecture"]["depth"], line["epoch"])
                ]
            )
        )
    assert "<svg" in (out / "plot.svg").read_text()
    assert (out / "table.md").read_text().count("\n| ") == 5


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_networks_are_what_was_trained(activation: str, skip: bool) -> None:
    """The canonical form equals torch's forward pass, for every kind of layer and beginning."""
    data = read_data(read_spec(STUDIES[0]))
    for initialisation in INITIALISATIONS:
        architecture = Architecture(3, 6, initialisation, activation, skip)
        [(_, network)] = checkpoints(architecture, data, TrainingSpec((0,)), seed=5)
        weights = [layer.maps[0].to_sparse().toarray() for layer in network.layers]
        linear = nn.ModuleList(nn.Linear(w.shape[1], w.shape[0]).double() for w in weights)
        for layer, weight, own in zip(linear, weights, network.layers, strict=True):
            layer.weight.data, layer.bias.data = torch.tensor(weight), torch.tensor(own.bias)
        between = {"relu": torch.relu, "absolute": torch.abs, "hard_tanh": nn.Hardtanh()}.get(
            activation, nn.LeakyReLU(0.1)
        )
        expected = _forward(architecture, linear, between, torch.tensor(data.x_test[:20]))
        np.testing.assert_allclose(network(data.x_test[:20]), expected.detach().numpy(), rtol=0, atol=1e-13)
        assert sum(p.numel() for p in linear.parameters()) == architecture.parameters(64, 10)


def test_training_learns_and_starts_alike_for_equal_seeds() -> None:
    data = read_data(read_spec(STUDIES[0]))
    architecture, training = Architecture(2, 32), TrainingSpec((0, 15))
    (_, first), (_, last) = checkpoints(architecture, data, training, seed=0)
    assert (last(data.x_test).argmax(axis=1) == data.y_test).mean() > 0.9
    (_, same), (_, again) = checkpoints(architecture, data, training, seed=0)
    x = data.x_test[:5]
    np.testing.assert_array_equal(first(x), same(x))
    np.testing.assert_array_equal(last(x), again(x))
    [(_, other)] = checkpoints(architecture, data, TrainingSpec((0,)), seed=1)
    assert np.abs(first(x) - other(x)).max() > 1e-3


def test_widths_come_nearest_to_the_parameters(tiny: Path) -> None:
    tiny.write_text(
        "[architectures]\ndepth = [1, 2, 5]\nparameters = [40, 5000]\nactivation = ['relu', 'absolute']"
    )
    found = read_spec(tiny).architectures(64, 10)
    assert len(found) == 12
    for chosen in found:
        wanted = 40 if chosen.width == 1 else 5000
        off = [abs(Architecture(chosen.depth, w).parameters(64, 10) - wanted) for w in range(1, 200)]
        assert off[chosen.width - 1] == min(off)


@pytest.mark.parametrize("values", [[1.0, 2.0, 4.0], [5.0, 5.0], list(np.arange(30.0))])
def test_intervals_are_students(values: list[float]) -> None:
    found = mean_of(values)
    spread = np.std(values, ddof=1) / len(values) ** 0.5
    assert found.value == np.mean(values)
    assert found.margin == pytest.approx(spread * student(len(values) - 1).ppf(0.975))
    assert mean_of(values[:1]).margin is None


WRONG = {
    "depth = ": "not a TOML file",
    "seeds = 0\n[architectures]\ndepth = 1\nwidth = 2": "seeds must be a whole number from 1",
    "seeds = 1": "[architectures] is missing",
    "[architectures]\ndepth = 1": "either width or parameters",
    "[architectures]\ndepth = 1\nwidth = 2\nparameters = 3": "either width or parameters",
    "[architectures]\ndepth = 0\nwidth = 2": "depth must be a whole number from 1 to 1,000",
    "[architectures]\ndepth = 1\nwidth = 2\nactivation = 'gelu'": "activation must be one of relu",
    "[architectures]\ndepth = 1\nwidth = 2\ncolour = 1": "knows no 'colour'",
    "[architectures]\ndepth = 1\nwidth = 2\nskip = 1": "true or false",
    "[architectures]\ndepth = 1\nwidth = 2\n[training]\nepochs = [3, 1]": "ascending",
    "[architectures]\ndepth = 1\nwidth = 2\n[training]\nbatch = 'x'": "training.batch must be of type int",
    "[architectures]\ndepth = 1\nwidth = 2\n[measure]\nlow = 5": "low below high",
    "[architectures]\ndepth = 1\nwidth = 2\n[data]\nname = 'imagenet'": "'digits' or 'npz'",
    "[architectures]\ndepth = 1\nwidth = 2\n[data]\ntrain = 5000": "are asked for of 1,797",
    "[architectures]\ndepth = 1\nwidth = 2\n[data]\nname = 'npz'\nfile = 'missing.npz'": "no file",
}


@pytest.mark.parametrize(("text", "reason"), WRONG.items(), ids=list(WRONG.values()))
def test_a_wrong_specification_is_one_sentence_and_code_2(text: str, reason: str, tiny: Path) -> None:
    tiny.write_text(text)
    done = CliRunner(env={"COLUMNS": "300"}).invoke(app, ["bench", str(tiny)])
    assert done.exit_code == 2, done.exception
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1


def test_images_of_a_file(tiny: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (60, 4, 4), dtype=np.uint8), rng.integers(3, 6, 60)
    np.savez(tmp_path / "own.npz", images=images, labels=labels)
    table = "[data]\nname = 'npz'\nfile = 'own.npz'\ntrain = 40\ntest = 20\nscale = 255\n"
    tiny.write_text("[architectures]\ndepth = 1\nwidth = 2\n" + table)
    data = read_data(read_spec(tiny))
    assert (data.x.shape, data.x_test.shape, data.classes) == ((40, 16), (20, 16), 3)
    known = {
        (image.reshape(16) / 255).tobytes(): label - 3 for image, label in zip(images, labels, strict=True)
    }
    assert all(known[x.tobytes()] == y for x, y in zip(data.x, data.y, strict=True))
    np.savez(tmp_path / "own.npz", images=images)
    with pytest.raises(ValueError, match="labels"):
        read_data(read_spec(tiny))
    with pytest.raises(ValueError, match="takes digits"):
        read_data(read_spec(STUDIES[0]), tmp_path / "own.npz")


@pytest.mark.parametrize("name", ["depth_width_digits", "depth_width_mnist"])
def test_the_committed_tables_follow_from_the_committed_rows(name: str) -> None:
    """The summary is made again from the rows; its numbers are those of the table."""
    folder = ROOT / "benchmarks" / "results" / name
    spec = read_spec(ROOT / "benchmarks" / "architectures" / f"{name}.toml")
    kept = list(read_rows(folder / "rows.jsonl").values())
    architectures = spec.architectures(*((64, 10) if "digits" in name else (784, 10)))
    rows = [
        row
        for a in architectures
        for row in kept
        if (row["depth"], row["width"]) == (a.depth, a.width) and row["seed"] < spec.seeds
    ]
    assert len(rows) == len(architectures) * spec.seeds
    facts = json.loads((folder / "summary.json").read_text())
    if "digits" in name:
        data = read_data(spec)
        assert facts["images"] == data.digest
        names = {run_name(spec, data, a, seed) for a in architectures for seed in range(spec.seeds)}
        assert {row["run"] for row in rows} == names, "the rows are of this very specification"
    table = (folder / "table.md").read_text(encoding="utf-8")
    for architecture in architectures:
        for epoch in spec.training.epochs:
            own = [row["epochs"][str(epoch)] for row in rows if row["width"] == architecture.width]
            assert all(w["lower"] == w["upper"] for moment in own for w in moment["windows"])
            mean = mean_of([np.mean([w["lower"] for w in moment["windows"]]) for moment in own])
            cells = f"| {architecture.depth} x {architecture.width} | "
            [line] = [t for t in table.splitlines() if t.startswith(cells) and f" | {epoch} | " in t]
            assert f" | {mean} | " in line


def test_the_study_quotes_its_tables() -> None:
    """Every mean with an interval, and every ratio, stands in a committed table."""
    text = " ".join((ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8").split())
    tables = "".join(
        (ROOT / "benchmarks" / "results" / name / "table.md").read_text(encoding="utf-8")
        for name in ("depth_width_digits", "depth_width_mnist", "beginnings_digits")
    )
    quoted = re.findall(r"[\d.,]*\d ± [\d.,]*\d|\d+\.\d+ \(\d+\.\d+ to \d+\.\d+\)|10\^\d+\.\d", text)
    assert len(quoted) > 25
    assert [number for number in quoted if number not in tables] == []


def test_the_example_names_every_key_and_can_be_read(tmp_path: Path) -> None:
    done = polytope("bench", "--example")
    assert done.returncode == 0
    file = tmp_path / "study.toml"
    file.write_text(done.stdout)
    given = tomllib.loads(done.stdout)
    for name, kind in (("data", DataSpec), ("training", TrainingSpec), ("measure", MeasureSpec)):
        assert {part.name for part in fields(kind)} <= {*given[name], "file"}
    assert {part.name for part in fields(Architecture)} == set(given["architectures"])
    assert read_spec(file).data == DataSpec()
    assert "--example" in polytope("bench", "--help").stdout


@pytest.mark.parametrize("classes", [2, 4])
def test_planes_of_points_in_the_plane(tmp_path: Path, classes: int) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "own.npz", X=rng.uniform(-1, 1, (60, 2)), y=np.arange(60) % classes)
    table = "[architectures]\ndepth = 1\nwidth = 2\n[data]\nname = 'npz'\ntrain = 40\ntest = 20\nscale = 1\n"
    (tmp_path / "study.toml").write_text(table)
    data = read_data(read_spec(tmp_path / "study.toml"), tmp_path / "own.npz")
    for plane in planes(data, 3):
        assert plane.directions.shape == (2, 2)
        corners = plane.lift([[0, 0], [1, 0], [0, 1]])
        found = [np.abs(data.x_test - corner).max(axis=1).argmin() for corner in corners]
        np.testing.assert_allclose(data.x_test[found], corners, atol=1e-12)
        assert len(set(data.y_test[found])) == min(classes, 3)
    flat = replace(data, x_test=data.x_test * [1, 0])
    with pytest.raises(ValueError, match="lay on lines"):
        planes(flat, 1)
    with pytest.raises(ValueError, match="two classes and two numbers at least"):
        planes(replace(data, y_test=np.zeros_like(data.y_test)), 1)

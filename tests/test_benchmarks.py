"""The benchmarks: each loads, asks a question, and puts its tables where all others do."""

import argparse
import json
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import harness
import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
PARTS = ("harness", "cifar_modules", "budget_verbs", "real_networks")  # of benchmarks
FILES = sorted(file for file in FOLDER.glob("*.py") if file.stem not in PARTS)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_benchmark_asks_a_question_and_loads(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_from_file_location(f"benchmark_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # where dataclasses look for their module
    spec.loader.exec_module(module)
    assert str(module.__doc__).splitlines()[0].endswith("?")
    assert f"python benchmarks/{file.name}" in str(module.__doc__)
    assert callable(module.main)


def test_tables_and_records_go_where_they_are_wanted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"name": "a | b", "value": 1 / 3, "note": None}, {"name": "c", "value": 2, "note": "kept"}]
    page = [harness.title("How many?\n\nAll."), harness.table_of(rows)]
    harness.publish("somewhere/counted.py", page, rows, None)
    assert not list(tmp_path.iterdir())
    harness.publish("somewhere/counted.py", page, rows, tmp_path / "new")
    text = (tmp_path / "new" / "counted.md").read_text()
    assert capsys.readouterr().out == 2 * text
    assert text.splitlines()[0] == "# How many?"
    assert text.splitlines()[2:] == [
        "| name | value | note |",
        "| --- | --- | --- |",
        "| a \\| b | 0.3333 |  |",
        "| c | 2 | kept |",
    ]
    assert json.loads((tmp_path / "new" / "counted.json").read_text()) == rows


def test_figures_stand_beside_their_bars(tmp_path: Path) -> None:
    bars = {"least": (">=", 0.9999), "law": ("==", "y = a"), "absent": ("<=", 1e-12)}
    found = harness.beside_bars(lambda: {"least": 0.99996, "law": "y = b", "free": 2.0}, bars)
    assert [tuple(row.values()) for row in found["rows"]] == [
        ("least", 0.99996, ">= 0.9999", "yes"),
        ("law", "y = b", "== y = a", "**no**"),
        ("absent", "missing", "<= 1e-12", "**no**"),
        ("free", 2.0, "", ""),
    ]
    assert [harness.shown(v) for v in (0.99996, 0.9999999, 1.0, 0.5)] == ["0.99996", "0.9999999", "1", "0.5"]
    given = argparse.Namespace(write=tmp_path, names=["new"], note="")
    (tmp_path / "asked.json").write_text(json.dumps({"experiments": {"old": found | {"rows": []}}}))
    with pytest.raises(SystemExit, match="1"):
        harness.experiments("asked.py", "Is it?", given, lambda name: found, [], {"new": "asked_new.png"})
    text = (tmp_path / "asked.md").read_text()
    assert text.index("## old") < text.index("| least | 0.99996 | >= 0.9999 | yes |") < text.index("![new](")


def test_programs_take_turns_and_medians_are_kept(tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text("import json, sys; print(json.dumps({'given': len(sys.stdin.read())}))")
    turns = [("count", "2-1"), ("cells", "2-1")]
    found = harness.alternate(str(script), turns, 3, {"2-1": b"12345"})
    assert list(found) == ["count | 2-1", "cells | 2-1"]
    assert {run["given"] for run in found.values()} == {5}
    assert all(run["process"] > 0 for run in found.values())


def test_rows_of_budgets_are_renewed_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_from_file_location("benchmark_budgets", FOLDER / "budgets.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    before = [
        module.row("polytope plot", "a.onnx", 2.0, {"taken": 30.0, "load": 1.0}),
        module.row("check_property", "a.onnx", 2.0, {"taken": 9.0, "load": 1.0, "busy": 8.0}),
    ]
    now = [
        module.row("check_property", "a.onnx", 2.0, {"taken": 8.0, "load": 9.0, "busy": 0.5}),
        module.row("audit", "a.onnx", 2.0, {"taken": 4.0, "load": 1.0, "busy": 3.0}),
    ]
    rows = module.renewed(before, now)
    assert [(line["verb"], line["taken s"], line["over"]) for line in rows] == [
        ("check_property", 8.0, "over"),
        ("audit", 4.0, ""),
        ("polytope plot", 30.0, "over"),
    ]
    assert "2 of 3 rows: 1 that had no more" in module.in_all(rows)
    assert "0 that had more, and 1 of which it was not measured" in module.in_all(rows)

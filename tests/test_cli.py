"""The command line: counts, audits, properties, complexity, help."""

import json
import subprocess
import sys
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch

import adapters
import polytope as pt
from tests.command_line import DIGITS, MODEL, ROOT, answer, polytope

SHARED = ROOT.parent / "shared"


SCHEMA = json.loads((ROOT / "polytope" / "report" / "templates" / "report.schema.json").read_text())


def property_file(folder: Path, out: int, condition: str) -> Path:
    """A property of digits close to grey: a box of 64 inputs."""
    lines = [f"(declare-const X_{i} Real)" for i in range(64)]
    lines += [f"(declare-const Y_{i} Real)" for i in range(out)]
    lines += [f"(assert (<= X_{i} 0.5001)) (assert (>= X_{i} 0.5))" for i in range(64)]
    file = folder / "stated.vnnlib"
    file.write_text("\n".join([*lines, f"(assert {condition})"]))
    return file


def test_count_of_the_tent_map(tent: Path) -> None:
    found = answer("count", tent, "--box", "0", "1")
    assert found["complete"] is True
    assert found["regions"] == found["lower"] == found["upper"]
    assert found["label"] == "exact"
    keys = {"regions", "complete", "lower", "upper", "engine", "seconds", "peak_memory_mb", "import_error"}
    assert keys <= found.keys()
    assert "exact" in polytope("count", tent, "--box", "0", "1").stdout


def test_a_count_stopped_by_its_budget_is_code_4_and_an_interval() -> None:
    options = ["count", MODEL, "--window", DIGITS, "--window-indices", "6,15,13"]
    exact = answer(*options)
    found = answer(*options, "--max-regions", 5, code=4)
    assert found["complete"] is False
    assert found["label"] == "lower bound"
    assert found["lower"] < exact["regions"] <= found["upper"]  # type: ignore[operator]


def test_engines_agree_and_sampling_is_a_bound() -> None:
    options = ["count", MODEL, "--window", DIGITS, "--engine"]
    exact, lp, sampled = (answer(*options, name) for name in ("auto", "lp", "sampling"))
    assert exact["regions"] == lp["regions"]
    assert sampled["complete"] is False
    assert sampled["lower"] <= exact["regions"]  # type: ignore[operator]


def test_domains_from_files(tent: Path, tmp_path: Path) -> None:
    whole = answer("count", tent, "--box", "0", "1")["regions"]
    (tmp_path / "box.json").write_text('{"low": [0], "high": 1}')
    (tmp_path / "rows.json").write_text('{"A": [[1], [-1]], "b": [1, 0]}')
    (tmp_path / "p.vnnlib").write_text("(declare-const X_0 Real)(assert (<= X_0 1))(assert (>= X_0 0))")
    for option, name in [("--domain", "box.json"), ("--domain", "rows.json"), ("--vnnlib", "p.vnnlib")]:
        assert answer("count", tent, option, tmp_path / name)["regions"] == whole
    for text in ("[1, 2", "[" * 100_000, '{"low": 0}', '{"low": {}, "high": 1}', "3"):
        (tmp_path / "bad.json").write_text(text)
        assert polytope("count", tent, "--domain", tmp_path / "bad.json").returncode == 2


def test_audit_writes_both_files_and_prints_where(tmp_path: Path) -> None:
    """A network so small that no question needs a limit of time."""
    rng = np.random.default_rng(0)
    layers = [(rng.standard_normal((m, n)), rng.standard_normal(m)) for n, m in pairwise([3, 6, 6, 3])]
    model, points, folder = tmp_path / "small.onnx", tmp_path / "points.npz", tmp_path / "a report"
    adapters.to_onnx(pt.mlp(layers), model)
    np.savez(points, X=rng.uniform(-1, 1, (20, 3)))
    window = ["--window", points, "--window-indices", "6,15,13", "--data", points]
    done = polytope("audit", model, *window, "--budget", "none", "--out", folder)
    assert done.returncode == 0, done.stderr
    assert "exact" in done.stdout
    assert str(folder / "report.html") in done.stdout
    report = json.loads((folder / "report.json").read_text())
    jsonschema.validate(report, SCHEMA)
    assert report["search"]["complete"]
    assert [item["what"] for item in report["not_done"]] == [
        "the distance to the decision boundary at the other 10 data points"
    ]
    assert report["conversion"]["when_loaded"]["value"] < 1e-3
    assert [kind["points"] for kind in report["conversion"]["kinds"]] == ["data", "random", "near a crossing"]
    assert all(kind["largest"]["value"] < 1e-3 for kind in report["conversion"]["kinds"])
    assert report["local_complexity"]["points"] == 20
    assert report["distances"]["exact"] == 10
    assert "<svg" not in (folder / "report.html").read_text()
    assert "data:image/svg+xml" in (folder / "report.html").read_text()


def test_audit_json_is_the_report_and_nothing_else(tent: Path, tmp_path: Path) -> None:
    jsonschema.validate(answer("audit", tent, "--box", 0, 1, "--out", tmp_path), SCHEMA)
    report = answer("audit", tent, "--box", 0, 1, "--max-regions", 2, "--out", tmp_path, code=4)
    jsonschema.validate(report, SCHEMA)


def test_fail_on_is_code_1_with_the_reason(tent: Path, tmp_path: Path) -> None:
    """The tent map of depth 3 has slope 8 everywhere, and a unit that is always on."""
    options = ["audit", tent, "--box", 0, 1, "--out", tmp_path]
    done = polytope(*options, "--fail-on", "lipschitz>8.5", "--fail-on", "regions<8")
    assert done.returncode == 0, done.stderr
    done = polytope(*options, "--fail-on", "lipschitz>50", "--fail-on", "always_on > 0")
    assert done.returncode == 1
    assert "always_on > 0: always_on is" in done.stderr
    assert "lipschitz" not in done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert [check["result"] for check in report["checks"]] == ["passes", "fails"]
    done = polytope(*options, "--fail-on", "distance<0.1")  # needs data
    assert done.returncode == 1
    assert "not computed" in done.stderr
    done = polytope(*options, "--max-regions", 2, "--fail-on", "regions>5")  # an interval that holds 5
    assert done.returncode == 1
    for wrong in ("speed>3", "lipschitz=3", "lipschitz>fast"):
        done = polytope(*options, "--fail-on", wrong)
        assert (done.returncode, done.stdout) == (2, "")
        assert "--fail-on" in done.stderr
    for wrong in ("soon", "-1s", "0", "nan", "60x"):
        assert polytope(*options, "--budget", wrong).returncode == 2
    help_text = polytope("audit", "--help").stdout
    assert "dead_units" in help_text
    assert "--budget" in help_text


def test_complexity(tmp_path: Path) -> None:
    found = answer("complexity", MODEL, "--data", DIGITS, "--radius", 0.1)
    assert found["points"] == 360
    assert [n["label"] for n in found["layers"]] == ["estimate", "estimate"]  # type: ignore[attr-defined]
    assert polytope("complexity", MODEL, "--data", DIGITS, "--radius", 0).returncode == 2
    np.savez(tmp_path / "swapped.npz", X=np.zeros((2, 8, 8)))
    np.savez(tmp_path / "object.npz", X=np.array([{}], dtype=object))
    cnn = MODEL.with_name("digits_cnn.onnx")
    assert polytope("complexity", cnn, "--data", tmp_path / "swapped.npz", "--radius", 1).returncode == 0
    assert polytope("complexity", cnn, "--data", tmp_path / "object.npz", "--radius", 1).returncode == 2


def test_the_script_itself(tent: Path) -> None:
    """A process of its own: one object on stdout, codes that a shell sees, one line on stderr."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "polytope", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)

    done = run("count", tent, "--box", 0, 1, "--max-regions", 1, "--json")
    # where it took more than a second, progress is shown
    said = [line for line in done.stderr.splitlines() if "open cell" not in line]
    assert (done.returncode, said) == (4, [])
    assert json.loads(done.stdout)["complete"] is False
    refused = run("count", tent.with_name("[red]missing.onnx"))
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (3, "", 1)
    assert "[red]missing" in refused.stderr


def test_help_and_ops() -> None:
    for command in ("audit", "count", "complexity"):
        assert "--json" in polytope(command, "--help").stdout
    assert "Relu" in polytope("ops").stdout
    for command in ((), ("count",), ("audit",)):
        short, long = (polytope(*command, flag) for flag in ("-h", "--help"))
        assert short.returncode == 0
        assert short.stdout == long.stdout
    assert polytope("--version").stdout == f"polytope {version('polytope-nn')}\n"


@pytest.mark.skipif(not SHARED.is_dir(), reason="the collection of models is not beside the checkout")
def test_acas_xu_within_a_budget_is_honest(tmp_path: Path) -> None:
    model, box = SHARED / "models" / "acasxu_1_1.onnx", SHARED / "models" / "vnnlib" / "acasxu_prop_3.vnnlib"
    done = polytope(
        "audit", model, "--vnnlib", box, "--budget", "5s", "--max-regions", 500, "--out", tmp_path
    )
    assert done.returncode == 4, done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    jsonschema.validate(report, SCHEMA)
    assert report["regions"]["activation"]["label"] == "bound"
    assert report["regions"]["activation"]["lower"] >= 500


def test_a_property_is_decided_and_its_counterexample_confirmed(tmp_path: Path) -> None:
    """Of a model in a file: onnxruntime's own values satisfy the asserts at the witness."""
    runtime = adapters.runtime(adapters.load(MODEL))
    assert runtime is not None
    values = runtime(np.full((1, 64), 0.5))[0]
    winner = int(values.argmax())
    wins = property_file(tmp_path, 10, f"(>= Y_{winner} {values[winner] - 0.1:.6f})")
    found = answer("check", MODEL, wins, code=1)
    assert (found["status"], found["confirmed"], found["proof"]) == ("violated", True, "witness")
    assert runtime(np.array([found["witness"]]))[0, winner] >= values[winner] - 0.1
    done = polytope("check", MODEL, wins)
    assert "violated, confirmed by onnxruntime, at the input 0.5" in done.stdout
    assert f"where output {found['largest']} is the largest" in done.stdout
    assert found["least"] == int(np.argmin(found["outputs"]))
    never = property_file(tmp_path, 10, f"(>= Y_{winner} {values[winner] + 0.5:.6f})")
    by_bounds = answer("check", MODEL, never)
    assert (by_bounds["status"], by_bounds["regions"], by_bounds["proof"]) == ("holds", 0, "bounds")
    by_regions = answer("check", MODEL, never, "--enumerate")
    assert (by_regions["status"], by_regions["proof"]) == ("holds", "enumeration")
    assert by_regions["regions"] >= 1
    assert polytope("check", MODEL, never, "--enumerate", "--max-seconds", "1e-9").returncode == 4
    wrong = polytope("check", MODEL, property_file(tmp_path, 3, "(>= Y_0 0)"))
    assert wrong.returncode == 2
    assert "The property declares 3 output" in wrong.stderr


def test_several_properties_and_their_results(tmp_path: Path) -> None:
    wins = property_file(tmp_path, 10, "(>= Y_0 -1000)").rename(tmp_path / "wins.vnnlib")
    never = property_file(tmp_path, 10, "(>= Y_0 1000)").rename(tmp_path / "never.vnnlib")
    found = answer("check", MODEL, wins, never, "--result", tmp_path / "results", code=1)["properties"]
    assert [found[str(file)]["status"] for file in (wins, never)] == ["violated", "holds"]
    assert (tmp_path / "results" / "never.txt").read_text() == "unsat\n"
    lines = (tmp_path / "results" / "wins.txt").read_text().splitlines()
    assert (lines[0], len(lines), lines[1][:6], lines[-1][-2:]) == ("sat", 75, "((X_0 ", "))")
    done = polytope("check", MODEL, never, "--result", tmp_path / "one.txt")
    assert (done.returncode, (tmp_path / "one.txt").read_text()) == (0, "unsat\n")
    both = polytope("check", MODEL, never, wins)
    assert [line.split(":")[0] for line in both.stdout.splitlines()] == ["never.vnnlib", "wins.vnnlib"]
    bad = property_file(tmp_path, 3, "(>= Y_0 0)").rename(tmp_path / "bad.vnnlib")
    folder = tmp_path / "with bad"
    some = polytope("check", MODEL, never, bad, tmp_path / "none.vnnlib", wins, "--result", folder)
    assert some.returncode == 2
    assert [line.split(":")[0] for line in some.stdout.splitlines()] == ["never.vnnlib", "wins.vnnlib"]
    assert "bad.vnnlib: The property declares 3 output" in some.stderr
    assert "none.vnnlib" in some.stderr
    assert sorted(file.name for file in folder.iterdir()) == ["never.txt", "wins.txt"]
    facts = answer("check", MODEL, bad, wins, code=2)["properties"]
    assert [one["status"] for one in facts.values()] == ["violated", "refused"]
    assert facts[str(wins)]["largest"] == int(np.argmax(facts[str(wins)]["outputs"]))
    missing = polytope("check", MODEL, tmp_path / "none.vnnlib")
    assert missing.returncode == 2
    assert "There is no file" in missing.stderr


def test_what_a_property_file_holds_is_no_path(tmp_path: Path) -> None:
    true = property_file(tmp_path, 10, "(>= Y_0 1000000)")
    alias = tmp_path / "alias.vnnlib"
    alias.write_text(str(true))
    done = polytope("check", MODEL, alias)
    assert done.returncode == 2
    assert "alias.vnnlib" in done.stderr


def test_a_cube_of_64_dimensions_is_not_drawn(tmp_path: Path) -> None:
    done = polytope("plot", MODEL, "--box", "0", "1", "--out", tmp_path / "cube.png")
    assert done.returncode == 2
    assert "--window" in done.stderr


def test_an_onnx_file_is_compared_with_its_weights_alone(tmp_path: Path) -> None:
    network = adapters.load(MODEL)
    state = {}
    for k, layer in enumerate(network.layers):
        state[f"{2 * k}.weight"] = torch.tensor(layer.maps[0].to_sparse().toarray(), dtype=torch.float32)
        state[f"{2 * k}.bias"] = torch.tensor(layer.bias, dtype=torch.float32)
    weights = tmp_path / "weights.pt"
    torch.save(state, weights)
    assert answer("compare", MODEL, weights, "--activation", "relu")["status"] == "equal"
    state[f"{2 * len(network.layers) - 2}.bias"][7] += 0.5
    torch.save(state, weights)
    found = answer("compare", MODEL, weights, "--activation", "relu", code=1)
    assert (found["status"], found["output"]) == ("different", 7)
    assert found["classes"] == [int(np.argmax(values)) for values in found["outputs"]]
    said = polytope("compare", MODEL, weights, "--activation", "relu").stdout
    assert "Different: output 7 differs by" in said
    assert "class" in said

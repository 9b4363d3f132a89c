"""The command line: numbers on stdout, one sentence on stderr, and the right exit code."""

import json
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from typer.testing import CliRunner

import adapters
import polytope as pt
from polytope.__main__ import app
from polytope.errors import is_deliberate

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "examples" / "models" / "digits_mlp.onnx"
DIGITS = ROOT / "examples" / "data" / "digits_test.npz"
SHARED = ROOT.parent / "shared"
SCHEMA = json.loads((ROOT / "polytope" / "report" / "templates" / "report.schema.json").read_text())


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def polytope(*arguments: object) -> Done:
    """Run a command in this process."""
    result = CliRunner(env={"COLUMNS": "300"}).invoke(app, [str(a) for a in arguments], prog_name="polytope")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return Done(result.exit_code, result.stdout, result.stderr)


def answer(*arguments: object, code: int = 0) -> dict[str, object]:
    done = polytope(*arguments, "--json")
    assert done.returncode == code, done.stderr
    value = json.loads(done.stdout)
    assert isinstance(value, dict)
    return value


@pytest.fixture
def tent(tmp_path: Path) -> Path:
    """The tent map of depth 3: 8 linear pieces on [0, 1]."""
    first, inner = ([[1.0], [1.0]], [0.0, -0.5]), ([[2.0, -4.0], [2.0, -4.0]], [0.0, -0.5])
    layers = [first, inner, inner, ([[2.0, -4.0]], [0.0])]
    file = tmp_path / "tent.npz"
    np.savez(file, **{f"{k}{i}": v for i, pair in enumerate(layers) for k, v in zip("Wb", pair, strict=True)})
    return file


def broken_model(folder: Path, name: str) -> Path:
    """Files that must be refused."""
    path = folder / name
    if name == "text.onnx":
        path.write_text("not a model\n")
    elif name == "truncated.onnx":
        path.write_bytes(MODEL.read_bytes()[:5000])
    elif name == "folder.onnx":
        path.mkdir()
    elif name in ("sigmoid.onnx", "nan.onnx"):
        weight = np.full((3, 2), np.nan if name == "nan.onnx" else 1.0, dtype=np.float32)
        bend = "Relu" if name == "nan.onnx" else "Sigmoid"
        nodes = [
            helper.make_node("Gemm", ["x", "W"], ["z"], transB=1),
            helper.make_node(bend, ["z"], ["h"]),
            helper.make_node("Gemm", ["h", "V"], ["y"], transB=1),
        ]
        weights = [
            numpy_helper.from_array(weight, "W"),
            numpy_helper.from_array(np.ones((1, 3), np.float32), "V"),
        ]
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1])
        graph = helper.make_graph(nodes, "g", [x], [y], weights)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


REFUSED = {
    "missing.onnx": "no file",
    "folder.onnx": "directory",
    "text.onnx": "not an ONNX file",
    "truncated.onnx": "truncated",
    "sigmoid.onnx": "Sigmoid",
    "nan.onnx": "nan",
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_file_is_one_sentence_and_code_3(name: str, tmp_path: Path) -> None:
    done = polytope("count", broken_model(tmp_path, name))
    assert done.returncode == 3
    assert done.stdout == ""
    assert REFUSED[name] in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


WRONG = [
    (["--box", "1", "0"], "above"),
    (["--box", "0,0", "1,1"], "2 numbers"),
    (["--box", "zero", "1"], "'zero'"),
    (["--box", "nan", "1"], "finite"),
    (["--box", "0", "0"], "single point"),
    (["--box", "0", "1", "--domain", "x.json"], "one domain"),
    (["--domain", "missing.json"], "no file"),
    (["--domain", DIGITS], "not a text file"),
    (["--vnnlib", MODEL], "not a text file"),
    (["--vnnlib", ROOT / "Makefile"], "not a VNN-LIB"),
    (["--window", MODEL], "not an .npz"),
    (["--window", DIGITS], "64 numbers"),
    (["--max-seconds", "-1"], "positive"),
    (["--max-regions", "many"], "max-regions"),
    (["--input-shape", "a"], "whole numbers"),
    (["--engine", "magic"], "magic"),
    (["--colour"], "--colour"),
]


@pytest.mark.parametrize(("options", "reason"), WRONG, ids=lambda value: str(value)[:30])
def test_wrong_usage_is_code_2(options: list[object], reason: str, tent: Path) -> None:
    done = polytope("count", tent, *options)
    assert done.returncode == 2
    assert done.stdout == ""
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


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
    assert report["not_done"] == []
    assert report["conversion"]["when_loaded"]["value"] < 1e-3
    assert [kind["points"] for kind in report["conversion"]["kinds"]] == ["data", "random", "near a bend"]
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
    assert [n["label"] for n in found["layers"]] == ["estimate", "bound"]  # type: ignore[attr-defined]
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
    # compiling takes seconds on a new installation, and then progress is shown
    said = [line for line in done.stderr.splitlines() if "open cells" not in line]
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


def property_file(folder: Path, out: int, condition: str) -> Path:
    """A property of digits close to grey: a box of 64 inputs."""
    lines = [f"(declare-const X_{i} Real)" for i in range(64)]
    lines += [f"(declare-const Y_{i} Real)" for i in range(out)]
    lines += [f"(assert (<= X_{i} 0.5001)) (assert (>= X_{i} 0.5))" for i in range(64)]
    file = folder / "stated.vnnlib"
    file.write_text("\n".join([*lines, f"(assert {condition})"]))
    return file


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
    never = property_file(tmp_path, 10, f"(>= Y_{winner} {values[winner] + 0.5:.6f})")
    by_bounds = answer("check", MODEL, never)
    assert (by_bounds["status"], by_bounds["regions"], by_bounds["proof"]) == ("holds", 0, "bounds")
    by_regions = answer("check", MODEL, never, "--enumerate")
    assert (by_regions["status"], by_regions["proof"]) == ("holds", "enumeration")
    assert by_regions["regions"] >= 1
    assert polytope("check", MODEL, never, "--enumerate", "--max-seconds", "1e-9").returncode == 4
    wrong = polytope("check", MODEL, property_file(tmp_path, 3, "(>= Y_0 0)"))
    assert (wrong.returncode, wrong.stderr.strip()[:30]) == (2, "The property declares 3 output")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A folder with the state dicts of a chain and of a convolutional network, and the latter's code."""
    torch.manual_seed(0)
    chain = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))
    torch.save(chain.state_dict(), tmp_path / "chain.pth")
    code = (
        "from torch import nn\n\n\ndef network():\n    return nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), "
        "nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(2, 1))\n"
    )
    (tmp_path / "code.py").write_text(code)
    space: dict[str, Any] = {}
    exec(code, space)
    torch.save(space["network"]().state_dict(), tmp_path / "cnn.pth")
    return tmp_path


def test_a_chain_of_weights_is_read_with_its_activation_and_says_what_was_assumed(weights: Path) -> None:
    arguments = ("count", weights / "chain.pth", "--box", "-1", "1", "--activation", "relu")
    facts = answer(*arguments)
    assert facts["import_error"] is None
    assert str(facts["import_note"]).startswith("not computed: The file holds weights only")
    assert "Note: The file holds weights only" in polytope(*arguments).stderr
    done = polytope("audit", *arguments[1:], "--out", weights / "audit")
    assert "its conversion was not checked" in done.stdout
    assert "assumed: the linear layers '0', '2' in this order" in done.stdout
    report = json.loads((weights / "audit" / "report.json").read_text())
    assert report["conversion"]["when_loaded"]["label"] == "not computed"
    assert "relu between all of them" in (weights / "audit" / "report.html").read_text()


def test_weights_are_read_into_a_module_of_the_users_own_code(weights: Path) -> None:
    arguments = ("count", weights / "cnn.pth", "--box", "-1", "1", "--input-shape", "1,2,2")
    facts = answer(*arguments, "--module", f"{weights / 'code.py'}:network")
    assert facts["import_error"] < 1e-6
    assert facts["import_note"] == "compared with the module in PyTorch"
    for name in ("code.py:other", "absent.py:network", "no.such.package:network", "code.py"):
        done = polytope(*arguments, "--module", f"{weights / name}")
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("--module ")


REFUSED_OPTIONS = {
    "no activation": (("chain.pth",), 3, "--activation relu"),
    "convolution": (("cnn.pth", "--activation", "relu"), 3, "--module FILE.py:NAME --input-shape SIZES"),
    "no such activation": (("chain.pth", "--activation", "rellu"), 2, "Known: relu, "),
    "a cut of weights": (("chain.pth", "--activation", "relu", "--until", "0"), 2, "--until has no meaning"),
    "another size": (
        ("chain.pth", "--activation", "relu", "--input-shape", "3"),
        2,
        "--input-shape (3,) does not",
    ),
    "no numbers": (("chain.pth", "--input-shape", "a,b"), 2, "--input-shape a,b must be"),
    "two shapes": (
        ("chain.pth", "--activation", "relu", *2 * ("--input-shape", "2")),
        2,
        "--input-shape gives 2",
    ),
    "an architecture": ((MODEL, "--activation", "relu"), 2, "--activation has no meaning for an ONNX file"),
}


@pytest.mark.parametrize(("arguments", "code", "words"), REFUSED_OPTIONS.values(), ids=REFUSED_OPTIONS)
def test_refusals_name_options_of_the_command_line(
    weights: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    model, *options = arguments
    done = polytope("count", weights / model, *options, "--box", "-1", "1")
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
    assert "load(" not in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_cut_that_a_refusal_names_can_be_pasted(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["a (1), 'b'"]),
        helper.make_node("Sigmoid", ["a (1), 'b'"], ["y"]),
    ]
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 2]) for n in "xy")
    model = helper.make_model(helper.make_graph(nodes, "g", [x], [y]), ir_version=8)
    onnx.save(model, tmp_path / "smooth.onnx")
    refused = polytope("count", tmp_path / "smooth.onnx", "--box", "-1", "1")
    option = re.search(r"last node: (--until .+) stops before it", refused.stderr)
    assert option, refused.stderr
    arguments = shlex.split(option[1])
    assert polytope("count", tmp_path / "smooth.onnx", "--box", "-1", "1", *arguments).returncode == 0


def test_defects_are_reported_as_ours(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors that nobody raised on purpose end with a traceback, what to do with it, and code 70."""
    arguments = ["count", str(weights / "chain.pth"), "--activation", "relu", "--box", "-1", "1"]
    for broken in (lambda *_, **__: None + 1, lambda *_, **__: int("many"), lambda *_, **__: [][0]):
        monkeypatch.setattr("polytope.cli.count.count_regions", broken)
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 70
        assert done.stderr.rstrip().endswith("the model file.")
        assert "Traceback" in done.stderr


def test_what_is_raised_on_purpose_is_told_from_what_is_not() -> None:
    for call, deliberate in (
        (lambda: pt.Polyhedron.box([1.0], [0.0, 1.0]), True),
        (lambda: pt.hoffman_constant(np.zeros((2, 2, 2))), True),
        (lambda: pt.Polyhedron.box(None, "a"), False),
        (lambda: int("many"), False),
    ):
        with pytest.raises((TypeError, ValueError)) as caught:
            call()
        assert is_deliberate(caught.value) is deliberate
